"""Whose a token is: who is asked, once for many requests, and what "no" means.

A validator is any callable ``(request, token) -> Identity or None``; here are one that
asks a backend, and what is put before each: answers are used again, requests with the
same token ask once, and what a validator raises lets nobody pass.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitTimeout
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPServiceUnavailable
from pyramid.request import Request

from pyramid_restproxy.forwarding.client import Result
from pyramid_restproxy.trust.identity import Identity, identity_of
from pyramid_restproxy.trust.refusals import Reason, Refused, StoreUnavailable
from pyramid_restproxy.trust.store import Store
from pyramid_restproxy.trust.stored import hashed

__all__ = [
    "CachedValidator",
    "IdentityUnavailable",
    "TokenValidator",
    "backend_validator",
    "read_answer",
]

log = logging.getLogger(__name__)

#: How long an answer of a validator is used again, seconds.
CACHE_TTL = 60.0
#: The same for a refusal, seconds: a token may become good.
REFUSED_TTL = 5.0
#: How long one request waits for another that asks about the same token, seconds.
WAIT = 10.0

#: What a backend answers for "no": anything else but a 2xx means that it cannot say.
NO = frozenset({400, 401, 403, 422})

_REFUSED = {"refused": True}

#: Says whose token it is, None for nobody's. Whatever it raises means that it cannot
#: say: the request is answered with 503.
TokenValidator = Callable[[Request, str], Identity | None]


class IdentityUnavailable(Refused, HTTPServiceUnavailable):
    """Who knows the users cannot be asked, so nobody passes."""

    reason: Reason = "store"

    def __init__(self) -> None:
        HTTPServiceUnavailable.__init__(
            self,
            "Users cannot be recognised at the moment.",
            headers=[("Retry-After", "1")],
        )


# -- asking once ---------------------------------------------------------------------


class CachedValidator:
    """A validator whose answers are used again, until they expire. Thread-safe.

    Of several requests with the same token one asks, the others wait for it. An answer
    with a new token is for the request that got it (and those that waited), and is not
    kept: what the old token is good for now is the validator's to say.

    :param validator: who is asked.
    :param store: where answers are kept, by the SHA-256 of the token; None for to ask
        each time. Where it is away the validator is asked.
    :param ttl: seconds that an answer is kept at most; how long a token that was taken
        back may still be good.
    :param refused_ttl: the same for a refusal.
    :param wait: seconds that one waits for another.
    :param clock: seconds since the epoch.
    """

    def __init__(
        self,
        validator: TokenValidator,
        store: Store | None = None,
        *,
        ttl: float = CACHE_TTL,
        refused_ttl: float = REFUSED_TTL,
        wait: float = WAIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._validator = validator
        self._store = store
        self._ttl = ttl
        self._refused_ttl = refused_ttl
        self._wait = wait
        self._clock = clock
        self._lock = threading.Lock()
        self._asking: dict[str, Future[Identity | None]] = {}

    def __call__(self, request: Request, token: str) -> Identity | None:
        """Return whose token it is, None where it is not good.

        :raises IdentityUnavailable: where that cannot be said.
        """
        key = hashed("token", token)
        try:
            identity = _read(self._kept(key))
        except ValueError:  # nothing, or nothing of ours
            identity = self._ask_once(request, token, key)
        return identity if identity and identity.is_valid(self._clock()) else None

    def revoke(self, token: str) -> None:
        """Refuse a token from now on, until nobody can have it in a cache.

        :raises StoreUnavailable: where that cannot be said to the other processes.
        """
        if self._store is not None:
            self._store.set(hashed("token", token), _REFUSED, self._ttl + self._wait)

    def _kept(self, key: str) -> Any:
        if self._store is None:
            return None
        try:
            return self._store.get(key)
        except StoreUnavailable:
            return None

    def _ask_once(self, request: Request, token: str, key: str) -> Identity | None:
        with self._lock:
            flight = self._asking.get(key)
            if flight is None:
                mine = self._asking[key] = Future()
        if flight is not None:
            return self._wait_for(flight)
        try:
            identity = self._ask(request, token, key)
        except BaseException:
            self._land(key, mine)
            mine.set_exception(IdentityUnavailable())
            raise
        self._land(key, mine)
        mine.set_result(identity)
        return identity

    def _land(self, key: str, flight: Future[Identity | None]) -> None:
        with self._lock:
            del self._asking[key]

    def _wait_for(self, flight: Future[Identity | None]) -> Identity | None:
        try:
            return flight.result(self._wait)
        except (IdentityUnavailable, WaitTimeout) as error:
            raise IdentityUnavailable() from error

    def _ask(self, request: Request, token: str, key: str) -> Identity | None:
        try:
            identity = self._validator(request, token)
        except Exception as error:  # the application's code: told, and nobody passes
            _log_failure(error)
            raise IdentityUnavailable() from error
        if self._kept(key) == _REFUSED:  # taken back meanwhile
            return None
        self._keep(key, identity)
        return identity

    def _keep(self, key: str, identity: Identity | None) -> None:
        ttl = self._time_to_keep(identity)
        if self._store is None or ttl <= 0:
            return
        value = identity.stored() if identity else _REFUSED
        try:
            self._store.set(key, value, ttl)
        except StoreUnavailable:
            return  # it will be asked again
        except (TypeError, ValueError) as error:
            log.warning("an identity cannot be kept: %s", type(error).__name__)

    def _time_to_keep(self, identity: Identity | None) -> float:
        if identity is None:
            return self._refused_ttl
        if identity.token is not None:
            return 0.0
        if identity.expires is None:
            return self._ttl
        return min(self._ttl, identity.expires - self._clock())


def _read(kept: Any) -> Identity | None:
    """Read what is kept of a token.

    :raises ValueError: where that says nothing.
    """
    return None if kept == _REFUSED else identity_of(kept)


def _log_failure(error: Exception) -> None:
    """Tell where it happened, and not the text: it may hold the token."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("the token validator failed: %s\n%s", type(error).__name__, where)


# -- asking a backend ------------------------------------------------------------------


def backend_validator(
    backend: str, path: str, method: str = "POST", *, field: str | None = None
) -> TokenValidator:
    """Make a validator that asks a service of a backend.

    It is sent ``{"token": "..."}``, or the token in a field. A 2xx says whose token it
    is (see ``identity``); 400, 401, 403 and 422 that it is nobody's; all else that it
    cannot be said. How long it may take is said by the backend's timeouts.

    :param backend: the name of the backend.
    :param path: percent-encoded, below the destination's URL.
    :param field: the name of the field; None for JSON.
    :raises ConfigurationError: for a method without a body where there is no field: a
        token in a URL is in everybody's log.
    """
    if method.upper() in ("GET", "HEAD", "DELETE") and field is None:
        raise ConfigurationError(f"backend_validator: {method} needs field=")

    def ask(request: Request, token: str) -> Identity | None:
        sent: dict[str, Any] = (
            {"json_data": {"token": token}}
            if field is None
            else {"headers": {field: token}}
        )
        return read_answer(request.backend(backend).request(method, path, **sent))

    return ask


def read_answer(result: Result) -> Identity | None:
    """Read what a backend says of a user.

    :returns: None where it says no.
    :raises IdentityUnavailable: where it does not say.
    """
    if result.status in NO:
        return None
    if not result.ok:
        log.warning("a backend cannot say who a user is: status %d", result.status)
        raise IdentityUnavailable()
    try:
        return identity_of(result.data)
    except ValueError as error:
        log.warning("what a backend says of a user cannot be read: %s", error)
        raise IdentityUnavailable() from error
