"""Tokens, media types, and names of fields."""

from __future__ import annotations

import pytest

from pyramid_restproxy.grammar import TOKEN, environ_key, has_valid_port, media_type_of


@pytest.mark.parametrize("text", ["GET", "X-Team", "a1!#$%&'*+-.^_`|~"])
def test_tokens(text):
    assert TOKEN.fullmatch(text)


@pytest.mark.parametrize("text", ["", "a b", "a:b", "a\n", "é", "(a)", '"a"', "a/b"])
def test_what_is_no_token(text):
    assert not TOKEN.fullmatch(text)


@pytest.mark.parametrize(
    "name, key",
    [
        ("User-Token", "HTTP_USER_TOKEN"),
        ("content-type", "CONTENT_TYPE"),
        ("Content-Length", "CONTENT_LENGTH"),
    ],
)
def test_the_wsgi_name_of_a_field(name, key):
    assert environ_key(name) == key


@pytest.mark.parametrize(
    "value, media_type",
    [
        (None, ""),
        ("", ""),
        ("text/html", "text/html"),
        (" Text/HTML ; charset=utf-8", "text/html"),
        (";charset=utf-8", ""),
    ],
)
def test_a_media_type_has_no_parameters_and_no_case(value, media_type):
    assert media_type_of(value) == media_type


@pytest.mark.parametrize(
    "url, valid",
    [("http://a", True), ("http://a:1", True), ("http://[::1]:65535/x", True)]
    + [(f"http://a:{port}", False) for port in ("0", "65536", "x", "1:2")],
)
def test_the_port_of_a_url(url, valid):
    assert has_valid_port(url) is valid
