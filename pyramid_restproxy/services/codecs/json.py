"""JSON (RFC 8259, I-JSON): ``application/json``, streams as JSON lines.

What JSON has no type for is a mapping of one key that begins with ``$``:
``{"$date": "2026-11-21"}``, ``{"$ndarray": ["<f8", [2, 2], "base64"]}``. Callers
without our client may send plain text where a type hint says what it is.
"""

from __future__ import annotations

import json
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
    Dialect,
    Undecodable,
    Unencodable,
    check_depth,
    revive,
)

__all__ = ["JsonCodec"]

#: How many digits a number may have: reading more takes time that grows with the
#: square (CVE-2020-10735).
MAX_DIGITS = 4000

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _ambiguous(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith("$")


def _tag(kind: str, payload: Any) -> dict[str, Any]:
    if kind == "ndarray":
        if payload.dtype.hasobject:
            raise Unencodable("an array of objects cannot be sent")
        octets = DIALECT.tagged(bytes(flat(payload)))["$bytes"]
        payload = [payload.dtype.str, list(payload.shape), octets]
    return {f"${kind}": payload}


DIALECT = Dialect(_tag, finite=True, ambiguous=_ambiguous)


class JsonCodec(Codec):
    """JSON, strict in what it reads."""

    name = "json"
    media_type = "application/json"
    stream_type = "application/jsonl"
    problem_type = "application/problem+json"

    def encode(self, value: Any) -> list[Buffer]:
        """Write a value; see the module for what JSON has no type for."""
        try:
            text = json.dumps(
                DIALECT.tagged(value), ensure_ascii=False, separators=(",", ":")
            )
            return [text.encode("utf-8")]
        except ValueError as error:  # a lone surrogate, an integer without end
            raise Unencodable(f"not a value that JSON can carry: {error}") from error

    def decode(self, body: Buffer) -> Any:
        """Read a value.

        :raises Undecodable: ``encoding``, ``syntax``, ``number``, ``duplicate-key``,
            ``surrogate``, ``depth``, or as :func:`values.revive` says.
        """
        text = _text(body)
        try:
            value = _DECODER.decode(text)
        except json.JSONDecodeError as error:
            raise Undecodable(
                "syntax", f"not JSON: {error.msg} at {error.pos}"
            ) from error
        except RecursionError as error:
            raise Undecodable("depth", "nested too deep") from error
        if len(text) > MAX_DEPTH:
            check_depth(value)
        if _SURROGATE.search(body):
            _check_surrogates(value)
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
    if len(digits) > MAX_DIGITS:
        raise Undecodable("number", f"an integer of more than {MAX_DIGITS} digits")
    return int(digits)


def _mapping(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1 and pairs[0][0].startswith("$"):
        return revive(pairs[0][0][1:], pairs[0][1])
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Undecodable("duplicate-key", "a key of an object comes twice")
    return made


_DECODER = json.JSONDecoder(
    parse_constant=_constant, parse_int=_integer, object_pairs_hook=_mapping
)


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=repr).encode("utf-8")
    except UnicodeEncodeError as error:
        raise Undecodable("surrogate", "a lone surrogate is not text") from error
    except (TypeError, ValueError):
        raise Undecodable("surrogate", "escaped surrogates beside odd keys") from None
