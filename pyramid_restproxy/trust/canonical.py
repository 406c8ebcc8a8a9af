"""The bytes that are signed, for each profile. Pure.

A signature is over bytes that both sides make from the request on their own; what is
not in them is not protected. :class:`RequestParts` is the request as it is on the
wire. HTTP message signatures (RFC 9421) have a module of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyramid_restproxy.forwarding.fields import Fields, drop, request_fields
from pyramid_restproxy.forwarding.target import has_empty_query, raw_target
from pyramid_restproxy.grammar import environ_key
from pyramid_restproxy.routing.override import ORIGINAL

__all__ = [
    "RequestParts",
    "request_string",
    "webhook_prefix",
    "wire_parts",
]

#: The first line of the canonical string, so that it is never mistaken for another.
VERSION = "restproxy-hmac-v1"

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(slots=True)
class RequestParts:
    """What of a request can be signed, beside its body.

    Not frozen, that would cost a signed request a microsecond; nobody changes it.

    :ivar method: as on the request line.
    :ivar scheme: ``http`` or ``https``.
    :ivar authority: the value of Host.
    :ivar path: percent-encoded, as it is sent.
    :ivar query: percent-encoded, without ``?``.
    :ivar fields: the header fields.
    :ivar empty_query: whether there is a ``?`` although the query is empty.
    """

    method: str
    scheme: str
    authority: str
    path: str
    query: str
    fields: Fields
    empty_query: bool = False

    @property
    def target(self) -> str:
        """The request target in origin form (RFC 9112 section 3.2.1)."""
        has_query = self.query or self.empty_query
        return f"{self.path}?{self.query}" if has_query else self.path

    @property
    def host(self) -> str:
        """The authority in lower case, without the default port of the scheme."""
        default = _DEFAULT_PORTS.get(self.scheme, "")
        return self.authority.lower().removesuffix(default)

    def value(self, name: str) -> str | None:
        """Return the value of a field, its lines joined (RFC 9110 section 5.2)."""
        lowered = name.lower()
        if lowered == "host":
            return self.host
        lines = [value for each, value in self.fields if each.lower() == lowered]
        return ", ".join(line.strip(" \t") for line in lines) if lines else None

    def having(self, pair: tuple[str, str]) -> RequestParts:
        """Return the same with one field in the place of its namesakes."""
        return RequestParts(
            self.method,
            self.scheme,
            self.authority,
            self.path,
            self.query,
            [*drop(self.fields, frozenset([pair[0].lower()])), pair],
            self.empty_query,
        )


class _WireParts(RequestParts):
    """The parts of a request that came in; each field is looked up when it is wanted.

    Few of them are signed, so a list of all would be made for nothing.
    """

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.method = environ.get(ORIGINAL, environ["REQUEST_METHOD"])
        self.scheme = environ["wsgi.url_scheme"]
        self.authority = environ.get("HTTP_HOST", "")
        self.path, self.query = raw_target(environ)
        self.empty_query = has_empty_query(environ)
        self._environ = environ

    @property
    def fields(self) -> Fields:  # type: ignore[override]
        return _wire_fields(self._environ)

    def value(self, name: str) -> str | None:
        key = environ_key(name)
        if key == "HTTP_HOST":
            return self.host
        found: str | None = self._environ.get(key)
        if found:
            return found.strip(" \t")
        return None if key in _NEVER_EMPTY else found


def wire_parts(environ: Mapping[str, Any]) -> RequestParts:
    """Read the parts of a request that came in.

    The method is the one on the request line, whatever an override made of it. A
    path that servers do not hand out raw is escaped anew; then a client that escapes
    in another way is refused.

    :param environ: the WSGI environ.
    """
    return _WireParts(environ)


#: Servers set these to nothing where the field did not come (PEP 3333).
_NEVER_EMPTY = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})


def _wire_fields(environ: Mapping[str, Any]) -> Fields:
    """Read all fields: those that Connection names too, for the view sees them."""
    if "HTTP_CONNECTION" in environ:
        environ = {key: environ[key] for key in environ if key != "HTTP_CONNECTION"}
    fields = request_fields(environ, frozenset())
    if environ.get("CONTENT_LENGTH"):
        fields.append(("Content-Length", environ["CONTENT_LENGTH"]))
    return fields


def request_string(
    parts: RequestParts,
    *,
    key_id: str,
    created: int,
    nonce: str,
    covered: Sequence[str],
) -> bytes:
    """Make the canonical string of the default profile.

    One ``name: value`` a line, the lines joined with LF::

        restproxy-hmac-v1
        key: partner-2027
        created: 1790000000
        nonce: Pq2vC1sYc0mF9o6TnH3uLw
        method: POST
        target: /api/orders?dry=1
        covered: host content-type content-digest
        host: api.example.com
        content-type: application/json
        content-digest: sha-256=:...:

    A covered field that is not there is signed as an empty one: a server cannot tell
    the two apart by what WSGI gives it, and nobody can add one on the way.

    :param created: seconds since the epoch.
    :param covered: names of fields, in lower case, in the order of the lines.
    :raises ValueError: where a value has a line break, or cannot be sent.
    """
    text = (
        f"{VERSION}\nkey: {key_id}\ncreated: {created}\nnonce: {nonce}\n"
        f"method: {parts.method}\ntarget: {parts.target}\n"
        f"covered: {' '.join(covered)}"
    )
    for name in covered:
        text += f"\n{name}: {parts.value(name) or ''}"
    if text.count("\n") != 6 + len(covered) or "\r" in text:
        raise ValueError("a line break cannot be signed")
    return text.encode("latin-1")


def webhook_prefix(message_id: str, timestamp: str) -> bytes:
    """Make what goes before the body in the string of Standard Webhooks."""
    return f"{message_id}.{timestamp}.".encode()
