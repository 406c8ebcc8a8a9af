"""How long an exchange may take, and whose time that is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from pyramid_restproxy.forwarding.wire.errors import DeadlineExceeded, ReadTimeout

__all__ = ["Deadline"]


class Deadline:
    """How long an exchange may take, and how long the peer may be silent.

    The total time is the peer's. While another is waited for, a client of ours that
    sends slowly or takes slowly, it stands still: :meth:`pause`, :meth:`resume`.

    :param silence: seconds between two bytes, None for no limit.
    :param total: seconds from now, None for no limit.
    """

    __slots__ = ("silence", "at", "_paused_at")

    def __init__(self, silence: float | None, total: float | None) -> None:
        self.silence = silence
        self.at = None if total is None else time.monotonic() + total
        self._paused_at = 0.0

    def wait(self, limit: float | None = None) -> float | None:
        """Return how long to wait for the next byte (or `limit`), in seconds.

        :raises DeadlineExceeded: where the total time is over.
        """
        limit = self.silence if limit is None else limit
        if self.at is None:
            return limit
        left = self.at - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the exchange took longer than its total timeout")
        return left if limit is None else min(limit, left)

    def pause(self) -> None:
        """Note that from now on it is not the peer who is waited for."""
        self._paused_at = time.monotonic()

    def resume(self) -> None:
        """Note that it is again: the time since :meth:`pause` does not count."""
        if self.at is not None:
            self.at += time.monotonic() - self._paused_at

    def without(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield pieces; the time that passes until they come does not count."""
        self.pause()
        for piece in pieces:
            self.resume()
            yield piece
            self.pause()
        self.resume()

    def left(self) -> float:
        """Return how many seconds are left in all; infinity where there is no limit."""
        return float("inf") if self.at is None else self.at - time.monotonic()

    def timed_out(self) -> ReadTimeout | DeadlineExceeded:
        """Return the error that fits: which of the two limits was it?"""
        if self.at is not None and time.monotonic() >= self.at:
            return DeadlineExceeded("the exchange took longer than its total timeout")
        return ReadTimeout(f"the server was silent for {self.silence} s")
