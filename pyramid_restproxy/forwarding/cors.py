"""CORS of the gateway's own, for backends that have none (Fetch, section 3.2).

Two transforms: :func:`cors_preflight` answers preflights in the place of the backend,
:func:`cors_headers` puts the fields on answers, in the place of the backend's own, so
that they never stand there twice. A view with the second has them on what the gateway
answers itself too: a script must be able to read a 401.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.model import (
    Answer,
    ProxyCall,
    RequestTransform,
    ResponseTransform,
)
from pyramid_restproxy.negotiation import add_vary

__all__ = ["Grants", "Preflights", "cors_headers", "cors_preflight", "is_preflight"]

#: How long a browser may remember a preflight, seconds.
MAX_AGE = 600

#: An origin as browsers write it (RFC 6454 section 6.2): in lower case, no slash at its
#: end; or all of them, or that of a page that has none.
_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d+)?|\*|null"
)


def cors_preflight(
    origins: Collection[str], credentials: bool = False, max_age: int = MAX_AGE
) -> RequestTransform:
    """Answer preflights; other requests pass.

    What is asked for is granted: which methods and fields pass is for the route to say.

    :param origins: the origins that may ask, e.g. ``https://a.example``; ``*`` for all.
    :param credentials: whether cookies may come along; not together with ``*``.
    :param max_age: seconds.
    :raises ValueError: for what is no origin, and for credentials with ``*``.
    """
    return Preflights(_checked(origins, credentials), credentials, max_age)


def is_preflight(request: Request) -> bool:
    """Say whether a request is a preflight, by what came (Fetch, section 4.8)."""
    return request.method == "OPTIONS" and _ASKED_METHOD in request.environ


#: The method and the fields of the request that a preflight is about.
_ASKED_METHOD = "HTTP_ACCESS_CONTROL_REQUEST_METHOD"
_ASKED_FIELDS = "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"


@dataclass(frozen=True, slots=True)
class Preflights:
    """What :func:`cors_preflight` makes; a route answers them before it asks who asks.

    A preflight has no credentials. It is told by the fields that came: one that
    ``Connection`` names is none that goes on, but it must not make a preflight another
    request, for which nobody was asked who he is.
    """

    allowed: frozenset[str]
    credentials: bool
    max_age: int

    def __call__(self, call: ProxyCall) -> Response | None:
        """Answer a preflight; None for another request."""
        return self.answer(call.request) if is_preflight(call.request) else None

    def answer(self, request: Request) -> Response:
        """Return the answer to a preflight."""
        answer = FieldList([("Content-Length", "0")])
        if _grant(request, answer, self.allowed, self.credentials):
            answer.set("Access-Control-Allow-Methods", request.environ[_ASKED_METHOD])
            wanted = request.environ.get(_ASKED_FIELDS)
            if wanted:
                answer.set("Access-Control-Allow-Headers", wanted)
            answer.set("Access-Control-Max-Age", str(self.max_age))
        return Response(status=204, headerlist=answer.pairs)


def cors_headers(
    origins: Collection[str], credentials: bool = False, expose: Collection[str] = ()
) -> ResponseTransform:
    """Say on answers who may read them.

    :param expose: the fields that scripts may read besides the usual ones.
    :raises ValueError: for what is no origin, and for credentials with ``*``.
    """
    return Grants(_checked(origins, credentials), credentials, ", ".join(expose))


@dataclass(frozen=True, slots=True)
class Grants:
    """What :func:`cors_headers` makes."""

    allowed: frozenset[str]
    credentials: bool
    expose: str

    def __call__(self, call: ProxyCall, answer: Answer) -> None:
        """Put the fields in the place of the backend's."""
        headers = answer.headers
        for name, _ in list(headers.pairs):
            if name.lower().startswith("access-control-"):
                headers.remove(name)
        self.put(call.request, headers)

    def put(self, request: Request, headers: FieldList) -> None:
        """Put the fields on an answer that has none; twice is as good as once."""
        if _grant(request, headers, self.allowed, self.credentials) and self.expose:
            headers.set("Access-Control-Expose-Headers", self.expose)


def _checked(origins: Collection[str], credentials: bool) -> frozenset[str]:
    allowed = frozenset([origins] if isinstance(origins, str) else origins)
    wrong = [each for each in allowed if not _ORIGIN.fullmatch(each)]
    if wrong:
        raise ValueError(f"{min(wrong)!r} is no origin, such as https://a.example")
    if "*" in allowed and credentials:
        raise ValueError("CORS with credentials needs the origins by name")
    return allowed


def _grant(
    request: Request, headers: FieldList, allowed: frozenset[str], credentials: bool
) -> bool:
    """Set Access-Control-Allow-Origin where the origin is one that may ask."""
    if "*" in allowed:
        headers.set("Access-Control-Allow-Origin", "*")
        return True
    add_vary(headers.pairs, "Origin")
    origin = request.environ.get("HTTP_ORIGIN")  # whatever goes to the backend
    if origin is None or origin not in allowed:
        return False
    headers.set("Access-Control-Allow-Origin", origin)
    if credentials:
        headers.set("Access-Control-Allow-Credentials", "true")
    return True
