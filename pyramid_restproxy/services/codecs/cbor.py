"""CBOR (RFC 8949): ``application/cbor``, streams as CBOR sequences (RFC 8742).

Registered tags where there are some: 0 and 1004 for moments and days, 2 to 4 for
large and decimal numbers, 37 for UUIDs, 258 for sets, 43000 for complex numbers, and
those of RFC 8746 for arrays. The rest is tag 27, ``[kind, payload]``. Tags that have
no use here (regular expressions, shared references, ...) are refused. Large arrays
are sent and received without a copy.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pyramid_restproxy.services.codecs.base import (
    MAX_RECORD,
    Codec,
    too_long,
    truncated,
)
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
    MAX_DIGITS,
    Dialect,
    Undecodable,
    Unencodable,
    array_of,
    decimal_of,
    integer_of,
    parts_of,
    revive,
)

__all__ = ["CborCodec"]

MOMENT, DAY, UUID_TAG, SET, COMPLEX = 0, 1004, 37, 258, 43000
LARGE_POSITIVE, LARGE_NEGATIVE, DECIMAL = 2, 3, 4
OBJECT, ROWS, COLUMNS = 27, 40, 1040
#: A private tag that stands for what :func:`lift` took out; never sent.
LIFTED = 0x52505258

#: Typed arrays (RFC 8746 section 2.1): tag by element type, and the other way.
TYPED = {
    f"{order}{kind}{2**size}": 64 + base + little + size - (kind == "f")
    for kind, base in (("u", 0), ("i", 8), ("f", 16))
    for order, little in ((">", 0), ("<", 4))
    for size in ((1, 2, 3) if kind == "f" else (0, 1, 2, 3))
    if size or order == ">"
}
ELEMENTS = {tag: dtype for dtype, tag in TYPED.items()} | {68: "|u1"}  # 68: clamped

#: Tags that the library reads and that have no use here: shared values can make
#: cycles, bigfloats and fractions cost more than they weigh, patterns are programs.
REFUSED = (5, 25, 28, 29, 30, 35, 36, 52, 54, 100, 256, 260, 261)

#: What the library writes itself.
_NATIVE = frozenset({type(None), bool, float, str, bytes})
_MARKER = b"\x50" + Cuts.mark  # a byte string of 16 bytes
#: What may begin a value that nothing else has: undefined, or a simple one.
_ODD = re.compile(rb"[\xe0-\xf3\xf7\xf8]")
_RFC3339 = re.compile(r".*T.*(?:[+-]\d\d:\d\d)")


class CborCodec(Codec):
    """CBOR by the library ``cbor2``, version 6."""

    name = "cbor"
    media_type = "application/cbor"
    stream_type = "application/cbor-seq"
    problem_type = "application/cbor"
    module = "cbor2"
    extra = "cbor"

    def encode(self, value: Any) -> list[Buffer]:
        """Write a value; large arrays are pieces of their own."""
        import cbor2

        cuts = Cuts()

        def tag(kind: str, payload: Any) -> Any:
            if kind == "ndarray":
                return _array_tag(payload, cuts)
            make = _REGISTERED.get(kind)
            found = make(payload) if make else None
            return cbor2.CBORTag(OBJECT, [kind, payload]) if found is None else found

        dialect = Dialect(tag, _NATIVE | {cbor2.CBORTag})
        try:
            encoded: bytes = cbor2.dumps(dialect.tagged(value))
        except (UnicodeEncodeError, cbor2.CBOREncodeError) as error:
            raise Unencodable(f"CBOR cannot carry this: {error}") from error
        return cuts.pieces(encoded, _MARKER)

    def decode(self, body: Buffer) -> Any:
        """Read a value; large arrays are views of `body`.

        :raises Undecodable: ``syntax``, ``depth``, or as :func:`values.revive` says.
        """
        lifted = lift(body, read_head, _mark)
        stream = io.BytesIO(lifted.rest)
        value = _read(_decoder(stream, lifted))
        if stream.read(1):
            raise Undecodable("syntax", "bytes follow the CBOR value")
        if _ODD.search(lifted.rest):
            _check_parts(value)
        return value

    def records(self, pieces: Iterable[bytes]) -> Iterator[Any]:
        """Read a sequence."""
        source = _Pieces(iter(pieces))
        stream = io.BufferedReader(source, LARGE)
        decoder = _decoder(stream, Lifted(b"", []))
        while stream.peek(1):
            source.given = 0
            value = _read(decoder, truncated())
            _check_parts(value)
            yield value


class _Pieces(io.RawIOBase):
    """A stream of pieces as a file; a read waits for one piece at most.

    :ivar given: how many bytes the record has had so far, but for what was read ahead.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = memoryview(piece)
        size = min(len(into), len(self._held))
        into[:size] = self._held[:size]
        self._held = self._held[size:]
        self.given += size
        if self.given > MAX_RECORD:
            raise too_long()
        return size


