"""What is probably a mistake is told with its place."""

from __future__ import annotations

import warnings

import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_restproxy.routing import lint
from pyramid_restproxy.routing.lint import RestLintWarning


def ok(request):
    return Response("ok")


def found(configure, settings=None, **kw):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = Configurator(settings=settings or {}, **kw)
        config.include("pyramid_restproxy")
        configure(config)
        config.commit()
    return [each for each in caught if each.category is RestLintWarning]


def without_method(config):
    config.add_route("r", "/r")
    config.add_view(ok, route_name="r", allowed_methods="GET")
    config.add_view(ok, route_name="r", request_param="x")  # the line that is told


def test_a_view_without_a_method():
    (warning,) = found(without_method)
    assert "route 'r' names no method" in str(warning.message)
    assert warning.filename == __file__
    line = without_method.__code__.co_firstlineno + 3
    assert warning.lineno == line


def test_a_plain_view_on_a_plain_route_is_nothing():
    def configure(config):
        config.add_route("r", "/r")
        config.add_view(ok, route_name="r")

    assert found(configure) == []


@pytest.mark.parametrize("pattern", ["/r.json", "/{id}.{ext}"])
def test_an_extension_in_the_pattern(pattern):
    def configure(config):
        config.add_route("r", pattern)
        config.add_view(
            lambda r: {}, route_name="r", allowed_methods="GET", renderer="negotiated"
        )

    (warning,) = found(configure)
    assert "in its pattern" in str(warning.message)
    assert warning.filename == __file__


def test_two_representations_with_one_extension():
    def configure(config):
        config.add_representation("a", "a/a", extension=".x", renderer="json")
        config.add_representation("b", "b/b", extension=".x", renderer="json")
        config.add_route("r", "/r")
        config.add_view(
            lambda r: {},
            route_name="r",
            allowed_methods="GET",
            renderer="negotiated",
            representations=("a", "b"),
        )

    (warning,) = found(configure)
    assert "'.x'" in str(warning.message)


@pytest.mark.parametrize("csrf", [True, False])
def test_an_override_target_that_is_not_checked_for_csrf(csrf):
    def configure(config):
        if csrf:
            config.set_default_csrf_options(safe_methods=("GET", "PURGE"))

    settings = {"restproxy.override.methods": "PUT PURGE OPTIONS"}
    told = [str(warning.message) for warning in found(configure, settings)]
    assert len(told) == (2 if csrf else 1)
    assert "OPTIONS" in told[-1]


def test_without_introspection_the_place_is_not_known():
    (warning,) = found(without_method, introspection=False)
    assert "route 'r'" in str(warning.message)


def test_switched_off():
    assert found(without_method, {"restproxy.lint": "false"}) == []


def test_an_application_without_routing_has_nothing_to_say():
    assert list(lint.findings(Configurator().registry)) == []
