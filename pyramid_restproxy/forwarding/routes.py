"""The directive for routes that lead to backends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyramid.config import Configurator, not_
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_restproxy.exceptions import MethodNotAllowed
from pyramid_restproxy.forwarding.backends import CHECK_ORDER, make_gateway
from pyramid_restproxy.forwarding.cache import MemoryStore, RedisStore, SharedCache
from pyramid_restproxy.forwarding.cors import Preflights, is_preflight
from pyramid_restproxy.forwarding.fields import canonical_name, one_or_several
from pyramid_restproxy.forwarding.forwarded import is_node
from pyramid_restproxy.forwarding.load import Gate
from pyramid_restproxy.forwarding.model import RoutePolicy
from pyramid_restproxy.forwarding.target import is_sendable, names_in, safe_target
from pyramid_restproxy.forwarding.transforms import SetPath
from pyramid_restproxy.forwarding.view import ForwardedRoute
from pyramid_restproxy.grammar import TOKEN
from pyramid_restproxy.routing.methods import MethodSet
from pyramid_restproxy.routing.predicates import split_options
from pyramid_restproxy.routing.refusals import allowed, options_response
from pyramid_restproxy.settings import settings_of

__all__ = ["add_proxy_route"]

#: One transform or several, each a callable or its dotted name.
Transforms = str | Callable[..., Any] | Iterable[str | Callable[..., Any]]

#: Predicates of who asks: on a route they would refuse preflights, which say nothing of
#: it (the Fetch standard's "CORS-preflight fetch").
_WHO = frozenset({"effective_principals", "is_authenticated"})

#: Methods that a forwarded route passes only where it names them: TRACE reflects
#: credentials (RFC 9110 section 9.3.8), CONNECT asks for a tunnel.
NEVER_BY_DEFAULT = ("TRACE", "CONNECT")


def add_proxy_route(
    config: Configurator,
    name: str,
    pattern: str,
    backend: str,
    *,
    allowed_methods: str | Sequence[str] | None = None,
    strip_prefix: bool = True,
    path: str | None = None,
    identity_headers: str | Iterable[str] = (),
    identity: Mapping[str, str | Callable[[Request], str | None]] | None = None,
    request_transforms: Transforms = (),
    response_transforms: Transforms = (),
    rewrite_location: bool = True,
    max_request_body: int | None = None,
    forwarded: bool = False,
    by: str = "",
    sse_prelude: bool = False,
    max_in_flight: int = 0,
    cache: bool = False,
    **options: Any,
) -> None:
    """Add a route whose requests are forwarded.

    :param name: the name of the route.
    :param pattern: the pattern; a ``*tail`` at its end is what reaches the backend.
    :param backend: the name of the backend; it may be added later.
    :param allowed_methods: methods that pass; all but TRACE and CONNECT where None.
    :param strip_prefix: False sends the whole path.
    :param path: a pattern for the path to send, filled from the matchdict, each value
        as one segment, a tail as several.
    :param identity_headers: names that clients must not send; they are taken out
        before transforms run.
    :param identity: fields that tell the backend who asks: ``{'X-User': 'user'}``, the
        authenticated user; ``'key'``, the name of the API key; ``'token'``, the user of
        the user token; or a callable of the request. Clients must not send them; they
        are set after all transforms.
    :param request_transforms: ``(call) -> None or Response``, or the dotted name of
        one, or several, in order.
    :param response_transforms: ``(call, answer) -> None``, likewise.
    :param rewrite_location: whether Location leads back through the gateway.
    :param max_request_body: bytes; more is 413.
    :param forwarded: whether to send ``Forwarded`` (RFC 7239) too.
    :param by: this gateway's name in ``Forwarded``, e.g. ``_gateway``: what RFC 7239
        section 6 calls a node.
    :param sse_prelude: whether event streams begin with a comment line, so that the
        head reaches the client although the first event is late.
    :param max_in_flight: requests at a time; one more is 503 at once. 0 for no limit.
    :param cache: whether answers that say that they may be (RFC 9111) are kept and
        used again for all clients.
    :param options: route predicates, the switches of the route (``extensions``,
        ``accept_negotiation``, ``method_override``) and ``factory`` go to the route,
        all else (``permission``, ``require_csrf``, ...) to its view.
    :raises ConfigurationError: where an argument is not what it must be, or, when the
        configuration is committed, where there is no such backend.

    Discriminator ``('restproxy proxy route', name)``; introspectable category
    ``restproxy proxy routes``, related to the route and the backend.
    """
    for label, value in (("name", name), ("pattern", pattern), ("backend", backend)):
        if not isinstance(value, str) or not value:
            raise ConfigurationError(
                f"add_proxy_route: {label}={value!r}: expected text"
            )
    _check_methods(name, allowed_methods)
    transforms = _callables(config, name, request_transforms)
    whole = f"{config.route_prefix or ''}/{pattern}"
    for each in [path, *(t.pattern for t in transforms if isinstance(t, SetPath))]:
        if each is not None:
            _check_path(name, each, whole)
    places = _limit(name, "max_in_flight", max_in_flight)
    policy = RoutePolicy(
        strip_prefix=_flag(name, "strip_prefix", strip_prefix),
        path=path,
        identity_headers=frozenset(
            map(
                canonical_name,
                (*one_or_several(identity_headers), *(identity or {})),
            )
        ),
        identity=_identity(name, identity or {}),
        request_transforms=transforms,
        response_transforms=_callables(config, name, response_transforms),
        rewrite_location=_flag(name, "rewrite_location", rewrite_location),
        max_request_body=_limit(name, "max_request_body", max_request_body),
        forwarded=_flag(name, "forwarded", forwarded),
        by=_node_name(name, by, forwarded),
        sse_prelude=_flag(name, "sse_prelude", sse_prelude),
        gate=Gate(places) if places else None,
    )
    view = ForwardedRoute(backend, policy)
    intr = config.introspectable(
        "restproxy proxy routes", name, f"{pattern} -> {backend}", "proxy route"
    )
    intr.update(
        {
            "name": name,
            "pattern": pattern,
            "backend": backend,
            "allowed_methods": allowed_methods,
            "strip_prefix": strip_prefix,
        }
    )
    intr.relate("routes", name)
    preflights = tuple(each for each in transforms if isinstance(each, Preflights))
    of_route, of_view = split_options(options)
    for option in _WHO.intersection(of_route if preflights else ()):
        of_view[option] = of_route.pop(option)
    config.add_route(name, pattern, **of_route)
    config.add_view(
        view,
        route_name=name,
        allowed_methods=(
            not_(NEVER_BY_DEFAULT) if allowed_methods is None else allowed_methods
        ),
        **of_view,
    )
    if preflights:
        _add_preflights(config, name, preflights[0], allowed_methods)
    cached = _flag(name, "cache", cache)

    def register() -> None:
        if cached:
            view.policy = replace(policy, cache=_make_cache(config, name, policy))

    config.action(("restproxy proxy route", name), register, introspectables=(intr,))
    config.action(
        ("restproxy proxy route backend", name),
        _check_backend,
        (config, name, backend),
        order=CHECK_ORDER,
    )


def _add_preflights(
    config: Configurator, route: str, preflights: Preflights, methods: Any
) -> None:
    """Add the view of preflights, which have no credentials: it asks for none.

    So it never forwards, whatever it is asked.

    :param methods: those of the route; where OPTIONS is not among them, an OPTIONS that
        is no preflight is answered here as it is for views that have none.
    """

    def preflight(context: Any, request: Request) -> Response:
        safe_target(request.environ)
        if is_preflight(request):
            return preflights.answer(request)
        automatic = settings_of(request.registry).automatic_options
        allow = allowed([MethodSet.of(methods), MethodSet.of("OPTIONS")], automatic)
        if automatic:
            return options_response(allow, ())
        raise MethodNotAllowed(allow)

    passes = methods is None or "OPTIONS" in MethodSet.of(methods)
    config.add_view(
        preflight,
        route_name=route,
        allowed_methods="OPTIONS",
        permission=NO_PERMISSION_REQUIRED,
        **({"header": "Access-Control-Request-Method"} if passes else {}),
    )


def _user(request: Request) -> str | None:
    user = request.authenticated_userid
    return None if user is None else str(user)


def _key_name(request: Request) -> str | None:
    key = getattr(request, "api_key", None)
    return None if key is None else key.name


def _token_user(request: Request) -> str | None:
    identity = getattr(request, "user_token_identity", None)
    return None if identity is None else identity.user_id


#: Where it is known from who asks, by the name that routes use.
KNOWN_BY: dict[str, Callable[[Request], str | None]] = {
    "user": _user,
    "key": _key_name,
    "token": _token_user,
}


def _identity(
    route: str, given: Mapping[str, Any]
) -> tuple[tuple[str, Callable[[Request], str | None]], ...]:
    found = []
    for name, by in given.items():
        known = KNOWN_BY.get(by) if isinstance(by, str) else by
        if not TOKEN.fullmatch(name) or not callable(known):
            raise ConfigurationError(
                f"route {route!r}: identity {name!r}: {by!r}: expected a header field "
                f"and one of {', '.join(KNOWN_BY)}, or a callable"
            )
        found.append((name.replace("_", "-"), known))
    return tuple(found)


def _make_cache(config: Configurator, route: str, policy: RoutePolicy) -> SharedCache:
    """Make the cache of a route, over the store that all routes share."""
    settings, gateway = settings_of(config.registry), make_gateway(config)
    if gateway.answers is None:
        gateway.answers = (
            RedisStore(settings.store, f"{settings.store_prefix}:cache:")
            if settings.store
            else MemoryStore(settings.cache_memory)
        )
    return SharedCache(
        gateway.answers,
        max_body=settings.cache_max_body,
        secret=gateway.secret,
        name=gateway.pseudonym,
        credentials=policy.identity_headers,
        # A backend that says "public" may not know that these say who asks.
        key_fields=policy.identity_headers,
        never_with=[
            name
            for transform in policy.response_transforms
            for name in getattr(transform, "takes", ())
        ],
        # What is asked may differ from route to route although the URLs are the same.
        scope=route if policy.request_transforms else "",
    )


def _check_path(route: str, path: str, pattern: str) -> None:
    """Check the pattern of the path to send: what fills it is in the route's.

    :raises ConfigurationError: naming what is not there.
    """
    if not isinstance(path, str) or not path.startswith("/"):
        raise ConfigurationError(
            f"route {route!r}: path={path!r}: expected a path that begins with '/'"
        )
    unknown = names_in(path) - names_in(pattern)
    if unknown:
        raise ConfigurationError(
            f"route {route!r}: path={path!r}: the pattern has no {min(unknown)!r}"
        )
    if not is_sendable(path):
        raise ConfigurationError(
            f"route {route!r}: path={path!r}: expected a path without a query, "
            "percent-encoded where it must be, and without dot segments"
        )


def _check_methods(route: str, methods: Any) -> None:
    """Refuse an empty list of methods, which could mean none, or all."""
    if methods is not None and not methods:
        raise ConfigurationError(
            f"route {route!r}: allowed_methods={methods!r}: expected methods; None for "
            "all but TRACE and CONNECT"
        )


def _limit(route: str, option: str, value: Any) -> int | None:
    """Check a whole number, zero or more, or None."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (is_number and value >= 0):
        raise ConfigurationError(
            f"route {route!r}: {option}={value!r}: expected a whole number, or None"
        )
    return value


