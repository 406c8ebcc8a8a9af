"""Telling caches on which credentials the answer to a request depends.

Without it a cache on the way would give the answer to who may not have it (RFC 9111
section 4.1). How a Vary field is written is in ``negotiation``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.forwarding.fields import canonical_name
from pyramid_restproxy.negotiation import add_vary
from pyramid_restproxy.trust.exposed import view_option
from pyramid_restproxy.trust.registry import Trust, trust_of

__all__ = ["varying_view"]

#: Something counts that is in no field, such as the time (RFC 9110 section 12.5.5).
ANYTHING = "*"


def varying_view(view: Any, info: Any) -> Any:
    """Derive a view whose answers tell caches which credentials it asks for.

    Errors too: an answer to who has no key is not one for who has it.
    """
    trust = trust_of(info.registry)

    def option(name: str) -> Any:
        return view_option(info, name)

    @cache  # made with the first answer: the view may be added before the validator
    def names() -> tuple[str, ...]:
        return credentials(option, trust)

    if not credentials(option, trust):
        return view

    def tell(request: Request, response: Response) -> None:
        for name in names():
            add_vary(response.headerlist, name)

    def with_vary(context: Any, request: Request) -> Response:
        request.add_response_callback(tell)
        return view(context, request)

    return with_vary


def credentials(option: Callable[[str], Any], trust: Trust) -> tuple[str, ...]:
    """Name what of a request decides whether a view lets it in.

    :param option: returns an option of the view by its name.
    :returns: names of fields; :data:`ANYTHING` alone where a signature counts, which is
        good once, or who is logged in.
    """
    if option("signed") or option("sealed") == "user":
        return (ANYTHING,)
    found = []
    if option("api_key"):
        found.append(trust.key_header)
    if option("user_token") in ("required", "optional"):
        found.append(trust.token_field)
    return tuple(dict.fromkeys(map(canonical_name, found)))
