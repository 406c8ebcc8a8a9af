"""One line a request, for machines to read, and the lines that cannot be written.

Neither query nor header values are in it: they hold credentials too often. A disk that
is full, or a pipe that nobody reads, costs the line and nothing else.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from pyramid.request import Request

__all__ = ["Losses", "access_line", "log", "losses", "write_line"]

log = logging.getLogger("pyramid_restproxy.access")

#: How often is said that lines are lost, seconds.
SAY_EVERY = 60.0


def access_line(
    request: Request, status: int, seconds: float, facts: dict[str, Any]
) -> str:
    """Return the line of a request, as JSON.

    :param status: the status that was answered.
    :param seconds: until the last byte was handed to the server.
    :param facts: what else is known; None is left out.
    """
    route = getattr(request, "matched_route", None)
    environ = request.environ
    line = {
        "method": environ["REQUEST_METHOD"],
        "path": _path(environ),
        "status": status,
        "seconds": round(seconds, 6),
        "route": route.name if route is not None else None,
        **facts,
    }
    return json.dumps(
        {name: value for name, value in line.items() if value is not None}
    )


def _path(environ: dict[str, Any]) -> str:
    """Return the path as people read it: WSGI has UTF-8 as if it were Latin-1."""
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


class Losses:
    """The access lines that could not be written. Thread-safe.

    The handlers of :mod:`logging` swallow their errors, and print each of them: of a
    full disk one would hear with every request. Here the errors of access lines are
    counted, and printed once in a while.

    :param every: seconds between two times that it is said.
    :param clock: monotonic seconds.

    :ivar count: how many there were.
    """

    def __init__(
        self, every: float = SAY_EVERY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._say_at: float | None = None
        self.count = 0

    def add(self) -> bool:
        """Count a line; True where it is to be said."""
        with self._lock:
            self.count += 1
            now = self._clock()
            if self._say_at is not None and now < self._say_at:
                return False
            self._say_at = now + self._every
            return True

    def watch(self, logger: logging.Logger) -> None:
        """Hear of the errors of all handlers that a logger has now. Can be repeated."""
        for handler in _handlers(logger):
            if not isinstance(handler.handleError, _Heard):
                heard = _Heard(self, logger.name, handler.handleError)
                handler.handleError = heard  # type: ignore[method-assign]


class _Heard:
    """Stands for the ``handleError`` of a handler."""

    def __init__(
        self, losses: Losses, name: str, say: Callable[[logging.LogRecord], None]
    ) -> None:
        self._losses = losses
        self._name = name
        self._say = say

    def __call__(self, record: logging.LogRecord) -> None:
        if record.name != self._name or self._losses.add():
            self._say(record)


def _handlers(logger: logging.Logger) -> Iterator[logging.Handler]:
    """Yield the handlers that get what a logger says."""
    found: logging.Logger | None = logger
    while found is not None:
        yield from found.handlers
        found = found.parent if found.propagate else None


#: Of this process, as loggers are.
losses = Losses()


def write_line(line: str) -> None:
    """Write a line to the access log; where that fails, count it."""
    try:
        log.info("%s", line)
    except Exception:  # a handler of the application's that does not keep its errors
        losses.add()
