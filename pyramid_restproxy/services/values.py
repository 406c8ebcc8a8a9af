"""What a value is on its way through a codec that lacks its type.

A codec writes None, booleans, numbers, text, lists and mappings with text keys itself,
and says what more it can (``native``). Everything else becomes a *tagged* value: the
name of a kind and a payload that is made of what every codec can write. This module
knows the kinds; how a tag looks on the wire is each codec's business.

Lossy on purpose: a tuple, named or not, arrives as a list (but for one that is a key of
a mapping or a member of a set, where no list can be), an enum as its value, a NumPy
scalar as a number, an object of a dataclass as a mapping (the type hints of the service
make it a dataclass again).
"""

from __future__ import annotations

import base64
import binascii
import math
import operator
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import accumulate
from typing import Any, Literal
from uuid import UUID

from pyramid_restproxy.exceptions import RestProxyError

__all__ = [
    "MAX_DEPTH",
    "MAX_DIGITS",
    "MAX_LISTS",
    "MAX_ODD_KEYS",
    "MAX_WRITTEN",
    "Dialect",
    "Failed",
    "Finished",
    "Progress",
    "Unencodable",
    "Undecodable",
    "array_of",
    "check_depth",
    "check_number",
    "decimal_of",
    "integer_of",
    "mapping_of",
    "octets_of",
    "parts_of",
    "revive",
    "set_of",
]

#: How deep lists and mappings may lie in each other, both ways.
MAX_DEPTH = 100
#: How many keys of a mapping, or members of a set, may be neither text nor bytes: the
#: hashes of the others can be chosen so that all of them collide.
MAX_ODD_KEYS = 1000
#: How many elements the tuples among them may have together: to tell two apart that
#: share a hash takes as long as they are.
MAX_TUPLED = 16 * MAX_ODD_KEYS
#: How many dimensions an array may have; NumPy 1 takes no more.
MAX_DIMENSIONS = 32
#: How many lists an array may become whose shape has little to do with its bytes:
#: ``[2**40, 0]`` has none, and would be as many empty lists.
MAX_LISTS = 1 << 16
#: How many digits a number may have that is read, before the point and of zeros behind
#: it. Reading and writing more takes time that grows with the square (CVE-2020-10735),
#: and who makes an integer of ``1e999999999`` has no more memory.
MAX_DIGITS = 4000
#: The same for what is written: a service may add up what it was given. Python writes
#: no more than this.
MAX_WRITTEN = 4300

_SCALARS = frozenset({type(None), bool, float, str})
#: How many characters a number may have that is text, zeros and all.
_LONGEST_NUMBER = 10_000
_READ, _WRITTEN = 10**MAX_DIGITS, 10**MAX_WRITTEN
_DTYPE = re.compile(
    r"[<>|](?:b1|[iu][1248]|f(?:[248]|1[26])|c(?:8|16|32)|[SU][1-9]\d{0,5})"
)
_FRACTION = re.compile(r"(?<=:\d\d)\.(\d+)", re.ASCII)
#: After minutes, seconds or their fraction.
_ZULU = re.compile(r"(?<=[:\d]\d\d)[Zz]\Z", re.ASCII)
_NUMBER = re.compile(r"\s*[+-]?[\d._]+(?:[eE][+-]?[\d_]+)?\s*")
_MOMENT = re.compile(r"[<>|][mM]8(?:\[\d{0,9}[a-zA-Z]{1,7}\])?")


class Undecodable(RestProxyError, ValueError):
    """A body that is not what its codec says, or over a limit.

    :ivar code: one word for programs, stable: ``syntax``, ``depth``, ``tag``, ...
    """

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


