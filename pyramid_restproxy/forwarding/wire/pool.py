"""Idle connections: kept, last in, first out, and thrown away."""

from __future__ import annotations

import os
import threading
import time
import weakref

from pyramid_restproxy.forwarding.wire.connections import Connection
from pyramid_restproxy.forwarding.wire.opening import Origin

__all__ = ["Pool"]


class Pool:
    """Idle connections by origin. Thread-safe; empty again after a fork.

    :param size: how many idle connections are kept for one origin.
    :param idle: seconds after which an idle connection is not used any more.
    """

    def __init__(self, size: int, idle: float) -> None:
        self.size = size
        self.idle = idle
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[Connection]] = {}
        self._sweep_at = time.monotonic() + idle
        _pools.add(self)
        # An application that is thrown away leaves no socket behind. Not __del__: in a
        # cycle the sockets could be finalized, with a warning, before the pool is.
        weakref.finalize(self, _close_all, self._idle)

    def take(self, origin: Origin) -> Connection | None:
        """Return an idle connection that is still good, the last one given back."""
        while True:
            with self._lock:
                waiting = self._idle.get(origin)
                if not waiting:
                    return None
                found = waiting.pop()
            # Readable while nothing was asked: closed by the server, or out of step.
            if time.monotonic() - found.idle_since < self.idle and not found.readable():
                return found
            found.close()

    def give(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for later, or close the oldest one that is too many.

        Once in the idle time all that nobody took are closed, of all origins: the
        last one given back is taken first, so the others would wait for ever.
        """
        now = connection.idle_since = time.monotonic()
        surplus: list[Connection] = []
        with self._lock:
            waiting = self._idle.setdefault(origin, [])
            waiting.append(connection)
            if len(waiting) > self.size:
                surplus.append(waiting.pop(0))
            if now >= self._sweep_at:
                self._sweep_at = now + self.idle
                surplus += self._take_old(now - self.idle)
        for each in surplus:
            each.close()

    def drop(self, origin: Origin) -> None:
        """Close what is idle for one origin: no better than one that was stale."""
        with self._lock:
            waiting = self._idle.pop(origin, [])
        for each in waiting:
            each.close()

    def _take_old(self, oldest: float) -> list[Connection]:
        """Take out what was given back before a time, and origins without any."""
        old = []
        for origin, waiting in list(self._idle.items()):
            old += [each for each in waiting if each.idle_since <= oldest]
            waiting[:] = [each for each in waiting if each.idle_since > oldest]
            if not waiting:
                del self._idle[origin]
        return old

    def count(self) -> int:
        """Return how many connections are idle."""
        with self._lock:
            return sum(map(len, self._idle.values()))

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            _close_all(self._idle)

    def forget(self) -> None:
        """Start anew in a child process: the parent's connections are the parent's."""
        self._lock = threading.Lock()
        _close_all(self._idle)  # this process's descriptors only


def _close_all(idle: dict[Origin, list[Connection]]) -> None:
    for waiting in idle.values():
        for connection in waiting:
            connection.close()
    idle.clear()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
