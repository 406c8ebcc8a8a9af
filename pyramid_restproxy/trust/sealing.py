"""Sealed URL parameters: values that a client carries but can neither read nor alter.

AES-256-GCM under a key id, bound to a route, an expiry and optionally a user. A token
is ``s1.<key id>.<base64url of nonce, ciphertext and tag>``. The form that
django-proxy-server calls encrypted is base64 of each value, which hides nothing: it is
here as :func:`encode_plain`.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.trust.keys import MIN_SECRET, Key, KeyRing
from pyramid_restproxy.trust.refusals import InvalidToken, Reason

if TYPE_CHECKING:  # it takes a while to import, and few applications seal
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["decode_plain", "encode_plain", "seal", "unseal"]

#: A token is at most this long (characters): URLs of 8000 are all that can be relied
#: on (RFC 9110 section 4.1), and there is more in them than this.
MAX_TOKEN = 4096

_VERSION = "s1"
_PURPOSE = "pyramid_restproxy sealed parameters"
_NONCE = 12


def seal(
    values: Mapping[str, Any],
    keys: KeyRing,
    route: str,
    expires: float,
    *,
    now: float,
    user: str | None = None,
) -> str:
    """Seal values into a token, with the newest key.

    :param values: JSON values by name; tuples come back as lists.
    :param route: the name of the route that may open it.
    :param expires: seconds since the epoch after which it cannot be opened.
    :param now: seconds since the epoch; says which key is the newest good one.
    :param user: the id of the only user who may open it; None for all.
    :returns: the token; it needs no escape in a URL.
    :raises TypeError, ValueError: for what is not JSON, or is too large.
    :raises LookupError: where no key is good.
    """
    if not all(isinstance(name, str) for name in values):
        raise TypeError("the names of sealed values must be str")
    plain = json.dumps(
        [expires, dict(values)],
        allow_nan=False,
        ensure_ascii=False,
        separators=(",", ":"),
    )
    key = keys.newest(now)
    nonce = secrets.token_bytes(_NONCE)
    bound = _bound_to(key.id, route, user)
    sealed = _cipher(key).encrypt(nonce, plain.encode("utf-8"), bound)
    token = f"{_VERSION}.{key.id}.{_to_base64url(nonce + sealed)}"
    if len(token) > MAX_TOKEN:
        raise ValueError(f"a sealed token may have up to {MAX_TOKEN} characters")
    return token


def unseal(
    token: str,
    keys: KeyRing,
    route: str,
    *,
    now: float,
    user: str | None = None,
) -> dict[str, Any]:
    """Open a token.

    :param route: the name of the route that opens it.
    :param now: seconds since the epoch.
    :param user: the id of the user, where it was sealed for one.
    :returns: the values.
    :raises InvalidToken: with a ``reason``: ``too-large``, ``malformed``,
        ``unknown-key``, ``expired`` (token or key), ``sealing`` (altered, or made for
        another route or user; one cannot be told from the other without the seal).
    """
    key_id, sealed = _parsed(token)
    key = keys.get(key_id)
    if key is None:
        raise _refused("unknown-key")
    if not key.is_valid(now):
        raise _refused("expired")
    plain = _opened(key, sealed, _bound_to(key_id, route, user))
    expires, values = _read(plain)
    if now > expires:
        raise _refused("expired")
    return values


def _refused(reason: Reason) -> InvalidToken:
    return InvalidToken(reason, "The link is not valid, or not valid any more.")


def _parsed(token: str) -> tuple[str, bytes]:
    if len(token) > MAX_TOKEN:
        raise _refused("too-large")
    version, _, rest = token.partition(".")
    key_id, _, encoded = rest.rpartition(".")
    try:
        sealed = _from_base64url(encoded)
    except ValueError as error:
        raise _refused("malformed") from error
    if version != _VERSION or len(sealed) <= _NONCE:
        raise _refused("malformed")
    return key_id, sealed


def _opened(key: Key, sealed: bytes, bound: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return _cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
    except InvalidTag as error:
        raise _refused("sealing") from error


def _read(plain: bytes) -> tuple[float, dict[str, Any]]:
    """Read what was sealed; another program may have done it with the same key."""
    try:
        expires, values = json.loads(plain)
        return float(expires), dict(values)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _refused("malformed") from error


def _bound_to(key_id: str, route: str, user: str | None) -> bytes:
    """Return what must be the same when a token is opened; JSON keeps the parts apart.

    No user is null, which is not the user with the empty name.
    """
    return json.dumps([_PURPOSE, _VERSION, key_id, route, user]).encode("ascii")


@lru_cache(maxsize=64)
def _cipher(key: Key) -> AESGCM:
    """Derive the cipher of a key (RFC 5869), so that its secret may sign as well."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    if len(key.secret) < MIN_SECRET:
        raise ConfigurationError(
            f"the key {key.id!r} is too short for sealing: {MIN_SECRET} bytes at least"
        )
    derived = HKDF(SHA256(), length=32, salt=None, info=_PURPOSE.encode("ascii"))
    return AESGCM(derived.derive(key.secret))


# -- base64url (RFC 4648 section 5), without padding ---------------------------


def _to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _from_base64url(text: str) -> bytes:
    """Read base64url, in the one way in which it is written.

    :raises ValueError: for all that :func:`_to_base64url` would not write.
    """
    padded = text + "=" * (-len(text) % 4)
    try:
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("this is not base64url") from error
    if _to_base64url(data) != text:
        raise ValueError("this is not canonical base64url")
    return data


# -- the plain form ------------------------------------------------------------

Parameters = Mapping[str, Any] | Iterable[tuple[str, Any]]


def encode_plain(params: Parameters) -> list[tuple[str, str]]:
    """Write values as base64url without padding, as django-proxy-server does.

    Everybody can read and alter them. ``service_url(path, encode_plain(params))`` and
    ``params=encode_plain(params)`` send them: ``?name=YW5u``.

    :param params: values are made str; a list gives the parameter several times.
    :returns: names as they are, and values in that form.
    """
    return [
        (name, _to_base64url(str(value).encode("utf-8")))
        for name, given in _pairs(params)
        for value in (given if isinstance(given, (list, tuple)) else [given])
    ]


def decode_plain(params: Parameters) -> list[tuple[str, str]]:
    """Read what :func:`encode_plain` writes; padding is taken too.

    :param params: the parameters of a request, e.g. ``request.GET``.
    :returns: the parameters in order; a name may come several times.
    :raises InvalidToken: where one of them cannot be read.
    """
    return [(name, _plain(value)) for name, value in _pairs(params)]


def _pairs(params: Parameters) -> Iterable[tuple[str, Any]]:
    return params.items() if isinstance(params, Mapping) else params


def _plain(text: str) -> str:
    if len(text) > MAX_TOKEN:
        raise _refused("too-large")
    try:
        return _from_base64url(text.rstrip("=")).decode("utf-8")
    except ValueError as error:
        raise _refused("malformed") from error
