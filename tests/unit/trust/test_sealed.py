"""Sealed parameters between two applications."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.testing import Answer, FakeBackend

SECRET = b"s" * 32


def service(secret=SECRET):
    def view(request):
        return Response(json_body=request.sealed)

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_sealing_key("k", secret)
        config.add_route("get_user", "/get_user")
        config.add_view(view, route_name="get_user", sealed=True)
        config.add_route("other", "/other")
        config.add_view(view, route_name="other", sealed=True)
        return webtest.TestApp(config.make_wsgi_app())


@pytest.fixture
def target():
    """What a call with sealed parameters asks for."""
    with FakeBackend(Answer(body=b"ok")) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_sealing_key("k", SECRET)
        config.add_backend("users", backend.url + "/base")
        config.make_wsgi_app()
        request = Request.blank("/")
        request.registry = config.registry
        calls = request.registry  # the request method needs its extensions
        from pyramid_restproxy.forwarding.client import backend as backend_of

        assert calls is config.registry
        backend_of(request, "users").get(
            "/get_user", params={"name": "ann", "ids": [1, 2]}, sealed=True
        )
        yield backend.requests[0].target.removeprefix("/base")


def test_the_service_reads_what_nobody_else_can(target):
    assert "ann" not in target
    assert service().get(target).json == {"name": "ann", "ids": [1, 2]}


def test_a_token_is_for_one_path(target):
    service().get(target.replace("/get_user", "/other"), status=400)


def test_another_key_does_not_open_it(target):
    service(b"t" * 32).get(target, status=400)


@pytest.mark.parametrize("query", ["", "?sealed=", "?sealed=s1.k.x", "?name=ann"])
def test_without_valid_parameters_the_view_does_not_run(query):
    assert service().get("/get_user" + query, status=400)


def test_two_of_them_are_none(target):
    token = target.partition("?")[2]
    service().get(f"/get_user?{token}&{token}", status=400)


@pytest.mark.parametrize(
    "arguments, says",
    [(("k", "text"), "bytes"), (("k", b"short"), "16 bytes"), ((7, SECRET), "an id")],
)
def test_keys_that_are_none(arguments, says):
    config = Configurator()
    config.include("pyramid_restproxy")
    with pytest.raises(ConfigurationError, match=says):
        config.add_sealing_key(*arguments)
