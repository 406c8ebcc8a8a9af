"""Digests of bodies: Content-Digest made and checked over pieces. Pure (RFC 9530).

A body is an iterable of pieces (bytes) everywhere in ``trust``; nothing here holds
one whole. What is done with a digest that does not fit is for the caller to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping

from pyramid_restproxy.trust.refusals import BodyTooLarge

__all__ = [
    "ALGORITHMS",
    "content_digest",
    "digest_fits",
    "from_base64",
    "limited",
    "parse_content_digest",
    "to_base64",
]

#: Names of RFC 9530 section 5 that are good against forgery, and hashlib's names.
ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}

#: One member of the field: a key and a byte sequence (RFC 8941 section 3.3.5).
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):")

#: A field value longer than this (characters) is not read.
MAX_VALUE = 1024


def to_base64(data: bytes) -> str:
    """Write bytes in base64 (RFC 4648 section 4)."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Read base64, in the one way in which it is written.

    Other decoders take several texts for the same bytes; then a signature could be
    altered and still hold, and be counted as another one.

    :raises ValueError: for anything that :func:`to_base64` would not write.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("this is not base64") from error
    if to_base64(data) != text:
        raise ValueError("this is not canonical base64")
    return data


def content_digest(pieces: Iterable[bytes], algorithm: str = "sha-256") -> str:
    """Make the value of Content-Digest (RFC 9530 section 2).

    :param pieces: the body; read to its end.
    :param algorithm: ``sha-256`` or ``sha-512``.
    """
    found = hashlib.new(ALGORITHMS[algorithm])
    for piece in pieces:
        found.update(piece)
    return f"{algorithm}=:{to_base64(found.digest())}:"


def parse_content_digest(value: str) -> dict[str, bytes]:
    """Read the value of Content-Digest.

    :returns: digests by algorithm, those of unknown algorithms too.
    :raises ValueError: where it is malformed, or names an algorithm twice.
    """
    found: dict[str, bytes] = {}
    if len(value) > MAX_VALUE:
        raise ValueError("Content-Digest is too long")
    for member in value.split(","):
        matched = _MEMBER.fullmatch(member.strip(" \t"))
        if matched is None or matched[1] in found:
            raise ValueError("Content-Digest is malformed")
        found[matched[1]] = from_base64(matched[2])
    return found


def digest_fits(digests: Mapping[str, bytes], pieces: Iterable[bytes]) -> bool:
    """Say whether a body has these digests.

    :param digests: as :func:`parse_content_digest` reads them. All that are of a
        known algorithm must fit, and there must be one (RFC 9530 section 6.1: the
        others are good for nothing against an attacker).
    :param pieces: the body; read to its end where there is something to compare.
    """
    known = [(each, digests[each]) for each in ALGORITHMS if each in digests]
    if not known:
        return False
    running = [hashlib.new(ALGORITHMS[algorithm]) for algorithm, _ in known]
    for piece in pieces:
        for each in running:
            each.update(piece)
    compared = [
        hmac.compare_digest(each.digest(), said)
        for each, (_, said) in zip(running, known, strict=True)
    ]
    return all(compared)


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
