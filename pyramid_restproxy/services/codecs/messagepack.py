"""MessagePack: ``application/msgpack``, streams as one message after the other.

What MessagePack has no type for is extension 1, the MessagePack of ``[kind,
payload]``. An array is extension 2: the MessagePack of ``[dtype, shape]``, then its
bytes. Large arrays are sent and received without a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pyramid_restproxy.services.codecs.base import MAX_RECORD, Codec, truncated
from pyramid_restproxy.services.codecs.pieces import (
    LARGE,
    Buffer,
    Cuts,
    Head,
    Lifted,
    flat,
    lift,
)
from pyramid_restproxy.services.values import (
    MAX_DEPTH,
    Dialect,
    Undecodable,
    Unencodable,
    array_of,
    check_depth,
    mapping_of,
    revive,
)

__all__ = ["MessagePackCodec"]

#: Codes of extensions. The third stands for what :func:`lift` took out.
TAG, ARRAY, LIFTED = 1, 2, 3

#: How deep extensions may lie in each other.
MAX_NESTED = 16

#: What the library writes itself; integers as far as they have 64 bits.
_NATIVE = frozenset({type(None), bool, float, str, bytes})
_MARKER = b"\xd8\x7f" + Cuts.mark  # fixext 16 of code 127


class MessagePackCodec(Codec):
    """MessagePack by the library ``msgpack``."""

    name = "msgpack"
    media_type = "application/msgpack"
    aliases = ("application/vnd.msgpack", "application/x-msgpack")
    stream_type = "application/vnd.pyramid-restproxy.msgpack-stream"
    problem_type = "application/msgpack"
    module = extra = "msgpack"

    def encode(self, value: Any) -> list[Buffer]:
        """Write a value; large arrays are pieces of their own."""
        cuts = Cuts()
        return cuts.pieces(_pack(value, cuts), _MARKER)

    def decode(self, body: Buffer) -> Any:
        """Read a value; large arrays are views of `body`.

        :raises Undecodable: ``syntax``, ``keys``, ``duplicate-key``, ``depth``, or as
            :func:`values.revive` says.
        """
        value = _Reading(lift(body, read_head, _mark)).unpack()
        if len(body) > MAX_DEPTH:
            check_depth(value)
        return value

    def records(self, pieces: Iterable[bytes]) -> Iterator[Any]:
        """Read messages."""
        import msgpack

        unpacker = msgpack.Unpacker(
            max_buffer_size=MAX_RECORD, **_Reading(Lifted(b"", [])).options()
        )
        fed = read = 0
        for piece in pieces:
            fed += len(piece)
            try:
                unpacker.feed(piece)
                for value in unpacker:
                    read = unpacker.tell()
                    check_depth(value)
                    yield value
            except _errors() as error:
                raise _undecodable(error) from error
        if read < fed:
            raise truncated()


# -- writing ------------------------------------------------------------------


def _pack(value: Any, cuts: Cuts) -> bytes:
    import msgpack

    def tag(kind: str, payload: Any) -> Any:
        if kind == "ndarray":
            return _extension_of(payload, cuts)
        packed = _pack_plain([kind, payload])
        # the length of an extension counts what is in it: no cuts there
        return msgpack.ExtType(TAG, cuts.inline(packed, _MARKER))

    dialect = Dialect(tag, _NATIVE | {msgpack.ExtType}, words=True)
    return _pack_plain(dialect.tagged(value))


def _pack_plain(value: Any) -> bytes:
    import msgpack

    try:
        packed: bytes = msgpack.packb(value)
    except (ValueError, OverflowError) as error:
        raise Unencodable(f"MessagePack cannot carry this: {error}") from error
    return packed


def _extension_of(array: Any, cuts: Cuts) -> Any:
    import msgpack

    if array.dtype.hasobject:
        raise Unencodable("an array of objects cannot be sent")
    head = _pack_plain([array.dtype.str, list(array.shape)])
    data = flat(array)
    if len(data) < LARGE:
        return msgpack.ExtType(ARRAY, head + data)
    size = len(head) + len(data)
    if size >= 2**32:
        raise Unencodable("MessagePack has no extensions of 4 GiB")
    cuts.cut(b"\xc9" + size.to_bytes(4, "big") + bytes([ARRAY]) + head, data)
    return msgpack.ExtType(127, Cuts.mark)


# -- reading ------------------------------------------------------------------


class _Reading:
    """One decoding."""

    __slots__ = ("lifted", "nested")

    def __init__(self, lifted: Lifted) -> None:
        self.lifted = lifted
        self.nested = 0

    def options(self) -> dict[str, Any]:
        return {
            "strict_map_key": False,
            "timestamp": 3,  # what others send: a moment in UTC
            "object_pairs_hook": mapping_of,
            "ext_hook": self.extension,
        }

    def unpack(self) -> Any:
        return self.unpack_one(self.lifted.rest)

    def unpack_one(self, body: Buffer) -> Any:
        import msgpack

        try:
            return msgpack.unpackb(body, **self.options())
        except _errors() as error:
            raise _undecodable(error) from error

    def extension(self, code: int, data: bytes) -> Any:
        if code == LIFTED:
            data = self.lifted.buffer(int.from_bytes(data, "big"))  # type: ignore
            code = ARRAY
        if code == ARRAY:
            return self.array(memoryview(data))
        if code != TAG:
            raise Undecodable("tag", f"there is no extension {code}")
        self.nested += 1
        if self.nested > MAX_NESTED:
            raise Undecodable("depth", "extensions nested too deep")
        pair = self.unpack_one(data)
        self.nested -= 1
        if not isinstance(pair, list) or len(pair) != 2:
            raise Undecodable("tag", "extension 1 is not [kind, payload]")
        return revive(*pair)

    def array(self, data: memoryview) -> Any:
        import msgpack

        unpacker = msgpack.Unpacker(**self.options())
        unpacker.feed(data[:4096])
        try:
            head = unpacker.unpack()
        except _errors() as error:
            raise _undecodable(error) from error
        if not isinstance(head, list) or len(head) != 2:
            raise Undecodable("array", "extension 2 is not [dtype, shape], bytes")
        return array_of(head[0], head[1], data[unpacker.tell() :])


def _errors() -> tuple[type[Exception], ...]:
    import msgpack

    # MemoryError: a length that the machine does not have, refused before taken
    return (
        ValueError,
        TypeError,
        RecursionError,
        OverflowError,
        MemoryError,
        msgpack.exceptions.UnpackException,
    )


def _undecodable(error: Exception) -> Undecodable:
    if isinstance(error, Undecodable):
        return error
    if isinstance(error, RecursionError) or type(error).__name__ == "StackError":
        return Undecodable("depth", "nested too deep")
    return Undecodable("syntax", f"not one MessagePack value: {error}")


_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8}
_FIXED |= {0xCC + n: 2**n for n in range(4)} | {0xD0 + n: 2**n for n in range(4)}
_FIXED |= {0xD4 + n: 1 + 2**n for n in range(5)}
#: First byte of the heads that hold a length: bytes of it, bytes of a code.
_COUNTED = {0xC4 + n: (2**n, 0) for n in range(3)}
_COUNTED |= {0xC7 + n: (2**n, 1) for n in range(3)}
_COUNTED |= {0xD9 + n: (2**n, 0) for n in range(3)}
_CONTAINERS = {0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}


def read_head(view: memoryview, at: int) -> Head:
    """Read the head of the item at a position (see :data:`pieces.Head`)."""
    first = view[at]
    if first < 0xA0 or first >= 0xE0:
        return at + 1, None
    if first < 0xC0:
        return at + 1 + (first & 31), None
    if first in _FIXED:
        return at + 1 + _FIXED[first], None
    if first in _CONTAINERS:
        return at + 1 + _CONTAINERS[first], None
    if first not in _COUNTED:
        return len(view), None  # 0xc1, never used: the decoder will say so
    counted, code = _COUNTED[first]
    start = at + 1 + counted + code
    size = int.from_bytes(view[at + 1 : at + 1 + counted], "big")
    end = start + size
    is_array = code and start <= len(view) and view[start - 1] == ARRAY
    return end, (start, end) if is_array and end <= len(view) else None


def _mark(number: int, head: memoryview) -> bytes:
    return b"\xd6" + bytes([LIFTED]) + number.to_bytes(4, "big")  # fixext 4
