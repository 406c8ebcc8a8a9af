"""The runner of vectors: it sends what they say, and notices every difference."""

from __future__ import annotations

import json

import pytest

from pyramid_restproxy.testing import (
    Answer,
    FakeBackend,
    RecordedRequest,
    Reply,
    check,
    load_vectors,
    send,
)
from pyramid_restproxy.testing.vectors import content_of, requests_of, value_fits

RESPOND = {"kind": "respond", "body": "ok"}
REPLY = Reply(
    status=200,
    reason="OK",
    headers=[("X-A", "one"), ("X-B", "1"), ("X-B", "2"), ("X-Host", "b:1")],
    body=b"ok",
    pieces=[b"o", b"k"],
    interim=[100],
    waited=0.1,
    took=0.2,
)
SEEN = RecordedRequest("POST", "/t", (("Host", "b:1"), ("X-A", "one")), b"sent")
NAMES = {"$BACKEND": "b:1"}


def vector(gets=None, sees=None, **more):
    return {
        "id": "V1",
        "title": "a title",
        "client_request": {"method": "POST", "target": "/", "body": "sent"},
        "backend_behaviour": RESPOND,
        "expect_client_gets": gets,
        "expect_backend_sees": sees,
        **more,
    }


def test_vectors_are_loaded_from_a_list_or_an_object(tmp_path):
    path = tmp_path / "v.json"
    for text in ([{"id": "a"}], {"vectors": [{"id": "a"}]}):
        path.write_text(json.dumps(text))
        assert load_vectors(path) == [{"id": "a"}]
    for wrong in ([{"id": "a"}, {"id": "a"}], [{}]):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match="no id, or not unique"):
            load_vectors(str(path))


GETS_RIGHT = [
    {"status": 200},
    {"status": [204, 200]},
    {"status": None},
    {"headers": {"X-A": ["two", "one"], "X-Host": "$BACKEND", "X-C": None}},
    {"header_lines": {"X-B": ["1", "2"]}},
    {"headers_absent": ["X-C"]},
    {"headers_present": ["X-A"]},
    {"headers_not": {"X-A": "two"}},
    {"headers_match": {"X-A": "^o"}},
    {"headers_if_200": {"X-A": "one"}},
    {"body": "ok"},
    {"body_same": True},
    {"reason": "OK"},
    {"interim": [100]},
    {"first_chunk": "o"},
    {"within_ms": 300},
    {"first_byte_within_ms": 300},
    {"same_as_backend_saw": "X-A"},
    {"truncated": False},
    {"status_note": "for people"},
    {"own": 1},
]
GETS_WRONG = [
    {"status": 404},
    {"status": [404, 500]},
    {"headers": {"X-A": "two"}},
    {"header_lines": {"X-B": ["1, 2"]}},
    {"headers_absent": ["X-A"]},
    {"headers_present": ["X-C"]},
    {"headers_not": {"X-A": "one"}},
    {"headers_match": {"X-A": "^e"}},
    {"headers_if_200": {"X-A": "two"}},
    {"body": "no"},
    {"reason": "No"},
    {"interim": []},
    {"first_chunk": "ok"},
    {"within_ms": 150},
    {"first_byte_within_ms": 50},
    {"same_as_backend_saw": "X-B"},
    {"truncated": True},
    {"proxy_status_error": "dns_error"},
    {"own": 2},
]
SEES_RIGHT = [
    {"calls": 2, "calls_max": 2},
    {"method": "POST", "target": ["/t", "/u"], "host": "$BACKEND"},
    {"body": "sent", "body_same": True},
    {"headers": {"X-A": "one"}, "headers_absent": ["X-B"], "headers_present": ["X-A"]},
    {"second": {"method": "POST"}},
    {"same_header": "X-A"},
    {"own": 1, "calls_note": "for people"},
    "nothing in particular",
]
SEES_WRONG = [
    {"calls": 1},
    {"calls_max": 1},
    {"method": "GET"},
    {"target": "/u"},
    {"host": "c:1"},
    {"body": "other"},
    {"headers": {"X-A": None}},
    {"headers_absent": ["X-A"]},
    {"headers_present": ["X-B"]},
    {"second": {"method": "GET"}},
    {"own": 2},
]
ALSO = {"own": lambda wanted, replies, seen: wanted == 1}


def checked(given):
    check(given, [Reply(), REPLY], [SEEN, SEEN], NAMES, ALSO)


@pytest.mark.parametrize("gets", GETS_RIGHT, ids=str)
def test_what_the_client_gets(gets):
    checked(vector(gets))


