"""Backends made from the behaviours of vectors."""

from __future__ import annotations

import socket
import ssl

import pytest

from pyramid_restproxy.testing import backend_playing, exchange
from pyramid_restproxy.testing.behaviours import steps_of

GET = b"GET /x HTTP/1.1\r\nHost: me\r\n\r\n"


def replies(behaviour, count=1):
    with backend_playing(behaviour) as backend:
        return [exchange(backend.authority, GET) for _ in range(count)]


def test_respond():
    headers = [["Location", "http://$BACKEND/a"]]
    told = {"kind": "respond", "status": 302, "headers": headers, "body": "é"}
    (reply,) = replies(told)
    assert (reply.status, reply.get("Location")) == (302, "http://me/a")
    assert reply.body == "é".encode()
    assert replies({"kind": "respond", "body_b64": "AAE="})[0].body == b"\0\1"
    assert replies({"kind": "respond"})[0].body == b""


def test_bytes_ends_and_sequences():
    raw = "HTTP/1.1 299 é\r\nContent-Length: 0\r\n\r\n"
    assert replies({"kind": "raw_bytes", "bytes_latin1": raw})[0].status == 299
    assert replies({"kind": "close"})[0].status == 0
    assert replies({"kind": "silence", "seconds": 0.01})[0].status == 0
    steps = ["respond keep-alive", "read request then close", "respond"]
    found = replies({"kind": "sequence", "steps": steps}, 3)
    assert [reply.status for reply in found] == [200, 0, 200]
    with pytest.raises(ConnectionRefusedError):
        replies({"kind": "refuse"})


def test_streams():
    told = {"kind": "stream", "headers": [], "chunks": ["a", "b"], "repeat": 2}
    assert replies(told)[0].pieces == [b"a", b"b"] * 2
    slow = {**told, "initial_delay_ms": 5, "interval_ms": 1}
    assert replies(slow)[0].body == b"abab"


@pytest.mark.parametrize("headers", [[], [["Content-Length", "9"]]])
def test_a_stream_that_stalls(headers):
    told = {"kind": "stream", "headers": headers, "chunks": ["a"], "then": "stall"}
    with backend_playing(told) as backend:
        reply = exchange(backend.authority, GET, timeout=0.2)
        assert (reply.body, reply.truncated) == (b"a", True)


@pytest.mark.parametrize("slow", ["initial_delay_ms", "interval_ms"])
def test_a_stream_ends_when_the_client_leaves(slow):
    told = {"kind": "stream", "chunks": ["a", "b"], slow: 60_000}
    with backend_playing(told) as backend:
        with socket.create_connection(("127.0.0.1", backend.port), 5) as client:
            client.sendall(GET)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_tls():
    with backend_playing({"kind": "tls_self_signed"}) as backend:
        assert backend.url.startswith("https://")
        with socket.create_connection(("127.0.0.1", backend.port), 5) as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                ssl.create_default_context().wrap_socket(
                    client, server_hostname="127.0.0.1"
                )


def test_what_is_not_known():
    with pytest.raises(ValueError, match="'nope'"):
        backend_playing({"kind": "nope"})


@pytest.mark.parametrize(
    "text, statuses",
    [
        ("respond", [200]),
        ("respond keep-alive", [200]),
        ("respond 404", [404]),
        ("503 Retry-After: 0", [503]),
        ("close", [None]),
        ("read request then close", [None]),
        ("close x3 then respond", [None, None, None, 200]),
    ],
)
def test_short_forms_of_steps(text, statuses):
    found = steps_of(text)
    assert [step and step.status for step in found] == statuses


def test_a_short_form_may_have_a_field():
    assert steps_of("503 Retry-After: 0")[0].headers == [("Retry-After", "0")]


@pytest.mark.parametrize("text", ["", "explode", "respond slowly", "close twice"])
def test_steps_that_are_none(text):
    with pytest.raises(ValueError, match="unknown step"):
        steps_of(text)
