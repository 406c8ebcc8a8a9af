"""The token by which a backend knows the user of a call."""

from __future__ import annotations

import json

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_restproxy import (
    invoke_backend_service,
    invoke_backend_service_as_proxy,
)
from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.identity import Identity, user_by_email
from pyramid_restproxy.trust.login import BackendLoginPolicy, login
from pyramid_restproxy.trust.session_tokens import session_token
from pyramid_restproxy.trust.tokens import revoke_user_token, user_token

UNTIL = "2100-09-09 10:41:54"


def says(value, status=200):
    body = json.dumps(value).encode()
    return Answer(status, [("Content-Type", "application/json")], body)


def around(token, **content):
    return {"user-token": token, "expiration-date": UNTIL, **content}


class Ported:
    """A backend for django-proxy-server: each answer has the next token around it."""

    def __init__(self):
        self.given = 0

    def __call__(self, request):
        if request.target == "/login":
            user = {"email": "ann@x", "name": "Ann", "is_active": True}
            return self.answer(200, response=user)
        if request.target == "/public":
            return says({"response": request.header("user-token")})
        if request.header("user-token") != f"t{self.given}":
            return says({"error": {"code": 1, "type": "Old", "message": "old"}}, 401)
        if request.target == "/missing":
            error = {"code": 4711, "type": "UserUnknown", "message": "nobody"}
            return self.answer(404, error=error)
        return self.answer(200, response={"at": request.target})

    def answer(self, status, **content):
        self.given += 1
        return says(around(f"t{self.given}", **content), status)


def validator(request, token):
    return Identity("ann") if token.startswith("t") else None


def app(url, views, policy=True, field="user-token", more=None, **options):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        for name, where in {"default": url, **(more or {})}.items():
            config.add_backend(name, where)
        if field:
            config.set_token_validator(validator, field=field)
        if policy:
            config.set_security_policy(
                BackendLoginPolicy("default", account="email", read=user_by_email)
            )
        for name, view in views.items():
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name, renderer="json", **options)
        return webtest.TestApp(config.make_wsgi_app())


def enter(request):
    return login(request, email="ann@x", password="x").user_id


def call(path, **options):
    return lambda request: invoke_backend_service(
        "GET", path, request=request, **options
    )


NOBODY = [404, {"error": {"code": 404, "type": "BackendError", "message": "nobody"}}]


def test_ported_code_was_nobody_at_its_backend():
    """No token went along, and the new one was lost."""
    views = {
        "enter": enter,
        "get": call("/get"),
        "missing": call("/missing"),
        "public": call("/public", public=True),
        "untouched": call("/get", response_token=False),
        "token": session_token,
    }
    with FakeBackend(Ported()) as backend:
        client = app(backend.url, views)
        assert client.get("/get").json[0] == 401
        assert client.get("/enter").json == "ann@x"
        for _ in range(2):
            assert client.get("/get").json == [200, {"at": "/get"}]
        assert client.get("/missing").json == NOBODY
        assert client.get("/get").json == [200, {"at": "/get"}]
        assert client.get("/public").json == [200, None]
        assert client.get("/token").json == "t5"
        assert client.get("/untouched").json == [200, {"at": "/get"}]
        assert client.get("/token").json == "t5"


def test_the_token_that_a_client_sends():
    def twice(request):
        call("/get")(request)
        return call("/get")(request)

    def leave(request):
        call("/get")(request)
        revoke_user_token(request)
        return user_token(request)

    views = {"twice": twice, "leave": leave, "missing": call("/missing")}
    ported = Ported()
    with FakeBackend(ported) as backend:
        client = app(backend.url, views, user_token="required")
        answer = client.get("/twice", headers={"user-token": "t0"})
        assert answer.json == [200, {"at": "/get"}]
        assert answer.headers["user-token"] == "t2"
        assert answer.headers["Cache-Control"] == "no-store"
        answer = client.get("/missing", headers={"user-token": "t2"})
        assert (answer.json, answer.headers["user-token"]) == (NOBODY, "t3")
        answer = client.get("/leave", headers={"user-token": "t3"})
        assert answer.json == "t4" and "user-token" not in answer.headers
        for token in ("t3", "t4"):
            client.get("/missing", headers={"user-token": token}, status=403)


