"""Pickle: plain data and objects of named classes, only from those who have signed.

A pickle is a program, so what it may do is listed, not what it may not: opcodes are
checked before anything runs, and the only names it can use are the classes that were
given to the codec. Types that pickle builds by calling functions (dates, decimals,
arrays) travel as persistent ids instead, the tags of the other codecs. Protocol 5;
large buffers follow the pickle, each as 8 bytes of length and its bytes.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Iterable, Iterator
from typing import Any

from pyramid_restproxy.services.codecs.base import (
    MAX_RECORD,
    Codec,
    too_long,
    truncated,
)
from pyramid_restproxy.services.codecs.pieces import LARGE, Buffer, flat, size_of
from pyramid_restproxy.services.values import (
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

_NUMBERED = frozenset({"BINPUT", "LONG_BINPUT"})
_PLAIN = frozenset({type(None), bool, int, float, str, bytes, bytearray})
_HOLDERS = frozenset({list, tuple, dict, set, frozenset})


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
        self._opcodes = PLAIN_OPCODES | (CLASS_OPCODES if classes else frozenset())

    def encode(self, value: Any) -> list[Buffer]:
        """Write a value; large arrays are pieces of their own."""
        buffers: list[pickle.PickleBuffer] = []
        into = io.BytesIO()
        try:
            check_depth(value)
            _Pickler(into, buffers, frozenset(self.classes.values())).dump(value)
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
        # what follows the pickle may be large: it is not read as opcodes
        stream = _View(view)
        end = self._check(stream)
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

    def _check(self, stream: Any) -> int:
        """Check the opcodes of a pickle, and return where it ends."""
        operations: Iterable[tuple[Any, Any, Any]] = pickletools.genops(stream)
        try:
            for number, (opcode, argument, _) in enumerate(operations):
                if opcode.name not in self._opcodes:
                    raise Undecodable("opcode", f"{opcode.name} is not allowed")
                # the memo grows to the place at once, whatever is in it
                if opcode.name in _NUMBERED and argument > number:
                    raise Undecodable("opcode", "a place in the memo that is too far")
        except (ValueError, OverflowError, MemoryError) as error:
            if isinstance(error, Undecodable):
                raise
            raise Undecodable("syntax", f"not a pickle: {error}") from error
        return int(stream.tell())

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


class _View(io.RawIOBase):
    """A buffer as a file, without a copy of it."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        piece = bytes(self._view[self._at : self._at + size])
        self._at += len(piece)
        return piece

    def readline(self, size: Any = -1) -> bytes:
        # only text opcodes have lines, and names of classes, which are short
        line = bytes(self._view[self._at : self._at + 512])
        line = line[: line.find(b"\n") + 1]
        self._at += len(line)
        return line

    def tell(self) -> int:
        return self._at


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
        classes: frozenset[type],
    ) -> None:
        super().__init__(into, protocol=5, buffer_callback=buffers.append)
        self._classes = classes
        self._dialect = Dialect(_Tag, frozenset(_PLAIN | _HOLDERS | classes))

    def persistent_id(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN or kind in _HOLDERS or kind in self._classes:
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
