"""Every vector of rest.json, by its id."""

from __future__ import annotations

import pathlib
from functools import cache

import pytest

from pyramid_restproxy.testing import load_vectors
from pyramid_restproxy.testing.behaviours import check_keys
from tests.vectors import matching
from tests.vectors.rest_app import make_app

#: Vectors believed wrong, by id, with the reason in one line. None so far.
DISPUTED: dict[str, str] = {}


#: What a vector is made of.
PARTS = ["id", "area", "request", "expect", "source"]

#: What is noted inside of the application, and compared as it is.
INSIDE = ["effective_method", "matchdict", "view_called", "tween_bytes_read"]

#: What may be expected; a note is for people.
EXPECTED = [
    "status", "headers", "body_class", "body_contains", "body_not_contains",
    "tween_bytes_read_max", "variant", "note", *INSIDE,
]  # fmt: skip


def pytest_generate_tests(metafunc):
    if "vector" in metafunc.fixturenames:
        folder = pathlib.Path(metafunc.config.getoption("--vectors"))
        vectors = load_vectors(folder / "rest.json")
        metafunc.parametrize("vector", vectors, ids=[v["id"] for v in vectors])


@cache
def app_of(variant):
    return make_app(variant)


@pytest.mark.rest
def test_rest_vector(vector):
    check_keys(vector, PARTS, vector["id"])
    check_keys(vector["expect"], EXPECTED, vector["id"])
    request, expect = vector["request"], vector["expect"]
    app = app_of(expect.get("variant"))
    response, probe = matching.send(app, request)
    statuses = expect["status"]
    wanted = statuses if isinstance(statuses, list) else [statuses]
    assert response.status_int in wanted, response.text

    def get():
        return matching.send(app, {**request, "method": "GET"})[0]

    matching.check_headers(response, expect.get("headers", {}), get)
    if "body_class" in expect:
        matching.check_body(response, expect["body_class"])
    if "body_contains" in expect:
        assert expect["body_contains"] in response.text
    if "body_not_contains" in expect:
        assert expect["body_not_contains"] not in response.text
    for name in INSIDE:
        if name in expect:
            assert getattr(probe, name) == expect[name]
    if "tween_bytes_read_max" in expect:
        assert probe.tween_bytes_read <= expect["tween_bytes_read_max"]
    if probe.view_body is not None:
        assert probe.view_body == matching.body_bytes(request.get("body"))


@pytest.mark.parametrize(
    "changed",
    [
        {"exspect": {}},
        {"expect": {"status": 200, "matchdcit": {}}},
        {"request": {"method": "GET", "path": "/posts", "host": "x"}},
        {"request": {"method": "GET", "path": "/posts", "body": {"b64": "AA=="}}},
        {"expect": {"status": 200, "body_class": "yaml"}},
        {"expect": {"status": 200, "variant": "nothing"}},
        {"expect": {"status": 200, "headers": {"Vary": True}}},
    ],
    ids=str,
)
def test_what_is_not_understood_is_an_error(changed):
    request = {"method": "GET", "path": "/posts", "headers": {}, "body": None}
    vector = {"id": "v", "request": request, "expect": {"status": 200}, **changed}
    with pytest.raises(ValueError):
        test_rest_vector(vector)
