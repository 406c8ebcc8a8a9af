"""User tokens: who is the user, by a token that the client sends in a field.

The view option ``user_token``: ``'required'`` (401 without one, 403 with a bad one),
``'optional'``, ``'refused'`` (400 with one), ``'dropped'`` (as if there were none). Who
can tell is a validator: the application's, or one of ``validators`` and ``jwt``. Where
it cannot be asked nobody passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.forwarding.backends import make_gateway
from pyramid_restproxy.forwarding.client import USER_TOKEN
from pyramid_restproxy.forwarding.fields import canonical_name
from pyramid_restproxy.forwarding.model import ProxyCall
from pyramid_restproxy.grammar import TOKEN, environ_key
from pyramid_restproxy.settings import settings_of
from pyramid_restproxy.trust.exposed import view_option
from pyramid_restproxy.trust.identity import Identity, is_token
from pyramid_restproxy.trust.refusals import (
    Forbidden,
    InvalidToken,
    Refused,
    Unauthenticated,
)
from pyramid_restproxy.trust.registry import (
    Trust,
    make_trust,
    told,
    trust_of,
)
from pyramid_restproxy.trust.store import Store, store_of
from pyramid_restproxy.trust.validators import (
    CACHE_TTL,
    REFUSED_TTL,
    CachedValidator,
    IdentityUnavailable,
    TokenValidator,
)

__all__ = [
    "renew_user_token",
    "revoke_user_token",
    "send_user_token",
    "set_token_validator",
    "user_token",
    "user_token_view",
]

#: The challenge of WWW-Authenticate; not a registered scheme, there is none for it.
CHALLENGE = "UserToken"

#: Of the environ: the tokens that others took the place of while it was answered.
_REPLACED = "pyramid_restproxy.user_tokens_replaced"

#: Of the environ: whether the token of a request was taken back while it was answered.
_REVOKED = "pyramid_restproxy.user_token_revoked"

_WAYS = ("required", "optional", "refused", "dropped")


def set_token_validator(
    config: Configurator,
    validator: str | TokenValidator,
    *,
    store: Store | None = None,
    field: str = USER_TOKEN,
    cache_ttl: float = CACHE_TTL,
    refused_ttl: float = REFUSED_TTL,
) -> None:
    """Say who recognises user tokens, for the view option ``user_token``.

    The field goes to no backend, unless the route has :func:`send_user_token`.

    :param validator: a dotted name or a callable.
    :param store: where answers are kept, and which tokens were taken back; the
        application's store where it is None.
    :param field: the field that carries a token.
    :param cache_ttl: seconds that an answer is used again, at most; 0 for to ask each
        time.
    :param refused_ttl: the same for a refusal.
    :raises ConfigurationError: where an argument is not what it must be.

    Discriminator ``('restproxy', 'token validator')``; introspectable category
    ``restproxy trust``.
    """
    check_validator(config, validator, field)
    config.action(
        ("restproxy", "token validator"),
        install_validator,
        (config, validator),
        {
            "store": store,
            "field": field,
            "cache_ttl": cache_ttl,
            "refused_ttl": refused_ttl,
        },
        introspectables=(told(config, "token validator", field),),
    )


def check_validator(config: Configurator, validator: Any, field: Any) -> None:
    """Refuse what is no validator, or no name of a field.

    :raises ConfigurationError: for these.
    """
    if not callable(config.maybe_dotted(validator)):
        raise ConfigurationError(f"set_token_validator: {validator!r} is not callable")
    if not isinstance(field, str) or not TOKEN.fullmatch(field):
        raise ConfigurationError(f"set_token_validator: {field!r} is not a field name")
    if field.lower() == "cookie":  # a browser sends it by itself, whoever's page asks
        raise ConfigurationError("set_token_validator: a cookie is no user token")


def install_validator(
    config: Configurator,
    validator: str | TokenValidator,
    *,
    store: Store | None = None,
    field: str = USER_TOKEN,
    cache_ttl: float = CACHE_TTL,
    refused_ttl: float = REFUSED_TTL,
) -> None:
    """Put a validator into the registry; see :func:`set_token_validator`."""
    check_validator(config, validator, field)
    if store is None:
        store = store_of(config.registry)
    found = config.maybe_dotted(validator)
    cached = CachedValidator(found, store, ttl=cache_ttl, refused_ttl=refused_ttl)
    trust = make_trust(config)
    trust.validator, trust.token_field = cached, field
    gateway = make_gateway(config)
    gateway.without |= {canonical_name(field)}


def user_token_view(view: Any, info: Any) -> Any:
    """Derive a view that knows the user, from ``user_token``.

    Sets ``request.user_token_identity``, None where there is no token.

    :raises ConfigurationError: where the option is not what it must be.
    """
    way = view_option(info, "user_token")
    if way is None:
        return view
    if way not in _WAYS:
        raise ConfigurationError(
            f"user_token={way!r}: expected one of {', '.join(_WAYS)}"
        )

    trust = trust_of(info.registry)
    if way == "required":
        trust.need_users.append(_name_of(info))

    def with_user(context: Any, request: Request) -> Response:
        request.user_token_identity = admit(request, way, trust)
        return view(context, request)

    return with_user


user_token_view.options = ("user_token",)  # type: ignore[attr-defined]


def _name_of(info: Any) -> str:
    route = info.options.get("route_name")
    name = getattr(info.original_view, "__qualname__", "without a name")
    return f"route {route!r}" if route else f"view {name}"


def admit(request: Request, way: str, trust: Trust) -> Identity | None:
    """Say who the user of a request is, as a view wants it.

    :param way: the value of the view option ``user_token``.
    :param trust: says how tokens are read.
    :raises Unauthenticated, InvalidToken: where there must be a token and is none; the
        second where errors are envelopes.
    :raises InvalidToken: where there is one and must not be.
    :raises Forbidden: where it is not good.
    :raises IdentityUnavailable, StoreUnavailable: where that cannot be said.
    """
    field = trust.token_field
    presented: str | None = request.environ.get(environ_key(field))
    if way == "dropped":
        request.environ.pop(environ_key(field), None)
        return None
    if not presented:
        if way == "required":
            raise _missing(request)
        return None
    if way == "refused":
        raise InvalidToken("malformed", "This resource does not take a user token.")
    if trust.validator is None:
        raise IdentityUnavailable()
    identity = trust.validator(request, presented) if is_token(presented) else None
    if identity is None:
        raise Forbidden("unknown-key", "The user token is not valid.")
    if identity.token is not None:
        _hand_out(request, field, identity.token)
    return identity


def _presented(request: Request, field: str) -> str | None:
    value: str | None = request.environ.get(environ_key(field))
    return value


def _missing(request: Request) -> Refused:
    detail = "This resource needs a user token."
    if settings_of(request.registry).errors == "envelope":
        return InvalidToken("missing", detail)
    return Unauthenticated("missing", detail, CHALLENGE)


def _hand_out(request: Request, field: str, token: str) -> None:
    """Send the new token with the answer, whatever that will be.

    Not after a logout: it would be as if nobody had logged out.
    """

    def add(request: Request, response: Response) -> None:
        if _REVOKED in request.environ:
            return
        response.headers[field] = token
        response.headers["Cache-Control"] = "no-store"

    request.add_response_callback(add)


def send_user_token(field: str = USER_TOKEN) -> Callable[[ProxyCall], None]:
    """Make a request transform that passes the token on to the backend.

    Only a token that was found good for this request is sent, the new one where there
    is one: the old one may not be good any more. What the client sent in that field
    goes away.

    :param field: the field in which the backend wants it.
    """

    def transform(call: ProxyCall) -> None:
        call.headers.remove(field)
        token = user_token(call.request)
        if token is not None:
            call.headers.set(field, token)

    return transform


def user_token(request: Request) -> str | None:
    """Return the token with which the user of a request was recognised.

    :returns: the new one where there is one; None where nobody was recognised.
    """
    identity: Identity | None = getattr(request, "user_token_identity", None)
    if identity is None:
        return None
    return identity.token or _presented(request, trust_of(request.registry).token_field)


def renew_user_token(request: Request, token: str) -> None:
    """Give the client a new token, in the place of that with which it was let in."""
    known: Identity = request.user_token_identity
    request.environ.setdefault(_REPLACED, []).append(known.token)
    request.user_token_identity = replace(known, token=token)
    _hand_out(request, trust_of(request.registry).token_field, token)


def revoke_user_token(request: Request) -> None:
    """Refuse the token of this request from now on, in all processes.

    For a view that logs out: a token that was taken back at the backend is good here
    until nobody has it in a cache, and a JSON Web Token until it ends, unless this is
    called. It is refused until its ``expires``; where it has none, for 30 days. So are
    the new tokens that took its place, and the client does not get them.

    :raises IdentityUnavailable: where nobody can say whose it is.
    :raises StoreUnavailable: where that cannot be said to the other processes.
    """
    trust = trust_of(request.registry)
    validator = trust.validator
    if validator is None:
        raise LookupError("there is no validator of user tokens")
    presented = _presented(request, trust.token_field)
    if not presented or not is_token(presented):
        return
    identity = getattr(request, "user_token_identity", None)
    if identity is None:  # no view option has asked
        identity = validator(request, presented)
    if identity is None:  # strangers could fill the store
        return
    replaced = request.environ.get(_REPLACED, ())
    for token in filter(None, (presented, *replaced, identity.token)):
        validator.revoke(token, identity.expires)
    request.environ[_REVOKED] = True
