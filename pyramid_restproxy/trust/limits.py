"""Rate limits: so many requests in so much time, by key, user, address or callable.

The view option ``rate_limit='10/minute'`` (several: ``'10/minute; 200/day'``),
``rate_limit_by`` and, for views that share a count, ``rate_limit_scope``. Counting is
the ``limits`` library's, fixed windows, in this process or in Redis. Where Redis is
away the count goes on in this process: a limit that cannot be looked up must not stop
the service.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Any

from limits import RateLimitItem, parse_many
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPTooManyRequests
from pyramid.request import Request
from pyramid.response import Response
from zope.interface import Interface

from pyramid_restproxy.exceptions import MissingExtra, RequestRefused
from pyramid_restproxy.forwarding.forwarded import client_address
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.settings import settings_of

__all__ = [
    "Allowance",
    "IRateLimiter",
    "RateLimited",
    "RateLimiter",
    "limit_fields",
    "rate_limited_view",
]

log = logging.getLogger(__name__)

#: How long Redis may take for one answer, seconds.
STORE_TIMEOUT = 0.05
#: How long Redis is left alone after it did not answer, seconds.
STORE_REST = 1.0
#: How many clients this process tells apart: more of them share counts, so that a
#: flood of addresses cannot fill the memory.
BUCKETS = 1 << 17

#: Who is counted: by name, or ``(request) -> str``, None for whom there is no limit.
By = str | Callable[[Request], str | None]


class IRateLimiter(Interface):
    """The :class:`RateLimiter` of an application, in its registry."""


class RateLimited(RequestRefused, HTTPTooManyRequests):
    """Too many requests (RFC 6585 section 4); ``Retry-After`` says when to go on."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit.

    :ivar allowed: whether this request is within it.
    :ivar amount: requests in a window.
    :ivar window: seconds.
    :ivar left: requests left in this window.
    :ivar reset: seconds until the next window.
    """

    allowed: bool
    amount: int
    window: int
    left: int
    reset: int


class RateLimiter:
    """Counts requests. Thread-safe; makes its storage when it is first asked.

    :param url: ``redis://host:port/db`` or ``''`` for this process's memory.
    :param clock: monotonic seconds.
    :raises MissingExtra: where redis is wanted and not installed.

    :ivar failures: how often Redis did not answer.
    """

    def __init__(
        self, url: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        if url and find_spec("redis") is None:
            raise MissingExtra("redis", "redis", "restproxy.store")
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._salt = secrets.token_bytes(16)
        self._shared: FixedWindowRateLimiter | None = None
        self._own: FixedWindowRateLimiter | None = None
        self._rest_until = 0.0
        self.failures = 0

    def take(self, limits: Sequence[RateLimitItem], who: str) -> Allowance:
        """Count a request.

        :param who: whose it is.
        :returns: of several limits, the one that is nearest to its end.
        """
        if self._url and self._clock() >= self._rest_until:
            try:
                return self._take(self._shared_limiter(), limits, who)
            except StorageError as error:
                self.failures += 1
                self._rest_until = self._clock() + STORE_REST
                log.warning(
                    "rate limits are counted here only: %s", type(error).__name__
                )
        return self._take(self._own_limiter(), limits, self._bucket(who))

    def _take(
        self, limiter: FixedWindowRateLimiter, limits: Sequence[RateLimitItem], who: str
    ) -> Allowance:
        found = []
        for item in limits:
            allowed = limiter.hit(item, who)
            stats = limiter.get_window_stats(item, who)
            reset = max(1, ceil(stats.reset_time - time.time()))
            left = max(0, stats.remaining)
            window = item.get_expiry()
            found.append(Allowance(allowed, item.amount, window, left, reset))
        return min(found, key=lambda each: (each.allowed, each.left))

    def _shared_limiter(self) -> FixedWindowRateLimiter:
        if self._shared is None:
            with self._lock:
                self._shared = self._shared or FixedWindowRateLimiter(_redis(self._url))
        return self._shared

    def _own_limiter(self) -> FixedWindowRateLimiter:
        if self._own is None:
            with self._lock:
                self._own = self._own or FixedWindowRateLimiter(MemoryStorage())
        return self._own

    def _bucket(self, who: str) -> str:
        digest = hashlib.blake2b(who.encode(), digest_size=8, key=self._salt).digest()
        return str(int.from_bytes(digest, "big") % BUCKETS)


def _redis(url: str) -> RedisStorage:
    return RedisStorage(
        url,
        wrap_exceptions=True,
        socket_timeout=STORE_TIMEOUT,
        socket_connect_timeout=STORE_TIMEOUT,
    )


# -- the answer ------------------------------------------------------------------


def limit_fields(found: Allowance) -> list[tuple[str, str]]:
    """Make RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers)."""
    return [
        ("RateLimit-Policy", f'"gateway";q={found.amount};w={found.window}'),
        ("RateLimit", f'"gateway";r={found.left};t={found.reset}'),
    ]


def _refusal(found: Allowance) -> RateLimited:
    refused = RateLimited("Too many requests.")
    refused.headerlist.append(("Retry-After", str(found.reset)))
    refused.headerlist.extend(limit_fields(found))
    return refused


# -- who -------------------------------------------------------------------------


def by_address(request: Request) -> str:
    """Return the client's address, of IPv6 the network (/64) that one client has."""
    gateway = request.registry.getUtility(IGateway)
    address = client_address(request.environ, gateway.trusted)
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)


