"""Traces."""

from __future__ import annotations

import sys

import pytest
import webtest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationExecutionError

from pyramid_restproxy.operation.tracing import TRACED, traced_tween_factory
from pyramid_restproxy.testing import Answer, FakeBackend

TRACE, PARENT = "a" * 32, "b" * 16


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    exporter.provider = TracerProvider()
    exporter.provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


def application(url, provider=None):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_tracing(provider)
        config.add_backend("users", url)
        config.add_proxy_route("api", "/api/*path", "users")
        return config.make_wsgi_app()


def test_a_request_and_its_exchange(spans):
    with FakeBackend(Answer(body=b"ok")) as backend:
        client = webtest.TestApp(application(backend.url, spans.provider), lint=False)
        parent = f"00-{TRACE}-{PARENT}-01"
        client.get("/api/x?secret=1", headers={"traceparent": parent})
        sent = backend.requests[0].header("traceparent")
    exchange, request = spans.get_finished_spans()
    assert request.name == "GET /api/*path"
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["http.route"] == "/api/*path"
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert sent == f"00-{TRACE}-{request.context.span_id:016x}-01"
    assert exchange.parent.span_id == request.context.span_id
    assert exchange.attributes["restproxy.outcome"] == "2xx"
    assert "secret" not in repr([dict(each.attributes) for each in (exchange, request)])


def test_what_fails_looks_failed(spans):
    app = application("http://127.0.0.1:9", spans.provider)
    client = webtest.TestApp(app)
    client.get("/api/x", status=502)
    client.get("/nope", status=404)
    exchange, request, missing = spans.get_finished_spans()
    assert exchange.status.description == "connection_refused"
    assert not request.status.is_ok
    assert missing.name == "GET"


def test_without_a_wish_there_is_no_tween():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.make_wsgi_app()
    handler = object()
    assert traced_tween_factory(handler, config.registry) is handler
    assert TRACED.endswith(traced_tween_factory.__name__)


def test_the_library_must_be_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationExecutionError, match="otel"):
        application("http://127.0.0.1:9")


def test_the_fields_of_a_request_can_be_listed():
    from pyramid_restproxy.operation.tracing import _EnvironGetter

    found = _EnvironGetter().keys({"HTTP_HOST": "h", "PATH_INFO": "/"})
    assert found == ["HTTP_HOST"]
