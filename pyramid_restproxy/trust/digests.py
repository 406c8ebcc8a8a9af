"""Digests of bodies: Content-Digest made and checked over pieces. Pure (RFC 9530).

A body is an iterable of pieces (bytes) everywhere in ``trust``; nothing here holds
one whole. What is done with a digest that does not fit is for the caller to say.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping

from pyramid_restproxy.trust.refusals import BodyTooLarge

__all__ = [
    "ALGORITHMS",
    "MalformedDigest",
    "body_fits",
    "content_digest",
    "digest_fits",
    "from_base64",
    "limited",
    "parse_content_digest",
    "to_base64",
]

#: Those of RFC 9530 section 5 that are good against forgery.
ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}

#: One member of the field (RFC 9651 section 3.2): a key, and a byte sequence or, with
#: an algorithm that is not known here, anything; parameters behind it mean nothing.
#: What repeats is told apart by its first character, so no value takes long.
_KEY = r"[a-z*][a-z0-9_.*-]*"
_STRING = r'"(?:[^"\\]|\\.)*"'
_ITEM = rf'(?:{_STRING}|[^\s",;()]+)'
_LIST = rf'\((?:{_STRING}|[^"()])*\)'
_MEMBER = re.compile(
    rf"({_KEY})(?:=(?::([A-Za-z0-9+/]*={{0,2}}):|{_ITEM}|{_LIST}))?"
    rf"(?: *; *{_KEY}(?:={_ITEM})?)*"
)
#: What is between members.
_COMMA = re.compile(r"[ \t]*,[ \t]*")

#: How long a Content-Digest is that has a SHA-256 and nothing else.
_SHA256_LENGTH = len("sha-256=::") + 44

#: A field value longer than this (characters) is not read.
MAX_VALUE = 1024


class MalformedDigest(ValueError):
    """A value that is no Content-Digest."""


def to_base64(data: bytes) -> str:
    """Write bytes in base64 (RFC 4648 section 4)."""
    return binascii.b2a_base64(data, newline=False).decode()


def from_base64(text: str) -> bytes:
    """Read base64, in the one way in which it is written.

    Other decoders take several texts for the same bytes; then a signature could be
    altered and still hold, and be counted as another one.

    :raises ValueError: for anything that :func:`to_base64` would not write.
    """
    data = binascii.a2b_base64(text)  # takes nearly anything; its error is a ValueError
    if binascii.b2a_base64(data, newline=False) != text.encode("ascii"):
        raise ValueError("this is not canonical base64")
    return data


def content_digest(pieces: Iterable[bytes], algorithm: str = "sha-256") -> str:
    """Make the value of Content-Digest (RFC 9530 section 2).

    :param pieces: the body; read to its end.
    :param algorithm: ``sha-256`` or ``sha-512``.
    """
    found = ALGORITHMS[algorithm]()
    for piece in pieces:
        found.update(piece)
    return f"{algorithm}=:{to_base64(found.digest())}:"


def body_fits(value: str, pieces: Iterable[bytes]) -> bool:
    """Say whether a body is the one of a Content-Digest; see :func:`digest_fits`.

    :param value: of the field.
    :raises MalformedDigest: where it is malformed; then the body may have been read.
    """
    if len(value) != _SHA256_LENGTH or not value.startswith("sha-256=:"):
        return digest_fits(parse_content_digest(value), pieces)
    if content_digest(pieces) == value:  # nearly all; anybody can make it, so no secret
        return True
    parse_content_digest(value)
    return False


def parse_content_digest(value: str) -> dict[str, bytes]:
    """Read the value of Content-Digest.

    :returns: digests by algorithm, of those that are known here.
    :raises MalformedDigest: also where it names one of them twice: of two digests it
        must be clear which one counts.
    """
    found: dict[str, bytes] = {}
    if len(value) > MAX_VALUE:
        raise MalformedDigest("Content-Digest is too long")
    for name, text in _members(value.strip(" \t")):
        if name not in ALGORITHMS:
            continue
        if text is None or name in found:
            raise MalformedDigest("Content-Digest is malformed")
        try:
            found[name] = from_base64(text)
        except ValueError as error:
            raise MalformedDigest("Content-Digest is no base64") from error
    return found


def _members(value: str) -> Iterator[tuple[str, str | None]]:
    """Yield the keys of a dictionary, and the text of byte sequences."""
    place, more = 0, True
    while more:
        member = _MEMBER.match(value, place)
        if member is None:
            raise MalformedDigest("Content-Digest is malformed")
        yield member[1], member[2]
        comma = _COMMA.match(value, member.end())
        more, place = comma is not None, (comma or member).end()
    if place != len(value):
        raise MalformedDigest("Content-Digest is malformed")


def digest_fits(digests: Mapping[str, bytes], pieces: Iterable[bytes]) -> bool:
    """Say whether a body has these digests.

    :param digests: as :func:`parse_content_digest` reads them. All that are of a
        known algorithm must fit, and there must be one (RFC 9530 section 6.1: the
        others are good for nothing against an attacker).
    :param pieces: the body; read to its end where there is something to compare.
    """
    running = [
        (new(), digests[each]) for each, new in ALGORITHMS.items() if each in digests
    ]
    if not running:
        return False
    for piece in pieces:
        for made, _ in running:
            made.update(piece)
    return all([hmac.compare_digest(made.digest(), said) for made, said in running])


def limited(pieces: Iterable[bytes], limit: int | None) -> Iterator[bytes]:
    """Hand pieces on, up to a limit.

    :param limit: bytes; None for no limit.
    :raises BodyTooLarge: with the piece that goes over it, which is not handed on.
    """
    size = 0
    for piece in pieces:
        size += len(piece)
        if limit is not None and size > limit:
            raise BodyTooLarge(limit)
        yield piece
