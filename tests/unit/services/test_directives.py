"""Declaring services."""

from __future__ import annotations

import functools

import pytest
from pyramid import testing
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError
from pyramid.request import Request

from pyramid_restproxy.services.codecs import PickleCodec
from pyramid_restproxy.services.directives import (
    exceptions_of,
    service_config,
    services_of,
)


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


class Calculator:
    """Methods become calls."""

    def double(self, a: int) -> int:
        return 2 * a

    @staticmethod
    def negate(a: int) -> int:
        return -a

    def _private(self): ...


class WithRequest:
    def __init__(self, request):
        self.request = request

    def method(self, n: int = 0) -> str:
        return f"{self.request.method} {n}"


class WithDefaults:
    def __init__(self, factor: int = 3, *rest, **more):
        self.factor = factor

    def times(self, a: int) -> int:
        return a * self.factor


class Empty:
    _nothing = 1


@service_config("found", "/srv/found")
def found_by_scan(a: int) -> int:
    return a


@pytest.fixture
def config():
    with Configurator() as made:
        made.include("pyramid_restproxy.services")
        yield made


def call(config, path, **arguments):
    request = Request.blank(path, method="POST", content_type="application/json")
    request.json_body = arguments
    return request.get_response(config.make_wsgi_app()).json


def test_a_function_by_its_dotted_name(config):
    config.add_service("add", "/srv/add", f"{__name__}.add")
    assert call(config, "/srv/add", a=1) == 2
    service = services_of(config.registry)["add"]
    assert (service.doc, service.pattern) == ("Add two numbers.", "/srv/add")
    assert [codec.name for codec in service.codecs] == ["json", "msgpack", "cbor"]


def test_methods_of_a_class(config):
    config.add_service("calc", "/srv/", Calculator)
    assert call(config, "/srv/double", a=2) == 4
    assert call(config, "/srv/negate", a=2) == -2
    assert list(services_of(config.registry)) == ["calc.double", "calc.negate"]


def test_objects_are_made_with_the_request_where_they_take_it(config):
    config.add_service("a", "/a", WithRequest)
    config.add_service("b", "/b", WithDefaults)
    assert call(config, "/a/method", n=3) == "POST 3"
    assert call(config, "/b/times", a=2) == 6


def test_services_are_found_by_scan(config):
    config.scan(__name__, categories=("pyramid",))
    assert call(config, "/srv/found", a=5) == 5


def test_introspection(config):
    config.add_service("add", "/srv/add", add)
    config.commit()
    ((entry,),) = [
        [each["introspectable"]]
        for each in config.introspector.get_category("restproxy services")
    ]
    assert (entry["name"], entry["codecs"]) == ("add", ("json", "msgpack", "cbor"))


def test_two_services_of_one_name_conflict():
    config = Configurator()
    config.include("pyramid_restproxy.services")
    config.add_service("add", "/a", add)
    config.add_service("add", "/b", add)
    with pytest.raises(ConfigurationConflictError):
        config.commit()


def test_options_go_to_the_view(config):
    config.add_service("add", "/srv/add", add, header="X-Must")
    request = Request.blank("/srv/add", method="POST", content_type="application/json")
    request.json_body = {"a": 1}
    app = config.make_wsgi_app()
    assert request.get_response(app).status_int == 404
    request.headers["X-Must"] = "1"
    assert request.get_response(app).status_int == 200


def test_csrf_tokens_are_for_forms():
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.set_default_csrf_options(require_csrf=True)
        config.add_service("add", "/srv/add", add)
    assert call(config, "/srv/add", a=1) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("", "/a", add),
        ("a", "", add),
        ("a", None, add),
        ("a", "/a", 5),
        ("a", "/a", Empty),
    ],
)
def test_what_is_no_service(config, arguments):
    with pytest.raises(ConfigurationError):
        config.add_service(*arguments)


@pytest.mark.parametrize("codecs", ["pickle", ["json", "pickle"], [PickleCodec(int)]])
def test_pickle_needs_somebody_who_checks(config, codecs):
    with pytest.raises(ConfigurationError, match="signed"):
        config.add_service("add", "/srv/add", add, codecs=codecs)
    config.add_service("a", "/a", add, codecs=codecs, guard=lambda request: None)


