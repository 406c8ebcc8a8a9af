"""Other adapters give answers of the same quality, or errors."""

from __future__ import annotations

import threading

import pytest
import webtest
from pyramid.config import Configurator
from requests.adapters import HTTPAdapter

from pyramid_restproxy.testing import Answer, FakeBackend
from tests import wire

HEAD = b"HTTP/1.1 200 OK\r\n"


def app(url, **options):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", url, adapter=HTTPAdapter(), **options)
        config.add_proxy_route("r", "/*path", "b")
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def test_the_stock_adapter_sends_what_we_say_and_nothing_else():
    with FakeBackend(Answer(body=b"ok")) as backend:
        target = "/a%2Fb?q=%7E"
        environ = {"REQUEST_URI": target, "REMOTE_ADDR": "192.0.2.1"}
        app(backend.url + "/base").get(target, extra_environ=environ)
        seen = backend.requests[0]
    assert seen.target == "/base/a%2Fb?q=%7E"
    assert {name.lower() for name, _ in seen.headers} == {
        "host",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "via",
    }


@pytest.mark.parametrize("body", [b"x" * 10, b"x" * 300_000])
def test_bodies_go_up_with_their_length(body):
    with FakeBackend(Answer(body=b"ok")) as backend:
        app(backend.url).post("/", body)
        seen = backend.requests[0]
    assert seen.body == body
    assert seen.header("Content-Length") == str(len(body))
    assert seen.header("Transfer-Encoding") is None


def test_cookie_lines_stay_apart_and_gzip_stays_gzip():
    headers = [("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Content-Encoding", "gzip")]
    with FakeBackend(Answer(200, headers, b"not really gzip")) as backend:
        with wire.served(app(backend.url).app) as gateway:
            raw = f"GET / HTTP/1.1\r\nHost: {gateway}\r\n\r\n"
            reply = wire.exchange(gateway, raw.encode())
    assert reply.lines("Set-Cookie") == ["a", "b"]
    assert reply.body == b"not really gzip"


@pytest.mark.parametrize(
    "raw",
    [
        HEAD + b"Content-Length: 2\r\nX-Bad : a\r\nSet-Cookie: s\r\n\r\nok",
        HEAD + b"Content-Length: abc\r\n\r\nok",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nX: a\0b\r\n\r\nok",
        HEAD + b"Content-Length: 2\r\nX: a\x01b\r\n\r\nok",
        b"HTTP/1.1 200 a\x7fb\r\nContent-Length: 2\r\n\r\nok",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_answers_that_http_client_would_let_through_are_502(raw):
    with FakeBackend(raw or None) as backend:
        app(backend.url).get("/", status=502)


def test_a_coding_is_read_without_case():
    raw = (
        HEAD
        + b"X: caf\xe9\tb\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    with FakeBackend(raw) as backend:
        assert app(backend.url).get("/").body == b"ok"


def test_silence_is_504():
    stop = threading.Event()
    with FakeBackend(lambda request: stop.wait(5) and None) as backend:
        app(backend.url, read_timeout=0.1).get("/", status=504)
        stop.set()


def test_a_name_that_does_not_resolve_is_told_as_such():
    refused = app("http://nope.invalid").get("/", status=502)
    assert refused.headers["Proxy-Status"].endswith("error=dns_error")


def test_a_cut_body_is_an_error_of_the_stream():
    with FakeBackend(HEAD + b"Content-Length: 10\r\n\r\nok") as backend:
        with pytest.raises(OSError):
            app(backend.url).get("/").body  # noqa: B018
