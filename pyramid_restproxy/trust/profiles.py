"""The ways to put a signature into a request, but for RFC 9421. Pure.

================= ============================================ ==================
profile           covers                                       against replay
================= ============================================ ==================
`BodyProfile`     the body, nothing else                       nothing
`RequestProfile`  method, target, fields, body, date, nonce    date, nonce
`WebhookProfile`  id, date, body (Standard Webhooks)           date, id with date
================= ============================================ ==================
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode
from binascii import a2b_base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.forwarding.fields import Fields
from pyramid_restproxy.remembered import remembered
from pyramid_restproxy.trust.canonical import (
    RequestParts,
    request_string,
    webhook_prefix,
)
from pyramid_restproxy.trust.digests import content_digest, from_base64, to_base64
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.signing import (
    Moment,
    Signed,
    check_body,
    key_named,
    refused,
    signature,
)

__all__ = ["BodyProfile", "RequestProfile", "WebhookProfile", "webhook_secret"]


@dataclass(frozen=True, slots=True)
class BodyProfile:
    """base64 of the HMAC of the body in one field, and nothing else.

    It says nothing of the method, the target or the time: whoever sees such a request
    can send it again, and to another place where the same key is good.

    :ivar field: the name of the field.
    """

    field: str = "X-MY-APP-HMAC"
    name = "body"
    replay_safe = False

    def sign(
        self,
        parts: RequestParts,
        pieces: Iterable[bytes],
        key: Key,
        created: int,
        nonce: str,
    ) -> Fields:
        """Return the field that carries the signature."""
        return [(self.field, to_base64(signature(key, pieces)))]

    def check(
        self, parts: RequestParts, pieces: Iterable[bytes], keys: KeyRing, at: Moment
    ) -> Signed:
        """Return whose signature it is, see :class:`Profile`."""
        value = _present(parts, self.field)
        said = _decoded(value)
        return Signed(_signer_of(keys.valid(at.now), [said], b"", pieces).id)


#: key=...; created=...; nonce=...; covered="..."; signature=:...:
#: The last letter of the base64 of 32 bytes has two bits that are 0.
_SIGNATURE = re.compile(
    r"key=(?P<key>[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}); "
    r"created=(?P<created>0|[1-9][0-9]{0,11}); "
    r"nonce=(?P<nonce>[A-Za-z0-9_-]{16,64}); "
    r'covered="(?P<covered>[a-z0-9-]+(?: [a-z0-9-]+){0,31})"; '
    r"signature=:(?P<signature>[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):"
)


@dataclass(frozen=True, slots=True)
class RequestProfile:
    """The default: method, target, fields, body, date and nonce, under a key id.

    The string that is signed: :func:`~.canonical.request_string`. The signature is
    checked before a byte of the body is read.

    :ivar covered: fields that are signed, in lower case, and that must be signed by
        others too; ``content-digest`` always is.
    :ivar field: the name of the field with the signature.
    """

    covered: tuple[str, ...] = ("host", "content-type")
    field: str = "X-Signature"
    name = "request"
    replay_safe = True

    def sign(
        self,
        parts: RequestParts,
        pieces: Iterable[bytes],
        key: Key,
        created: int,
        nonce: str,
    ) -> Fields:
        """Return Content-Digest and the field that carries the signature."""
        digest = ("Content-Digest", content_digest(pieces))
        covered = tuple(dict.fromkeys((*self.covered, "content-digest")))
        made = request_string(
            parts.having(digest),
            key_id=key.id,
            created=str(created),
            nonce=nonce,
            covered=covered,
        )
        value = (
            f"key={key.id}; created={created}; nonce={nonce}; "
            f'covered="{" ".join(covered)}"; '
            f"signature=:{to_base64(key.hmac(made))}:"
        )
        if not _SIGNATURE.fullmatch(value):
            raise ValueError("the nonce or the names of covered fields are malformed")
        return [digest, (self.field, value)]

    def check(
        self, parts: RequestParts, pieces: Iterable[bytes], keys: KeyRing, at: Moment
    ) -> Signed:
        """Return what the signature says, see :class:`Profile`."""
        value, digest = parts.values((self.field, "content-digest"))
        if not value:
            raise refused("missing")
        said = _SIGNATURE.fullmatch(value)
        if said is None:
            raise refused("malformed")
        key_id, date, nonce, names, text = said.groups()
        created, (lines, covered) = int(date), _covered(names)
        if "content-digest" not in covered or not covered.issuperset(self.covered):
            raise refused("malformed")
        key = key_named(keys, key_id, at.now)
        at.check(created)
        try:
            made = request_string(
                parts, key_id=key_id, created=date, nonce=nonce, covered=lines
            )
        except ValueError as error:
            raise refused("malformed") from error
        if not hmac.compare_digest(key.hmac(made), a2b_base64(text)):
            raise refused("signature")
        check_body(digest, pieces)
        return Signed(key_id, created, nonce, covered)


@remembered(256)
def _covered(names: str) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names of fields in their order, and as a set."""
    lines = tuple(names.split(" "))
    return lines, frozenset(lines)