def test_exceptions(config):
    config.add_service_exception(KeyError)
    config.add_service_exception("builtins.ValueError", name="value", status=400)
    config.commit()
    found = exceptions_of(config.registry)
    assert (found[KeyError].name, found[KeyError].status) == ("KeyError", 422)
    assert (found[ValueError].name, found[ValueError].status) == ("value", 400)


@pytest.mark.parametrize(
    "kind, status", [(int, 422), ("x", 422), (KeyError, 200), (KeyError, 999)]
)
def test_what_is_no_exception(config, kind, status):
    with pytest.raises((ConfigurationError, ImportError, ValueError)):
        config.add_service_exception(kind, status=status)


def test_libraries_are_imported_when_they_are_wanted(config, monkeypatch):
    monkeypatch.setattr(
        "pyramid_restproxy.services.codecs.find_spec", lambda name: name == "json"
    )
    config.add_service("add", "/srv/add", add)
    config.commit()
    codecs = services_of(config.registry)["add"].codecs
    assert [codec.name for codec in codecs] == ["json"]


@pytest.fixture
def commits_at_once():
    yield testing.setUp()
    testing.tearDown()


def test_services_of_a_configurator_that_commits_at_once(commits_at_once):
    """The service was related to a route that was not there yet."""
    config = commits_at_once
    config.include("pyramid_restproxy.services")
    config.add_service("add", "/srv/add", add)
    config.add_service("calc", "/srv/calc", Calculator)
    config.add_service_description("/srv/describe")
    assert call(config, "/srv/add", a=1) == 2


def test_services_below_a_prefix(config):
    def include(config):
        config.add_service("add", "srv/add", add)
        config.add_service("calc", "/srv/calc/", Calculator)

    config.include(include, route_prefix="/v1")
    found = {"/v1/srv/add": 2, "/v1/srv/calc/double": 2, "/v1/srv/calc/negate": -1}
    for path, result in found.items():
        assert call(config, path, a=1) == result
    services = services_of(config.registry).values()
    assert [each.pattern for each in services] == list(found)


class Bound:
    """Methods that are bound to the class, or to nothing."""

    factor = 3

    @classmethod
    def times(cls, a: int) -> int:
        return cls.factor * a

    @staticmethod
    def negate(a: int) -> int:
        return -a

    factory = dict
    cached = functools.lru_cache(add)


class Doubled(Bound):
    factor = 6


def test_methods_of_the_class_itself(config):
    """Those were left out, and nobody said so."""
    config.add_service("bound", "/bound", Doubled)
    assert call(config, "/bound/times", a=2) == 12
    assert call(config, "/bound/negate", a=2) == -2
    assert list(services_of(config.registry)) == ["bound.negate", "bound.times"]


class MayHaveRequest:
    def __init__(self, factor: int = 2, request=None):
        self.factor, self.request = factor, request

    def told(self) -> list:
        return [self.factor, self.request.method]


class HasRequestByName:
    def __init__(self, *, request):
        self.request = request

    def told(self) -> list:
        return [self.request.method]


@pytest.mark.parametrize(
    "kind, told", [(MayHaveRequest, [2, "POST"]), (HasRequestByName, ["POST"])]
)
def test_a_request_by_its_name(config, kind, told):
    """A request with a default was left out."""
    config.add_service("r", "/r", kind)
    assert call(config, "/r/told") == told


class Called:
    def __call__(self, a: int) -> int:
        return a


async def later(a: int) -> int:
    return a


async def one_by_one(a: int):
    yield a


class Later:
    async def method(self, a: int) -> int:
        return a


@pytest.mark.parametrize(
    "function, why",
    [
        (functools.partial(add, a=1), "what it takes"),
        (Called(), "what it takes"),
        (max, "what it takes"),
        (len, "by name"),
        (later, "async"),
        (one_by_one, "async"),
        (functools.partial(later, a=1), "async"),
        (Later, "async"),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_what_cannot_be_called_is_said_at_the_call(config, function, why):
    """It was a bare TypeError or ValueError, or for ``async`` a 500 at every call."""
    with pytest.raises(ConfigurationError, match=why):
        config.add_service("f", "/f", function)


def test_functions_that_are_wrapped(config):
    wrapped = functools.wraps(add)(functools.partial(add, b=5))
    config.add_service("wrapped", "/wrapped", wrapped)
    config.add_service("cached", "/cached", functools.lru_cache(add))
    config.add_service("method", "/method", Calculator().double)
    for name, found in (("wrapped", 6), ("cached", 2), ("method", 2)):
        assert call(config, f"/{name}", a=1) == found
