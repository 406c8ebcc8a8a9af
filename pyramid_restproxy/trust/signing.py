"""Signed requests: what a signature is, signing and verifying. Pure.

Which fields carry it and what it covers is said by a :class:`Profile`; they are in
``profiles`` and ``rfc9421``. :func:`verify` takes the body as pieces and holds none
of them, so whoever reads the pieces from the client decides where they are kept;
nothing may be done with them before it returns. The clock and the nonces are
arguments. All signatures are HMAC-SHA256.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pyramid_restproxy.forwarding.fields import Fields
from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.digests import MalformedDigest, body_fits, limited
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.refusals import Reason, StoreUnavailable, Unauthenticated

__all__ = [
    "Moment",
    "NonceStore",
    "Profile",
    "Signed",
    "check_body",
    "key_named",
    "refused",
    "sign",
    "signature",
    "verify",
]

#: Seconds that the date of a signature may be away from now, in both directions.
WINDOW = 300.0

#: How many bytes of the body of a signed request are read.
MAX_BODY = 16 * 1024 * 1024

#: The challenge of WWW-Authenticate; not a registered scheme, there is none for it.
CHALLENGE = "Signature"


class NonceStore(Protocol):
    """What was used already. Shared by all processes that verify with the same keys."""

    def add(self, nonce: str, ttl: float) -> bool:
        """Remember a nonce, in one step with the look whether it is there.

        :param ttl: seconds to keep it.
        :returns: False where it was there already.
        :raises StoreUnavailable, OSError: where that is not certain.
        """


@dataclass(slots=True)
class Signed:
    """What a valid signature says.

    Not frozen, nor is :class:`Moment`: that would cost each request a microsecond.

    :ivar key_id: whose it is.
    :ivar created: seconds since the epoch; None where it has no date.
    :ivar nonce: what makes it unique, or None.
    :ivar covered: names of the fields that are signed, in lower case; empty where the
        profile signs none.
    :ivar names_key: whether the request says whose key it is signed with. Where it
        does not, it may be signed with several, and its nonce is good once for all.
    """

    key_id: str
    created: int | None = None
    nonce: str | None = None
    covered: frozenset[str] = frozenset()
    names_key: bool = True


@dataclass(slots=True)
class Moment:
    """When a signature is checked.

    :ivar now: seconds since the epoch.
    :ivar window: seconds that a date may be away from now.
    """

    now: float
    window: float = WINDOW

    def check(self, created: int, expires: int | None = None) -> None:
        """Refuse a signature that is not good now.

        :param created: its date, seconds since the epoch.
        :param expires: after which second it is not good, or None.
        :raises Unauthenticated: with the reason ``skew`` or ``expired``.
        """
        if not -self.window <= self.now - created <= self.window:
            raise refused("skew")
        if expires is not None and self.now > expires:
            raise refused("expired")


class Profile(Protocol):
    """A way to put a signature into a request."""

    @property
    def name(self) -> str:
        """One word, which keeps the nonces of profiles apart."""

    @property
    def replay_safe(self) -> bool:
        """Whether it has a date and a nonce."""

    def sign(
        self,
        parts: RequestParts,
        pieces: Iterable[bytes],
        key: Key,
        created: int,
        nonce: str,
    ) -> Fields:
        """Return the fields that carry the signature."""

    def check(
        self, parts: RequestParts, pieces: Iterable[bytes], keys: KeyRing, at: Moment
    ) -> Signed:
        """Return what is said by a signature that holds.

        :param at: now, for its dates and those of the keys; looked at before the body.
        :raises Unauthenticated: where it does not hold.
        """


def refused(reason: Reason) -> Unauthenticated:
    """Make a refusal; it says the same to the client whatever the reason."""
    detail = "This resource takes requests with a valid signature only."
    return Unauthenticated(reason, detail, CHALLENGE)


def signature(key: Key, pieces: Iterable[bytes]) -> bytes:
    """Return the HMAC-SHA256 of pieces (RFC 2104)."""
    inner = key.begin_hmac()
    for piece in pieces:
        inner.update(piece)
    return key.end_hmac(inner)


def key_named(keys: KeyRing, key_id: str, now: float) -> Key:
    """Return a key that is good now.

    :raises Unauthenticated: where there is none of this id, or it is not good.
    """
    key = keys.get(key_id)
    if key is None:
        raise refused("unknown-key")
    if not key.is_valid(now):
        raise refused("expired")
    return key


def check_body(value: str | None, pieces: Iterable[bytes]) -> None:
    """Compare a body with its Content-Digest, which is signed.

    :param value: the field; None where it is not signed, which is good for no body.
    :raises Unauthenticated: where they do not fit.
    """
    try:
        fits = not any(pieces) if value is None else body_fits(value, pieces)
    except MalformedDigest as error:
        raise refused("malformed") from error
    if not fits:
        raise refused("digest")


def sign(
    profile: Profile,
    parts: RequestParts,
    pieces: Iterable[bytes],
    keys: KeyRing,
    now: float,
    nonce: str | None = None,
) -> Fields:
    """Sign a request with the newest key.

    :param parts: the request as it will be sent, after all changes to it.
    :param pieces: its body; read to its end, so it must be there again for sending.
    :param now: seconds since the epoch.
    :param nonce: what makes it unique, 16 to 64 letters, digits, ``-`` and ``_``;
        random where it is left out.
    :returns: the fields to set; they replace those of the same name.
    :raises LookupError: where no key is good.
    """
    unique = secrets.token_urlsafe(18) if nonce is None else nonce
    return profile.sign(parts, pieces, keys.newest(now), int(now), unique)


def verify(
    profile: Profile,
    parts: RequestParts,
    pieces: Iterable[bytes],
    keys: KeyRing,
    now: float,
    *,
    window: float = WINDOW,
    nonces: NonceStore | None = None,
    max_body: int | None = MAX_BODY,
) -> Signed:
    """Check the signature of a request.

    :param parts: the request as it came, see :class:`~.canonical.WireParts`.
    :param pieces: its body, before any decoding; read no further than is needed.
    :param now: seconds since the epoch.
    :param window: seconds that its date may be away from now.
    :param nonces: where nonces are remembered; None for not to look for replays. It
        is asked last, so that nobody without a key can fill it.
    :param max_body: bytes of the body that are read; None where `pieces` has a limit
        of its own.
    :returns: whose it is and what it says.
    :raises Unauthenticated: where it does not hold; ``reason`` says why.
    :raises BodyTooLarge: where the body is over its limit.
    :raises StoreUnavailable: where the nonces cannot be asked.
    """
    at = Moment(now, window)
    if max_body is not None:
        pieces = limited(pieces, max_body)
    signed = profile.check(parts, pieces, keys, at)
    if nonces is None or not profile.replay_safe:
        return signed
    if not signed.nonce:
        raise refused("malformed")
    key_id = signed.key_id if signed.names_key else ""
    unique = f"{profile.name}:{key_id}:{signed.nonce}"
    try:
        # For twice the window: one that is dated ahead, as far as it may be, is good
        # for that long.
        is_new = nonces.add(unique, 2 * window + 1)
    except OSError as error:
        raise StoreUnavailable() from error
    if not is_new:
        raise refused("replay")
    return signed
