"""What is explained is what happens."""

from __future__ import annotations

from abc import ABC

import pytest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.routing.explain import decide
from tests.vectors import matching
from tests.vectors.rest_app import make_app

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

CASES = [
    ("GET", "/posts/1", {}, ""),
    ("GET", "/posts/1.json", {"Accept": "text/html"}, ""),
    ("GET", "/posts/1", {"Accept": "application/xml"}, ""),
    ("GET", "/posts/1", {"Accept": "image/png"}, ""),
    ("GET", "/posts/999", {}, ""),
    ("GET", "/nope", {}, ""),
    ("PUT", "/posts", {}, ""),
    ("OPTIONS", "/posts", {}, ""),
    ("POST", "/posts", {"Content-Type": "text/csv"}, "a,b"),
    ("POST", "/posts/1", FORM, "_method=DELETE"),
    ("POST", "/posts/1", FORM, "_method=FOO"),
    ("DELETE", "/posts/1", {}, ""),
]


@pytest.fixture(scope="module")
def app():
    return make_app()


@pytest.mark.parametrize("method, path, headers, body", CASES)
def test_explaining_agrees_with_answering(app, method, path, headers, body):
    spec = {"method": method, "path": path, "headers": headers, "body": body or None}
    response, probe = matching.send(app, spec)
    request = Request.blank(path, method=method, headers=headers)
    if body:
        request.body = body.encode()
        request.content_type = headers["Content-Type"]
    request.registry = app.registry
    decision = decide(request)
    assert decision.effective_method == probe.effective_method
    assert bool(decision.refusal) == (response.status_int >= 400 or method == "OPTIONS")
    if response.status_int == 200 and method != "OPTIONS":
        assert response.content_type == decision.chosen


@pytest.mark.parametrize(
    "method, path, headers, refusal",
    [
        ("GET", "/nope", {}, "no route"),
        ("GET", "/posts/999", {}, "404 Not Found by the factory of the route"),
        ("PUT", "/posts", {}, "method not allowed"),
        ("GET", "/posts", {"Accept": "image/png"}, "not acceptable"),
        (
            "OPTIONS",
            "/posts",
            {},
            "none: OPTIONS is answered, Allow: GET, HEAD, POST, OPTIONS",
        ),
    ],
)
def test_reasons(app, method, path, headers, refusal):
    request = Request.blank(path, method=method, headers=headers)
    request.registry = app.registry
    assert decide(request).refusal == refusal


def test_a_rejected_override():
    request = Request.blank("/posts/1", POST={"_method": "GET"})
    request.registry = make_app("on_invalid=reject").registry
    assert decide(request).refusal == "override rejected: target"


def test_an_override_that_is_switched_off():
    request = Request.blank("/posts/1", POST={"_method": "PUT"})
    request.registry = make_app("override.enabled=false").registry
    assert decide(request).effective_method == "POST"


def explained(configure, *arguments, settings=None, **options):
    """Return what is decided for a request, and what is answered to it."""
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        configure(config)
        app = config.make_wsgi_app()

    def made():
        request = Request.blank(*arguments, **options)
        request.registry = app.registry
        return request

    return decide(made()), made().get_response(app)


def data(request):
    return {"data": 1}


GET = {"route_name": "y", "allowed_methods": "GET", "renderer": "negotiated"}


def test_views_are_tried_by_the_weight_of_their_predicates():
    def configure(config):
        config.add_route("y", "/y")
        config.add_view(
            lambda r: Response("page"), route_name="y", request_method="GET"
        )  # noqa: E501
        config.add_view(data, request_param="q", representations=("json",), **GET)

    headers = {"Accept": "text/html"}
    decision, response = explained(configure, "/y?q=1", headers=headers)
    assert (decision.refusal, response.status_int) == ("not acceptable", 406)
    decision, response = explained(configure, "/y", headers=headers)
    assert (decision.refusal, response.text) == (None, "page")


class Thing:
    pass


class Abstract(ABC):  # noqa: B024
    """What others are only for isinstance()."""


@Abstract.register
class Registered:
    pass


def test_views_are_tried_by_their_context_first():
    def configure(config):
        config.add_route("y", "/y", factory=lambda request: Thing())
        config.add_view(data, request_param="q", representations=("json",), **GET)
        config.add_view(data, context=object, representations=("csv",), **GET)
        config.add_view(data, context=Thing, representations=("xml",), **GET)

    decision, response = explained(configure, "/y?q=1")
    assert decision.chosen == response.content_type == "application/xml"


def test_a_context_for_isinstance_only_comes_last():
    def configure(config):
        config.add_route("y", "/y", factory=lambda request: Registered())
        config.add_view(data, context=Abstract, representations=("csv",), **GET)
        config.add_view(data, representations=("json",), **GET)

    decision, response = explained(configure, "/y")
    assert decision.chosen == response.content_type == "application/json"


def test_a_method_that_is_not_overridden_on_its_route():
    def configure(config):
        config.add_route("y", "/y", method_override=False)
        config.add_view(data, **{**GET, "allowed_methods": "POST"})

    decision, response = explained(configure, "/y", POST={"_method": "DELETE"})
    assert response.status_int == 200
    assert (decision.effective_method, decision.method_source) == ("POST", "request")


def test_a_path_that_is_not_utf_8():
    def configure(config):
        config.add_route("y", "/y/{id}")
        config.add_view(data, **GET)

    decision, response = explained(configure, "/y/%FF")
    assert response.status_int == 400
    assert decision.refusal == "400 Bad Request: The path of the URL is not UTF-8."
    assert decision.route is None


def test_a_query_that_is_not_utf_8():
    def configure(config):
        config.add_route("y", "/y")
        config.add_view(data, **GET)

    settings = {"restproxy.format_parameter": "format"}
    decision, response = explained(configure, "/y?format=%FF", settings=settings)
    assert response.status_int == 400
    assert decision.refusal == "400 Bad Request: The query of the URL is not UTF-8."
    assert decision.route == "y"


def test_a_mistake_of_the_application_is_not_the_clients():
    def factory(request):
        return b"\xff".decode("utf-8")

    def configure(config):
        config.add_route("y", "/y", factory=factory)
        config.add_view(data, **GET)

    with pytest.raises(UnicodeDecodeError):
        explained(configure, "/y")


def use_global_views(config):
    config.add_route("y", "/y", use_global_views=True)
    config.add_view(data, request_method="PUT", renderer="json")
    config.add_view(lambda r: Response("all"), request_method="GET", request_param="q")
    config.add_view(lambda r: Response("own"), route_name="y", request_method="GET")


@pytest.mark.parametrize(
    "method, status, refusal",
    [
        ("GET", 200, None),
        ("PUT", 200, None),
        ("DELETE", 405, "method not allowed"),
        (
            "OPTIONS",
            200,
            "none: OPTIONS is answered, Allow: GET, HEAD, PUT, OPTIONS",
        ),
    ],
)
def test_views_of_all_routes_are_explained_where_the_route_has_them(
    method, status, refusal
):
    """A view that answered was no view for ``prest explain``."""
    decision, response = explained(use_global_views, "/y", method=method)
    assert (response.status_int, decision.refusal) == (status, refusal)


def test_views_of_the_route_are_tried_before_those_of_all_routes():
    def configure(config):
        config.add_route("y", "/y", use_global_views=True)
        config.add_view(lambda r: Response("own"), route_name="y")
        config.add_view(
            data, request_param="q", renderer="negotiated", representations=("json",)
        )

    headers = {"Accept": "image/png"}
    decision, response = explained(configure, "/y?q=1", headers=headers)
    assert (response.text, decision.refusal) == ("own", None)
