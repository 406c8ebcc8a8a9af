"""Writing a request: its head as bytes (RFC 9112 sections 3 and 5), its body in blocks.

Exactly what is given is written; what could be read as more than one line is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from requests.exceptions import InvalidHeader, InvalidURL

__all__ = ["BLOCK", "blocks", "chunks", "encode_head"]

#: How much of a file is read at a time, bytes.
BLOCK = 65536

Text = str | bytes
Fields = Iterable[tuple[Text, Text]]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSAFE_VALUE = re.compile(rb"[\r\n\0]")
# A target is visible ASCII: a space would end it (RFC 9112 section 3.2).
_TARGET = re.compile(rb"[\x21-\x7e]+")


def encode_head(method: Text, target: Text, fields: Fields) -> bytes:
    """Write the head of a request.

    :param method: a token.
    :param target: the request target, percent-encoded already.
    :param fields: (name, value) pairs, in order; str is written as latin-1.
    :raises InvalidHeader: where the method, a name or a value could break the line.
    :raises InvalidURL: where the target could.
    """
    verb, path = _bytes(method), _bytes(target)
    if not _TOKEN.fullmatch(verb):
        raise InvalidHeader(f"the method {method!r} is not a token")
    if not _TARGET.fullmatch(path):
        raise InvalidURL("the request target has characters that must be encoded")
    lines = [b"%b %b HTTP/1.1" % (verb, path)]
    for name, value in fields:
        raw_name, raw_value = _bytes(name), _bytes(value)
        if not _TOKEN.fullmatch(raw_name):
            raise InvalidHeader(f"the field name {name!r} is not a token")
        if _UNSAFE_VALUE.search(raw_value):
            raise InvalidHeader(f"the value of {name!r} has a line break or NUL")
        lines.append(b"%b: %b" % (raw_name, raw_value))
    lines.append(b"\r\n")
    return b"\r\n".join(lines)


def _bytes(text: Text) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidHeader("a field has characters outside latin-1") from error


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


def _encoded(piece: Text) -> bytes:
    return piece.encode("utf-8") if isinstance(piece, str) else piece


def chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Frame pieces as chunks (RFC 9112 section 7.1)."""
    for piece in pieces:
        if piece:  # an empty chunk would be the last one
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"
