"""Pickle: plain data and objects of named classes, only from those who have signed.

A pickle is a program, so what it may do is listed, not what it may not: opcodes are
checked before anything runs, and the only names it can use are the classes that were
given to the codec. Types that pickle builds by calling functions (dates, decimals,
arrays) travel as persistent ids instead, the tags of the other codecs. Protocol 5;
large buffers follow the pickle, each as 8 bytes of length and its bytes.
"""

from __future__ import annotations

import io
import itertools
import pickle
import pickletools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pyramid_restproxy.services.codecs.base import (
    MAX_RECORD,
    Codec,
    too_long,
    truncated,
)
from pyramid_restproxy.services.codecs.pieces import LARGE, Buffer, flat, size_of
from pyramid_restproxy.services.values import (
    MAX_DIGITS,
    Dialect,
    Undecodable,
    Unencodable,
    array_of,
    check_depth,
    revive,
)

__all__ = ["PickleCodec"]

#: What a pickle of plain data and persistent ids is made of. Text forms of numbers
#: and strings (protocol 0) are not here: reading them takes quadratic time.
PLAIN_OPCODES = frozenset(
    """
    PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE
    BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT
    SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8 NEXT_BUFFER READONLY_BUFFER
    SHORT_BINUNICODE BINUNICODE BINUNICODE8
    EMPTY_LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_DICT SETITEM SETITEMS EMPTY_SET ADDITEMS FROZENSET
    BINGET LONG_BINGET BINPUT LONG_BINPUT MEMOIZE BINPERSID
    """.split()
)
#: What objects of classes need besides; REDUCE, INST, OBJ and EXT are never allowed.
CLASS_OPCODES = frozenset({"GLOBAL", "STACK_GLOBAL", "NEWOBJ", "BUILD"})

_STOP, _GLOBAL, _PUT, _LONG_PUT, _LONG = b".cqr\x8b"
#: The opcodes by their byte.
_OPCODES = {ord(each.code): each for each in pickletools.opcodes}
#: How many bytes the count has that stands before an argument.
_COUNTS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
#: How long an integer may be, bytes; it has :data:`MAX_DIGITS` then, and its sign.
_LONGEST_INTEGER = (10**MAX_DIGITS).bit_length() // 8 + 1
#: How long the name of a class may be that stands in the pickle as text, bytes.
_LONGEST_NAME = 512
_PLAIN = frozenset({type(None), bool, float, str, bytes, bytearray})
_HOLDERS = frozenset({list, tuple, dict, set, frozenset})
_NATIVE = _PLAIN | _HOLDERS


class PickleCodec(Codec):
    """Pickle with an allow list.

    :param classes: the classes whose objects may be sent and received. Their
        ``__new__`` and ``__setstate__`` are called with what the sender says.
    """

    name = "pickle"
    media_type = "application/x-pickle"
    aliases = ("application/vnd.python.pickle",)
    stream_type = "application/vnd.pyramid-restproxy.pickle-stream"
    problem_type = "application/x-pickle"
    trusted_only = True

    def __init__(self, *classes: type) -> None:
        self.classes = {(each.__module__, each.__qualname__): each for each in classes}
        self._dialect = Dialect(_Tag, _NATIVE | frozenset(classes))
        allowed = PLAIN_OPCODES | (CLASS_OPCODES if classes else frozenset())
        self._widths = {
            code: _widths(opcode)
            for code, opcode in _OPCODES.items()
            if opcode.name in allowed
        }

    def encode(self, value: Any) -> list[Buffer]:
        """Write a value; large arrays are pieces of their own."""
        buffers: list[pickle.PickleBuffer] = []
        into = io.BytesIO()
        try:
            check_depth(value)
            _Pickler(into, buffers, self._dialect, self.classes.values()).dump(value)
        except RecursionError as error:
            raise Unencodable("nested too deep: does it contain itself?") from error
        except (pickle.PicklingError, AttributeError, ValueError) as error:
            raise Unencodable(f"pickle cannot carry this: {error}") from error
        pieces: list[Buffer] = [into.getvalue()]
        for buffer in buffers:
            raw = buffer.raw()
            pieces += [len(raw).to_bytes(8, "big"), raw]
        return pieces

    def decode(self, body: Buffer) -> Any:
        """Read a value; large arrays are views of `body`.

        :raises Undecodable: ``opcode`` for one that is not allowed, ``class`` for a
            class that is not, ``syntax``, ``depth``, or as :func:`values.revive` says.
        """
        view = memoryview(body)
        end = end_of(view, self._widths)
        buffers = _buffers(view[end:])
        try:
            value = _Unpickler(view[:end], buffers, self.classes).load()
            if next(buffers, None) is not None:
                raise Undecodable("syntax", "bytes follow the pickle")
            check_depth(value)
        except Undecodable:
            raise
        except _ERRORS as error:
            raise Undecodable("syntax", f"not a pickle: {error}") from error
        return value

    def record(self, value: Any) -> list[Buffer]:
        """Write a value after its length, 8 bytes."""
        pieces = self.encode(value)
        return [size_of(pieces).to_bytes(8, "big"), *pieces]

    def records(self, pieces: Iterable[bytes]) -> Iterator[Any]:
        """Read values, each after its length."""
        held = bytearray()
        for piece in pieces:
            held += piece
            while len(held) >= 8:
                size = int.from_bytes(held[:8], "big")
                if size > MAX_RECORD:
                    raise too_long()
                if len(held) < 8 + size:
                    break
                yield self.decode(held[8 : 8 + size])
                held = held[8 + size :]
        if held:
            raise truncated()