# -- writing ------------------------------------------------------------------


def _moment(text: str) -> Any:
    import cbor2

    return cbor2.CBORTag(MOMENT, text) if _RFC3339.fullmatch(text) else None


def _day(text: str) -> Any:
    import cbor2

    return cbor2.CBORTag(DAY, text)


def _decimal(text: str) -> Decimal | None:
    number = Decimal(text)
    # tag 4 has neither a negative zero nor NaN nor infinities, and its mantissa is an
    # integer, whose digits are counted
    plain = number.is_finite() and number and len(text) < MAX_DIGITS
    return number if plain else None


def _uuid(text: str) -> Any:
    import cbor2

    return cbor2.CBORTag(UUID_TAG, UUID(text).bytes)


def _complex(parts: list[float]) -> Any:
    import cbor2

    return cbor2.CBORTag(COMPLEX, parts)


def _set(members: list[Any]) -> Any:
    import cbor2

    return cbor2.CBORTag(SET, members)


_REGISTERED: dict[str, Callable[[Any], Any]] = {
    "datetime": _moment,
    "date": _day,
    "decimal": _decimal,
    "uuid": _uuid,
    "complex": _complex,
    "set": _set,
}


def _array_tag(array: Any, cuts: Cuts) -> Any:
    import cbor2

    if array.dtype.hasobject:
        raise Unencodable("an array of objects cannot be sent")
    name, shape = array.dtype.str, list(array.shape)
    typed = TYPED.get(name.replace("|", ">"))
    data: Any = flat(array)
    if len(data) >= LARGE:
        cuts.cut(b"\x5b" + len(data).to_bytes(8, "big"), data)
        data = Cuts.mark
    else:
        data = bytes(data)
    if typed is None:
        return cbor2.CBORTag(OBJECT, ["ndarray", [name, shape, data]])
    row = cbor2.CBORTag(typed, data)
    return row if len(shape) == 1 else cbor2.CBORTag(ROWS, [shape, row])


# -- reading ------------------------------------------------------------------


def _decoder(stream: Any, lifted: Lifted) -> Any:
    import cbor2

    tags = _TAGS
    if lifted.buffers:
        tags = tags | {LIFTED: lambda number, _: lifted.buffer(number)}
    return cbor2.CBORDecoder(
        stream,
        semantic_decoders=tags,
        tag_hook=_unknown,
        max_depth=MAX_DEPTH,
        allow_duplicate_keys=False,
        # the hashes of other keys can be chosen so that all of them collide
        strict_hashable_types=True,
    )


def _read(decoder: Any, early_end: Undecodable | None = None) -> Any:
    import cbor2

    try:
        return decoder.decode()
    except Undecodable:
        raise  # of the stream: a record without end
    except cbor2.CBORDecodeEOF as error:
        raise early_end or Undecodable("syntax", "the CBOR value is cut off") from error
    except cbor2.CBORDecodeError as error:
        raise _undecodable(error) from error
    except (RecursionError, MemoryError, OverflowError, ValueError) as error:
        raise Undecodable("syntax", "not a CBOR value") from error


def _undecodable(error: BaseException) -> Undecodable:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Undecodable):
            return cause
        cause = cause.__cause__
    code = "depth" if "nesting depth" in str(error) else "syntax"
    return Undecodable(code, f"not one CBOR value: {error}")


