"""Hooks, mount points, second proxies and views that forward, over real sockets."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import sys
import types
from contextlib import contextmanager

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from requests.adapters import HTTPAdapter
from webob import Request

from pyramid_restproxy import ProxyView
from pyramid_restproxy.forwarding import transforms
from pyramid_restproxy.forwarding.client import (
    invoke_backend_service_as_proxy,
    service_url,
)
from pyramid_restproxy.forwarding.cors import cors_headers, cors_preflight
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.gateway import main
from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.api_keys import hash_key
from tests import wire

OK = Answer(200, [("Content-Type", "text/plain")], b"ok")
EVENTS = ("Content-Type", "text/event-stream")
#: An answer whose content does not come in one piece.
PIECES = (
    b"HTTP/1.1 404 Nope\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n3\r\n, 2\r\n1\r\n]\r\n0\r\n\r\n"
)


def application(url, configure=None, route=None, pattern="/api/*path", **options):
    """A gateway whose route leads to the backend `b`; or the routes of `configure`."""
    settings = options.pop("settings", {})
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", url, **options)
        if configure is None:
            config.add_proxy_route("r", pattern, "b", **(route or {}))
        else:
            configure(config)
        return config.make_wsgi_app()


@contextmanager
def gateway(answers, configure=None, served=(), base="", **options):
    """Serve a backend, and a gateway in front; give the backend and a function to ask.

    :param served: options of the server.
    """
    listed = answers if isinstance(answers, list) else [answers]
    with FakeBackend(*listed) as backend:
        app = application(backend.url + base, configure, **options)
        backend.app = app
        with wire.served(app, **dict(served)) as authority:
            yield backend, asking(authority)


def asking(authority):
    def ask(target="/api/x", *headers, method="GET", body=b""):
        names = {header.partition(":")[0].lower() for header in headers}
        own = [] if "host" in names else [f"Host: {authority}"]
        lines = [f"{method} {target} HTTP/1.1", *own, *headers, "Connection: close"]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        raw = "\r\n".join([*lines, "", ""]).encode() + body
        return wire.exchange(authority, raw, method)

    return ask


def in_flight(app):
    gc.collect()
    found = app.registry.getUtility(IGateway).backends["b"]
    return [each.in_flight for each in found.endpoints], found.gate.inside


# -- mounted below a path ------------------------------------------------------------


@pytest.mark.parametrize("strip", [True, False])
def test_an_escaped_slash_in_the_mount_point_does_not_move_the_cut(strip):
    route = {"strip_prefix": strip}
    with gateway(
        OK, route=route, pattern="/api/public/*path", served={"url_prefix": "/app"}
    ) as (backend, ask):
        for target in (
            "/app%2Fapi/public/admin/users",
            "/app%2Fapi%2Fpublic/admin/users",
            "/app%2fapi%2fpublic%2fadmin/users",
        ):
            assert ask(target).status == 400
        assert backend.requests == []
        assert ask("/app/api/public/a%2Fb").status == 200
    assert backend.requests[0].target == ("/a%2Fb" if strip else "/api/public/a%2Fb")


def test_a_mount_point_is_escaped_wherever_it_is_told():
    answer = Answer(302, [("Location", "/next"), ("Set-Cookie", "a=1; Path=/p")])
    change = transforms.cookie_attributes(path="prefix")
    with gateway(
        answer,
        route={"response_transforms": [change]},
        served={"url_prefix": "/my app"},
    ) as (backend, ask):
        reply = ask("/my%20app/api/x")
    assert backend.requests[0].header("X-Forwarded-Prefix") == "/my%20app/api"
    assert reply.get("Location") == "/my%20app/api/next"
    assert reply.get("Set-Cookie") == "a=1; Path=/my%20app/api/p"


def test_a_proxy_in_front_that_takes_the_mount_point_away():
    with gateway(OK, served={"url_prefix": "/app"}) as (backend, ask):
        assert ask("/api/a%2Fb").status == 200
    assert backend.requests[0].target == "/a%2Fb"
    assert backend.requests[0].header("X-Forwarded-Prefix") == "/app/api"


def test_cookies_have_the_path_of_the_client():
    answer = Answer(200, [("Set-Cookie", "a=1; Path=/base/app")], b"ok")
    with gateway(
        answer,
        base="/base",
        route={"response_transforms": [transforms.cookie_attributes(path="prefix")]},
        settings={"restproxy.trusted_proxies": "127.0.0.1"},
    ) as (_, ask):
        reply = ask("/api/x", "X-Forwarded-Prefix: /outer")
    assert reply.get("Set-Cookie") == "a=1; Path=/outer/api/app"


@pytest.mark.parametrize("route", ["path", "transform"])
def test_a_path_in_the_place_of_the_prefix_leads_back(route):
    change = {"request_transforms": [transforms.set_path("/v2/*path")]}
    with gateway(
        Answer(302, [("Location", "/v2/next"), ("Set-Cookie", "a=1; Path=/v2")]),
        route={
            **({"path": "/v2/*path"} if route == "path" else change),
            "response_transforms": [transforms.cookie_attributes(path="prefix")],
        },
    ) as (backend, ask):
        reply = ask("/api/a%2Fb//c/")
    assert backend.requests[0].target == "/v2/a%2Fb//c/"
    assert backend.requests[0].header("X-Forwarded-Prefix") == "/api"
    assert reply.get("Location") == "/api/next"
    assert reply.get("Set-Cookie") == "a=1; Path=/api"


# -- hooks ---------------------------------------------------------------------------


def view(**attributes):
    """Configure a `ProxyView` with these attributes."""
    made = type("View", (ProxyView,), {"backend": "b", **attributes})

    def configure(config):
        config.add_route("v", "/api/*path")
        config.add_view(made, route_name="v")

    return configure


@pytest.mark.parametrize(
    "body, sent",
    [
        (b"hi", b"hi"),
        (b"helloGET /admin HTTP/1.1\r\nHost: x\r\n\r\n", None),
        (b"", b""),
        (None, b""),
        (io.BytesIO(b"from a file"), b"from a file"),
    ],
    ids=["shorter", "longer", "empty", "none", "file"],
)
def test_a_body_that_a_hook_puts_there_is_framed_as_it_is(body, sent):
    def prepare_request(self, call):
        call.body = body

    with gateway(OK, view(prepare_request=prepare_request)) as (backend, ask):
        assert ask(method="POST", body=b"hello").status == 200
    (seen,) = backend.requests  # one request, and not what was hidden in it
    assert seen.body == (body if sent is None else sent)
    if isinstance(body, bytes):
        assert seen.header("Content-Length") == str(len(body))


def test_bytes_are_a_body_for_an_answer_too():
    def process_response(self, call, response):
        response.body = b"new"

    hook = view(process_response=process_response)
    with gateway([OK, PIECES, Answer(204), OK], hook, max_in_flight=1) as (
        backend,
        ask,
    ):
        assert (ask().body, in_flight(backend.app)) == (b"new", ([0], 0))
        assert (ask().body, in_flight(backend.app)) == (b"new", ([0], 0))
        bare = ask()
        assert (bare.status, bare.body, bare.get("Content-Length")) == (204, b"", None)
        assert ask(method="HEAD").get("Content-Length") == "3"


@pytest.mark.parametrize("value", ["text", b"bytes, and then an error"])
def test_a_body_that_is_none_costs_no_connection(value, caplog):
    def process_response(self, call, response):
        response.body = value
        if isinstance(value, bytes):
            raise RuntimeError

    hook = view(process_response=process_response)
    with gateway(PIECES, hook, max_in_flight=1) as (backend, ask):
        assert [ask().status for _ in range(3)] == [502, 502, 502]
        assert in_flight(backend.app) == ([0], 0)


def test_a_transform_cannot_say_how_long_a_body_is():
    change = transforms.set_response_header("Content-Length", "1")
    with gateway(OK, route={"response_transforms": [change]}) as (_, ask):
        reply = ask()
    assert (reply.get("Content-Length"), reply.body) == ("2", b"ok")


# -- answers that nobody sends -------------------------------------------------------


def forwarding(use):
    """Configure a view that forwards and does something with the answer."""

    def forwarded(request):
        return use(request.forward("b", "/x"))

    def configure(config):
        config.add_route("v", "/api/*path")
        config.add_view(forwarded, route_name="v")

    return configure


def replace_body(response):
    response.body = b"other"


def replace_json(response):
    response.json_body = {}


@pytest.mark.parametrize(
    "use",
    [
        lambda response: Response("another"),
        lambda response: replace_body(response) or response,
        lambda response: replace_json(response) or response,
        lambda response: response.encode_content() or response,
        lambda response: response.copy(),
    ],
    ids=["dropped", "body", "json_body", "encode_content", "copy"],
)
def test_an_answer_that_nobody_sends_is_given_up(use):
    with FakeBackend(PIECES) as backend:
        app = application(backend.url, forwarding(use), max_in_flight=1)
        for _ in range(3):
            assert Request.blank("/api/x").get_response(app).status_int in (200, 404)
            assert in_flight(app) == ([0], 0)


def test_an_answer_is_given_up_where_a_tween_fails(monkeypatch):
    def factory(handler, registry):
        def tween(request):
            handler(request)
            raise RuntimeError("the commit failed")

        return tween

    module = types.ModuleType("failing_tween")
    module.factory = factory
    monkeypatch.setitem(sys.modules, "failing_tween", module)

    def configure(config):
        config.add_tween("failing_tween.factory")
        config.add_proxy_route("r", "/api/*path", "b", max_in_flight=1)

    with FakeBackend(PIECES) as backend:
        app = application(backend.url, configure)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="the commit failed"):
                Request.blank("/api/x").get_response(app)
            assert in_flight(app) == ([0], 0)


# -- the cache and transforms --------------------------------------------------------


def told(name):
    """Answer with what a field of the request says, for all and for a while."""
    fields = [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")]
    return lambda seen: Answer(200, fields, seen.header(name).encode())


def test_what_is_kept_for_one_host_is_not_for_another():
    def tenant(call):
        call.headers.set("Host", call.headers.get("X-Tenant") + ".internal")

    route = {"cache": True, "request_transforms": [tenant]}
    with gateway(told("Host"), route=route) as (_, ask):
        for name in ("blue", "red", "blue"):
            reply = ask("/api/x", f"X-Tenant: {name}")
            assert reply.body == f"{name}.internal".encode()


def test_a_field_set_to_what_the_client_sent_makes_an_answer_personal():
    def user(call):
        call.headers.set("X-User", call.request.cookies["u"])

    route = {"cache": True, "request_transforms": [user]}
    with gateway(told("X-User"), route=route) as (_, ask):
        for name in ("alice", "bob"):
            reply = ask("/api/x", f"Cookie: u={name}", "X-User: alice")
            assert reply.body == name.encode()


# -- a second proxy ------------------------------------------------------------------


@pytest.mark.parametrize(
    "url, host",
    [
        ("http://backend.invalid:8001/base", "backend.invalid:8001"),
        ("http://[::1]:8001", "[::1]:8001"),
        ("http://backend.invalid", "backend.invalid"),
    ],
)
@pytest.mark.parametrize("stock", [False, True])
def test_a_second_proxy_is_asked_in_absolute_form(url, host, stock):
    with FakeBackend(OK) as proxy:
        via = proxy.url.replace("http://", "http://user:p%40ss@")
        adapter = {"adapter": HTTPAdapter()} if stock else {}
        app = application(url, via_proxy=via, **adapter)
        with wire.served(app) as authority:
            assert asking(authority)("/api/a%2Fb?x").status == 200
    (seen,) = proxy.requests
    assert seen.target == f"{url}/a%2Fb?x"
    assert seen.header("Host") == host
    credentials = base64.b64encode(b"user:p@ss").decode()
    assert seen.header("Proxy-Authorization") == f"Basic {credentials}"


def test_credentials_are_for_a_second_proxy_alone():
    with FakeBackend(OK) as proxy:
        with wire.served(application("http://a.invalid", via_proxy=proxy.url)) as own:
            asking(own)("/api/x", "Proxy-Authorization: Basic stolen")
    assert proxy.requests[0].header("Proxy-Authorization") is None


# -- views that forward, and call ------------------------------------------------------


def views(**found):
    def configure(config):
        for name, each in found.items():
            config.add_route(name, f"/{name}")
            config.add_view(each, route_name=name)

    return configure


def test_a_path_to_forward_to_may_have_a_query():
    path = service_url("/get_user", {"name": "a&b"})
    with gateway(
        OK,
        views(
            forward=lambda request: request.forward("b", path),
            invoke=lambda request: invoke_backend_service_as_proxy(
                request, "GET", path, backend_name="b"
            ),
            lists=lambda request: request.forward("b", "/x", params={"id": [1, 2]}),
            pairs=lambda request: request.forward(
                "b", "/x", params=[("id", 1), ("id", 2)]
            ),
        ),
    ) as (backend, ask):
        for target in ("/forward", "/forward?l=de", "/invoke?l=de", "/lists?id=0&a"):
            assert ask(target).status == 200
        ask("/pairs")
    assert [seen.target for seen in backend.requests] == [
        "/get_user?name=a%26b",
        "/get_user?name=a%26b&l=de",
        "/get_user?name=a%26b&l=de",
        "/x?a&id=1&id=2",
        "/x?id=1&id=2",
    ]


def test_a_call_has_one_host_and_one_length():
    headers = {"Host": "tenant.example", "Content-Length": "99", "Connection": "x"}

    def post(request):
        request.backend("b").post("/x", {"a": 1}, headers=headers)
        return Response("done")

    with gateway(OK, views(post=post)) as (backend, ask):
        assert ask("/post").body == b"done"
    names = [name.lower() for name, _ in backend.requests[0].headers]
    assert names.count("host") == names.count("content-length") == 1
    assert "connection" not in names
    assert backend.requests[0].header("Host") == "tenant.example"
    assert backend.requests[0].body == b'{"a": 1}'


DEEP = b"[" * 100_000 + b"]" * 100_000
LATIN = Answer(200, [("Content-Type", "text/plain; charset=ISO-8859-1")], b"caf\xe9")


def read(request):
    """Tell what a call gives: its data, or what went wrong."""
    found = request.backend("b").get("/x")
    said = found.error.failure.token if found.error else type(found.data).__name__
    return Response(json.dumps([said, str(found.data)[:10]]))


def test_data_that_cannot_be_read_are_bytes():
    kind = [("Content-Type", "application/json")]
    odd = Answer(200, [("Content-Type", "text/plain; charset=odd")], b"x")
    with gateway([Answer(200, kind, DEEP), LATIN, odd], views(get=read)) as (_, ask):
        assert json.loads(ask("/get").body)[0] == "bytes"
        assert json.loads(ask("/get").body) == ["str", "café"]
        assert json.loads(ask("/get").body)[0] == "bytes"


def test_a_call_is_held_to_the_limit_of_the_backend():
    answer = Answer(200, [("Content-Type", "text/plain")], b"x" * 2000)
    with gateway(answer, views(get=read), max_response_body=1000) as (backend, ask):
        assert json.loads(ask("/get").body)[0] == "http_response_body_size"
        assert in_flight(backend.app) == ([0], 0)


# -- CORS ------------------------------------------------------------------------------

ORIGIN = "Origin: https://a.example"
SHARED = {
    "request_transforms": [cors_preflight(["https://a.example"])],
    "response_transforms": [cors_headers(["https://a.example"])],
}


def test_a_preflight_has_no_credentials_and_needs_none():
    def configure(config):
        config.add_api_key("k", hash_key("k"))
        config.add_proxy_route(
            "r",
            "/api/*path",
            "b",
            api_key=True,
            allowed_methods=("GET", "PUT"),
            **SHARED,
        )

    with gateway(OK, configure) as (backend, ask):
        asked = "Access-Control-Request-Method: PUT"
        reply = ask("/api/x", ORIGIN, asked, method="OPTIONS")
        assert (reply.status, backend.requests) == (204, [])
        assert reply.get("Access-Control-Allow-Origin") == "https://a.example"
        assert ask("/api/x", ORIGIN, method="PUT").status == 401
        assert ask("/api/x", ORIGIN, "Api-Key: k", method="PUT").status == 200


# -- odd answers -----------------------------------------------------------------------


def test_a_retry_after_of_thousands_of_digits_is_too_long_to_wait():
    busy = [("Retry-After", "9" * 5000)]
    options = {"retry_statuses": [503], "retries": 1}
    with gateway([Answer(503, busy), OK], **options) as (backend, ask):
        assert ask().status == 503
        assert in_flight(backend.app)[0] == [0]


def test_a_304_may_speak_of_a_body_that_it_has_not():
    answer = b'HTTP/1.1 304 NM\r\nContent-Length: 5000\r\nETag: "x"\r\n\r\n'
    with gateway(answer, max_response_body=100) as (_, ask):
        assert ask("/api/x", 'If-None-Match: "x"').status == 304


@pytest.mark.parametrize(
    "method, answer",
    [
        ("HEAD", Answer(200, [EVENTS])),
        ("GET", Answer(204, [EVENTS])),
        ("GET", Answer(304, [EVENTS])),
        ("GET", Answer(200, [EVENTS, ("Content-Encoding", "gzip")], b"\x1f\x8bxx")),
    ],
)
def test_a_comment_stands_before_events_and_nowhere_else(method, answer):
    with gateway(answer, route={"sse_prelude": True}) as (_, ask):
        reply = ask(method=method)
    assert (reply.status, reply.body) == (answer.status, answer.body)


# -- what the log says -----------------------------------------------------------------


def test_the_access_log_names_the_failure(caplog):
    settings = {
        "restproxy.backends": "b = http://127.0.0.1:1",
        "restproxy.routes": "/api/*path -> b",
        "restproxy.access_log": "true",
    }
    with caplog.at_level(logging.INFO, "pyramid_restproxy.access"):
        with wire.served(main({}, **settings)) as authority:
            assert asking(authority)().status == 502
            assert asking(authority)("/api/x", "Upgrade: websocket").status == 501
    lines = [json.loads(r.message) for r in caplog.records if r.name.endswith("access")]
    assert [line["failure"] for line in lines] == [
        "connection_refused",
        "http_upgrade_failed",
    ]
    assert lines[0]["backend"] == lines[1]["backend"] == "b"


@pytest.mark.parametrize(
    "options, says", [({}, "Connection refused"), ({"adapter": HTTPAdapter()}, "Error")]
)
def test_the_log_tells_why_and_no_url_of_the_client(options, says, caplog):
    app = application("http://127.0.0.1:1", **options)
    with caplog.at_level(logging.WARNING, "pyramid_restproxy.forwarding.attempts"):
        Request.blank("/api/x?token=secret").get_response(app)
    (message,) = [r.getMessage() for r in caplog.records if r.name.endswith("attempts")]
    assert says in message and "http://127.0.0.1:1" in message
    assert "secret" not in message
