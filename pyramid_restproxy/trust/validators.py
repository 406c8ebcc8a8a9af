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
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPServiceUnavailable
from pyramid.request import Request

from pyramid_restproxy.forwarding.client import Result
from pyramid_restproxy.trust.identity import (
    Identity,
    active_user,
    identity_of,
    restored,
)
from pyramid_restproxy.trust.memory_store import MemoryStore
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
#: How many refusals are kept at most: 4 MB of them. Anybody can send bad tokens.
REFUSALS = 10_000
#: How long a token without an end that was taken back is refused, seconds.
REVOKED_TTL = 30 * 86400.0
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

    A token that was taken back has a mark in the store, until it is not good any more.
    With each request one thing is looked up: the answer, which says so too, or the mark
    where no answers are kept. Where the store is away the validator is asked each time,
    and has to know itself what was taken back; with `ttl` 0, which is for those that
    cannot know, nobody passes.

    Refusals are kept apart, in a small room: they cost a stranger nothing, and what the
    others need (who is logged in, nonces) must not go because of them.

    :param validator: who is asked. Where a token can be written in more than one way,
        it has a method ``canonical(token) -> str``: by what that returns it is known.
    :param store: where answers and marks are, by the SHA-256 of the token; this
        process's memory where it is None.
    :param ttl: seconds that an answer is kept at most: how long a token is good here
        that only the validator knows to be taken back; 0 for to ask each time.
    :param refused_ttl: the same for a refusal; with `ttl` 0 none is kept.
    :param refusals: where these are kept; in this process's memory where it is None.
    :param wait: seconds that one waits for another.
    :param clock: seconds since the epoch.
    :ivar backend: the name of the backend that it asks; None where that is not known.
    """

    def __init__(
        self,
        validator: TokenValidator,
        store: Store | None = None,
        *,
        ttl: float = CACHE_TTL,
        refused_ttl: float = REFUSED_TTL,
        refusals: Store | None = None,
        wait: float = WAIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._validator = validator
        self.backend = (
            validator.backend if isinstance(validator, BackendValidator) else None
        )
        self._name = _names_by(getattr(validator, "canonical", None))
        self._store = MemoryStore() if store is None else store
        self._ttl = ttl
        self._refused_ttl = refused_ttl
        self._refusals = MemoryStore(REFUSALS) if refusals is None else refusals
        self._wait = wait
        self._clock = clock
        self._lock = threading.Lock()
        self._asking: dict[str, Future[Identity | None]] = {}

    def __call__(self, request: Request, token: str) -> Identity | None:
        """Return whose token it is, None where it is not good.

        :raises IdentityUnavailable, StoreUnavailable: where that cannot be said.
        """
        key = self._name(token)
        try:
            kept = self._kept(key)
            identity: Identity | None = restored(kept)
        except (TypeError, ValueError):  # a refusal, nothing, or nothing of ours
            if kept == _REFUSED:
                return None
            identity = self._ask_once(request, token, key)
        if identity is None or identity.expires is None:
            return identity
        return identity if identity.is_valid(self._clock()) else None

    def revoke(self, token: str, expires: float | None = None) -> None:
        """Refuse a token from now on, until it is not good any more.

        :param expires: when that is, seconds since the epoch; where it is None the
            token is refused for 30 days.
        :raises StoreUnavailable: where that cannot be said to the other processes.
        """
        key, ttl = self._name(token), self._time_to_refuse(expires)
        # The mark first: who writes an answer over the other looks for it afterwards.
        # It is added, so that a store in memory does not drop it for want of room.
        self._store.add(_mark_of(key), _REFUSED, ttl)
        if self._ttl > 0:
            self._store.set(key, _REFUSED, ttl)

    # -- what is kept ----------------------------------------------------------------

    def _kept(self, key: str) -> Any:
        """Return what is kept of a token; None for nothing.

        :raises StoreUnavailable: where marks are all there is, and cannot be read.
        """
        if self._ttl <= 0:
            return self._store.get(_mark_of(key))
        try:
            known = self._store.get(key)
        except StoreUnavailable:
            known = None
        return _found(self._refusals, key) if known is None else known

    def _keep(self, key: str, identity: Identity) -> None:
        ttl = self._time_to_keep(identity)
        if ttl <= 0:
            return
        try:
            self._store.set(key, identity.stored(), ttl)
        except StoreUnavailable:
            return  # it will be asked again
        except (TypeError, ValueError) as error:
            log.warning("an identity cannot be kept: %s", type(error).__name__)

    def _keep_refusal(self, key: str) -> None:
        if self._ttl > 0:
            with suppress(StoreUnavailable):  # it will be asked again
                self._refusals.set(key, _REFUSED, self._refused_ttl)

    def _was_revoked(self, key: str, identity: Identity) -> bool:
        """Say whether a token was taken back; an answer in the place of that goes."""
        if _found(self._store, _mark_of(key)) is None:
            return False
        with suppress(StoreUnavailable):
            ttl = self._time_to_refuse(identity.expires)
            self._store.set(key, _REFUSED, ttl)
        return True

    def _time_to_keep(self, identity: Identity) -> float:
        if identity.token is not None:
            return 0.0
        if identity.expires is None:
            return self._ttl
        return min(self._ttl, identity.expires - self._clock())

    def _time_to_refuse(self, expires: float | None) -> float:
        """Say for how long: clocks differ, and somebody may wait for an answer."""
        left = REVOKED_TTL if expires is None else max(0.0, expires - self._clock())
        return left + self._ttl + self._wait

    # -- asking ----------------------------------------------------------------------

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
            identity = flight.result(self._wait)
        except (IdentityUnavailable, WaitTimeout) as error:
            raise IdentityUnavailable() from error
        return identity and restored(identity.stored())  # each request has its own

    def _ask(self, request: Request, token: str, key: str) -> Identity | None:
        try:
            identity = _checked(self._validator(request, token))
        except IdentityUnavailable:  # told where it was raised
            raise
        except Exception as error:  # the application's code: told, and nobody passes
            _log_failure(error)
            raise IdentityUnavailable() from error
        if identity is None:
            self._keep_refusal(key)
            return None
        if self._ttl <= 0:
            return identity  # each request has looked for the mark
        self._keep(key, identity)
        revoked = self._was_revoked(key, identity)  # asked last: meanwhile
        return None if revoked else identity


def _found(store: Store, key: str) -> Any:
    """Return what a store has, None as well where it cannot be asked."""
    try:
        return store.get(key)
    except StoreUnavailable:
        return None


def _names_by(canonical: Callable[[str], str] | None) -> Callable[[str], str]:
    """Return what names a token in the store."""
    if canonical is None:
        return partial(hashed, "token")
    return lambda token: hashed("token", canonical(token))


def _mark_of(key: str) -> str:
    """Name the mark that a token was taken back, which no answer is written over."""
    return f"revoked-{key}"


def _checked(answer: Any) -> Identity | None:
    """Return what a validator says, as it would come back out of the store.

    :raises TypeError, ValueError: where it is no identity, or one of nobody.
    """
    if answer is None:
        return None
    if not isinstance(answer, Identity):
        raise TypeError("a validator returns an Identity, or None")
    if not isinstance(answer.user_id, str) or isinstance(answer.permissions, str):
        raise TypeError("user_id is text, permissions are several texts")
    return identity_of(answer.stored())


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

    return BackendValidator(backend, path, method, field)


@dataclass(frozen=True, slots=True)
class BackendValidator:
    """What :func:`backend_validator` makes."""

    backend: str
    path: str
    method: str
    field: str | None

    def __call__(self, request: Request, token: str) -> Identity | None:
        """Return whose token it is, by what the service says."""
        sent: dict[str, Any] = (
            {"json_data": {"token": token}}
            if self.field is None
            else {"headers": {self.field: token}}
        )
        asked = request.backend(self.backend)
        return read_answer(asked.request(self.method, self.path, **sent))


def read_answer(
    result: Result, read: Callable[[Any], Identity | None] = active_user
) -> Identity | None:
    """Read what a backend says of a user.

    :param read: takes the data of a 2xx; None for nobody, a ValueError where they say
        nothing of a user.
    :returns: None where it says no.
    :raises IdentityUnavailable: where it does not say.
    """
    if result.status in NO:
        return None
    if not result.ok:
        log.warning("a backend cannot say who a user is: status %d", result.status)
        raise IdentityUnavailable()
    try:
        return read(result.data)
    except ValueError as error:
        log.warning("what a backend says of a user cannot be read: %s", error)
        raise IdentityUnavailable() from error
