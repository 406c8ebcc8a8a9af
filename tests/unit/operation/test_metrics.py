"""Metrics."""

from __future__ import annotations

import sys

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationExecutionError
from requests.adapters import HTTPAdapter

from pyramid_restproxy.operation.metrics import cache_outcome
from pyramid_restproxy.testing import Answer, FakeBackend


def client(url, **options):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_metrics_view()
        config.add_backend("b", url, **options)
        config.add_proxy_route("r", "/api/*path", "b")
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def samples(app):
    answer = app.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return [line for line in answer.text.splitlines() if not line.startswith("#")]


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


@pytest.mark.parametrize(
    "value, outcome",
    [
        ("pyramid_restproxy; hit; ttl=60", "hit"),
        ("pyramid_restproxy; fwd=miss; stored", "miss"),
        ("origin; hit, pyramid_restproxy; fwd=bypass", "bypass"),
        ("nonsense", "other"),
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