class Unencodable(RestProxyError, TypeError):
    """A value that a codec has no form for."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far long work has come; a service yields it between its items.

    :ivar done: steps done.
    :ivar total: steps in all, or None where nobody knows.
    :ivar text: what is being done.
    """

    done: float
    total: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a stream: what the generator returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a stream that failed: the problem document."""

    problem: Mapping[str, Any]


# -- from values to tags ------------------------------------------------------


@dataclass(slots=True)
class Dialect:
    """What one codec writes itself, and how it marks the rest.

    :ivar tag: makes the mark of a kind: its name, its payload.
    :ivar native: types that the codec writes itself, whatever the value; the other
        plain ones are looked at first.
    :ivar words: whether integers of more than 64 bits need a tag.
    :ivar finite: whether infinities and NaN need a tag.
    :ivar ambiguous: says whether a mapping would be taken for a tag.
    """

    tag: Callable[[str, Any], Any]
    native: frozenset[type] = frozenset()
    words: bool = False
    finite: bool = False
    ambiguous: Callable[[Mapping[str, Any]], bool] = lambda _: False

    def tagged(self, value: Any) -> Any:
        """Replace by tags what the codec cannot write, in all of a value.

        :raises Unencodable: for an object without a form, or nested too deep.
        """
        return self._walk(value, MAX_DEPTH)

    def _walk(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in self.native:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**64 else self._large(value)
        if kind in _SCALARS:
            return self._scalar(value)
        if not depth:
            raise Unencodable(
                f"the value is nested more than {MAX_DEPTH} levels deep: "
                "does it contain itself?"
            )
        if kind is dict:
            return self._mapping(value, depth - 1)
        if kind is list or kind is tuple:
            return [self._walk(each, depth - 1) for each in value]
        return self._other(value, depth - 1)

    def _scalar(self, value: Any) -> Any:
        if self.finite and type(value) is float and not math.isfinite(value):
            return self.tag("float", repr(value))
        return value

    def _large(self, value: int) -> Any:
        if not -_WRITTEN < value < _WRITTEN:
            raise Unencodable(f"an integer of more than {MAX_WRITTEN} digits")
        return self.tag("int", hex(value)) if self.words else value

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        if set(map(type, value)) <= {str} and not self.ambiguous(value):
            return {key: self._walk(each, depth) for key, each in value.items()}
        pairs = ([self._walk(k, depth), self._walk(v, depth)] for k, v in value.items())
        return self.tag("dict", list(pairs))

    def _other(self, value: Any, depth: int) -> Any:
        if hasattr(value, "__json__"):
            return self._walk(value.__json__(None), depth)
        for types, plain in _PLAIN:
            if isinstance(value, types):
                return self._walk(plain(value), depth)
        for kind, name, payload in _TO_PAYLOAD:
            if isinstance(value, kind):
                # a set and the list of its members are one level
                return self.tag(name, self._walk(payload(value), depth + 1))
        if is_dataclass(value) and not isinstance(value, type):
            found = {each.name: getattr(value, each.name) for each in fields(value)}
            return self._mapping(found, depth)
        return self._numpy(value, depth)

    def _numpy(self, value: Any, depth: int) -> Any:
        numpy = sys.modules.get("numpy")  # nobody has an array without it
        if numpy and isinstance(value, numpy.ndarray):
            return self.tag("ndarray", value)
        if numpy and isinstance(value, numpy.generic):
            return self._walk(value.item(), depth)
        raise Unencodable(
            f"objects of type {type(value).__qualname__!r} cannot be sent: make them "
            "plain data, or give the class a __json__(request) method"
        )


def _written_decimal(number: Decimal) -> str:
    text = str(number)
    if _is_long(number, MAX_WRITTEN) or len(text) > _LONGEST_NUMBER:
        raise Unencodable(f"a decimal of more than {MAX_WRITTEN} digits")
    return text


#: Types that are sent as another one. The first that fits decides: an enum may be
#: a str or an int, and NumPy's float64 is a float.
_PLAIN: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda member: member.value),
    ((bytearray, memoryview), bytes),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (Mapping, dict),
    ((list, tuple), list),
)

#: Type, kind, payload. A datetime is a date.
_TO_PAYLOAD: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (datetime, "datetime", datetime.isoformat),
    (date, "date", date.isoformat),
    (time, "time", time.isoformat),
    (timedelta, "timedelta", lambda d: [d.days, d.seconds, d.microseconds]),
    (Decimal, "decimal", _written_decimal),
    (UUID, "uuid", str),
    (complex, "complex", lambda number: [number.real, number.imag]),
    (bytes, "bytes", lambda octets: base64.b64encode(octets).decode("ascii")),
    (set, "set", list),
    (frozenset, "frozenset", list),
    (Progress, "progress", lambda event: [event.done, event.total, event.text]),
    (Finished, "finished", lambda end: end.value),
    (Failed, "failed", lambda end: end.problem),
)


# -- from tags to values ------------------------------------------------------


def revive(kind: str, payload: Any) -> Any:
    """Make the value of a tag.

    :param kind: the name of the kind.
    :param payload: its payload, revived already.
    :raises Undecodable: ``tag`` for a kind that does not exist, or a payload that is
        none of its; ``keys`` for too many keys that are not text.
    """
    make = _FROM_PAYLOAD.get(kind) if isinstance(kind, str) else None
    if make is None:
        raise Undecodable("tag", f"there is no kind of value named {str(kind)[:40]!r}")
    try:
        return make(payload)
    except Undecodable:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:
        raise Undecodable("tag", f"not a valid {kind}") from error


def _parse(make: Callable[[str], Any], longest: int = 64) -> Callable[[Any], Any]:
    """Make a reader of a short text."""

    def read(payload: Any) -> Any:
        if not isinstance(payload, str) or len(payload) > longest:
            raise ValueError("expected a short text")
        return make(payload)

    return read


def _iso(text: str) -> str:
    """Write a time as every version of Python reads it, to the microsecond.

    RFC 3339 section 5.6 has ``Z`` and fractions of any length; Python 3.10 knows no
    ``Z``, and fractions of three or six digits only.
    """
    text = _FRACTION.sub(lambda found: f".{found[1]:0<6.6}", text)
    return _ZULU.sub("+00:00", text)


def integer_of(number: int) -> int:
    """Check that an integer has no more than :data:`MAX_DIGITS` digits.

    :returns: the integer.
    :raises Undecodable: ``number`` where it has.
    """
    if not -_READ < number < _READ:
        raise Undecodable("number", f"an integer of more than {MAX_DIGITS} digits")
    return number


def decimal_of(text: str) -> Decimal:
    """Read a decimal, within :data:`MAX_DIGITS`.

    :raises Undecodable: ``number`` where it is over.
    :raises ArithmeticError: where it is none.
    """
    number = Decimal(text)
    if _is_long(number, MAX_DIGITS):
        raise Undecodable("number", f"a decimal of more than {MAX_DIGITS} digits")
    return number


def check_number(text: str) -> None:
    """Check a text that may become a decimal, as :func:`decimal_of` does.

    :raises Undecodable: ``number`` where it is one that is over a limit.
    """
    if len(text) > _LONGEST_NUMBER:
        if _NUMBER.fullmatch(text):
            raise Undecodable("number", f"a decimal of more than {MAX_DIGITS} digits")
    elif _NUMBER.fullmatch(text):
        with suppress(ArithmeticError):  # two points, for example
            decimal_of(text)


def _is_long(number: Decimal, digits: int) -> bool:
    return number.is_finite() and not -digits < number.adjusted() < digits


def mapping_of(pairs: Iterable[Any]) -> dict[Any, Any]:
    """Make a mapping whose keys may be anything, within :data:`MAX_ODD_KEYS`.

    :raises Undecodable: ``keys`` where there are too many, or one comes twice.
    """
    found = list(pairs)
    if len(found) > MAX_ODD_KEYS:
        _check_keys([key for key, _ in found])
    made = dict(found)
    if len(made) != len(found):
        raise Undecodable("duplicate-key", "a key of a mapping comes twice")
    return made


def set_of(members: Any) -> set[Any]:
    """Make a set, within :data:`MAX_ODD_KEYS`.

    :raises Undecodable: ``keys`` where there are too many odd members.
    """
    if not isinstance(members, list):
        raise TypeError("expected a list")
    _check_keys(members)
    return set(_as_keys(members))


def _mapping(pairs: Any) -> dict[Any, Any]:
    if not isinstance(pairs, list):
        raise TypeError("expected a list")
    keys = _as_keys([key for key, _ in pairs])
    return mapping_of(zip(keys, [value for _, value in pairs], strict=True))


def _as_keys(values: Sequence[Any]) -> Sequence[Any]:
    """Return keys, or members of a set, as they were: a list among them was a tuple.

    :raises Undecodable: ``depth`` where one is nested too deep, ``keys`` where they
        are too long together.
    """
    if list not in map(type, values):
        return values
    keys = [_as_key(each, MAX_DEPTH) for each in values]
    if sum(map(_elements, keys)) > MAX_TUPLED:
        raise Undecodable("keys", f"tuples of more than {MAX_TUPLED} elements")
    return keys


def _elements(key: Any) -> int:
    return sum([1 + _elements(each) for each in key]) if type(key) is tuple else 0


def _as_key(value: Any, depth: int) -> Any:
    if type(value) is not list:
        return value
    if not depth:
        raise Undecodable("depth", f"nested more than {MAX_DEPTH} levels deep")
    return tuple([_as_key(each, depth - 1) for each in value])


def _check_keys(keys: Sequence[Any]) -> None:
    if len(keys) > MAX_ODD_KEYS and sum(map(_is_odd, keys)) > MAX_ODD_KEYS:
        raise Undecodable(
            "keys",
            f"more than {MAX_ODD_KEYS} keys or members are neither text, bytes "
            "nor integers of 60 bits",
        )


def _is_odd(key: Any) -> bool:
    """Say whether a key may share its hash with many others."""
    if type(key) is int:
        return not -(2**60) < key < 2**60
    return type(key) is not str and type(key) is not bytes


def octets_of(payload: Any) -> bytes:
    """Read base64."""
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error


def array_of(dtype: Any, shape: Any, data: Any, order: Literal["C", "F"] = "C") -> Any:
    """Make a NumPy array over bytes: without copying them, unless they are read-only.

    So every array can be written to, wherever it came from.

    :param dtype: NumPy's name of the element type, with the byte order: ``<f8``.
        Numbers, booleans, moments and texts; never objects.
    :param shape: the dimensions.
    :param data: a buffer of exactly the bytes that the array has.
    :param order: ``C`` for rows first, ``F`` for columns first.
    :raises Undecodable: ``array`` where they do not fit, or NumPy is missing.
    """
    try:
        import numpy
    except ImportError as error:
        raise Undecodable("array", "arrays need NumPy, not installed here") from error
    if not isinstance(dtype, str) or not (
        _DTYPE.fullmatch(dtype) or _MOMENT.fullmatch(dtype)
    ):
        raise Undecodable("array", f"not an element type: {str(dtype)[:40]!r}")
    if (
        not isinstance(shape, list)
        or len(shape) > MAX_DIMENSIONS
        or not all(type(n) is int and 0 <= n < 2**63 for n in shape)
        or not isinstance(data, (bytes, bytearray, memoryview))
    ):
        raise Undecodable("array", "not the shape and the bytes of an array")
    if _lists_of(shape) > max(MAX_LISTS, 4 * len(data)):
        raise Undecodable("array", "a shape of many dimensions and few elements")
    try:
        found = numpy.dtype(dtype)
        if math.prod(shape) * found.itemsize != len(data):
            raise Undecodable("array", "the bytes of an array do not fill its shape")
        if memoryview(data).readonly:
            data = bytearray(data)
        return numpy.ndarray(shape, found, buffer=data or None, order=order)
    except (TypeError, ValueError) as error:
        if isinstance(error, Undecodable):
            raise
        raise Undecodable("array", "not an array") from error


def _lists_of(shape: Sequence[int]) -> int:
    """Return how many lists and elements a shape is, with 1 in the place of each 0."""
    return sum(accumulate((n or 1 for n in shape), operator.mul))


def _progress(payload: Any) -> Progress:
    done, total, text = payload
    if not isinstance(text, str):
        raise TypeError("expected a text")
    return Progress(float(done), None if total is None else float(total), text)


def _failed(payload: Any) -> Failed:
    if not isinstance(payload, dict):
        raise TypeError("expected a mapping")
    return Failed(payload)


def _array(payload: Any) -> Any:
    dtype, shape, data = payload
    return array_of(dtype, shape, octets_of(data) if isinstance(data, str) else data)


_FROM_PAYLOAD: dict[str, Callable[[Any], Any]] = {
    "datetime": _parse(lambda text: datetime.fromisoformat(_iso(text))),
    "date": _parse(date.fromisoformat),
    "time": _parse(lambda text: time.fromisoformat(_iso(text))),
    "timedelta": lambda payload: timedelta(*payload),
    "decimal": _parse(decimal_of, _LONGEST_NUMBER),
    "uuid": _parse(UUID),
    "complex": lambda payload: complex(*payload),
    "bytes": octets_of,
    "set": set_of,
    "frozenset": lambda payload: frozenset(set_of(payload)),
    "dict": _mapping,
    "float": _parse(float, 4),
    "int": _parse(lambda text: integer_of(int(text, 16)), _LONGEST_NUMBER),
    "ndarray": _array,
    "progress": _progress,
    "finished": Finished,
    "failed": _failed,
}


def check_depth(value: Any) -> None:
    """Check that nothing lies deeper than :data:`MAX_DEPTH` levels.

    :raises Undecodable: ``depth``; also where the value contains itself.
    """
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        inner = {
            id(each): each
            for holder in level
            for each in _inside(holder)
            if type(each) in _HOLDERS
        }
        if not inner:
            return
        level = list(inner.values())
    raise Undecodable("depth", f"nested more than {MAX_DEPTH} levels deep")


def parts_of(value: Any) -> Iterator[Any]:
    """Yield whatever lies in a value, keys too, and itself where nothing lies in it."""
    held = [value]
    while held:
        each = held.pop()
        if type(each) not in _HOLDERS:
            yield each
            continue
        held.extend(_inside(each))
        if type(each) is dict:
            held.extend(each)


def _inside(holder: Any) -> Iterable[Any]:
    kind = type(holder)
    if kind is dict:
        return holder.values()
    if kind is Finished:
        return (holder.value,)
    if kind is Failed:
        return (holder.problem,)
    return holder


_HOLDERS = frozenset({dict, list, tuple, set, frozenset, Finished, Failed})
