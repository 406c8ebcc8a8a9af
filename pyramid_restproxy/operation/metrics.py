"""Metrics for Prometheus (extra ``metrics``): requests, attempts, what goes on now.

Counters and histograms are filled as things happen; what is a state (in flight, idle
connections, circuits) is read when it is asked for. One :class:`Metrics` an
application, with a registry of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyramid.request import Request
from zope.interface import Interface

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.forwarding.model import Gateway

__all__ = ["IMetrics", "Metrics", "cache_outcome"]

#: Upper bounds of the time buckets, seconds.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

#: Methods that are told apart; clients can invent others without end.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class IMetrics(Interface):
    """The :class:`Metrics` of an application, in its registry."""


def cache_outcome(value: str) -> str:
    """Read ``hit``, ``miss``, ``stale``, ... from a Cache-Status value of ours."""
    words = [word.strip() for word in value.rpartition(",")[2].split(";")[1:]]
    if "hit" in words:
        return "hit"
    forwarded = (word[4:] for word in words if word.startswith("fwd="))
    return next(forwarded, "other")


class Metrics:
    """What an application counts. Thread-safe.

    :param gateway: whose state is told.
    :raises MissingExtra: where prometheus_client is not installed.
    """

    def __init__(self, gateway: Gateway) -> None:
        try:
            import prometheus_client
        except ImportError as error:
            raise MissingExtra(
                "metrics", "prometheus_client", "add_metrics_view"
            ) from error
        self._client = prometheus_client
        self._gateway = gateway
        self.registry = prometheus_client.CollectorRegistry()
        self.registry.register(self)
        self._requests = prometheus_client.Counter(
            "restproxy_requests",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = prometheus_client.Histogram(
            "restproxy_request_seconds",
            "From the request to the last byte of its answer.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._cache = prometheus_client.Counter(
            "restproxy_cache",
            "Requests of routes with a cache, by what it said of them.",
            ["route", "outcome"],
            registry=self.registry,
        )
        self._attempts = prometheus_client.Counter(
            "restproxy_attempts",
            "Exchanges with destinations, by what came of them.",
            ["backend", "destination", "outcome"],
            registry=self.registry,
        )
        self._attempt_seconds = prometheus_client.Histogram(
            "restproxy_attempt_seconds",
            "From sending to the head of the answer, or the failure.",
            ["backend"],
            buckets=BUCKETS,
            registry=self.registry,
        )

    # -- as things happen ------------------------------------------------------

    def request_over(
        self, request: Request, status: int, seconds: float, cached: str | None
    ) -> None:
        """Count a request of the application.

        :param seconds: until its last byte was handed to the server.
        :param cached: the value of Cache-Status (RFC 9211), or None.
        """
        found = getattr(request, "matched_route", None)
        route = "" if found is None else found.name
        method = request.environ["REQUEST_METHOD"]
        method = method if method in METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if cached is not None:
            self._cache.labels(route, cache_outcome(cached)).inc()

    def attempted(
        self, backend: str, destination: str, outcome: str, seconds: float
    ) -> None:
        """Count an exchange with a destination.

        :param outcome: the class of the status, e.g. ``2xx``, or the Proxy-Status token
            of the failure.
        """
        self._attempts.labels(backend, destination, outcome).inc()
        self._attempt_seconds.labels(backend).observe(seconds)

    # -- when it is asked for --------------------------------------------------

    def exposition(self) -> tuple[bytes, str]:
        """Return all of it, and the Content-Type of that."""
        text = self._client.generate_latest(self.registry)
        return text, self._client.CONTENT_TYPE_LATEST

    def collect(self) -> Iterator[Any]:
        """Yield the states, as prometheus_client asks for them."""
        from prometheus_client.core import GaugeMetricFamily as Gauge

        in_flight = Gauge(
            "restproxy_in_flight",
            "Exchanges going on.",
            None,
            ["backend", "destination"],
        )
        up = Gauge(
            "restproxy_destination_up",
            "1 where a destination is asked, 0 where it rests.",
            None,
            ["backend", "destination"],
        )
        idle = Gauge("restproxy_idle_connections", "Kept open.", None, ["backend"])
        for backend in self._gateway.backends.values():
            for each in backend.endpoints:
                labels = [backend.name, each.url]
                in_flight.add_metric(labels, each.in_flight)
                up.add_metric(labels, each.enabled and each.health.is_closed)
            pool = getattr(backend.adapter, "pool", None)
            if pool is not None:
                idle.add_metric([backend.name], pool.count())
        yield from (in_flight, up, idle)
