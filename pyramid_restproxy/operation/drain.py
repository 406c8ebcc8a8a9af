"""Drain: how a process ends without breaking what it is doing.

First the readiness view says 503 while requests are still served, so that a balancer
can turn away; after the grace time new requests are answered 503; when none is in
flight, or the timeout is over, the process gets SIGINT, as by Ctrl+C.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any
from weakref import WeakSet

from zope.interface import Interface

__all__ = ["Drain", "IDrain", "drain_on_sigterm"]

log = logging.getLogger(__name__)

#: How long the server has for the last bytes that it was given, seconds.
LINGER = 0.5
#: How often is looked whether requests are still in flight, seconds.
LOOK = 0.05


class IDrain(Interface):
    """The :class:`Drain` of an application, in its registry."""


class Drain:
    """Whether a process is ending, and what an application still does. Thread-safe.

    :param grace: seconds in which requests are still taken.
    :param timeout: seconds after them in which those in flight may finish.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        grace: float = 0.0,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.grace = grace
        self.timeout = timeout
        self._clock = clock
        # An answer that nobody sent leaves when it is collected: whenever that is.
        self._lock = threading.RLock()
        self._began = math.inf
        self.in_flight = 0

    @property
    def draining(self) -> bool:
        """Whether the process is ending."""
        return self._began < math.inf

    @property
    def refusing(self) -> bool:
        """Whether new requests are answered 503."""
        return self._clock() >= self._began + self.grace

    @property
    def over(self) -> bool:
        """Whether nothing is in flight after the grace time, or the timeout is over."""
        until = self._began + self.grace + self.timeout
        return self.refusing and (self.in_flight == 0 or self._clock() >= until)

    def begin(self) -> None:
        """Begin to end. Can be repeated."""
        if not self.draining:
            self._began = self._clock()

    def enter(self) -> None:
        """Count a request in."""
        with self._lock:
            self.in_flight += 1

    def leave(self) -> None:
        """Count a request out."""
        with self._lock:
            self.in_flight -= 1

    def wait(self, pause: Callable[[float], object] = time.sleep) -> bool:
        """Wait until nothing is in flight after the grace time.

        :param pause: waits so many seconds.
        :returns: False where the timeout came first.
        """
        self.begin()
        while not self.over:
            pause(LOOK)
        return self.in_flight == 0


class OnSigterm:
    """What a process does when it gets SIGTERM: all of its applications drain."""

    def __init__(self) -> None:
        self.drains: WeakSet[Drain] = WeakSet()  # they go with their applications
        self._ending = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Begin to end, in a thread that keeps nobody from ending it at once."""
        if self._ending:
            return
        self._ending = True
        drains = list(self.drains)
        for drain in drains:
            drain.begin()
        threading.Thread(target=_end, args=(drains,), name="drain", daemon=True).start()


#: Of this process, as signals are.
on_sigterm = OnSigterm()


def drain_on_sigterm(drain: Drain) -> None:
    """Drain this process when it gets SIGTERM, then end it.

    For servers that leave the signal alone (waitress); gunicorn and others have a
    graceful stop of their own. Works in the main thread only, as signals do; a handler
    that the application has set for SIGTERM is replaced. Several applications of a
    process drain at the same time.
    """
    if threading.current_thread() is threading.main_thread():
        on_sigterm.drains.add(drain)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # A shell that is no terminal's starts its `&` jobs so; it ends us here.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, on_sigterm)
    else:
        log.warning("SIGTERM does not drain: the application was made in a thread")


def _end(drains: Iterable[Drain], kill: Callable[[int, int], Any] = os.kill) -> None:
    for drain in drains:  # their times go on together: all have begun
        log.info("draining for %s s, then up to %s s", drain.grace, drain.timeout)
        if drain.wait():
            log.info("drained")
        else:
            log.info("%d requests did not finish", drain.in_flight)
    time.sleep(LINGER)
    if threading.main_thread().is_alive():  # else somebody has pressed Ctrl+C
        # What Ctrl+C does: servers close their sockets and let their threads finish.
        kill(os.getpid(), signal.SIGINT)
