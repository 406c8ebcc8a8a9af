"""The cookie of who is logged in."""

from __future__ import annotations

import pytest
from pyramid.request import Request

from pyramid_restproxy.trust.login_cookie import LoginCookie

HTTP, HTTPS = "http://a.example/", "https://a.example/"


def sent(url, cookie):
    return Request.blank(url, headers={"Cookie": cookie})


@pytest.mark.parametrize(
    "url, secure, value",
    [
        (HTTP, None, "plain"),
        (HTTPS, None, "host"),
        (HTTP, True, "host"),
        (HTTPS, False, "plain"),
    ],
)
def test_which_cookie_counts(url, secure, value):
    request = sent(url, "sid=plain; __Host-sid=host")
    assert LoginCookie("sid", secure).read(request) == value


def test_no_cookie():
    assert LoginCookie("sid").read(Request.blank(HTTP)) == ""


def test_how_it_is_set():
    assert LoginCookie("sid").set(Request.blank(HTTP), "x") == (
        "Set-Cookie",
        "sid=x; Path=/; HttpOnly; SameSite=Lax",
    )
    _, value = LoginCookie("sid").set(Request.blank(HTTPS), "x")
    assert value == "__Host-sid=x; Path=/; secure; HttpOnly; SameSite=Lax"


def test_how_it_is_taken_back():
    _, value = LoginCookie("sid").set(Request.blank(HTTP), "", max_age=0)
    assert value.startswith("sid=; Max-Age=0; Path=/; expires=")
