"""The client of bare sockets: what it says about an answer."""

from __future__ import annotations

import io

import pytest

from pyramid_restproxy.testing import Answer, FakeBackend, exchange
from pyramid_restproxy.testing.client import read_reply

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def read(text, method="GET"):
    return read_reply(io.BufferedReader(io.BytesIO(text.encode())), method)


@pytest.mark.parametrize(
    "rest,body,truncated",
    [
        ("Content-Length: 2\r\n\r\nokay", b"ok", False),
        ("Content-Length: 3\r\n\r\nok", b"ok", True),
        ("Content-Length: 0\r\n\r\n", b"", False),
        ("\r\nto the end", b"to the end", False),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok", False),
        ("Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n", b"ok", True),
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nok", b"ok", True),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nokay", b"ok", True),
    ],
)
def test_the_end_of_a_body(rest, body, truncated):
    reply = read("HTTP/1.1 200 OK\r\n" + rest)
    assert (reply.status, reply.body, reply.truncated) == (200, body, truncated)


def test_answers_without_a_body():
    for status, method in ((204, "GET"), (304, "GET"), (200, "HEAD")):
        reply = read(f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok", method)
        assert (reply.status, reply.body) == (status, b"")


def test_interim_answers_and_fields():
    reply = read(
        "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
        "HTTP/1.1 200\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 0\r\n\r\n"
    )
    assert (reply.interim, reply.status, reply.reason) == ([103], 200, "")
    assert reply.lines("Set-Cookie") == ["a", "b"]
    assert reply.get("set-cookie") == "a, b"
    assert reply.get("Link") is None


def test_no_answer():
    assert read("").status == 0


def test_pieces_and_times_over_a_socket():
    with FakeBackend(Answer(pieces=[b"a", b"bc"])) as backend:
        reply = exchange(backend.authority, GET)
    assert reply.pieces == [b"a", b"bc"]
    assert 0 < reply.waited <= reply.took


def test_a_body_that_is_reset_is_truncated():
    class Reset(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError

        read1 = read

    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    reader = Reset(raw)
    assert read_reply(reader).truncated


def test_an_answer_that_came_before_the_request_was_sent_whole():
    raw = b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 20_000_000

    class Hasty(FakeBackend):
        def _converse(self, connection):
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")

    with Hasty() as backend:
        assert exchange(backend.authority, raw).status == 413
