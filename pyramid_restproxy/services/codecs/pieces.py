"""Large buffers beside the small rest, so that nobody copies them.

An encoder writes a short mark where a large buffer belongs, and :class:`Cuts` puts
the buffer there afterwards, as a piece of its own. A decoder's :func:`lift` does the
reverse: it takes large byte strings out of a body and leaves short marks.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyramid_restproxy.services.values import Undecodable

__all__ = [
    "LARGE",
    "MAX_HEADS",
    "Body",
    "Buffer",
    "Cuts",
    "Head",
    "Lifted",
    "flat",
    "lift",
    "size_of",
]

Buffer = bytes | bytearray | memoryview

#: From how many bytes a buffer is worth a piece of its own.
LARGE = 65536
#: How many items of a body are looked at for large byte strings; those that come
#: later are copied.
MAX_HEADS = 10_000

_MARK = secrets.token_bytes(16)


class Body:
    """Pieces as the body of a message; can be sent again.

    :param pieces: the pieces, in order.
    """

    __slots__ = ("pieces", "_size")

    def __init__(self, pieces: Sequence[Buffer]) -> None:
        self.pieces = tuple(pieces)
        self._size = size_of(pieces)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Buffer]:
        return iter(self.pieces)


def size_of(pieces: Sequence[Buffer]) -> int:
    """Return how many bytes pieces have together."""
    return sum(map(len, pieces))


def flat(array: Any) -> memoryview:
    """Return the bytes of an array in C order, copied only where it is not."""
    import numpy

    whole = numpy.ascontiguousarray(array).reshape(-1)
    return whole.view(numpy.uint8).data if whole.size else memoryview(b"")


class Cuts:
    """The large buffers of one encoding, in the order in which they were met."""

    __slots__ = ("_buffers",)

    #: What stands for a buffer; nobody outside can know it.
    mark = _MARK

    def __init__(self) -> None:
        self._buffers: list[tuple[bytes, memoryview]] = []

    def cut(self, head: bytes, buffer: memoryview) -> None:
        """Remember a buffer.

        :param head: the bytes that precede it instead of those of the mark.
        """
        self._buffers.append((head, buffer))

    def inline(self, encoded: bytes, marker: bytes) -> bytes:
        """Put the latest buffers into what was encoded last, and forget them."""
        number = encoded.count(marker)
        if not number:
            return encoded
        last = Cuts()
        last._buffers = self._buffers[-number:]
        del self._buffers[-number:]
        return b"".join(last.pieces(encoded, marker))

    def pieces(self, encoded: bytes, marker: bytes) -> list[Buffer]:
        """Put the buffers where they belong.

        :param encoded: what the encoder wrote.
        :param marker: the mark as the encoder wrote it, with its head.
        """
        if not self._buffers:
            return [encoded]
        found: list[Buffer] = []
        start = 0
        for head, buffer in self._buffers:
            at = encoded.index(marker, start)
            found += [encoded[start:at] + head, buffer]
            start = at + len(marker)
        return [*found, encoded[start:]] if start < len(encoded) else found


#: The head of one item: where what follows the head and its content begins, and the
#: span of its content where that is a byte string that may be lifted.
Head = tuple[int, tuple[int, int] | None]


class Lifted:
    """A body without its large byte strings.

    :ivar rest: the body with marks in their place.
    :ivar buffers: the byte strings, views of the body.
    """

    __slots__ = ("rest", "buffers")

    def __init__(self, rest: Buffer, buffers: list[memoryview]) -> None:
        self.rest = rest
        self.buffers = buffers

    def buffer(self, index: Any) -> memoryview:
        """Return the byte string that a mark stands for.

        :raises Undecodable: where the mark was forged.
        """
        if type(index) is not int or not 0 <= index < len(self.buffers):
            raise Undecodable("tag", "a mark that stands for nothing")
        return self.buffers[index]


def lift(
    body: Buffer,
    read_head: Callable[[memoryview, int], Head],
    mark: Callable[[int, memoryview], bytes],
) -> Lifted:
    """Take large byte strings out of a body.

    :param read_head: reads the head of the item at a position.
    :param mark: makes the item that stands for a byte string: gets its number and
        the head that it had.
    """
    view = memoryview(body)
    if len(view) < LARGE:
        return Lifted(body, [])
    parts: list[Buffer] = []
    buffers: list[memoryview] = []
    at = kept = 0
    for _ in range(MAX_HEADS):
        if at >= len(view):
            break
        after, span = read_head(view, at)
        if span and span[1] - span[0] >= LARGE:
            parts += [view[kept:at], mark(len(buffers), view[at : span[0]])]
            buffers.append(view[span[0] : span[1]])
            kept = after
        at = after
    if not buffers:
        return Lifted(body, [])
    return Lifted(b"".join([*parts, view[kept:]]), buffers)
