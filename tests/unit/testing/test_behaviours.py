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
    assert reply.status == 302
    assert reply.body == "é".encode()
    assert replies({"kind": "respond", "body_b64": "AAE="})[0].body == b"\0\1"
    assert replies({"kind": "respond"})[0].body == b""


def test_an_answer_that_is_late():
    headers = [["X-Gw", "$GATEWAY"]]
    told = {"kind": "respond", "body": "ok", "delay_ms": 50, "headers": headers}
    with backend_playing(told) as backend:
        sent = GET.replace(b"me", b"me\r\nX-Forwarded-Host: public")
        reply = exchange(backend.authority, sent)
        assert (reply.body, reply.get("X-Gw")) == (b"ok", "public")
        head = exchange(backend.authority, GET.replace(b"GET", b"HEAD"), "HEAD")
        assert (head.get("Content-Length"), head.body) == ("2", b"")


def test_placeholders_are_filled():
    headers = [["X-At", "$BACKEND"], ["X-Port", "$BACKEND_PORT"], ["X-Gw", "$GATEWAY"]]
    line = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
    for told in (
        {"kind": "respond", "headers": headers},
        {"kind": "stream", "headers": headers, "chunks": ["a"]},
        {
            "kind": "raw_bytes",
            "bytes_latin1": line + "X-At: $BACKEND\r\nX-Port: $BACKEND_PORT\r\n\r\n",
        },
    ):
        with backend_playing(told) as backend:
            sent = GET.replace(b"me", b"me\r\nX-Forwarded-Host: public")
            reply = exchange(backend.authority, sent)
            assert reply.get("X-At") == backend.authority
            assert reply.get("X-Port") == str(backend.port)
            if told["kind"] == "respond":
                assert reply.get("X-Gw") == "public"


def test_bytes_may_come_before_the_body_is_read():
    raw = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    head = b"POST /x HTTP/1.1\r\nHost: me\r\nContent-Length: 9\r\n\r\n"
    for then in ("close", "reset"):
        told = {
            "kind": "raw_bytes",
            "bytes_latin1": raw,
            "when": "before_body_read",
            "then": then,
        }
        with backend_playing(told) as backend:
            assert exchange(backend.authority, head).status == 413
            assert backend.seen[0].body == b""


def test_bytes_ends_and_sequences():
    raw = "HTTP/1.1 299 é\r\nContent-Length: 0\r\n\r\n"
    assert replies({"kind": "raw_bytes", "bytes_latin1": raw})[0].status == 299
    assert replies({"kind": "close"})[0].status == 0
    assert replies({"kind": "silence", "seconds": 0.01})[0].status == 0
    with pytest.raises(ConnectionResetError):
        replies({"kind": "reset"})
    assert replies({"kind": "close", "after": "half-body"})[0].truncated
    steps = ["respond keep-alive", "read request then close", "respond"]
    found = replies({"kind": "sequence", "steps": steps}, 3)
    assert [reply.status for reply in found] == [200, 0, 200]
    with pytest.raises(ConnectionRefusedError):
        replies({"kind": "refuse"})


def test_streams():
    told = {"kind": "stream", "headers": [], "chunks": ["a", "b"], "repeat": 2}
    assert replies(told)[0].pieces == [b"a", b"b"] * 2
    (reply,) = replies({**told, "then": "end", "status": 203})
    assert (reply.status, reply.truncated) == (203, False)
    slow = {**told, "initial_delay_ms": 5, "interval_ms": 1}
    assert replies(slow)[0].body == b"abab"


@pytest.mark.parametrize("headers", [[], [["Content-Length", "9"]]])
def test_a_stream_that_stalls(headers):
    told = {"kind": "stream", "headers": headers, "chunks": ["a"], "then": "stall"}
    with backend_playing(told) as backend:
        reply = exchange(backend.authority, GET, timeout=0.2)
        assert (reply.body, reply.truncated) == (b"a", True)


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("headers", [[], [["Content-Length", "9"]]])
def test_a_stream_that_breaks_off(then, headers):
    told = {"kind": "stream", "headers": headers, "chunks": ["a"], "then": then}
    (reply,) = replies(told)
    assert (reply.body, reply.truncated) == (b"a", True)


def test_a_late_answer_is_none_when_the_client_leaves():
    with backend_playing({"kind": "respond", "delay_ms": 60_000}) as backend:
        with pytest.raises(TimeoutError):
            exchange(backend.authority, GET, timeout=0.1)
        assert len(backend.seen) == 1


@pytest.mark.parametrize("slow", ["initial_delay_ms", "interval_ms"])
def test_a_stream_ends_when_the_client_leaves(slow):
    told = {"kind": "stream", "chunks": ["a", "b"], slow: 60_000}
    with backend_playing(told) as backend:
        with socket.create_connection(("127.0.0.1", backend.port), 5) as client:
            client.sendall(GET)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("kind", ["tls_expired", "tls_wrong_host"])
def test_other_certificates_that_must_not_be_trusted(kind):
    with backend_playing({"kind": kind}) as backend:
        context = ssl.create_default_context(cafile=backend.ca_file)
        with socket.create_connection(("127.0.0.1", backend.port), 5) as client:
            with pytest.raises(ssl.SSLCertVerificationError):
                context.wrap_socket(client, server_hostname="127.0.0.1")


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
    for told in (
        {"kind": "respond", "delay": 1},
        {"kind": "refuse", "seconds": 1},
        {"kind": "close", "after": "lunch"},
        {"kind": "stream", "chunks": [], "then": "explode"},
        {"kind": "raw_bytes", "bytes_latin1": "", "when": "never"},
        {"kind": "raw_bytes", "bytes_latin1": "", "then": "sing"},
        {"kind": "sequence", "steps": [{"kind": "nope"}]},
    ):
        with pytest.raises(ValueError):
            backend_playing(told)
    with backend_playing({"kind": "refuse", "seconds_note": "for people"}) as backend:
        assert backend.seen == []


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
        ("503 x2 then respond 201", [503, 503, 201]),
    ],
)
def test_short_forms_of_steps(text, statuses):
    found = steps_of(text)
    assert [step and step.status for step in found] == statuses


def test_a_short_form_may_have_a_field():
    assert steps_of("503 Retry-After: 0")[0].headers == [("Retry-After", "0")]


@pytest.mark.parametrize(
    "text, name",
    [
        ("reset", "reset after request"),
        ("reset after half-head", "reset after half-head"),
        ("read request then reset", "reset after request"),
        ("close after head", "close after head"),
        ("silence", "hang after request"),
        ("refuse", "refuse"),
        ({"kind": "silence", "after": "head"}, "hang after head"),
    ],
)
def test_steps_that_are_faults(text, name):
    (fault,) = steps_of(text)
    assert fault.name == name


@pytest.mark.parametrize(
    "text",
    ["", "explode", "respond slowly", "close twice", "close after lunch",
     "refuse after head", "respond then"],
)  # fmt: skip
def test_steps_that_are_none(text):
    with pytest.raises(ValueError, match="unknown step"):
        steps_of(text)
