"""An endpoint: one destination of a backend, with what this process knows of it."""

from __future__ import annotations

import threading

from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.health import Health

__all__ = ["Endpoint"]


class Endpoint:
    """A destination and its state. Thread-safe.

    :param destination: where it is.
    :param health: whether it is worth asking.
    :param weight: its share, relative to the others.

    :ivar in_flight: how many exchanges with it are going on.
    :ivar enabled: False takes it out of the rotation, e.g. for maintenance; what is
        in flight finishes.
    """

    __slots__ = ("destination", "health", "weight", "in_flight", "enabled", "_lock")

    def __init__(
        self, destination: Destination, health: Health, weight: float = 1.0
    ) -> None:
        self.destination = destination
        self.health = health
        self.weight = weight
        self.in_flight = 0
        self.enabled = True
        # An answer that nobody sent is finished when it is collected: whenever that is.
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        """The URL of the destination, which is its name."""
        return self.destination.url

    def begin(self) -> None:
        """Count an exchange in."""
        with self._lock:
            self.in_flight += 1

    def finished(self) -> None:
        """Count an exchange out."""
        with self._lock:
            self.in_flight -= 1

    def broken(self) -> None:
        """Note that an answer was broken off."""
        self.health.failed()
