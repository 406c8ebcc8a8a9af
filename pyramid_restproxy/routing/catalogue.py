"""What every view answers: methods, types of body, extensions, representations.

A view deriver writes one row a view while Pyramid registers it; the routes
mapper, the refusals, ``prest`` and the start-up lint read the rows. Nothing here
runs for a request but look-ups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pyramid.config import not_
from pyramid.interfaces import IRequest, IViewDeriverInfo
from pyramid.registry import Registry
from pyramid.request import Request
from zope.interface import providedBy
from zope.interface.interfaces import IInterface

from pyramid_restproxy.interfaces import IViewCatalogue
from pyramid_restproxy.routing.methods import ANY_METHOD, MethodSet
from pyramid_restproxy.routing.offers import Offers
from pyramid_restproxy.routing.predicates import (
    AllowedMethods,
    Extension,
    RequestContentTypes,
)

__all__ = ["Catalogue", "ViewRow", "catalogue_of", "row_of"]

View = Callable[[Any, Request], Any]


@dataclass(frozen=True, slots=True)
class ViewRow:
    """What one view answers.

    :ivar route_name: its route; None for a view found by traversal.
    :ivar context: the class or interface it is registered for, or None.
    :ivar name: the view name.
    :ivar phash: Pyramid's hash of its predicates, its identity among its kind.
    :ivar order: Pyramid's weight of its predicates; the smallest is tried first.
    :ivar methods: the methods it answers; all of them where it does not say.
    :ivar content_types: the types of body it takes; empty for any, and where it only
        says which it does not take.
    :ivar extensions: the path extensions it is for; None where it does not say.
    :ivar offers: its representations; None where it is not negotiated.
    :ivar predicates: its predicates, as Pyramid made them.
    :ivar view: the callable as it was given.
    :ivar attr: the method of the class that is called, or None.
    :ivar restful: whether it uses what this package adds to views.
    """

    route_name: str | None
    context: Any
    name: str
    phash: str
    order: int
    methods: MethodSet
    content_types: tuple[str, ...]
    extensions: tuple[str, ...] | None
    offers: Offers | None
    predicates: tuple[Any, ...]
    view: Any
    attr: str | None
    restful: bool

    @property
    def says_method(self) -> bool:
        """Whether the view is restricted to some methods."""
        return self.methods is not ANY_METHOD

    def is_for(self, extension: str | None) -> bool:
        """Say whether the view is for paths with this extension."""
        return self.extensions is None or (extension or "") in self.extensions

    def cut_extensions(self) -> frozenset[str]:
        """Return the extensions that its paths may carry."""
        offered = self.offers.extensions if self.offers else frozenset()
        return offered | frozenset(e for e in self.extensions or () if e)


def row_of(info: IViewDeriverInfo, offers: Offers | None) -> ViewRow:
    """Describe a view from what Pyramid tells a view deriver."""
    options = info.options
    types = options.get("request_content_types")
    extensions = options.get("extension")
    return ViewRow(
        route_name=options.get("route_name"),
        context=options.get("context"),
        name=options.get("name") or "",
        phash=info.phash,
        order=info.order,
        methods=_methods(options),
        content_types=_content_types(types),
        extensions=_extensions(options, extensions),
        offers=offers,
        predicates=tuple(info.predicates),
        view=info.original_view,
        attr=options.get("attr"),
        restful=bool(offers or types or options.get("allowed_methods")),
    )


def _custom(options: Any) -> tuple[Any, ...]:
    found = options.get("custom") or ()
    return found if isinstance(found, tuple) else (found,)


def _methods(options: Any) -> MethodSet:
    """Intersect the method predicates; a view nearly always has one at most."""
    found = [
        MethodSet.of(options[name])
        for name in ("allowed_methods", "request_method")
        if options.get(name) is not None
    ]
    found += [
        MethodSet(frozenset(custom.methods))
        for custom in _custom(options)
        if isinstance(custom, AllowedMethods)
    ]
    if not found:
        return ANY_METHOD
    if len(found) == 1:
        return found[0]
    return MethodSet(frozenset.intersection(*(each.listed() for each in found)))


def _content_types(value: Any) -> tuple[str, ...]:
    if value is None or isinstance(value, not_):
        return ()
    return RequestContentTypes(value).media_types


def _extensions(options: Any, value: Any) -> tuple[str, ...] | None:
    if isinstance(value, (str, tuple, list, set, frozenset)):
        return Extension(value).extensions
    for custom in _custom(options):
        if isinstance(custom, Extension):
            return custom.extensions
    return None


class Catalogue:
    """The rows of an application.

    Written while the application is configured, read by many threads after.

    :ivar revision: counts the writes, so that readers notice one.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], ViewRow] = {}
        self._by_route: dict[str | None, list[ViewRow]] = {}
        self.revision = 0

    def add(self, row: ViewRow) -> None:
        """Add a row, or replace the row of the view that it overrides."""
        self._rows[row.route_name, row.context, row.name, row.phash] = row
        by_route: dict[str | None, list[ViewRow]] = {}
        for each in self._rows.values():
            by_route.setdefault(each.route_name, []).append(each)
        self._by_route = by_route
        self.revision += 1

    def __iter__(self) -> Iterator[ViewRow]:
        return iter(list(self._rows.values()))

    def of_route(self, route_name: str | None) -> list[ViewRow]:
        """Return the rows of a route, in the order of registration."""
        return self._by_route.get(route_name, [])

    def of_request(self, request: Request) -> list[ViewRow]:
        """Return the rows of the views that a routed request could have reached."""
        route = getattr(request, "matched_route", None)
        name = getattr(request, "view_name", "")
        context = getattr(request, "context", None)
        interface = getattr(request, "request_iface", IRequest)
        rows = self.of_route(route.name if route else None)
        if route and interface.extends(IRequest):  # it has use_global_views=True
            rows = rows + self.of_route(None)
        return [
            row
            for row in rows
            if row.name == name and _is_for_context(row.context, context)
        ]


def _is_for_context(wanted: Any, context: Any) -> bool:
    if wanted is None:
        return True
    if IInterface.providedBy(wanted):
        return bool(wanted in providedBy(context).flattened())
    return isinstance(context, wanted)


def catalogue_of(registry: Registry) -> Catalogue:
    """Return the catalogue of an application; an empty one where there is none."""
    found = registry.queryUtility(IViewCatalogue)
    return found if found is not None else Catalogue()
