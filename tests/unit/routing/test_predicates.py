"""The predicates alone, and in applications."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator, not_
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy import allowed_methods, extension
from pyramid_restproxy.routing import predicates as p


def request(method="GET", path_extension=None, **environ):
    made = Request.blank("/", method=method, environ=environ)
    made.path_extension = path_extension
    return made


def app(configure):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        configure(config)
        return webtest.TestApp(config.make_wsgi_app())


def says(text):
    return lambda request: Response(text)


@pytest.mark.parametrize(
    "value, method, holds",
    [("GET", "HEAD", True), ("GET", "POST", False), (("PUT", "POST"), "POST", True),
     ("GET", "get", False)],
)  # fmt: skip
def test_allowed_methods(value, method, holds):
    assert p.AllowedMethods(value, None)(None, request(method)) is holds


@pytest.mark.parametrize(
    "factory, one, other",
    [
        (p.AllowedMethods, ("PUT", "GET"), ["get", "HEAD", "put"]),
        (p.Extension, (".a", ".b"), (".b", ".a")),
        (p.RequestContentTypes, ("a/b", "c/d"), ("C/D", "a/b")),
    ],
)
def test_the_order_of_values_makes_no_difference(factory, one, other):
    assert factory(one, None).phash() == factory(other, None).phash()


@pytest.mark.parametrize(
    "value, cut, holds",
    [
        (".json", ".json", True),
        (".json", None, False),
        ((".json", ".xml"), ".xml", True),
        ("", None, True),
        (("", ".json"), None, True),
        ("", ".json", False),
    ],
)
def test_extension(value, cut, holds):
    assert p.Extension(value, None)(None, request(path_extension=cut)) is holds


@pytest.mark.parametrize(
    "value", ["json", ".tar.gz", ".", 7, None, (), (".a", 7), ".a/b"]
)
def test_what_is_no_extension(value):
    with pytest.raises(ConfigurationError, match="extension="):
        p.Extension(value, None)


@pytest.mark.parametrize(
    "content_type, length, holds",
    [
        ("application/json", "2", True),
        ("Application/JSON; charset=utf-8", "2", True),
        ("text/csv", "2", False),
        ("", "2", False),
        ("text/csv", "0", True),
        ("text/csv", "", True),
        ("text/csv", "00", True),
        ("text/csv", "010", False),
    ],
)
def test_request_content_types(content_type, length, holds):
    predicate = p.RequestContentTypes("application/json", None)
    given = request("POST", CONTENT_TYPE=content_type, CONTENT_LENGTH=length)
    assert predicate(None, given) is holds


def test_a_chunked_body_is_a_body():
    predicate = p.RequestContentTypes("application/json", None)
    given = request("POST", CONTENT_TYPE="text/csv", HTTP_TRANSFER_ENCODING="chunked")
    assert not predicate(None, given)


@pytest.mark.parametrize("kind", [tuple, list, set, frozenset])
def test_types_of_the_body_may_be_given_in_a_set(kind):
    found = p.RequestContentTypes(kind(["text/csv", "text/plain"]))
    assert found.media_types == ("text/csv", "text/plain")


@pytest.mark.parametrize("value", ["json", 7, None, (), ("a/b", 7), "a/b;c=d"])
def test_what_is_no_media_type(value):
    with pytest.raises(ConfigurationError, match="request_content_types="):
        p.RequestContentTypes(value, None)


@pytest.mark.parametrize("switch", p.SWITCHES)
def test_switches_are_true_or_false_and_always_match(switch):
    made = switch(False, None)
    assert made(None, request())
    assert made.text() == f"{switch.name} = False" == made.phash()
    with pytest.raises(ConfigurationError, match=switch.name):
        switch("no", None)


def test_not_works():
    def configure(config):
        config.add_route("r", "/r")
        config.add_view(says("x"), route_name="r", allowed_methods=not_("DELETE"))

    testapp = app(configure)
    assert testapp.put("/r").text == "x"
    refused = testapp.delete("/r", status=405)
    assert refused.headers["Allow"] == "GET, HEAD, POST, PUT, PATCH, OPTIONS"


@pytest.mark.filterwarnings('ignore:The "custom_predicates":DeprecationWarning')
def test_callables_for_old_code():
    def configure(config):
        config.add_route("post", "/posts/{id}")
        for text, method, ending in (("a", "GET", ".json"), ("b", "GET", ".xml")):
            config.add_view(
                says(text),
                route_name="post",
                custom_predicates=(allowed_methods(method), extension(ending)),
            )
        config.add_view(
            says("c"), route_name="post", custom_predicates=(allowed_methods("POST"),)
        )
        config.add_route("old", "/old/{id}", custom_predicates=(extension(".txt"),))
        config.add_view(lambda r: Response(r.matchdict["id"]), route_name="old")

    testapp = app(configure)
    assert testapp.get("/posts/1.json").text == "a"
    assert testapp.get("/posts/1.xml").text == "b"
    assert testapp.post("/posts/1").text == "c"
    assert testapp.delete("/posts/1", status=405).headers["Allow"] == "POST, OPTIONS"
    assert testapp.get("/old/1.txt").text == "1"
    assert testapp.get("/old/1", status=404)


def test_both_method_predicates_of_one_view_count():
    def configure(config):
        config.add_route("r", "/r")
        config.add_view(
            says("x"),
            route_name="r",
            allowed_methods=("GET", "POST"),
            request_method=("POST", "PUT"),
        )

    testapp = app(configure)
    assert testapp.post("/r").text == "x"
    assert testapp.get("/r", status=405).headers["Allow"] == "POST, OPTIONS"


def test_not_works_for_the_type_of_the_body():
    def configure(config):
        config.add_route("r", "/r")
        options = {"route_name": "r", "allowed_methods": "POST"}
        config.add_view(
            says("other"), request_content_types=not_("text/csv"), **options
        )
        config.add_view(says("csv"), request_content_types="text/csv", **options)

    testapp = app(configure)
    assert testapp.post("/r", b"x", {"Content-Type": "text/csv"}).text == "csv"
    assert testapp.post("/r", b"x", {"Content-Type": "a/b"}).text == "other"


def test_what_pyramid_knows_of_routes_is_said_of_the_route():
    with Configurator() as config:
        known = {name for name, _ in config.get_predlist("route").sorter.sorted()}
    # "custom" is written custom_predicates=
    assert known - {"custom"} <= p.ROUTE_OPTIONS


def test_options_of_the_route_and_of_its_views():
    switches = {"extensions": False, "method_override": False}
    route = {"xhr": True, "factory": "x", **switches}
    view = {"permission": "edit", "http_cache": 5, "allowed_methods": "GET"}
    assert p.split_options({**view, **route}) == (route, view)
    assert p.split_options({}) == ({}, {})
