"""What the modules of forwarding hand to each other. No behaviour to speak of.

Configuration is frozen when the application is made; a :class:`ProxyCall` lives for
one request and is what hooks and transforms read and change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response
from requests.adapters import BaseAdapter
from zope.interface import Interface

from pyramid_restproxy.forwarding.balance import Rotation
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.forwarded import TrustedProxies
from pyramid_restproxy.settings import BackendSettings

__all__ = [
    "Answer",
    "AnswerBody",
    "Backend",
    "Destination",
    "Gateway",
    "IGateway",
    "ProxyCall",
    "RequestTransform",
    "ResponseTransform",
    "RoutePolicy",
]


class AnswerBody(Protocol):
    """The content of an answer, as a transport hands it out."""

    @property
    def at_end(self) -> bool:
        """Whether all of it has been read, as far as that is known."""

    def read_piece(self) -> bytes:
        """Return the next piece as it comes, none at the end; raise where it is cut."""

    def close(self) -> None:
        """Give up what is left."""


@dataclass(slots=True)
class Answer:
    """What a backend answered; response transforms may change it.

    :ivar status: the status code.
    :ivar reason: the reason phrase, may be empty.
    :ivar headers: the fields, in order.
    :ivar body: the content; a transform may put another in its place.
    """

    status: int
    reason: str
    headers: FieldList
    body: AnswerBody


@dataclass(frozen=True, slots=True)
class Destination:
    """One address of a backend.

    :ivar url: as it was given, without query.
    :ivar authority: host and port for Host.
    :ivar base_path: percent-encoded, without a slash at its end.
    :ivar query: goes before the query of each request.
    """

    url: str
    scheme: str
    authority: str
    base_path: str
    query: str

    @classmethod
    def parse(cls, backend: str, url: Any) -> Destination:
        """Read the URL of a destination.

        :raises ConfigurationError: where it is not a plain http(s) or unix URL.
        """
        if not isinstance(url, str):
            raise ConfigurationError(f"backend {backend!r}: {url!r} is not a URL")
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(
                f"backend {backend!r}: a URL must not hold a user or a password; "
                "send credentials as header fields"
            )
        _check_url(backend, url)
        return cls(
            url=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
            scheme=parts.scheme.lower(),
            authority="localhost" if parts.scheme == "http+unix" else parts.netloc,
            base_path=parts.path.rstrip("/"),
            query=parts.query,
        )


def _check_url(backend: str, url: str) -> None:
    parts = urlsplit(url)
    problem = ""
    if parts.scheme.lower() not in ("http", "https", "http+unix"):
        problem = "it must begin with http://, https:// or http+unix://"
    elif not parts.hostname:
        problem = "it has no host"
    elif parts.fragment or "#" in url:
        problem = "it must not have a fragment"
    elif any(not "!" <= character <= "~" for character in url):
        problem = "it has characters that must be percent-encoded"
    elif parts.scheme.lower() != "http+unix" and not _has_valid_port(url):
        problem = "its port is not valid"
    if problem:
        raise ConfigurationError(f"backend {backend!r}: {url!r}: {problem}")


def _has_valid_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """A backend: its destinations, options and transport.

    :ivar name: the name in routes, settings and logs.
    :ivar options: timeouts, Host policy, TLS.
    :ivar adapter: the ``requests`` transport adapter that sends to it.
    :ivar rotation: whose turn it is.
    """

    name: str
    destinations: tuple[Destination, ...]
    options: BackendSettings
    adapter: BaseAdapter
    rotation: Rotation = field(default_factory=Rotation)


@dataclass(slots=True)
class ProxyCall:
    """One request on its way to a backend.

    :ivar request: the Pyramid request; not to be changed.
    :ivar backend: where it goes.
    :ivar method: the method to send.
    :ivar path: the path below the destination's URL, percent-encoded.
    :ivar query: the query, percent-encoded, without ``?``.
    :ivar headers: the fields to send; Host and framing are added later.
    :ivar body: bytes, or a file that ends where the body does, or None.
    :ivar length: bytes of the body; None where it is not known beforehand.
    :ivar prefix: what was cut off the path, for X-Forwarded-Prefix and Location.
    :ivar attributes: room for hooks and transforms.
    """

    request: Request
    backend: Backend
    method: str
    path: str
    query: str
    headers: FieldList
    body: Any = None
    length: int | None = 0
    prefix: str = ""
    destination: Destination | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


RequestTransform = Callable[[ProxyCall], Response | None]
ResponseTransform = Callable[[ProxyCall, Answer], None]


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """How requests of one route are forwarded.

    :ivar strip_prefix: whether only the tail of the pattern is sent.
    :ivar path: a pattern for the path to send, filled from the matchdict.
    :ivar identity_headers: names that clients must not send; taken out.
    :ivar request_transforms: run before sending, in order.
    :ivar response_transforms: run on the answer's head, in order.
    :ivar rewrite_location: whether Location leads back through the gateway.
    :ivar max_request_body: bytes, None for no limit.
    :ivar forwarded: whether to send Forwarded (RFC 7239) besides X-Forwarded fields.
    :ivar by: this gateway's name in Forwarded.
    :ivar sse_prelude: whether an event stream begins with a comment of the gateway's,
        so that its head reaches the client before the first event.
    """

    strip_prefix: bool = True
    path: str | None = None
    identity_headers: frozenset[str] = frozenset()
    request_transforms: tuple[RequestTransform, ...] = ()
    response_transforms: tuple[ResponseTransform, ...] = ()
    rewrite_location: bool = True
    max_request_body: int | None = None
    forwarded: bool = False
    by: str = ""
    sse_prelude: bool = False


@dataclass(slots=True)
class Gateway:
    """What the forwarding of an application shares.

    :ivar backends: by name.
    :ivar trusted: the proxies whose claims are believed.
    :ivar without: names of fields (lower case) that never go on.
    :ivar pseudonym: how this gateway names itself in Via.
    """

    backends: dict[str, Backend]
    trusted: TrustedProxies
    without: frozenset[str]
    pseudonym: str = "pyramid_restproxy"


class IGateway(Interface):
    """The :class:`Gateway` of an application, in its registry."""
