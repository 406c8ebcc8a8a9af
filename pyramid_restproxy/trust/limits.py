"""Rate limits: so many requests in so much time, by key, user, address or callable.

The view option ``rate_limit='10/minute'`` (several: ``'10/minute; 200/day'``),
``rate_limit_by`` and, for views that share a count, ``rate_limit_scope``. Windows are
fixed, each begins with its first request. In Redis they are the ``limits`` library's;
in this process they are counted here, by a clock that nobody sets. Where Redis is away
the count goes on in this process: a limit that cannot be looked up must not stop the
service.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address
from math import ceil
from typing import TYPE_CHECKING, Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPTooManyRequests
from pyramid.request import Request
from pyramid.response import Response
from zope.interface import Interface

from pyramid_restproxy.exceptions import MissingExtra, RequestRefused
from pyramid_restproxy.forwarding.forwarded import client_address
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.operation.metrics import IFailing
from pyramid_restproxy.remembered import remembered
from pyramid_restproxy.settings import settings_of

if TYPE_CHECKING:  # it takes a while to import, and few applications have limits
    from limits import RateLimitItem
    from limits.strategies import FixedWindowRateLimiter

__all__ = [
    "Allowance",
    "IRateLimiter",
    "RateLimited",
    "RateLimiter",
    "by_address",
    "limit_fields",
    "parse_limits",
    "rate_limited_view",
]

log = logging.getLogger(__name__)

#: How long Redis may take for one answer, seconds.
STORE_TIMEOUT = 0.05
#: How long Redis is left alone after it did not answer, seconds.
STORE_REST = 1.0
#: How many clients of one limit this process tells apart, 30 MB of them: more share
#: the counts of :data:`SHARED`, so that a flood of addresses cannot fill the memory.
CLIENTS = 1 << 17
#: How many counts there are for those.
SHARED = 1 << 12

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


@dataclass(slots=True)
class _Window:
    """A time in which requests are counted.

    :ivar ends: when it is over, seconds.
    :ivar count: requests so far, refused ones too.
    """

    ends: float
    count: int = 0


class _Windows:
    """The windows of this process, bounded. Thread-safe.

    Those of one limit are all of one length, so they end in the order in which they
    began: what is over stands first, and nothing is searched.

    :param clock: seconds of a clock that is never turned back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._salt = secrets.token_bytes(16)
        self._of_limit: dict[RateLimitItem, OrderedDict[int, _Window]] = {}

    def take(self, item: RateLimitItem, who: str) -> Allowance:
        """Count a request."""
        name, length = self._name(who), item.get_expiry()
        with self._lock:
            now = self._clock()
            windows = self._of_limit.get(item)
            if windows is None:
                windows = self._of_limit[item] = OrderedDict()
            _drop_ended(windows, now)
            window = _window(windows, name, now, length)
            window.count += 1
            count, ends = window.count, window.ends
        left, reset = max(0, item.amount - count), max(1, ceil(ends - now))
        return Allowance(count <= item.amount, item.amount, length, left, reset)

    def _name(self, who: str) -> int:
        content = who.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(content, digest_size=8, key=self._salt).digest()
        return int.from_bytes(digest, "big")


def _window(
    windows: OrderedDict[int, _Window], name: int, now: float, length: float
) -> _Window:
    """Return the window that somebody is in, a new one where the last is over."""
    found = windows.get(name)
    if found is None and len(windows) >= CLIENTS:
        name %= SHARED
        found = windows.get(name)
    if found is None or found.ends <= now:
        windows.pop(name, None)  # a new one stands last
        found = windows[name] = _Window(now + length)
    return found


def _drop_ended(windows: OrderedDict[int, _Window], now: float) -> None:
    """Drop up to two that are over: more than come, and nobody waits for many."""
    for _ in range(2):
        first = next(iter(windows), None)
        if first is None or windows[first].ends > now:
            return
        del windows[first]


