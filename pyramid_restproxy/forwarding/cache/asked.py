"""A request as the cache sees it: its key, what it asks, what it changes. Pure."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pyramid.request import Request

from pyramid_restproxy.forwarding.cache.directives import (
    Directives,
    request_directives,
)
from pyramid_restproxy.forwarding.cache.entry import slot_of
from pyramid_restproxy.forwarding.cache.rules import bypass, named_target
from pyramid_restproxy.forwarding.fields import FieldList, Fields, drop
from pyramid_restproxy.forwarding.forwarded import CLAIMS
from pyramid_restproxy.forwarding.model import Answer, ProxyCall
from pyramid_restproxy.forwarding.target import join_path
from pyramid_restproxy.routing.override import ORIGINAL

__all__ = ["CONDITIONS", "Asked", "changed_by", "detached", "resource_of", "uncached"]

#: Request fields from which backends make URLs: what they are sent is in the key.
KEYED = (
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
)

#: Who asked and whom, in Forwarded (RFC 7239 section 4): not the host, nor the scheme.
_NODES = re.compile(r'\b(?:for|by)=(?:"[^"]*"|[^;,]*)', re.IGNORECASE)

#: Conditions that the cache judges itself; it sends its own in their place.
CONDITIONS = frozenset({"if-modified-since", "if-none-match"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as the cache sees it.

    :ivar fields: what is sent to the backend; these select among variants.
    :ivar resource: the place of what it asks for, all variants together.
    """

    call: ProxyCall
    fields: Fields
    directives: Directives
    resource: str

    @classmethod
    def of(cls, call: ProxyCall, scope: str) -> Asked:
        """Look at a call, as it is before anything changes it."""
        fields = list(call.headers.pairs)
        resource = resource_of(call, call.path, call.query, scope)
        return cls(call, fields, request_directives(fields), resource)

    @property
    def personal(self) -> frozenset[str]:
        """Names of fields that are for one client: a transform has set them, or a
        trusted proxy says in them who asks (X-Forwarded-User and the like).
        """
        named = {name.lower() for name, _ in self.fields}
        said = {name for name in named if name.startswith("x-forwarded-")}
        return self.call.personal | (said - CLAIMS)

    @property
    def client_fields(self) -> Fields:
        """The fields, and the client's Authorization though a transform took it out."""
        authorization = self.call.request.environ.get("HTTP_AUTHORIZATION")
        if authorization is None:
            return self.fields
        return [*self.fields, ("Authorization", authorization)]


def uncached(call: ProxyCall) -> str | None:
    """Say why the cache has no part in a call, as in Cache-Status; None where it has.

    A method that is not that of the request line was asked for by other means, and a
    GET with content is answered by it: neither is in the key, nor is a ``?`` that
    nothing follows.
    """
    environ = call.request.environ
    overridden = ORIGINAL in environ or environ["REQUEST_METHOD"] != call.method
    unkeyed = overridden or call.length != 0 or bool(call.body)
    unkeyed = unkeyed or (call.empty_query and not call.query)
    return bypass(call.method, call.headers.pairs, unkeyed)


def resource_of(call: ProxyCall, path: str, query: str, scope: str) -> str:
    """Return the place of a resource: all by which a backend can tell it from others.

    :param path: as it is sent.
    :param scope: tells one cache from others in the same store.
    """
    request = call.request
    claims = [call.headers.get(name) for name in KEYED]
    claims.append(_NODES.sub("", call.headers.get("forwarded") or ""))
    public = request.scheme, request.host
    return slot_of(scope, call.backend.name, public, call.host, path, query, claims)


def changed_by(call: ProxyCall, answer: Answer) -> set[tuple[str, str]]:
    """Return path and query of all that an unsafe call changed (RFC 9111 section 4.4).

    That is its target, and what Location and Content-Location name on the same host.
    """
    changed = {(call.path, call.query)}
    destination = call.destination
    if destination is None:
        return changed
    hosts = frozenset({destination.authority.lower(), call.request.host.lower()})
    path = join_path(destination.base_path, call.path)
    base = f"http://{destination.authority}{path}"
    for name in ("Location", "Content-Location"):
        for value in answer.headers.get_all(name):
            named = named_target(value, base, hosts)
            if named is not None:
                bases = (destination.base_path, ""), (call.prefix, call.base)
                below = _below(named[0], bases)
                changed.update((path, named[1]) for path in below)
    return changed


def _below(path: str, bases: Iterable[tuple[str, str]]) -> list[str]:
    """Return what a path may be once it is sent: it is the backend's, or ours.

    :param bases: what a path may begin with, and what is sent in its place.
    """
    sent = [new + path[len(b) :] for b, new in bases if b and path.startswith(b + "/")]
    return [path, *sent]


def detached(asked: Asked) -> Asked:
    """Copy a request for sending it after it was answered, for all and not for one.

    Nothing of its environ but text is in the copy: no stream, no connection.
    """
    call = asked.call
    environ = {k: v for k, v in call.request.environ.items() if isinstance(v, str)}
    environ.pop("CONTENT_LENGTH", None)
    request = Request({**environ, "REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO()})
    request.registry = call.request.registry
    fields = drop(asked.fields, CONDITIONS | {"cache-control", "pragma"})
    copy = replace(
        call,
        request=request,
        method="GET",
        headers=FieldList(fields),
        body=None,
        length=0,
        destination=None,
        attributes={},
    )
    return Asked(copy, list(fields), request_directives(fields), asked.resource)
