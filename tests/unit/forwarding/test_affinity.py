"""Requests that belong together go to the same destination."""

from __future__ import annotations

from collections import Counter

import pytest
import webtest
from pyramid.config import Configurator

from pyramid_restproxy.forwarding import affinity
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.testing import Answer, FakeBackend


class RemoteUser:
    def authenticated_userid(self, request):
        return request.environ.get("REMOTE_USER")

    identity = authenticated_userid

    def permits(self, request, context, permission):
        return True


@pytest.fixture
def three():
    answers = [Answer(body=name.encode()) for name in "abc"]
    with (
        FakeBackend(answers[0]) as a,
        FakeBackend(answers[1]) as b,
        FakeBackend(answers[2]) as c,
    ):
        yield a, b, c


BEHIND_PROXY = {"restproxy.trusted_proxies": "10.0.0.0/8"}


def app(backends, secret="s", settings=None, **options):
    given = {"restproxy.secret": secret, **(settings or {})}
    with Configurator(settings=given) as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", [each.url for each in backends], **options)
        config.add_proxy_route("r", "/*path", "b")
        config.set_security_policy(RemoteUser())
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def test_a_cookie_keeps_a_client_at_its_destination(three):
    client = app(three, affinity="cookie")
    first = client.get("/", extra_environ={"wsgi.url_scheme": "https"})
    assert "HttpOnly; SameSite=Lax; Secure" in first.headers["Set-Cookie"]
    client.set_cookie("restproxy_b", first.headers["Set-Cookie"].split("=")[1][:24])
    client.set_cookie("own", "1")
    again = [client.get("/") for _ in range(4)]
    assert {each.body for each in again} == {first.body}
    assert not any("Set-Cookie" in each.headers for each in again)


@pytest.mark.parametrize(
    "peer, said, secure",
    [("10.0.0.1", "https", True), ("10.0.0.1", "", False), ("6.6.6.6", "https", False)],
)
def test_the_cookie_is_for_https_where_a_trusted_proxy_has_it(
    three, peer, said, secure
):
    client = app(three, affinity="cookie", settings=BEHIND_PROXY)
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_PROTO": said}
    cookie = client.get("/", extra_environ=environ).headers["Set-Cookie"]
    assert cookie.endswith("; Secure") is secure


def test_the_cookie_is_not_the_backends(three):
    client = app(three, affinity="cookie")
    client.get("/", headers={"Cookie": "restproxy_b=x; own=1"})
    seen = [request for backend in three for request in backend.requests]
    assert seen[0].header("Cookie") == "own=1"


def test_a_cookie_of_others_that_is_not_utf_8_hurts_nobody(three):
    environ = {"HTTP_COOKIE": "other=\x80"}
    assert (
        "Set-Cookie"
        in app(three, affinity="cookie").get("/", extra_environ=environ).headers
    )


@pytest.mark.parametrize("forged", ["x", "", "\xe9"])
def test_a_forged_cookie_leads_nowhere_in_particular(three, forged):
    client = app(three, affinity="cookie")
    for _ in range(3):
        answer = client.get("/", headers={"Cookie": f"restproxy_b={forged}"})
        client.reset()
        assert "Set-Cookie" in answer.headers
    assert [len(each.requests) for each in three] == [1, 1, 1]


def test_marks_depend_on_the_secret_and_show_no_address():
    mark = affinity.endpoint_mark(b"1", "b", "http://10.0.0.5")
    assert mark != affinity.endpoint_mark(b"2", "b", "http://10.0.0.5")
    assert "10.0.0.5" not in mark


def test_by_header(three):
    client = app(three, affinity="header:X-Tenant")
    bodies = {
        name: {client.get("/", headers={"X-Tenant": name}).body for _ in range(3)}
        for name in map(str, range(12))
    }
    assert all(len(found) == 1 for found in bodies.values())
    assert len(set().union(*bodies.values())) > 1
    spread = Counter(client.get("/").body for _ in range(6))  # without it: in turn
    assert set(spread.values()) == {2}


def test_by_user(three):
    client = app(three, affinity="user")
    bodies = {client.get("/", extra_environ={"REMOTE_USER": "ann"}).body for _ in "123"}
    assert len(bodies) == 1


@pytest.mark.parametrize("lost, status", [("redistribute", 200), ("refuse", 503)])
def test_when_the_destination_is_gone(three, lost, status):
    client = app(three, affinity="cookie", affinity_lost=lost)
    client.get("/")
    endpoints = client.app.registry.getUtility(IGateway).backends["b"].endpoints
    for endpoint in endpoints:
        endpoint.enabled = False
    endpoints[1].enabled = True
    endpoints[1].weight = 1
    for _ in range(2):
        cookie = "restproxy_b=" + affinity.endpoint_mark(b"s", "b", endpoints[0].url)
        client.reset()
        client.get("/", headers={"Cookie": cookie}, status=status)


def test_a_client_without_a_cookie_is_never_refused(three):
    client = app(three, affinity="cookie", affinity_lost="refuse")
    assert client.get("/").status_code == 200


def test_the_cookie_of_one_backend_is_neither_shown_to_nor_set_by_another():
    cookie = Answer(headers=[("Set-Cookie", "restproxy_a=evil"), ("X-A", "b")])
    with FakeBackend(cookie) as fake, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("a", fake.url, affinity="cookie")
        config.add_backend("b", fake.url)
        config.add_proxy_route("b", "/*path", "b")
        client = webtest.TestApp(config.make_wsgi_app())
        answer = client.get("/x", headers={"Cookie": "restproxy_a=1; mine=2"})
        assert fake.requests[0].header("Cookie") == "mine=2"
        assert "Set-Cookie" not in answer.headers
