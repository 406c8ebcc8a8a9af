"""Sealed parameters on their way: in the calls of views, and in the views called.

One query parameter, ``sealed``, holds them all. A token is bound to the path of the
service: below the destination's URL for who calls, PATH_INFO for who is called.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.trust.refusals import InvalidToken
from pyramid_restproxy.trust.registry import trust_of
from pyramid_restproxy.trust.sealing import seal, unseal

__all__ = ["PARAMETER", "open_sealed", "sealed_params", "sealed_view"]

#: The name of the query parameter.
PARAMETER = "sealed"

#: How long a token can be opened, seconds.
LIFETIME = 300


def sealed_params(request: Request, path: str, params: Mapping[str, Any]) -> str:
    """Seal the parameters of a call.

    :param path: of the service, without query.
    :returns: the token.
    :raises LookupError: where no sealing key is good.
    """
    now = time.time()
    ring = trust_of(request.registry).sealing_ring()
    return seal(params, ring, path, int(now) + LIFETIME, now=now)


def sealed_view(view: Any, info: Any) -> Any:
    """Derive a view that opens sealed parameters, from ``sealed=True``.

    Sets ``request.sealed``; without valid ones the view does not run.
    """
    if not info.options.get("sealed"):
        return view

    def with_sealed(context: Any, request: Request) -> Response:
        request.sealed = open_sealed(request)
        return view(context, request)

    return with_sealed


sealed_view.options = ("sealed",)  # type: ignore[attr-defined]


def open_sealed(request: Request) -> dict[str, Any]:
    """Return the sealed parameters of a request.

    :raises InvalidToken: where there are none, several, or they cannot be opened.
    """
    tokens = request.GET.getall(PARAMETER)
    if len(tokens) != 1:
        raise InvalidToken("missing", "The sealed parameters are missing.")
    ring = trust_of(request.registry).sealing_ring()
    return unseal(tokens[0], ring, request.path_info, now=time.time())
