"""The token by which a backend knows the user of a request, whichever way that came.

A client presents its own (see ``tokens``); that of who is logged in is in the store
(see ``session_tokens``). For the functions of ported code in ``forwarding.client``.
"""

from __future__ import annotations

from pyramid.interfaces import ISecurityPolicy
from pyramid.request import Request

from pyramid_restproxy.forwarding.client import USER_TOKEN, Result, taken_apart
from pyramid_restproxy.trust.identity import is_token
from pyramid_restproxy.trust.login import BackendLoginPolicy
from pyramid_restproxy.trust.registry import trust_of
from pyramid_restproxy.trust.session_tokens import renew_session_token, session_token
from pyramid_restproxy.trust.tokens import renew_user_token, user_token

__all__ = ["CallerTokens"]


class CallerTokens:
    """Finds and renews it; a :class:`~pyramid_restproxy.interfaces.ICallerTokens`."""

    def recognises(self, request: Request) -> bool:
        """Say whether it is known here whose a token is, or only at the backends."""
        return trust_of(request.registry).validator is not None

    def fields(
        self, request: Request, backend: str, presented: bool = False
    ) -> dict[str, str]:
        """Return the field that carries the user's token; none where there is none.

        :param backend: the name of the backend that gets it. That of who is logged in
            is only for the one where that was.
        :param presented: whether only one that the client sent itself is meant.
        :raises StoreUnavailable: where it cannot be said who is logged in.
        """
        token = user_token(request)
        if token is None and not presented and _logs_in_at(request, backend):
            token = session_token(request)
        return {} if token is None else {USER_TOKEN: token}

    def keep(self, request: Request, backend: str, result: Result) -> None:
        """Put the token around an answer in the place of the old one.

        :param backend: the name of the backend that answered.
        :raises StoreUnavailable: where somebody is logged in, and the store is away.
        """
        _, token, expires = taken_apart(result)
        if user_token(request) is not None:
            if is_token(token):
                renew_user_token(request, token)
        elif _logs_in_at(request, backend):
            renew_session_token(request, token, expires)


def _logs_in_at(request: Request, backend: str) -> bool:
    policy = request.registry.queryUtility(ISecurityPolicy)
    return isinstance(policy, BackendLoginPolicy) and policy.backend == backend
