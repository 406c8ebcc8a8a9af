"""Who is asked, and who is asked again."""

from __future__ import annotations

import errno
import itertools
import socket

import pytest
import webtest
from pyramid.config import Configurator

from pyramid_restproxy.forwarding.bodies import SMALL, LimitedBody
from pyramid_restproxy.forwarding.failures import AnswerTooLarge
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.forwarding.wire.errors import TruncatedBody as ForwardingCut
from pyramid_restproxy.testing import Answer, FakeBackend, FaultBackend
from pyramid_restproxy.testing.faults import hang
from tests.unit.forwarding.wire.conftest import ScriptedServer, read_request

OK = Answer(body=b"ok")


def app(*urls, route=None, **options):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", list(urls), **options)
        config.add_proxy_route("r", "/*path", "b", **(route or {}))
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


def with_endpoints(*urls, **options):
    testapp = app(*urls, **options)
    return testapp, testapp.app.registry.getUtility(IGateway).backends["b"].endpoints


@pytest.fixture
def closed():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_destinations_take_turns():
    with FakeBackend(OK) as one, FakeBackend(OK) as two:
        testapp = app(one.url, two.url)
        for _ in range(4):
            testapp.get("/")
        assert (len(one.requests), len(two.requests)) == (2, 2)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_fails_goes_to_the_next_whatever_the_method(closed, method):
    with FakeBackend(OK) as good:
        testapp = app(closed, good.url)
        for _ in range(2):
            assert testapp.request("/", method=method, body=b"x").body == b"ok"
        assert [r.body for r in good.requests] == [b"x", b"x"]


def test_when_nobody_can_be_reached(closed):
    refused = app(closed, closed).get("/", status=502)
    assert (
        refused.headers["Proxy-Status"] == "pyramid_restproxy; error=connection_refused"
    )
    assert refused.content_type == "application/problem+json"
    assert "127.0.0.1" not in refused.text


@pytest.mark.parametrize(
    "method, headers, options, status",
    [
        ("GET", {}, {}, 200),
        ("DELETE", {}, {}, 200),
        ("GET", {}, {"retries": 0}, 502),
        ("GET", {}, {"retry_budget": 0}, 502),
        ("POST", {}, {}, 502),
        ("POST", {"Idempotency-Key": '"1"'}, {}, 200),
        ("LOCK", {}, {}, 502),
    ],
)
def test_what_was_sent_is_sent_to_another_only_where_that_does_no_harm(
    method, headers, options, status
):
    with FakeBackend(None) as bad, FakeBackend(OK) as good:
        testapp = app(bad.url, good.url, balance="first", **options)
        testapp.request("/", method=method, headers=headers, status=status)
        assert len(bad.requests) == 1
        assert len(good.requests) == (1 if status == 200 else 0)


def test_a_large_body_is_replayed_whole():
    body = b"x" * 200_000
    with FakeBackend(None) as bad, FakeBackend(OK) as good:
        testapp = app(bad.url, good.url, balance="first")
        testapp.put("/", params=body)
        assert good.requests[0].body == body


def test_retries_are_counted():
    with FakeBackend(None) as one, FakeBackend(None) as two, FakeBackend(OK) as good:
        urls = one.url, two.url, good.url
        app(*urls, balance="first").get("/", status=502)
        app(*urls, balance="first", retries=2).get("/")


def test_one_destination_is_asked_again_where_retries_are_set():
    with FakeBackend(None, OK) as backend:
        assert app(backend.url, retries=1).get("/").body == b"ok"
        assert len(backend.requests) == 2
    with FakeBackend(None, OK) as backend:
        app(backend.url, retries=1).post("/", b"x", status=502)
        assert len(backend.requests) == 1
    with FakeBackend(None, OK) as backend:
        app(backend.url).get("/", status=502)


def test_nobody_is_judged_by_the_time_that_was_left():
    with FaultBackend(hang()) as first, FakeBackend(OK) as second:
        testapp, endpoints = with_endpoints(
            first.url, second.url, balance="first", total_timeout=0.2, max_fails=1
        )
        testapp.get("/", status=504)
        assert second.connections == 0
        assert endpoints[1].health.is_closed


