"""What services there are."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy
import pytest
import webtest
from openapi_spec_validator import validate
from pyramid.config import Configurator
from pyramid.request import Request

from pyramid_restproxy.services.describe import description, openapi, signature_of
from pyramid_restproxy.services.directives import services_of


@dataclass
class Point:
    x: float
    y: float = 0.0


def made_point():
    @dataclass
    class Point:
        label: str

    return Point


Named, NamedAgain = made_point(), made_point()


SENTINEL = object()


def norm(request, point: Point, power: int = 2) -> float:
    """Measure a point.

    From where we are.
    """


@dataclass
class Line:
    start: Point


def either(flag: bool) -> Point | Line: ...


def mean(values: numpy.ndarray, axis=SENTINEL): ...


def count(n: int) -> Iterator[int]: ...


@pytest.fixture
def registry():
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        for function in (norm, mean, count, either):
            name = function.__name__
            config.add_service(name, f"/srv/{name}", function)
        config.add_service("far", "/far/*rest", lambda: None)
        config.add_service_description("/srv/describe", codecs="json")
        config.make_wsgi_app()
        return config.registry


def test_a_description(registry):
    assert description(services_of(registry)["norm"]) == {
        "name": "norm",
        "pattern": "/srv/norm",
        "signature": f"(*, point: {__name__}.Point, power: int = 2) -> float",
        "doc": "Measure a point.\n\nFrom where we are.",
        "codecs": ["json", "msgpack", "cbor"],
        "idempotent": False,
        "stream": False,
    }
    assert signature_of(services_of(registry)["far"]) == "()"


def test_signatures_can_be_read_as_python():
    class Local: ...

    def odd(a, b=Local, c=len, d: float = float("inf"), e=None) -> None: ...

    odd.__annotations__["a"] = Local

    def stream() -> Iterator[int]:
        yield 1

    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("odd", "/odd", odd)
        config.add_service("stream", "/stream", stream)
    services = services_of(config.registry)
    local = f"{__name__}.test_signatures_can_be_read_as_python.Local"
    assert signature_of(services["odd"]) == (
        f"(*, a: {local}, b=..., c=..., d: float = inf, e=None) -> None"
    )
    assert description(services["stream"])["stream"] is True


def test_a_folder_tells_what_is_in_it(registry):
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("one", "/srv/one", lambda: None)
        config.add_service("far", "/far/one", lambda: None)
        config.add_service_description("/srv/describe")
        app = config.make_wsgi_app()
    request = Request.blank("/srv/describe", method="POST")
    request.content_type, request.body = "application/json", b"{}"
    found = request.get_response(app).json
    assert [each["name"] for each in found] == ["one", "describe"]
    assert found[1]["idempotent"] and found[1]["doc"]


def test_openapi_is_valid(registry):
    document = openapi(registry, "Mine", "2")
    validate(document)
    json.dumps(document)
    assert document["info"] == {"title": "Mine", "version": "2"}
    assert list(document["paths"]) == [
        "/srv/norm",
        "/srv/mean",
        "/srv/count",
        "/srv/either",
        "/srv/describe",
    ]
    operation = document["paths"]["/srv/norm"]["post"]
    assert operation["summary"] == "Measure a point."
    schema = operation["requestBody"]["content"]["application/msgpack"]["schema"]
    assert schema == {
        "type": "object",
        "properties": {
            "point": {"$ref": "#/components/schemas/Point"},
            "power": {"type": "integer", "default": 2},
        },
        "required": ["point"],
        "additionalProperties": False,
    }
    assert document["components"]["schemas"]["Point"]["required"] == ["x"]
    mean_of = document["paths"]["/srv/mean"]["post"]["requestBody"]["content"]
    properties = mean_of["application/json"]["schema"]["properties"]
    assert properties == {"values": {"title": "ndarray"}, "axis": {}}


def test_openapi_tells_the_media_types_of_streams():
    """Those of single results were told, and the schema of the iterator."""

    def numbers(n: int) -> Iterator[int]:
        yield from range(n)

    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("numbers", "/srv/numbers", numbers, codecs=("json", "cbor"))
        config.make_wsgi_app()
    document = openapi(config.registry)
    validate(document)
    answers = document["paths"]["/srv/numbers"]["post"]["responses"]
    assert answers["200"]["content"] == {
        "application/jsonl": {},
        "application/cbor-seq": {},
    }


def test_openapi_without_msgspec(registry, monkeypatch):
    monkeypatch.setitem(sys.modules, "msgspec", None)
    document = openapi(registry)
    validate(document)
    content = document["paths"]["/srv/norm"]["post"]["requestBody"]["content"]
    properties = content["application/json"]["schema"]["properties"]
    assert properties == {"point": {}, "power": {"default": 2}}


def test_the_openapi_view():
    def add(a: int, b: int) -> int:
        return a + b

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_service("add", "/srv/add", add)
        config.add_openapi_view(title="Ours", version="7")
        app = webtest.TestApp(config.make_wsgi_app())
    found = app.get("/openapi.json").json
    assert found["info"] == {"title": "Ours", "version": "7"}
    assert list(found["paths"]) == ["/srv/add"]
    validate(found)
    app.post("/openapi.json", status=405)


def add(a: int, b: int = 1) -> int: ...


def tenants(request, name: str) -> str: ...


def test_services_below_a_prefix():
    """Their paths were told without it, and the folder was empty."""

    def include(config):
        config.add_service("add", "/srv/add", add)
        config.add_service("noslash", "srv/noslash", add)
        config.add_service_description("/srv/describe")
        config.add_openapi_view()

    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.include(include, route_prefix="/v1")
        testapp = webtest.TestApp(config.make_wsgi_app())
    told = testapp.post_json("/v1/srv/describe", {}).json
    paths = ["/v1/srv/add", "/v1/srv/noslash", "/v1/srv/describe"]
    assert [each["pattern"] for each in told] == paths
    document = testapp.get("/v1/openapi.json").json
    assert list(document["paths"]) == paths
    validate(document)


def test_placeholders_are_parameters():
    """A regular expression was part of the path."""
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("t", r"/srv/{tenant:[a-z]*\d{2}}/{x}/t", tenants)
        config.add_service("far", "/far/*rest", add)
        config.make_wsgi_app()
    document = openapi(config.registry)
    validate(document)
    ((path, item),) = document["paths"].items()
    assert path == "/srv/{tenant}/{x}/t"
    assert item["parameters"] == [
        {
            "name": "tenant",
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": r"^(?:[a-z]*\d{2})$"},
        },
        {"name": "x", "in": "path", "required": True, "schema": {"type": "string"}},
    ]


@pytest.mark.parametrize(
    "script_name, servers",
    [
        ("", None),
        ("/mnt", [{"url": "/mnt"}]),
        ("/a b", [{"url": "/a%20b"}]),
        ("//host", [{"url": "/.//host"}]),
    ],
)
def test_where_the_application_is_mounted(script_name, servers):
    """It was as if at the root."""
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("add", "/srv/add", add)
        config.add_openapi_view()
        app = config.make_wsgi_app()
    testapp = webtest.TestApp(app, extra_environ={"SCRIPT_NAME": script_name})
    document = testapp.get("/openapi.json").json
    validate(document)
    assert document.get("servers") == servers
    assert "/srv/add" in document["paths"]


def one(point: Point) -> int: ...


def two(point: Named) -> int: ...


def three(point: NamedAgain) -> int: ...


def fields_of(document, path):
    body = document["paths"][path]["post"]["requestBody"]
    arguments = body["content"]["application/json"]["schema"]
    reference = arguments["properties"]["point"].get("$ref", "")
    name = reference.removeprefix("#/components/schemas/")
    return list(document["components"]["schemas"].get(name, {}).get("properties", ()))


@pytest.mark.parametrize("functions", [(one, two), (two, one), (one, two, three)])
def test_two_classes_of_one_name_have_two_schemas(functions):
    """The later one was told of both."""
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("either", "/either", either)
        for function in functions:
            config.add_service(function.__name__, f"/{function.__name__}", function)
        config.make_wsgi_app()
    document = openapi(config.registry)
    validate(document)
    assert fields_of(document, "/one") == ["x", "y"]
    assert fields_of(document, "/two") == ["label"]
    if three in functions:  # nothing tells it from the other
        assert fields_of(document, "/three") == []


@dataclass
class Problem:
    exercise: str


def solve(problem: Problem) -> Problem: ...


def test_a_class_that_is_called_problem_is_not_what_went_wrong():
    """It was in the place of the schema of problem documents."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.include("pyramid_restproxy.services")
        config.add_service("solve", "/solve", solve)
        config.add_route("shown", "/shown")
        config.add_view(
            lambda request: {},
            route_name="shown",
            renderer="negotiated",
            allowed_methods="GET",
        )
        config.make_wsgi_app()
    document = openapi(config.registry)
    validate(document)
    schemas = document["components"]["schemas"]
    assert list(schemas["Problem"]["properties"]) == ["exercise"]
    for path, method in (("/solve", "post"), ("/shown", "get")):
        answers = document["paths"][path][method]["responses"]["default"]["content"]
        reference = answers["application/problem+json"]["schema"]["$ref"]
        assert "detail" in schemas[reference.rpartition("/")[2]]["properties"]
