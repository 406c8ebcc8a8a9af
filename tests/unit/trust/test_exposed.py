"""A view as a service, said in one line."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory
from pyramid.viewderivers import INGRESS

from pyramid_restproxy.forwarding.view import ProxyView
from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.exposed import (
    expose_service,
    exposed_view,
    needs_csrf,
    require_signature,
    view_option,
)
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import RequestProfile
from pyramid_restproxy.trust.signing import sign


def info_of(view, **options):
    return SimpleNamespace(original_view=view, options=options)


def options_of(decorator):
    info = info_of(decorator(lambda request: Response("ok")))
    names = ("exposed_methods", "api_key", "user_token")
    return tuple(view_option(info, name) for name in names)


def test_what_the_decorator_says():
    assert options_of(expose_service(["GET"])) == (("GET", "HEAD"), True, "required")
    assert options_of(expose_service("post", public=True)) == (
        ("POST",),
        True,
        "dropped",
    )
    strict = expose_service("POST", public=True, strict=True)
    assert options_of(strict)[2] == "refused"


def test_the_view_stays_what_it_is():
    def view(request):
        return Response("ok")

    assert expose_service("GET")(view) is view


class Called:
    def __init__(self, request):
        self.request = request

    @require_signature()
    def __call__(self):
        return Response("in")


class CallableObject:
    @expose_service("GET", public=True)
    def __call__(self, request):
        return Response("in")


class Forwarding(ProxyView):
    backend = "b"

    @require_signature()
    def __call__(self):
        return super().__call__()


@pytest.mark.parametrize("view", [Called, CallableObject(), Forwarding])
def test_a_method_that_views_have_by_default(view):
    """Its decorators were not seen, and the view was open."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", "http://127.0.0.1:9")
        config.add_route("r", "/r")
        config.add_view(view, route_name="r")
        app = webtest.TestApp(config.make_wsgi_app())
    app.get("/r", status=401)


@require_signature()
def added(a: int) -> int:
    return a


class OneMethod:
    @expose_service("POST", public=True)
    def wipe(self) -> str:
        return "wiped"


@require_signature()
class WholeClass:
    def wipe(self) -> str:
        return "wiped"