#: What a pickle that is not well-formed makes the library raise.
_ERRORS = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


def _widths(opcode: Any) -> tuple[int, bool]:
    """Return how many bytes follow an opcode, and whether they count others."""
    size = opcode.arg.n if opcode.arg else 0
    return (_COUNTS[size], True) if size in _COUNTS else (max(size, 0), False)


def end_of(view: memoryview, widths: Mapping[int, tuple[int, bool]]) -> int:
    """Return where a pickle ends. Its opcodes are looked at, and nothing of it runs.

    :param view: the pickle, and what follows.
    :param widths: the opcodes that are allowed: how many bytes follow one, and
        whether these are the count of more.
    :raises Undecodable: ``opcode`` for another one, ``syntax`` where there is no end.
    """
    at = 0
    for number in itertools.count():
        code = view[at] if at < len(view) else -1
        if code == _STOP:
            return at + 1
        if code not in widths:
            raise _not_allowed(code)
        width, counted = widths[code]
        start = at + 1
        at = start + width
        if counted:
            size = int.from_bytes(view[start:at], "little")
            if code == _LONG and size > _LONGEST_INTEGER:
                raise Undecodable("number", "an integer that is too large")
            at += size
        elif code == _GLOBAL:
            at = _after_name(view, start)
        # the memo grows to the place at once, whatever is in it
        elif code == _PUT or code == _LONG_PUT:
            if int.from_bytes(view[start:at], "little") > number:
                raise Undecodable("opcode", "a place in the memo that is too far")
    raise AssertionError  # pragma: no cover - it counts for ever


def _not_allowed(code: int) -> Undecodable:
    if code not in _OPCODES:
        return Undecodable("syntax", "not a pickle: an end or an opcode is missing")
    return Undecodable("opcode", f"{_OPCODES[code].name} is not allowed")


def _after_name(view: memoryview, start: int) -> int:
    """Return the end of the two lines that name a class."""
    lines = bytes(view[start : start + _LONGEST_NAME])
    first = lines.find(b"\n")
    second = lines.find(b"\n", first + 1)
    if first < 0 or second < 0:
        raise Undecodable("syntax", "not a pickle: the name of a class has no end")
    return start + second + 1


def _buffers(view: memoryview) -> Iterator[memoryview]:
    while view:
        size = int.from_bytes(view[:8], "big")
        if len(view) < 8 + size:
            raise Undecodable("syntax", "a buffer is cut off")
        yield view[8 : 8 + size]
        view = view[8 + size :]


class _Pickler(pickle.Pickler):
    def __init__(
        self,
        into: io.BytesIO,
        buffers: list[pickle.PickleBuffer],
        dialect: Dialect,
        classes: Collection[type],
    ) -> None:
        super().__init__(into, protocol=5, buffer_callback=buffers.append)
        self._dialect = dialect
        self._classes = classes

    def persistent_id(self, value: Any) -> Any:
        kind = type(value)
        if kind is int:
            self._dialect.tagged(value)  # looks at how large it is
            return None
        if kind in self._dialect.native:
            return None
        if kind is pickle.PickleBuffer or kind is type:
            return None
        found = self._dialect.tagged(value)
        return found.pair() if isinstance(found, _Tag) else ("plain", found)

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type) and value not in self._classes:
            raise Unencodable(f"the class {value.__qualname__!r} is not allowed")
        return NotImplemented


class _Tag:
    """A kind and its payload, on the way to a persistent id."""

    __slots__ = ("kind", "payload")

    def __init__(self, kind: str, payload: Any) -> None:
        self.kind = kind
        self.payload = payload

    def pair(self) -> tuple[str, Any]:
        if self.kind != "ndarray":
            return self.kind, self.payload
        if self.payload.dtype.hasobject:
            raise Unencodable("an array of objects cannot be sent")
        data = flat(self.payload)
        held: Any = pickle.PickleBuffer(data) if len(data) >= LARGE else bytes(data)
        return "ndarray", [self.payload.dtype.str, list(self.payload.shape), held]


class _Unpickler(pickle.Unpickler):
    def __init__(
        self,
        body: memoryview,
        buffers: Iterator[memoryview],
        classes: dict[tuple[str, str], type],
    ) -> None:
        super().__init__(io.BytesIO(body), buffers=buffers)
        self._classes = classes

    def find_class(self, module: str, name: str) -> Any:
        found = self._classes.get((module, name))
        if found is None:
            raise Undecodable("class", f"{module}.{name} is not allowed"[:100])
        return found

    def persistent_load(self, pair: Any) -> Any:
        if type(pair) is not tuple or len(pair) != 2:
            raise Undecodable("tag", "a persistent id is not (kind, payload)")
        kind, payload = pair
        if kind == "plain":
            return payload
        if kind == "ndarray" and type(payload) is list and len(payload) == 3:
            return array_of(*payload)
        return revive(kind, payload)
