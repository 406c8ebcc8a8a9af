"""How much at a time: a gate for exchanges, a budget for retries. A leaf."""

from __future__ import annotations

import threading

__all__ = ["Gate", "RetryBudget"]


class Gate:
    """A bound on what goes on at the same time. Thread-safe.

    :param limit: how many may be in; 0 for no limit.

    :ivar inside: how many are; not counted where there is no limit.
    """

    __slots__ = ("limit", "inside", "_lock")

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.inside = 0
        # An answer that nobody sent leaves when it is collected: whenever that is.
        self._lock = threading.RLock()

    def enter(self) -> bool:
        """Count one in; False where the limit is reached."""
        if not self.limit:
            return True
        with self._lock:
            if self.inside >= self.limit:
                return False
            self.inside += 1
            return True

    def leave(self) -> None:
        """Count one out."""
        if self.limit:
            with self._lock:
                self.inside -= 1


class RetryBudget:
    """Retries as a share of requests, so that they cannot double a bad day's load.

    Each request pays in a share, each retry takes one out. Thread-safe.

    :param share: retries a request, e.g. 0.2; 0 for none.
    :param reserve: retries that a quiet process may make beyond it.
    """

    def __init__(self, share: float, reserve: float = 10.0) -> None:
        self._share = share
        self._most = reserve if share else 0.0
        self._left = self._most
        self._lock = threading.Lock()

    def pay_in(self) -> None:
        """Count a request."""
        if self._left < self._most:
            with self._lock:
                self._left = min(self._left + self._share, self._most)

    def take(self) -> bool:
        """Take a retry out; False where none is left."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True
