"""Calls from views, and the functions for ported code."""

from __future__ import annotations

import json

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy import (
    Failure,
    invoke_backend_service,
    invoke_backend_service_as_proxy,
    service_url,
)
from pyramid_restproxy.exceptions import MalformedRequest
from pyramid_restproxy.forwarding import client
from pyramid_restproxy.testing import Answer, FakeBackend

JSON = [("Content-Type", "application/json")]


def answer(data, status=200):
    return Answer(status, JSON, json.dumps(data).encode())


@pytest.fixture
def request_to():
    def make(url, **options):
        with Configurator() as config:
            config.include("pyramid_restproxy")
            config.add_backend("default", url, **options)
            config.make_wsgi_app()
        request = Request.blank("/")
        request.registry = config.registry
        return request

    return make


@pytest.mark.parametrize(
    "path, params, url",
    [
        ("/get_user", {"name": "a&b=c#d é"}, "/get_user?name=a%26b%3Dc%23d+%C3%A9"),
        ("/x?y=1", {"a": [1, 2]}, "/x?y=1&a=1&a=2"),
        ("/x", None, "/x"),
        ("/x", [("a", 1), ("a", 2)], "/x?a=1&a=2"),
    ],
)
def test_service_urls_are_escaped(path, params, url):
    assert service_url(path, params) == url


def test_a_call_and_its_result(request_to):
    with FakeBackend(answer({"id": 7})) as backend:
        calls = client.backend(request_to(backend.url), "default")
        result = calls.get("/users", params={"name": "ann"}, headers={"X-A": "1"})
        assert (result.ok, result.status, result.data) == (True, 200, {"id": 7})
        assert result.headers["Content-Type"] == "application/json"
        seen = backend.requests[0]
        assert seen.target == "/users?name=ann"
        assert seen.header("Accept") == "application/json"
        assert seen.header("X-A") == "1"


@pytest.mark.parametrize(
    "label, content, data",
    [
        ("", "é".encode(), "é"),
        ("iso-8859-1", b"\xe9 \x80", "é €"),  # windows-1252 to browsers
        ("koi8-r", b"\xc1", "а"),
        ("utf-7", b"+AGE-", b"+AGE-"),
        ("unicode_escape", b"\\x41", b"\\x41"),  # a codec of Python, and no charset
    ],
)
def test_text_is_read_in_a_charset_and_no_other_codec(request_to, label, content, data):
    fields = [
        ("Content-Type", f"text/plain; charset={label}".removesuffix("; charset="))
    ]
    with FakeBackend(Answer(200, fields, content)) as backend:
        calls = client.backend(request_to(backend.url), "default")
        assert calls.get("/text").data == data


@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_json_goes_up(request_to, method):
    with FakeBackend(answer(None, 201)) as backend:
        calls = client.backend(request_to(backend.url), "default")
        result = getattr(calls, method)("/users", {"a": 1})
        seen = backend.requests[0]
    assert (result.status, result.data) == (201, None)
    assert (seen.method, seen.body) == (method.upper(), b'{"a": 1}')
    assert seen.header("Content-Type") == "application/json"


def test_bytes_and_delete(request_to):
    with FakeBackend(Answer(204)) as backend:
        calls = client.backend(request_to(backend.url), "default")
        assert calls.delete("/users/7").data is None
        calls.request("PUT", "/x", data=b"raw")
        assert backend.requests[1].body == b"raw"


@pytest.mark.parametrize(
    "headers, body, data",
    [
        ([("Content-Type", "text/plain")], b"caf\xc3\xa9", "café"),
        ([("Content-Type", "text/plain")], b"\xff", b"\xff"),
        ([("Content-Type", "application/vnd.x+json")], b"[1]", [1]),
        (JSON, b"{broken", b"{broken"),
        ([("Content-Type", "image/png")], b"\x89", b"\x89"),
        ([], b"x", b"x"),
    ],
)
def test_contents(request_to, headers, body, data):
    with FakeBackend(Answer(200, headers, body)) as backend:
        assert client.backend(request_to(backend.url), "default").get("/").data == data


