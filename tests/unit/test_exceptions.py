from __future__ import annotations

import importlib

import pytest
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPClientError

from pyramid_restproxy import exceptions as e


@pytest.mark.parametrize(
    "error, status, headers, members",
    [
        (e.MalformedRequest("x"), 400, {}, {}),
        (e.OverrideRejected("target", "x"), 400, {}, {}),
        (
            e.MethodNotAllowed(["GET", "PUT"]),
            405,
            {"Allow": "GET, PUT"},
            {"allow": ["GET", "PUT"]},
        ),
        (
            e.NotAcceptable([{"type": "a/b", "href": "/x"}]),
            406,
            {"Vary": "Accept"},
            {"available": [{"type": "a/b", "href": "/x"}]},
        ),
        (
            e.UnsupportedMediaType("POST", ["a/b"]),
            415,
            {"Accept": "a/b"},
            {"accept": ["a/b"]},
        ),
        (
            e.UnsupportedMediaType("PATCH", ["a/b"]),
            415,
            {"Accept-Patch": "a/b"},
            {"accept": ["a/b"]},
        ),
    ],
)
def test_refusals_are_http_exceptions_with_data(error, status, headers, members):
    assert isinstance(error, e.RequestRefused) and isinstance(error, HTTPClientError)
    assert isinstance(error, e.RestProxyError)
    assert error.status_int == status
    assert headers.items() <= dict(error.headers).items()
    assert error.problem_members == members
    assert error.detail


def test_a_missing_extra_says_what_to_do():
    error = e.MissingExtra("yaml", "PyYAML", "representation 'yaml'")
    assert isinstance(error, ConfigurationError)
    assert "pip install 'pyramid_restproxy[yaml]'" in str(error)
    assert (error.extra, error.package, error.wanted_by) == (
        "yaml",
        "PyYAML",
        "representation 'yaml'",
    )


def test_an_import_that_fails_names_the_extra():
    with (
        pytest.raises(e.MissingExtra) as caught,
        e.needs("extra", "package", "this part"),
    ):
        importlib.import_module("no_such_module_of_anybody")
    assert isinstance(caught.value.__cause__, ImportError)
    assert "pyramid_restproxy[extra]" in str(caught.value)


def test_other_errors_of_a_part_stay_as_they_are():
    with pytest.raises(KeyError), e.needs("extra", "package", "this part"):
        raise KeyError("x")
