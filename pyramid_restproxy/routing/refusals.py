"""405, 415 and OPTIONS, told from 404 (RFC 9110 sections 15.5.6, 15.5.16, 9.3.7).

Pyramid says 404 whenever no view's predicates hold. Here that 404 is looked at
once more: does the resource exist under other methods, or for other bodies? A 404
raised by a view stays what it is, and so does one whose method and body were
right (another predicate did not hold).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pyramid.exceptions import PredicateMismatch
from pyramid.httpexceptions import HTTPNotFound, HTTPUnsupportedMediaType
from pyramid.interfaces import IRoutesMapper
from pyramid.predicates import Notted, RequestMethodPredicate
from pyramid.request import Request
from pyramid.response import Response
from pyramid.urldispatch import Route

from pyramid_restproxy.exceptions import MethodNotAllowed, UnsupportedMediaType
from pyramid_restproxy.routing.catalogue import Catalogue, ViewRow, catalogue_of
from pyramid_restproxy.routing.mapper import path_of
from pyramid_restproxy.routing.methods import MethodSet, allow_order
from pyramid_restproxy.routing.predicates import (
    AllowedMethods,
    RequestContentTypes,
    has_body,
)
from pyramid_restproxy.routing.state import rest_of
from pyramid_restproxy.settings import Settings

__all__ = [
    "Fit",
    "allowed",
    "answer",
    "fitting",
    "method_set",
    "options_response",
    "path_methods",
    "reachable",
]


def answer(
    request: Request, missing: HTTPNotFound, settings: Settings
) -> MethodNotAllowed | HTTPUnsupportedMediaType | Response | None:
    """Look at a 404 once more.

    :returns: the error to raise, the answer to OPTIONS, or None where it is a 404.
    """
    matched = getattr(request, "matched_route", None)
    rows: list[ViewRow] = []
    if isinstance(missing, PredicateMismatch):
        rows = reachable(catalogue_of(request.registry), request)
        if any(request.method in row.methods for row in rows):
            return _wrong_body(request, rows)
    elif matched is not None:
        return None  # raised by the application
    fits = fitting(request)
    methods = path_methods(fits, rows, matched, catalogue_of(request.registry))
    if not methods or request.method in methods:
        return None
    if fits and not isinstance(missing, PredicateMismatch):
        request.path_extension = fits[0].extension  # the error follows it
    return _wrong_method(request, methods, rows, settings)


def reachable(catalogue: Catalogue, request: Request) -> list[ViewRow]:
    """Return the views that the request reaches by its path, whatever its method."""
    extension = getattr(request, "path_extension", None)
    return [row for row in catalogue.of_request(request) if row.is_for(extension)]


def _wrong_method(
    request: Request,
    methods: frozenset[str],
    rows: Sequence[ViewRow],
    settings: Settings,
) -> MethodNotAllowed | Response:
    allow = allowed([MethodSet(methods)], settings.automatic_options)
    if request.method == "OPTIONS" and settings.automatic_options:
        return options_response(allow, rows)
    rest_of(request).refusal = "method not allowed"
    return MethodNotAllowed(allow)


def _wrong_body(
    request: Request, rows: Sequence[ViewRow]
) -> HTTPUnsupportedMediaType | None:
    context = getattr(request, "context", None)
    refusing = [
        row
        for row in rows
        if request.method in row.methods and _only_body_fails(row, context, request)
    ]
    if not refusing or not has_body(request.environ):
        return None
    rest_of(request).refusal = "unsupported media type"
    accepted = dict.fromkeys(each for row in refusing for each in row.content_types)
    if not accepted:  # the views only say which types they do not take
        return HTTPUnsupportedMediaType(
            "The resource does not take a body of this media type."
        )
    return UnsupportedMediaType(request.method, tuple(accepted))


def _only_body_fails(row: ViewRow, context: object, request: Request) -> bool:
    failing = [_unwrapped(p) for p in row.predicates if not p(context, request)]
    return bool(failing) and all(isinstance(p, RequestContentTypes) for p in failing)


def _unwrapped(predicate: object) -> object:
    """Return the predicate in Pyramid's ``not_()``, or the predicate."""
    return predicate.predicate if isinstance(predicate, Notted) else predicate


