"""What must be there when an application is made."""

from __future__ import annotations

import json

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.response import Response

from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.login import BackendLoginPolicy
from pyramid_restproxy.trust.validators import backend_validator


def own_view(request):
    return Response(request.user_token_identity.user_id)


@pytest.fixture
def config():
    made = Configurator()
    made.include("pyramid_restproxy")
    made.add_route("r", "/r")
    return made


def test_a_view_for_users_needs_somebody_who_knows_them(config):
    config.add_view(own_view, name="own", user_token="required")
    with pytest.raises(ConfigurationError, match="for view own_view: nobody"):
        config.make_wsgi_app()
    config.add_view(own_view, route_name="r", user_token="required")
    with pytest.raises(
        ConfigurationError, match="for route 'r', .*set_token_validator"
    ):
        config.make_wsgi_app()


def test_who_knows_the_users_may_be_said_last(config):
    config.add_view(own_view, route_name="r", user_token="required")
    config.commit()
    config.set_token_validator(lambda request, token: Identity(token))
    client = webtest.TestApp(config.make_wsgi_app())
    assert client.get("/r", headers={"user-token": "ann"}).text == "ann"


def test_a_validator_asks_a_backend_that_is_there(config):
    config.set_token_validator(backend_validator("uesrs", "/validate"))
    config.add_backend("users", "http://127.0.0.1:9")
    with pytest.raises(
        ConfigurationError, match="_validator.*'uesrs'.*there are: users"
    ):
        config.make_wsgi_app()


@pytest.mark.parametrize(
    "named, backend", [("backend:users/validate", "users"), ("backend:gone/v", "gone")]
)
def test_a_setting_names_a_service_of_a_backend(named, backend):
    def answer(request):
        assert request.target == "/validate"
        token = json.loads(request.body)["token"]
        if token != "good":
            return Answer(401)
        said = json.dumps({"user": "ann"}).encode()
        return Answer(200, [("Content-Type", "application/json")], said)

    with FakeBackend(answer) as users:
        settings = {"restproxy.token_validator": named}
        config = Configurator(settings=settings)
        config.include("pyramid_restproxy")
        config.add_backend("users", users.url)
        config.add_route("r", "/r")
        config.add_view(own_view, route_name="r", user_token="required")
        if backend == "gone":
            with pytest.raises(ConfigurationError, match="'gone'.*there are: users"):
                config.make_wsgi_app()
            return
        client = webtest.TestApp(config.make_wsgi_app())
        assert client.get("/r", headers={"user-token": "good"}).text == "ann"
        client.get("/r", headers={"user-token": "bad"}, status=403)


def test_a_validator_of_your_own_may_have_a_backend_of_its_own(config):
    class Own:
        backend = {}

        def __call__(self, request, token):
            return Identity(token)

    config.set_token_validator(Own())
    assert config.make_wsgi_app()


def test_a_login_asks_a_backend_that_is_there(config):
    config.set_security_policy(BackendLoginPolicy("uesrs"))
    with pytest.raises(ConfigurationError, match="Policy.*'uesrs'.*there are: none"):
        config.make_wsgi_app()
