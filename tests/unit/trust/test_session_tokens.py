"""The backend's token of who is logged in."""

from __future__ import annotations

import json

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.login import BackendLoginPolicy, login
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.session_tokens import (
    keep_session_token,
    send_session_token,
    session_token,
    unwrap,
)

NOW = 1_790_000_000.0
LATER = "2026-09-21T15:13:20Z"  # NOW + 3600


class Clock:
    now = NOW

    def __call__(self):
        return self.now


def says(value, *fields, status=200):
    body = json.dumps(value).encode()
    return Answer(status, [("Content-Type", "application/json"), *fields], body)


LOGIN = says({"user": "ann", "token": "first", "expires": NOW + 60})


@pytest.fixture
def clock():
    return Clock()


def app(url, clock):
    def login_view(request):
        login(request, username="ann", password="x")
        return Response("ok")

    def ask(request):
        return {"found": unwrap(request, request.backend("b").get("/data"))}

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", url, retries=0)
        store = MemoryStore(clock=clock)
        config.set_security_policy(BackendLoginPolicy("b", store=store, clock=clock))
        views = {
            "login": login_view,
            "ask": ask,
            "token": lambda request: {"found": session_token(request)},
        }
        for name, view in views.items():
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name, renderer="json")
        config.add_proxy_route(
            "api",
            "/api/*tail",
            "b",
            request_transforms=[send_session_token()],
            response_transforms=[keep_session_token()],
        )
        return webtest.TestApp(config.make_wsgi_app())


def token_of(client):
    return client.get("/token").json["found"]


# -- forwarded routes ------------------------------------------------------------------


def test_the_token_goes_to_the_backend_and_nothing_of_ours(clock):
    with FakeBackend(LOGIN, says("ok")) as backend:
        client = app(backend.url, clock)
        client.get("/login")
        cookie = f"restproxy_login={client.cookies['restproxy_login']}; other=1"
        client.get("/api/x", headers={"user-token": "forged", "Cookie": cookie})
        seen = backend.requests[-1]
    assert seen.header("user-token") == "first"
    assert seen.header("Cookie") == "other=1"


def test_nobody_is_logged_in(clock):
    with FakeBackend(says("ok")) as backend:
        client = app(backend.url, clock)
        client.get("/api/x", headers={"user-token": "forged"})
        (seen,) = backend.requests
    assert seen.header("user-token") is None
    assert token_of(client) is None


def test_a_new_token_is_kept_and_not_shown(clock):
    fields = [("User-Token", "second"), ("Expiration-Date", LATER)]
    with FakeBackend(LOGIN, says("a", *fields), says("b")) as backend:
        client = app(backend.url, clock)
        client.get("/login")
        answer = client.get("/api/x")
        assert answer.json == "a"
        assert "User-Token" not in answer.headers
        assert "Expiration-Date" not in answer.headers
        assert token_of(client) == "second"
        clock.now += 120
        client.get("/api/x")
        assert backend.requests[-1].header("user-token") == "second"


@pytest.mark.parametrize("token", ["a b", "", "x" * 8193])
def test_what_is_no_token_is_not_kept(clock, token):
    with FakeBackend(LOGIN, says("a", ("User-Token", token))) as backend:
        client = app(backend.url, clock)
        client.get("/login")
        assert "User-Token" not in client.get("/api/x").headers
        assert token_of(client) == "first"


def test_a_time_that_cannot_be_read(clock):
    fields = [("User-Token", "second"), ("Expiration-Date", "soon")]
    with FakeBackend(LOGIN, says("a", *fields)) as backend:
        client = app(backend.url, clock)
        client.get("/login")
        client.get("/api/x")
        assert token_of(client) == "second"
        clock.now += 60  # as it was before
        assert token_of(client) is None


def test_a_new_token_for_nobody(clock):
    with FakeBackend(says("a", ("User-Token", "second"))) as backend:
        client = app(backend.url, clock)
        assert "User-Token" not in client.get("/api/x").headers
        assert token_of(client) is None


# -- calls of views --------------------------------------------------------------------


def test_what_is_around_an_answer(clock):
    around = {
        "user-token": "second",
        "expiration-date": NOW + 3600,
        "response": {"data": 1},
    }
    with FakeBackend(LOGIN, says(around)) as backend:
        client = app(backend.url, clock)
        client.get("/login")
        assert client.get("/ask").json == {"found": {"data": 1}}
        assert token_of(client) == "second"
        clock.now += 120
        assert token_of(client) == "second"


def test_a_new_token_around_an_error_was_lost(clock):
    error = {"error": {"code": 4711, "message": "nobody"}}
    around = {"user-token": "second", "expiration-date": LATER, **error}
    with FakeBackend(LOGIN, says(around, status=404)) as backend:
        client = app(backend.url, clock)
        client.get("/login")
        assert client.get("/ask").json == {"found": error}
        assert token_of(client) == "second"


@pytest.mark.parametrize(
    "answer, found",
    [
        (says({"data": 1}), {"data": 1}),
        (says({"error": 1, "user-token": "x"}), {"error": 1, "user-token": "x"}),
        (says([1]), [1]),
        (Answer(204), None),
        (says({"response": 1, "user-token": "x"}, status=500), "as it is"),
    ],
)
def test_answers_of_another_form(clock, answer, found):
    with FakeBackend(LOGIN, answer) as backend:
        client = app(backend.url, clock)
        client.get("/login")
        asked = client.get("/ask").json["found"]
        assert asked == (json.loads(answer.body) if found == "as it is" else found)
        assert token_of(client) == "first"


def test_an_answer_without_a_token(clock):
    with FakeBackend(LOGIN, says({"response": 1})) as backend:
        client = app(backend.url, clock)
        client.get("/login")
        assert client.get("/ask").json == {"found": 1}
        assert token_of(client) == "first"
