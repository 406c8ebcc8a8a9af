"""The tween around everything."""

from __future__ import annotations

import gc
import json
import logging

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.events import NewRequest, NewResponse
from pyramid.response import Response
from webob import Request

from pyramid_restproxy.forwarding.wire.errors import TruncatedBody
from pyramid_restproxy.operation.access import log, losses
from pyramid_restproxy.operation.drain import IDrain
from pyramid_restproxy.operation.observed import OBSERVED, observed_tween_factory
from pyramid_restproxy.testing import Answer, FakeBackend


class Closing(list):
    closed = 0

    def close(self):
        self.closed += 1


def application(settings=None, backend="http://127.0.0.1:9", **options):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.add_health_views()
        if "drain" in options:
            config.add_drain(**options["drain"])
        config.add_route("own", "/own")
        config.add_view(options.get("view", own), route_name="own")
        config.add_backend("b", backend)
        config.add_proxy_route("api", "/api/*path", "b")
        return config.make_wsgi_app()


def own(request):
    return Response("own")


def breaks(request):
    raise RuntimeError("a bug")


@pytest.fixture(autouse=True)
def no_handler(monkeypatch):
    monkeypatch.setattr(
        "pyramid_restproxy.operation.views.drain_on_sigterm", lambda drain: None
    )


def test_without_any_wish_there_is_no_tween():
    app = application()
    handler = object()
    assert observed_tween_factory(handler, app.registry) is handler
    assert OBSERVED.rpartition(".")[0] == observed_tween_factory.__module__


def test_both_sides_are_told_the_name_of_a_request():
    with FakeBackend(Answer(body=b"ok")) as backend:
        app = application({"restproxy.request_id": "X-Request-ID"}, backend.url)
        client = webtest.TestApp(app, lint=False)
        answer = client.get("/api/x", headers={"X-Request-ID": "mine"})
        name = answer.headers["X-Request-ID"]
        assert name != "mine"
        assert backend.requests[0].header("X-Request-ID") == name
        missing = client.get("/nope", status=404)
        assert missing.headers["X-Request-ID"] != name


def test_a_backend_that_echoes_a_name_does_not_double_it():
    with FakeBackend(Answer(headers=[("X-Request-ID", "backend")])) as backend:
        app = application({"restproxy.request_id": "X-Request-ID"}, backend.url)
        answer = webtest.TestApp(app, lint=False).get("/api/x")
        (told,) = answer.headers.getall("X-Request-ID")
        assert told == backend.requests[0].header("X-Request-ID")


def test_a_trusted_proxy_may_name_it():
    settings = {
        "restproxy.request_id": "X-Request-ID",
        "restproxy.trusted_proxies": "10.0.0.1",
    }
    client = webtest.TestApp(application(settings))
    answer = client.get(
        "/own",
        headers={"X-Request-ID": "theirs"},
        extra_environ={"REMOTE_ADDR": "10.0.0.1"},
    )
    assert answer.headers["X-Request-ID"] == "theirs"


def lines(caplog):
    names = "pyramid_restproxy.access"
    return [json.loads(r.getMessage()) for r in caplog.records if r.name == names]


@pytest.fixture
def access(caplog):
    caplog.set_level(logging.INFO)
    return caplog


LOGGED = {"restproxy.access_log": "true"}


def test_a_line_for_each_request(access):
    with FakeBackend(Answer(pieces=[b"a", b"b"])) as backend:
        client = webtest.TestApp(application(LOGGED, backend.url), lint=False)
        client.get("/api/x?secret=1")
        client.get("/own")
        client.get("/nope", status=404)
        forwarded, plain, missing = lines(access)
        assert forwarded["destination"] == backend.url
    assert forwarded["backend"] == "b"
    assert forwarded["attempts"] == 1
    assert (plain["route"], plain["status"]) == ("own", 200)
    assert (missing["status"], "route" in missing) == (404, False)


def test_the_context_of_a_trace_passes_untouched_and_is_told(access):
    context = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "v=1,w=2"}
    with FakeBackend(Answer(body=b"ok")) as backend:
        client = webtest.TestApp(application(LOGGED, backend.url), lint=False)
        client.get("/api/x", headers=context)
        sent = backend.requests[0]
    assert {name: sent.header(name) for name in context} == context
    assert lines(access)[0]["trace_id"] == "a" * 32


def test_a_line_for_what_breaks(access):
    settings = {**LOGGED, "restproxy.unexpected_errors": "raise"}
    client = webtest.TestApp(application(settings, view=breaks))
    with pytest.raises(RuntimeError):
        client.get("/own")
    assert lines(access)[0]["status"] == 500


def test_the_line_comes_when_the_content_has_been_sent(access):
    pieces = Closing([b"a"])

    class Lazy:
        def __iter__(self):
            return iter(pieces)

        close = pieces.close

    app = application(LOGGED, view=lambda request: Response(app_iter=Lazy()))
    found = Request.blank("/own").call_application(app)
    content = found[2]
    assert not lines(access)
    assert b"".join(content) == b"a"
    content.close()
    content.close()
    assert pieces.closed == 2
    assert len(lines(access)) == 1


