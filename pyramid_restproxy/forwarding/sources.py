"""Destinations that change while the application runs: a callable, a file, DNS.

A provider is ``() -> destinations``, each a URL, a (URL, weight) pair or a
:class:`Destination`. It is called when the backend is first used, then not more often
than every ``refresh`` seconds, by one request at a time; the others go on with what is
known. Where it fails, what is known stays.
"""

from __future__ import annotations

import logging
import pathlib
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.casts import weighted_urls
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.endpoint import Endpoint
from pyramid_restproxy.forwarding.health import Health, HealthPolicy

__all__ = ["Provider", "Source", "from_dns", "from_file", "make_endpoints"]

log = logging.getLogger(__name__)

Given = str | tuple[str, float] | Destination
Provider = Callable[[], Iterable[Given]]


def make_endpoints(
    backend: str,
    given: Iterable[Given],
    policy: HealthPolicy,
    known: Iterable[Endpoint] = (),
) -> tuple[Endpoint, ...]:
    """Make the endpoints of a backend; those that are known stay the same objects.

    :param backend: the name, for messages.
    :param given: what a provider or ``add_backend`` says.
    :raises ConfigurationError: where one of them is not a destination.
    """
    before = {endpoint.url: endpoint for endpoint in known}
    found: dict[str, Endpoint] = {}
    for each in given:
        url, weight = each if isinstance(each, tuple) else (each, 1.0)
        if not isinstance(weight, (int, float)) or not weight > 0:
            raise ConfigurationError(
                f"backend {backend!r}: weight {weight!r}: expected a positive number"
            )
        where = url if isinstance(url, Destination) else Destination.parse(backend, url)
        endpoint = before.get(where.url) or Endpoint(where, Health(policy))
        endpoint.destination = where  # the query of the URL may be another one
        endpoint.weight = float(weight)
        found[where.url] = endpoint
    return tuple(found.values())


class Source:
    """Keeps the endpoints of a backend as a provider has them. Thread-safe.

    :param provider: tells the destinations.
    :param every: seconds between two calls of it.
    :param use: takes what it said; raises ConfigurationError for what is none.
    :param clock: monotonic seconds.
    :param backend: its name, for the log.
    """

    def __init__(
        self,
        provider: Provider,
        every: float,
        use: Callable[[Iterable[Given]], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        backend: str = "",
    ) -> None:
        self._backend = backend
        self._provider = provider
        self._every = every
        self._use = use
        self._clock = clock
        self._lock = threading.Lock()
        self._next: float | None = None

    def __call__(self) -> None:
        """Ask the provider where it is time to."""
        first = self._next is None
        if not first and self._clock() < (self._next or 0.0):
            return
        if not self._lock.acquire(blocking=first):
            return  # another request asks already
        try:
            if not first or self._next is None:
                self._refresh()
        finally:
            self._lock.release()

    def _refresh(self) -> None:
        try:
            self._use(self._provider())
        except Exception:  # the application's code, or a file or name server away
            log.exception(
                "backend %r: its destinations could not be found; the known ones stay",
                self._backend,
            )
        self._next = self._clock() + self._every


def from_file(path: str) -> Provider:
    """Make a provider that reads a file: a URL a line, ``weight=2`` after it.

    :param path: read anew each time; empty lines and lines with ``#`` do not count.
        Where nothing is left it is being written: then the provider fails.
    """

    def provide() -> Iterable[Given]:
        text = pathlib.Path(path).read_text("utf-8")
        words = " ".join(line.partition("#")[0] for line in text.splitlines()).split()
        if not words:
            raise ConfigurationError(f"{path} names no destination")
        return weighted_urls(words)

    return provide


def from_dns(url: str) -> Provider:
    """Make a provider of all addresses that a host name has.

    :param url: ``http://name:port/base``; Host stays the name.
    :raises ConfigurationError: for ``https``: there the certificate is for the name,
        and each new connection looks it up anyway.
    """
    named = Destination.parse("from_dns", url)
    parts = urlsplit(url)
    if parts.scheme != "http":
        raise ConfigurationError(f"from_dns({url!r}): expected http://name:port")

    def provide() -> Iterable[Given]:
        port = parts.port or 80
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        hosts = sorted({str(address[0]) for *_, address in found})
        literals = [f"[{host}]" if ":" in host else host for host in hosts]
        return [
            replace(named, url=f"http://{host}:{port}{named.base_path}")
            for host in literals
        ]

    return provide
