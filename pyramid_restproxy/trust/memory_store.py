"""A store in this process's memory, bounded; what must not be lost has its own room."""

from __future__ import annotations

import heapq
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.stored import encoded

__all__ = ["MemoryStore"]

log = logging.getLogger(__name__)


class _Shelf:
    """Entries up to a number and a size. Not thread-safe.

    :ivar entries: (when it ends, bytes) by key; what was used last is at the end.
    """

    #: What an entry costs beside its key and value, bytes, about.
    OVERHEAD = 256

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self.bytes = 0

    @property
    def is_over(self) -> bool:
        return self.bytes > self.max_bytes or len(self.entries) > self.max_entries

    def put(self, key: str, ends: float, value: bytes) -> None:
        self.remove(key)
        self.entries[key] = ends, value
        self.bytes += self.cost(key, value)

    def remove(self, key: str) -> None:
        found = self.entries.pop(key, None)
        if found is not None:
            self.bytes -= self.cost(key, found[1])

    def cost(self, key: str, value: bytes) -> int:
        return len(key) + len(value) + self.OVERHEAD


class MemoryStore:
    """A store in this process; good for one process.

    What was ``set`` goes when room is wanted, the least recently used first: somebody
    has to log in again. What was ``add``-ed does not, or a nonce could be used again:
    it has half of the room, and where that is full the store is unavailable.

    :param max_entries: how many there may be.
    :param max_bytes: of keys and values together, with 256 for each.
    :param clock: seconds of a clock that is never turned back.
    """

    def __init__(
        self,
        max_entries: int = 100_000,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept = _Shelf(max_entries // 2, max_bytes // 2)
        self._added = _Shelf(max_entries // 2, max_bytes // 2)
        self._ends: list[tuple[float, str]] = []  # a heap, of what was added

    def __len__(self) -> int:
        return len(self._kept.entries) + len(self._added.entries)

    def get(self, key: str) -> Any:
        """Return what is stored, and note that it was used."""
        with self._lock:
            found = self._find(key)
        return None if found is None else json.loads(found)

    def set(self, key: str, value: Any, ttl: float) -> None:
        """Store in the place of what is there."""
        content = encoded(value)
        with self._lock:
            self._set(key, content, ttl)

    def add(self, key: str, value: Any, ttl: float) -> bool:
        """Store where nothing is; return whether nothing was.

        :raises StoreUnavailable: where there is no room.
        """
        content = encoded(value)
        with self._lock:
            if self._find(key) is not None:
                return False
            if ttl > 0:
                self._add(key, content, self._clock() + ttl)
            return True

    def replace(self, key: str, value: Any, ttl: float) -> bool:
        """Store where something is; return whether something was."""
        content = encoded(value)
        with self._lock:
            if self._find(key) is None:
                return False
            self._set(key, content, ttl)
            return True

    def delete(self, key: str) -> None:
        """Take it away."""
        with self._lock:
            self._remove(key)

    def _find(self, key: str) -> bytes | None:
        kept = self._kept.entries
        found = kept.get(key) or self._added.entries.get(key)
        if found is None:
            return None
        if found[0] <= self._clock():
            self._remove(key)
            return None
        if key in kept:
            kept.move_to_end(key)
        return found[1]

    def _set(self, key: str, content: bytes, ttl: float) -> None:
        self._remove(key)
        if ttl <= 0:
            return
        shelf = self._kept
        shelf.put(key, self._clock() + ttl, content)
        while shelf.is_over:
            shelf.remove(next(iter(shelf.entries)))

    def _add(self, key: str, content: bytes, ends: float) -> None:
        self._drop_ended()
        self._added.put(key, ends, content)
        if self._added.is_over:
            self._added.remove(key)
            log.error("the store in memory has no room for what must not be lost")
            raise StoreUnavailable()
        heapq.heappush(self._ends, (ends, key))
        if len(self._ends) > 2 * self._added.max_entries:  # of what was deleted
            self._ends = [(ends, key) for key, (ends, _) in self._added.entries.items()]
            heapq.heapify(self._ends)

    def _drop_ended(self) -> None:
        now = self._clock()
        while self._ends and self._ends[0][0] <= now:
            ends, key = heapq.heappop(self._ends)
            found = self._added.entries.get(key)
            if found is not None and found[0] == ends:
                self._added.remove(key)

    def _remove(self, key: str) -> None:
        self._kept.remove(key)
        self._added.remove(key)