# -- answers that may be asked for again -----------------------------------------------

BUSY = Answer(503, [("Retry-After", "0")], b"busy")
KEY = {"Idempotency-Key": '"1"'}


def test_an_answered_503_is_the_answer_unless_told_otherwise():
    with FakeBackend(BUSY, OK) as backend:
        assert app(backend.url).get("/", status=503).body == b"busy"


@pytest.mark.parametrize(
    "method, headers, status", [("GET", {}, 200), ("POST", {}, 503), ("POST", KEY, 200)]
)
def test_an_answered_503_by_option(method, headers, status):
    with FakeBackend(BUSY, OK) as backend:
        testapp = app(backend.url, retry_statuses=[503])
        testapp.request(
            "/", method=method, body=b"test", headers=headers, status=status
        )
        assert {request.body for request in backend.requests} == {b"test"}


@pytest.mark.parametrize("after", ["60", "soon", "Wed, 21 Oct 2065 07:28:00 GMT"])
def test_a_wait_that_is_too_long_is_left_to_the_client(after):
    with FakeBackend(Answer(503, [("Retry-After", after)]), OK) as backend:
        answer = app(backend.url, retry_statuses=[503]).get("/", status=503)
        assert answer.headers["Retry-After"] == after


def test_a_wait_must_fit_into_the_deadline():
    with FakeBackend(Answer(503, [("Retry-After", "1")]), OK) as backend:
        app(backend.url, retry_statuses=[503], total_timeout=0.5).get("/", status=503)


def test_the_last_answer_is_the_answer():
    with FakeBackend(BUSY) as backend:
        app(backend.url, retry_statuses=[503], retries=2).get("/", status=503)
        assert len(backend.requests) == 3


def test_another_destination_is_asked_first():
    with FakeBackend(BUSY) as busy, FakeBackend(OK) as good:
        app(busy.url, good.url, balance="first", retry_statuses=[503]).get("/")
        assert (len(busy.requests), len(good.requests)) == (1, 1)


# -- health ----------------------------------------------------------------------------


def test_a_destination_that_fails_rests_and_comes_back():
    steps = [None, None, None, OK]
    with FakeBackend(*steps) as bad, FakeBackend(OK) as good:
        testapp, endpoints = with_endpoints(
            bad.url, good.url, balance="first", max_fails=3, cool_down=60
        )
        for _ in range(6):
            testapp.get("/")
        assert len(bad.requests) == 3
        assert endpoints[0].health.state == "open"
        endpoints[0].health._open_until = 0.0  # the cool-down is over
        testapp.get("/")
        assert len(bad.requests) == 4
        assert endpoints[0].health.state == "closed"


def test_a_post_is_not_the_one_that_tries_a_destination_out():
    with FakeBackend(OK) as rested, FakeBackend(OK) as good:
        testapp, endpoints = with_endpoints(rested.url, good.url, max_fails=1)
        endpoints[0].health.failed()
        endpoints[0].health._open_until = 0.0
        testapp.post("/")
        assert (len(rested.requests), len(good.requests)) == (0, 1)
        testapp.get("/")
        assert len(rested.requests) == 1


def test_an_open_circuit_answers_at_once(closed):
    testapp, _ = with_endpoints(closed, max_fails=1, cool_down=30)
    testapp.get("/", status=502)
    refused = testapp.get("/", status=503)
    assert refused.headers["Proxy-Status"].endswith("error=destination_unavailable")
    assert 1 <= int(refused.headers["Retry-After"]) <= 31


def test_when_probes_have_taken_all_out():
    """Bug: an endless rest was answered 500."""
    testapp, endpoints = with_endpoints("http://127.0.0.1:9")
    endpoints[0].health.take_out()
    assert testapp.get("/", status=503).headers["Retry-After"] == "60"


