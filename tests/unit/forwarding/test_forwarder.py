"""The fixed order: what is refused, stripped, added and checked."""

from __future__ import annotations

import io
import queue

import pytest
import webtest
from pyramid.config import Configurator
from requests.adapters import HTTPAdapter

from pyramid_restproxy.forwarding import transforms
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.testing import Answer, FakeBackend
from tests import wire
from tests.unit.forwarding.wire.conftest import ScriptedServer

HTTP_1_1 = {"SERVER_PROTOCOL": "HTTP/1.1"}


@pytest.fixture
def backend():
    with FakeBackend(
        Answer(200, [("Content-Type", "application/json")], b"{}")
    ) as made:
        yield made


def app(backend, settings=None, adapter=None, **route):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend.url, adapter=adapter)
        config.add_proxy_route("r", "/api/*path", "b", **route)
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def test_a_websocket_handshake_is_501_and_says_why(backend):
    headers = {"Upgrade": "WebSocket", "Connection": "Upgrade"}
    options = {"headers": headers, "extra_environ": HTTP_1_1}
    refused = app(backend).get("/api/x", status=501, **options)
    assert "websocket" in refused.json["detail"]
    assert refused.headers["Proxy-Status"].endswith("error=http_upgrade_failed")
    assert backend.requests == []


def test_upgrade_means_nothing_in_http_1_0(backend):
    """It was answered 501 (RFC 9110 section 7.8: it must be ignored)."""
    with wire.served(app(backend).app) as authority:
        head = f"Host: {authority}\r\nUpgrade: websocket\r\n\r\n"
        old = wire.exchange(authority, f"GET /api/x HTTP/1.0\r\n{head}".encode())
        new = wire.exchange(authority, f"GET /api/x HTTP/1.1\r\n{head}".encode())
    assert (old.status, new.status) == (200, 501)
    (seen,) = backend.requests
    assert seen.header("Upgrade") is None


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


def chunked(body):
    request = webtest.TestRequest.blank("/api/x", CHUNKED, method="POST")
    request.body_file = io.BytesIO(body)
    request.environ.pop("CONTENT_LENGTH", None)
    return request


@pytest.mark.parametrize("adapter", [None, HTTPAdapter()])
def test_a_body_of_unknown_length_is_held_to_the_limit_as_it_is_sent(backend, adapter):
    """All over 64 KiB was 413, whatever the limit."""
    testapp = app(backend, adapter=adapter, max_request_body=200_000)
    for size in (65_536, 65_537, 200_000):
        assert testapp.do_request(chunked(b"x" * size), status=200)
    assert [len(seen.body) for seen in backend.requests] == [65_536, 65_537, 200_000]


@pytest.mark.parametrize("adapter", [None, HTTPAdapter()])
def test_a_backend_never_sees_the_end_of_a_body_over_the_limit(adapter):
    seen = queue.SimpleQueue()
    server = ScriptedServer(lambda connection, reader: seen.put(reader.read()))
    try:
        testapp = app(server, adapter=adapter, max_request_body=200_000)
        refused = testapp.do_request(chunked(b"x" * 200_001), status=413)
        raw = seen.get(timeout=10)
    finally:
        server.close()
    assert "200000 bytes" in refused.json["detail"]
    assert b"chunked" in raw and not raw.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("limit, size", [(3, 4), (65_536, 65_537)])
def test_what_is_over_the_limit_at_once_is_not_sent_at_all(backend, limit, size):
    testapp = app(backend, max_request_body=limit)
    assert testapp.do_request(chunked(b"x" * size), status=413)
    assert backend.connections == 0


def test_a_body_over_the_limit_is_no_fault_of_the_backend(backend):
    testapp = app(backend, {"restproxy.backend.b.max_fails": "1"}, max_request_body=9)
    for size in (10, 70_000):
        testapp.do_request(chunked(b"x" * size), status=413)
    assert testapp.get("/api/x").status_int == 200


def test_a_large_body_of_unknown_length_goes_up_in_chunks(backend):
    body = b"0123456789" * 7000
    app(backend).do_request(chunked(body))
    assert backend.requests[0].header("Transfer-Encoding") == "chunked"
    assert backend.requests[0].body == body