@pytest.mark.parametrize(
    "path", ["/plain", "/get%20user", "/k%C3%A4se/7", "/k%C3%A4se/%41", "/plain?x=1"]
)
def test_a_seal_is_for_the_path_as_the_service_sees_it(path):
    """Bug: it was bound to escapes and to the query, and no service could open it."""
    with FakeBackend(Answer(204)) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_sealing_key("k", b"s" * 32)
        config.add_backend("b", backend.url)
        for pattern in ("/plain", "/get user", "/käse/{id}"):
            config.add_route(pattern, pattern)
            config.add_view(
                lambda request: Response(json_body=request.sealed),
                route_name=pattern,
                sealed=True,
            )
        service = webtest.TestApp(config.make_wsgi_app())
        request = Request.blank("/")
        request.registry = config.registry
        client.backend(request, "b").get(path, params={"n": 1}, sealed=True)
        target = backend.requests[0].target
    assert target.startswith(path)
    assert service.get(target).json == {"n": 1}


def test_a_failure_is_in_the_result(request_to):
    with FakeBackend(None) as backend:
        result = client.backend(request_to(backend.url), "default").get("/")
    assert (result.ok, result.status) == (False, 0)
    assert result.error.failure is Failure.TERMINATED


def test_an_answer_that_is_too_large_is_a_failure(request_to, monkeypatch):
    monkeypatch.setattr(client, "MAX_RESULT", 10)
    with FakeBackend(Answer(body=b"x" * 11)) as backend:
        result = client.backend(request_to(backend.url), "default").get("/")
    assert result.error is not None


def test_a_path_with_dot_segments_is_refused(request_to):
    with pytest.raises(MalformedRequest):
        client.backend(request_to("http://127.0.0.1:1"), "default").get("/a/../b")


@pytest.mark.parametrize("path", ["/x#f", "/x?a#f", "/x?#", "#f"])
def test_a_fragment_does_not_go_onto_the_wire(request_to, path):
    with FakeBackend(answer(1)) as backend:
        request = request_to(backend.url)
        request.matched_route = None
        calls = client.backend(request, "default")
        for call in (
            lambda: calls.get(path),
            lambda: calls.get(path, params={"b": 1}),
            lambda: invoke_backend_service("GET", path, request=request),
            lambda: client.forward_request(request, "default", path),
        ):
            with pytest.raises(MalformedRequest):
                call()
        assert calls.get("/x%23f", params={"a": "#"}).ok
    assert [seen.target for seen in backend.requests] == ["/x%23f?a=%23"]


def test_nothing_of_the_clients_request_goes_along(request_to):
    with FakeBackend(answer(1)) as backend:
        request = request_to(backend.url)
        request.headers["Cookie"] = "secret=1"
        client.backend(request, "default").get("/")
        assert backend.requests[0].header("Cookie") is None


def test_ported_code(request_to):
    with FakeBackend(answer({"a": 1}), answer("no", 404), Answer(500), None) as backend:
        request = request_to(backend.url)
        call = invoke_backend_service
        assert call("GET", "/x", request=request) == (200, {"a": 1})
        assert call("POST", "/x", {"b": 2}, request=request) == (
            404,
            {"error": {"code": 404, "type": "BackendError", "message": "no"}},
        )
        assert call("GET", "/x", request=request)[1]["error"]["message"] == "status 500"
        status, data = call("GET", "/x", request=request)
        assert (status, data["error"]["type"]) == (502, "BackendFault")
        with pytest.raises(TypeError, match="request="):
            call("GET", "/x")


