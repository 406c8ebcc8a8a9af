"""Affinity: requests that belong together go to the same destination.

By a cookie that names the destination without giving it away, or by a hash of a header
field or of the user: then no state is kept, and only those move whose destination goes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from pyramid_restproxy.forwarding.endpoint import Endpoint
from pyramid_restproxy.forwarding.fields import cookie_of
from pyramid_restproxy.forwarding.forwarded import TrustedProxies, is_https
from pyramid_restproxy.forwarding.model import Backend, ProxyCall

__all__ = ["cookie_name", "cookie_to_set", "endpoint_mark", "owner_of"]


def cookie_name(backend: str) -> str:
    """Return the name of the affinity cookie of a backend."""
    return f"restproxy_{backend}"


def endpoint_mark(secret: bytes, backend: str, url: str) -> str:
    """Return what stands for a destination in a cookie: a keyed digest of its URL.

    Nobody without the secret can make one, or learn the URL from it.
    """
    digest = hmac.digest(secret, f"{backend} {url}".encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:18]).decode("ascii")


def owner_of(
    call: ProxyCall, backend: Backend, endpoints: Sequence[Endpoint]
) -> Endpoint | None:
    """Return the endpoint that a call belongs to.

    :param endpoints: those to choose from.
    :returns: None where it belongs to none of them, or to none in particular.
    """
    kind = backend.options.affinity
    if kind == "cookie":
        return _marked(call, backend, endpoints)
    value = _value(call, kind)
    return _highest(value, endpoints) if value else None


def _marked(
    call: ProxyCall, backend: Backend, endpoints: Sequence[Endpoint]
) -> Endpoint | None:
    mark = cookie_of(call.request.environ, cookie_name(backend.name))
    for each in endpoints:
        own = endpoint_mark(backend.secret, backend.name, each.url)
        if mark.isascii() and hmac.compare_digest(mark, own):
            return each
    return None


def _value(call: ProxyCall, kind: str) -> str:
    if kind == "user":
        return str(call.request.authenticated_userid or "")
    return call.headers.get(kind.partition(":")[2]) or ""


def _highest(value: str, endpoints: Sequence[Endpoint]) -> Endpoint:
    """Choose by the highest of the digests with each URL (rendezvous hashing)."""
    return max(
        endpoints,
        key=lambda each: hashlib.sha256(f"{value} {each.url}".encode()).digest(),
    )


def cookie_to_set(call: ProxyCall, trusted: TrustedProxies) -> str | None:
    """Return the Set-Cookie value that keeps a client at its destination.

    :param trusted: who may say that the client's connection is protected.
    :returns: None where there is no affinity by cookie, or the client has it already.
    """
    backend, endpoint = call.backend, call.endpoint
    if backend.options.affinity != "cookie" or endpoint is None:
        return None
    name = cookie_name(backend.name)
    mark = endpoint_mark(backend.secret, backend.name, endpoint.url)
    if _marked(call, backend, [endpoint]) is not None:
        return None
    secure = "; Secure" if is_https(call.request.environ, trusted) else ""
    return f"{name}={mark}; Path=/; HttpOnly; SameSite=Lax{secure}"
