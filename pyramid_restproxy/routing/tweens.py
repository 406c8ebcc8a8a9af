"""The two tweens of routing, and in which order they stand.

``override`` is near the ingress: routing, CSRF check and predicates must see the
effective method. It also tells the script of forms (``static/forms.js``) where a
redirect leads. ``refusals`` is nearest to the router, under Pyramid's exception views,
so that these can give 405, 415 and 406 a face of their own. It tells the log of those
refusals whose answer does not say why: 401 and the like.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pyramid.httpexceptions import HTTPNotFound
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from zope.interface import implementer

from pyramid_restproxy.exceptions import MalformedRequest, RequestRefused
from pyramid_restproxy.interfaces import IMethodOverridden
from pyramid_restproxy.routing.override import (
    SCRIPTED,
    Override,
    OverridePolicy,
    apply,
    is_led_away,
)
from pyramid_restproxy.routing.refusals import answer as answer_missing
from pyramid_restproxy.settings import settings_of

__all__ = ["MethodOverridden"]

log = logging.getLogger(__name__)

Handler = Callable[[Request], Response]

OVERRIDE = "pyramid_restproxy.routing.tweens.override_tween_factory"
REFUSALS = "pyramid_restproxy.routing.tweens.refusals_tween_factory"


@implementer(IMethodOverridden)
class MethodOverridden:
    """Event: a request was given another method, see :class:`IMethodOverridden`."""

    def __init__(self, request: Request, applied: Override) -> None:
        self.request = request
        self.original = "POST"
        self.effective = applied.method
        self.source = applied.source


def override_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """Make the tween that gives POST requests the method they mean.

    Redirects for the script are looked at without override, too.
    """
    settings = settings_of(registry)
    enabled = settings.override_enabled
    policy = OverridePolicy.from_settings(settings)

    def override_tween(request: Request) -> Response:
        environ = request.environ
        if enabled and environ["REQUEST_METHOD"] == "POST":
            try:
                applied = apply(environ, policy)
            except MalformedRequest as refused:
                return refused
            if applied and registry.has_listeners:
                registry.notify(MethodOverridden(request, applied))
        response = handler(request)
        if SCRIPTED in environ and is_led_away(
            environ["REQUEST_METHOD"], response.status_code, response.location
        ):
            response.status_code = 200
        return response

    return override_tween


def refusals_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """Make the tween that tells 405, 415 and OPTIONS from 404."""
    settings = settings_of(registry)

    def refusals_tween(request: Request) -> Response:
        try:
            return handler(request)
        except HTTPNotFound as missing:
            answer = answer_missing(request, missing, settings)
            if answer is None:
                raise
            if isinstance(answer, Exception):
                raise answer from missing
            return answer
        except RequestRefused as refused:
            if refused.reason:
                _tell(request, refused)
            raise

    return refusals_tween


def _tell(request: Request, refused: Any) -> None:
    """Say in the log what the client must not learn; of the request its route only."""
    route = request.matched_route.name if request.matched_route else None
    log.info("refused with %d: %s, route %r", refused.code, refused.reason, route)
