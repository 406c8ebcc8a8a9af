"""Drain: how a process ends without breaking what it is doing.

First the readiness view says 503 while requests are still served, so that a balancer
can turn away; after the grace time new requests are answered 503; when none is in
flight, or the timeout is over, the process gets SIGINT, as by Ctrl+C.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

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
    """Whether a process is ending, and what it still does. Thread-safe.

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
        self._lock = threading.Lock()
        self._began: float | None = None
        self.in_flight = 0

    @property
    def draining(self) -> bool:
        """Whether the process is ending."""
        return self._began is not None

    @property
    def refusing(self) -> bool:
        """Whether new requests are answered 503."""
        return self._began is not None and self._clock() >= self._began + self.grace

    def begin(self) -> None:
        """Begin to end. Can be repeated."""
        if self._began is None:
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
        while not self.refusing:
            pause(LOOK)
        until = self._clock() + self.timeout
        while self.in_flight > 0 and self._clock() < until:
            pause(LOOK)
        whole = self.in_flight == 0
        pause(LINGER)
        return whole


def drain_on_sigterm(drain: Drain) -> None:
    """Drain this process when it gets SIGTERM, then end it.

    For servers that leave the signal alone (waitress); gunicorn and others have a
    graceful stop of their own. Works in the main thread only, as signals do; a handler
    that the application has set for SIGTERM is replaced.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if not drain.draining:
            drain.begin()
            threading.Thread(target=_end, args=(drain,), name="drain").start()

    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # A shell that is no terminal's starts its `&` jobs so; it ends us here.
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, handle)
    else:
        log.warning("SIGTERM does not drain: the application was made in a thread")


def _end(drain: Drain, kill: Callable[[int, int], Any] = os.kill) -> None:
    log.info("draining for %s s, then up to %s s", drain.grace, drain.timeout)
    whole = drain.wait()
    log.info("drained" if whole else "%d requests did not finish", *_left(drain, whole))
    # What Ctrl+C does: servers close their sockets and let their threads finish.
    kill(os.getpid(), signal.SIGINT)


def _left(drain: Drain, whole: bool) -> tuple[int, ...]:
    return () if whole else (drain.in_flight,)
