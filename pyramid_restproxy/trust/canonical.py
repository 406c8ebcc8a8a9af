"""The bytes that are signed, for each profile. Pure.

A signature is over bytes that both sides make from the request on their own; what is
not in them is not protected. :class:`RequestParts` is the request as it is on the
wire. HTTP message signatures (RFC 9421) have a module of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyramid_restproxy.forwarding.fields import Fields, drop, request_fields
from pyramid_restproxy.forwarding.target import (
    has_empty_query,
    raw_target,
    request_target,
)
from pyramid_restproxy.grammar import TOKEN, environ_key
from pyramid_restproxy.remembered import remembered
from pyramid_restproxy.routing.override import ORIGINAL

__all__ = [
    "RequestParts",
    "WireParts",
    "request_string",
    "webhook_prefix",
]

#: The first line of the canonical string, so that it is never mistaken for another.
VERSION = "restproxy-hmac-v1"

#: What is no part of a value, around it (RFC 9110 section 5.6.3).
_BLANK = " \t"

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
        return _host((self.scheme, self.authority))

    def value(self, name: str) -> str | None:
        """Return the value of a field, its lines joined (RFC 9110 section 5.2)."""
        lowered = name.lower()
        if lowered == "host":
            return self.host
        lines = [value for each, value in self.fields if each.lower() == lowered]
        return ", ".join(line.strip(_BLANK) for line in lines) if lines else None

    def values(self, names: tuple[str, ...]) -> list[str]:
        """Return the values of fields; an empty one for each that is not there."""
        return [self.value(name) or "" for name in names]

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


@remembered(256)
def _host(scheme_authority: tuple[str, str]) -> str:
    scheme, authority = scheme_authority
    return authority.lower().removesuffix(_DEFAULT_PORTS.get(scheme, ""))


class WireParts(RequestParts):
    """The parts of a request that came in; each is looked up when it is wanted.

    No profile signs all of them. The method is the one on the request line, whatever an
    override made of it. A path that servers do not hand out raw is escaped anew; then a
    client that escapes in another way is refused.

    :param environ: the WSGI environ.
    """

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    @property
    def method(self) -> str:  # type: ignore[override]
        environ = self._environ
        return environ.get(ORIGINAL) or environ["REQUEST_METHOD"]

    @property
    def scheme(self) -> str:  # type: ignore[override]
        return self._environ["wsgi.url_scheme"]

    @property
    def authority(self) -> str:  # type: ignore[override]
        return self._environ.get("HTTP_HOST", "")

    @property
    def path(self) -> str:  # type: ignore[override]
        return raw_target(self._environ)[0]

    @property
    def query(self) -> str:  # type: ignore[override]
        return raw_target(self._environ)[1]

    @property
    def empty_query(self) -> bool:  # type: ignore[override]
        return has_empty_query(self._environ)

    @property
    def target(self) -> str:
        return request_target(self._environ)

    @property
    def fields(self) -> Fields:  # type: ignore[override]
        return _wire_fields(self._environ)

    def value(self, name: str) -> str | None:
        key = environ_key(name)
        if key == "HTTP_HOST":
            return self.host
        found: str | None = self._environ.get(key)
        if found:
            return found.strip(_BLANK)
        return None if key in _NEVER_EMPTY else found

    def values(self, names: tuple[str, ...]) -> list[str]:
        environ, found = self._environ, []
        for key in _environ_keys(names):
            value = environ.get(key, "").strip(_BLANK)
            if key == "HTTP_HOST":
                value = _host((environ["wsgi.url_scheme"], value))
            found.append(value)
        return found


@remembered(256)
def _environ_keys(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(environ_key, names))


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
    created: str,
    nonce: str,
    covered: tuple[str, ...],
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

    :param created: seconds since the epoch, in decimal.
    :param covered: names of fields, in lower case, in the order of the lines.
    :raises ValueError: where a value has a line break, or cannot be sent, or a name is
        none of a field.
    """
    form, values = _form(covered), parts.values(covered)
    text = form % (key_id, created, nonce, parts.method, parts.target, *values)
    if "\r" in text or text.count("\n") != form.count("\n"):
        raise ValueError("a line break cannot be signed")
    return text.encode("latin-1")


@remembered(256)
def _form(covered: tuple[str, ...]) -> str:
    """Make the canonical string with a ``%s`` in the place of each value.

    :raises ValueError: where a name is none of a field.
    """
    if not all(map(TOKEN.fullmatch, covered)):
        raise ValueError("only fields can be signed")
    names = [name.replace("%", "%%") for name in covered]
    told = [f"{name}: %s" for name in ("key", "created", "nonce", "method", "target")]
    fields = [f"{name}: %s" for name in names]
    return "\n".join([VERSION, *told, f"covered: {' '.join(names)}", *fields])


def webhook_prefix(message_id: str, timestamp: str) -> bytes:
    """Make what goes before the body in the string of Standard Webhooks."""
    return f"{message_id}.{timestamp}.".encode()