@pytest.mark.parametrize("body", [b"hello", b""])
def test_a_small_body_of_unknown_length_is_read_first(backend, body):
    app(backend).do_request(chunked(body))
    assert backend.requests[0].header("Transfer-Encoding") is None
    assert backend.requests[0].header("Content-Length") == str(len(body))
    assert backend.requests[0].body == body


class BrokenStream:
    """A body whose chunks are none after the first, as gunicorn says it."""

    def __init__(self):
        self._pieces = [b"x" * 70_000]

    def read(self, size):
        if self._pieces:
            return self._pieces.pop()
        raise RuntimeError("InvalidChunkSize")


@pytest.mark.parametrize("adapter", [None, HTTPAdapter()])
@pytest.mark.parametrize(
    "framing", [CHUNKED, {"CONTENT_LENGTH": "80000"}, {"CONTENT_LENGTH": "9"}]
)
def test_a_body_that_breaks_is_400_and_no_fault_of_the_backend(adapter, framing):
    with FakeBackend() as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend.url, adapter=adapter, max_fails=1)
        config.add_proxy_route("r", "/api/*path", "b")
        testapp = webtest.TestApp(config.make_wsgi_app(), lint=False)
        for _ in range(2):
            environ = {**framing, "wsgi.input": BrokenStream()}
            request = webtest.TestRequest.blank("/api/x", environ, method="POST")
            if "CONTENT_LENGTH" not in framing:
                request.environ.pop("CONTENT_LENGTH", None)
            if framing == {"CONTENT_LENGTH": "9"}:
                request.environ["wsgi.input"]._pieces = [b"short"]
            refused = testapp.do_request(request, status=400)
            assert "body" in refused.json["detail"]
            assert "InvalidChunkSize" not in refused.text
        assert testapp.get("/api/y").status_int == 200


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


# -- what transforms may not do --------------------------------------------------------


def set_framing(call):
    call.headers.set("Content-Length", "1")
    call.headers.set("Transfer-Encoding", "chunked")
    call.headers.set("Connection", "close")


def test_a_transform_cannot_set_the_framing(backend):
    app(backend, request_transforms=[set_framing]).post("/api/x", b"four")
    (seen,) = backend.requests
    assert seen.body == b"four"
    names = [name.lower() for name, _ in seen.headers]
    assert names.count("content-length") == 1
    assert "transfer-encoding" not in names and "connection" not in names


def test_a_transform_may_set_the_host(backend):
    made = app(backend, request_transforms=[transforms.set_request_header("Host", "h")])
    made.get("/api/x")
    (seen,) = backend.requests
    assert [value for name, value in seen.headers if name == "Host"] == ["h"]


@pytest.mark.parametrize(
    "name, value", [("X-A", "\u0141"), ("X A", "b"), ("X-A", "a\rb")]
)
def test_a_transform_that_sets_what_cannot_be_sent_is_502(backend, name, value):
    def transform(call, answer):
        answer.headers.pairs.append((name, value))

    refused = app(backend, response_transforms=[transform]).get("/api/x", status=502)
    status = refused.headers["Proxy-Status"]
    assert status.endswith("error=http_response_transform_error")


def test_a_transform_cannot_set_fields_of_the_connection(backend):
    def transform(call, answer):
        answer.headers.set("Connection", "close")

    assert (
        "Connection"
        not in app(backend, response_transforms=[transform]).get("/api/x").headers
    )


def test_a_part_is_not_asked_for_where_the_content_is_filtered(backend):
    made = app(backend, response_transforms=[transforms.json_filter(["a"])])
    made.get("/api/x", headers={"Range": "bytes=1-", "If-Range": '"1"'})
    (seen,) = backend.requests
    assert seen.header("Range") is None and seen.header("If-Range") is None


def test_a_backend_is_not_blamed_for_what_cannot_be_sent(backend):
    def transform(call):
        call.headers.set("X-Name", "\u0141ukasz")

    made = app(backend, request_transforms=[transform])
    for _ in range(3):
        refused = made.get("/api/x", status=502)
        assert refused.headers["Proxy-Status"].endswith("error=proxy_internal_error")


# -- what backends may not do ----------------------------------------------------------