@dataclass(frozen=True, slots=True)
class WebhookProfile:
    """Standard Webhooks: id, time and body; no key id, so each valid key is tried.

    The id names the event and stays when it is sent again, so id and time together
    are what may come only once. https://www.standardwebhooks.com
    """

    name = "webhook"
    replay_safe = True

    def sign(
        self,
        parts: RequestParts,
        pieces: Iterable[bytes],
        key: Key,
        created: int,
        nonce: str,
    ) -> Fields:
        """Return the fields; the id is the one in `parts`, else made of the nonce."""
        message_id = parts.value("webhook-id") or f"msg_{nonce}"
        if not _WEBHOOK_ID.fullmatch(message_id):
            raise ValueError(f"{message_id!r} cannot be a webhook id")
        prefix = webhook_prefix(message_id, str(created))
        made = signature(key, chain([prefix], pieces))
        return [
            ("webhook-id", message_id),
            ("webhook-timestamp", str(created)),
            ("webhook-signature", f"v1,{to_base64(made)}"),
        ]

    def check(
        self, parts: RequestParts, pieces: Iterable[bytes], keys: KeyRing, at: Moment
    ) -> Signed:
        """Return what the signature says, see :class:`Profile`."""
        message_id = _present(parts, "webhook-id")
        timestamp = _present(parts, "webhook-timestamp")
        said = list(_webhook_signatures(_present(parts, "webhook-signature")))
        if not _WEBHOOK_ID.fullmatch(message_id) or not _TIME.fullmatch(timestamp):
            raise refused("malformed")
        at.check(int(timestamp))
        prefix = webhook_prefix(message_id, timestamp)
        key = _signer_of(keys.valid(at.now), said, prefix, pieces)
        nonce = f"{message_id}.{timestamp}"
        return Signed(key.id, int(timestamp), nonce, names_key=False)


#: A dot in the id would leave open where it ends and the time begins.
_WEBHOOK_ID = re.compile(r"[!-\-/-~]{1,256}")
_TIME = re.compile(r"0|[1-9][0-9]{0,11}")

#: More signatures than this have no honest reason.
_MAX_SIGNATURES = 16


def _webhook_signatures(value: str) -> Iterator[bytes]:
    words = value.split(" ")
    if len(words) > _MAX_SIGNATURES:
        raise refused("malformed")
    for word in words:
        version, _, text = word.partition(",")
        if version == "v1":  # v1a is asymmetric, and others may follow
            yield _decoded(text)


def webhook_secret(text: str) -> bytes:
    """Read a secret as Standard Webhooks writes it: ``whsec_`` and base64.

    :raises ConfigurationError: for another text; it is not repeated.
    """
    prefix, encoded = text[:6], text[6:]
    try:
        secret = b64decode(encoded, validate=True)
    except ValueError:
        secret = b""
    # Raised out here: the error of the decoder as its context could show the secret.
    if prefix != "whsec_" or not secret:
        raise ConfigurationError("a webhook secret is base64, with whsec_ before it")
    return secret


def _present(parts: RequestParts, name: str) -> str:
    value = parts.value(name)
    if not value:
        raise refused("missing")
    return value


def _decoded(text: str) -> bytes:
    try:
        return from_base64(text)
    except ValueError as error:
        raise refused("malformed") from error


def _signer_of(
    keys: Sequence[Key],
    said: Sequence[bytes],
    prefix: bytes,
    pieces: Iterable[bytes],
) -> Key:
    """Return the key with which one of the signatures of a body was made.

    The body is read once; each key that could be the one hashes along.
    """
    running = [key.begin_hmac() for key in keys]
    for piece in chain([prefix], pieces):
        for each in running:
            each.update(piece)
    for key, each in zip(keys, running, strict=True):
        made = key.end_hmac(each)
        if any([hmac.compare_digest(made, other) for other in said]):
            return key
    raise refused("signature")