def test_an_answer_that_breaks_off_is_told(access):
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut"
    with FakeBackend(cut, Answer(pieces=[b"a", b"b"])) as backend:
        app = application(LOGGED, backend.url)
        _, _, content = Request.blank("/api/x").call_application(app)
        with pytest.raises(TruncatedBody):
            list(content)
        content.close()
        webtest.TestApp(app, lint=False).get("/api/x")
    broken, whole = lines(access)
    assert (broken["broken"], broken["status"]) == (True, 200)
    assert "broken" not in whole


def test_a_client_that_leaves_breaks_nothing_and_closes_once(access):
    """Bug: an iterator that is closed by another is closed by the server as well."""
    content = Endless()
    app = application(LOGGED, view=lambda request: Response(app_iter=content))
    _, _, pieces = Request.blank("/own").call_application(app)
    reading = iter(pieces)
    next(reading)
    reading.close()
    assert content.closed == 0
    pieces.close()
    assert content.closed == 1
    assert "broken" not in lines(access)[0]


class Endless:
    closed = 0

    def __iter__(self):
        return self

    def __next__(self):
        return b"x"

    def close(self):
        self.closed += 1


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch):
    def full(record):
        raise OSError(28, "No space left on device")

    with FakeBackend(Answer(pieces=[b"a", b"b"])) as backend:
        client = webtest.TestApp(application(LOGGED, backend.url), lint=False)
        monkeypatch.setattr(log, "handle", full)
        monkeypatch.setattr(log, "level", logging.INFO)
        before = losses.count
        assert client.get("/own").text == "own"
        assert client.get("/api/x").body == b"ab"
        assert losses.count == before + 2


def test_a_length_that_was_told_is_told():
    with FakeBackend(Answer(body=b"x" * 200_000)) as backend:
        client = webtest.TestApp(application(LOGGED, backend.url), lint=False)
        assert client.get("/api/x").headers["Content-Length"] == "200000"


def test_draining():
    app = application(drain={"grace": 60, "timeout": 1})
    client = webtest.TestApp(app)
    drain = app.registry.getUtility(IDrain)
    client.get("/health/ready", status=200)
    drain.begin()
    client.get("/own")  # in the grace time
    client.get("/health/ready", status=503)
    drain.grace = 0
    refused = client.get("/own", status=503)
    assert refused.content_type == "application/problem+json"
    assert refused.headers["Retry-After"] == "1"
    client.get("/health/ready", status=503)
    client.get("/health/live", status=200)
    assert drain.in_flight == 0


def test_what_is_in_flight_is_counted_until_its_last_byte():
    app = application(
        drain={"grace": 0}, view=lambda request: Response(app_iter=iter([b"a"]))
    )
    drain = app.registry.getUtility(IDrain)
    _, _, content = Request.blank("/own").call_application(app)
    assert drain.in_flight == 1
    content.close()
    assert drain.in_flight == 0


def refuse(event):
    raise RuntimeError("a subscriber")


def call_back(event):
    event.request.add_response_callback(lambda request, response: refuse(event))


@pytest.mark.parametrize(
    "kind, subscriber", [(NewResponse, refuse), (NewRequest, call_back)]
)
def test_an_answer_that_nobody_sends_is_not_in_flight_for_ever(kind, subscriber):
    """What runs after the tweens had raised, and the process never was drained."""
    with FakeBackend(Answer(pieces=[b"a" * 70_000, b"b" * 70_000])) as backend:
        app = application(backend=backend.url, drain={})
        app.registry.registerHandler(subscriber, (kind,))
        drain = app.registry.getUtility(IDrain)
        app.registry.has_listeners = True
        with pytest.raises(RuntimeError, match="a subscriber"):
            Request.blank("/api/x").call_application(app)
        gc.collect()
        assert drain.in_flight == 0


@pytest.mark.parametrize("read", [True, False])
def test_a_server_that_does_not_close_leaves_nothing_in_flight(read):
    app = application(
        {"restproxy.access_log": "true"},
        drain={},
        view=lambda request: Response(app_iter=iter([b"a", b"b"])),
    )
    drain = app.registry.getUtility(IDrain)
    content = Request.blank("/own").call_application(app)[2]
    if read:
        list(content)
    assert drain.in_flight == 1
    del content
    gc.collect()
    assert drain.in_flight == 0


def test_without_a_drain_nobody_counts_what_is_not_closed():
    app = application(LOGGED, view=lambda request: Response(app_iter=iter([b"a"])))
    content = Request.blank("/own").call_application(app)[2]
    del content
    gc.collect()


@pytest.mark.parametrize("peer, client", [("10.0.0.1", "192.0.2.7"), ("10.0.0.2",) * 2])
def test_a_line_names_the_client_that_a_trusted_proxy_names(access, peer, client):
    """Bug: all lines behind a proxy named the proxy."""
    settings = {**LOGGED, "restproxy.trusted_proxies": "10.0.0.1"}
    app = webtest.TestApp(application(settings), extra_environ={"REMOTE_ADDR": peer})
    app.get("/own", headers={"X-Forwarded-For": "192.0.2.7"})
    assert lines(access)[0]["client"] == client
