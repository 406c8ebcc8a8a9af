"""What routing knows of one request: ``request.rest``.

Filled as the request goes through the mapper, the negotiation and the refusals;
read by views, renderers and, as :class:`Decision`, by people who ask why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.negotiation import Score
from pyramid_restproxy.routing.offers import Choice, Offers, weigh
from pyramid_restproxy.routing.override import ORIGINAL, SOURCE

__all__ = ["Decision", "RestState", "add_request_attributes", "rest_of"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Why a request was answered as it was.

    :ivar original_method: the method on the request line.
    :ivar effective_method: the method that routing saw.
    :ivar method_source: ``request``, ``field`` or ``header``.
    :ivar route: the name of the matched route, or None.
    :ivar extension: what was cut off the path, or None.
    :ivar accept: the Accept field, or None.
    :ivar offers: what the client thinks of each representation.
    :ivar chosen: the media type of the answer, or None where nothing was chosen.
    :ivar chosen_by: ``extension``, ``format``, ``accept`` or ``default``.
    :ivar refusal: the reason why no view answered, or None.
    """

    original_method: str
    effective_method: str
    method_source: str
    route: str | None
    extension: str | None
    accept: str | None
    offers: tuple[Score, ...] = ()
    chosen: str | None = None
    chosen_by: str | None = None
    refusal: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, e.g. for a log line."""
        return asdict(self)


class RestState:
    """What routing knows of one request. One request, one thread.

    :ivar offers: what the view offers; None before, or where it is not negotiated.
    :ivar choice: the representation chosen, with its media type; None likewise.
    :ivar route: the name of the matched route.
    :ivar extension: what was cut off the path.
    :ivar reads_accept: whether Accept has a say on this route.
    :ivar extensions: what is cut off the paths of this route.
    :ivar refusal: the reason why no view answered.
    """

    __slots__ = (
        "environ",
        "offers",
        "choice",
        "route",
        "extension",
        "reads_accept",
        "extensions",
        "refusal",
    )

    def __init__(self, environ: Mapping[str, Any], reads_accept: bool = True) -> None:
        self.environ = environ
        self.route: str | None = None
        self.extension: str | None = None
        self.reads_accept = reads_accept
        self.extensions: frozenset[str] = frozenset()
        self.offers: Offers | None = None
        self.choice: Choice | None = None
        self.refusal: str | None = None

    def routed(
        self,
        route: str | None,
        extension: str | None,
        reads_accept: bool,
        extensions: frozenset[str],
    ) -> None:
        """Note what the routes mapper found; what was decided before is void."""
        self.route = route
        self.extension = extension
        self.reads_accept = reads_accept
        self.extensions = extensions
        self.offers = self.choice = self.refusal = None

    @property
    def representation(self) -> Representation | None:
        """The representation that will be sent; None where none is negotiated."""
        return self.choice.representation if self.choice else None

    def is_html(self) -> bool:
        """Say whether a page is what will be sent, e.g. to redirect after a form."""
        return self.choice is not None and self.choice.representation.name == "html"

    @property
    def decision(self) -> Decision:
        """The decision record, made when it is asked for."""
        environ, offers, choice = self.environ, self.offers, self.choice
        method = environ["REQUEST_METHOD"]
        accept = environ.get("HTTP_ACCEPT")
        return Decision(
            original_method=environ.get(ORIGINAL, method),
            effective_method=method,
            method_source=environ.get(SOURCE, "request"),
            route=self.route,
            extension=self.extension,
            accept=accept,
            offers=weigh(offers, accept) if offers else (),
            chosen=choice.media_type if choice else None,
            chosen_by=choice.by if choice else None,
            refusal=self.refusal,
        )


def rest_of(request: Request) -> RestState:
    """Return ``request.rest``, made now where the routes mapper has not run."""
    state: RestState | None = request.__dict__.get("rest")
    if state is None:
        state = request.rest = RestState(request.environ)
    return state


# -- before routing -----------------------------------------------------------


class Unrouted:
    """What the routes mapper will set on a request, as long as it has not.

    Registered as the request method ``rest``: Pyramid binds request methods to each
    request as it comes, before any tween and any subscriber. A request property would
    cost thirty microseconds, as Pyramid makes a class for each request that has one.
    """

    def __get__(self, request: Request, owner: type | None = None) -> RestState:
        """Set ``original_method`` and ``path_extension``; return ``rest``."""
        environ, attrs = request.environ, request.__dict__
        effective = environ.get("REQUEST_METHOD", "GET")  # pyramid.testing has none
        attrs["original_method"] = environ.get(ORIGINAL, effective)
        attrs["path_extension"] = None
        return RestState(environ)


def add_request_attributes(config: Configurator) -> None:
    """Let ``original_method``, ``path_extension`` and ``rest`` be there from the start.

    Subscribers and tweens read them of requests that are not routed yet, or never are.
    """
    config.add_request_method(Unrouted(), "rest")
    for name in ("original_method", "path_extension"):
        config.add_request_method(None, name)  # a conflict with others is told
