"""The test kit itself."""

from __future__ import annotations

import requests

from pyramid_restproxy.testing import Answer, FakeBackend


def get(url, **options):
    return requests.get(url, timeout=5, **options)


def test_answers_come_in_order_and_the_last_one_stays():
    with FakeBackend(Answer(body=b"1"), Answer(404, body=b"2")) as backend:
        found = [get(backend.url) for _ in range(3)]
    assert [(r.status_code, r.content) for r in found] == [
        (200, b"1"),
        (404, b"2"),
        (404, b"2"),
    ]


def test_what_was_asked_is_remembered():
    with FakeBackend() as backend, requests.Session() as session:
        session.post(backend.url + "/a%2Fb?x", data=(c for c in [b"x", b"yz"]))
        session.get(backend.url)
        assert backend.connections == 1
    seen = backend.requests[0]
    assert (seen.method, seen.target, seen.body) == ("POST", "/a%2Fb?x", b"xyz")
    assert seen.header("transfer-encoding") == "chunked"
    assert seen.header("nope") is None


def test_functions_pieces_and_raw_bytes():
    called = []

    def answer(request):
        return Answer(pieces=[b"a", lambda: called.append(request.target), b"b"])

    raw = b"HTTP/1.1 299 Raw\r\nContent-Length: 1\r\n\r\nx"
    with FakeBackend(answer, raw) as backend:
        assert get(backend.url + "/x").content == b"ab"
        assert called == ["/x"]
        assert get(backend.url).status_code == 299


def test_head_and_statuses_without_content():
    with FakeBackend(Answer(body=b"four"), Answer(204), Answer(304)) as backend:
        assert requests.head(backend.url, timeout=5).headers["Content-Length"] == "4"
        assert get(backend.url).status_code == 204
        assert "Content-Length" not in get(backend.url).headers


def test_pieces_of_a_known_length():
    answer = Answer(200, [("Content-Length", "2")], pieces=[b"a", b"b"])
    with FakeBackend(answer) as backend:
        assert get(backend.url).content == b"ab"
