"""Destinations are checked when they are given."""

from __future__ import annotations

import pytest
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.forwarding.destination import Destination


@pytest.mark.parametrize(
    "url, authority, base, query",
    [
        ("http://h", "h", "", ""),
        ("http://h:8000/", "h:8000", "", ""),
        ("https://h/base/?a=1", "h", "/base", "a=1"),
        ("http://[::1]:8000/x", "[::1]:8000", "/x", ""),
        ("http+unix://%2Frun%2Fb.sock/x", "localhost", "/x", ""),
    ],
)
def test_destinations(url, authority, base, query):
    found = Destination.parse("b", url)
    assert (found.authority, found.base_path, found.query) == (authority, base, query)


@pytest.mark.parametrize(
    "url, says",
    [
        ("ftp://h", "must begin"),
        ("h:8000", "must begin"),
        ("http://", "no host"),
        ("http:///x", "no host"),
        ("http://h/#x", "fragment"),
        ("http://h/a b", "percent-encoded"),
        ("http://h/caf\xe9", "percent-encoded"),
        ("http://h:99999", "port"),
        ("http://h:x", "port"),
        ("http://h:0", "port"),
        ("http://[::1", "'users': the host"),
        ("http://h/../x", "dot segment"),
        ("http://h/%2E%2e/x", "dot segment"),
        ("http://h/%zz", "escape"),
        ("http://h/x%00", "control character"),
        ("http+unix://%2Frun%2Fb.sock/..", "dot segment"),
        ("http://h,", "comma"),
        ("http://h/x,", "comma"),
        ("http://h,http://i", "comma"),
        (7, "not a URL"),
    ],
)
def test_what_is_no_destination(url, says):
    with pytest.raises(ConfigurationError, match=says):
        Destination.parse("users", url)


@pytest.mark.parametrize("host", ["h", "[::1", "h\u2100"])
def test_a_password_is_refused_and_not_repeated(host):
    with pytest.raises(ConfigurationError) as caught:
        Destination.parse("users", f"http://ann:secret@{host}/")
    assert "secret" not in str(caught.value)
    assert "'users'" in str(caught.value)
