"""What the cache stores, as bytes, and the names it is stored under. Pure.

A record is a head in JSON, the content as it is, and a digest over both and over the
name. What is cut, changed, forged or moved to another name reads as nothing, which is
a miss. There is no pickle in it, and no code runs by reading it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from dataclasses import dataclass
from typing import Any

from pyramid_restproxy.forwarding.cache.directives import Directives, cache_control
from pyramid_restproxy.forwarding.cache.rules import (
    Freshness,
    current_age,
    freshness_lifetime,
    selecting,
)
from pyramid_restproxy.forwarding.fields import Fields

__all__ = ["Entry", "Variants", "read_record", "slot_of"]

#: Which format it is; to be changed with it, so that old records are misses.
_MAGIC = b"RPC1"
#: The magic, and the lengths of the head and of the content, bytes.
_SIZES = struct.Struct(">4sIQ")
_DIGEST = hashlib.sha256().digest_size

Selected = tuple[tuple[str, str | None], ...]


def slot_of(*parts: Any) -> str:
    """Return the name of a place in the store, from what tells it from others.

    :param parts: strings, None, and lists of these.
    """
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """A stored answer.

    :ivar fields: its fields, without those of one connection.
    :ivar selected: request fields that select it, by name, normalised; None for none.
    :ivar asked: when the request was made, seconds since the epoch.
    :ivar received: when the head of the answer came.
    :ivar destination: the URL of the destination that gave it.
    """

    status: int
    reason: str
    fields: Fields
    body: bytes
    selected: Selected
    asked: float
    received: float
    destination: str = ""

    def is_for(self, fields: Fields) -> bool:
        """Say whether it answers a request with these fields (RFC 9111 section 4.1)."""
        return self.selected == selecting((name for name, _ in self.selected), fields)

    @property
    def said(self) -> Directives:
        """The directives of its Cache-Control."""
        return cache_control(self.fields)

    def freshness(self, now: float) -> Freshness:
        """Return how old it is and may be.

        :param now: seconds since the epoch.
        """
        return Freshness(
            freshness_lifetime(self.fields, self.received),
            current_age(self.fields, self.asked, self.received, now),
        )

    def to_bytes(self, slot: str, secret: bytes = b"") -> bytes:
        """Return it as it is stored.

        :param slot: the name it is stored under.
        :param secret: for an HMAC; a plain digest where it is empty.
        """
        head = {
            "status": self.status,
            "reason": self.reason,
            "fields": self.fields,
            "selected": self.selected,
            "asked": self.asked,
            "received": self.received,
            "destination": self.destination,
        }
        return _seal(head, self.body, slot, secret)

    @classmethod
    def from_bytes(cls, data: bytes, slot: str, secret: bytes = b"") -> Entry | None:
        """Read an entry; None where the bytes are not one that was stored there."""
        found = read_record(data, slot, secret)
        return found if isinstance(found, Entry) else None


@dataclass(frozen=True, slots=True)
class Variants:
    """A note that the answers of a resource differ by request fields.

    :ivar names: these fields, in lower case.
    :ivar generation: part of the names of the variants: who takes the note away has
        taken all of them away, for good.
    :ivar ttl: how long it was stored for, seconds.
    """

    names: tuple[str, ...]
    generation: str
    ttl: float = 0.0

    def slot(self, resource: str, fields: Fields) -> str:
        """Return the place of the variant for a request with these fields."""
        return slot_of(resource, self.generation, selecting(self.names, fields))

    def to_bytes(self, slot: str, secret: bytes = b"") -> bytes:
        """Return it as it is stored; see :meth:`Entry.to_bytes`."""
        head = {
            "names": self.names,
            "generation": self.generation,
            "ttl": self.ttl,
        }
        return _seal(head, b"", slot, secret)


def read_record(data: bytes, slot: str, secret: bytes = b"") -> Entry | Variants | None:
    """Read what is stored in a place.

    :param slot: the name of the place.
    :param secret: that it was written with.
    :returns: None where it is not what was written there.
    """
    opened = _unseal(data, slot, secret)
    if opened is None:
        return None
    try:
        return _record(*opened)
    except (ValueError, KeyError, TypeError):  # whole, but of another making
        return None


def _record(head: bytes, body: bytes) -> Entry | Variants:
    found = json.loads(head)
    if "generation" in found:
        return Variants(tuple(found["names"]), found["generation"], found["ttl"])
    return Entry(
        status=found["status"],
        reason=found["reason"],
        fields=[(name, value) for name, value in found["fields"]],
        body=body,
        selected=tuple((name, value) for name, value in found["selected"]),
        asked=found["asked"],
        received=found["received"],
        destination=found["destination"],
    )


def _seal(head: dict[str, Any], body: bytes, slot: str, secret: bytes) -> bytes:
    encoded = json.dumps(head, separators=(",", ":")).encode("ascii")
    message = _SIZES.pack(_MAGIC, len(encoded), len(body)) + encoded + body
    return message + _digest(message, slot, secret)


def _unseal(data: bytes, slot: str, secret: bytes) -> tuple[bytes, bytes] | None:
    """Return head and content; None where they are not whole and ours."""
    if len(data) < _SIZES.size + _DIGEST:
        return None
    magic, head, body = _SIZES.unpack_from(data)
    begin = _SIZES.size + head
    if magic != _MAGIC or begin + body + _DIGEST != len(data):
        return None
    message, digest = data[:-_DIGEST], data[-_DIGEST:]
    if not hmac.compare_digest(_digest(message, slot, secret), digest):
        return None
    return message[_SIZES.size : begin], message[begin:]


def _digest(message: bytes, slot: str, secret: bytes) -> bytes:
    place = hashlib.sha256(slot.encode()).digest()
    if secret:
        return hmac.digest(secret, place + message, "sha256")
    return hashlib.sha256(place + message).digest()
