"""What routing knows of one request: ``request.rest``.

Filled as the request goes through the mapper, the negotiation and the refusals;
read by views, renderers and, as :class:`Decision`, by people who ask why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.negotiation import Score
from pyramid_restproxy.routing.offers import Choice, Offers, weigh
from pyramid_restproxy.routing.override import ORIGINAL, SOURCE

__all__ = ["Decision", "RestState", "rest_of"]


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

    def __init__(
        self,
        environ: Mapping[str, Any],
        route: str | None = None,
        extension: str | None = None,
        reads_accept: bool = True,
        extensions: frozenset[str] = frozenset(),
    ) -> None:
        self.environ = environ
        self.route = route
        self.extension = extension
        self.reads_accept = reads_accept
        self.extensions = extensions
        self.offers: Offers | None = None
        self.choice: Choice | None = None
        self.refusal: str | None = None

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
