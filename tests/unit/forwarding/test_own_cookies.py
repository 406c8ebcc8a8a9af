"""Which cookies are the application's own, and stay here."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy, get_csrf_token
from pyramid.interfaces import IAuthenticationPolicy
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory

from pyramid_restproxy.forwarding.own_cookies import own_cookie_names
from pyramid_restproxy.testing import Answer, FakeBackend

SETS = ("session", "csrf_token", "ticket", "theirs")


def enter(request):
    request.session["user"] = "ann"
    get_csrf_token(request)
    return Response("in")


def app(url, prepare=None, part="pyramid_restproxy.forwarding", **settings):
    """Make an application that has a session, a CSRF cookie and a backend."""
    raw = {f"restproxy.{name}": value for name, value in settings.items()}
    with Configurator(settings=raw) as config:
        config.include(part)
        config.add_backend("b", url)
        config.add_proxy_route("b", "/b", "b")
        config.commit()  # what is configured afterwards counts as well
        config.set_session_factory(SignedCookieSessionFactory("secret"))
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        if prepare is not None:
            prepare(config)
        config.add_route("enter", "/enter")
        config.add_view(enter, route_name="enter")
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def passed(**options):
    """Return the names of the cookies that a backend got, and of those it could set."""
    fields = [("Set-Cookie", f"{name}=forged; Path=/") for name in SETS]
    with FakeBackend(Answer(200, fields, b"ok")) as backend:
        client = app(backend.url, **options)
        client.get("/enter")
        client.set_cookie("ticket", "1")
        client.set_cookie("theirs", "1")
        answer = client.get("/b")
        (seen,) = backend.requests
    sent = {each.partition("=")[0] for each in seen.header("Cookie").split("; ")}
    lines = answer.headers.getall("Set-Cookie")
    return sent, {each.partition("=")[0] for each in lines}


@pytest.mark.parametrize("part", ["pyramid_restproxy.forwarding", "pyramid_restproxy"])
def test_the_session_and_the_csrf_token_went_to_every_backend(part):
    """Which could use them at the gateway, and could set them as well."""
    sent, set_by_it = passed(part=part)
    assert sent == set_by_it == {"ticket", "theirs"}


def test_more_names_stay_here_and_some_pass_all_the_same():
    options = {"own_cookies": "ticket, other", "shared_cookies": "session"}
    sent, set_by_it = passed(**options)
    assert sent == set_by_it == {"session", "theirs"}


def test_the_ticket_of_an_authentication_policy():
    class Policy:
        class cookie:
            cookie_name = "ticket"

    def prepare(config):
        config.registry.registerUtility(Policy(), IAuthenticationPolicy)

    sent, set_by_it = passed(prepare=prepare)
    assert sent == set_by_it == {"theirs"}


def test_parts_that_name_no_cookie():
    config = Configurator()
    assert own_cookie_names(config.registry) == frozenset()
    config.set_session_factory(lambda request: {})
    config.commit()
    assert own_cookie_names(config.registry) == frozenset()


@pytest.mark.parametrize(
    "names, known",
    [("auth_tkt", {"auth_tkt"}), (["a", "b"], {"a", "b"}), (None, set())],
)
def test_a_policy_names_one_cookie_or_several_or_none(names, known):
    """Bug: of one name the letters were taken, and that cookie went to the backends."""

    class Policy:
        cookie_names = names

    with Configurator() as config:
        config.set_security_policy(Policy())
        config.commit()
        assert own_cookie_names(config.registry) == known


def test_a_backend_that_is_added_later_may_have_a_cookie_of_its_own():
    with FakeBackend(Answer(), Answer()) as backend:
        config = Configurator(autocommit=True)
        config.include("pyramid_restproxy.forwarding")
        config.add_backend("b", backend.url)
        config.add_proxy_route("b", "/b", "b")
        client = webtest.TestApp(config.make_wsgi_app())
        client.get("/b")
        config.add_backend("d", [backend.url, "http://127.0.0.1:1"], affinity="cookie")
        client.get("/b", headers={"Cookie": "restproxy_d=x; a=b"})
        assert backend.requests[1].header("Cookie") == "a=b"
