"""Users, tokens and logins with a backend, a Redis, and several gateways."""

from __future__ import annotations

import json
import threading

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy, get_csrf_token
from pyramid.response import Response
from pyramid.viewderivers import INGRESS

from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.exposed import needs_csrf
from pyramid_restproxy.trust.login import (
    BackendLoginPolicy,
    local_path,
    login,
    logout,
    logout_everywhere,
)
from pyramid_restproxy.trust.session_tokens import (
    keep_session_token,
    send_session_token,
)
from pyramid_restproxy.trust.tokens import set_token_validator, user_token_view
from pyramid_restproxy.trust.validators import backend_validator
from tests.redis import redis_server


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory, need):
    need("redis-server")
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


class Service:
    """A backend with users: it lets them in, knows their tokens, and changes them."""

    def __init__(self):
        self.tokens = {}
        self.validated = 0
        self.lock = threading.Lock()

    def __call__(self, request):
        with self.lock:
            if request.target == "/login":
                return self.log_in(json.loads(request.body))
            if request.target == "/validate":
                self.validated += 1
                return self.known(json.loads(request.body)["token"])
            return self.serve(request)

    def log_in(self, credentials):
        if credentials.get("password") != "s3cret":
            return says({"message": "no such user, or another password"}, 401)
        user = credentials["username"]
        token = f"{user}-1"
        self.tokens[token] = user
        return says({"user": user, "permissions": ["read"], "token": token})

    def known(self, token):
        if token not in self.tokens:
            return says({}, 403)
        return says({"user": self.tokens[token]})

    def serve(self, request):
        token = request.header("user-token")
        user = self.tokens.pop(token, None)
        if user is None:
            return says({"user": None})
        fresh = f"{user}-{int(token.rpartition('-')[2]) + 1}"
        self.tokens[fresh] = user
        return says({"user": user, "with": token}, 200, ("user-token", fresh))


def says(value, status=200, *fields):
    body = json.dumps(value).encode()
    return Answer(status, [("Content-Type", "application/json"), *fields], body)


def login_view(request):
    found = login(
        request,
        username=request.POST.get("username", ""),
        password=request.POST.get("password", ""),
    )
    if found is None:
        return Response("no", status=403)
    return Response(status=303, location=local_path(request.POST.get("next")))


def logout_view(request):
    logout(request)
    return Response("bye")


def everywhere_view(request):
    logout_everywhere(request, request.authenticated_userid)
    return Response("bye")


def gateway(url, settings=None, login_options=None):
    """Make a gateway with a login, CSRF protection, and routes of both kinds."""
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.add_view_deriver(
            user_token_view, "user_token", under=INGRESS, over="secured_view"
        )
        config.add_backend("users", url, retries=0)
        config.set_security_policy(BackendLoginPolicy("users", **(login_options or {})))
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        config.set_default_csrf_options(require_csrf=True, callback=needs_csrf)
        set_token_validator(config, backend_validator("users", "/validate"))
        views = {
            "login": login_view,
            "logout": logout_view,
            "everywhere": everywhere_view,
            "csrf": lambda request: Response(get_csrf_token(request)),
            "who": lambda request: Response(str(request.authenticated_userid)),
        }
        for name, view in views.items():
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name)
        config.add_proxy_route(
            "mine",
            "/mine/*tail",
            "users",
            permission="read",
            request_transforms=[send_session_token()],
            response_transforms=[keep_session_token()],
        )
        config.add_proxy_route("api", "/api/*tail", "users", user_token="required")
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def backend(service):
    with FakeBackend(service) as backend:
        yield backend


def log_in(client, user="ann", password="s3cret", status=303, **more):
    csrf = client.get("/csrf").text
    form = {"username": user, "password": password, "csrf_token": csrf, **more}
    return client.post("/login", form, status=status)


def test_a_form_and_where_it_leads(backend):
    client = gateway(backend.url)
    log_in(client, password="wrong", status=403)
    assert log_in(client, next="/who").location == "http://localhost/who"
    assert client.get("/who").text == "ann"
    assert log_in(client, next="//evil.example").location == "http://localhost/"


def test_forwarding_for_who_is_logged_in(backend, service):
    client = gateway(backend.url)
    client.get("/mine/x", status=403)
    log_in(client)
    for number in (1, 2, 3):
        answer = client.get("/mine/x")
        assert answer.json == {"user": "ann", "with": f"ann-{number}"}
        assert "user-token" not in answer.headers
    assert list(service.tokens) == ["ann-4"]
    assert all(
        "restproxy_login" not in (seen.header("Cookie") or "")
        for seen in backend.requests
    )


