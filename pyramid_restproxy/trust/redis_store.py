"""A store in a Redis. It says so when it cannot be asked, and soon."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.stored import encoded

__all__ = ["RedisStore"]

log = logging.getLogger(__name__)

#: How long Redis may take to connect, and for each answer, seconds.
TIMEOUT = 0.05
#: How long Redis is left alone after it did not answer, seconds. Nobody passes
#: meanwhile, so it is short: one caller after another tries.
PAUSE = 0.1


class RedisStore:
    """A store in a Redis, shared by processes and machines.

    Nothing is tried twice, so that a Redis that hangs costs `timeout` and no more;
    after an error nothing is asked for `pause` seconds, then one caller tries. The
    Redis should have ``maxmemory-policy noeviction``, or it may forget nonces.

    :param url: as ``redis.Redis.from_url`` takes it; it may hold a password.
    :param prefix: of the keys.
    :param timeout: for connecting and for each answer, seconds.
    :param pause: seconds.
    :param clock: seconds of a clock that is never turned back.
    :raises MissingExtra: where redis is not installed.
    :ivar failures: how many operations the Redis has failed.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "restproxy:trust:",
        timeout: float = TIMEOUT,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError as error:
            raise MissingExtra("redis", "redis", "restproxy.store") from error
        self._redis: Any = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._errors = (redis.RedisError, OSError)
        self._prefix = prefix
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._resume_at: float | None = None
        self.failures = 0

    def get(self, key: str) -> Any:
        """Return what is stored."""
        found = self._ask(lambda: self._redis.get(self._prefix + key))
        if found is None:
            return None
        try:
            return json.loads(found)
        except ValueError as error:  # somebody else's: nothing can be said
            raise StoreUnavailable() from error

    def set(self, key: str, value: Any, ttl: float) -> None:
        """Store in the place of what is there."""
        if ttl <= 0:
            return self.delete(key)
        self._store(key, value, ttl)

    def add(self, key: str, value: Any, ttl: float) -> bool:
        """Store where nothing is; return whether nothing was."""
        if ttl <= 0:
            return self.get(key) is None
        return self._store(key, value, ttl, nx=True)

    def replace(self, key: str, value: Any, ttl: float) -> bool:
        """Store where something is; return whether something was."""
        if ttl <= 0:
            return bool(self._ask(lambda: self._redis.delete(self._prefix + key)))
        return self._store(key, value, ttl, xx=True)

    def delete(self, key: str) -> None:
        """Take it away."""
        self._ask(lambda: self._redis.delete(self._prefix + key))

    def close(self) -> None:
        """Close the connections; they are opened again where they are needed."""
        self._redis.close()

    def _store(self, key: str, value: Any, ttl: float, **only: bool) -> bool:
        content, milliseconds = encoded(value), max(1, int(ttl * 1000))
        stored = self._ask(
            lambda: self._redis.set(
                self._prefix + key, content, px=milliseconds, **only
            )
        )
        return bool(stored)

    def _ask(self, operation: Callable[[], Any]) -> Any:
        if self._resume_at is not None and not self._may_try():
            raise StoreUnavailable()
        try:
            result = operation()
        except self._errors as error:
            self._note_failure(error)
            raise StoreUnavailable() from error
        self._resume_at = None
        return result

    def _may_try(self) -> bool:
        """Let one caller try after the pause, the others wait for its success."""
        with self._lock:
            now = self._clock()
            if self._resume_at is not None and now < self._resume_at:
                return False
            self._resume_at = now + self._pause
            return True

    def _note_failure(self, error: Exception) -> None:
        with self._lock:
            self.failures += 1
            self._resume_at = self._clock() + self._pause
        # the text of the error may hold the address, and that a password
        log.warning("the Redis of the store does not answer: %s", type(error).__name__)
