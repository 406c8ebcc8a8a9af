"""The set-ups of gateway.json as configurations: route ``/api/*path`` to a backend."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory
from pyramid_retry import RetryableException

from pyramid_restproxy import ProxyView
from pyramid_restproxy.forwarding import transforms
from pyramid_restproxy.forwarding.cors import cors_headers, cors_preflight
from pyramid_restproxy.trust.api_keys import hash_key

#: The origin that the CORS vectors ask from.
ORIGIN = "https://a.example"

#: Keys of `setup` that are options of the backend, or of the route, by their name.
BACKEND_KEYS = {
    "connect_timeout",
    "host",
    "max_fails",
    "read_timeout",
    "retries",
    "retry_statuses",
    "total_timeout",
}
ROUTE_KEYS = {
    "cache",
    "identity_headers",
    "max_request_body",
    "rewrite_location",
    "sse_prelude",
    "strip_prefix",
}
#: Keys that the server or the environment of the test takes care of.
OUTSIDE = {"destination", "script_name", "peer", "env", "via"}
#: Keys that say what is so in any case: POST is sent again with Idempotency-Key only.
AS_ALWAYS = {"retry_methods", "auth"}


def make_app(urls: list[str], setup: dict[str, Any]):
    """Make the gateway of a vector.

    :raises ValueError: for a key of `setup` that is not known.
    """
    settings = {}
    if "trusted_proxies" in setup:
        settings["restproxy.trusted_proxies"] = " ".join(setup["trusted_proxies"])
    backend = {key: setup[key] for key in BACKEND_KEYS & set(setup)}
    route: dict[str, Any] = {key: setup[key] for key in ROUTE_KEYS & set(setup)}
    before, after, directives = [], [], []
    for key, value in setup.items():
        if key == "add_request_headers":
            before += [transforms.set_request_header(*pair) for pair in value.items()]
        elif key == "hide_response_headers":
            after.append(transforms.remove_response_headers(*value))
        elif key == "cookie_domain":
            after.append(transforms.cookie_attributes(domain=value))
        elif key == "cookie_path":
            after.append(transforms.cookie_attributes(path=value))
        elif key == "drop_cookies":
            before.append(transforms.drop_cookies(*value))
        elif key == "request_transform":
            before.append(lambda call: Response(status=418))
        elif key == "response_transform":
            after.append(raising)
        elif key == "methods":
            route["allowed_methods"] = tuple(value)
        elif key == "forwarded":
            route["forwarded"] = value == "rfc7239"
        elif key == "by":
            route["by"] = value
        elif key == "rate":
            route["rate_limit"] = value
        elif key == "allow_ips":
            route["allow_from"] = value
        elif key == "request_id":
            settings["restproxy.request_id"] = "X-Request-ID"
        elif key == "cors":
            before.append(cors_preflight([ORIGIN]))
            after.append(cors_headers([ORIGIN]))
        elif key == "fail_duration":
            backend["cool_down"] = value
        elif key == "backend_api_key":
            backend["headers"] = {"api-key": value}
        elif key == "api_keys":
            route["api_key"] = True
            directives += [("add_api_key", each, hash_key(each)) for each in value]
        elif key == "public":
            route["user_token"] = "dropped" if value else "required"
        elif key == "token_validator":
            route["user_token"] = "required"
        elif key == "hmac":
            route["signed"] = True
            directives.append(("add_signing_key", "k", value.encode()))
        elif key == "sign_outbound":
            directives.append(("sign_requests_to", "api", "k", value.encode()))
        elif key not in BACKEND_KEYS | ROUTE_KEYS | OUTSIDE | AS_ALWAYS | {
            "trusted_proxies",
            "before_forward",
            "pyramid",
        }:
            raise ValueError(f"set-up key {key!r} is not known")
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")
        config.add_backend("api", urls, **backend)
        if "user_token" in route:
            config.set_token_validator(nobody)
        for name, *arguments in directives:
            getattr(config, name)(*arguments)
        if "require_csrf" in setup.get("pyramid", ""):
            config.set_session_factory(SignedCookieSessionFactory("s"))
            config.set_default_csrf_options(require_csrf=True)
        elif "pyramid" in setup:
            config.include("pyramid_retry")
            config.add_tween("tests.vectors.gateway_app.retrying_tween_factory")
        if "before_forward" in setup:
            config.add_route("api", "/api/*path")
            config.add_view(view_that_reads(setup["before_forward"]), route_name="api")
        else:
            config.add_proxy_route(
                "api",
                "/api/*path",
                "api",
                request_transforms=before,
                response_transforms=after,
                **route,
            )
        return config.make_wsgi_app()


def retrying_tween_factory(handler, registry):
    """Raise, after the request was forwarded, what pyramid_retry tries again."""

    def retrying_tween(request):
        handler(request).app_iter.close()
        raise RetryableException

    return retrying_tween


def nobody(request, token):
    """Recognise no token."""
    return None


def raising(call, answer):
    raise RuntimeError("a transform that is broken")


def view_that_reads(what: str):
    """Make a view that looks at the body before it forwards."""
    attribute = what.removeprefix("request.")

    class Reads(ProxyView):
        backend = "api"

        def __call__(self):
            getattr(self.request, attribute)
            return super().__call__()

    return Reads
