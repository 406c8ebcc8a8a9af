"""405, 415 and OPTIONS, told from 404 (RFC 9110 sections 15.5.6, 15.5.16, 9.3.7).

Pyramid says 404 whenever no view's predicates hold. Here that 404 is looked at
once more: does the resource exist under other methods, or for other bodies? A 404
raised by a view stays what it is, and so does one whose method and body were
right (another predicate did not hold).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyramid.exceptions import PredicateMismatch
from pyramid.httpexceptions import HTTPNotFound
from pyramid.interfaces import IRoutesMapper
from pyramid.predicates import RequestMethodPredicate
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.exceptions import MethodNotAllowed, UnsupportedMediaType
from pyramid_restproxy.routing.catalogue import Catalogue, ViewRow, catalogue_of
from pyramid_restproxy.routing.mapper import path_of
from pyramid_restproxy.routing.methods import MethodSet, allow_order
from pyramid_restproxy.routing.predicates import AllowedMethods, RequestContentTypes
from pyramid_restproxy.routing.state import rest_of
from pyramid_restproxy.settings import Settings

__all__ = ["allowed", "answer", "options_response", "reachable", "route_methods"]


def answer(
    request: Request, missing: HTTPNotFound, settings: Settings
) -> MethodNotAllowed | UnsupportedMediaType | Response | None:
    """Look at a 404 once more.

    :returns: the error to raise, the answer to OPTIONS, or None where it is a 404.
    """
    rows: list[ViewRow] = []
    if isinstance(missing, PredicateMismatch):
        rows = reachable(catalogue_of(request.registry), request)
        sets = [row.methods for row in rows]
    elif getattr(request, "matched_route", None) is None:
        sets = route_methods(request)
    else:
        return None  # raised by the application
    if sets and not any(request.method in each for each in sets):
        return _wrong_method(request, sets, rows, settings)
    return _wrong_body(request, rows)


def reachable(catalogue: Catalogue, request: Request) -> list[ViewRow]:
    """Return the views that the request reaches by its path, whatever its method."""
    extension = getattr(request, "path_extension", None)
    return [row for row in catalogue.of_request(request) if row.is_for(extension)]


def _wrong_method(
    request: Request,
    sets: Sequence[MethodSet],
    rows: Sequence[ViewRow],
    settings: Settings,
) -> MethodNotAllowed | Response:
    allow = allowed(sets, settings.automatic_options)
    if request.method == "OPTIONS" and settings.automatic_options:
        return options_response(allow, rows)
    rest_of(request).refusal = "method not allowed"
    return MethodNotAllowed(allow)


def _wrong_body(
    request: Request, rows: Sequence[ViewRow]
) -> UnsupportedMediaType | None:
    context = getattr(request, "context", None)
    accepted = dict.fromkeys(
        media_type
        for row in rows
        if request.method in row.methods and _only_body_fails(row, context, request)
        for media_type in row.content_types
    )
    if not accepted:
        return None
    rest_of(request).refusal = "unsupported media type"
    return UnsupportedMediaType(request.method, tuple(accepted))


def _only_body_fails(row: ViewRow, context: object, request: Request) -> bool:
    failing = [p for p in row.predicates if not p(context, request)]
    return bool(failing) and all(isinstance(p, RequestContentTypes) for p in failing)


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


def route_methods(request: Request) -> list[MethodSet]:
    """Return the methods of routes that fit this request in all but the method.

    A route with ``request_method=`` that does not fit is no match at all for
    Pyramid; for the client, the resource is there and its method is not.
    """
    mapper = request.registry.getUtility(IRoutesMapper)
    found = []
    for route, match, cut in mapper.matching(path_of(request)):
        info = {"match": match, "route": route}
        failing = [p for p in route.predicates if not p(info, request)]
        sets = [_method_set(predicate) for predicate in failing]
        if sets and all(sets):
            request.path_extension = cut or None  # the error follows it
            found += [each for each in sets if each]
    return found


def _method_set(predicate: object) -> MethodSet | None:
    if isinstance(predicate, RequestMethodPredicate):
        return MethodSet(frozenset(predicate.val))
    inner = getattr(predicate, "func", predicate)
    if isinstance(inner, AllowedMethods):
        return MethodSet(frozenset(inner.methods))
    return None
