"""HTTP message signatures (RFC 9421) with hmac-sha256, as a profile of signing.

Field syntax and signature base are those of http-message-signatures (the extra
``rfc9421``). What is decided here: which components must be covered, that each
signature has a date and a key id, and that a body needs a signed Content-Digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from types import ModuleType, SimpleNamespace
from typing import Any

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.forwarding.fields import Fields
from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.digests import content_digest, from_base64, to_base64
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.refusals import Unauthenticated
from pyramid_restproxy.trust.signing import (
    Moment,
    Signed,
    check_body,
    key_named,
    refused,
    signature,
)

__all__ = ["MessageProfile", "signature_base"]

#: What says where a request goes. Not @target-uri: behind a proxy that ends TLS the
#: scheme is another one than the client used.
COMPONENTS = ("@method", "@authority", "@path", "@query", "content-type")

#: More than this (characters) in one of the two fields has no honest reason.
MAX_VALUE = 8192

#: The library compares dates with its own clock; ours is an argument. So it is given
#: a tolerance that no honest date goes over.
_A_CENTURY = timedelta(days=36525)

_BYTES = re.compile(r":([^:]*):")

#: A covered component that is a field, whole and without parameters.
_FIELD = re.compile(r'"([^@"][^"]*)"')

_FIELDS = ("signature-input", "signature")

#: What programs send in targets and no URI has (RFC 3986 appendix A).
_NOT_IN_URI = re.compile(r'%(?![0-9A-Fa-f]{2})|["#<>\[\\\]^`{|}]')


def _library() -> ModuleType:
    with needs("rfc9421", "http-message-signatures", "the RFC 9421 profile"):
        import http_message_signatures
    return http_message_signatures


class _FieldLines(dict[str, str]):
    """Fields in the way in which the library reads them: lines, repeated ones too."""

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self._lines = fields

    def items(self) -> Any:
        """Return all lines."""
        return self._lines


def _message(parts: RequestParts) -> SimpleNamespace:
    """Make the message that the library reads.

    It takes URIs only, so it is given one; :func:`_resolver` makes it sign the target
    as it is sent.
    """
    origin, path = f"{parts.scheme}://{parts.authority}", parts.path or "/"
    target = parts.target if parts.path else f"/{parts.target}"
    return SimpleNamespace(
        method=parts.method,
        url=origin + _NOT_IN_URI.sub(lambda found: f"%{ord(found[0]):02X}", target),
        headers=_FieldLines(parts.fields),
        path=path,
        query=f"?{parts.query}",
        request_target=target,
        target_uri=origin + target,
    )


@lru_cache(maxsize=1)
def _resolver() -> type:
    """Make the library's reader of components one that takes targets as they are sent.

    Not a character of them may be another one (RFC 9421 section 2.2.6). A parameter of
    the query is decoded and encoded anew (section 2.2.8), so for that the URI is good.
    """
    base = _library().HTTPSignatureComponentResolver
    derived = {
        **base.derived_component_resolvers,
        "@path": lambda resolver: resolver.message.path,
        "@query": lambda resolver: resolver.message.query,
        "@target-uri": lambda resolver: resolver.message.target_uri,
    }
    return type("Resolver", (base,), {"derived_component_resolvers": derived})


def signature_base(
    parts: RequestParts,
    components: Sequence[str],
    key_id: str,
    created: int,
    nonce: str | None = None,
    tag: str | None = None,
) -> tuple[bytes, str]:
    """Make the signature base (RFC 9421 section 2.5).

    :param components: identifiers, e.g. ``@method``, ``date``.
    :param created: seconds since the epoch.
    :returns: the base, and the signature parameters for Signature-Input.
    :raises ValueError: where a component is not in the request, or cannot be signed.
    :raises MissingExtra: where http-message-signatures is not installed.
    """
    library = _library()
    signer = library.HTTPMessageSigner(
        signature_algorithm=library.algorithms.HMAC_SHA256,
        component_resolver_class=_resolver(),
    )
    try:
        prepared = signer.prepare(
            _message(parts),
            key_id=key_id,
            created=datetime.fromtimestamp(created, timezone.utc),
            nonce=nonce,
            tag=tag,
            use_existing_digest=parts.value("content-digest") is not None,
            include_alg=False,  # said by the key (RFC 9421 section 7.3.6)
            covered_component_ids=components,
        )
    except library.HTTPMessageSignaturesException as error:
        raise ValueError(f"the request cannot be signed: {error}") from error
    return prepared.signature_base, prepared.signature_params


@dataclass(frozen=True, slots=True)
class MessageProfile:
    """HTTP message signatures with hmac-sha256.

    :ivar components: identifiers that must be covered, those of fields only where the
        request has the field; ``content-digest`` where it has a body.
    :ivar label: of our own signatures.
    :ivar tag: of our own, and the only one accepted; None for none, then a request
        must not have several signatures.
    """

    components: tuple[str, ...] = COMPONENTS
    label: str = "sig1"
    tag: str | None = None
    name = "rfc9421"
    replay_safe = True

    def __post_init__(self) -> None:
        _library()

    def sign(
        self,
        parts: RequestParts,
        pieces: Iterable[bytes],
        key: Key,
        created: int,
        nonce: str,
    ) -> Fields:
        """Return Content-Digest, Signature-Input and Signature."""
        digest = ("Content-Digest", content_digest(pieces))
        signed = parts.having(digest)
        components = (*self._present(signed), "content-digest")
        base, parameters = signature_base(
            signed, tuple(dict.fromkeys(components)), key.id, created, nonce, self.tag
        )
        made = to_base64(signature(key, [base]))
        return [
            digest,
            ("Signature-Input", f"{self.label}={parameters}"),
            ("Signature", f"{self.label}=:{made}:"),
        ]

    def check(
        self, parts: RequestParts, pieces: Iterable[bytes], keys: KeyRing, at: Moment
    ) -> Signed:
        """Return what the signature says, see :class:`~.signing.Profile`."""
        for name in _FIELDS:
            value = parts.value(name)
            if not value:
                raise refused("missing")
            if len(value) > MAX_VALUE:
                raise refused("malformed")
        _check_base64(parts.value("signature") or "")
        found = self._verified(parts, _Secrets(keys, at.now))
        said, covered = found.parameters, found.covered_components
        at.check(said["created"], said.get("expires"))
        check_body(covered.get('"content-digest"'), pieces)
        names = frozenset(found[1] for found in map(_FIELD.fullmatch, covered) if found)
        return Signed(said["keyid"], said["created"], said.get("nonce"), names)

    def _present(self, parts: RequestParts) -> tuple[str, ...]:
        return tuple(
            each
            for each in self.components
            if each.startswith(("@", '"')) or parts.value(each) is not None
        )

    def _verified(self, parts: RequestParts, secrets: _Secrets) -> Any:
        library = _library()
        verifier = library.HTTPMessageVerifier(
            signature_algorithm=library.algorithms.HMAC_SHA256,
            key_resolver=secrets,
            component_resolver_class=_resolver(),
        )
        verifier.max_clock_skew = _A_CENTURY
        try:
            found = verifier.verify(
                _message(parts),
                max_age=None,
                expect_tag=self.tag,
                require_components=self._present(parts),
            )
        except library.HTTPMessageSignaturesException as error:
            raise _refusal(error) from error
        if len(found) != 1:
            raise refused("malformed")
        return found[0]


def _check_base64(value: str) -> None:
    """Refuse byte sequences with bits that say nothing; the library takes any."""
    try:
        for text in _BYTES.findall(value):
            from_base64(text)
    except ValueError as error:
        raise refused("malformed") from error


def _refusal(error: Exception) -> Unauthenticated:
    """Say in our words what the library found."""
    from cryptography.exceptions import InvalidSignature

    cause = error.__cause__
    if isinstance(cause, Unauthenticated):
        return cause
    return refused("signature" if isinstance(cause, InvalidSignature) else "malformed")


class _Secrets:
    """A key ring in the way in which the library asks for keys."""

    def __init__(self, keys: KeyRing, now: float) -> None:
        self._keys = keys
        self._now = now

    def resolve_public_key(self, key_id: str) -> bytes:
        return key_named(self._keys, key_id, self._now).secret
