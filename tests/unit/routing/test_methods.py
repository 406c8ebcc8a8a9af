from __future__ import annotations

import pytest
from pyramid.config import not_
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.routing import methods
from pyramid_restproxy.routing.methods import ANY_METHOD, MethodSet


@pytest.mark.parametrize(
    "value, expected",
    [
        ("GET", ("GET", "HEAD")),
        ("get", ("GET", "HEAD")),
        (("PUT", "DELETE", "PUT"), ("DELETE", "PUT")),
        (["PROPFIND"], ("PROPFIND",)),
        ({"GET"}, ("GET", "HEAD")),
    ],
)
def test_methods_are_read_in_any_case_and_order(value, expected):
    assert methods.method_tokens(value) == expected


@pytest.mark.parametrize("value", ["", "A B", (), None, 7, ("GET", 7), "GET,POST"])
def test_what_is_no_method(value):
    with pytest.raises(ConfigurationError, match="allowed_methods="):
        methods.method_tokens(value)


def test_allow_has_a_fixed_order():
    found = {"ZAP", "OPTIONS", "DELETE", "PATCH", "PUT", "POST", "HEAD", "GET", "BREW"}
    assert methods.allow_order(found) == (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "BREW",
        "ZAP",
    )


def test_sets_of_methods():
    some, all_but = MethodSet.of("POST"), MethodSet.of(not_(("TRACE", "PUT")))
    assert "POST" in some and "PUT" not in some
    assert "POST" in all_but and "TRACE" not in all_but and "BREW" in all_but
    assert some.listed() == {"POST"}
    assert all_but.listed() == {"GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"}
    assert "ANYTHING" in ANY_METHOD
