"""JSON Web Tokens (RFC 7519) as user tokens, checked here (RFC 8725).

The application says which algorithms there are, who makes the tokens and for whom; the
token says nothing of that: an algorithm, key or URL in its header is compared or left
alone. Signed tokens only; encrypted ones (five parts) are refused unread.
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.trust.identity import Identity, is_time

if TYPE_CHECKING:
    from joserfc.jwk import Key

__all__ = ["JWTValidator", "Keys", "check_claims"]

#: A longer token (characters) is not read.
MAX_TOKEN = 8192

#: Seconds that clocks may differ.
LEEWAY = 30.0

#: The algorithms that there may be (RFC 7518 section 3.1, RFC 8037, RFC 9864).
SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})
ALGORITHMS = SYMMETRIC | {
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
}

#: The order of the group of a curve, by the length of a signature (bytes): P-256, P-384
#: and P-521 (SEC 2 section 2; RFC 7518 section 3.4).
ORDERS = {
    64: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    96: int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
        "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
        16,
    ),
    132: int(
        "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA"
        "51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
        16,
    ),
}


class Keys(Protocol):
    """Where keys are, see :class:`~pyramid_restproxy.trust.jwks.KeySource`."""

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """Return the key of a token, None where there is none."""


class JWTValidator:
    """A validator of user tokens that are JWTs. Thread-safe.

    :param keys: where the keys are.
    :param algorithms: those that are taken; all of them with a shared secret (``HS``),
        or none.
    :param issuer: who makes the tokens (``iss``).
    :param audience: for whom, one or several of which one must be in ``aud``.
    :param leeway: seconds that clocks may differ.
    :param user_claim: the claim that names the user.
    :param permissions_claim: the claim with the permissions, a list or words.
    :param typ: what the header's ``typ`` must say, e.g. ``at+jwt`` (RFC 9068); None for
        anything.
    :param clock: seconds since the epoch.
    :raises ConfigurationError: where an argument is not what it must be.
    :raises MissingExtra: where joserfc is not installed.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        algorithms: Sequence[str],
        issuer: str,
        audience: str | Sequence[str],
        leeway: float = LEEWAY,
        user_claim: str = "sub",
        permissions_claim: str = "scope",
        typ: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        with needs("jwt", "joserfc", "JWT validation"):
            from joserfc.jws import JWSRegistry
        self._keys = keys
        self._algorithms = _algorithms(algorithms)
        self._has_curves = any(each.startswith("ES") for each in self._algorithms)
        self._registry = JWSRegistry(
            algorithms=sorted(self._algorithms), strict_check_header=False
        )
        self._issuer = _text("issuer", issuer)
        listed = [audience] if isinstance(audience, str) else audience
        self._audience = frozenset(_text("audience", each) for each in listed)
        if not self._audience:
            raise ConfigurationError("JWTValidator: audience is empty")
        self._leeway = leeway
        self._user_claim = user_claim
        self._permissions_claim = permissions_claim
        self._typ = typ
        self._clock = clock

    def __call__(self, request: Request, token: str) -> Identity | None:
        """Return whose token it is, None where it is not good.

        :raises KeysUnavailable: where it cannot be checked.
        """
        claims = self._signed_claims(token)
        if claims is None or not check_claims(
            claims, self._issuer, self._audience, self._clock(), self._leeway
        ):
            return None
        user = claims.get(self._user_claim)
        permissions = _words(claims.get(self._permissions_claim))
        if not isinstance(user, str) or not user or permissions is None:
            return None
        expires = claims["exp"] + self._leeway
        return Identity(user, permissions, claims, expires)

    def canonical(self, token: str) -> str:
        """Return the form of a token under which it is known, and taken back.

        Whoever has an ECDSA signature can write it in a second way, which is as good;
        it must not make a token of its own.
        """
        return canonical(token) if self._has_curves else token

    def _signed_claims(self, token: str) -> dict[str, Any] | None:
        from joserfc import jwt
        from joserfc.errors import JoseError

        if len(token) > MAX_TOKEN or token.count(".") != 2:
            return None
        try:
            decoded = jwt.decode(token, self._key, registry=self._registry)
        except (JoseError, ValueError, TypeError, RecursionError):
            return None
        # Some versions of joserfc hand out whatever JSON there is.
        return decoded.claims if isinstance(decoded.claims, dict) else None

    def _key(self, signed: Any) -> Key:
        """Return the key of a token; what its header says was compared by nobody yet.

        :raises ValueError: where there is none.
        """
        header = signed.headers()
        kid, algorithm, typ = (header.get(name) for name in ("kid", "alg", "typ"))
        key = None
        if _is_extended(header):
            raise ValueError("an extension that is not known here")
        if algorithm in self._algorithms and _is_type(typ, self._typ):
            key = self._keys.find(kid, algorithm)
        if key is None:
            raise ValueError("no key for this token")
        return key


