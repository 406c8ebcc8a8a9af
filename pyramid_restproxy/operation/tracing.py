"""Traces (extra ``otel``): a span for each request, and one for each exchange in it.

The backend gets the request's span as its parent, in ``traceparent`` (W3C Trace
Context); a parent that comes from a client counts from everybody, as traces are not
credentials. Without this part ``traceparent`` passes untouched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, MutableMapping
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from zope.interface import Interface

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.forwarding.backends import CHECK_ORDER, make_gateway
from pyramid_restproxy.forwarding.model import Backend
from pyramid_restproxy.grammar import environ_key

__all__ = ["ITracing", "Tracing", "add_tracing", "traced_tween_factory"]

Handler = Callable[[Request], Response]

TRACED = "pyramid_restproxy.operation.tracing.traced_tween_factory"


class ITracing(Interface):
    """The :class:`Tracing` of an application, in its registry."""


class Tracing:
    """Makes the spans of an application. Thread-safe.

    :param provider: an OpenTelemetry tracer provider; the global one where it is None.
    :raises MissingExtra: where opentelemetry-api is not installed.
    """

    def __init__(self, provider: Any = None) -> None:
        with needs("otel", "opentelemetry-api", "add_tracing"):
            from opentelemetry import trace
            from opentelemetry.trace.propagation import tracecontext
        self._trace = trace
        self._tracer = trace.get_tracer("pyramid_restproxy", tracer_provider=provider)
        self._propagator = tracecontext.TraceContextTextMapPropagator()

    def request(self, handler: Handler, request: Request) -> Response:
        """Answer a request within a span of its own."""
        environ = request.environ
        parent = self._propagator.extract(environ, getter=_GETTER)
        with self._tracer.start_as_current_span(
            environ["REQUEST_METHOD"], parent, kind=self._trace.SpanKind.SERVER
        ) as span:
            self._propagator.inject(environ, setter=_SETTER)
            response = handler(request)
            self._describe(span, request, response)
        return response

    def _describe(self, span: Any, request: Request, response: Response) -> None:
        method, route = request.environ["REQUEST_METHOD"], request.matched_route
        span.set_attribute("http.request.method", method)
        span.set_attribute("url.path", request.environ.get("PATH_INFO", ""))
        span.set_attribute("http.response.status_code", response.status_int)
        if route is not None:
            span.update_name(f"{method} {route.pattern}")
            span.set_attribute("http.route", route.pattern)
        if response.status_int >= 500:
            span.set_status(self._trace.StatusCode.ERROR)

    def attempted(
        self, backend: str, destination: str, outcome: str, seconds: float
    ) -> None:
        """Note an exchange that has just ended, as a span within the request's."""
        ended = time.time_ns()
        span = self._tracer.start_span(
            f"forward to {backend}",
            kind=self._trace.SpanKind.CLIENT,
            start_time=ended - int(seconds * 1e9),
            attributes={
                "restproxy.backend": backend,
                "restproxy.outcome": outcome,
                "server.address": destination,
            },
        )
        if not outcome.endswith("xx"):
            span.set_status(self._trace.StatusCode.ERROR, outcome)
        span.end(ended)

    def watch(self, backend: Backend) -> None:
        """Note the exchanges of a backend."""
        backend.observers += (self.attempted,)


class _EnvironGetter:
    """Reads fields of a WSGI environ, as OpenTelemetry asks for them."""

    def get(self, carrier: MutableMapping[str, Any], key: str) -> list[str] | None:
        value = carrier.get(environ_key(key))
        return None if value is None else [value]

    def keys(self, carrier: MutableMapping[str, Any]) -> list[str]:
        return [key for key in carrier if key.startswith("HTTP_")]


class _EnvironSetter:
    """Sets fields of a WSGI environ, where the forwarder finds them."""

    def set(self, carrier: MutableMapping[str, Any], key: str, value: str) -> None:
        carrier[environ_key(key)] = value


_GETTER: Any = _EnvironGetter()
_SETTER: Any = _EnvironSetter()


def add_tracing(config: Configurator, provider: Any = None) -> None:
    """Make spans of requests and exchanges (extra ``otel``).

    :param provider: an OpenTelemetry tracer provider; the global one where it is None.
    :raises MissingExtra: where opentelemetry-api is not installed.

    Discriminator ``('restproxy', 'tracing')``; introspectable category
    ``restproxy operation``.
    """

    def register() -> None:
        tracing = Tracing(provider)
        config.registry.registerUtility(tracing, ITracing)
        make_gateway(config).watch(tracing.watch)

    intr = config.introspectable("restproxy operation", "tracing", "tracing", "tracing")
    config.action(
        ("restproxy", "tracing"), register, introspectables=(intr,), order=CHECK_ORDER
    )


def traced_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """Make the tween, or none where nobody wants traces."""
    tracing: Tracing | None = registry.queryUtility(ITracing)
    if tracing is None:
        return handler
    return lambda request: tracing.request(handler, request)