@pytest.mark.parametrize("gets", GETS_WRONG, ids=str)
def test_what_the_client_should_not_get(gets):
    with pytest.raises(AssertionError, match=f"V1 a title\n- client, {list(gets)[0]}"):
        checked(vector(gets))


@pytest.mark.parametrize("sees", SEES_RIGHT, ids=str)
def test_what_the_backend_sees(sees):
    checked(vector(sees=sees))


@pytest.mark.parametrize("sees", SEES_WRONG, ids=str)
def test_what_the_backend_should_not_see(sees):
    with pytest.raises(AssertionError, match=f"V1 a title\n- backend, {list(sees)[0]}"):
        checked(vector(sees=sees))


def test_contents_that_are_not_the_same():
    with pytest.raises(AssertionError, match="client, body_same"):
        checked(vector({"body_same": True}, backend_behaviour={**RESPOND, "body": ""}))
    request = {"method": "POST", "target": "/", "body": "other"}
    with pytest.raises(AssertionError, match="backend, body_same"):
        checked(vector(sees={"body_same": True}, client_request=request))
    other = RecordedRequest("GET", "/", (), b"")
    with pytest.raises(AssertionError, match="same_header"):
        check(vector(sees={"same_header": "X-A"}), [REPLY], [SEEN, other])


def test_what_holds_only_sometimes():
    failed = Reply(status=502, headers=[("Proxy-Status", "gateway; error=dns_error")])
    gets = {
        "headers_if_200": {"X-A": "two"},
        "truncated": True,
        "proxy_status_error": "dns_error",
    }
    check(vector(gets, {"method": "GET", "body_same": True}), [failed])
    sequence = {"kind": "sequence", "steps": ["respond", "respond"]}
    check(vector(sees={"calls": 1}, backend_behaviour=sequence), [REPLY], [SEEN, SEEN])


@pytest.mark.parametrize("side", ["expect_client_gets", "expect_backend_sees"])
def test_an_expectation_that_is_misspelt(side):
    with pytest.raises(ValueError, match="V1: the expectation 'statsu' is not known"):
        check(vector(**{side: {"statsu": 200}}), [REPLY], [SEEN])


@pytest.mark.parametrize(
    "value,wanted,fits",
    [
        ("a", "a", True), ("a", "b", False), (None, "a", False), (None, None, True),
        ("a", None, False), ("a", ["b", "a"], True), ("a", [], False),
        ("Text/HTML", "~html", True), (None, "~html", False), ("json", "~html", False),
        ("json", "!html", True), (None, "!html", True), ("HTML", "!html", False),
    ],
)  # fmt: skip
def test_values_of_fields(value, wanted, fits):
    assert value_fits(value, wanted) is fits


def test_requests_are_one_or_several():
    assert len(requests_of(vector())) == 1
    twice = {"method": "GET", "target": "/", "repeat": 2}
    assert requests_of(vector(client_request=twice)) == [twice] * 2
    both = {"sequence": [twice, twice]}
    assert requests_of(vector(client_request=both)) == [twice, twice]
    steps = {"kind": "sequence", "steps": ["a", "b", "c"]}
    assert len(requests_of(vector(backend_behaviour=steps))) == 2


def test_contents_of_requests():
    assert content_of({}) == b""
    assert content_of({"body": "é"}) == "é".encode()
    assert content_of({"body_b64": "AAE="}) == b"\0\1"
    assert content_of({"body_size": 3}) == b"xxx"


def sent(**spec):
    request = {"method": "PUT", "target": "http://$GATEWAY/a", **spec}
    with FakeBackend(Answer()) as backend:
        (reply,) = send(vector(client_request=request), backend.authority)
        assert reply.status == 200
        return backend.requests[0], backend.authority


def test_what_is_sent():
    request, authority = sent(body="ab", headers=[["X-Own", "$GATEWAY"]])
    assert (request.method, request.target) == ("PUT", f"http://{authority}/a")
    assert request.headers == (
        ("Host", authority),
        ("X-Own", authority),
        ("Content-Length", "2"),
    )
    assert request.body == b"ab"
    request, _ = sent(body="ab", chunked=True)
    assert request.header("Transfer-Encoding") == "chunked" and request.body == b"ab"
    headers = [["Transfer-Encoding", "chunked"], ["Host", "other"]]
    request, _ = sent(body="ab", chunked=True, headers=headers)
    assert request.headers == (("Transfer-Encoding", "chunked"), ("Host", "other"))
    request, _ = sent(no_host=True, body="ab", headers=[["Content-Length", "1"]])
    assert request.headers == (("Content-Length", "1"),) and request.body == b"a"
