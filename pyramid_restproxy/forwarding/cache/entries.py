"""The entries of a store: found by what a request asks, with regard to Vary."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from pyramid_restproxy.forwarding.cache.entry import Entry, Variants, read_record
from pyramid_restproxy.forwarding.cache.store import Store
from pyramid_restproxy.forwarding.fields import Fields

__all__ = ["Entries", "Found"]


class Found(NamedTuple):
    """What is stored for a request.

    :ivar slot: where the answer is, or would be as far as is known.
    :ivar entry: the answer, None where there is none.
    :ivar missing: why there is none: ``miss`` or ``vary-miss`` (RFC 9211 section 2.2).
    """

    slot: str
    entry: Entry | None
    missing: str


class Entries:
    """The entries of a store.

    Where the answers of a resource differ by request fields, its place has a note of
    these fields (:class:`Variants`), and each variant a place of its own.

    :param store: what keeps the bytes.
    :param secret: by which they are signed, may be empty.
    """

    def __init__(self, store: Store, secret: bytes = b"") -> None:
        self._store = store
        self._secret = secret

    def find(self, resource: str, fields: Fields) -> Found:
        """Find the answer to a request.

        :param resource: the place of what it asks for.
        :param fields: what is sent to the backend.
        """
        slot, missing = resource, "miss"
        record = self._read(slot)
        if isinstance(record, Variants):
            slot, missing = record.slot(resource, fields), "vary-miss"
            record = self._read(slot)
        if isinstance(record, Entry) and record.is_for(fields):
            return Found(slot, record, missing)
        return Found(slot, None, missing)

    def put(self, resource: str, fields: Fields, entry: Entry, ttl: float) -> None:
        """Store the answer to a request.

        :param ttl: seconds.
        """
        slot = resource
        if entry.selected:
            names = tuple(name for name, _ in entry.selected)
            slot = self._variants(resource, names, ttl).slot(resource, fields)
        self._store.set(slot, entry.to_bytes(slot, self._secret), ttl)

    def forget(self, resource: str) -> None:
        """Take all answers of a resource away."""
        self._store.delete(resource)

    def _variants(self, slot: str, names: tuple[str, ...], ttl: float) -> Variants:
        """Note by which fields the answers of a resource differ."""
        known = self._read(slot)
        if not isinstance(known, Variants) or known.names != names:
            known = Variants(names, secrets.token_hex(8))
        # as long as any variant may live: without the note none of them is found
        ttl = max(ttl, known.ttl)
        known = Variants(names, known.generation, ttl)
        self._store.set(slot, known.to_bytes(slot, self._secret), ttl)
        return known

    def _read(self, slot: str) -> Entry | Variants | None:
        data = self._store.get(slot)
        return None if data is None else read_record(data, slot, self._secret)