def test_what_is_no_token_and_what_has_none_around_it():
    answers = says(around("a b", response=1)), says({"user-token": "x"}), says([1])
    with FakeBackend(*answers) as backend:
        client = app(backend.url, {"get": call("/get")}, user_token="required")
        for expected in (1, {"user-token": "x"}, [1]):
            answer = client.get("/get", headers={"user-token": "t"})
            assert answer.json == [200, expected]
            assert "user-token" not in answer.headers


def test_nobody_is_known_where_there_are_no_logins():
    with FakeBackend(says(around("t1", response=1))) as backend:
        client = app(backend.url, {"get": call("/get")}, policy=False)
        answer = client.get("/get", headers={"user-token": "t0"})
        (seen,) = backend.requests
    assert answer.json == [200, 1] and "user-token" not in answer.headers
    assert seen.header("user-token") is None


@pytest.mark.parametrize(
    "options, headers, sent",
    [
        ({}, {"user-token": "t0"}, "t0"),
        ({"public": True}, {"user-token": "t0"}, None),
        ({}, {}, None),  # who is logged in: the answer goes to the browser as it is
    ],
)
def test_ported_proxies_send_what_the_client_sent(options, headers, sent):
    def view(request):
        return invoke_backend_service_as_proxy(request, "GET", "/x", **options)

    def entered(request):
        enter(request)
        return Response("in")

    with FakeBackend(Ported()) as backend:
        views = {"enter": entered, "v": view}
        client = app(backend.url, views, user_token="optional")
        client.get("/enter")
        client.get("/v", headers=headers, status="*")
        seen = backend.requests[-1]
    assert seen.target == "/x" and seen.header("user-token") == sent


def test_a_login_is_for_the_backend_where_it_was():
    """Bug: another one was sent the token, and could put its own in the place of it."""
    other = FakeBackend(says(around("other", response=1)))
    views = {"enter": enter, "other": call("/x", backend_name="b"), "at": session_token}
    with FakeBackend(Ported()) as backend, other:
        client = app(backend.url, views, more={"b": other.url})
        client.get("/enter")
        assert client.get("/other").json == [200, 1]
        assert client.get("/at").json == "t1"
    assert other.requests[0].header("user-token") is None


@pytest.mark.parametrize("known, public", [(True, False), (True, True), (False, True)])
def test_a_ported_proxy_hands_on_no_token_that_is_not_known_to_be_good(known, public):
    """Bug: where tokens come in another field, a client could name any user there."""

    def view(request):
        return invoke_backend_service_as_proxy(request, "GET", "/x", public=public)

    told = {"user_token": "optional", "field": "X-Token"} if known else {"field": None}
    with FakeBackend(says(1), says(1)) as backend:
        client = app(backend.url, {"v": view}, **told)
        client.get("/v", headers={"user-token": "forged"})
        assert backend.requests[0].header("user-token") is None
        if known and not public:
            client.get("/v", headers={"user-token": "forged", "X-Token": "t1"})
            assert backend.requests[1].header("user-token") == "t1"


def test_a_ported_proxy_leaves_tokens_to_backends_where_nobody_here_knows_them():
    def view(request):
        return invoke_backend_service_as_proxy(request, "GET", "/x")

    with FakeBackend(says(1)) as backend:
        client = app(backend.url, {"v": view}, field=None)
        client.get("/v", headers={"user-token": "theirs"})
    assert backend.requests[0].header("user-token") == "theirs"


def test_all_tokens_that_took_the_place_of_another_are_taken_back():
    def leave(request):
        for _ in range(2):
            call("/get")(request)
        revoke_user_token(request)

    with FakeBackend(Ported()) as backend:
        client = app(backend.url, {"leave": leave}, user_token="required")
        client.get("/leave", headers={"user-token": "t0"})
        for token in ("t0", "t1", "t2"):
            client.get("/leave", headers={"user-token": token}, status=403)
