"""Sealed parameters on their way: in the calls of views, and in the views called.

One query parameter, ``sealed``, holds them all. A token is bound to the path of the
service: below the destination's URL for who calls, PATH_INFO for who is called. It may
be bound to one user besides.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.trust.refusals import Forbidden, InvalidToken
from pyramid_restproxy.trust.registry import trust_of
from pyramid_restproxy.trust.sealing import seal, unseal

__all__ = ["PARAMETER", "open_sealed", "sealed_params", "sealed_path", "sealed_view"]

#: The name of the query parameter.
PARAMETER = "sealed"

#: How long a token can be opened, seconds.
LIFETIME = 300


def sealed_params(
    request: Request,
    path: str,
    params: Mapping[str, Any],
    *,
    user: object = None,
    lifetime: float = LIFETIME,
) -> str:
    """Seal the parameters of a call.

    :param path: of the service, not escaped, without query.
    :param user: the id of the only user who may open it, for a view with
        ``sealed='user'``; None for all.
    :param lifetime: how long it can be opened, seconds.
    :returns: the token.
    :raises TypeError, ValueError: for what is not JSON, or is too large.
    :raises LookupError: where no sealing key is good.
    """
    now = time.time()
    ring = trust_of(request.registry).sealing_keys
    for_user = None if user is None else str(user)
    return seal(params, ring, path, int(now) + lifetime, now=now, user=for_user)


def sealed_path(
    request: Request,
    route_name: str,
    params: Mapping[str, Any],
    /,
    *,
    for_user: object = None,
    lifetime: float = LIFETIME,
    **matchdict: Any,
) -> str:
    """Make the path of a route with sealed parameters; ``request.sealed_path``.

    Like ``request.route_path``, and like it below the mount point (SCRIPT_NAME).

    :param params: JSON values by name.
    :param for_user: the id of the only user who may open it; None for all.
    :param lifetime: how long it can be opened, seconds.
    :param matchdict: what stands for the placeholders of the route.
    :returns: the path and the query, escaped.
    :raises KeyError: where there is no such route, or a placeholder is left.
    :raises TypeError, ValueError: for what is not JSON, or is too large.
    :raises LookupError: where no sealing key is good.
    """
    # The mount point is no part of PATH_INFO, which the token is bound to.
    below = unquote(request.route_url(route_name, _app_url="", **matchdict))
    token = sealed_params(request, below, params, user=for_user, lifetime=lifetime)
    return str(request.route_path(route_name, _query={PARAMETER: token}, **matchdict))


def sealed_view(view: Any, info: Any) -> Any:
    """Derive a view that opens sealed parameters, from ``sealed``.

    True for those that are for all, ``'user'`` for those that are for the authenticated
    user. Sets ``request.sealed``; without valid ones the view does not run.

    :raises ConfigurationError: where the option is not what it must be.
    """
    wanted = info.options.get("sealed")
    if not wanted:
        return view
    if wanted not in (True, "user"):
        raise ConfigurationError(f"sealed={wanted!r}: expected True or 'user'")

    def with_sealed(context: Any, request: Request) -> Response:
        user = _user(request) if wanted == "user" else None
        request.sealed = open_sealed(request, user)
        return view(context, request)

    return with_sealed


sealed_view.options = ("sealed",)  # type: ignore[attr-defined]


def _user(request: Request) -> str:
    """Return the id of the authenticated user.

    :raises Forbidden: where there is none; the application may show its login.
    """
    user = request.authenticated_userid
    if user is None:
        raise Forbidden("missing", "This resource is for the user it was made for.")
    return str(user)


def open_sealed(request: Request, user: str | None = None) -> dict[str, Any]:
    """Return the sealed parameters of a request.

    :param user: the id of the user, where they are sealed for one.
    :raises InvalidToken: where there are none, several, they cannot be opened, or the
        query has one of them in the clear as well, which somebody could believe.
    """
    tokens = request.GET.getall(PARAMETER)
    if len(tokens) != 1:
        raise InvalidToken("missing", "The sealed parameters are missing.")
    ring = trust_of(request.registry).sealing_keys
    values = unseal(tokens[0], ring, request.path_info, now=time.time(), user=user)
    if not values.keys().isdisjoint({*request.GET} - {PARAMETER}):
        raise InvalidToken(
            "malformed", "A sealed parameter is there in the clear as well."
        )
    return values
