"""The fixed order: what is refused, stripped, added and checked."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator

from pyramid_restproxy.forwarding import transforms
from pyramid_restproxy.testing import Answer, FakeBackend


@pytest.fixture
def backend():
    with FakeBackend(
        Answer(200, [("Content-Type", "application/json")], b"{}")
    ) as made:
        yield made


def app(backend, settings=None, **route):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend.url)
        config.add_proxy_route("r", "/api/*path", "b", **route)
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def test_a_websocket_handshake_is_501_and_says_why(backend):
    headers = {"Upgrade": "WebSocket", "Connection": "Upgrade"}
    refused = app(backend).get("/api/x", headers=headers, status=501)
    assert "websocket" in refused.json["detail"]
    assert refused.headers["Proxy-Status"].endswith("error=http_upgrade_failed")
    assert backend.requests == []


def test_a_request_without_host_is_400(backend):
    testapp = app(backend)
    environ = {"SERVER_PROTOCOL": "HTTP/1.1"}
    request = webtest.TestRequest.blank("/api/x", environ)
    del request.environ["HTTP_HOST"]
    assert testapp.do_request(request, status=400)


def test_a_loop_is_508(backend):
    refused = app(backend).get(
        "/api/x", headers={"Via": "1.1 pyramid_restproxy"}, status=508
    )
    assert refused.json["title"] == "Loop Detected"


@pytest.mark.parametrize(
    "value, calls, sent", [("0", 0, None), ("3", 1, "2"), ("x", 1, None)]
)
def test_max_forwards_of_options(backend, value, calls, sent):
    app(backend).options("/api/x", headers={"Max-Forwards": value})
    assert len(backend.requests) == calls
    if calls:
        assert backend.requests[0].header("Max-Forwards") == sent


def test_a_body_over_the_limit_is_413(backend):
    testapp = app(backend, max_request_body=3)
    assert "3 bytes" in testapp.post("/api/x", b"four", status=413).json["detail"]
    assert testapp.post("/api/x", b"yes").status_int == 200


CHUNKED = {
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.input_terminated": True,
    "HTTP_TRANSFER_ENCODING": "chunked",
}


def test_a_body_of_unknown_length_is_over_any_limit(backend):
    testapp = app(backend, max_request_body=3)
    environ = CHUNKED
    request = webtest.TestRequest.blank("/api/x", environ, method="POST")
    assert testapp.do_request(request, status=413)


def test_a_body_of_unknown_length_goes_up_in_chunks(backend):
    environ = CHUNKED
    request = webtest.TestRequest.blank("/api/x", environ, method="POST")
    request.body_file = __import__("io").BytesIO(b"hello")
    request.environ.pop("CONTENT_LENGTH", None)
    app(backend).do_request(request)
    assert backend.requests[0].header("Transfer-Encoding") == "chunked"
    assert backend.requests[0].body == b"hello"


def test_claims_count_only_from_trusted_proxies(backend):
    headers = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Real-IP": "6",
    }
    environ = {"REMOTE_ADDR": "10.0.0.9"}
    app(backend).get("/api/x", headers=headers, extra_environ=environ)
    settings = {"restproxy.trusted_proxies": "10.0.0.0/8"}
    app(backend, settings).get("/api/x", headers=headers, extra_environ=environ)
    untrusted, trusted = backend.requests
    assert untrusted.header("X-Forwarded-For") == "10.0.0.9"
    assert untrusted.header("X-Forwarded-Proto") == "http"
    assert trusted.header("X-Forwarded-For") == "6.6.6.6, 10.0.0.9"
    assert trusted.header("X-Forwarded-Proto") == "https"
    assert untrusted.header("X-Real-IP") is None


def test_a_407_of_the_backend_is_our_problem():
    answer = Answer(407, [("Proxy-Authenticate", "Basic")])
    with FakeBackend(answer) as backend:
        refused = app(backend).get("/api/x", status=502)
    assert "Proxy-Authenticate" not in refused.headers


def test_a_204_loses_its_length():
    with FakeBackend(Answer(204, [("Content-Length", "0")])) as backend:
        assert "Content-Length" not in app(backend).get("/api/x", status=204).headers


def test_the_reason_of_the_backend_is_kept_and_a_missing_one_made():
    raw = b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"
    with FakeBackend(raw) as backend:
        assert app(backend).get("/api/x", status=404).status == "404 Not Found"
    with FakeBackend(Answer(200, reason="Fine By Me")) as backend:
        assert app(backend).get("/api/x").status == "200 Fine By Me"


def test_location_leads_back_unless_told_otherwise():
    with FakeBackend(Answer(302, [("Location", "/next")])) as backend:
        assert app(backend).get("/api/x").headers["Location"] == "/api/next"
        off = app(backend, rewrite_location=False)
        assert off.get("/api/x").headers["Location"] == "/next"


def test_a_filter_of_contents_asks_for_uncompressed_ones(backend):
    testapp = app(backend, response_transforms=[transforms.json_filter(["x"])])
    testapp.get("/api/x", headers={"Accept-Encoding": "gzip"})
    assert backend.requests[0].header("Accept-Encoding") == "identity"


def test_a_filter_that_fails_is_502_and_logged(backend, caplog):
    with FakeBackend(
        Answer(200, [("Content-Type", "application/json")], b"{")
    ) as broken:
        testapp = app(broken, response_transforms=[transforms.json_filter(["x"])])
        refused = testapp.get("/api/x", status=502)
    assert refused.headers["Proxy-Status"].endswith("http_response_transform_error")
    assert "response transform of backend 'b'" in caplog.text
