"""A view as a service, said in one line."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory
from pyramid.viewderivers import INGRESS

from pyramid_restproxy.trust.exposed import (
    expose_service,
    exposed_view,
    needs_csrf,
    require_signature,
    view_option,
)


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
