from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil

import pytest
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPClientError

import pyramid_restproxy
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


def test_a_406_that_accept_did_not_decide_does_not_vary():
    error = e.NotAcceptable([{"type": "a/b"}], by_accept=False)
    assert "Vary" not in error.headers
    assert e.NotAcceptable([{"type": "a/b"}]).by_accept and not error.by_accept


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


#: What exceptions are made of whose own ``__init__`` takes more than a text.
MADE_OF = {
    "available": [{"type": "a/b"}],
    "accepted": ["a/b"],
    "allowed": ["GET"],
    "problem": {"title": "Conflict", "detail": "taken"},
    "status": 409,
    "limit": 10,
    "size": 11,
    "reused": True,
}


def exceptions_of_the_package():
    modules = pkgutil.walk_packages(pyramid_restproxy.__path__, "pyramid_restproxy.")
    return [
        kind
        for module in modules
        if not module.name.endswith("__main__")
        for kind in vars(importlib.import_module(module.name)).values()
        if inspect.isclass(kind)
        and issubclass(kind, (e.RestProxyError, ConfigurationError))
        and kind.__module__ == module.name
    ]


def made(kind):
    if "__init__" not in vars(kind):
        return kind("what is wrong")
    names = list(inspect.signature(kind).parameters.values())
    return kind(
        **{
            each.name: MADE_OF.get(each.name, f"a {each.name}")
            for each in names
            if each.default is each.empty
        }
    )


@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))],
    ids=["copied", "copied deep", "pickled"],
)
@pytest.mark.parametrize(
    "kind", exceptions_of_the_package(), ids=lambda kind: kind.__name__
)
def test_every_exception_can_be_copied_and_sent_to_another_process(kind, again):
    """A process pool hung where one was raised: it could not be made again."""
    error = made(kind)
    found = again(error)
    assert type(found) is kind
    assert (found.args, str(found)) == (error.args, str(error))
    assert vars(found) == vars(error)


def test_what_was_added_to_an_exception_is_kept():
    error = e.MalformedRequest("x", headers=[("X-A", "1")])
    error.problem_members = {"reason": "y"}
    found = pickle.loads(pickle.dumps(error))
    assert (found.problem_members, found.headers["X-A"]) == ({"reason": "y"}, "1")
    assert found.detail == "x" and found.status_int == 400
