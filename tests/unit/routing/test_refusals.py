"""405, 415 and OPTIONS, told from 404."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator, not_
from pyramid.httpexceptions import HTTPMethodNotAllowed, HTTPNotFound
from pyramid.response import Response
from zope.interface import Interface

from pyramid_restproxy.routing.predicates import allowed_methods


def ok(request):
    return Response("ok")


def app(configure, settings=None):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        configure(config)
        return webtest.TestApp(config.make_wsgi_app())


def route(*views, pattern="/r", **options):
    def configure(config):
        config.add_route("r", pattern, **options)
        for view in views:
            config.add_view(**{"view": ok, "route_name": "r", **view})

    return configure


def test_allow_lists_all_views_in_order():
    testapp = app(route({"allowed_methods": "DELETE"}, {"allowed_methods": "GET"}))
    refused = testapp.post("/r", status=405)
    assert refused.headers["Allow"] == "GET, HEAD, DELETE, OPTIONS"
    assert refused.json["allow"] == ["GET", "HEAD", "DELETE", "OPTIONS"]


def test_pyramids_own_method_predicate_is_understood():
    testapp = app(route({"request_method": "GET"}))
    assert testapp.put("/r", status=405).headers["Allow"] == "GET, HEAD, OPTIONS"


def test_routes_restricted_by_method_themselves():
    def configure(config):
        for name, method in (("a", "GET"), ("b", "POST")):
            config.add_route(name, "/r", request_method=method)
            config.add_view(ok, route_name=name)

    testapp = app(configure)
    assert testapp.post("/r").text == "ok"
    assert (
        testapp.delete("/r", status=405).headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    )
    assert testapp.options("/r").headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    assert testapp.delete("/other", status=404)


def test_a_route_that_fails_for_another_reason_is_404():
    testapp = app(route({}, request_method="GET", header="X-Wanted"))
    assert testapp.delete("/r", status=404)
    headers = {"X-Wanted": "1"}
    assert testapp.delete("/r", headers=headers, status=405)


def test_the_error_of_a_restricted_route_follows_the_extension():
    def configure(config):
        config.add_route("r", "/r", request_method="GET")
        config.add_view(
            lambda request: {},
            route_name="r",
            renderer="negotiated",
            allowed_methods="GET",
        )

    refused = app(configure).delete("/r.xml", status=405)
    assert refused.content_type == "application/problem+xml"


def test_a_right_method_and_another_wrong_predicate_is_404():
    testapp = app(route({"allowed_methods": "GET", "request_param": "x"}))
    assert testapp.get("/r", status=404)
    assert testapp.post("/r", status=405)
    assert testapp.get("/r?x").text == "ok"


def test_views_for_other_extensions_do_not_count():
    testapp = app(
        route(
            {"allowed_methods": "GET", "extension": ".rss"},
            {"allowed_methods": ("GET", "POST"), "extension": ""},
        )
    )
    assert testapp.post("/r.rss", status=405).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert testapp.put("/r", status=405).headers["Allow"] == "GET, HEAD, POST, OPTIONS"


def test_views_for_other_contexts_do_not_count():
    class IThing(Interface):
        pass

    testapp = app(
        route({"allowed_methods": "GET"}, {"allowed_methods": "PUT", "context": IThing})
    )
    assert testapp.put("/r", status=405).headers["Allow"] == "GET, HEAD, OPTIONS"


def test_options_of_the_applications_own_wins():
    testapp = app(route({"allowed_methods": "GET"}, {"allowed_methods": "OPTIONS"}))
    assert testapp.options("/r").text == "ok"


def test_options_tells_what_bodies_are_taken():
    testapp = app(
        route(
            {"allowed_methods": "POST", "request_content_types": ("a/b", "c/d")},
            {"allowed_methods": "PATCH", "request_content_types": "e/f"},
        )
    )
    answer = testapp.options("/r")
    assert answer.headers["Accept-Post"] == "a/b, c/d"
    assert answer.headers["Accept-Patch"] == "e/f"
    assert answer.headers["Content-Length"] == "0"


def test_automatic_options_can_be_switched_off():
    testapp = app(
        route({"allowed_methods": "GET"}), {"restproxy.automatic_options": "no"}
    )
    assert testapp.options("/r", status=405).headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "method, field", [("POST", "Accept"), ("PATCH", "Accept-Patch")]
)
def test_415_tells_what_is_taken(method, field):
    testapp = app(
        route(
            {"allowed_methods": method, "request_content_types": "a/b"},
            {"allowed_methods": method, "request_content_types": "c/d"},
        )
    )
    refused = testapp.request(
        "/r", method=method, body=b"x", headers={"Content-Type": "text/csv"}, status=415
    )
    assert refused.headers[field] == "a/b, c/d"
    assert refused.json["accept"] == ["a/b", "c/d"]


def test_another_failing_predicate_makes_it_404_not_415():
    testapp = app(
        route(
            {
                "allowed_methods": "POST",
                "request_content_types": "a/b",
                "request_param": "x",
            }
        )
    )
    assert testapp.post("/r", b"x", {"Content-Type": "text/csv"}, status=404)
    assert testapp.post("/r?x", b"x", {"Content-Type": "text/csv"}, status=415)


def test_405_comes_before_415_and_406_and_403():
    testapp = app(
        route(
            {
                "view": lambda request: {},
                "allowed_methods": "POST",
                "request_content_types": "a/b",
                "renderer": "negotiated",
                "permission": "p",
            }
        )
    )
    headers = {"Content-Type": "text/csv", "Accept": "image/png"}
    assert testapp.put("/r", b"x", headers, status=405)
    assert testapp.post("/r", b"x", headers, status=415)
    assert testapp.post("/r", b"x", {**headers, "Content-Type": "a/b"}, status=406)


def test_exception_views_of_the_application_come_first():
    def configure(config):
        route({"allowed_methods": "GET"})(config)
        config.add_exception_view(
            lambda error, request: Response(f"own {request.method}", status=405),
            context=HTTPMethodNotAllowed,
        )
        config.add_notfound_view(lambda request: Response("lost", status=404))

    testapp = app(configure)
    assert testapp.put("/r", status=405).text == "own PUT"
    assert testapp.get("/nope", status=404).text == "lost"


def test_append_slash_still_works():
    def configure(config):
        route({"allowed_methods": "GET"}, pattern="/r/")(config)
        config.add_notfound_view(lambda request: HTTPNotFound(), append_slash=True)

    assert app(configure).get("/r", status=307).location.endswith("/r/")


def test_the_reason_is_in_the_decision():
    seen = []

    def configure(config):
        route({"allowed_methods": "GET"})(config)
        config.add_exception_view(
            lambda error, request: seen.append(request.rest.decision) or error,
            context=HTTPMethodNotAllowed,
        )

    app(configure).put("/r", status=405)
    assert (seen[0].refusal, seen[0].route) == ("method not allowed", "r")


def restricted(*routes):
    """Configure routes on /m: pairs of the route's methods and its view's."""

    def configure(config):
        for number, (own, methods) in enumerate(routes):
            name = f"m{number}"
            config.add_route(name, "/m", **({"request_method": own} if own else {}))
            config.add_view(ok, route_name=name, allowed_methods=methods)

    return configure


@pytest.mark.parametrize(
    "routes, allow",
    [
        ([("GET", "GET"), (None, "POST")], "GET, HEAD, POST, OPTIONS"),
        # what an earlier route takes, a later one never sees
        ([(None, "POST"), ("GET", "GET")], "POST, OPTIONS"),
        ([(("GET", "PUT"), "GET"), (None, ("POST", "PUT"))], "GET, HEAD, POST, OPTIONS"),  # noqa: E501
        # what the route does not take, its view never sees
        ([("GET", ("GET", "POST")), ("PATCH", "PATCH")], "GET, HEAD, PATCH, OPTIONS"),
        # also where the one that matched is restricted itself
        ([(("POST", "DELETE"), "POST"), ("GET", "GET")], "GET, HEAD, POST, OPTIONS"),
    ],
)  # fmt: skip
def test_allow_is_that_of_all_routes_of_a_path(routes, allow):
    testapp = app(restricted(*routes))
    assert testapp.delete("/m", status=405).headers["Allow"] == allow
    assert testapp.options("/m").headers["Allow"] == allow
    for method in allow.split(", "):
        assert testapp.request("/m", method=method, status=200)


def test_a_method_that_only_the_route_takes_is_404():
    assert app(restricted(("POST", "GET"))).post("/m", status=404)


def test_a_restricted_route_and_traversal_share_a_path():
    def configure(config):
        restricted(("GET", "GET"))(config)
        config.add_view(ok, name="m", allowed_methods=("GET", "POST"))

    testapp = app(configure)
    refused = testapp.delete("/m", status=405)
    assert refused.headers["Allow"] == "GET, HEAD, POST, OPTIONS"


def test_a_restricted_route_whose_views_are_found_by_traversal():
    def configure(config):
        config.add_route("m", "/m", request_method="PUT", use_global_views=True)
        config.add_view(ok)

    testapp = app(configure)
    assert testapp.put("/m").text == "ok"
    assert testapp.delete("/m", status=405).headers["Allow"] == "PUT, OPTIONS"


def test_another_route_leaves_the_extension_of_the_matched_one():
    seen = []

    def configure(config):
        config.add_route("a", "/{id}", request_method="GET")
        config.add_view(
            lambda request: {},
            route_name="a",
            renderer="negotiated",
            allowed_methods="GET",
        )
        config.add_route("b", "/{id}")
        config.add_view(ok, route_name="b", allowed_methods="POST")
        config.add_exception_view(
            lambda error, request: seen.append(request.path_extension) or error,
            context=HTTPMethodNotAllowed,
        )

    refused = app(configure).delete("/1.xml", status=405)
    assert refused.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    assert seen == [None]


def test_a_restricted_route_for_an_extension_is_seen():
    def configure(config):
        config.add_route("feed", "/feed", request_method="GET", extension=".rss")
        config.add_view(ok, route_name="feed")

    testapp = app(configure)
    assert testapp.delete("/feed.rss", status=405).headers["Allow"] == (
        "GET, HEAD, OPTIONS"
    )
    assert testapp.delete("/feed", status=404)


@pytest.mark.filterwarnings('ignore:The "custom_predicates":DeprecationWarning')
def test_the_matched_route_counts_where_a_shorter_path_would_not_match():
    def configure(config):
        config.add_route("file", "/f/{id:[^/]+}", custom_predicates=(dotted,))
        config.add_view(
            lambda request: {},
            route_name="file",
            renderer="negotiated",
            allowed_methods="GET",
        )

    def dotted(info, request):
        return "." in info["match"]["id"]

    refused = app(configure).delete("/f/a.json", status=405)
    assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_415_where_only_the_types_that_are_not_taken_are_named():
    testapp = app(
        route({"allowed_methods": "POST", "request_content_types": not_("text/csv")})
    )
    assert testapp.post("/r", b"{}", {"Content-Type": "a/b"}).text == "ok"
    refused = testapp.post("/r", b"x", {"Content-Type": "text/csv"}, status=415)
    assert "Accept" not in refused.headers
    assert testapp.post("/r", status=404)
    assert "Accept-Post" not in testapp.options("/r").headers


@pytest.mark.filterwarnings('ignore:The "custom_predicates":DeprecationWarning')
def test_a_route_restricted_by_the_callable_for_old_code():
    def configure(config):
        config.add_route("r", "/r", custom_predicates=(allowed_methods("GET"),))
        config.add_view(ok, route_name="r")

    refused = app(configure).delete("/r", status=405)
    assert refused.headers["Allow"] == "GET, HEAD, OPTIONS"


def global_views(config):
    """A view of a route and views of all routes, for one context."""
    found = {"factory": lambda request: Thing(), "use_global_views": True}
    config.add_route("g", "/g", **found)
    config.add_route("own", "/own", factory=found["factory"])
    config.add_view(ok, context=Thing, request_method="GET")
    config.add_view(
        ok, context=Thing, request_method="PUT", request_content_types="text/plain"
    )
    config.add_view(ok, context=Thing, route_name="g", request_method="DELETE")
    config.add_view(ok, context=Thing, route_name="own", request_method="DELETE")


class Thing:
    pass


def test_a_route_with_global_views_has_their_methods_too():
    """They were not in Allow, and without views of the route's own it was 404."""
    testapp = app(global_views)
    allow = "GET, HEAD, PUT, DELETE, OPTIONS"
    assert testapp.post("/g", status=405).headers["Allow"] == allow
    assert testapp.options("/g").headers["Allow"] == allow
    wrong = {"Content-Type": "text/csv"}
    assert testapp.put("/g", "a,b", headers=wrong, status=415)
    assert testapp.get("/g").text == testapp.delete("/g").text == "ok"


def test_a_route_without_global_views_has_its_own_methods():
    refused = app(global_views).get("/own", status=405)
    assert refused.headers["Allow"] == "DELETE, OPTIONS"
