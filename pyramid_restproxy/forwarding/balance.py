"""In which order the destinations of a backend are asked. Imports nothing of ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

__all__ = ["Rotation"]

Item = TypeVar("Item")


class Rotation:
    """Round robin. Thread-safe; each process has its own turn."""

    def __init__(self) -> None:
        self._next = itertools.count()

    def order(self, items: Sequence[Item]) -> Iterator[Item]:
        """Yield every item once, beginning with the one whose turn it is."""
        start = next(self._next) if len(items) > 1 else 0
        for offset in range(len(items)):
            yield items[(start + offset) % len(items)]
