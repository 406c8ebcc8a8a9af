"""Who is asked, and who is asked again."""

from __future__ import annotations

import socket

import pytest
import webtest
from pyramid.config import Configurator

from pyramid_restproxy.testing import Answer, FakeBackend

OK = Answer(body=b"ok")


def app(*urls, **options):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", list(urls), **options)
        config.add_proxy_route("r", "/*path", "b")
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


@pytest.fixture
def closed():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_destinations_take_turns():
    with FakeBackend(OK) as one, FakeBackend(OK) as two:
        testapp = app(one.url, two.url)
        for _ in range(4):
            testapp.get("/")
        assert (len(one.requests), len(two.requests)) == (2, 2)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_fails_goes_to_the_next_whatever_the_method(closed, method):
    with FakeBackend(OK) as good:
        testapp = app(closed, good.url)
        for _ in range(2):
            assert testapp.request("/", method=method, body=b"x").body == b"ok"
        assert [r.body for r in good.requests] == [b"x", b"x"]


def test_when_nobody_can_be_reached(closed):
    refused = app(closed, closed).get("/", status=502)
    assert (
        refused.headers["Proxy-Status"] == "pyramid_restproxy; error=connection_refused"
    )
    assert refused.content_type == "application/problem+json"
    assert "127.0.0.1" not in refused.text


def test_what_was_sent_is_not_sent_to_another():
    with FakeBackend(None) as bad, FakeBackend(OK) as good:
        app(bad.url, good.url).get("/", status=502)
        assert (len(bad.requests), len(good.requests)) == (1, 0)


@pytest.mark.parametrize(
    "method, headers, status",
    [
        ("GET", {}, 200),
        ("PUT", {}, 200),
        ("POST", {}, 502),
        ("POST", {"Idempotency-Key": '"1"'}, 200),
    ],
)
def test_a_kept_connection_that_died_in_flight(method, headers, status):
    body = b"x" * 100_000 if method != "GET" else b""
    with FakeBackend(OK, None, OK) as backend:
        testapp = app(backend.url)
        testapp.get("/")
        testapp.request("/", method=method, body=body, headers=headers, status=status)
        if status == 200:
            assert backend.requests[-1].body == body


def test_a_new_connection_that_closes_at_once_is_not_tried_again():
    with FakeBackend(None, OK) as backend:
        app(backend.url).get("/", status=502)
        assert len(backend.requests) == 1


@pytest.mark.parametrize(
    "policy, host",
    [
        ("destination", None),
        ("preserve", "public.example"),
        ("own.example", "own.example"),
    ],
)
def test_host_policies(policy, host):
    with FakeBackend(OK) as backend:
        app(backend.url, host=policy).get("/", headers={"Host": "public.example"})
        assert backend.requests[0].header("Host") == (host or backend.authority)


@pytest.mark.parametrize(
    "method, length", [("POST", "0"), ("PUT", "0"), ("DELETE", None), ("GET", None)]
)
def test_framing_of_requests_without_content(method, length):
    with FakeBackend(OK) as backend:
        app(backend.url).request("/", method=method)
        assert backend.requests[0].header("Content-Length") == length
