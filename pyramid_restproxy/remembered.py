"""What is worked out once and kept, in bounds. Imports nothing of ours.

Clients and backends choose the texts by which it is kept. So the number of them is
bounded, and their size too: else a few megabytes of requests would take hundreds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["LONGEST", "remembered"]

#: What is longer is worked out each time, characters or bytes.
LONGEST = 256

Given = TypeVar("Given")
Made = TypeVar("Made")


class _Remembered(dict[Given, Made]):
    __slots__ = ("_most", "_work_out")

    def __init__(self, work_out: Callable[[Given], Made], most: int) -> None:
        self._work_out = work_out
        self._most = most

    def __missing__(self, given: Given) -> Made:
        made = self._work_out(given)
        if _size(given) <= LONGEST:
            if len(self) >= self._most:
                self.clear()  # who fills it with rubbish fills it in vain
            self[given] = made
        return made


def _size(given: object) -> int:
    """Return how long a text is, or those of a tuple are together."""
    if isinstance(given, tuple):
        return sum(map(_size, given))
    return len(given) if isinstance(given, (str, bytes)) else 0


def remembered(
    most: int,
) -> Callable[[Callable[[Given], Made]], Callable[[Given], Made]]:
    """Make a pure function of one argument remember what it returned.

    As ``functools.lru_cache`` does, but nothing that is longer than :data:`LONGEST`;
    and what is known costs a look into a dict. Thread-safe.

    :param most: for how many arguments; when there are more, all is forgotten.
    :returns: a decorator. The argument is a text, or a tuple with texts in it.
    """

    def decorate(work_out: Callable[[Given], Made]) -> Callable[[Given], Made]:
        return _Remembered(work_out, most).__getitem__

    return decorate