def _node_name(route: str, value: Any, forwarded: bool) -> str:
    """Check the name of this gateway in Forwarded."""
    problem = ""
    if not isinstance(value, str) or not (value == "" or is_node(value)):
        problem = "expected e.g. '_gateway', or an address (RFC 7239 section 6)"
    elif value and not forwarded:
        problem = "it is sent with forwarded=True only"
    if problem:
        raise ConfigurationError(f"route {route!r}: by={value!r}: {problem}")
    return str(value)


def _flag(route: str, option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(
            f"route {route!r}: {option}={value!r}: expected True or False"
        )
    return value


def _callables(config: Configurator, route: str, given: Any) -> tuple[Any, ...]:
    if callable(given) or not isinstance(given, Iterable):
        given = (given,)
    return tuple(_callable(config, route, each) for each in one_or_several(given))


def _callable(config: Configurator, route: str, given: Any) -> Any:
    wrong = f"route {route!r}: {given!r} is not a transform"
    try:
        found = config.maybe_dotted(given)
    except (ValueError, ImportError, IndexError) as error:
        raise ConfigurationError(f"{wrong}: {error}") from error
    if not callable(found):
        raise ConfigurationError(wrong)
    return found


def _check_backend(config: Configurator, route: str, backend: str) -> None:
    known = make_gateway(config).backends
    if backend not in known:
        raise ConfigurationError(
            f"route {route!r} leads to backend {backend!r}, which is not there; "
            f"there are: {', '.join(sorted(known)) or 'none'}"
        )
    if config.introspection:  # only now are both sides known
        config.introspector.relate(
            ("restproxy proxy routes", route), ("restproxy backends", backend)
        )
