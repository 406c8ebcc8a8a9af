"""JSON (RFC 8259, I-JSON): ``application/json``, streams as JSON lines.

What JSON has no type for is a mapping of one key that begins with ``$``:
``{"$date": "2026-11-21"}``, ``{"$ndarray": ["<f8", [2, 2], "base64"]}``. Callers
without our client may send plain text where a type hint says what it is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn

from pyramid_restproxy.services.codecs.base import (
    MAX_RECORD,
    Codec,
    too_long,
    truncated,
)
from pyramid_restproxy.services.codecs.pieces import Buffer, flat
from pyramid_restproxy.services.values import (
    MAX_DEPTH,
    MAX_DIGITS,
    Dialect,
    Undecodable,
    Unencodable,
    check_depth,
    integer_of,
    revive,
)

__all__ = ["JsonCodec"]

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
#: Every escape in a JSON text but that of a lone surrogate.
_ESCAPE = re.compile(
    r"\\(?:[^u]|u(?:[^dD]|[dD](?:[0-7]|[89abAB]..\\u[dD][c-fC-F])))", re.DOTALL
)
#: Makes the numbers of a text alike, for :func:`_is_large`.
_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")
#: How many digits no float and no quick integer has.
_MANY = b"0" * 200


def _ambiguous(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith("$")


def _tag(kind: str, payload: Any) -> dict[str, Any]:
    if kind == "ndarray":
        if payload.dtype.hasobject:
            raise Unencodable("an array of objects cannot be sent")
        octets = DIALECT.tagged(bytes(flat(payload)))["$bytes"]
        payload = [payload.dtype.str, list(payload.shape), octets]
    return {f"${kind}": payload}


DIALECT = Dialect(
    _tag,
    native=frozenset({type(None), bool, str}),
    finite=True,
    ambiguous=_ambiguous,
)


class JsonCodec(Codec):
    """JSON, strict in what it reads."""

    name = "json"
    media_type = "application/json"
    stream_type = "application/jsonl"
    problem_type = "application/problem+json"

    def encode(self, value: Any) -> list[Buffer]:
        """Write a value; see the module for what JSON has no type for."""
        try:
            return [_ENCODER.encode(DIALECT.tagged(value)).encode("utf-8")]
        except ValueError as error:  # a lone surrogate, an integer without end
            raise Unencodable(f"not a value that JSON can carry: {error}") from error

    def decode(self, body: Buffer) -> Any:
        """Read a value.

        :raises Undecodable: ``encoding``, ``syntax``, ``number``, ``duplicate-key``,
            ``surrogate``, ``depth``, or as :func:`values.revive` says.
        """
        text = _text(body)
        decoder = _WARY if _is_large(body) else _DECODER
        try:
            value = decoder.decode(text)
        except json.JSONDecodeError as error:
            raise Undecodable(
                "syntax", f"not JSON: {error.msg} at {error.pos}"
            ) from error
        except RecursionError as error:
            raise Undecodable("depth", "nested too deep") from error
        if len(text) > MAX_DEPTH:
            check_depth(value)
        if _SURROGATE.search(body):
            _check_surrogates(text)
        return value

    def record(self, value: Any) -> list[Buffer]:
        """Write one line."""
        return [*self.encode(value), b"\n"]

    def records(self, pieces: Iterable[bytes]) -> Iterator[Any]:
        """Read lines."""
        held = bytearray()
        for piece in pieces:
            *lines, rest = piece.split(b"\n")
            for line in lines:
                held += line
                yield self.decode(held)
                held = bytearray()
            held += rest
            if len(held) > MAX_RECORD:
                raise too_long()
        if held:
            raise truncated()


def _text(body: Buffer) -> str:
    try:
        text = str(body, "utf-8")
    except UnicodeDecodeError as error:
        raise Undecodable("encoding", "JSON must be UTF-8 (RFC 8259)") from error
    if text.startswith("\ufeff"):
        raise Undecodable("encoding", "JSON must not begin with a byte order mark")
    return text


def _constant(name: str) -> NoReturn:
    raise Undecodable("number", f"{name} is not a number of JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS + 1:  # and a sign
        raise Undecodable("number", f"a number of more than {MAX_DIGITS} digits")
    return integer_of(int(digits))


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Undecodable("number", "a number that is larger than a float can be")
    return number


def _is_large(body: Buffer) -> bool:
    """Say whether some number of a text may be infinite, or a very long integer.

    It is not where no 200 digits stand together and no exponent has three digits; that
    is found quickly, and numbers are read twice as fast without a look at each.
    """
    alike = bytes(body).translate(_ALIKE, b"+")
    return b"e000" in alike or _MANY in alike


def _mapping(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1 and pairs[0][0].startswith("$"):
        return revive(pairs[0][0][1:], pairs[0][1])
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Undecodable("duplicate-key", "a key of an object comes twice")
    return made


# the dialect has looked for values that contain themselves
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, separators=(",", ":")
)
_DECODER = json.JSONDecoder(parse_constant=_constant, object_pairs_hook=_mapping)
#: For texts in which some number is large.
_WARY = json.JSONDecoder(
    parse_constant=_constant,
    parse_int=_integer,
    parse_float=_float,
    object_pairs_hook=_mapping,
)


def _check_surrogates(text: str) -> None:
    """Check the escapes of a text that is JSON."""
    if "\\" in _ESCAPE.sub("", text):
        raise Undecodable("surrogate", "a lone surrogate is not text")
