"""The application that the vectors of rest.json speak of.

``/posts`` GET, POST; ``/posts/{id}`` GET, PUT, PATCH, DELETE; HTML, JSON and XML in
this order. `Probe` notes what routing and the views saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
from pyramid.security import Denied
from pyramid.tweens import EXCVIEW

from pyramid_restproxy.settings import SETTINGS

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
WRITES = ("application/json", *FORMS)
PATCHES = ("application/merge-patch+json", "application/json", *FORMS)
IDS = {"1", "archive.tar.gz", "bob@example.com", "v1.2", "report.json"}


@dataclass
class Probe:
    """What was seen inside the application during one request."""

    effective_method: str = ""
    tween_bytes_read: int = 0
    matchdict: dict[str, Any] = field(default_factory=dict)
    view_called: bool = False
    view_body: bytes | None = None


class DenyAll:
    """A security policy that knows nobody and lets nobody through."""

    def identity(self, request):
        return None

    def authenticated_userid(self, request):
        return None

    def permits(self, request, context, permission):
        return Denied("nobody is let through")

    def remember(self, request, userid, **kw):
        return []

    def forget(self, request, **kw):
        return []


def probe_tween_factory(handler, registry):
    """Look at the request between the override tween and the exception views."""

    def probe_tween(request):
        probe = request.environ["probe"]
        probe.effective_method = request.method
        probe.tween_bytes_read = request.environ["counting.input"].count
        try:
            return handler(request)
        finally:
            probe.matchdict = dict(getattr(request, "matchdict", None) or {})

    return probe_tween


def seen(request):
    """Note that a view runs, and that the body is whole for it."""
    probe = request.environ["probe"]
    probe.view_called = True
    probe.view_body = request.body


def post_factory(request):
    """Find the post that the route speaks of, before anything else is decided."""
    if request.matchdict["id"] not in IDS:
        raise HTTPNotFound("There is no such post.")
    return object()


def existing(request):
    seen(request)
    return {"post": {"id": request.matchdict["id"], "title": "One"}}


def index(request):
    seen(request)
    return {"posts": [{"id": "1", "title": "One"}]}


def create(request):
    seen(request)
    request.response.status_int = 201
    request.response.location = "/posts/2"
    return {"post": {"id": "2"}}


def show(request):
    result = existing(request)
    request.response.etag = f"v1-{request.rest.representation.name}"
    request.response.conditional_response = True
    return result


def delete(request):
    existing(request)
    return Response(status=204)


def vary(request):
    seen(request)
    request.response.vary = ["Cookie"]
    return {"posts": []}


def own_options(request):
    seen(request)
    return Response(headerlist=[("X-Own", "yes"), ("Content-Length", "0")])


def boom(request):
    raise RuntimeError("secret detail")


#: Variants that are something else than one setting.
OTHER = ("require_csrf", "permission_required")

#: Settings by shorter names.
SETTING = {"on_invalid": "override.on_invalid", "format": "format_parameter"}

#: What is a setting, and whether it is by the word alone.
SETTING_NAMES = {row.name: row.default is False for row in SETTINGS}


def settings_of(variant: str | None) -> dict[str, str]:
    """Read a variant: nothing, ``name=value``, or the name of what is off else.

    :raises ValueError: for one that is not known.
    """
    if variant is None or variant in OTHER:
        return {}
    given, is_pair, value = variant.partition("=")
    name = SETTING.get(given, given)
    if name in SETTING_NAMES and (is_pair or SETTING_NAMES[name]):
        return {f"restproxy.{name}": value if is_pair else "true"}
    raise ValueError(f"unknown variant {variant!r}")


def make_app(variant: str | None = None):
    """Make the application, with one setting changed where a vector names it."""
    settings = settings_of(variant)
    with Configurator(settings=settings) as config:
        if variant == "require_csrf":
            config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
            config.set_default_csrf_options(require_csrf=True)
        if variant == "permission_required":
            config.set_security_policy(DenyAll())
            config.set_default_permission("act")
        config.include("pyramid_jinja2")
        config.include("pyramid_restproxy")
        config.add_tween(
            "tests.vectors.rest_app.probe_tween_factory",
            over=EXCVIEW,
            under="pyramid_restproxy.routing.tweens.override_tween_factory",
        )
        add_routes(config)
        return config.make_wsgi_app()


def add_routes(config: Configurator) -> None:
    def view(callable_, route, methods, **options):
        config.add_view(callable_, route_name=route, allowed_methods=methods, **options)

    page = {"renderer": "negotiated", "template": "tests:vectors/page.jinja2"}
    config.add_route("posts", "/posts")
    view(index, "posts", "GET", **page)
    view(create, "posts", "POST", request_content_types=WRITES, **page)
    config.add_route("post", "/posts/{id}", factory=post_factory)
    view(show, "post", "GET", **page)
    view(existing, "post", "PUT", request_content_types=WRITES, **page)
    view(existing, "post", "PATCH", request_content_types=PATCHES, **page)
    view(delete, "post", "DELETE")
    config.add_route("file", "/files/{id}", extensions=False, factory=post_factory)
    view(existing, "file", "GET", **page)
    config.add_route("html-only", "/html-only")
    view(index, "html-only", "GET", representations=("html",), **page)
    config.add_route("html-only-item", "/html-only/{id}", factory=post_factory)
    view(existing, "html-only-item", "GET", representations=("html",), **page)
    config.add_route("posts-vary", "/posts-vary")
    view(vary, "posts-vary", "GET", **page)
    config.add_route("write-only", "/write-only")
    view(create, "write-only", "POST", **page)
    config.add_route("custom-options", "/custom-options")
    view(index, "custom-options", "GET", **page)
    view(own_options, "custom-options", "OPTIONS")
    config.add_route("boom", "/boom")
    view(boom, "boom", "GET", **page)
