"""Requests for the same thing at the same time: one asks, the others wait for it.

A :class:`Flight` is one fetch from a backend; :class:`Flights` are those of this
process. Neither knows what is fetched.
"""

from __future__ import annotations

import threading
import time
from weakref import WeakSet, WeakValueDictionary

from pyramid_restproxy.forwarding.cache.entry import Entry

__all__ = ["Flight", "Flights"]


class Flight:
    """One fetch, and what came of it.

    :ivar resource: the place of what is fetched, all variants together.
    :ivar until: when the others stop waiting for it, monotonic seconds.
    :ivar entry: what can be shared, once it has landed.
    :ivar left: whether who began it left before its end: another may begin it anew.
    :ivar spoiled: whether the resource was changed meanwhile: what comes may be old.
    """

    __slots__ = (
        "__weakref__",
        "_landed",
        "entry",
        "left",
        "resource",
        "spoiled",
        "until",
    )

    def __init__(self, resource: str, until: float) -> None:
        self.resource = resource
        self.until = until
        self.entry: Entry | None = None
        self.left = False
        self.spoiled = False
        self._landed = threading.Event()

    @property
    def landed(self) -> bool:
        """Whether it is over."""
        return self._landed.is_set()

    def land(self, entry: Entry | None = None) -> None:
        """Let those go that wait; only the first call counts."""
        if not self.landed:
            self.entry = None if self.spoiled else entry
            self._landed.set()

    def leave(self) -> None:
        """Let it land with nothing, because its client has gone; no fault of others."""
        if not self.landed:
            self.left = True
            self.land()

    def __enter__(self) -> Flight:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let it land where an error ends it; else somebody else will."""
        if kind is not None:
            self.land()

    def wait(self, until: float) -> Entry | None:
        """Wait for the end, but not for long.

        :param until: when the caller has waited enough, monotonic seconds.
        :returns: what can be shared; None where there is nothing, or not yet.
        """
        limit = min(self.until, until) - time.monotonic()
        self._landed.wait(max(0.0, limit))
        return self.entry


class Flights:
    """The fetches that are under way.

    They are not held here: one whose answer was dropped without being closed is
    forgotten with it.

    :param timeout: how long others wait for one, seconds.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._shared: WeakValueDictionary[str, Flight] = WeakValueDictionary()
        self._all: WeakSet[Flight] = WeakSet()

    def begin(self, resource: str) -> Flight:
        """Begin a fetch that nobody waits for."""
        with self._lock:
            return self._begin(resource)

    def join(self, slot: str, resource: str) -> tuple[Flight, bool]:
        """Find the fetch for a place, or begin it.

        :returns: the flight, and whether it was begun: then the caller must let it
            land. One that has taken too long is not joined any more.
        """
        with self._lock:
            found = self._shared.get(slot)
            if found is not None and _can_be_joined(found):
                return found, False
            self._shared[slot] = begun = self._begin(resource)
            return begun, True

    def _begin(self, resource: str) -> Flight:
        flight = Flight(resource, time.monotonic() + self._timeout)
        self._all.add(flight)
        return flight

    def spoil(self, resource: str) -> None:
        """Note that a resource has changed while it is being fetched."""
        with self._lock:
            for flight in self._all:
                if flight.resource == resource:
                    flight.spoiled = True


def _can_be_joined(flight: Flight) -> bool:
    return not flight.landed and time.monotonic() < flight.until
