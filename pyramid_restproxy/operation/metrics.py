"""Metrics for Prometheus (extra ``metrics``): requests, attempts, what goes on now.

Counters and histograms are filled as things happen; what is a state (in flight, idle
connections, circuits), or counted elsewhere, is read when it is asked for. One
:class:`Metrics` an application, with a registry of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request
from zope.interface import Attribute, Interface

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.forwarding.failures import PSEUDONYM, Failure
from pyramid_restproxy.forwarding.forwarder import FORWARDED
from pyramid_restproxy.forwarding.health import CLOSED, HALF_OPEN, OPEN
from pyramid_restproxy.forwarding.model import Backend, Gateway
from pyramid_restproxy.forwarding.wire import KeepAliveAdapter
from pyramid_restproxy.operation.access import losses

__all__ = ["IFailing", "IMetrics", "Metrics", "cache_outcome", "refusal"]

#: Upper bounds of the time buckets, seconds.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

#: Methods that are told apart; clients can invent others without end.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class IMetrics(Interface):
    """The :class:`Metrics` of an application, in its registry."""


class IFailing(Interface):
    """Something whose failures are counted; registered under the name it is told by.

    The store of the cache is one without being registered.
    """

    failures = Attribute("How often it failed.")


#: Why we answer in the place of a backend.
ERRORS = frozenset(each.token for each in Failure)

#: What a cache says of a request that it has forwarded (RFC 9211 section 2.2).
REASONS = frozenset(
    {"bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"}
)


def refusal(value: str, pseudonym: str = PSEUDONYM) -> str | None:
    """Read the error from a Proxy-Status value (RFC 9209) where it is ours.

    Backends may say such things in our name; what we never say does not count, or they
    could make labels without end.
    """
    name, _, error = value.rpartition(",")[2].strip().partition("; error=")
    return error if name == pseudonym and error in ERRORS else None


def cache_outcome(value: str, pseudonym: str = PSEUDONYM) -> str | None:
    """Read ``hit``, ``miss``, ``stale``, ... from Cache-Status where it is ours.

    :returns: ``other`` for what has no name of its own; None where it is not ours.
    """
    name, *words = (word.strip() for word in value.rpartition(",")[2].split(";"))
    if name != pseudonym:
        return None
    if "hit" in words:
        return "hit"
    found = [word[4:] for word in words if word.startswith("fwd=")]
    return found[0] if found and found[0] in REASONS else "other"


class Metrics:
    """What an application counts. Thread-safe.

    :param gateway: whose state is told.
    :param registry: where each :class:`IFailing` of the application is.
    :raises MissingExtra: where prometheus_client is not installed.
    """

    def __init__(self, gateway: Gateway, registry: Registry) -> None:
        with needs("metrics", "prometheus_client", "add_metrics_view"):
            import prometheus_client
        self._client = prometheus_client
        self._gateway = gateway
        self._components = registry
        self.registry = prometheus_client.CollectorRegistry()
        self.registry.register(self)
        counter = partial(_make, prometheus_client.Counter, self.registry)
        histogram = partial(
            _make, prometheus_client.Histogram, self.registry, buckets=BUCKETS
        )
        self._requests = counter(
            "restproxy_requests",
            "Requests by route, method and status.",
            "route method status",
        )
        self._seconds = histogram(
            "restproxy_request_seconds",
            "From the request to the last byte of its answer.",
            "route",
        )
        self._head_seconds = histogram(
            "restproxy_head_seconds",
            "From the request to the head of its answer.",
            "route",
        )
        self._broken = counter(
            "restproxy_broken_answers",
            "Answers that broke off after their head had been sent.",
            "route",
        )
        self._refusals = counter(
            "restproxy_refusals",
            "Answers of the gateway in the place of a backend's, by Proxy-Status.",
            "route error",
        )
        self._again = counter(
            "restproxy_retries", "Exchanges beyond the first of a request.", "backend"
        )
        self._cache = counter(
            "restproxy_cache",
            "Requests of routes with a cache, by what it said of them.",
            "route outcome",
        )
        self._attempts = counter(
            "restproxy_attempts",
            "Exchanges with destinations, by what came of them.",
            "backend destination outcome",
        )
        self._connect_seconds = histogram(
            "restproxy_connect_seconds",
            "Making a connection: name, TCP and TLS, whether it was made or not.",
            "backend",
        )
        self._attempt_seconds = histogram(
            "restproxy_attempt_seconds",
            "From sending to the head of the answer, or the failure.",
            "backend",
        )

    # -- as things happen ------------------------------------------------------

    def watch(self, backend: Backend) -> None:
        """Count what goes on with a backend."""
        backend.observers += (self.attempted,)
        if isinstance(backend.adapter, KeepAliveAdapter):
            backend.adapter.on_connect = partial(self.connected, backend.name)

    def answered(
        self, request: Request, headers: Mapping[str, str], seconds: float
    ) -> None:
        """Count what the head of an answer tells.

        :param headers: the fields of the answer.
        :param seconds: from the request until now.
        """
        route = _route(request)
        self._head_seconds.labels(route).observe(seconds)
        ours = self._gateway.pseudonym
        cached = cache_outcome(headers.get("Cache-Status", ""), ours)
        if cached is not None:
            self._cache.labels(route, cached).inc()
        refused = refusal(headers.get("Proxy-Status", ""), ours)
        if refused is not None:
            self._refusals.labels(route, refused).inc()

    def request_over(
        self, request: Request, status: int, seconds: float, broken: bool
    ) -> None:
        """Count a request of the application.

        :param seconds: until its last byte was handed to the server.
        :param broken: whether its answer broke off.
        """
        route = _route(request)
        environ = request.environ
        method = environ["REQUEST_METHOD"]
        method = method if method in METHODS else "other"
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if broken:
            self._broken.labels(route).inc()
        told = environ.get(FORWARDED)
        if told is not None and told["attempts"] > 1:
            self._again.labels(told["backend"]).inc(told["attempts"] - 1)

    def attempted(
        self, backend: str, destination: str, outcome: str, seconds: float
    ) -> None:
        """Count an exchange with a destination.

        :param outcome: the class of the status, e.g. ``2xx``, or the Proxy-Status token
            of the failure.
        """
        self._attempts.labels(backend, destination, outcome).inc()
        self._attempt_seconds.labels(backend).observe(seconds)

    def connected(self, backend: str, seconds: float) -> None:
        """Count the time that a connection took to make, or not to be made."""
        self._connect_seconds.labels(backend).observe(seconds)

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
        circuit = Gauge(
            "restproxy_circuit",
            "1 for the state that the circuit of a destination is in.",
            None,
            ["backend", "destination", "state"],
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
                state = each.health.state
                for name in (CLOSED, OPEN, HALF_OPEN):
                    circuit.add_metric([*labels, name], name == state)
            pool = getattr(backend.adapter, "pool", None)
            if pool is not None:
                idle.add_metric([backend.name], pool.count())
        yield from (in_flight, up, circuit, idle, *self._counted_elsewhere())

    def _counted_elsewhere(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily as Counter
        from prometheus_client.core import GaugeMetricFamily as Gauge

        yield Gauge(
            "restproxy_streams",
            "Event streams going on, where their number is limited.",
            self._gateway.streams.inside,
        )
        yield Counter(
            "restproxy_access_lines_lost",
            "Lines of the access log that could not be written.",
            losses.count,
        )
        failing = Counter(
            "restproxy_store_failures",
            "Failures of what requests go on without.",
            None,
            ["store"],
        )
        for store, failures in self._failures():
            failing.add_metric([store], failures)
        yield failing

    def _failures(self) -> Iterator[tuple[str, int]]:
        kept = getattr(self._gateway.answers, "failures", None)
        if kept is not None:
            yield "cache", kept
        for name, each in self._components.getUtilitiesFor(IFailing):
            yield name, each.failures


def _route(request: Request) -> str:
    found = getattr(request, "matched_route", None)
    return "" if found is None else str(found.name)


def _make(
    kind: Callable[..., Any],
    registry: Any,
    name: str,
    text: str,
    labels: str,
    **more: Any,
) -> Any:
    """Make a metric in a registry; the labels are separated by spaces."""
    return kind(name, text, labels.split(), registry=registry, **more)