def _check_parts(value: Any) -> None:
    """Refuse what CBOR has and no service can answer with (RFC 8949 section 3.3)."""
    import cbor2

    odd = {type(cbor2.undefined), cbor2.CBORSimpleValue}
    if any(type(each) in odd for each in parts_of(value)):
        raise Undecodable("simple", "a simple value of CBOR that has no use here")


def _refuse(value: Any, immutable: bool) -> Any:
    raise Undecodable("tag", "a CBOR tag that has no use here")


def _unknown(tag: Any, immutable: bool) -> Any:
    raise Undecodable("tag", f"CBOR tag {tag.tag} has no use here")


def _integer(octets: Any) -> int:
    if not isinstance(octets, bytes):
        raise Undecodable("tag", "a large integer is not a byte string")
    if len(octets) > MAX_DIGITS:  # a byte is more than two digits
        raise Undecodable("number", f"an integer of more than {MAX_DIGITS} digits")
    return integer_of(int.from_bytes(octets, "big"))


def _fraction(value: Any, immutable: bool) -> Decimal:
    """Read ``[exponent, mantissa]``; a mantissa that is too large is refused before."""
    if not isinstance(value, list) or [type(each) for each in value] != [int, int]:
        raise Undecodable("tag", "tag 4 is not [exponent, mantissa]")
    exponent, mantissa = value
    return decimal_of(f"{mantissa}e{exponent}")


def _object(value: Any, immutable: bool) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise Undecodable("tag", "tag 27 is not [kind, payload]")
    return revive(*value)


def _typed(dtype: str) -> Callable[[Any, bool], Any]:
    width = int(dtype[2:])

    def read(data: Any, immutable: bool) -> Any:
        if not isinstance(data, (bytes, memoryview)):
            raise Undecodable("array", "a typed array is not a byte string")
        return array_of(dtype, [len(data) // width], data)

    return read


def _shaped(value: Any, order: Literal["C", "F"]) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise Undecodable("array", "not [shape, typed array]")
    shape, row = value
    if not hasattr(row, "dtype") or row.ndim != 1:
        raise Undecodable("array", "the elements are not a typed array")
    return array_of(row.dtype.str, shape, flat(row), order)


#: What becomes of tags, besides those that the library knows.
_TAGS: dict[int, Callable[[Any, bool], Any]] = {
    **dict.fromkeys((*REFUSED, LIFTED), _refuse),
    **{tag: _typed(dtype) for tag, dtype in ELEMENTS.items()},
    LARGE_POSITIVE: lambda octets, _: _integer(octets),
    LARGE_NEGATIVE: lambda octets, _: integer_of(-1 - _integer(octets)),
    DECIMAL: _fraction,
    OBJECT: _object,
    SET: lambda members, _: revive("set", members),
    COMPLEX: lambda parts, _: revive("complex", parts),
    ROWS: lambda value, _: _shaped(value, "C"),
    COLUMNS: lambda value, _: _shaped(value, "F"),
}

_ARGUMENT = {24: 1, 25: 2, 26: 4, 27: 8}


def read_head(view: memoryview, at: int) -> Head:
    """Read the head of the item at a position (see :data:`pieces.Head`).

    The tag of a typed array and its byte string are one item.
    """
    start, major, length = _item(view, at)
    if major == 6 and length is not None and 64 <= length < 88 and start < len(view):
        inner, major, size = _item(view, start)
        if major == 2 and size is not None and inner + size <= len(view):
            return inner + size, (inner, inner + size)
        return start, None
    if major in (2, 3) and length is not None:
        return start + length, None
    return start, None


def _item(view: memoryview, at: int) -> tuple[int, int, int | None]:
    """Return where a head ends, its major type and its argument."""
    major, low = view[at] >> 5, view[at] & 31
    if low < 24:
        return at + 1, major, low
    if low not in _ARGUMENT:  # indefinite length, a break, or not valid
        return at + 1, major, None
    end = at + 1 + _ARGUMENT[low]
    return end, major, int.from_bytes(view[at + 1 : end], "big")


def _mark(number: int, head: memoryview) -> bytes:
    end = _item(head, 0)[0]  # of the tag, which stays
    return bytes(head[:end]) + b"\xda%b\x1a%b" % (
        LIFTED.to_bytes(4, "big"),
        number.to_bytes(4, "big"),
    )
