"""Every vector of rest.json, by its id."""

from __future__ import annotations

import pathlib
from functools import cache

import pytest

from pyramid_restproxy.testing import load_vectors
from tests.vectors import matching
from tests.vectors.rest_app import make_app

#: Vectors believed wrong, by id, with the reason in one line. None so far.
DISPUTED: dict[str, str] = {}


def pytest_generate_tests(metafunc):
    folder = pathlib.Path(metafunc.config.getoption("--vectors"))
    vectors = load_vectors(folder / "rest.json")
    metafunc.parametrize("vector", vectors, ids=[v["id"] for v in vectors])


@cache
def app_of(variant):
    return make_app(variant)


@pytest.mark.rest
def test_rest_vector(vector):
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
    if "body_not_contains" in expect:
        assert expect["body_not_contains"] not in response.text
    for name in ("effective_method", "matchdict", "view_called", "tween_bytes_read"):
        if name in expect:
            assert getattr(probe, name) == expect[name]
    if "tween_bytes_read_max" in expect:
        assert probe.tween_bytes_read <= expect["tween_bytes_read_max"]
    if probe.view_body is not None:
        assert probe.view_body == matching.body_bytes(request.get("body"))
