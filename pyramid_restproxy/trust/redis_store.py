"""A store in a Redis. It says so when it cannot be asked, and soon."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from pyramid_restproxy.redis_link import RedisAway, RedisLink
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.stored import encoded

__all__ = ["RedisStore"]

#: How long Redis may take to connect, and for each answer, seconds.
TIMEOUT = 0.05
#: How long Redis is left alone after it did not answer, seconds. Nobody passes
#: meanwhile, so it is short: one caller after another tries.
PAUSE = 0.1


class RedisStore:
    """A store in a Redis, shared by processes and machines.

    What it cannot say is :exc:`StoreUnavailable`. The Redis should have
    ``maxmemory-policy noeviction``, or it may forget nonces.

    :param url: as ``redis.Redis.from_url`` takes it; it may hold a password.
    :param prefix: of the keys.
    :param timeout: for connecting and for each answer, seconds.
    :param pause: seconds.
    :param clock: seconds of a clock that is never turned back.
    :raises MissingExtra: where redis is not installed.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "restproxy:trust:",
        timeout: float = TIMEOUT,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = RedisLink(url, "the store", timeout, pause, clock)
        self._prefix = prefix

    @property
    def failures(self) -> int:
        """How many operations the Redis has failed."""
        return self._link.failures

    def get(self, key: str) -> Any:
        """Return what is stored."""
        found = self._ask(lambda redis: redis.get(self._prefix + key))
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
            return bool(self._ask(lambda redis: redis.delete(self._prefix + key)))
        return self._store(key, value, ttl, xx=True)

    def touch(self, key: str, ttl: float) -> bool:
        """Let it stay for so long from now; return whether something was there."""
        name, milliseconds = self._prefix + key, int(ttl * 1000)
        return bool(self._ask(lambda redis: redis.pexpire(name, milliseconds)))

    def delete(self, key: str) -> None:
        """Take it away."""
        self._ask(lambda redis: redis.delete(self._prefix + key))

    def close(self) -> None:
        """Close the connections; they are opened again where they are needed."""
        self._link.close()

    def _store(self, key: str, value: Any, ttl: float, **only: bool) -> bool:
        content, milliseconds = encoded(value), max(1, int(ttl * 1000))
        stored = self._ask(
            lambda redis: redis.set(
                self._prefix + key, content, px=milliseconds, **only
            )
        )
        return bool(stored)

    def _ask(self, operation: Callable[[Any], Any]) -> Any:
        try:
            return self._link.ask(operation)
        except RedisAway as error:
            raise StoreUnavailable() from error