def allowed(sets: Iterable[MethodSet], automatic_options: bool) -> tuple[str, ...]:
    """Return the methods for Allow (RFC 9110 section 10.2.1), in their order."""
    methods = frozenset[str]().union(*(each.listed() for each in sets))
    return allow_order(methods | {"OPTIONS"} if automatic_options else methods)


def options_response(allow: Sequence[str], rows: Sequence[ViewRow]) -> Response:
    """Answer OPTIONS for views that do not (RFC 9110 section 9.3.7).

    Nobody's permission is asked: a browser's preflight carries no credentials.
    """
    headers = [("Allow", ", ".join(allow)), ("Content-Length", "0")]
    # RFC 5789 section 3.1; Accept-Post is W3C's Linked Data Platform, section 7.1.
    for field, method in (("Accept-Patch", "PATCH"), ("Accept-Post", "POST")):
        types = [t for row in rows if method in row.methods for t in row.content_types]
        if types:
            headers.append((field, ", ".join(dict.fromkeys(types))))
    return Response(status=200, headerlist=headers, app_iter=[])


# -- routes that are restricted by method themselves --------------------------


@dataclass(frozen=True, slots=True)
class Fit:
    """A route that fits a request in all but, perhaps, the method.

    :ivar extension: what was cut off the path, or None.
    :ivar restrictions: the methods it takes, once for each predicate that says so.
    """

    route: Route
    extension: str | None
    restrictions: tuple[MethodSet, ...]

    def takes(self, method: str) -> bool:
        """Say whether the route matches requests with this method."""
        return all(method in each for each in self.restrictions)


def fitting(request: Request) -> list[Fit]:
    """Return the routes that fit this request in all but the method, in their order.

    A route with ``request_method=`` that does not fit is no match at all for
    Pyramid; for the client, the resource is there and its method is not.
    """
    mapper = request.registry.getUtility(IRoutesMapper)
    matched, extension = request.matched_route, request.path_extension
    found = []
    try:
        for route, match, cut in mapper.matching(path_of(request)):
            request.path_extension = cut or None  # the predicates may look at it
            info = {"match": match, "route": route}
            sets = [(each, method_set(each)) for each in route.predicates]
            if route is matched or all(m or each(info, request) for each, m in sets):
                own = tuple(methods for _, methods in sets if methods)
                found.append(Fit(route, cut or None, own))
    finally:
        request.path_extension = extension
    return found


def path_methods(
    fits: Iterable[Fit],
    rows: Sequence[ViewRow],
    matched: Route | None,
    catalogue: Catalogue,
) -> frozenset[str]:
    """Return the methods that are answered on a path, by whichever route.

    A method is answered by the first route that takes it, or by none.

    :param rows: the views of the matched route, or those found by traversal.
    """
    found: set[str] = set()
    earlier: list[Fit] = []
    for fit in fits:
        listed = _listed(rows) if fit.route is matched else _listed_of(fit, catalogue)
        found |= {m for m in _left(listed, earlier) if fit.takes(m)}
        earlier.append(fit)
    if matched is None:  # traversal comes after all routes
        found |= _left(_listed(rows), earlier)
    return frozenset(found)


def _left(methods: frozenset[str], earlier: Iterable[Fit]) -> set[str]:
    return {m for m in methods if not any(each.takes(m) for each in earlier)}


def _listed(rows: Iterable[ViewRow]) -> frozenset[str]:
    return frozenset[str]().union(*(row.methods.listed() for row in rows))


def _listed_of(fit: Fit, catalogue: Catalogue) -> frozenset[str]:
    rows = catalogue.of_route(fit.route.name)
    if rows:
        return _listed(row for row in rows if row.is_for(fit.extension))
    # Its views are found by traversal: what it takes is all that is known.
    return frozenset[str]().union(*(each.listed() for each in fit.restrictions))


def method_set(predicate: object) -> MethodSet | None:
    """Return the methods that a predicate takes; None where it is about others."""
    if isinstance(predicate, RequestMethodPredicate):
        return MethodSet(frozenset(predicate.val))
    inner = getattr(predicate, "func", predicate)
    if isinstance(inner, AllowedMethods):
        return MethodSet(frozenset(inner.methods))
    return None
