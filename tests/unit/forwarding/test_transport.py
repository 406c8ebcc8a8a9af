"""Other adapters give answers of the same quality, or errors."""

from __future__ import annotations

import io
import threading
import time

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.request import Request
from requests.adapters import HTTPAdapter

from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.forwarding.transport import TimedBody
from pyramid_restproxy.forwarding.wire import KeepAliveAdapter
from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.errors import DeadlineExceeded
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


# -- the total time ----------------------------------------------------------------


class Clock:
    """The time of this machine, which can be moved on."""

    def __init__(self, real):
        self._real = real
        self.later = 0.0

    def __call__(self):
        return self._real() + self.later


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(time.monotonic)
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


class SlowInput:
    """A body as a client sends it who takes ten seconds for each piece."""

    def __init__(self, content, clock):
        self._file = io.BytesIO(content)
        self._clock = clock

    def read(self, size=-1):
        self._clock.later += 10
        return self._file.read(min(size, 50_000))


def timed_app(url, adapter, signed=False):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend(
            "b", [url, url], adapter=adapter(), total_timeout=5, max_fails=1
        )
        if signed:
            config.sign_requests_to("b", "k", b"x" * 32)
        config.add_proxy_route("r", "/*path", "b")
        app = config.make_wsgi_app()
    return app, app.registry.getUtility(IGateway).backends["b"].endpoints[0]


@pytest.mark.parametrize("adapter", [KeepAliveAdapter, HTTPAdapter])
@pytest.mark.parametrize("signed", [False, True])
def test_a_client_that_sends_slowly_is_no_fault_of_the_backend(clock, adapter, signed):
    """Bug: where a total timeout is set, a few of them opened the circuits."""
    content = b"x" * 300_000
    with FakeBackend(Answer(body=b"ok")) as backend:
        app, endpoint = timed_app(backend.url, adapter, signed)
        asked = Request.blank("/", method="PUT")
        asked.environ["wsgi.input"] = SlowInput(content, clock)
        asked.environ["CONTENT_LENGTH"] = str(len(content))
        assert asked.get_response(app).body == b"ok"
        assert backend.requests[0].body == content
    assert endpoint.health.is_closed


@pytest.mark.parametrize("adapter", [KeepAliveAdapter, HTTPAdapter])
def test_a_client_that_takes_slowly_is_no_fault_of_the_backend(clock, adapter):
    """Bug: as with those that send slowly; and the answer was cut off."""
    content, came = b"x" * 1_000_000, b""
    with FakeBackend(Answer(body=content)) as backend:
        app, endpoint = timed_app(backend.url, adapter)
        response = Request.blank("/").get_response(app)
        for piece in response.app_iter:
            clock.later += 10
            came += piece
        response.app_iter.close()
    assert came == content
    assert endpoint.health.is_closed


class Dripping:
    """The content of an answer of which a byte a second comes."""

    def __init__(self, clock, most=100):
        self._clock = clock
        self._left = most

    @property
    def at_end(self):
        return not self._left

    def read_piece(self):
        if not self._left:
            return b""
        self._left -= 1
        self._clock.later += 1
        return b"x"


def test_a_drip_ends_at_the_total_timeout_whatever_the_adapter(clock):
    """Bug: where another adapter reads, nobody looked."""
    body = TimedBody(Dripping(clock), Deadline(None, 2.5))
    assert [body.read_piece() for _ in range(3)] == [b"x"] * 3
    with pytest.raises(DeadlineExceeded):
        body.read_piece()


def test_what_has_come_whole_is_not_cut_off(clock):
    body = TimedBody(Dripping(clock, most=3), Deadline(None, 2.5))
    assert [body.read_piece() for _ in range(4)] == [b"x"] * 3 + [b""]
