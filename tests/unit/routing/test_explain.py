"""What is explained is what happens."""

from __future__ import annotations

import pytest
from pyramid.request import Request

from pyramid_restproxy.routing.explain import decide
from tests.vectors import matching
from tests.vectors.rest_app import make_app

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

CASES = [
    ("GET", "/posts/1", {}, ""),
    ("GET", "/posts/1.json", {"Accept": "text/html"}, ""),
    ("GET", "/posts/1", {"Accept": "application/xml"}, ""),
    ("GET", "/posts/1", {"Accept": "image/png"}, ""),
    ("GET", "/posts/999", {}, ""),
    ("GET", "/nope", {}, ""),
    ("PUT", "/posts", {}, ""),
    ("OPTIONS", "/posts", {}, ""),
    ("POST", "/posts", {"Content-Type": "text/csv"}, "a,b"),
    ("POST", "/posts/1", FORM, "_method=DELETE"),
    ("POST", "/posts/1", FORM, "_method=FOO"),
    ("DELETE", "/posts/1", {}, ""),
]


@pytest.fixture(scope="module")
def app():
    return make_app()


@pytest.mark.parametrize("method, path, headers, body", CASES)
def test_explaining_agrees_with_answering(app, method, path, headers, body):
    spec = {"method": method, "path": path, "headers": headers, "body": body or None}
    response, probe = matching.send(app, spec)
    request = Request.blank(path, method=method, headers=headers)
    if body:
        request.body = body.encode()
        request.content_type = headers["Content-Type"]
    request.registry = app.registry
    decision = decide(request)
    assert decision.effective_method == probe.effective_method
    assert bool(decision.refusal) == (response.status_int >= 400 or method == "OPTIONS")
    if response.status_int == 200 and method != "OPTIONS":
        assert response.content_type == decision.chosen


@pytest.mark.parametrize(
    "method, path, headers, refusal",
    [
        ("GET", "/nope", {}, "no route"),
        ("GET", "/posts/999", {}, "404 Not Found by the factory of the route"),
        ("PUT", "/posts", {}, "method not allowed"),
        ("GET", "/posts", {"Accept": "image/png"}, "not acceptable"),
        (
            "OPTIONS",
            "/posts",
            {},
            "none: OPTIONS is answered, Allow: GET, HEAD, POST, OPTIONS",
        ),
    ],
)
def test_reasons(app, method, path, headers, refusal):
    request = Request.blank(path, method=method, headers=headers)
    request.registry = app.registry
    assert decide(request).refusal == refusal


def test_a_rejected_override():
    request = Request.blank("/posts/1", POST={"_method": "GET"})
    request.registry = make_app("on_invalid=reject").registry
    assert decide(request).refusal == "override rejected: target"


def test_an_override_that_is_switched_off():
    request = Request.blank("/posts/1", POST={"_method": "PUT"})
    request.registry = make_app("override.enabled=false").registry
    assert decide(request).effective_method == "POST"