def by_user(request: Request) -> str:
    """Return the user, or the address of who is none."""
    user = request.authenticated_userid
    return by_address(request) if user is None else f"user {user}"


def by_key(request: Request) -> str:
    """Return the name of the API key, or the address of who has none."""
    key = getattr(request, "api_key", None)
    return by_address(request) if key is None else f"key {key.name}"


WAYS: dict[str, Callable[[Request], str | None]] = {
    "address": by_address,
    "user": by_user,
    "key": by_key,
}


# -- the view option -------------------------------------------------------------


def rate_limited_view(view: Any, info: Any) -> Any:
    """Derive a view that counts, from ``rate_limit`` and ``rate_limit_by``.

    :raises ConfigurationError: where one of them is not what it must be.
    """
    text = info.options.get("rate_limit")
    if text is None:
        return view
    limits, way = _limits(text), _way(info.options.get("rate_limit_by") or "address")
    scope = info.options.get("rate_limit_scope") or _scope(info)

    def limited(context: Any, request: Request) -> Response:
        who = way(request)
        if who is None:
            return view(context, request)
        limiter = request.registry.getUtility(IRateLimiter)
        found = limiter.take(limits, f"{scope} {who}")
        if not found.allowed:
            raise _refusal(found)
        response = view(context, request)
        response.headerlist.extend(limit_fields(found))
        return response

    return limited


rate_limited_view.options = ("rate_limit", "rate_limit_by", "rate_limit_scope")  # type: ignore[attr-defined]


def _scope(info: Any) -> str:
    """Name what is counted together: the same in all processes."""
    route = info.options.get("route_name")
    view = info.original_view
    return route or getattr(view, "__qualname__", type(view).__qualname__)


def _limits(text: Any) -> list[RateLimitItem]:
    try:
        return parse_many(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"rate_limit={text!r}: expected e.g. '10/minute' or '10/minute; 200/day'"
        ) from error


def _way(by: Any) -> Callable[[Request], str | None]:
    found = WAYS.get(by) if isinstance(by, str) else by
    if not callable(found):
        raise ConfigurationError(
            f"rate_limit_by={by!r}: expected one of {', '.join(WAYS)}, or a callable"
        )
    return found


def use_limiter(config: Configurator) -> None:
    """Make the limiter of an application, with the store of its settings."""
    limiter = RateLimiter(settings_of(config.registry).store)
    config.registry.registerUtility(limiter, IRateLimiter)