def canonical(token: str) -> str:
    """Write a token with the smaller of two ECDSA signatures: (r, s) or (r, n - s).

    :param token: in compact form (RFC 7515 section 7.1), looked at by nobody yet.
    :returns: the token as it is where its signature is of no known length.
    """
    signed, _, text = token.rpartition(".")
    try:
        signature = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return token
    half, order = len(signature) // 2, ORDERS.get(len(signature))
    s = int.from_bytes(signature[half:], "big")
    if order is None or not order < 2 * s < 2 * order:
        return token
    smaller = signature[:half] + (order - s).to_bytes(half, "big")
    return f"{signed}.{urlsafe_b64encode(smaller).rstrip(b'=').decode()}"


def check_claims(
    claims: Mapping[str, Any],
    issuer: str,
    audience: frozenset[str],
    now: float,
    leeway: float = 0.0,
) -> bool:
    """Say whether a token is good here and now (RFC 7519 section 4.1).

    :param now: seconds since the epoch.
    :param leeway: seconds that clocks may differ.
    """
    named = claims.get("aud")
    named = [named] if isinstance(named, str) else named
    if claims.get("iss") != issuer or not isinstance(named, list):
        return False
    if not any(each in audience for each in named if isinstance(each, str)):
        return False
    expires = claims.get("exp", "missing")
    begins, issued = claims.get("nbf", 0), claims.get("iat", 0)
    if not all(is_time(each) for each in (expires, begins, issued)):
        return False
    return begins - leeway <= now < expires + leeway and issued - leeway <= now


def _is_extended(header: Mapping[str, Any]) -> bool:
    """Say whether a header asks for more than RFC 7515 itself, or does so wrongly.

    No extension is known here, and an empty ``crit`` must not be (RFC 7515 section
    4.1.11). ``b64`` without ``crit`` must not be either, and is of no use in a JWT (RFC
    7797 sections 6 and 7).
    """
    return "crit" in header or "b64" in header


def _is_type(value: Any, wanted: str | None) -> bool:
    """Compare a header's ``typ`` (RFC 7515 section 4.1.9)."""
    if wanted is None:
        return True
    found = value.lower() if isinstance(value, str) else ""
    return found.removeprefix("application/") == wanted.lower()


def _words(value: Any) -> tuple[str, ...] | None:
    """Read permissions; None where they are something else."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    return None


def _algorithms(given: Sequence[str]) -> frozenset[str]:
    found = frozenset([given] if isinstance(given, str) else given)
    if not found or not found <= ALGORITHMS:
        raise ConfigurationError(
            f"JWTValidator: algorithms={given!r}: expected some of "
            f"{', '.join(sorted(ALGORITHMS))}"
        )
    if found & SYMMETRIC and found - SYMMETRIC:
        raise ConfigurationError(
            "JWTValidator: a public key must not be taken for a shared secret: "
            "algorithms are all HS..., or none"
        )
    return found


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"JWTValidator: {name}={value!r}: expected text")
    return value
