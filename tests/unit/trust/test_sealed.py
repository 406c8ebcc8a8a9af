"""Sealed parameters between two applications."""

from __future__ import annotations

import time
from base64 import b64encode

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError, ConfigurationExecutionError
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.forwarding.client import backend as backend_of
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


def target_of(**options):
    """Return what a call with sealed parameters asks for."""
    with FakeBackend(Answer(body=b"ok")) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_sealing_key("k", SECRET)
        config.add_backend("users", backend.url + "/base")
        config.make_wsgi_app()
        request = Request.blank("/")
        request.registry = config.registry
        params = {"name": "ann", "ids": [1, 2]}
        users = backend_of(request, "users")
        users.get("/get_user", params=params, sealed=True, **options)
        return backend.requests[0].target.removeprefix("/base")


@pytest.fixture
def target():
    return target_of()


def test_what_is_for_one_user_is_not_for_everybody():
    """Where the service does not ask for whom, it is nobody's."""
    service().get(target_of(sealed_for="ann"), status=400)


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


# -- what is sealed and in the clear ------------------------------------------------


def test_a_sealed_parameter_is_not_there_in_the_clear_as_well(target):
    """URLPARAMS-03: some code would read the one, some the other."""
    client = service()
    client.get(f"{target}&name=bob", status=400)
    client.get(f"/get_user?n%61me=bob&{target.partition('?')[2]}", status=400)
    assert client.get(f"{target}&other=1&Name=x").json["name"] == "ann"


# -- links to routes of one's own ---------------------------------------------------


class Users:
    """A security policy that believes a field."""

    def identity(self, request):
        return self.authenticated_userid(request)

    def authenticated_userid(self, request):
        number = request.headers.get("User")
        return int(number) if number else None

    def permits(self, request, context, permission):
        return True


def links(settings=None, **options):
    """Make an application that links to a route of its own, and reads the link."""

    def link(request):
        words = {"lifetime": 60, "for_user": request.headers.get("For")}
        given = {**words, "name": "a b/ü%2F", "user": 7}
        return Response(request.sealed_path("user", {"id": 5, "sealed": 1}, **given))

    def user(request):
        return Response(json_body=request.sealed)

    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.set_security_policy(Users())
        if settings is None:
            config.add_sealing_key("k", SECRET)
        config.add_route("link", "/link")
        config.add_view(link, route_name="link")
        config.add_route("user", "/users/{user}/{name:.*}")
        config.add_view(user, route_name="user", **{"sealed": True, **options})
        return webtest.TestApp(config.make_wsgi_app())


@pytest.mark.parametrize("mount", ["", "/below"])
def test_a_link_to_a_route_of_ones_own(mount):
    client = links()
    mounted = {"SCRIPT_NAME": mount}
    path = client.get("/link", extra_environ=mounted).text
    assert path.startswith(f"{mount}/users/7/a%20b/%C3%BC%252F?sealed=")
    below = path.removeprefix(mount)
    assert client.get(below, extra_environ=mounted).json == {"id": 5, "sealed": 1}
    assert client.get(below).json["id"] == 5
    client.get(below.replace("/7/", "/8/"), status=400)


def test_a_link_ends_with_its_lifetime(monkeypatch):
    client = links()
    path = client.get("/link").text
    now = time.time()
    monkeypatch.setattr("pyramid_restproxy.trust.sealed.time.time", lambda: now + 61)
    client.get(path, status=400)


def test_a_link_for_one_user():
    client = links(sealed="user")
    path = client.get("/link", headers={"For": "7"}).text
    answer = client.get(path, headers={"User": "7"})
    assert answer.json["id"] == 5
    assert answer.headers["Vary"] == "*"
    client.get(path, headers={"User": "8"}, status=400)
    client.get(path, status=403)  # where an application shows its login
    for_all = client.get("/link").text
    client.get(for_all, headers={"User": "7"}, status=400)
    links().get(path, headers={"User": "7"}, status=400)


def test_another_word_for_sealed():
    with pytest.raises(ConfigurationExecutionError, match="sealed='nobody'"):
        links(sealed="nobody")


# -- keys of the settings -------------------------------------------------------------


def test_keys_of_the_settings(monkeypatch):
    monkeypatch.setenv("SEAL", f"hex:{SECRET.hex()}")
    old = f"old base64:{b64encode(b'o' * 16).decode()}"
    before = links({"restproxy.sealing_keys": old}).get("/link").text
    client = links({"restproxy.sealing_keys": f"{old}\nk env:SEAL"})
    path = client.get("/link").text
    assert "sealed=s1.k." in path  # the last one seals
    assert "sealed=s1.old." in before
    for each in (path, before):
        assert client.get(each).json["id"] == 5
    assert links().get(path).json["id"] == 5  # the same key by a directive


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("k s3cret", "restproxy.sealing_keys, line 1: a secret is"),
        (f"k hex:{'00' * 15}", "line 1: a secret has 16 bytes"),
        (f"k hex:{'00' * 16}\nk hex:{'00' * 16}", "two keys with the id 'k'"),
    ],
)
def test_keys_of_the_settings_that_are_none(lines, says):
    with pytest.raises(ConfigurationExecutionError, match=says) as caught:
        links({"restproxy.sealing_keys": lines})
    assert "s3cret" not in str(caught.value)
