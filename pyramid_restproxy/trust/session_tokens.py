"""The backend's token of who is logged in: sent to it, and changed by its answers.

The browser has the cookie of ``login`` and never sees the token. On forwarded routes
these are transforms; what a view asks with ``request.backend(...)`` goes through
:func:`unwrap`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.request import Request

from pyramid_restproxy.forwarding.client import (
    EXPIRES,
    USER_TOKEN,
    Result,
    taken_apart,
)
from pyramid_restproxy.forwarding.model import Answer, ProxyCall
from pyramid_restproxy.forwarding.transforms import drop_cookies
from pyramid_restproxy.trust.identity import is_token, seconds_of
from pyramid_restproxy.trust.login import policy_of

__all__ = [
    "keep_session_token",
    "renew_session_token",
    "send_session_token",
    "session_token",
    "unwrap",
]


def session_token(request: Request) -> str | None:
    """Return the backend's token of who is logged in."""
    identity = policy_of(request.registry).identity(request)
    return None if identity is None else identity.token


def send_session_token(field: str = USER_TOKEN) -> Callable[[ProxyCall], None]:
    """Make a request transform that sends the token of who is logged in.

    What the client sent in that field goes away, and so does the login's cookie.

    :param field: the field in which the backend wants it.
    """

    def transform(call: ProxyCall) -> None:
        policy = policy_of(call.request.registry)
        drop_cookies(*policy.cookie_names)(call)
        call.headers.remove(field)
        token = session_token(call.request)
        if token is not None:
            call.headers.set(field, token)

    return transform


def keep_session_token(
    field: str = USER_TOKEN, expires: str = EXPIRES
) -> Callable[[ProxyCall, Answer], None]:
    """Make a response transform that keeps the new token of an answer.

    Its fields do not go on to the client.

    :param field: the field in which the backend sends it.
    :param expires: the field that says until when it is good, RFC 3339.
    """

    def transform(call: ProxyCall, answer: Answer) -> None:
        found = answer.headers.get(field), answer.headers.get(expires)
        answer.headers.remove(field)
        answer.headers.remove(expires)
        renew_session_token(call.request, *found)

    transform.takes = (field, expires)  # type: ignore[attr-defined]
    return transform


def unwrap(request: Request, result: Result) -> Any:
    """Return what an answer is about, and keep the token around it.

    :param result: an answer of the form ``{"user-token": ..., "expiration-date": ...,
        "response": ...}``, with ``error`` in the place of ``response`` where it is one.
    :returns: ``response``, or ``{"error": ...}``; the data as they are where they are
        of another form.
    :raises StoreUnavailable: where there is a new token, and the store is away.
    """
    data, token, expires = taken_apart(result)
    renew_session_token(request, token, expires)
    return data


def renew_session_token(request: Request, token: Any, expires: Any) -> None:
    """Put a new token in the place of that of who is logged in.

    :param token: as it came; what is none changes nothing.
    :param expires: as it came; None where that is no time.
    :raises StoreUnavailable: where the store is away.
    """
    if not is_token(token):
        return
    try:
        until = seconds_of(expires)
    except ValueError:
        until = None
    policy_of(request.registry).renew(request, token, until)