def test_a_process_without_descriptors_does_not_blame_the_backend(monkeypatch):
    def no_more(*arguments):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("socket.socket.connect", no_more)
    testapp, endpoints = with_endpoints("http://127.0.0.1:9", max_fails=1)
    refused = testapp.get("/", status=502)
    assert refused.headers["Proxy-Status"].endswith("error=proxy_internal_error")
    assert endpoints[0].health.state == "closed"


def test_a_single_destination_has_no_circuit_unless_asked_for(closed):
    testapp, _ = with_endpoints(closed)
    for _ in range(5):
        testapp.get("/", status=502)


def test_statuses_that_count_as_failures():
    with FakeBackend(Answer(500)) as backend:
        testapp, _ = with_endpoints(backend.url, max_fails=2, failure_statuses=[500])
        testapp.get("/", status=500)
        testapp.get("/", status=500)
        testapp.get("/", status=503)


def test_a_body_that_breaks_off_is_a_failure():
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut"
    with FakeBackend(cut) as backend:
        testapp, endpoints = with_endpoints(backend.url, max_fails=1)
        with pytest.raises(ForwardingCut):
            testapp.get("/")
        assert endpoints[0].health.state == "open"
        assert endpoints[0].in_flight == 0


def test_a_destination_out_of_service():
    with FakeBackend(OK) as one, FakeBackend(OK) as two:
        testapp, endpoints = with_endpoints(one.url, two.url)
        endpoints[0].enabled = False
        for _ in range(3):
            testapp.get("/")
        assert (len(one.requests), len(two.requests)) == (0, 3)
        endpoints[1].enabled = False
        testapp.get("/", status=503)


def test_what_the_gateway_itself_breaks_is_nobodys_failure():
    def breaks(call, answer):
        raise RuntimeError

    with FakeBackend(OK) as backend:
        testapp, endpoints = with_endpoints(
            backend.url, max_fails=1, route={"response_transforms": [breaks]}
        )
        testapp.get("/", status=502)
        assert endpoints[0].health.state == "closed"
        assert endpoints[0].in_flight == 0


# -- how many at a time ----------------------------------------------------------------


def test_more_than_may_be_in_flight_are_shed():
    testapp, _ = with_endpoints("http://127.0.0.1:9", max_in_flight=1)
    gate = testapp.app.registry.getUtility(IGateway).backends["b"].gate
    assert gate.enter()
    shed = testapp.get("/", status=503)
    assert shed.headers["Retry-After"] == "1"
    assert shed.headers["Proxy-Status"].endswith("error=connection_limit_reached")
    gate.leave()


def test_the_gate_is_left_however_an_exchange_ends(closed):
    whole, pieces = Answer(body=b"ok"), Answer(pieces=[b"a", b"b"])
    with FakeBackend(whole, pieces, None) as backend:
        testapp, endpoints = with_endpoints(backend.url, max_in_flight=1)
        for status in (200, 200, 502, 502):
            testapp.get("/", status=status)
    gate = testapp.app.registry.getUtility(IGateway).backends["b"].gate
    assert (gate.inside, endpoints[0].in_flight) == (0, 0)


# -- how much ------------------------------------------------------------------------


def test_an_answer_that_says_it_is_too_large():
    with FakeBackend(Answer(body=b"x" * 11)) as backend:
        refused = app(backend.url, max_response_body=10).get("/", status=502)
        assert refused.headers["Proxy-Status"].endswith("http_response_body_size")
        app(backend.url, max_response_body=11).get("/")
        app(backend.url, max_response_body=10).head("/")


def test_an_answer_that_turns_out_too_large_is_cut_off():
    with FakeBackend(Answer(pieces=[b"x" * 6, b"x" * 6])) as backend:
        with pytest.raises(AnswerTooLarge):
            app(backend.url, max_response_body=10).get("/")


# -- options of a destination --------------------------------------------------------


def test_weights():
    with FakeBackend(OK) as one, FakeBackend(OK) as two:
        testapp = app((one.url, 3), two.url)
        for _ in range(8):
            testapp.get("/")
        assert (len(one.requests), len(two.requests)) == (6, 2)


