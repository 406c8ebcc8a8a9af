"""A Redis that may be away: asked once, soon, and after a failure not at all.

The stores of the cache and of trust ask theirs through this. What it means that there
is no answer is for them to say: the one forgets, the other lets nobody pass.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.exceptions import needs

__all__ = ["RedisAway", "RedisLink"]

log = logging.getLogger(__name__)

#: What an error of a Redis begins with, where the client library does not know it.
_CODE = re.compile(r"[A-Z]{3,20}")


class RedisAway(Exception):
    """The Redis does not answer, has not answered a moment ago, or refuses."""


class RedisLink:
    """The way to one Redis. Thread-safe; connects when it is first asked.

    Nothing is tried twice, so one that hangs costs a caller `timeout` and no more.
    After no answer nothing is asked for `pause` seconds, then one caller tries: a Redis
    that is back is used again without anybody doing anything. One that refuses to do
    something (it is full, or must not be written) has answered: what it still does,
    reading, goes on.

    :param url: as ``redis.Redis.from_url`` takes it; it may hold a password.
    :param wanted_by: who needs it, for messages.
    :param timeout: for connecting and for each answer, seconds.
    :param pause: seconds.
    :param clock: seconds of a clock that is never turned back.
    :raises MissingExtra: where redis is not installed.
    :ivar failures: how many operations have failed.
    """

    def __init__(
        self,
        url: str,
        wanted_by: str,
        timeout: float,
        pause: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        with needs("redis", "redis", wanted_by):
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        self._redis: Any = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),  # a pause is better than waiting thrice
        )
        try:
            self._redis.connection_pool.make_connection()  # it connects to nothing yet
        except (TypeError, ValueError):
            raise ConfigurationError(
                f"{wanted_by}: the URL has an option that Redis connections do not have"
            ) from None
        self._errors = (redis.RedisError, OSError)
        self._refusals = redis.ResponseError  # not while it loads: that is no answer
        self._wanted_by = wanted_by
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._resume_at: float | None = None
        self._quiet_until: float | None = None
        self.failures = 0

    def ask(self, operation: Callable[[Any], Any]) -> Any:
        """Return what `operation`, given the client, returns.

        :raises RedisAway: where there is no answer, or a refusal.
        """
        paused = self._resume_at is not None
        if paused and not self._may_try():
            raise RedisAway
        try:
            result = operation(self._redis)
        except self._refusals as error:
            self._note_refusal(error)
            if paused:
                self._go_on()
            raise RedisAway from error
        except self._errors as error:
            self._note_failure(error)
            raise RedisAway from error
        if paused:  # what was asked before a failure does not end its pause
            self._go_on()
        return result

    def close(self) -> None:
        """Close the connections; they are opened again where they are needed."""
        self._redis.close()

    def _may_try(self) -> bool:
        """Let one caller try after the pause, the others wait for its success."""
        with self._lock:
            now = self._clock()
            if self._resume_at is not None and now < self._resume_at:
                return False
            self._resume_at = now + self._pause
            return True

    def _go_on(self) -> None:
        with self._lock:
            self._resume_at = None

    def _note_refusal(self, error: Exception) -> None:
        """Count it; say so no more often than that there is no answer."""
        with self._lock:
            self.failures += 1
            now = self._clock()
            if self._quiet_until is not None and now < self._quiet_until:
                return
            self._quiet_until = now + self._pause
        log.warning("the Redis of %s refuses: %s", self._wanted_by, _kind(error))

    def _note_failure(self, error: Exception) -> None:
        with self._lock:
            self.failures += 1
            self._resume_at = self._clock() + self._pause
        # the text of the error may hold the address, and that a password
        kind = type(error).__name__
        log.warning("the Redis of %s does not answer: %s", self._wanted_by, kind)


def _kind(error: Exception) -> str:
    """Name an error, and its code where only that tells what it is.

    The rest of its text may hold what was asked, and so a secret.
    """
    code = str(error).partition(" ")[0]
    name = type(error).__name__
    return f"{name} {code}" if _CODE.fullmatch(code) else name