def test_a_backend_cannot_set_our_cookies():
    fields = [("Set-Cookie", "restproxy_b=evil; Path=/"), ("Set-Cookie", "own=1")]
    with FakeBackend(Answer(200, fields, b"ok")) as backend:
        with Configurator() as config:
            config.include("pyramid_restproxy")
            config.add_backend("b", backend.url, affinity="cookie")
            config.add_proxy_route("r", "/api/*path", "b")
            made = webtest.TestApp(config.make_wsgi_app(), lint=False)
        cookies = made.get("/api/x").headers.getall("Set-Cookie")
        assert "own=1" in cookies and len(cookies) == 2
        assert not any("evil" in each for each in cookies)


# -- what clients say ------------------------------------------------------------------


def test_max_forwards_counts_for_options_and_trace_only(backend):
    app(backend).get("/api/x", headers={"Max-Forwards": "0"})
    assert backend.requests[0].header("Max-Forwards") == "0"


@pytest.mark.parametrize(
    "upgrade, status",
    [("websocketx", 200), ("h2c, websocket", 501), ("WebSocket/13", 501)],
)
def test_upgrade_is_a_list_of_protocols(backend, upgrade, status):
    said = {"Upgrade": upgrade}
    app(backend).get("/api/x", headers=said, extra_environ=HTTP_1_1, status=status)


@pytest.mark.parametrize(
    "trusted, passes", [({}, False), ({"restproxy.trusted_proxies": "10.0.0.9"}, True)]
)
def test_what_proxies_say_counts_from_trusted_ones_only(backend, trusted, passes):
    made = app(backend, settings=trusted)
    headers = {"X-Forwarded-User": "root", "X-Forwarded-Ssl": "on"}
    made.get("/api/x", headers=headers, extra_environ={"REMOTE_ADDR": "10.0.0.9"})
    (seen,) = backend.requests
    assert (seen.header("X-Forwarded-User") == "root") is passes
    assert (seen.header("X-Forwarded-Ssl") == "on") is passes


def test_an_identity_header_with_an_underscore_is_the_one_with_a_dash(backend):
    made = app(backend, identity_headers=["X_Role"], identity={"X_User": lambda r: "a"})
    made.get("/api/x", headers={"X-User": "admin", "X-Role": "root"})
    (seen,) = backend.requests
    assert seen.header("X-User") == "a" and seen.header("X-Role") is None


# -- a cache between -------------------------------------------------------------------


def test_what_a_transform_sets_for_one_client_is_not_kept_for_others():
    def answer(request):
        fields = [("Cache-Control", "max-age=60")]
        return Answer(200, fields, request.header("X-Team").encode())

    def transform(call):
        call.headers.set("X-Team", call.request.GET["team"])
        call.query = ""

    with FakeBackend(answer) as backend:
        made = app(backend, request_transforms=[transform], cache=True)
        assert [made.get(f"/api/x?team={t}").text for t in "ab"] == ["a", "b"]


def renamed(call):
    call.headers.set("X-Said", call.request.GET["team"])
    call.headers.rename("X-Said", "X-Team")


def written(call):
    team = ("X-Team", call.request.GET["team"])
    call.headers.pairs[:] = [*(p for p in call.headers.pairs if p[0] != "X-Team"), team]


def exchanged(call):
    pairs = [pair for pair in call.headers if pair[0] != "X-Team"]
    call.headers = FieldList([*pairs, ("X-Team", call.request.GET["team"])])


def said(call):
    call.headers.set("X-Said", call.request.GET["team"])


CHANGES = [
    [lambda call: call.headers.set("X-Team", call.request.GET["team"])],
    [renamed],
    [written],
    [exchanged],
    [said, transforms.rename_request_header("X-Said", "X-Team")],
]


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("field", ["X-Team", "X-Said"])
def test_what_a_transform_sets_to_what_the_client_sent_is_not_kept(changes, field):
    """Who knows what will be set had her answer kept for all by sending it herself."""

    def answer(request):
        fields = [("Cache-Control", "max-age=60")]
        return Answer(200, fields, (request.header("X-Team") or "").encode())

    def same_query(call):
        call.query = ""

    with FakeBackend(answer) as backend:
        steps = [transforms.remove_request_headers("X-None"), *changes, same_query]
        made = app(backend, request_transforms=steps, cache=True)
        for team in "ab":
            found = made.get(f"/api/x?team={team}", headers={field: team})
            assert found.text.endswith(team)
        assert [made.get(f"/api/x?team={t}").text for t in "ab"] == ["a", "b"]
        assert len(backend.requests) == 4


