"""Whether a destination is worth asking: strikes, cool-down, one probe. A leaf.

Passive health only: what the traffic shows. The state is this process's own. Asking
on purpose is in ``probes``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["CLOSED", "HALF_OPEN", "OPEN", "Health", "HealthPolicy"]

#: The states of a circuit breaker: asked, not asked, one request let through.
CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """When a destination leaves the rotation, and for how long.

    :ivar max_fails: failures within the window after which it leaves; 0 for never.
    :ivar window: seconds.
    :ivar cool_down: seconds before one request is let through to see.
    :ivar error_rate: share of failed requests within the window (0 to 1) after which
        it leaves too; 0 for never.
    :ivar min_volume: requests within the window before the share counts.
    """

    max_fails: int = 0
    window: float = 10.0
    cool_down: float = 10.0
    error_rate: float = 0.0
    min_volume: int = 20

    @property
    def is_on(self) -> bool:
        """Whether anything can make a destination leave."""
        return bool(self.max_fails or self.error_rate)


class Health:
    """The health of one destination. Thread-safe.

    :param policy: when it leaves the rotation.
    :param clock: monotonic seconds.
    """

    def __init__(
        self, policy: HealthPolicy, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.policy = policy
        self._clock = clock
        self._lock = threading.Lock()
        self._fails: deque[float] = deque()
        self._successes: deque[float] = deque()
        self._open_until: float | None = None
        self._probing_since: float | None = None
        self._probers: set[int] = set()  # threads of the requests that were let through

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        until = self._open_until  # read once: another thread may close it meanwhile
        if until is None:
            return CLOSED
        waiting = self._clock() < until
        return OPEN if waiting and self._probing_since is None else HALF_OPEN

    @property
    def is_closed(self) -> bool:
        """Whether it may be asked without further thought."""
        return self._open_until is None

    def seconds_left(self) -> float:
        """Return after how many seconds it may be asked again; 0 for now."""
        until = self._open_until
        return 0.0 if until is None else max(0.0, until - self._clock())

    def admit(self) -> bool:
        """Say whether a request may go there; in half-open one at a time.

        Who is admitted must call :meth:`succeeded`, :meth:`failed` or
        :meth:`abandoned`, in the same thread: by it those that were let through are
        told from those that were sent before. After the cool-down one more is let
        through, whether or not the probe before it has been reported on.
        """
        if self._open_until is None:
            return True
        with self._lock:
            if self._open_until is None:
                return True
            now = self._clock()
            probing = self._probing_since
            if probing is not None and now - probing < self.policy.cool_down:
                return False
            if now < self._open_until:
                return False
            self._probing_since = now
            self._probers.add(threading.get_ident())
            return True

    def succeeded(self) -> None:
        """Note a request that was answered; a probe closes the circuit.

        An answer to a request that is older than the open circuit says nothing of it.
        """
        if self._open_until is not None:
            with self._lock:
                if self._was_let_through():
                    self._close()
        if self.policy.error_rate:
            with self._lock:
                self._successes.append(self._clock())
                self._forget_old()

    def failed(self) -> None:
        """Note a request that the destination failed; a probe begins a new rest.

        One that is older than the open circuit says nothing of it either.
        """
        if not self.policy.is_on:
            return
        with self._lock:
            now = self._clock()
            self._fails.append(now)
            self._forget_old()
            is_closed = self._open_until is None
            if self._too_many() if is_closed else self._was_let_through():
                self._open_until = now + self.policy.cool_down
                self._end_probes()

    def abandoned(self) -> None:
        """Note a request that says nothing: its client left, or it was not sent."""
        with self._lock:
            if self._was_let_through():
                self._probing_since = None

    def _was_let_through(self) -> bool:
        """Say whether it is a probe that this thread reports on; once for each."""
        thread = threading.get_ident()
        is_probe = thread in self._probers
        self._probers.discard(thread)
        return is_probe

    def _too_many(self) -> bool:
        policy, fails = self.policy, len(self._fails)
        if policy.max_fails and fails >= policy.max_fails:
            return True
        total = fails + len(self._successes)
        return bool(
            policy.error_rate
            and total >= policy.min_volume
            and fails / total >= policy.error_rate
        )

    def _close(self) -> None:
        self._open_until = None
        self._end_probes()
        self._fails.clear()
        self._successes.clear()

    def _end_probes(self) -> None:
        self._probing_since = None
        self._probers.clear()

    def _forget_old(self) -> None:
        oldest = self._clock() - self.policy.window
        for times in (self._fails, self._successes):
            while times and times[0] < oldest:
                times.popleft()

    # -- for active probes --------------------------------------------------------

    def take_out(self) -> None:
        """Take it out of the rotation until :meth:`bring_back`."""
        with self._lock:
            self._open_until = float("inf")
            self._end_probes()

    def bring_back(self) -> None:
        """Put it into the rotation."""
        with self._lock:
            self._close()
