"""The cookie of who is logged in."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.config import Configurator
from pyramid.request import Request

from pyramid_restproxy.trust.login_cookie import LoginCookie
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.sessions import LoginSessions

HTTP, HTTPS = "http://a.example/", "https://a.example/"


@pytest.fixture(scope="module")
def sent():
    settings = {"restproxy.trusted_proxies": "10.0.0.0/8"}
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")

    def sent(url, cookie="", **environ):
        request = Request.blank(url, headers={"Cookie": cookie}, environ=environ)
        request.registry = config.registry
        return request

    return sent


@pytest.mark.parametrize(
    "url, secure, value",
    [
        (HTTP, None, "plain"),
        (HTTPS, None, "host"),
        (HTTP, True, "host"),
        (HTTPS, False, "plain"),
    ],
)
def test_which_cookie_counts(sent, url, secure, value):
    request = sent(url, "sid=plain; __Host-sid=host")
    assert LoginCookie("sid", secure).read(request) == value


def test_no_cookie(sent):
    assert LoginCookie("sid").read(sent(HTTP)) == ""


def test_how_it_is_set(sent):
    assert LoginCookie("sid").set(sent(HTTP), "x") == (
        "Set-Cookie",
        "sid=x; Path=/; HttpOnly; SameSite=Lax",
    )
    _, value = LoginCookie("sid").set(sent(HTTPS), "x")
    assert value == "__Host-sid=x; Path=/; secure; HttpOnly; SameSite=Lax"


def test_how_it_is_taken_back(sent):
    _, value = LoginCookie("sid").set(sent(HTTP), None)
    assert value.startswith("sid=; Max-Age=0; Path=/; expires=")


@pytest.mark.parametrize(
    "peer, said, is_secure",
    [
        ("10.0.0.1", "https", True),
        ("10.0.0.1", "http", False),
        ("10.0.0.1", "https, http", False),
        ("192.0.2.1", "https", False),  # anybody can say so
    ],
)
def test_https_that_ends_at_a_trusted_proxy(sent, peer, said, is_secure):
    request = sent(HTTP, REMOTE_ADDR=peer, HTTP_X_FORWARDED_PROTO=said)
    _, value = LoginCookie("sid").set(request, "x")
    assert value.startswith("__Host-") is is_secure
    assert ("; secure" in value) is is_secure


def test_http_behind_a_proxy_that_was_asked_over_http(sent):
    said = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_PROTO": "http"}
    assert (
        LoginCookie("sid").names[0]
        in LoginCookie("sid").set(sent(HTTPS, **said), "x")[1]
    )


#: What servers hand on of a Cookie field: bytes as latin-1 (PEP 3333), often near a
#: cookie of ours.
COOKIES = st.one_of(
    st.text(st.characters(max_codepoint=255)),
    st.text(st.sampled_from('sid=;" \\,_-Host0123\xe9\t')),
    st.binary().map(lambda value: f"sid={value.decode('latin-1')}"),
)


@given(COOKIES)
def test_whatever_a_browser_sends_is_somebody_or_nobody(sent, value):
    found = LoginCookie("sid").read(sent(HTTP, value))
    assert isinstance(found, str)
    sessions = LoginSessions(MemoryStore(), idle=60, lifetime=60, clock=time.time)
    assert sessions.find(found) is None