@pytest.mark.parametrize(
    "data, message",
    [
        ({"error": {"code": 1, "type": "T", "message": "nobody"}}, "nobody"),
        ({"error": "nobody"}, "nobody"),
        ({"title": "Conflict", "status": 409, "detail": "taken"}, "taken"),
        *(({"error": {"message": each}}, "status 409") for each in ("", None, 7, {})),
        *((each, "status 409") for each in ({}, {"error": None}, [], 7, None, "")),
    ],
)
def test_ported_code_is_told_what_the_backend_says_of_an_error(
    request_to, data, message
):
    """It was told the status alone."""
    with FakeBackend(answer(data, 409)) as backend:
        request = request_to(backend.url)
        status, told = invoke_backend_service("GET", "/x", request=request)
    error = {"code": 409, "type": "BackendError", "message": message}
    assert (status, told) == (409, {"error": error})


def test_ported_code_gets_what_is_in_the_envelope():
    """Without the parts that know users: it is opened, and nobody keeps the token."""
    around = {"user-token": "new", "response": [1]}
    with FakeBackend(answer(around)) as backend, Configurator() as config:
        config.include("pyramid_restproxy.forwarding")
        config.add_backend("default", backend.url)
        config.make_wsgi_app()
        request = Request.blank("/", headers={"user-token": "forged"})
        request.registry = config.registry
        assert invoke_backend_service("GET", "/x", request=request) == (200, [1])
        (seen,) = backend.requests
    assert seen.header("user-token") is None


def test_forwarding_from_a_view():
    def view(request):
        if request.params.get("how") == "ported":
            return invoke_backend_service_as_proxy(request, path="/ported")
        return request.forward("default", "/x", params={"b": 2})

    def straight(request):
        return request.forward("default")

    with FakeBackend(Answer(body=b"ok")) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("default", backend.url)
        config.add_route("v", "/v")
        config.add_view(view, route_name="v")
        config.add_route("s", "/s/*path")
        config.add_view(straight, route_name="s")
        app = webtest.TestApp(config.make_wsgi_app(), lint=False)
        assert app.get("/v?a=1").body == b"ok"
        app.get("/v?how=ported")
        app.get("/s/tail?q")
        with pytest.raises(webtest.AppError, match="400"):
            app.get("/s/a/%2e%2e/b")
    targets = [seen.target for seen in backend.requests]
    assert targets == ["/x?a=1&b=2", "/ported?how=ported", "/tail?q"]


def test_ported_code_forwards_with_a_method_and_a_body_of_its_own(request_to):
    with FakeBackend(Answer(body=b"ok")) as backend:
        request = request_to(backend.url)
        invoke_backend_service_as_proxy(request, "PUT", "/x", {"a": 1})
        invoke_backend_service_as_proxy(request, "DELETE", "/x")
    first, second = backend.requests
    assert (first.method, first.body) == ("PUT", b'{"a": 1}')
    assert first.header("Content-Type") == "application/json"
    assert (second.method, second.body) == ("DELETE", b"")


class TestRequestMethod:
    method = client.RequestMethod(lambda request, *args, **options: (args, options))

    def test_it_is_called_with_its_request(self):
        assert self.method(1, a=2) == ((1,), {"a": 2})

    def test_it_keeps_no_request_alive(self):
        class Owner:
            pass

        owner = Owner()
        bound = self.__class__.__dict__["method"].__get__(owner, Owner)
        del owner
        with pytest.raises(ReferenceError, match="gone"):
            bound()


@pytest.mark.parametrize(
    "headers, sent",
    [({}, "identity"), ({"accept-encoding": "gzip"}, "gzip")],
)
def test_results_are_not_asked_for_in_a_coding(request_to, headers, sent):
    """Without the field any coding is as good (RFC 9110 section 12.5.3)."""
    with FakeBackend(answer({"id": 7})) as backend:
        client.backend(request_to(backend.url), "default").get("/x", headers=headers)
        (seen,) = backend.requests
    assert seen.header("Accept-Encoding") == sent


def test_a_call_has_nothing_of_the_query_of_the_request(request_to):
    request = request_to("http://127.0.0.1:9")
    request.environ["REQUEST_URI"] = "/x?"
    with FakeBackend(answer({})) as backend:
        request.registry = request_to(backend.url).registry
        client.backend(request, "default").get("/y")
        assert backend.requests[0].target == "/y"