class RateLimiter:
    """Counts requests. Thread-safe; connects to Redis when it is first asked.

    :param url: ``redis://host:port/db`` or ``''`` for this process's memory.
    :param clock: monotonic seconds.
    :param prefix: what names in that Redis begin with.
    :raises MissingExtra: where redis is wanted and not installed.

    :ivar failures: how often Redis did not answer.
    """

    def __init__(
        self,
        url: str = "",
        clock: Callable[[], float] = time.monotonic,
        prefix: str = "restproxy",
    ) -> None:
        if url and find_spec("redis") is None:
            raise MissingExtra("redis", "redis", "restproxy.store")
        self._url = url
        self._prefix = prefix
        self._clock = clock
        self._lock = threading.Lock()
        self._shared: FixedWindowRateLimiter | None = None
        self._own = _Windows(clock)
        self._rest_until = 0.0
        self.failures = 0

    def take(self, limits: Sequence[RateLimitItem], who: str) -> Allowance:
        """Count a request.

        :param who: whose it is.
        :returns: of several limits, the one that is nearest to its end.
        """
        found = self._take_shared(limits, who) if self._url else None
        if found is None:
            found = [self._own.take(item, who) for item in limits]
        return min(found, key=lambda each: (each.allowed, each.left))

    def _take_shared(
        self, limits: Sequence[RateLimitItem], who: str
    ) -> list[Allowance] | None:
        """Count in Redis; None where it does not answer."""
        from limits.errors import StorageError

        if self._rest_until and not self._may_try():
            return None
        try:
            found = [_take(self._shared_limiter(), item, who) for item in limits]
        except StorageError as error:
            with self._lock:
                self.failures += 1
                self._rest_until = self._clock() + STORE_REST
            log.warning("rate limits are counted here only: %s", type(error).__name__)
            return None
        self._rest_until = 0.0
        return found

    def _may_try(self) -> bool:
        """Let one request try after the rest; the others go on counting here."""
        with self._lock:
            now = self._clock()
            if now < self._rest_until:
                return False
            self._rest_until = now + STORE_REST
            return True

    def _shared_limiter(self) -> FixedWindowRateLimiter:
        if self._shared is None:
            with self._lock:
                self._shared = self._shared or _redis(self._url, self._prefix)
        return self._shared


def _take(limiter: FixedWindowRateLimiter, item: RateLimitItem, who: str) -> Allowance:
    allowed = limiter.hit(item, who)
    stats = limiter.get_window_stats(item, who)
    reset = max(1, ceil(stats.reset_time - time.time()))
    left = max(0, stats.remaining)
    return Allowance(allowed, item.amount, item.get_expiry(), left, reset)


def _redis(url: str, prefix: str) -> FixedWindowRateLimiter:
    from limits.storage import RedisStorage
    from limits.strategies import FixedWindowRateLimiter

    storage = RedisStorage(
        url,
        wrap_exceptions=True,
        key_prefix=f"{prefix}:limits",
        socket_timeout=STORE_TIMEOUT,
        socket_connect_timeout=STORE_TIMEOUT,
    )
    return FixedWindowRateLimiter(storage)


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
    """Return the client's address, of IPv6 the network (/64) that one client has.

    An address of IPv4 is the same in whichever form it comes (RFC 4291 section
    2.5.5.2).
    """
    gateway = request.registry.getUtility(IGateway)
    return _who(client_address(request.environ, gateway.trusted))


@remembered(1024)
def _who(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


def by_user(request: Request) -> str:
    """Return the user of the token, else who is logged in, else the address."""
    identity = getattr(request, "user_token_identity", None)
    if identity is not None:
        return f"token {identity.user_id}"
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
    limits, way = (
        parse_limits(text, "rate_limit"),
        _way(info.options.get("rate_limit_by") or "address"),
    )
    scope = info.options.get("rate_limit_scope") or _scope(info)

    def limited(context: Any, request: Request) -> Response:
        who = way(request)
        if who is None:
            return view(context, request)
        limiter = request.registry.getUtility(IRateLimiter)
        found = limiter.take(limits, f"{scope} {who}")
        if not found.allowed:
            raise _refusal(found)
        told = limit_fields(found)
        # Not on what the view returns: what it raises was counted, too.
        request.add_response_callback(
            lambda _, response: response.headerlist.extend(told)
        )
        return view(context, request)

    return limited


rate_limited_view.options = ("rate_limit", "rate_limit_by", "rate_limit_scope")  # type: ignore[attr-defined]


def _scope(info: Any) -> str:
    """Name what is counted together: the same in all processes."""
    route = info.options.get("route_name")
    view = info.original_view
    return route or getattr(view, "__qualname__", type(view).__qualname__)


def parse_limits(text: Any, option: str) -> list[RateLimitItem]:
    """Read ``10/minute; 200/day``.

    :param option: where it comes from, for the message.
    :raises ConfigurationError: where it cannot be read.
    """
    from limits import parse_many

    try:
        return parse_many(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            f"{option}={text!r}: expected e.g. '10/minute' or '10/minute; 200/day'"
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
    settings = settings_of(config.registry)
    limiter = RateLimiter(settings.store, prefix=settings.store_prefix)
    config.registry.registerUtility(limiter, IRateLimiter)
    config.registry.registerUtility(limiter, IFailing, "limits")
