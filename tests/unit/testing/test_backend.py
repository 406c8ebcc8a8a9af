"""The backend that answers."""

from __future__ import annotations

import socket

import requests

from pyramid_restproxy.testing import Answer, FakeBackend, exchange
from pyramid_restproxy.testing.backend import hang_up


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


def test_whoever_talks_nonsense_is_hung_up_on():
    with FakeBackend() as backend:
        with socket.create_connection(("127.0.0.1", backend.port), 5) as client:
            client.sendall(b"nonsense\r\n")
            assert client.recv(1) == b""
    assert backend.requests == []


def test_a_connection_that_is_gone_can_be_hung_up():
    with socket.socket() as never_connected:
        hang_up(never_connected)


def test_trailers_of_a_request_are_read_and_dropped():
    raw = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with FakeBackend(Answer(body=b"ok")) as backend:
        exchange(backend.authority, raw + b"2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n", "POST")
    assert backend.requests[0].body == b"ab"