@pytest.mark.parametrize(
    "service, path", [(added, "/s"), (OneMethod, "/s/wipe"), (WholeClass, "/s/wipe")]
)
def test_what_a_service_calls(service, path):
    """Its decorators were not seen, and the service was open."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_service("s", "/s", service)
        app = webtest.TestApp(config.make_wsgi_app())
    app.post_json(path, {}, status=401)


def test_what_is_registered_comes_first():
    @expose_service("GET")
    def view(request): ...

    assert view_option(info_of(view, user_token="optional"), "user_token") == "optional"
    assert view_option(info_of(view, api_key=("read",)), "api_key") == ("read",)
    assert view_option(info_of(view), "permission") is None
    assert view_option(info_of(lambda request: None), "user_token") is None


def test_methods_of_view_classes():
    class Views:
        @expose_service("GET")
        def show(self): ...

        def other(self): ...

    assert view_option(info_of(Views, attr="show"), "user_token") == "required"
    assert view_option(info_of(Views, attr="other"), "user_token") is None
    assert view_option(info_of(Views, attr="none"), "user_token") is None


def test_require_signature_notes_the_profile():
    def view(request): ...

    assert require_signature()(view) is view
    assert view_option(info_of(view), "signed") is True
    assert view_option(info_of(require_signature("body")(view)), "signed") == "body"
    assert view_option(info_of(view, signed=False), "signed") is False


def test_decorators_do_not_undo_each_other():
    for order in (1, -1):

        def view(request): ...

        for decorate in (expose_service("GET"), require_signature())[::order]:
            decorate(view)
        assert view_option(info_of(view), "api_key") is True
        assert view_option(info_of(view), "signed") is True


def test_what_is_said_of_a_class_counts_for_its_methods():
    @require_signature()
    class Views:
        @require_signature("body")
        def hook(self): ...

        def other(self): ...

    assert view_option(info_of(Views, attr="hook"), "signed") == "body"
    assert view_option(info_of(Views, attr="other"), "signed") is True
    assert view_option(info_of(Views), "signed") is True


@pytest.mark.parametrize("profile", [None, False, "", 7, print])
def test_what_is_no_profile(profile):
    with pytest.raises(ConfigurationError, match="require_signature"):
        require_signature(profile)


@pytest.mark.parametrize("methods", [[], "", "GET POST", [1], None])
def test_what_is_no_method(methods):
    with pytest.raises(ConfigurationError, match="expose_service"):
        expose_service(methods)


def app(view, csrf=False, settings=None, **options):
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy.problems")
        config.add_view_deriver(
            exposed_view, "exposed", under=INGRESS, over="secured_view"
        )
        if csrf:
            config.set_session_factory(SignedCookieSessionFactory("s3cret"))
            config.set_default_csrf_options(require_csrf=True, callback=needs_csrf)
        config.add_view(view, **options)
        return webtest.TestApp(config.make_wsgi_app())


def test_other_methods():
    client = app(expose_service(["GET", "PUT"])(lambda request: Response("ok")))
    assert client.get("/").text == "ok"
    client.head("/")
    client.put("/")
    refused = client.post("/", status=405)
    assert refused.headers["Allow"] == "GET, HEAD, PUT, OPTIONS"


def test_options_of_a_service_are_answered_before_its_key_is_asked_for():
    client = app(expose_service("GET")(lambda request: Response("ok")))
    answer = client.options("/")
    assert (answer.headers["Allow"], answer.body) == ("GET, HEAD, OPTIONS", b"")
    own = app(expose_service(["GET", "OPTIONS"])(lambda request: Response("own")))
    assert own.options("/").text == "own"


def test_options_of_a_service_where_they_are_not_automatic():
    settings = {"restproxy.automatic_options": "false"}
    view = expose_service("GET")(lambda request: Response("ok"))
    refused = app(view, settings=settings).options("/", status=405)
    assert refused.headers["Allow"] == "GET, HEAD"


def test_views_that_are_no_services():
    assert app(lambda request: Response("ok")).delete("/").text == "ok"


KEY, HASHED = new_key("mobile")
SECRET = b"s" * 32


@pytest.fixture(scope="module")
def guarded():
    """An application whose views are checked for CSRF, unless they say otherwise."""
    views = {
        "service": {"view": expose_service("POST", public=True)(view())},
        "private": {"view": expose_service("POST")(view())},
        "decorated": {"view": require_signature()(view())},
        "key": {"api_key": True},
        "scope": {"api_key": "read"},
        "signed": {"signed": True},
        "token": {"user_token": "required"},
        "plain": {},
        "no-key": {"api_key": False, "signed": False},
        "optional": {"user_token": "optional"},
        "dropped": {"user_token": "dropped"},
        "address": {"allow_from": "127.0.0.1"},
        "explicit": {"api_key": True, "require_csrf": True},
        "explicit-service": {
            "view": expose_service("POST", public=True)(view()),
            "require_csrf": True,
        },
        "open": {"require_csrf": False},
    }
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.set_session_factory(SignedCookieSessionFactory("s3cret"))
        config.set_default_csrf_options(require_csrf=True)
        config.set_token_validator(lambda request, token: USERS.get(token))
        config.add_api_key("mobile", HASHED, scopes=["read"])
        config.add_signing_key("k", SECRET)
        for name, options in views.items():
            config.add_route(name, f"/{name}")
            config.add_view(**({"view": view()} | options), route_name=name)
        return config.make_wsgi_app()


USERS = {"t0ken": Identity("ann")}
CREDENTIALS = {"api-key": KEY, "user-token": "t0ken"}


def view():
    """Make one of its own: decorators note on it what they say."""
    return lambda request: Response("ok")


def post(client, name, fields, status):
    request = Request.blank(f"/{name}", method="POST", headers=fields)
    request.remote_addr = "127.0.0.1"
    found = request.get_response(client)
    assert found.status_int == status, found.text
    return found


def signature_of(name):
    parts = RequestParts("POST", "http", "localhost:80", f"/{name}", "", [])
    return dict(
        sign(RequestProfile(), parts, [], KeyRing([Key("k", SECRET)]), time.time())
    )


@pytest.mark.parametrize("name", ["service", "private", "key", "scope", "token"])
def test_a_view_that_demands_what_no_browser_sends_needs_no_csrf_token(guarded, name):
    """With require_csrf=True they were 400 for clients that have no session."""
    assert post(guarded, name, CREDENTIALS, 200).text == "ok"


@pytest.mark.parametrize("name", ["signed", "decorated"])
def test_a_signed_request_needs_no_csrf_token(guarded, name):
    assert post(guarded, name, signature_of(name), 200).text == "ok"


@pytest.mark.parametrize(
    "name", ["service", "private", "key", "scope", "token", "signed", "decorated"]
)
def test_the_credential_is_demanded_where_no_csrf_token_is(guarded, name):
    post(guarded, name, {}, 401)


@pytest.mark.parametrize(
    "name",
    ["plain", "no-key", "optional", "dropped", "address", "explicit"]
    + ["explicit-service"],
)
def test_other_views_need_a_csrf_token_whatever_is_sent(guarded, name):
    assert "CSRF" in post(guarded, name, CREDENTIALS, 400).text


def test_what_a_view_says_of_csrf_stands(guarded):
    assert post(guarded, "open", {}, 200).text == "ok"


@pytest.mark.parametrize("name", ["api_key", "signed", "user_token_identity"])
def test_no_csrf_token_where_no_browser_sends_the_credential(name):
    def admitted(view, info):
        def with_credential(context, request):
            setattr(request, name, request.headers.get("Credential"))
            return view(context, request)

        return with_credential

    with Configurator() as config:
        config.include("pyramid_restproxy.problems")
        config.add_view_deriver(
            admitted, "admitted", under=INGRESS, over="secured_view"
        )
        config.set_session_factory(SignedCookieSessionFactory("s3cret"))
        config.set_default_csrf_options(require_csrf=True, callback=needs_csrf)
        config.add_view(lambda request: Response("ok"))
        client = webtest.TestApp(config.make_wsgi_app())
    client.post("/", status=400)
    assert client.post("/", headers={"Credential": "good"}).text == "ok"
