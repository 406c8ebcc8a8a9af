"""From a route match to a call: targets and `ProxyView`, over a real backend."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden
from pyramid.response import Response

from pyramid_restproxy import ProxyView
from pyramid_restproxy.testing import Answer, FakeBackend


@pytest.fixture
def backend():
    with FakeBackend(Answer(200, [("X-Internal", "1")], b"ok")) as started:
        yield started


def app(backend, configure):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("users", backend.url + "/base")
        configure(config)
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


@pytest.mark.parametrize(
    "pattern, options, path, target",
    [
        ("/api/*path", {}, "/api/a/b?x=1", "/base/a/b?x=1"),
        ("/api/*path", {}, "/api/", "/base/"),
        ("/api/*path", {"strip_prefix": False}, "/api/a", "/base/api/a"),
        ("/exact", {}, "/exact?x", "/base/exact?x"),
        ("/u/{id}/*path", {}, "/u/7/a", "/base/a"),
        ("/u/{id}/x", {"path": "/v2/{id}"}, "/u/7/x", "/base/v2/7"),
        ("/u/*rest", {"path": "/v2/*rest"}, "/u/a//c/", "/base/v2/a//c/"),
        ("/u/{id}/*rest", {"path": "/{id}/*rest"}, "/u/7/a/", "/base/7/a/"),
        ("/s/{rest:.*}", {}, "/s/a/b", "/base/s/a/b"),
        ("/*path", {}, "/", "/base/"),
    ],
)
def test_what_is_sent(backend, pattern, options, path, target):
    testapp = app(
        backend, lambda c: c.add_proxy_route("r", pattern, "users", **options)
    )
    assert testapp.get(path).body == b"ok"
    assert backend.requests[0].target == target


def test_predicates_factory_and_permission_go_where_they_belong(backend):
    def configure(config):
        config.add_proxy_route(
            "r",
            "/api/*path",
            "users",
            header="X-Wanted",
            factory=lambda request: "a context",
            permission="use",
            request_transforms=[
                lambda call: call.headers.set("X-Ctx", call.request.context)
            ],
        )

    testapp = app(backend, configure)
    assert testapp.get("/api/x", status=404)
    assert testapp.get("/api/x", headers={"X-Wanted": "1"}).body == b"ok"
    assert backend.requests[0].header("X-Ctx") == "a context"


def test_methods_of_a_forwarded_route(backend):
    testapp = app(
        backend,
        lambda c: c.add_proxy_route("r", "/api/*path", "users", allowed_methods="GET"),
    )
    refused = testapp.post("/api/x", status=405)
    assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert testapp.options("/api/x").headers["Allow"] == "GET, HEAD, OPTIONS"
    assert backend.requests == []


def test_all_methods_but_trace_and_connect_pass(backend):
    testapp = app(backend, lambda c: c.add_proxy_route("r", "/api/*path", "users"))
    for method in ("PROPFIND", "MKCOL", "OPTIONS", "PATCH"):
        testapp.request("/api/x", method=method)
    testapp.request("/api/x", method="TRACE", status=501)
    assert [r.method for r in backend.requests] == [
        "PROPFIND",
        "MKCOL",
        "OPTIONS",
        "PATCH",
    ]


def test_an_overridden_method_is_what_is_sent_and_only_once(backend):
    testapp = app(backend, lambda c: c.add_proxy_route("r", "/api/*path", "users"))
    testapp.post(
        "/api/x", {"_method": "PUT", "a": "1"}, {"X-HTTP-Method-Override": "PUT"}
    )
    seen = backend.requests[0]
    assert (seen.method, seen.body) == ("PUT", b"_method=PUT&a=1")
    assert seen.header("X-HTTP-Method-Override") is None


class Users(ProxyView):
    backend = "users"
    identity_headers = ("X-Team",)

    def prepare_request(self, call):
        if "stop" in call.query:
            return Response(status=418)
        call.headers.set("X-Team", "blue")

    def process_response(self, call, response):
        response.headers.remove("X-Internal")
        response.headers.set("X-Method", call.method)


def users(config):
    config.add_route("r", "/api/*path")
    config.add_view(Users, route_name="r")


def test_hooks_of_a_proxy_view(backend):
    testapp = app(backend, users)
    response = testapp.get("/api/x", headers={"X-Team": "forged"})
    assert backend.requests[0].header("X-Team") == "blue"
    assert "X-Internal" not in response.headers
    assert response.headers["X-Method"] == "GET"


def test_a_hook_may_answer_itself(backend):
    assert app(backend, users).get("/api/x?stop", status=418)
    assert backend.requests == []


@pytest.mark.parametrize(
    "error, status", [(RuntimeError("secret"), 502), (HTTPForbidden("no"), 403)]
)
def test_a_hook_that_raises_frees_the_connection(backend, error, status):
    class Broken(ProxyView):
        backend = "users"

        def process_response(self, call, response):
            raise error

    def configure(config):
        config.add_route("r", "/api/*path")
        config.add_view(Broken, route_name="r")
        config.add_proxy_route("ok", "/ok/*path", "users")

    testapp = app(backend, configure)
    assert "secret" not in testapp.get("/api/x", status=status).text
    assert testapp.get("/ok/x").body == b"ok"


def test_a_view_whose_backend_is_not_there(backend):
    class Lost(ProxyView):
        backend = "nope"

    def configure(config):
        config.add_settings({"restproxy.unexpected_errors": "raise"})
        config.add_route("r", "/api/*path")
        config.add_view(Lost, route_name="r")

    with pytest.raises(LookupError, match="'nope'; there are: users"):
        app(backend, configure).get("/api/x")


def test_a_malformed_path_is_refused_before_the_permission_is_asked(backend):
    """It was 403: who may pass was decided for a path that nobody sends."""

    class Own(ProxyView):
        backend = "users"

    class Denying:
        def permits(self, request, context, permission):
            return False

    def configure(config):
        config.set_security_policy(Denying())
        config.add_proxy_route("r", "/api/*path", "users", permission="use")
        config.add_route("own", "/own/*path")
        config.add_view(Own, route_name="own", permission="use")
        config.add_route("plain", "/plain/*path")
        config.add_view(
            lambda request: request.forward("users"),
            route_name="plain",
            permission="use",
        )

    testapp = app(backend, configure)
    for route, status in (("api", 400), ("own", 400), ("plain", 403)):
        testapp.get(f"/{route}/a", status=403)
        testapp.get(f"/{route}/..%2Fa", status=status)
    testapp.get("/nowhere/..%2Fa", status=404)
    assert backend.requests == []


def test_what_a_view_makes_of_the_path_is_what_is_checked_and_sent(backend):
    class Own(ProxyView):
        backend = "users"

        def __call__(self):
            self.request.path_info = self.request.params["to"]
            return super().__call__()

    def configure(config):
        config.add_route("own", "/own/*path")
        config.add_view(Own, route_name="own")

    testapp = app(backend, configure)
    assert testapp.get("/own/a?to=/own/b").body == b"ok"
    testapp.get("/own/a?to=/own/../b", status=400)
    (seen,) = backend.requests
    assert seen.target == "/base/b?to=/own/b"