@pytest.mark.parametrize(
    "method, headers, status",
    [
        ("GET", {}, 200),
        ("PUT", {}, 200),
        ("POST", {}, 502),
        ("POST", {"Idempotency-Key": '"1"'}, 200),
    ],
)
def test_a_kept_connection_that_died_in_flight(method, headers, status):
    body = b"x" * 100_000 if method != "GET" else b""
    with FakeBackend(OK, None, OK) as backend:
        testapp = app(backend.url)
        testapp.get("/")
        testapp.request("/", method=method, body=body, headers=headers, status=status)
        if status == 200:
            assert backend.requests[-1].body == body


@pytest.mark.parametrize(
    "method, headers, status",
    [("PUT", {}, 200), ("POST", {}, 502), ("POST", KEY, 200)],
)
@pytest.mark.parametrize("size", [0, 5_000_000])
def test_a_kept_connection_that_died_before_the_body_was_read(
    method, headers, status, size
):
    """With a large body it was 502 and a strike against the backend."""
    server, seen = None, []

    def script(connection, reader):
        if server.connections == 1:
            read_request(reader)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            while reader.readline().strip():
                pass
            return
        seen.append(read_request(reader)[1])
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    server = ScriptedServer(script)
    try:
        testapp, endpoints = with_endpoints(server.url, max_fails=1)
        testapp.get("/")
        body = b"x" * size
        testapp.request("/", method=method, body=body, headers=headers, status=status)
        assert seen == ([body] if status == 200 else [])
        assert endpoints[0].health.is_closed and endpoints[0].in_flight == 0
    finally:
        server.close()


@pytest.mark.parametrize("body", [b"", b"small", b"x" * 100_000])
def test_a_second_try_is_signed_anew(body):
    """Who took the nonce of the first, and died, would take it for a replay."""
    signed = []

    def sign(outgoing, scheme):
        pieces = outgoing.body
        if isinstance(pieces, LimitedBody):
            signed.append(pieces.read())
            pieces.rewind()
        return [("X-Nonce", str(next(numbers)))]

    numbers = itertools.count()
    with FakeBackend(OK, None, OK) as backend:
        testapp = app(backend.url)
        testapp.app.registry.getUtility(IGateway).backends["b"].sign = sign
        testapp.get("/")
        testapp.put("/", params=body)
        assert [seen.header("X-Nonce") for seen in backend.requests] == ["0", "1", "2"]
        assert [seen.body for seen in backend.requests[1:]] == [body, body]
    assert signed == [body, body] if len(body) > SMALL else signed == []


def test_a_new_connection_that_closes_at_once_is_not_tried_again():
    with FakeBackend(None, OK) as backend:
        app(backend.url).get("/", status=502)
        assert len(backend.requests) == 1


@pytest.mark.parametrize(
    "policy, host",
    [
        ("destination", None),
        ("preserve", "public.example"),
        ("own.example", "own.example"),
    ],
)
def test_host_policies(policy, host):
    with FakeBackend(OK) as backend:
        app(backend.url, host=policy).get("/", headers={"Host": "public.example"})
        assert backend.requests[0].header("Host") == (host or backend.authority)


@pytest.mark.parametrize(
    "method, length", [("POST", "0"), ("PUT", "0"), ("DELETE", None), ("GET", None)]
)
def test_framing_of_requests_without_content(method, length):
    with FakeBackend(OK) as backend:
        app(backend.url).request("/", method=method)
        assert backend.requests[0].header("Content-Length") == length


@pytest.mark.parametrize("status", [200, 502])
def test_an_observer_that_fails_costs_no_request(closed, caplog, status):
    """The client got 500, and the exchange was in flight for ever."""
    told = []

    def fails(*facts):
        raise RuntimeError("the exporter")

    with FakeBackend(OK) as good:
        testapp = app(good.url if status == 200 else closed)
        backend = testapp.app.registry.getUtility(IGateway).backends["b"]
        backend.observers = (fails, lambda *facts: told.append(facts[2]))
        for _ in range(3):
            testapp.get("/", status=status)
        assert told == ["2xx" if status == 200 else "connection_refused"] * 3
        assert backend.endpoints[0].in_flight == 0
    assert caplog.text.count("an observer fails") == 1
