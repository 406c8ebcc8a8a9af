"""Where stored answers are: in this process, or in a Redis that several share.

A store keeps bytes under names for a time. It never fails: what it cannot give is
not there, what it cannot keep is forgotten. It knows nothing of HTTP.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from pyramid_restproxy.redis_link import RedisAway, RedisLink

__all__ = ["MemoryStore", "RedisStore", "Store"]


class Store(Protocol):
    """Bytes under names, for a time. Used by several threads at once."""

    def get(self, key: str) -> bytes | None:
        """Return what is stored, None where nothing is (any more)."""

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Store in the place of what is there.

        :param ttl: seconds after which it is gone.
        """

    def delete(self, key: str) -> None:
        """Take it away, where it is there."""


class MemoryStore:
    """A store in this process; the least recently used goes first.

    Each operation costs the same however much is stored, and the time is that of a
    clock that is never turned back.

    :param max_bytes: of keys and values together, with :data:`OVERHEAD` for each.
    :param max_entries: how many there may be.
    :param clock: seconds, from any beginning.
    """

    #: What an entry costs beside its key and value, bytes, about.
    OVERHEAD = 256

    def __init__(
        self,
        max_bytes: int = 64 * 1024 * 1024,
        max_entries: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """What is stored, bytes, as `max_bytes` counts them."""
        return self._bytes

    def get(self, key: str) -> bytes | None:
        """Return what is stored, and note that it was used."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            if found[0] <= self._clock():
                self._remove(key)
                return None
            self._entries.move_to_end(key)
            return found[1]

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Store; what is larger than the whole store is not."""
        with self._lock:
            self._remove(key)
            size = self._size(key, value)
            if ttl <= 0 or size > self._max_bytes:
                return
            self._entries[key] = self._clock() + ttl, value
            self._bytes += size
            while self._bytes > self._max_bytes or len(self) > self._max_entries:
                self._remove(next(iter(self._entries)))

    def delete(self, key: str) -> None:
        """Take it away."""
        with self._lock:
            self._remove(key)

    def _remove(self, key: str) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._bytes -= self._size(key, found[1])

    def _size(self, key: str, value: bytes) -> int:
        return len(key) + len(value) + self.OVERHEAD


class RedisStore:
    """A store in a Redis, shared by processes and machines. It fails open.

    What should have been deleted while it was away is still there when it is back, for
    the rest of its time.

    :param url: as ``redis.Redis.from_url`` takes it; it may hold a password.
    :param prefix: of the keys.
    :param timeout: for connecting and for each answer, seconds.
    :param pause: seconds.
    :param clock: seconds, from any beginning.
    :raises MissingExtra: where redis is not installed.
    """

    def __init__(
        self,
        url: str,
        prefix: str = "restproxy:cache:",
        timeout: float = 0.05,
        pause: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = RedisLink(url, "the cache", timeout, pause, clock)
        self._prefix = prefix

    @property
    def failures(self) -> int:
        """How many operations the Redis has failed."""
        return self._link.failures

    def get(self, key: str) -> bytes | None:
        """Return what is stored; None where the Redis does not answer too."""
        found = self._ask(lambda redis: redis.get(self._prefix + key))
        return found if isinstance(found, bytes) else None

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Store, where the Redis answers."""
        milliseconds = int(ttl * 1000)
        if milliseconds <= 0:
            return self.delete(key)
        self._ask(lambda redis: redis.set(self._prefix + key, value, px=milliseconds))

    def delete(self, key: str) -> None:
        """Take it away, where the Redis answers."""
        self._ask(lambda redis: redis.delete(self._prefix + key))

    def close(self) -> None:
        """Close the connections; they are opened again where they are needed."""
        self._link.close()

    def _ask(self, operation: Callable[[Any], Any]) -> Any:
        try:
            return self._link.ask(operation)
        except RedisAway:
            return None
