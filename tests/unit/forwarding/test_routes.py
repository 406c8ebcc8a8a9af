"""The directive for forwarded routes."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import (
    ConfigurationError,
    ConfigurationExecutionError,
)

from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.forwarding.transforms import set_path
from pyramid_restproxy.testing import Answer, FakeBackend
from tests.redis import redis_server


def backends(config):
    return config.registry.getUtility(IGateway).backends


def test_a_route_to_a_backend_that_is_not_there(config):
    config.add_backend("users", "http://a")
    config.add_proxy_route("u", "/u/*path", "user")
    with pytest.raises(ConfigurationExecutionError, match="'user'.*there are: users"):
        config.commit()


def test_the_backend_of_a_route_may_be_added_later(config):
    config.add_proxy_route("u", "/u/*path", "users")
    config.add_backend("users", "http://a")
    config.commit()


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"name": ""}, "name"),
        ({"pattern": None}, "pattern"),
        ({"backend": 7}, "backend"),
        ({"strip_prefix": "no"}, "strip_prefix"),
        ({"request_transforms": ["x"]}, "not a transform: No module named 'x'"),
        ({"request_transforms": "re.X"}, "not a transform"),
        ({"response_transforms": "nowhere.at_all"}, "nowhere"),
        ({"response_transforms": 7}, "7 is not a transform"),
        ({"allowed_methods": "NO GOOD"}, "not a method"),
        ({"allowed_methods": ()}, "None for all"),
        ({"allowed_methods": []}, "None for all"),
        ({"allowed_methods": ""}, "None for all"),
        ({"path": "v2"}, "begins with '/'"),
        ({"path": 7}, "begins with '/'"),
        ({"path": "/{nope}"}, "the pattern has no 'nope'"),
        ({"path": "/%zz"}, "percent-encoded"),
        ({"path": "/a b"}, "percent-encoded"),
        ({"path": "/caf\xe9"}, "percent-encoded"),
        ({"path": "/x\\y"}, "percent-encoded"),
        ({"path": "/x?all=1"}, "without a query"),
        ({"path": "/x#y"}, "without a query"),
        ({"path": "/v2/../*path"}, "without dot segments"),
        ({"request_transforms": [set_path("/%2e%2e/*path")]}, "without dot segments"),
        ({"request_transforms": [set_path("/v2/*nope")]}, "the pattern has no 'nope'"),
    ],
)
def test_what_is_no_forwarded_route(config, arguments, says):
    config.add_backend("users", "http://a")
    given = {"name": "u", "pattern": "/u/*path", "backend": "users", **arguments}
    with pytest.raises((ConfigurationError, ConfigurationExecutionError), match=says):
        config.add_proxy_route(**given)
        config.commit()


@pytest.mark.parametrize("path", ["/", "/caf%C3%A9/*path", "/a;v=1/{id:[0-9]{2}}/x"])
def test_paths_to_send(config, path):
    config.add_backend("users", "http://a")
    config.add_proxy_route("u", "/u/{id}/*path", "users", path=path)
    config.commit()


def test_a_path_to_send_may_be_filled_by_the_prefix_of_an_include():
    def included(config):
        config.add_proxy_route("u", "u/:id/*path", "users", path="/{tenant}/*path")

    with Configurator() as config:
        config.include("pyramid_restproxy.forwarding")
        config.add_backend("users", "http://a")
        config.include(included, route_prefix="/{tenant}")


def caching(url, settings=None, **options):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", url)
        config.add_proxy_route("r", "/r/*path", "b", cache=True, **options)
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


FRESH = Answer(headers=[("Cache-Control", "max-age=60")], body=b"kept")


def test_a_route_may_keep_answers():
    with FakeBackend(FRESH) as backend:
        app = caching(backend.url)
        assert app.get("/r/x").headers["Cache-Status"].endswith("stored")
        again = app.get("/r/x")
        assert again.body == b"kept"
        assert "; hit" in again.headers["Cache-Status"]
        assert again.headers["Age"] == "0"
        assert len(backend.requests) == 1


def test_transforms_of_the_answer_run_for_each_client():
    seen = []
    with FakeBackend(FRESH) as backend:
        app = caching(
            backend.url, response_transforms=[lambda call, answer: seen.append(1)]
        )
        app.get("/r/x")
        app.get("/r/x")
    assert len(seen) == 2


def test_answers_for_an_identity_are_not_shared():
    def identity(call):
        call.headers.set("X-User", "ann")

    with FakeBackend(FRESH) as backend:
        app = caching(
            backend.url, identity_headers=["X-User"], request_transforms=[identity]
        )
        app.get("/r/x")
        app.get("/r/x")
        assert len(backend.requests) == 2


@pytest.mark.parametrize(
    "said", ["max-age=60", "max-age=60, must-revalidate", "public, max-age=60"]
)
def test_what_a_backend_says_to_one_user_is_not_for_another(said):
    """With "public" or "must-revalidate" it was, and what nobody got was for all."""

    def answer(request):
        name = request.header("X-User") or "nobody"
        return Answer(200, [("Cache-Control", said)], name.encode())

    with FakeBackend(answer) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.set_security_policy(RemoteUser())
        config.add_backend("b", backend.url)
        config.add_proxy_route(
            "r", "/*path", "b", identity={"X-User": "user"}, cache=True
        )
        app = webtest.TestApp(config.make_wsgi_app(), lint=False)
        for name in (None, "ann", "bob", "ann", None):
            known = {} if name is None else {"REMOTE_USER": name}
            told = app.get("/x", extra_environ=known).text
            assert told == (name or "nobody")
        shared = app.get("/x", extra_environ={"REMOTE_USER": "ann"})
        hit = "; hit" in shared.headers["Cache-Status"]
        assert hit is (said != "max-age=60")


def test_processes_share_answers_in_redis(tmp_path):
    with redis_server(tmp_path) as url, FakeBackend(FRESH) as backend:
        settings = {"restproxy.store": url, "restproxy.secret": "s"}
        caching(backend.url, settings).get("/r/x")
        assert (
            "; hit"
            in caching(backend.url, settings).get("/r/x").headers["Cache-Status"]
        )
        assert len(backend.requests) == 1


class RemoteUser:
    def authenticated_userid(self, request):
        return request.environ.get("REMOTE_USER")


def telling(url, **identity):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.set_security_policy(RemoteUser())
        config.add_backend("b", url)
        config.add_proxy_route(
            "r",
            "/*path",
            "b",
            identity={name.replace("_", "-"): by for name, by in identity.items()},
            request_transforms=[lambda call: call.headers.set("X-User", "a transform")],
        )
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def test_the_backend_is_told_who_asks():
    with FakeBackend(Answer(body=b"ok")) as backend:
        app = telling(
            backend.url, X_User="user", X_Key="key", X_Team=lambda request: "blue"
        )
        forged = {"X-Key": "forged", "X-Team": "forged"}
        app.get("/", headers=forged, extra_environ={"REMOTE_USER": "j\u00fcrgen"})
        seen = backend.requests[0]
        assert seen.header("X-User") == "j\u00fcrgen".encode().decode("latin-1")
        assert seen.header("X-Key") is None
        assert seen.header("X-Team") == "blue"


def test_a_user_that_would_be_two_lines():
    with FakeBackend(Answer(body=b"ok")) as backend:
        app = telling(backend.url, X_User="user")
        app.get("/", extra_environ={"REMOTE_USER": "a\r\nX-Admin: 1"}, status=502)
        assert not backend.requests


@pytest.mark.parametrize("name, by", [("X User", "user"), ("X-User", "name")])
def test_identities_that_are_none(config, name, by):
    with pytest.raises(ConfigurationError, match="identity"):
        config.add_proxy_route("r", "/*path", "b", identity={name: by})


@pytest.mark.parametrize(
    "option, value",
    [
        ("max_request_body", "10"),
        ("max_request_body", -1),
        ("max_in_flight", "3"),
        ("max_in_flight", True),
        ("by", 5),
        ("by", "gateway"),
        ("by", "_a;for=evil"),
        ("by", "_gateway"),  # without forwarded=True
    ],
)
def test_options_of_a_route_are_checked_at_the_call(option, value):
    config = Configurator()
    config.include("pyramid_restproxy")
    with pytest.raises(ConfigurationError, match=f"route 'r': {option}"):
        config.add_proxy_route("r", "/*path", "b", **{option: value})


@pytest.mark.parametrize("names", ["X-User", ["X-User"]])
def test_one_identity_header_is_a_name_and_not_its_letters(names):
    with FakeBackend(Answer()) as fake, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", fake.url)
        config.add_proxy_route("r", "/*path", "b", identity_headers=names)
        client = webtest.TestApp(config.make_wsgi_app())
        client.get("/x", headers={"X-User": "admin", "X-Other": "1"})
        assert fake.requests[0].header("X-User") is None
        assert fake.requests[0].header("X-Other") == "1"


def stamp(call, answer=None):
    """A transform of requests, and of answers."""
    (call if answer is None else answer).headers.set("X-Stamp", "s")


@pytest.mark.parametrize(
    "given", [stamp, f"{__name__}.stamp", [stamp], (f"{__name__}.stamp",)]
)
def test_one_transform_may_stand_alone_or_by_its_name(given):
    """One callable was a TypeError, and of a name the letters were taken."""
    with FakeBackend(lambda r: Answer(body=r.header("X-Stamp").encode())) as backend:
        with Configurator() as config:
            config.include("pyramid_restproxy.forwarding")
            config.add_backend("b", backend.url)
            config.add_proxy_route(
                "r", "/r", "b", request_transforms=given, response_transforms=given
            )
            answer = webtest.TestApp(config.make_wsgi_app(), lint=False).get("/r")
    assert (answer.text, answer.headers["X-Stamp"]) == ("s", "s")
