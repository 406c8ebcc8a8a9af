"""The set-ups of gateway.json as configurations.

:data:`SETUP` has a reader for each key, which makes of its value what the key says;
options of backends and routes, and settings, are also known by their own names. A key,
or a value, that none of them understands is an error: a set-up that is left out would
be a vector that tests nothing.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pyramid import httpexceptions
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory
from pyramid_retry import RetryableException

from pyramid_restproxy.forwarding import transforms
from pyramid_restproxy.forwarding.cors import cors_headers, cors_preflight
from pyramid_restproxy.forwarding.fields import one_or_several
from pyramid_restproxy.forwarding.routes import add_proxy_route
from pyramid_restproxy.settings import BACKEND_OPTIONS, SETTINGS
from pyramid_restproxy.trust.api_keys import hash_key
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.validators import IdentityUnavailable

#: What holds where a vector says nothing else, as gateway.json has it.
DEFAULT = {
    "route": "/api/*path, prefix stripped",
    "destination": "http://$BACKEND",
    "methods": "all but TRACE and CONNECT",
    "trusted_proxies": [],
    "host": "destination",
    "x_forwarded": "replace",
    "forwarded": "off",
    "via": "pyramid_restproxy",
    "retries": 0,
    "cache": False,
    "rewrite_location": True,
    "auth": "none",
}

#: Keys that the server or the environment of the test takes care of.
OUTSIDE = {"destination", "script_name", "peer", "env"}


@dataclass
class Plan:
    """What a set-up comes to."""

    pattern: str = "/api/*path"
    settings: dict[str, str] = field(default_factory=dict)
    backend: dict[str, Any] = field(default_factory=dict)
    route: dict[str, Any] = field(default_factory=dict)
    before: list[Any] = field(default_factory=list)
    after: list[Any] = field(default_factory=list)
    #: names of directives and their arguments
    directives: list[tuple[Any, ...]] = field(default_factory=list)
    #: of user tokens
    validator: Callable[..., Identity | None] | None = None
    #: functions of the configuration, each included once
    includes: list[Callable[[Configurator], None]] = field(default_factory=list)


def plan_of(setup: dict[str, Any]) -> Plan:
    """Read a set-up.

    :raises ValueError: for a key or a value that is not understood.
    """
    plan = Plan()
    for key, value in setup.items():
        if key in OUTSIDE:
            continue
        if key in SETUP:
            if SETUP[key](plan, value) is False:
                raise ValueError(f"set-up {key!r}: {value!r} is not known")
        elif key in BACKEND_NAMES:
            plan.backend[key] = value
        elif key in ROUTE_NAMES:
            plan.route[key] = value
        elif key in SETTING_NAMES:
            plan.settings[f"restproxy.{key}"] = as_setting(value)
        else:
            raise ValueError(f"set-up key {key!r} is not known")
    return plan


def make_app(urls: list[str], setup: dict[str, Any]):
    """Make the gateway of a vector.

    :raises ValueError: for a key or a value of `setup` that is not understood.
    :raises ConfigurationError: for a value that the package does not take.
    """
    plan = plan_of({**DEFAULT, **setup})
    with Configurator(settings=plan.settings) as config:
        config.include("pyramid_restproxy")
        config.add_backend("api", urls, **plan.backend)
        for include in plan.includes:
            config.include(include)
        if plan.validator is not None:
            config.set_token_validator(plan.validator)
        for name, *arguments in plan.directives:
            getattr(config, name)(*arguments)
        config.add_proxy_route(
            "api",
            plan.pattern,
            "api",
            request_transforms=plan.before,
            response_transforms=plan.after,
            **plan.route,
        )
        return config.make_wsgi_app()


# -- the route and the backend -----------------------------------------------------


def route(plan, value):
    """Read ``/api/*path`` or ``/api/*path, prefix stripped``."""
    plan.pattern, _, told = value.partition(", ")
    known = {"": True, "prefix stripped": True, "prefix kept": False}
    if told not in known:
        return False
    plan.route.setdefault("strip_prefix", known[told])
    return None


def methods(plan, value):
    if value in (None, "all but TRACE and CONNECT"):
        return None
    if not (isinstance(value, list) or (isinstance(value, str) and value.isupper())):
        return False
    plan.route["allowed_methods"] = one_or_several(value)
    return None


def prefix(plan, value):
    """Put something in the place of what is cut off."""
    plan.route["path"] = value.rstrip("/") + "/*path"


def retry_methods(plan, value):
    """Check that it is what is so in any case (RFC 9110 section 9.2.2)."""
    always = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"}
    with_key = {f"{each} with Idempotency-Key" for each in ("POST", "PATCH")}
    return set(one_or_several(value)) <= always | with_key


def cache(plan, value):
    plan.route["cache"] = value


# -- what is told of the client ----------------------------------------------------


def trusted_proxies(plan, value):
    if value:
        plan.settings["restproxy.trusted_proxies"] = " ".join(one_or_several(value))


def x_forwarded(plan, value):
    """Read whether the claims of the client are replaced; or kept, as if trusted."""
    if value == "append":
        plan.settings.setdefault("restproxy.trusted_proxies", "0.0.0.0/0 ::/0")
    return value in ("append", "replace")


def forwarded(plan, value):
    known = {"rfc7239": True, True: True, "off": False, False: False}
    if value not in known:
        return False
    plan.route["forwarded"] = known[value]
    return None


def via(plan, value):
    plan.settings["restproxy.pseudonym"] = value


def request_id(plan, value):
    name = {True: "X-Request-ID", False: ""}.get(value, value)
    plan.settings["restproxy.request_id"] = name


# -- transforms --------------------------------------------------------------------


def add_request_headers(plan, value):
    plan.before += [transforms.set_request_header(*pair) for pair in value.items()]


_RETURNS = re.compile(
    r"""returns Response\(status=(\d+)(?:, body=b(['"])([^'"\\]*)\2)?\)"""
)


def request_transform(plan, value):
    found = _RETURNS.fullmatch(value)
    if found:
        status, body = int(found[1]), (found[3] or "").encode("utf-8")
        plan.before.append(lambda call: Response(status=status, body=body))
        return None
    return transform(plan.before, value, lambda call: call.headers)


def response_transform(plan, value):
    return transform(plan.after, value, lambda call, answer: answer.headers)


def transform(listed, text, headers_of):
    """Read ``raises``, ``raises HTTPConflict()``, ``sets X: y`` or ``removes X``."""
    raised = re.fullmatch(r"raises(?: (HTTP\w+)(?:\(\))?)?", text)
    if raised:
        error = getattr(httpexceptions, raised[1]) if raised[1] else RuntimeError

        def raising(*arguments):
            raise error("a transform that is broken")

        listed.append(raising)
        return None
    fields = re.fullmatch(r"(?:sets ([\w-]+): (.*)|removes ([\w-]+))", text)
    if not fields:
        return False

    def changing(*arguments):
        headers = headers_of(*arguments)
        if fields[3]:
            headers.remove(fields[3])
        else:
            headers.set(fields[1], fields[2])

    listed.append(changing)
    return None


def hide_response_headers(plan, value):
    plan.after.append(transforms.remove_response_headers(*one_or_several(value)))


def cookie_domain(plan, value):
    plan.after.append(transforms.cookie_attributes(domain=value))


def cookie_path(plan, value):
    plan.after.append(transforms.cookie_attributes(path=value))


def drop_cookies(plan, value):
    plan.before.append(transforms.drop_cookies(*one_or_several(value)))


def cors(plan, value):
    """Read ``gateway`` (which lets everybody), an origin or several, or ``backend``."""
    if value == "backend":
        return
    origins = ["*"] if value == "gateway" else value
    plan.before.append(cors_preflight(origins))
    plan.after.append(cors_headers(origins))


# -- who may pass ------------------------------------------------------------------


def api_keys(plan, value):
    plan.route["api_key"] = True
    for each in one_or_several(value):
        plan.directives.append(("add_api_key", each, hash_key(each)))


def backend_api_key(plan, value):
    plan.backend["headers"] = {"api-key": value}


def public(plan, value):
    if value not in (True, False):
        return False
    plan.route["user_token"] = "dropped" if value else "required"
    plan.validator = plan.validator or nobody
    return None


def token_validator(plan, value):
    """Read what a validator says: of all tokens, or of each."""
    validator = validator_saying(value)
    if validator is None:
        return False
    plan.route.setdefault("user_token", "required")
    plan.validator = validator
    return None


def validator_saying(value):
    """Make a validator of a word, the status of a service, or the users by token."""
    if isinstance(value, dict):
        return lambda request, token: identity_of(value.get(token))
    if isinstance(value, list):
        return lambda request, token: identity_of(token if token in value else None)
    if value in ("accepts", "allows", 200):
        return lambda request, token: Identity("u1")
    if value in ("denies", "refuses", "rejects", 401, 403, 404):
        return nobody
    if value in ("raises", "fails", "is down", "times out", 500, 502, 503, 504):
        return unavailable
    return None


def identity_of(user):
    return None if user is None else Identity(user)


def nobody(request, token):
    """Recognise no token."""
    return None


def unavailable(request, token):
    raise IdentityUnavailable()


def hmac(plan, value):
    plan.route["signed"] = True
    plan.directives.append(("add_signing_key", "k", value.encode()))


def sign_outbound(plan, value):
    plan.directives.append(("sign_requests_to", "api", "k", value.encode()))


def auth(plan, value):
    if value == "session":
        plan.includes.append(with_session)
    return value in ("none", "session")


def with_session(config):
    config.set_session_factory(SignedCookieSessionFactory("s"))


# -- Pyramid -----------------------------------------------------------------------


def pyramid(plan, value):
    if value == "set_default_csrf_options(require_csrf=True)":
        plan.includes.append(with_csrf)
        return None
    if value == "include pyramid_retry; a later tween raises RetryableException":
        plan.includes.append(with_retries)
        return None
    return False


def with_csrf(config):
    config.include(with_session)
    config.set_default_csrf_options(require_csrf=True)


def with_retries(config):
    config.include("pyramid_retry")
    config.add_tween("tests.vectors.gateway_app.retrying_tween_factory")


def retrying_tween_factory(handler, registry):
    """Raise, after the request was forwarded, what pyramid_retry tries again."""

    def retrying_tween(request):
        handler(request).app_iter.close()
        raise RetryableException

    return retrying_tween


_LOOKS = re.compile(r"request\.(?:([^\W\d]\w*)|body_file\.read\((\d*)\))")


def before_forward(plan, value):
    """Look at something of the request, or read of its body, before it is forwarded."""
    found = _LOOKS.fullmatch(value)
    if not found:
        return False

    def reading(view):
        def reads(context, request):
            if found[1]:
                getattr(request, found[1])
            else:
                request.body_file.read(int(found[2] or -1))
            return view(context, request)

        return reads

    plan.route["decorator"] = reading
    return None


# -- by their own names --------------------------------------------------------------


def to(part: str, name: str):
    """Make the reader of a key that is an option under another name."""

    def read(plan, value):
        getattr(plan, part)[name] = value

    return read


#: What is made of the value of each key; a reader that returns False does not know it.
SETUP: dict[str, Callable[[Plan, Any], bool | None]] = {
    each.__name__: each
    for each in (
        route, methods, prefix, retry_methods, cache, trusted_proxies, x_forwarded,
        forwarded, via, request_id, add_request_headers, request_transform,
        response_transform, hide_response_headers, cookie_domain, cookie_path,
        drop_cookies, cors, api_keys, backend_api_key, public, token_validator, hmac,
        sign_outbound, auth, pyramid, before_forward,
    )
}  # fmt: skip
SETUP |= {
    "allow_ips": to("route", "allow_from"),
    "rate": to("route", "rate_limit"),
    "fail_duration": to("backend", "cool_down"),
    "max_in_flight": to("route", "max_in_flight"),
}

BACKEND_NAMES = {row.name for row in BACKEND_OPTIONS}
ROUTE_NAMES = {
    name
    for name, each in inspect.signature(add_proxy_route).parameters.items()
    if each.kind is each.KEYWORD_ONLY and "transforms" not in name
} | {"allow_from", "api_key", "signed", "user_token", "rate_limit", "require_csrf"}
SETTING_NAMES = {row.name for row in SETTINGS}


def as_setting(value):
    """Write a value as a line of a settings file has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value) if isinstance(value, list) else str(value)
