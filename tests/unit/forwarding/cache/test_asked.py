"""What makes two requests the same, and what a request changes."""

from __future__ import annotations

import io

import pytest

from pyramid_restproxy.forwarding.cache.asked import (
    Asked,
    changed_by,
    detached,
    resource_of,
    uncached,
)
from pyramid_restproxy.routing.override import ORIGINAL
from tests.unit.forwarding.cache.calls import DESTINATION, answer, call


def place(made, scope=""):
    return resource_of(made, made.path, made.query, scope)


def test_equal_requests_have_one_place():
    one = call("/x?a=1", fields=[("Accept", "a"), ("X-Forwarded-For", "1")])
    other = call("/x?a=1", fields=[("Accept", "b")], method="HEAD")
    assert place(one) == place(other)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(call("/y"), id="path"),
        pytest.param(call("/%78"), id="path-as-sent"),
        pytest.param(call("/x?a"), id="query"),
        pytest.param(call(environ={"HTTP_HOST": "evil"}), id="host"),
        pytest.param(call(environ={"wsgi.url_scheme": "https"}), id="scheme"),
        *(
            pytest.param(call(fields=[(name, "evil")]), id=name)
            for name in ("X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix")
        ),
    ],
)
def test_what_a_backend_can_see_is_in_the_key(other):
    assert place(call("/x")) != place(other)


def test_the_host_that_is_sent_is_in_the_key():
    """CACHE-02: X-Forwarded-Host of a trusted proxy is reflected, so it is keyed."""
    other = call("/x")
    other.headers.set("X-Forwarded-Host", "evil")
    assert place(call("/x")) != place(other)


def test_of_forwarded_the_client_is_not_in_the_key():
    def forwarded(value):
        return place(call(fields=[("Forwarded", value)]))

    one = forwarded('for=192.0.2.1;host=a;proto=https, FOR="[::1]:2";by=_b')
    assert one == forwarded("for=192.0.2.9;host=a;proto=https, for=a;by=_c")
    assert one != forwarded("for=192.0.2.1;host=evil;proto=https, for=a;by=_b")


def test_backends_and_scopes_are_apart():
    other = call("/x")
    other.backend.name = "c"
    assert place(call("/x")) != place(other)
    assert place(call("/x"), "a") != place(call("/x"), "b")


def test_path_and_query_are_not_run_together():
    assert place(call("/x?y")) != place(call("/xy"))


@pytest.mark.parametrize(
    "made, expected",
    [
        pytest.param(call(), None, id="get"),
        pytest.param(call(method="HEAD"), None, id="head"),
        pytest.param(call(method="PUT"), "method", id="put"),
        pytest.param(call(body=b"a", length=1), "bypass", id="CACHE-02-body"),
        pytest.param(call(length=None), "bypass", id="CACHE-02-body-of-any-length"),
        pytest.param(
            call(environ={ORIGINAL: "POST"}), "bypass", id="CACHE-02-override"
        ),
        pytest.param(
            call(environ={"REQUEST_METHOD": "POST"}), "bypass", id="CACHE-02-changed"
        ),
        pytest.param(
            call(fields=[("X-Original-URL", "/")]), "bypass", id="CACHE-02-url"
        ),
    ],
)
def test_uncached(made, expected):
    assert uncached(made) == expected


def test_an_authorization_that_a_transform_took_out_counts():
    made = call(environ={"HTTP_AUTHORIZATION": "Bearer a"})
    asked = Asked.of(made, "")
    assert ("Authorization", "Bearer a") in asked.client_fields
    assert asked.fields == made.headers.pairs
    assert Asked.of(call(), "").client_fields == call().headers.pairs


def changed(made, **fields):
    named = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return changed_by(made, answer(fields=named))


def test_what_a_call_changes_is_its_target():
    made = call("/x?a=1", method="PUT")
    assert changed(made, Location="/y") == {("/x", "a=1")}


@pytest.mark.parametrize(
    "value, expected",
    [
        ("http://backend:8080/base/y?z", {("/base/y", "z"), ("/y", "z")}),
        ("https://public/api/y", {("/api/y", ""), ("/y", "")}),
        ("/base/y", {("/base/y", ""), ("/y", "")}),
        ("y", {("/base/y", ""), ("/y", "")}),
        ("http://elsewhere/base/y", set()),
        ("http://[", set()),
    ],
)
def test_what_location_names_is_changed_4_4(value, expected):
    made = call("/x", method="POST", destination=DESTINATION)
    assert changed(made, Location=value) == {("/x", ""), *expected}
    assert changed(made, Content_Location=value) == {("/x", ""), *expected}


@pytest.mark.parametrize("value", ["/base/v2/other", "http://public/api/other"])
def test_what_stands_in_the_place_of_the_prefix_counts_for_location(value):
    made = call("/v2/x", destination=DESTINATION, base="/v2")
    assert ("/v2/other", "") in changed(made, Location=value)


def test_a_detached_request_has_nothing_of_the_client_but_its_words():
    stream, hook = io.BytesIO(b"body"), object()
    made = call(
        method="HEAD",
        fields=[
            ("Accept", "a"),
            ("If-None-Match", '"1"'),
            ("If-Modified-Since", "x"),
            ("Cache-Control", "max-stale"),
            ("Pragma", "a"),
        ],
        environ={"wsgi.input": stream, "CONTENT_LENGTH": "4", "a.hook": hook},
        attributes={"a": hook},
        destination=DESTINATION,
    )
    made.request.registry = registry = object()
    asked = Asked.of(made, "")
    copy = detached(asked)
    assert copy.resource == asked.resource
    assert copy.fields == [("X-Forwarded-Host", "public"), ("Accept", "a")]
    assert copy.call.headers.pairs == copy.fields
    assert copy.call.headers.pairs is not copy.fields
    assert dict(copy.directives) == {}
    assert copy.call.method == copy.call.request.method == "GET"
    assert copy.call.request.registry is registry
    environ = copy.call.request.environ
    assert environ is not made.request.environ
    assert environ["wsgi.input"].read() == b""
    assert "a.hook" not in environ and "CONTENT_LENGTH" not in environ
    assert copy.call.attributes == {} and copy.call.destination is None
    assert place(copy.call) == asked.resource
    assert stream.read() == b"body"
    assert made.method == "HEAD" and len(made.headers) == 6


def test_a_question_mark_without_a_query_is_not_in_the_key():
    assert uncached(call("/x")) is None
    assert uncached(call("/x", empty_query=True)) == "bypass"