def test_fields_that_a_transform_leaves_alone_are_not_personal():
    def change(call):
        call.headers.rename("X-Old", "X-New")
        call.headers.keep_only("X-Other")

    answer = Answer(200, [("Cache-Control", "max-age=60")], b"ok")
    with FakeBackend(answer) as backend:
        made = app(backend, request_transforms=[change], cache=True)
        for _ in range(2):
            assert made.get("/api/x", headers={"X-Other": "1", "X-Old": "2"})
        assert len(backend.requests) == 1


def test_a_field_list_of_a_transform_s_own_has_no_framing_either(backend):
    def change(call):
        given = [("Host", "own.example"), ("Transfer-Encoding", "chunked"), ("X", "1")]
        call.headers = FieldList(given)

    app(backend, request_transforms=[change]).get("/api/x")
    (seen,) = backend.requests
    assert (seen.header("Host"), seen.header("X")) == ("own.example", "1")
    assert seen.header("Transfer-Encoding") is None


def test_what_a_transform_sets_for_all_is_kept():
    answer = Answer(200, [("Cache-Control", "max-age=60")], b"ok")
    with FakeBackend(answer) as backend:
        change = transforms.set_request_header("X-Team", "blue")
        made = app(backend, request_transforms=[change], cache=True)
        assert [made.get("/api/x").text for _ in range(2)] == ["ok", "ok"]
        assert len(backend.requests) == 1


# -- gateways in a row -----------------------------------------------------------------


def test_two_gateways_in_a_row_need_two_names(backend):
    settings = {"restproxy.pseudonym": "edge"}
    app(backend, settings=settings).get(
        "/api/x", headers={"Via": "1.1 pyramid_restproxy"}
    )
    assert backend.requests[0].header("Via") == "1.1 pyramid_restproxy, 1.0 edge"
    refused = app(backend, settings=settings).get(
        "/api/x", headers={"Via": "1.1 edge"}, status=508
    )
    assert refused.headers["Proxy-Status"] == "edge; error=proxy_loop_detected"


def test_the_cache_has_the_name_of_the_gateway():
    answer = Answer(200, [("Cache-Control", "max-age=60")], b"ok")
    with FakeBackend(answer) as backend:
        made = app(backend, settings={"restproxy.pseudonym": "edge"}, cache=True)
        assert made.get("/api/x").headers["Cache-Status"].startswith("edge;")


# -- the target ------------------------------------------------------------------------


def targets(backend, *sent, **options):
    """Return what reaches a backend for targets as a client sends them."""
    with wire.served(app(backend, **options).app) as authority:
        for each in sent:
            head = f"GET {each} HTTP/1.1\r\nHost: h\r\n\r\n"
            wire.exchange(authority, head.encode())
    return [seen.target for seen in backend.requests]


@pytest.mark.parametrize("adapter", [None, HTTPAdapter()])
def test_a_question_mark_that_nothing_follows_is_sent(backend, adapter):
    """It was lost: another URI (RFC 3986 section 6.2.3)."""
    sent = "/api/x?", "/api/?", "/api/x?#f", "/api/x", "/api/x??", "http://h/api/x?"
    expected = ["/x?", "/?", "/x?", "/x", "/x??", "/x?"]
    assert targets(backend, *sent, adapter=adapter) == expected


def test_a_transform_may_say_what_follows_a_question_mark(backend):
    change = transforms.edit_query_parameters(add=[("a", "1")], remove=["b"])
    assert targets(backend, "/api/x?", request_transforms=[change]) == ["/x?a=1"]
    change = transforms.edit_query_parameters(remove=["b"])
    seen = targets(backend, "/api/x?b=1", request_transforms=[change])
    assert seen[-1] == "/x"


def test_an_answer_for_one_target_is_not_kept_for_the_other():
    answer = Answer(200, [("Cache-Control", "max-age=60")], b"ok")
    with FakeBackend(answer) as backend:
        sent = "/api/x", "/api/x?", "/api/x?", "/api/x"
        assert targets(backend, *sent, cache=True) == ["/x", "/x?", "/x?"]


def test_another_status_has_not_the_reason_of_the_old_one(backend):
    """It was 404 OK."""

    def change(call, answer):
        answer.status = 404

    testapp = app(backend, response_transforms=[change])
    assert testapp.get("/api/x", status=404).status == "404 Not Found"
