"""CORS of the gateway's own."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_restproxy.forwarding.cors import cors_headers, cors_preflight
from pyramid_restproxy.forwarding.transforms import remove_request_headers
from pyramid_restproxy.forwarding.view import ProxyView
from pyramid_restproxy.testing import Answer, FakeBackend

ORIGIN = "https://a.example"
BACKENDS_OWN = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "TRACE"),
]


@pytest.fixture
def backend():
    with FakeBackend(Answer(headers=BACKENDS_OWN, body=b"ok")) as fake:
        yield fake


def forwarding(backend, settings=None, **route):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.set_security_policy(Nobody())
        config.add_backend("b", backend.url)
        config.add_proxy_route("r", "/*path", "b", **route)
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def client(backend, origins=(ORIGIN,), expose=(), **options):
    return forwarding(
        backend,
        request_transforms=[cors_preflight(origins, **options)],
        response_transforms=[cors_headers(origins, expose=expose, **options)],
    )


@pytest.mark.parametrize(
    "origin",
    [
        "https://a.example/",
        "a.example",
        "https://A.example",
        "https://a/b",
        "",
        "https://",
    ],
)
@pytest.mark.parametrize("make", [cors_headers, cors_preflight])
def test_what_is_no_origin_is_refused(make, origin):
    with pytest.raises(ValueError, match="no origin"):
        make([ORIGIN, origin])


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "http://a", "http://[::1]:8080", "chrome-extension://abc", ORIGIN],
)
def test_origins(origin):
    assert cors_preflight([origin]).allowed == {origin}


@pytest.mark.parametrize(
    "options", [{"allowed_methods": ("GET", "PUT")}, {"permission": "use"}]
)
def test_preflights_pass_where_the_requests_need_more(backend, options):
    app = forwarding(backend, request_transforms=[cors_preflight([ORIGIN])], **options)
    answered = preflight(app)
    assert answered.status_int == 204
    assert answered.headers["Access-Control-Allow-Methods"] == "PUT"
    app.post("/x", status=405 if "permission" not in options else 403)
    assert backend.requests == []


@pytest.mark.parametrize(
    "methods, automatic, status, allow",
    [
        ("GET", "true", 200, "GET, HEAD, OPTIONS"),
        ("GET", "false", 405, "GET, HEAD, OPTIONS"),
        (("GET", "OPTIONS"), "true", 200, None),
        (None, "true", 200, None),
    ],
)
def test_an_options_that_is_no_preflight(backend, methods, automatic, status, allow):
    settings = {"restproxy.automatic_options": automatic}
    asked = [cors_preflight([ORIGIN])]
    app = forwarding(
        backend, settings, request_transforms=asked, allowed_methods=methods
    )
    assert app.options("/x", status=status).headers.get("Allow") == allow
    assert len(backend.requests) == (allow is None)
    assert preflight(app).status_int == 204
    assert len(backend.requests) == (allow is None)


class Nobody:
    def identity(self, request):
        return None

    def authenticated_userid(self, request):
        return None

    def permits(self, request, context, permission):
        return False


def preflight(app, origin=ORIGIN, **headers):
    return app.options(
        "/x",
        headers={"Origin": origin, "Access-Control-Request-Method": "PUT", **headers},
    )


def test_a_preflight_is_answered_here(backend):
    asked = {"Access-Control-Request-Headers": "x-team"}
    answer = preflight(client(backend), **asked)
    assert answer.status_int == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Methods"] == "PUT"
    assert answer.headers["Access-Control-Allow-Headers"] == "x-team"
    assert answer.headers["Access-Control-Max-Age"] == "600"
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert not backend.requests


@pytest.mark.parametrize("methods", [None, "GET", ("GET", "OPTIONS")])
def test_a_preflight_that_connection_names_is_not_forwarded(backend, methods):
    """It was, by a view that asks for no credentials, with what the client said."""
    app = forwarding(
        backend,
        api_key=True,
        allowed_methods=methods,
        identity={"X-User": "key"},
        request_transforms=cors_preflight([ORIGIN]),
    )
    named = {"Connection": "close, Access-Control-Request-Method", "X-User": "admin"}
    answer = preflight(app, **named)
    assert answer.status_int == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert not backend.requests


def test_another_origin_gets_nothing(backend):
    answer = preflight(client(backend), origin="https://evil.example")
    assert not [name for name in answer.headers if name.startswith("Access")]


def test_an_answer_says_who_may_read_it_once(backend):
    app = client(backend, expose=["X-Total"], credentials=True)
    answer = app.get("/x", headers={"Origin": ORIGIN})
    assert answer.headers.getall("Access-Control-Allow-Origin") == [ORIGIN]
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Expose-Headers"] == "X-Total"
    assert "Access-Control-Allow-Methods" not in answer.headers
    without = app.get("/x")
    assert "Access-Control-Allow-Origin" not in without.headers
    assert without.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "before, after",
    [
        (["origin"], "origin"),
        (["*"], "*"),
        (["Accept", "Cookie"], "Accept, Cookie, Origin"),
    ],
)
def test_vary_names_the_origin_once(before, after):
    headers = [("Vary", value) for value in before]
    with FakeBackend(Answer(headers=headers, body=b"ok")) as backend:
        found = client(backend).get("/x", headers={"Origin": ORIGIN})
    assert ", ".join(found.headers.getall("Vary")) == after


def test_all_origins(backend):
    answer = client(backend, origins="*").get("/x")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Vary" not in answer.headers


def test_a_plain_options_goes_to_the_backend(backend):
    client(backend).options("/x", headers={"Origin": ORIGIN})
    assert backend.requests[0].method == "OPTIONS"


@pytest.mark.parametrize("make", [cors_preflight, cors_headers])
def test_credentials_for_everybody_are_refused(make):
    with pytest.raises(ValueError, match="by name"):
        make("*", credentials=True)


class Refusing(ProxyView):
    backend = "b"
    response_transforms = (cors_headers([ORIGIN]),)

    def prepare_request(self, call):
        return Response(status=409)


def test_what_the_gateway_refuses_can_be_read(backend):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend.url)
        config.add_backend("gone", "http://127.0.0.1:9")
        told = {"response_transforms": cors_headers([ORIGIN], credentials=True)}
        config.add_proxy_route("key", "/key/*path", "b", api_key=True, **told)
        config.add_proxy_route("gone", "/gone/*path", "gone", **told)
        config.add_proxy_route("other", "/other/*path", "b", api_key=True)
        config.add_route("own", "/own/*path")
        config.add_view(Refusing, route_name="own")
        app = webtest.TestApp(config.make_wsgi_app(), lint=False)
    asked = {"Origin": ORIGIN}
    for path, status in (("/key/x", 401), ("/gone/x", 502), ("/own/x", 409)):
        answer = app.get(path, headers=asked, status=status)
        assert answer.headers.getall("Access-Control-Allow-Origin") == [ORIGIN]
        assert "Origin" in answer.headers["Vary"]
        strange = app.get(path, headers={"Origin": "https://b.example"}, status=status)
        assert "Access-Control-Allow-Origin" not in strange.headers
    answer = app.get("/other/x", headers=asked, status=401)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_origin_counts_that_is_not_sent_on(backend):
    app = forwarding(
        backend,
        request_transforms=remove_request_headers("Origin"),
        response_transforms=cors_headers([ORIGIN]),
    )
    answer = app.get("/x", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