def test_no_forwarded_post_by_another_site(backend):
    client = gateway(backend.url)
    log_in(client)
    before = len(backend.requests)
    client.post("/mine/x", status=400)
    assert len(backend.requests) == before
    token = client.get("/csrf").text
    assert client.post("/mine/x", headers={"X-CSRF-Token": token}).json["user"] == "ann"


def test_no_login_by_another_site(backend):
    client = gateway(backend.url)
    form = {"username": "eve", "password": "s3cret"}
    client.post("/login", form, status=400)
    assert backend.requests == []


def test_a_token_needs_no_csrf_token(backend, service):
    service.tokens["t"] = "bob"
    client = gateway(backend.url)
    client.post("/api/x", headers={"user-token": "t"})
    client.post("/api/x", headers={"user-token": "bad"}, status=403)
    client.post("/api/x", status=401)
    assert service.validated == 2
    forwarded = [seen for seen in backend.requests if seen.target == "/x"]
    assert [seen.header("user-token") for seen in forwarded] == [None]


def test_a_login_does_not_stand_for_a_token(backend):
    client = gateway(backend.url)
    log_in(client)
    client.get("/api/x", status=401)


def test_two_gateways_share_logins_and_tokens(backend, service, redis_url):
    settings = {"restproxy.store": redis_url}
    here, there = (gateway(backend.url, settings) for _ in range(2))
    log_in(here)
    cookie = {"Cookie": f"restproxy_login={here.cookies['restproxy_login']}"}
    assert there.get("/who", headers=cookie).text == "ann"
    assert there.get("/mine/x", headers=cookie).json["with"] == "ann-1"
    assert here.get("/mine/x").json["with"] == "ann-2"  # renewed by the other one
    csrf = here.get("/csrf").text
    here.post("/logout", headers={"X-CSRF-Token": csrf})
    assert there.get("/who", headers=cookie).text == "None"
    service.tokens["t"] = "bob"
    for client in (here, there):
        client.get("/api/x", headers={"user-token": "t"})
    assert service.validated == 1


def test_all_logins_of_a_user_end_at_all_gateways(backend, redis_url):
    settings = {"restproxy.store": redis_url}
    phone, laptop, other = (gateway(backend.url, settings) for _ in range(3))
    for client, user in ((phone, "kim"), (laptop, "kim"), (other, "lee")):
        log_in(client, user)
    csrf = phone.get("/csrf").text
    phone.post("/everywhere", headers={"X-CSRF-Token": csrf})
    found = [client.get("/who").text for client in (phone, laptop, other)]
    assert found == ["None", "None", "lee"]
    laptop.get("/mine/x", status=403)
    log_in(laptop, "kim")
    assert laptop.get("/who").text == "kim"


def test_what_redis_holds(backend, redis_url):
    import redis

    client = gateway(backend.url, {"restproxy.store": redis_url})
    log_in(client, "zoe")
    session_id = client.cookies["restproxy_login"]
    server = redis.Redis.from_url(redis_url)
    keys = server.keys("restproxy:trust:login:*")
    values = [json.loads(server.get(key)) for key in keys]
    assert "zoe" in [value["identity"]["user"] for value in values]
    assert session_id.encode() not in b"".join(keys)
    assert "s3cret" not in str(values) and session_id not in str(values)
    assert all(0 < server.ttl(key) <= 1800 for key in keys)
    server.close()


def test_redis_is_gone(backend, tmp_path, need, service):
    need("redis-server")
    service.tokens["t"] = "bob"
    with redis_server(tmp_path) as url:
        client = gateway(backend.url, {"restproxy.store": url})
        log_in(client)
        assert client.get("/who").text == "ann"
    assert client.get("/who", status=503).json["status"] == 503
    client.post("/login", {"csrf_token": "x"}, status=400)
    # whoever has a token is asked about at the backend
    assert client.get("/api/x", headers={"user-token": "t", "Cookie": ""})


def test_many_at_once(backend, service):
    """Each of eight users sees what is theirs."""
    app = gateway(backend.url).app
    found = {}

    def visit(user):
        client = webtest.TestApp(app, lint=False)
        log_in(client, user)
        found[user] = [client.get("/mine/x").json["user"] for _ in range(5)]

    users = [f"user{number}" for number in range(8)]
    threads = [threading.Thread(target=visit, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {user: [user] * 5 for user in users}
