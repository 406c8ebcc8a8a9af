from __future__ import annotations

from pyramid.interfaces import IResponse

from pyramid_restproxy.forwarding.response import ProxyResponse


def sent(response, method="GET"):
    seen = {}

    def start_response(status, headers, exc_info=None):
        seen.update(status=status, headers=headers)

    seen["body"] = b"".join(response({"REQUEST_METHOD": method}, start_response))
    return seen


def test_the_head_is_sent_exactly_as_given():
    headers = [
        ("location", "//cdn.example/x"),
        ("Set-Cookie", "a"),
        ("Set-Cookie", "b"),
    ]
    response = ProxyResponse("299 Odd Reason", list(headers), [b"x"])
    assert sent(response) == {
        "status": "299 Odd Reason",
        "headers": headers,
        "body": b"x",
    }


def test_a_copy_has_all_of_it_and_ends_the_exchange():
    class Pieces:
        closed = False

        def __iter__(self):
            return iter([b"a", b"b"])

        def close(self):
            self.closed = True

    pieces = Pieces()
    response = ProxyResponse("299 Odd", [("location", "//cdn/x")], pieces)
    copy = response.copy()
    copy.headers["A"] = "1"
    assert pieces.closed
    assert sent(response)["headers"] == [("location", "//cdn/x")]
    assert (sent(copy)["status"], sent(copy)["body"]) == ("299 Odd", b"ab")
    assert sent(response)["body"] == b"ab"


def test_tweens_and_callbacks_can_use_it_as_any_response():
    response = ProxyResponse("200 OK", [("A", "1")], [b"x"])
    assert IResponse.providedBy(response)
    assert (response.status_int, response.headers["a"]) == (200, "1")
    response.headers["B"] = "2"
    response.set_cookie("c", "3")
    assert [name for name, _ in sent(response)["headers"]] == ["A", "B", "Set-Cookie"]
    assert response.content_type is None
