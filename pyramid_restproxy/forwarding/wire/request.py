"""Writing a request: its head as bytes (RFC 9112 sections 3 and 5), its body in blocks.

Exactly what is given is written; what could be read as more than one line is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from requests.exceptions import InvalidHeader, InvalidURL

from pyramid_restproxy.grammar import TOKEN
from pyramid_restproxy.remembered import LONGEST

__all__ = ["BLOCK", "blocks", "chunks", "encode_head"]

#: How much of a file is read at a time, bytes.
BLOCK = 65536

Fields = list[tuple[str, str]]

# A target is visible ASCII: a space would end it. It has no fragment (RFC 9112 section
# 3.2).
_TARGET = re.compile(r"[!\"$-~]+")

_name = itemgetter(0)

#: Names and methods that were found to be tokens; bounded, clients choose some.
_tokens: set[str] = set()
_MAX_TOKENS = 2048


def encode_head(method: str, target: str, fields: Fields) -> bytes:
    """Write the head of a request.

    :param method: a token.
    :param target: the request target, percent-encoded already.
    :param fields: (name, value) pairs, in order; written as latin-1.
    :raises InvalidHeader: where the method, a name or a value could break the line.
    :raises InvalidURL: where the target could.
    """
    tokens = [method, *map(_name, fields)]
    if not _tokens.issuperset(tokens):
        _check_tokens(tokens)
    if not _TARGET.fullmatch(target):
        raise InvalidURL("the request target has characters that must be encoded")
    lines = [f"{method} {target} HTTP/1.1", *map(": ".join, fields)]
    head = "\r\n".join(lines)
    # As many line breaks as there are lines: none came in with a value.
    breaks = len(lines) - 1
    if head.count("\n") != breaks or head.count("\r") != breaks or "\0" in head:
        raise InvalidHeader("the value of a field has a line break or NUL")
    try:
        return f"{head}\r\n\r\n".encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidHeader("a field has characters outside latin-1") from error


def _check_tokens(tokens: list[str]) -> None:
    for text in tokens:
        if not TOKEN.fullmatch(text):
            raise InvalidHeader(f"the method or field name {text!r} is not a token")
    if len(_tokens) >= _MAX_TOKENS:
        _tokens.clear()
    _tokens.update(text for text in tokens if len(text) <= LONGEST)


def blocks(body: Any) -> Iterator[bytes]:
    """Yield the bytes of a body: of a file in blocks, of an iterable as they come."""
    if isinstance(body, str):
        body = body.encode("utf-8")
    if isinstance(body, (bytes, bytearray, memoryview)):
        yield bytes(body)
    elif hasattr(body, "read"):
        yield from iter(lambda: _encoded(body.read(BLOCK)), b"")
    else:
        yield from map(_encoded, body)


def _encoded(piece: str | bytes) -> bytes:
    return piece.encode("utf-8") if isinstance(piece, str) else piece


def chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Frame pieces as chunks (RFC 9112 section 7.1)."""
    for piece in pieces:
        if piece:  # an empty chunk would be the last one
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
