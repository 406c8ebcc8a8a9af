"""A store in this process's memory, bounded; what must not be lost has its own room."""

from __future__ import annotations

import heapq
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.stored import encoded

__all__ = ["MAX_ADDED", "MemoryStore"]

log = logging.getLogger(__name__)

#: How many nonces are remembered: those of 1600 signed requests a second, for the 601
#: seconds that each of them could be used again. 150 MB where there are that many.
MAX_ADDED = 1_000_000

#: A longer name (characters) is kept as a digest: nobody may have a lot of them kept.
LONGEST_NAME = 64

#: Takes text with something behind it too; what is read here was written here.
_decode = json.JSONDecoder().raw_decode


#: The JSON of ``""``, which most of what is added has for a value: nonces.
_EMPTY = '""'


class _Shelf:
    """Entries up to a number and a size. Not thread-safe.

    :ivar entries: (when it ends, JSON) by key; what was used last is at the end.
    """

    #: What an entry costs beside its key and value, bytes, about.
    OVERHEAD = 256

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.entries: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self.bytes = 0

    def get(self, key: str, now: float) -> str | None:
        """Return what is there, and note that it was used."""
        found = self.entries.get(key)
        if found is None:
            return None
        if found[0] <= now:
            self.remove(key)
            return None
        self.entries.move_to_end(key)
        return found[1]

    def put(self, key: str, ends: float, value: str) -> None:
        """Put in what is not there; what was used least goes for it."""
        self.entries[key] = ends, value
        self.bytes += len(key) + len(value) + self.OVERHEAD
        while self.bytes > self.max_bytes or len(self.entries) > self.max_entries:
            self.remove(next(iter(self.entries)))

    def remove(self, key: str) -> None:
        found = self.entries.pop(key, None)
        if found is not None:
            self.bytes -= len(key) + len(found[1]) + self.OVERHEAD


@dataclass(slots=True)
class _Second:
    """What ends in the same second.

    :ivar ends: which one.
    :ivar names: see :func:`_short`.
    """

    ends: float
    names: list[str]


class _Added:
    """What stays for its whole time, up to a number and a size. Not thread-safe.

    Of its end the second is kept, rounded up, which it shares with others; of a long
    name the digest: about 150 bytes for each, and the value where it is not ``""``.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.bytes = 0
        self._seconds: dict[float, _Second] = {}
        self._order: list[float] = []  # a heap, of these
        self._entries: dict[str, _Second] = {}
        self._values: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> str | None:
        """Return what is there."""
        name = _short(key)
        found = self._entries.get(name)
        if found is None:
            return None
        if found.ends <= now:
            self._forget(name)
            return None
        return self._values.get(name, _EMPTY)

    def add(self, key: str, value: str, ends: float, now: float) -> bool:
        """Put in what is not there; return whether it was not.

        :raises StoreUnavailable: where there is no room.
        """
        if self._order and self._order[0] <= now:
            self._drop_first()  # one second, not all: that holds up nobody for long
        name = _short(key)
        there = self._entries.get(name)
        if there is not None:
            if there.ends > now:
                return False
            self._forget(name)
        if ends <= now:
            return True
        while len(self._entries) >= self.max_entries:
            self._make_room(now)
        if value != _EMPTY:  # few: a nonce has none
            self._put_value(name, value, now)
        last = -(-ends // 1)  # rounded up; a float, as it is compared with them
        second = self._seconds.get(last) or self._begin(last)
        second.names.append(name)
        self._entries[name] = second
        return True

    def _put_value(self, name: str, value: str, now: float) -> None:
        while self.bytes + len(value) > self.max_bytes:
            self._make_room(now)
        self._values[name] = value
        self.bytes += len(value)

    def remove(self, key: str) -> None:
        name = _short(key)
        if name in self._entries:
            self._forget(name)

    def _begin(self, ends: float) -> _Second:
        self._seconds[ends] = begun = _Second(ends, [])
        heapq.heappush(self._order, ends)
        return begun

    def _make_room(self, now: float) -> None:
        if not self._order or self._order[0] > now:
            log.error("the store in memory has no room for what must not be lost")
            raise StoreUnavailable()
        self._drop_first()

    def _drop_first(self) -> None:
        """Drop what ends in one second, the first."""
        for name in self._seconds.pop(heapq.heappop(self._order)).names:
            del self._entries[name]
            self._drop_value(name)

    def _forget(self, name: str) -> None:
        self._entries.pop(name).names.remove(name)  # long, and hardly ever wanted
        self._drop_value(name)

    def _drop_value(self, name: str) -> None:
        self.bytes -= len(self._values.pop(name, ""))


def _short(key: str) -> str:
    """Return a name, or what stands for a long one: no short one is as long."""
    if len(key) <= LONGEST_NAME:
        return key  # a nonce
    return "#" + sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class MemoryStore:
    """A store in this process; good for one process.

    What was ``set`` goes when room is wanted, the least recently used first: somebody
    has to log in again. What was ``add``-ed does not, or a nonce could be used again:
    it has a room of its own, and where that is full the store is unavailable.

    :param max_entries: how many may be set.
    :param max_bytes: of their keys and values together, with 256 for each; the same for
        the values of what was added.
    :param max_added: how many may be added; without a value each takes 150 bytes.
    :param clock: seconds of a clock that is never turned back.
    """

    def __init__(
        self,
        max_entries: int = 50_000,
        max_bytes: int = 32 * 1024 * 1024,
        max_added: int = MAX_ADDED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept = _Shelf(max_entries, max_bytes)
        self._added = _Added(max_added, max_bytes)

    def __len__(self) -> int:
        return len(self._kept.entries) + len(self._added)

    def get(self, key: str) -> Any:
        """Return what is stored, and note that it was used."""
        with self._lock:
            now = self._clock()
            found = self._kept.get(key, now) or self._added.get(key, now)
        return None if found is None else _decode(found)[0]

    def set(self, key: str, value: Any, ttl: float) -> None:
        """Store in the place of what is there."""
        content = encoded(value)
        with self._lock:
            self._set(key, content, ttl)

    def add(self, key: str, value: Any, ttl: float) -> bool:
        """Store where nothing is; return whether nothing was.

        It stays for up to a second longer.

        :raises StoreUnavailable: where there is no room.
        """
        content = _EMPTY if value == "" else encoded(value)
        with self._lock:
            now = self._clock()
            if key in self._kept.entries and self._kept.get(key, now) is not None:
                return False
            return self._added.add(key, content, now + ttl, now)

    def replace(self, key: str, value: Any, ttl: float) -> bool:
        """Store where something is; return whether something was."""
        content = encoded(value)
        with self._lock:
            if self._find(key) is None:
                return False
            self._set(key, content, ttl)
            return True

    def touch(self, key: str, ttl: float) -> bool:
        """Let it stay for so long from now; return whether something was there."""
        with self._lock:
            found = self._find(key)
            if found is None:
                return False
            self._set(key, found, ttl)
            return True

    def delete(self, key: str) -> None:
        """Take it away."""
        with self._lock:
            self._remove(key)

    def _find(self, key: str) -> str | None:
        now = self._clock()
        found = self._kept.get(key, now)
        return self._added.get(key, now) if found is None else found

    def _set(self, key: str, content: str, ttl: float) -> None:
        self._remove(key)
        if ttl > 0:
            self._kept.put(key, self._clock() + ttl, content)

    def _remove(self, key: str) -> None:
        self._kept.remove(key)
        self._added.remove(key)
