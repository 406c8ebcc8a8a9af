"""Representations: the directive, what a view offers, and ``renderer='negotiated'``.

A view deriver decides the representation after the predicates and before the
permission check, so that a request that cannot be answered has no side effect.
The renderer then writes what was chosen. The choice itself is ``offers``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any
from urllib.parse import quote

from pyramid.config import PHASE1_CONFIG, Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPException
from pyramid.interfaces import IRendererFactory, IViewDeriverInfo
from pyramid.registry import Registry
from pyramid.renderers import RendererHelper
from pyramid.request import Request
from pyramid.response import Response
from webob.acceptparse import Accept

from pyramid_restproxy.casts import SEVERAL, several
from pyramid_restproxy.exceptions import NotAcceptable
from pyramid_restproxy.grammar import media_type_of
from pyramid_restproxy.interfaces import IRepresentations, Representation
from pyramid_restproxy.negotiation import add_vary
from pyramid_restproxy.problems import (
    forbid_sniffing,
    path_reference,
    require_template,
)
from pyramid_restproxy.renderers import BUILTIN
from pyramid_restproxy.renderers.base import set_content_type
from pyramid_restproxy.routing.catalogue import catalogue_of, row_of
from pyramid_restproxy.routing.offers import Choice, Offers, choose
from pyramid_restproxy.routing.predicates import Extension
from pyramid_restproxy.routing.state import rest_of
from pyramid_restproxy.settings import Settings, settings_of

__all__ = ["NEGOTIATED", "add_representation", "negotiated_view", "offers_of"]

#: The renderer name of negotiated views.
NEGOTIATED = "negotiated"

#: What a query has unescaped (RFC 3986 section 3.4, and brackets), and escapes. Not
#: ``<>"``, which end a link in a Link field.
_IN_QUERIES = "!$&'()*+,-./:;=?@[]_~%"

View = Callable[[Any, Request], Response]
Writer = Callable[[Any, Any], Any]


# -- the directive ------------------------------------------------------------


def add_representation(
    config: Configurator,
    name: str,
    media_type: str,
    *,
    extension: str | Collection[str] = (),
    aliases: Collection[str] = (),
    renderer: str | None = None,
    charset: str = "",
) -> None:
    """Add a representation that views can offer, or replace one of the same name.

    :param name: the name in ``representations=`` and in the setting
        ``restproxy.representations``.
    :param media_type: what is offered and sent, e.g. ``application/vnd.acme+json``.
    :param extension: the path extension that chooses it, or several.
    :param aliases: further media types that choose it, answered under that name.
    :param renderer: the name of a Pyramid renderer; `name` where it is left out.
    :param charset: the charset parameter of Content-Type.
    :raises ConfigurationError: where an argument is not what it must be.

    Discriminator ``('restproxy representation', name)``; introspectable category
    ``restproxy representations``.
    """
    found = Representation(
        name=_name(name),
        media_type=_media_type(name, media_type),
        extensions=Extension(extension).extensions if extension else (),
        aliases=tuple(_media_type(name, alias) for alias in _sequence(name, aliases)),
        renderer=renderer or name,
        charset=charset,
    )
    discriminator = ("restproxy representation", name)
    intr = config.introspectable(
        "restproxy representations",
        name,
        f"{name} ({found.media_type})",
        "representation",
    )
    intr.update(
        {
            "name": name,
            "media_type": found.media_type,
            "extensions": found.extensions,
            "aliases": found.aliases,
            "renderer": found.renderer,
            "charset": charset,
        }
    )

    def register() -> None:
        representations_of(config.registry)[name] = found

    config.action(discriminator, register, introspectables=(intr,), order=PHASE1_CONFIG)


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigurationError(
            f"representation {name!r}: expected a name like 'json'"
        )
    return name


def _sequence(name: str, value: Any) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, SEVERAL):
        raise ConfigurationError(
            f"representation {name!r}: aliases={value!r}: expected media types"
        )
    return several(value)


def _media_type(name: str, media_type: Any) -> str:
    try:
        Accept.parse_offer(media_type)
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"representation {name!r}: {media_type!r} is not a media type"
        ) from error
    return str(media_type)


def representations_of(registry: Registry) -> dict[str, Representation]:
    """Return the representations that an application knows, by name."""
    found = registry.queryUtility(IRepresentations)
    if found is None:
        found = {each.name: each for each in BUILTIN}
        registry.registerUtility(found, IRepresentations)
    return found


# -- what a view offers -------------------------------------------------------


def offers_of(info: IViewDeriverInfo) -> Offers | None:
    """Read what a view offers from its options.

    :returns: the offers, or None where the view is not negotiated.
    :raises ConfigurationError: where an option makes no sense, names what there
        is not, or needs a package that is not installed.
    """
    renderer = info.options.get("renderer")
    if getattr(renderer, "name", None) != NEGOTIATED:
        _refuse_options(info)
        return None
    template = info.options.get("template")
    if template is not None and not isinstance(template, str):
        raise ConfigurationError(f"template={template!r}: expected a template's name")
    if template:
        wanted_by = f"template={template!r} of {_describe(info)}"
        require_template(info.registry, template, wanted_by)
    found = _named_representations(info, bool(template))
    for each in found:
        _require_renderer(info.registry, each, info)
    return Offers(found, template or "")


def _refuse_options(info: IViewDeriverInfo) -> None:
    # What the class says for all its views was not said of this one.
    inherited = getattr(info.original_view, "__view_defaults__", {})
    for option in ("representations", "template"):
        value = info.options.get(option)
        if value is not None and value is not inherited.get(option):
            raise ConfigurationError(
                f"{option}= is for views with renderer='{NEGOTIATED}', "
                f"which {_describe(info)} is not"
            )


def _describe(info: IViewDeriverInfo) -> str:
    view = info.original_view
    name = getattr(view, "__qualname__", None) or repr(view)
    route = info.options.get("route_name")
    return f"view {name}" + (f" of route {route!r}" if route else "")


def _named_representations(
    info: IViewDeriverInfo, has_template: bool
) -> tuple[Representation, ...]:
    known = representations_of(info.registry)
    names = info.options.get("representations")
    if names is None:
        # The application's list: what needs a template is left out without one.
        names = settings_of(info.registry).representations
        found = [_known(known, name, "restproxy.representations") for name in names]
        found = [each for each in found if has_template or not each.template]
    else:
        names = several(names) or names
        found = [_known(known, name, _describe(info)) for name in names]
        for each in found:
            if each.template and not has_template:
                raise ConfigurationError(
                    f"{_describe(info)} offers {each.name!r} and has no template="
                )
    if not found:
        raise ConfigurationError(f"{_describe(info)} offers no representation")
    return tuple(found)


def _known(known: dict[str, Representation], name: Any, where: str) -> Representation:
    if name not in known:
        raise ConfigurationError(
            f"{where}: there is no representation {name!r}. "
            f"There are: {', '.join(known)}"
        )
    return known[name]


def _require_renderer(
    registry: Registry, representation: Representation, info: IViewDeriverInfo
) -> None:
    """Check at start-up that what writes a representation is there."""
    if not representation.renderer:
        return
    factory = registry.queryUtility(IRendererFactory, name=representation.renderer)
    if factory is None:
        raise ConfigurationError(
            f"representation {representation.name!r} of {_describe(info)}: "
            f"there is no renderer {representation.renderer!r}"
        )
    require = getattr(factory, "require", None)
    if require:
        require(f"representation {representation.name!r} of {_describe(info)}")


# -- the view deriver ---------------------------------------------------------


def negotiated_view(view: View, info: IViewDeriverInfo) -> View:
    """Enter a view in the catalogue; where it is negotiated, decide before it runs.

    Stands after the predicates (404, 405, 415) and before the permission check.
    """
    offers = offers_of(info)
    if info.exception_only:
        return _answering_errors(view, offers) if offers else view
    catalogue_of(info.registry).add(row_of(info, offers))
    if offers is None:
        return view
    settings = settings_of(info.registry)
    alternates = settings.advertise_alternates

    def negotiating(context: Any, request: Request) -> Response:
        choice = choose_for(request, offers, settings)
        if choice is None:
            raise NotAcceptable(
                list(alternates_of(request, offers)),
                by_accept=rest_of(request).extension is None,
            )
        try:
            response = view(context, request)
        except HTTPException as raised:  # a response as well
            if choice.vary:
                add_vary(raised.headerlist, "Accept")
            raise
        if choice.vary:
            add_vary(response.headerlist, "Accept")
        if alternates:
            _advertise(request, response, offers, choice)
        return response

    return negotiating


negotiated_view.options = (  # type: ignore[attr-defined]
    "representations",
    "template",
)


def choose_for(request: Request, offers: Offers, settings: Settings) -> Choice | None:
    """Choose the representation of a request, and note it in ``request.rest``.

    :returns: the choice, or None where nothing is acceptable.
    """
    state = rest_of(request)
    parameter = settings.format_parameter
    state.offers = offers
    state.choice = choose(
        offers,
        state.extension,
        # an empty one, as forms send it where nothing was chosen, is no wish
        (request.GET.get(parameter) or None) if parameter else None,
        request.environ.get("HTTP_ACCEPT"),
        reads_accept=state.reads_accept,
        strict=settings.not_acceptable == "refuse",
    )
    if state.choice is None:
        state.refusal = "not acceptable"
    return state.choice


def _answering_errors(view: View, offers: Offers) -> View:
    """Negotiate for an exception view, which must never become a 406."""

    def answering(context: Any, request: Request) -> Response:
        state = rest_of(request)
        extension = state.extension
        choice = choose(
            offers,
            extension if extension and offers.by_extension(extension) else None,
            None,
            request.environ.get("HTTP_ACCEPT"),
            reads_accept=state.reads_accept,
            strict=False,
        )
        state.offers, state.choice = offers, choice
        response = view(context, request)
        if choice and choice.vary:
            add_vary(response.headerlist, "Accept")
        return response

    return answering


def alternates_of(request: Request, offers: Offers) -> Iterable[dict[str, str]]:
    """Yield every representation: its media type and, where there is one, its path."""
    for each in offers.representations:
        href = alternate_path(request, each)
        yield {"type": each.media_type} | ({"href": href} if href else {})


def alternate_path(request: Request, representation: Representation) -> str:
    """Return where one representation is, with the query.

    :returns: a relative reference (RFC 3986 section 4.2) that leads to no other host;
        the empty string where it has no URL of its own: it has no extension
        that this route knows, or the path ends in a slash or is that of a mount point.
    """
    known = rest_of(request).extensions
    extension = next((e for e in representation.extensions if e in known), None)
    path = request.path_info
    if request.path_extension is not None:
        path = path[: -len(request.path_extension)]
    if extension is None or not path or path.endswith("/"):
        return ""
    reference = path_reference((request.script_name + path).encode("utf-8"))
    query = quote(request.query_string, safe=_IN_QUERIES, encoding="latin-1")
    return f"{reference}{extension}?{query}" if query else reference + extension


def _advertise(
    request: Request, response: Response, offers: Offers, choice: Choice
) -> None:
    """Name the URL of what was sent (RFC 9110 section 8.7) and of the others."""
    if request.method not in ("GET", "HEAD") or not 200 <= response.status_int < 300:
        return
    own = alternate_path(request, choice.representation)
    # A response of the view's own may be something else, and say itself where it is.
    sent = media_type_of(response.headers.get("Content-Type"))
    if own and sent == media_type_of(choice.content_type):
        response.headers.setdefault("Content-Location", own)
    for each in offers.representations:
        href = alternate_path(request, each)
        if href and each is not choice.representation:
            link = f'<{href}>; rel="alternate"; type="{each.media_type}"'  # RFC 8288
            response.headers.add("Link", link)


# -- the renderer -------------------------------------------------------------


class NegotiatedRenderer:
    """Renderer factory: write the value in the representation that was chosen.

    One instance an application; thread-safe, it only remembers what it looked up.
    """

    def __init__(self) -> None:
        self._writers: dict[tuple[str, Any], Writer] = {}

    def __call__(self, info: RendererHelper) -> Writer:
        """Make the renderer of one view."""
        return partial(self._render, info)

    def _render(self, info: RendererHelper, value: Any, system: Any) -> Any:
        request = system["request"]
        state = rest_of(request)
        if state.choice is None or state.offers is None:
            raise ValueError(
                f"renderer={NEGOTIATED!r} is for views; "
                "render a template or a format by its own name"
            )
        if value is None:
            return _no_content(request.response)
        chosen = state.choice.representation
        _set_type(request.response, state.choice)
        for name in (state.offers.template if chosen.template else "", chosen.renderer):
            if name:
                value = self._writer(name, info)(value, system)
        return value

    def _writer(self, name: str, info: RendererHelper) -> Writer:
        key = name, info.package
        if key not in self._writers:
            helper = RendererHelper(name, info.package, info.registry)
            self._writers[key] = helper.renderer
        return self._writers[key]


def _no_content(response: Response) -> tuple[()]:
    """Answer a view that has nothing to say (RFC 9110 section 15.3.5)."""
    if response.status_int == 200:
        response.status = 204
    response.headers.pop("Content-Type", None)
    return ()  # no content at all: a 204 has no Content-Length, RFC 9110 section 8.6


def _set_type(response: Response, choice: Choice) -> None:
    """Set Content-Type, where the view has not set one of its own."""
    set_content_type(response, choice.content_type)
    if choice.representation.name != "html":
        forbid_sniffing(response.headerlist)
