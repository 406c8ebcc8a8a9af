"""Say how a request would be answered, without running the view.

The same override, mapper, predicates, refusals and negotiation as a real request,
in the same order; the view, its permission and its side effects are left out.
"""

from __future__ import annotations

from typing import Any

from pyramid.exceptions import PredicateMismatch
from pyramid.httpexceptions import HTTPException, HTTPNotFound
from pyramid.interfaces import (
    IRequest,
    IRootFactory,
    IRouteRequest,
    IRoutesMapper,
    ITraverser,
)
from pyramid.request import Request
from pyramid.response import Response
from pyramid.traversal import DefaultRootFactory, ResourceTreeTraverser
from zope.interface import Interface, implementedBy, providedBy
from zope.interface.interfaces import IInterface

from pyramid_restproxy.exceptions import OverrideRejected
from pyramid_restproxy.problems import malformed_url
from pyramid_restproxy.routing.catalogue import ViewRow, catalogue_of
from pyramid_restproxy.routing.override import OverridePolicy, apply
from pyramid_restproxy.routing.refusals import answer as answer_missing
from pyramid_restproxy.routing.refusals import reachable
from pyramid_restproxy.routing.representations import choose_for
from pyramid_restproxy.routing.state import Decision, rest_of
from pyramid_restproxy.settings import Settings, settings_of

__all__ = ["decide"]


def decide(request: Request) -> Decision:
    """Return the decision record that a request would get.

    :param request: a request with its ``registry``; its environ is changed as a
        real request's is.
    """
    settings = settings_of(request.registry)
    try:
        refused = _override(request, settings) or _route(request)
        if not refused:
            _answer(request, settings)
    except UnicodeDecodeError as error:
        malformed = malformed_url(error, request.environ)
        if malformed is None:
            raise
        refused = f"{malformed.status}: {malformed.detail}"
    state = rest_of(request)
    if refused:
        state.refusal = refused
    return state.decision


def _answer(request: Request, settings: Settings) -> None:
    """Find the view and its representation, and note it in ``request.rest``."""
    state = rest_of(request)
    row = _view(request)
    if row is None:
        missing = PredicateMismatch() if request.matched_route else HTTPNotFound()
        answer = answer_missing(request, missing, settings)
        if isinstance(answer, Response) and answer.status_int == 200:
            state.refusal = (
                f"none: OPTIONS is answered, Allow: {answer.headers['Allow']}"
            )
        elif answer is None:
            state.refusal = "no view" if request.matched_route else "no route"
    elif row.offers:
        choose_for(request, row.offers, settings)


def _override(request: Request, settings: Settings) -> str | None:
    if not settings.override_enabled:
        return None
    try:
        apply(request.environ, OverridePolicy.from_settings(settings))
    except OverrideRejected as refused:
        return f"override rejected: {refused.reason}"
    return None


def _route(request: Request) -> str | None:
    """Match the route and find the context, as Pyramid's router does.

    :returns: what the route's factory refused the request with, or None.
    """
    query = request.registry.queryUtility
    info = query(IRoutesMapper)(request)
    route = info["route"]
    request.matchdict, request.matched_route = info["match"], route
    if route:
        request.request_iface = query(IRouteRequest, name=route.name, default=IRequest)
    root_factory = query(IRootFactory, default=DefaultRootFactory)
    try:
        root = ((route and route.factory) or root_factory)(request)
    except HTTPException as error:
        return f"{error.status} by the factory of the route"
    traverser = request.registry.queryAdapter(root, ITraverser)
    request.__dict__.update((traverser or ResourceTreeTraverser(root))(request))
    return None


def _view(request: Request) -> ViewRow | None:
    rows = reachable(catalogue_of(request.registry), request)
    for row in sorted(rows, key=lambda each: _rank(each, request.context)):
        if all(predicate(request.context, request) for predicate in row.predicates):
            return row
    return None


def _rank(row: ViewRow, context: Any) -> tuple[bool, int, int]:
    """Say when Pyramid tries a view; the lowest rank comes first.

    It begins with the views of the route, then with the nearest class or interface of
    the context, and there with the predicates that weigh most.
    """
    wanted = Interface if row.context is None else row.context
    spec = wanted if IInterface.providedBy(wanted) else implementedBy(wanted)
    order = list(providedBy(context).__sro__)
    near = order.index(spec) if spec in order else len(order)
    return row.route_name is None, near, row.order
