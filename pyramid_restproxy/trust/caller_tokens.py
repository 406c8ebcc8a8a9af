"""The token by which a backend knows the user of a request, whichever way that came.

A client presents its own (see ``tokens``); that of who is logged in is in the store
(see ``session_tokens``). For the functions of ported code in ``forwarding.client``.
"""

from __future__ import annotations

from pyramid.interfaces import ISecurityPolicy
from pyramid.request import Request

from pyramid_restproxy.forwarding.client import Result
from pyramid_restproxy.trust.identity import is_token
from pyramid_restproxy.trust.login import BackendLoginPolicy
from pyramid_restproxy.trust.session_tokens import (
    FIELD,
    session_token,
    taken_apart,
    unwrap,
)
from pyramid_restproxy.trust.tokens import renew_user_token, user_token

__all__ = ["CallerTokens"]


class CallerTokens:
    """Finds and renews it; a :class:`~pyramid_restproxy.interfaces.ICallerTokens`."""

    def fields(self, request: Request, presented: bool = False) -> dict[str, str]:
        """Return the field that carries the user's token; none where there is none.

        :param presented: whether only one that the client sent itself is meant.
        :raises StoreUnavailable: where it cannot be said who is logged in.
        """
        token = user_token(request)
        if token is None and not presented and _has_logins(request):
            token = session_token(request)
        return {} if token is None else {FIELD: token}

    def keep(self, request: Request, result: Result) -> None:
        """Put the token around an answer in the place of the old one.

        :raises StoreUnavailable: where somebody is logged in, and the store is away.
        """
        _, token, _ = taken_apart(result)
        if user_token(request) is not None:
            if is_token(token):
                renew_user_token(request, token)
        elif _has_logins(request):
            unwrap(request, result)


def _has_logins(request: Request) -> bool:
    policy = request.registry.queryUtility(ISecurityPolicy)
    return isinstance(policy, BackendLoginPolicy)
