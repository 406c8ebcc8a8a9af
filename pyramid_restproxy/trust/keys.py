"""Shared secrets with names, several good at the same time. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.trust.identity import is_time

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = ["MIN_SECRET", "Key", "KeyRing"]

#: A secret shorter than this (bytes) could be found by trying; 32 random ones are good.
MIN_SECRET = 16

_KEY_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A shared secret with a name.

    :ivar id: letters, digits, ``.``, ``_`` and ``-``; at most 64 characters. Sent with
        what is signed, so not a secret.
    :ivar secret: the secret as bytes; never shown.
    :ivar not_after: seconds since the epoch after which it is not good any more; None
        for no end.
    :raises ConfigurationError: for another id, an empty secret, or another time.
    """

    id: str
    secret: bytes = field(repr=False)
    not_after: float | None = None
    _inner: _Hash = field(init=False, repr=False)
    _outer: _Hash = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.id):
            raise ConfigurationError(  # not repeated: it may be the secret
                "the id of a key is up to 64 letters, digits, '.', '_' and '-', and "
                "does not begin with '.'"
            )
        if not self.secret:
            raise ConfigurationError(f"the key {self.id!r} has an empty secret")
        if self.not_after is not None and not is_time(self.not_after):
            raise ConfigurationError(
                f"the key {self.id!r}: not_after={self.not_after!r}: expected seconds "
                "since the epoch"
            )
        inner, outer = _padded(self.secret)
        object.__setattr__(self, "_inner", sha256(inner))
        object.__setattr__(self, "_outer", sha256(outer))

    def __reduce__(self) -> tuple[type[Key], tuple[str, bytes, float | None]]:
        """Say how to make a copy: what was begun cannot be copied to a process."""
        return Key, (self.id, self.secret, self.not_after)

    def is_valid(self, now: float) -> bool:
        """Say whether it is good now (seconds since the epoch)."""
        return self.not_after is None or now <= self.not_after

    def hmac(self, content: bytes) -> bytes:
        """Return the HMAC-SHA256 (RFC 2104) of what is there whole."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(content)
        outer.update(inner.digest())
        return outer.digest()

    def begin_hmac(self) -> _Hash:
        """Return the inner hash of an HMAC-SHA256; what is signed is put into it.

        The secret was put into it when the key was made, and not with each request.
        (An object of ``hmac`` could be copied too, but that takes longer than both of
        these methods.)
        """
        return self._inner.copy()

    def end_hmac(self, inner: _Hash) -> bytes:
        """Return the HMAC-SHA256 (RFC 2104) of what an inner hash has seen."""
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


#: Bytes that SHA-256 takes at a time.
_BLOCK = 64


def _padded(secret: bytes) -> tuple[bytes, bytes]:
    """Return with what the inner and the outer hash begin (RFC 2104 section 2)."""
    short = sha256(secret).digest() if len(secret) > _BLOCK else secret
    block = short.ljust(_BLOCK, b"\0")
    return bytes(each ^ 0x36 for each in block), bytes(each ^ 0x5C for each in block)


class KeyRing:
    """Keys that are good at the same time, from the oldest to the newest.

    All of them verify, the newest signs: so a key is changed by adding the new one on
    both sides, and taking the old one away later.

    :raises ConfigurationError: where two have the same id.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys: dict[str, Key] = {}
        for key in keys:
            self.add(key)

    def add(self, key: Key) -> None:
        """Add the newest key; for the configuration, before there are requests.

        :raises ConfigurationError: where there is one of its id.
        """
        if key.id in self._keys:
            raise ConfigurationError(f"there are two keys with the id {key.id!r}")
        self._keys[key.id] = key

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(self._keys)})"

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key_id: str) -> Key | None:
        """Return a key by its id, good or not."""
        return self._keys.get(key_id)

    def valid(self, now: float) -> list[Key]:
        """Return the keys that are good now (seconds since the epoch)."""
        return [key for key in self._keys.values() if key.is_valid(now)]

    def newest(self, now: float) -> Key:
        """Return the key that signs.

        :raises LookupError: where none is good.
        """
        valid = self.valid(now)
        if not valid:
            raise LookupError("no key is valid now")
        return valid[-1]
