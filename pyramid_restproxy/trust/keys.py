"""Shared secrets with names, several good at the same time. Pure."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.trust.identity import is_time

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
    _begun: hmac.HMAC = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.id):
            raise ConfigurationError(f"{self.id!r} cannot be the id of a key")
        if not self.secret:
            raise ConfigurationError(f"the key {self.id!r} has an empty secret")
        if self.not_after is not None and not is_time(self.not_after):
            raise ConfigurationError(
                f"the key {self.id!r}: not_after={self.not_after!r}: expected seconds "
                "since the epoch"
            )
        object.__setattr__(self, "_begun", hmac.new(self.secret, digestmod="sha256"))

    def __reduce__(self) -> tuple[type[Key], tuple[str, bytes, float | None]]:
        """Say how to make a copy: what was begun cannot be copied to a process."""
        return Key, (self.id, self.secret, self.not_after)

    def is_valid(self, now: float) -> bool:
        """Say whether it is good now (seconds since the epoch)."""
        return self.not_after is None or now <= self.not_after

    def begin_hmac(self) -> hmac.HMAC:
        """Return an HMAC-SHA256 (RFC 2104) of nothing yet.

        The secret was put into it when the key was made, and not with each request.
        """
        return self._begun.copy()


class KeyRing:
    """Keys that are good at the same time, from the oldest to the newest.

    All of them verify, the newest signs: so a key is changed by adding the new one on
    both sides, and taking the old one away later.

    :raises ConfigurationError: where two have the same id.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        listed = list(keys)
        self._keys = {key.id: key for key in listed}
        if len(self._keys) < len(listed):
            twice = next(key.id for key in listed if key is not self._keys[key.id])
            raise ConfigurationError(f"there are two keys with the id {twice!r}")

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
