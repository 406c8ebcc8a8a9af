"""Metrics."""

from __future__ import annotations

import sys

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationExecutionError
from requests.adapters import HTTPAdapter

from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.forwarding.wire.errors import TruncatedBody
from pyramid_restproxy.operation.access import losses
from pyramid_restproxy.operation.metrics import IFailing, cache_outcome, refusal
from pyramid_restproxy.testing import Answer, FakeBackend


def client(*urls, settings=None, route=None, **options):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.add_metrics_view()
        config.add_backend("b", list(urls), **options)
        config.add_proxy_route("r", "/api/*path", "b", **(route or {}))
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def samples(app):
    answer = app.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return [line for line in answer.text.splitlines() if not line.startswith("#")]


def test_connections_are_timed_whether_they_are_made_or_not():
    with FakeBackend(Answer(body=b"ok")) as backend:
        app = client(backend.url)
        for _ in range(2):  # over one connection
            app.get("/api/x")
        assert 'restproxy_connect_seconds_count{backend="b"} 1.0' in samples(app)
    app.app.registry.getUtility(IGateway).backends["b"].adapter.close()
    app.get("/api/x", status=502)
    assert 'restproxy_connect_seconds_count{backend="b"} 2.0' in samples(app)


@pytest.mark.parametrize("autocommit", [False, True])
def test_backends_that_are_added_later_are_counted(autocommit):
    config = Configurator(autocommit=autocommit)
    config.include("pyramid_restproxy")
    config.add_metrics_view()
    config.commit()
    with FakeBackend(Answer(body=b"ok")) as backend:
        config.add_backend("late", backend.url)
        config.add_proxy_route("r", "/api/*path", "late")
        app = webtest.TestApp(config.make_wsgi_app(), lint=False)
        app.get("/api/x")
        found = samples(app)
        d = f'backend="late",destination="{backend.url}"'
    assert f'restproxy_attempts_total{{{d},outcome="2xx"}} 1.0' in found
    assert 'restproxy_connect_seconds_count{backend="late"} 1.0' in found


def test_what_is_counted():
    with FakeBackend(Answer(body=b"ok"), Answer(500), None) as backend:
        app = client(backend.url)
        app.get("/api/x")
        app.request("/api/x", method="BREW", status=500)
        app.get("/api/x", status=502)
        found = samples(app)
        d = f'backend="b",destination="{backend.url}"'
    assert 'restproxy_requests_total{method="GET",route="r",status="200"} 1.0' in found
    assert (
        'restproxy_requests_total{method="other",route="r",status="500"} 1.0' in found
    )
    assert f'restproxy_attempts_total{{{d},outcome="2xx"}} 1.0' in found
    assert f'restproxy_attempts_total{{{d},outcome="5xx"}} 1.0' in found
    token = "connection_terminated"
    assert f'restproxy_attempts_total{{{d},outcome="{token}"}} 1.0' in found
    assert f"restproxy_in_flight{{{d}}} 0.0" in found
    assert f"restproxy_destination_up{{{d}}} 1.0" in found
    assert 'restproxy_idle_connections{backend="b"} 0.0' in found
    assert 'restproxy_request_seconds_count{route="r"} 3.0' in found
    assert 'restproxy_head_seconds_count{route="r"} 3.0' in found
    assert 'restproxy_attempt_seconds_count{backend="b"} 3.0' in found
    assert f'restproxy_refusals_total{{error="{token}",route="r"}} 1.0' in found
    assert f'restproxy_circuit{{{d},state="closed"}} 1.0' in found
    assert "restproxy_streams 0.0" in found
    assert f"restproxy_access_lines_lost_total {float(losses.count)}" in found
    assert not any("restproxy_broken_answers_total{" in line for line in found)


@pytest.mark.parametrize(
    "value, error",
    [
        ("pyramid_restproxy; error=dns_error", "dns_error"),
        ("cdn; error=x, pyramid_restproxy; error=dns_error", "dns_error"),
        ("cdn; error=dns_error", None),
        ("pyramid_restproxy; error=e7", None),
        ("pyramid_restproxy", None),
        ("", None),
    ],
)
def test_what_of_proxy_status_is_ours(value, error):
    assert refusal(value) == error


def test_an_answer_that_breaks_off():
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut"
    with FakeBackend(cut) as backend:
        app = client(backend.url)
        with pytest.raises(TruncatedBody):
            app.get("/api/x")
        assert 'restproxy_broken_answers_total{route="r"} 1.0' in samples(app)


def test_exchanges_beyond_the_first():
    with FakeBackend(None) as bad, FakeBackend(Answer(body=b"ok")) as good:
        app = client(bad.url, good.url, balance="first")
        app.get("/api/x")
        assert 'restproxy_retries_total{backend="b"} 1.0' in samples(app)


def test_the_state_of_circuits_and_what_is_shed():
    with FakeBackend(Answer(body=b"ok")) as backend:
        app = client(backend.url, max_fails=1, cool_down=60)
        (endpoint,) = app.app.registry.getUtility(IGateway).backends["b"].endpoints
        circuit = f'restproxy_circuit{{backend="b",destination="{backend.url}",state='
        endpoint.health.failed()
        app.get("/api/x", status=503)
        found = samples(app)
        assert f'{circuit}"open"}} 1.0' in found
        assert f'{circuit}"closed"}} 0.0' in found
        refused = 'error="destination_unavailable",route="r"'
        assert f"restproxy_refusals_total{{{refused}}} 1.0" in found
        endpoint.health._open_until = 0.0
        assert f'{circuit}"half-open"}} 1.0' in samples(app)


def test_what_goes_on_without_its_store_is_told():
    class Limits:
        failures = 3

    settings = {"restproxy.store": "redis://127.0.0.1:9/0", "restproxy.secret": "s"}
    with FakeBackend(Answer(body=b"ok")) as backend:
        app = client(backend.url, settings=settings, route={"cache": True})
        app.app.registry.registerUtility(Limits(), IFailing, "limits")
        app.get("/api/x")
        found = samples(app)
    assert 'restproxy_store_failures_total{store="limits"} 3.0' in found
    assert 'restproxy_store_failures_total{store="cache"} 1.0' in found


@pytest.mark.parametrize(
    "value, outcome",
    [
        ("pyramid_restproxy; hit; ttl=60", "hit"),
        ("pyramid_restproxy; fwd=miss; stored", "miss"),
        ("origin; hit, pyramid_restproxy; fwd=bypass", "bypass"),
        ("pyramid_restproxy", "other"),
        ("pyramid_restproxy; fwd=w7", "other"),
        ("origin; hit", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_what_a_cache_said(value, outcome):
    assert cache_outcome(value) == outcome


def test_caches_are_counted():
    fresh = Answer(headers=[("Cache-Control", "max-age=60")], body=b"ok")
    with FakeBackend(fresh) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_metrics_view()
        config.add_backend("b", backend.url)
        config.add_proxy_route("r", "/api/*path", "b", cache=True)
        app = webtest.TestApp(config.make_wsgi_app(), lint=False)
        app.get("/api/x")
        app.get("/api/x")
        found = samples(app)
    assert 'restproxy_cache_total{outcome="miss",route="r"} 1.0' in found
    assert 'restproxy_cache_total{outcome="hit",route="r"} 1.0' in found


def test_another_adapter_has_no_pool_to_count():
    with FakeBackend(Answer(body=b"ok")) as backend:
        app = client(backend.url, adapter=HTTPAdapter())
        assert not any("idle_connections{" in line for line in samples(app))


def test_the_library_must_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationExecutionError, match="metrics"):
        client("http://127.0.0.1:9")
