"""Backends that fail, over real sockets: what the client gets, and what is left.

Every row of the fault table that concerns backends, and every BACKEND-* vector of
security.json, by its id; the rows that concern the gateway's own process are in
``test_operation``, those of the Redis in ``test_redis``. The limits are small, so that
they are met; that an answer comes at all is the gateway's own deadline at work: the
client would give up only after ten seconds.
"""

from __future__ import annotations

import gc
import gzip
import json
import os
import pathlib
import re
import socket
import threading
import tracemalloc
from contextlib import contextmanager

import pytest
from pyramid.config import Configurator

from pyramid_restproxy.forwarding import transforms
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.forwarding.sources import from_file
from pyramid_restproxy.forwarding.wire.answer import MAX_FIELDS, MAX_HEAD
from pyramid_restproxy.operation.metrics import IMetrics
from pyramid_restproxy.testing import Answer, FaultBackend, faults
from pyramid_restproxy.testing.faults import Fault
from tests import wire
from tests.vectors.backends import full_backlog

MB = 1024 * 1024
GOOD = Answer(body=b"good")
#: Seconds: for a connection, for silence, for the whole.
LIMITS = {"connect_timeout": 0.5, "read_timeout": 0.3, "total_timeout": 1.5}


@contextmanager
def gateway(*urls, settings=None, route=None, **options):
    """Serve a gateway in front of a backend; give its authority and its pool."""
    with backend_behind(*urls, settings=settings, route=route, **options) as found:
        authority, backend, _ = found
        yield authority, backend.adapter.pool


@contextmanager
def backend_behind(*urls, settings=None, route=None, metrics=False, **options):
    """Serve a gateway; give its authority, its backend and its registry."""
    provider = urls[0] if callable(urls[0]) else list(urls)
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        if metrics:
            config.add_metrics_view()
        config.add_backend("b", provider, **{**LIMITS, **options})
        config.add_proxy_route("r", "/*path", "b", **(route or {}))
        app = config.make_wsgi_app()
    backend = config.registry.getUtility(IGateway).backends["b"]
    # What waitress itself holds back for a slow client is not ours to measure.
    try:
        with wire.served(app, outbuf_high_watermark=MB) as authority:
            yield authority, backend, config.registry
    finally:
        backend.adapter.pool.close()


def metrics_of(registry):
    """Return the samples that are not those of buckets, as they are told."""
    text, _ = registry.getUtility(IMetrics).exposition()
    return text.decode().splitlines()


def asked(authority, method="GET", headers=(), body=b""):
    """Send a request and return the reply."""
    lines = [f"{method} /x HTTP/1.1", f"Host: {authority}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode()
    return wire.exchange(authority, head + body, method)


@pytest.fixture(autouse=True)
def nothing_left():
    """No thread and no descriptor is left, and no collector is needed for that."""
    threads, files = threading.active_count(), open_files()
    yield
    try:
        settled(lambda: threading.active_count() <= threads)
        settled(lambda: open_files() <= files)
    finally:
        gc.collect()  # what was left is complained of here, not in the next test


def open_files():
    return len(os.listdir("/proc/self/fd"))


def settled(condition):
    """Wait until what ends by itself has ended."""
    pause = threading.Event()
    for _ in range(100):
        if condition():
            return
        pause.wait(0.05)
    assert condition()


def check_problem(reply, status, token):
    """The client gets a problem document that tells what, and nothing else."""
    assert reply.status == status, (reply, token)
    assert reply.get("Content-Type") == "application/problem+json"
    document = json.loads(reply.body)
    assert document["status"] == status
    assert "'b'" in document["detail"] and "127.0.0.1" not in reply.body.decode()
    told = reply.get("Proxy-Status")
    assert any(f"error={each}" in told for each in token.split("|")), told


def check_after(backend, authority, pool):
    """The connection is gone, at both ends; the next request is answered well."""
    assert pool.count() == 0
    settled(lambda: backend.open_connections == 0)
    reply = asked(authority)
    assert (reply.status, reply.body, reply.truncated) == (200, b"good", False)


def case(name, fault, status=502, token="http_protocol_error"):
    return pytest.param(fault, status, token, id=name)


def head(*lines):
    """A head, with the body ``ok`` after it."""
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", "ok"]).encode("latin-1")


# -- failures before anything has reached the client ------------------------------


@pytest.mark.parametrize(
    "fault,status,token",
    [
        case("BACKEND-03 close", faults.close(), 502, "connection_terminated"),
        case("BACKEND-03 reset", faults.reset(), 502, "connection_terminated"),
        # As early as this, it may end while it is being made.
        *(
            case(
                f"BACKEND-03 {fault.name}",
                fault,
                502,
                "connection_terminated|connection_refused",
            )
            for fault in (faults.close("connection"), faults.reset("connection"))
        ),
        case("BACKEND-04", faults.hang(), 504, "connection_read_timeout"),
        case(
            "BACKEND-04 hang in the head",
            faults.hang(after="half-head"),
            504,
            "connection_read_timeout",
        ),
        case(
            "BACKEND-04 hang before the body",
            faults.hang(after="head"),
            504,
            "connection_read_timeout",
        ),
        case(
            "slow drip of the head",
            faults.drip(every=0.1, part="head"),
            504,
            "http_response_timeout",
        ),
        case("BACKEND-06 close", faults.close(after="half-head")),
        case("BACKEND-06 reset", faults.reset(after="half-head")),
        case(
            "cut before the body",
            faults.close(after="head"),
            502,
            "http_response_incomplete",
        ),
        case(
            "reset before the body",
            faults.reset(after="head"),
            502,
            "http_response_incomplete",
        ),
        case("BACKEND-10 abc", faults.raw(head("Content-Length: abc"))),
        case("BACKEND-10 negative", faults.raw(head("Content-Length: -5"))),
        case(
            "BACKEND-10 two values",
            faults.raw(head("Content-Length: 2", "Content-Length: 1")),
        ),
        case("BACKEND-10 a list", faults.raw(head("Content-Length: 2, 1"))),
        case(
            "BACKEND-11 both",
            faults.raw(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked"
                b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            ),
        ),
        case(
            "BACKEND-11 coding",
            faults.raw(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked"
                b"\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            ),
        ),
        case(
            "bad chunk first",
            faults.bad_chunk(first=b""),
            502,
            "http_response_incomplete",
        ),
        case(
            "negative chunk size",
            faults.bad_chunk(b"-2", first=b""),
            502,
            "http_response_incomplete",
        ),
        case(
            "chunk size beyond 64 bits",
            faults.bad_chunk(b"f" * 17, first=b""),
            502,
            "http_response_incomplete",
        ),
        case("BACKEND-14 fields", faults.header_flood(count=MAX_FIELDS + 1, size=1)),
        case("BACKEND-14 one large field", faults.header_flood(count=1, size=70_000)),
        case(
            "BACKEND-14 status line",
            faults.status_line("HTTP/1.1 200 " + "x" * 70_000),
        ),
        case(
            "BACKEND-16 no colon",
            faults.raw(head("X-A: 1", "no colon", "Content-Length: 2")),
        ),
        case(
            "BACKEND-16 space in the name",
            faults.raw(head("X A: 1", "Content-Length: 2")),
        ),
        case(
            "BACKEND-16 space after the name",
            faults.raw(head("X-A : 1", "Content-Length: 2")),
        ),
        case("BACKEND-15", faults.raw(head("X-A: v\rSet-Cookie: a=b"))),
        case("BACKEND-15 NUL", faults.raw(head("X-A: v\0w", "Content-Length: 2"))),
        case("BACKEND-19 101", faults.switch_protocols()),
        case("BACKEND-19 099", faults.status_line("HTTP/1.1 099 Odd")),
        case("BACKEND-19 999", faults.status_line("HTTP/1.1 999 Odd")),
        case("BACKEND-19 1000", faults.status_line("HTTP/1.1 1000 Odd")),
        case("BACKEND-19 two digits", faults.status_line("HTTP/1.1 20 Odd")),
        case("BACKEND-19 HTTP/2.0", faults.status_line("HTTP/2.0 200 OK")),
        case("BACKEND-19 no HTTP", faults.status_line("ICY 200 OK")),
        case("1xx flood", faults.interim_flood(count=21)),
    ],
)
def test_a_failure_is_told(fault, status, token):
    with (
        FaultBackend(fault, GOOD) as backend,
        gateway(backend.url) as (authority, pool),
    ):
        check_problem(asked(authority), status, token)
        check_after(backend, authority, pool)


# -- failures when the client has the head already --------------------------------

LONG = Answer(body=b"0123456789" * 10)
CHUNKS = Answer(pieces=[b"01234", b"56789"])


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.close("half-body", LONG), id="close"),
        pytest.param(faults.reset("half-body", LONG), id="reset"),
        pytest.param(faults.hang("half-body", LONG), id="hang"),
        pytest.param(faults.close("half-body", CHUNKS), id="close in a chunk"),
        pytest.param(faults.reset("half-body", CHUNKS), id="reset in a chunk"),
        pytest.param(faults.hang("half-body", CHUNKS), id="hang in a chunk"),
        pytest.param(faults.drip(LONG, every=0.1), id="slow drip"),
        pytest.param(faults.wrong_length(5), id="Content-Length too large"),
        pytest.param(faults.bad_chunk(), id="bad chunk"),
        pytest.param(
            faults.raw(b"HTTP/1.1 200 OK\r\n\r\n01234", then="hang"), id="BACKEND-27"
        ),
    ],
)
def test_a_body_that_breaks_looks_broken(fault):
    with (
        FaultBackend(fault, GOOD) as backend,
        gateway(backend.url) as (authority, pool),
    ):
        reply = asked(authority)
        assert reply.truncated or reply.status == 502, reply
        if reply.status == 200:
            assert LONG.body.startswith(reply.body) or reply.body == b"ok"
        check_after(backend, authority, pool)


def test_a_head_in_single_bytes_is_read():
    with (
        FaultBackend(faults.split()) as backend,
        gateway(backend.url) as (authority, _),
    ):
        assert asked(authority).body == b"0123456789"


def test_a_deadline_is_for_the_whole_however_slow_the_drip():
    """Silence never is long: only the total deadline ends this."""
    drip = faults.drip(LONG, every=0.1)
    with FaultBackend(drip, GOOD) as backend:
        options = {"read_timeout": 5, "total_timeout": 0.5}
        with gateway(backend.url, **options) as (authority, pool):
            reply = asked(authority)
            assert reply.truncated and 0 < len(reply.body) < 50
            check_after(backend, authority, pool)


def test_a_body_that_breaks_is_counted_and_not_kept():
    fresh = [("Cache-Control", "max-age=600")]
    cut = faults.close("half-body", Answer(200, fresh, b"0123456789"))
    with FaultBackend(cut, Answer(200, fresh, b"good")) as backend:
        options = {"route": {"cache": True}, "metrics": True, "max_fails": 5}
        with backend_behind(backend.url, **options) as (authority, _, registry):
            assert asked(authority).truncated
            reply = asked(authority)
            assert (reply.body, reply.truncated) == (b"good", False)
            assert "; hit" not in reply.get("Cache-Status")
            assert "; hit" in asked(authority).get("Cache-Status")
            broken = 'restproxy_broken_answers_total{route="r"} 1.0'
            settled(lambda: broken in metrics_of(registry))


def test_a_client_that_leaves_is_no_failure_of_the_backend():
    """One failure would open the circuit."""

    class Endless(list):
        def __iter__(self):
            while True:
                yield b"x" * 65536

    with FaultBackend(Answer(pieces=Endless()), GOOD) as backend:
        options = {"max_fails": 1, "total_timeout": 30, "metrics": True}
        with backend_behind(backend.url, **options) as (authority, found, registry):
            (endpoint,) = found.endpoints
            host, _, port = authority.rpartition(":")
            with socket.create_connection((host, int(port)), 10) as client:
                client.sendall(f"GET /x HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
                assert client.recv(17) == b"HTTP/1.1 200 OK\r\n"
            settled(lambda: endpoint.in_flight == 0)
            assert endpoint.health.state == "closed"
            assert found.adapter.pool.count() == 0
            assert asked(authority).body == b"good"
            assert not [x for x in metrics_of(registry) if "broken_answers_total{" in x]


def test_backend_04_whoever_hangs_gives_its_threads_back():
    """As many hang as the server has threads; then all are there again."""
    with FaultBackend(*[faults.hang()] * 4, GOOD) as backend:
        with gateway(backend.url) as (authority, pool):
            hung = at_once(4, lambda: asked(authority))
            assert [reply.status for reply in hung] == [504] * 4
            well = at_once(4, lambda: asked(authority))
            assert [reply.body for reply in well] == [b"good"] * 4


def at_once(count, do):
    """Do something in several threads; return what came of it."""
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(do())) for _ in range(count)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    return found


def test_a_deadline_is_for_all_attempts_together():
    """Nobody else is asked when the time is over."""
    with FaultBackend(faults.hang()) as one, FaultBackend(GOOD) as two:
        options = {"read_timeout": 5, "total_timeout": 0.5, "balance": "first"}
        with gateway(one.url, two.url, **options) as (authority, _):
            check_problem(asked(authority), 504, "http_response_timeout")
            assert two.seen == []


# -- connections that cannot be made ----------------------------------------------


def test_a_refused_connection():
    with (
        FaultBackend(faults.refuse()) as backend,
        gateway(backend.url) as (authority, pool),
    ):
        check_problem(asked(authority), 502, "connection_refused")
        backend.play(GOOD)
        check_after(backend, authority, pool)


def test_a_name_that_does_not_resolve():
    with gateway(faults.UNRESOLVABLE) as (authority, pool):
        check_problem(asked(authority), 502, "dns_error")
        assert pool.count() == 0


def test_a_network_that_is_not_reachable():
    with gateway("http://255.255.255.255:9") as (authority, pool):
        check_problem(asked(authority), 502, "connection_refused")
        assert pool.count() == 0


def test_a_connection_that_is_never_accepted():
    with full_backlog() as full, gateway(f"http://{full}") as (authority, pool):
        check_problem(asked(authority), 504, "connection_timeout")
        assert pool.count() == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unreachable_destination_is_left_for_another(method):
    with FaultBackend(faults.refuse()) as closed, FaultBackend(GOOD) as backend:
        with gateway(closed.url, backend.url) as (authority, _):
            for _ in range(4):
                assert asked(authority, method, body=b"x").status == 200
        assert len(backend.seen) == 4


def test_a_backend_that_restarts():
    """Requests meanwhile are refused; kept connections of before do no harm."""
    with FaultBackend(GOOD) as backend, gateway(backend.url) as (authority, pool):
        assert asked(authority).status == 200 and pool.count() == 1
        backend.play(faults.refuse())
        check_problem(asked(authority), 502, "connection_refused")
        backend.play(GOOD)
        for method in ("GET", "POST", "GET"):
            assert asked(authority, method, body=b"x").status == 200
        assert pool.count() == 1 and backend.connections == 2


def test_a_backend_that_restarts_under_load():
    """Another takes over; what was in flight fails, where it may not be repeated."""
    outcomes, over, away = [], threading.Event(), faults.refuse()
    lock = threading.Lock()

    def ask():
        number = 0
        while not over.is_set():
            number += 1
            method = "POST" if number % 5 == 0 else "GET"
            status = asked(authority, method, body=b"x").status
            with lock:
                outcomes.append((method, status))

    def more(count):
        wanted = len(outcomes) + count
        settled(lambda: len(outcomes) >= wanted)

    options = {"max_fails": 3, "cool_down": 0.2, "metrics": True}
    with FaultBackend(GOOD) as one, FaultBackend(GOOD) as two:
        with backend_behind(one.url, two.url, **options) as found:
            authority, backend, registry = found
            clients = [threading.Thread(target=ask) for _ in range(4)]
            for each in clients:
                each.start()
            try:
                more(100)
                one.play(away)
                settled(lambda: not backend.endpoints[0].health.is_closed)
                more(100)
                one.play(GOOD)
                settled(lambda: backend.endpoints[0].health.is_closed)
                before = len(one.seen)
                settled(lambda: len(one.seen) > before)
                more(100)
            finally:
                over.set()
                for each in clients:
                    each.join(30)
            retried = [x for x in metrics_of(registry) if "restproxy_retries" in x]
    failed = [each for each in outcomes if each[1] != 200]
    assert len(failed) <= 4 and {method for method, _ in failed} <= {"POST"}
    assert any("restproxy_retries_total{" in line for line in retried)


def test_resilience_01_a_circuit_opens_and_one_request_tries_it():
    """The 503 comes while the one request is still held: it waits for nothing."""
    go_on, inside = threading.Event(), threading.Event()

    def held(seen):
        inside.set()
        go_on.wait(10)
        return GOOD

    with FaultBackend(faults.close()) as backend:
        options = {"max_fails": 3, "cool_down": 0.2, "read_timeout": 10}
        options |= {"total_timeout": 20}
        with backend_behind(backend.url, **options) as (authority, found, _):
            (endpoint,) = found.endpoints
            for _ in range(3):
                check_problem(asked(authority), 502, "connection_terminated")
            refused = asked(authority)
            check_problem(refused, 503, "destination_unavailable")
            assert int(refused.get("Retry-After")) >= 1
            assert len(backend.seen) == 3
            backend.play(held)
            settled(lambda: endpoint.health.state == "half-open")
            probing = []
            probe = threading.Thread(target=lambda: probing.append(asked(authority)))
            probe.start()
            assert inside.wait(10)
            check_problem(asked(authority), 503, "destination_unavailable")
            assert len(backend.seen) == 4
            go_on.set()
            probe.join(30)
            assert probing[0].body == b"good"
            assert endpoint.health.state == "closed"
            assert asked(authority).body == b"good"


def test_resilience_02_retries_are_a_share_of_the_requests():
    busy = Answer(503, [("Retry-After", "0")])
    with FaultBackend(busy) as backend:
        options = {"retries": 3, "retry_statuses": [503], "retry_budget": 0.2}
        with gateway(backend.url, **options) as (authority, _):
            for _ in range(100):
                assert asked(authority).status == 503
            assert 100 < len(backend.seen) <= 100 + 0.2 * 100 + 10  # the reserve


def test_what_is_over_the_limit_of_a_backend_is_shed_at_once():
    """The 503 comes while the request before it is still held."""
    go_on, inside = threading.Event(), threading.Event()

    def held(seen):
        inside.set()
        go_on.wait(10)
        return GOOD

    with FaultBackend(held, GOOD) as backend:
        options = {"max_in_flight": 1, "read_timeout": 10, "total_timeout": 20}
        with gateway(backend.url, **options) as (authority, _):
            first = []
            one = threading.Thread(target=lambda: first.append(asked(authority)))
            one.start()
            assert inside.wait(10)
            shed = asked(authority)
            check_problem(shed, 503, "connection_limit_reached")
            assert shed.get("Retry-After") == "1"
            assert len(backend.seen) == 1
            go_on.set()
            one.join(30)
            assert first[0].body == b"good"
            assert asked(authority).body == b"good"


# -- destinations that change --------------------------------------------------------


def test_a_destination_out_of_service_finishes_what_it_has():
    go_on, inside = threading.Event(), threading.Event()

    def held(seen):
        inside.set()
        go_on.wait(10)
        return Answer(body=b"one")

    with FaultBackend(held) as one, FaultBackend(GOOD) as two:
        options = {"balance": "first", "read_timeout": 10, "total_timeout": 20}
        with backend_behind(one.url, two.url, **options) as (authority, backend, _):
            slow = []
            client = threading.Thread(target=lambda: slow.append(asked(authority)))
            client.start()
            assert inside.wait(10)
            backend.endpoints[0].enabled = False
            assert [asked(authority).body for _ in range(3)] == [b"good"] * 3
            go_on.set()
            client.join(30)
            assert slow[0].body == b"one"
            settled(lambda: backend.endpoints[0].in_flight == 0)
            backend.endpoints[0].enabled = True
            assert asked(authority).body == b"one"


def test_destinations_of_a_file_change_while_requests_come(tmp_path):
    path = tmp_path / "destinations"
    with FaultBackend(Answer(body=b"one")) as one, FaultBackend(GOOD) as two:
        path.write_text(one.url)
        with gateway(from_file(str(path)), refresh=0.05) as (authority, _):
            assert asked(authority).body == b"one"
            path.write_text(two.url)
            settled(lambda: asked(authority).body == b"good")
            path.unlink()  # what is known stays
            for _ in range(3):
                assert asked(authority).body == b"good"


# -- TLS --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault,status,token",
    [
        case(f"BACKEND-02 {fault.name}", fault, 502, token)
        for fault, token in (
            (faults.certificate("self-signed"), "tls_certificate_error"),
            (faults.certificate("expired"), "tls_certificate_error"),
            (faults.certificate("wrong-host"), "tls_certificate_error"),
            (faults.needs_server_name(), "tls_protocol_error"),
            (faults.old_tls(), "tls_protocol_error"),
            (faults.not_tls(), "tls_protocol_error"),
            (
                faults.reset(after="connection"),
                "tls_protocol_error|connection_refused|connection_terminated",
            ),
        )
    ]
    + [
        case(
            "no handshake",
            faults.hang(after="connection"),
            504,
            "connection_timeout",
        )
    ],
)
def test_backend_02_tls_is_never_downgraded(fault, status, token):
    with FaultBackend(fault, GOOD, tls=True) as backend:
        with gateway(backend.url, verify=backend.ca_file) as (authority, pool):
            check_problem(asked(authority), status, token)
            assert backend.seen == [] and backend.connections == 1
            assert pool.count() == 0
            settled(lambda: backend.open_connections == 0)
            assert asked(authority).body == b"good"


def test_backend_02_the_server_is_named():
    with FaultBackend(faults.needs_server_name(), GOOD, tls=True) as backend:
        url = f"https://localhost:{backend.port}"
        with gateway(url, verify=backend.ca_file) as (authority, _):
            assert asked(authority).body == b"good"


def test_backend_02_what_one_backend_trusts_another_does_not():
    untrusted = faults.certificate("self-signed")
    with FaultBackend(untrusted, tls=True) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("lax", backend.url, verify="insecure", **LIMITS)
        config.add_backend("b", backend.url, **LIMITS)
        config.add_proxy_route("lax", "/lax/*path", "lax")
        config.add_proxy_route("b", "/*path", "b")
        app = config.make_wsgi_app()
        with wire.served(app) as authority:
            lax = f"GET /lax/ HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
            for _ in range(2):
                assert wire.exchange(authority, lax).status == 200
                check_problem(asked(authority), 502, "tls_certificate_error")
        for each in config.registry.getUtility(IGateway).backends.values():
            each.adapter.pool.close()


# -- kept connections -------------------------------------------------------------


@pytest.mark.parametrize("end", [faults.close, faults.reset])
def test_backend_03_a_get_is_sent_once_more_where_a_kept_connection_was_closed(end):
    with FaultBackend(GOOD, end(), GOOD) as backend:
        with gateway(backend.url) as (authority, _):
            assert [asked(authority).status for _ in range(2)] == [200, 200]
        assert len(backend.seen) == 3 and backend.connections == 2


def test_backend_03_and_not_twice():
    with FaultBackend(GOOD, faults.close(), faults.close(), GOOD) as backend:
        with gateway(backend.url) as (authority, pool):
            assert asked(authority).status == 200
            check_problem(asked(authority), 502, "connection_terminated")
            assert len(backend.seen) == 3
            check_after(backend, authority, pool)


@pytest.mark.parametrize("fault", [faults.close("answer"), faults.reset("answer")])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_backend_21_a_connection_closed_after_each_answer(fault, method):
    with FaultBackend(fault) as backend, gateway(backend.url) as (authority, _):
        assert {asked(authority, method).status for _ in range(50)} == {200}
        assert len(backend.seen) == 50


def test_backend_21_a_post_is_not_repeated_unless_it_has_a_key():
    with FaultBackend(GOOD, faults.close(), GOOD) as backend:
        with gateway(backend.url) as (authority, pool):
            assert asked(authority).status == 200
            reply = asked(authority, "POST", body=b"x")
            check_problem(reply, 502, "connection_terminated")
            check_after(backend, authority, pool)
            backend.play(GOOD, faults.close(), GOOD)
            assert asked(authority).status == 200
            key = ['Idempotency-Key: "k"']
            assert asked(authority, "POST", key, b"test").status == 200
        assert [seen.body for seen in backend.seen[-2:]] == [b"test", b"test"]


def test_backend_21_a_request_in_flight_is_not_repeated_once_its_answer_began():
    with FaultBackend(GOOD, faults.close("half-head"), GOOD) as backend:
        with gateway(backend.url) as (authority, pool):
            assert asked(authority).status == 200
            check_problem(asked(authority), 502, "http_protocol_error")
            assert len(backend.seen) == 2
            check_after(backend, authority, pool)


POISONED = {
    "BACKEND-08": (faults.wrong_length(-4), "GET", 200, b"012345"),
    "BACKEND-08 nothing said": (faults.wrong_length(-10), "GET", 200, b""),
    "BACKEND-09": (faults.glued(), "GET", 200, b"0123456789"),
    "BACKEND-09 after chunks": (faults.glued(CHUNKS), "GET", 200, b"0123456789"),
    "BACKEND-09 after 204": (faults.glued(Answer(204)), "GET", 204, b""),
    "BACKEND-20 204": (
        faults.raw(b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok", "keep"),
        "GET",
        204,
        b"",
    ),
    "BACKEND-20 304": (
        faults.raw(b"HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\nok", "keep"),
        "GET",
        304,
        b"",
    ),
    "BACKEND-20 HEAD": (
        faults.raw(head("Content-Length: 2"), "keep"),
        "HEAD",
        200,
        b"",
    ),
}


@pytest.mark.parametrize("name", POISONED)
def test_a_poisoned_connection_is_not_reused(name):
    fault, method, status, body = POISONED[name]
    with (
        FaultBackend(fault, GOOD) as backend,
        gateway(backend.url) as (authority, pool),
    ):
        reply = asked(authority, method)
        assert (reply.status, reply.body, reply.truncated) == (status, body, False)
        check_after(backend, authority, pool)
        assert backend.connections == 2


def test_backend_09_an_answer_that_comes_while_nothing_was_asked():
    go_on, sent = threading.Event(), threading.Event()

    def play(peer):
        peer.send(GOOD.head() + GOOD.body)
        go_on.wait(10)
        peer.send(Answer(body=b"poison").head() + b"poison")
        sent.set()
        return True

    with FaultBackend(Fault("late poison", play), GOOD) as backend:
        with gateway(backend.url) as (authority, pool):
            assert asked(authority).body == b"good"
            assert pool.count() == 1  # nothing is wrong with it, so far
            go_on.set()
            assert sent.wait(10)
            assert asked(authority).body == b"good"
            assert backend.connections == 2


def test_backend_20_an_answer_to_head_has_a_length_and_no_body():
    with FaultBackend(GOOD) as backend, gateway(backend.url) as (authority, pool):
        reply = asked(authority, "HEAD")
        assert (reply.get("Content-Length"), reply.body) == ("4", b"")
        assert pool.count() == 1


# -- floods: the memory they take is bounded --------------------------------------


@contextmanager
def memory_below(limit):
    """Fail where more memory than this was held at a time, bytes."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit, peak


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.header_flood(200_000, 50), id="many fields"),
        pytest.param(faults.header_flood(1, 20 * MB), id="BACKEND-14 endless field"),
        pytest.param(
            faults.status_line("HTTP/1.1 200 " + "x" * 20 * MB),
            id="BACKEND-14 endless status line",
        ),
        pytest.param(faults.interim_flood(), id="endless 1xx"),
        pytest.param(faults.long_chunk_line(), id="BACKEND-13 chunk size"),
        pytest.param(
            faults.long_chunk_line(line="extension"), id="BACKEND-13 chunk extension"
        ),
        pytest.param(
            faults.endless_trailers(body=b""), id="BACKEND-13 trailers and no body"
        ),
    ],
)
def test_a_flood_is_cut_off(fault):
    """Without a total deadline: the flood itself must be noticed."""
    with FaultBackend(fault, GOOD) as backend:
        with gateway(backend.url, total_timeout=None) as (authority, pool):
            with memory_below(2 * MB):
                reply = asked(authority)
            assert reply.status == 502, reply
            check_after(backend, authority, pool)


def test_backend_13_endless_trailers_after_a_body():
    with FaultBackend(faults.endless_trailers(), GOOD) as backend:
        with gateway(backend.url, total_timeout=None) as (authority, pool):
            with memory_below(2 * MB):
                reply = asked(authority)
            assert reply.status == 502 or (reply.body, reply.truncated) == (b"ok", True)
            check_after(backend, authority, pool)


def test_backend_14_up_to_the_limits_answers_pass():
    many = Answer(headers=[(f"X-{n}", "1") for n in range(MAX_FIELDS - 1)])
    large = Answer(headers=[("X-Large", "x" * (MAX_HEAD - 200))])
    with FaultBackend(many, large) as backend, gateway(backend.url) as (authority, _):
        reply = asked(authority)
        assert reply.status == 200 and reply.get(f"X-{MAX_FIELDS - 2}") == "1"
        assert len(asked(authority).get("X-Large")) == MAX_HEAD - 200


# -- uploads that are answered early ----------------------------------------------


@pytest.mark.parametrize("drain", [True, False])
def test_an_answer_before_the_body_was_sent(drain):
    early = faults.early_answer(drain=drain)
    with FaultBackend(early, GOOD) as backend:
        with gateway(backend.url) as (authority, pool):
            reply = asked(authority, "POST", body=b"x" * 5 * MB)
            assert reply.status == 413
            check_after(backend, authority, pool)


def test_an_upload_that_nobody_reads():
    """The backend takes nothing: the silence is over at the read timeout."""
    hang = Fault("reads nothing", lambda peer: wait_for(ended), "head")
    ended = threading.Event()
    with FaultBackend(hang, GOOD) as backend:
        with gateway(backend.url) as (authority, pool):
            reply = asked(authority, "POST", body=b"x" * 20 * MB)
            check_problem(reply, 504, "connection_read_timeout")
            ended.set()
            check_after(backend, authority, pool)


def wait_for(event):
    event.wait(10)
    return False


# -- contents, cookies, environment -----------------------------------------------

BOMB = gzip.compress(b"[" + b" " * 10 * MB + b"]")


@pytest.mark.parametrize(
    "coding,body",
    [("gzip", BOMB), ("gzip", b"no gzip"), ("br", b"\x0b\x02\x80"), ("zstd", b"\x28")],
)
def test_backend_22_contents_are_passed_as_they_are(coding, body):
    answer = Answer(200, [("Content-Encoding", coding)], body)
    with FaultBackend(answer) as backend, gateway(backend.url) as (authority, _):
        with memory_below(2 * MB):
            reply = asked(authority)
        assert (reply.body, reply.get("Content-Encoding")) == (body, coding)


def test_backend_22_what_is_rewritten_is_limited():
    """A filter asks for plain content; what comes all the same is never inflated."""
    kind = ("Content-Type", "application/json")
    bomb = Answer(200, [kind, ("Content-Encoding", "gzip")], BOMB)
    large = Answer(200, [kind], b"[" + b" " * 10 * MB + b"]")
    route = {"response_transforms": [transforms.json_filter(drop=["password"])]}
    with FaultBackend(bomb, large) as backend:
        with gateway(backend.url, route=route) as (authority, pool):
            for _ in range(2):
                with memory_below(6 * MB):
                    reply = asked(authority)
                check_problem(reply, 502, "http_response_transform_error")
            assert pool.count() == 0
        assert backend.seen[0].header("Accept-Encoding") == "identity"


def test_backend_24_cookies_stay_apart_and_are_not_kept():
    cookies = [
        "a=1; Expires=Wed, 09 Jun 2100 10:18:14 GMT; Domain=backend.test; Path=/x",
        "b=2; Path=/",
    ]
    answer = Answer(200, [("Set-Cookie", each) for each in cookies])
    rewrite = transforms.cookie_attributes(domain="drop", path="/here")
    with FaultBackend(answer) as backend:
        with gateway(backend.url) as (authority, _):
            assert asked(authority).lines("Set-Cookie") == cookies
            asked(authority)
        route = {"response_transforms": [rewrite]}
        with gateway(backend.url, route=route) as (authority, _):
            first, second = asked(authority).lines("Set-Cookie")
    assert first.startswith("a=1; Expires=Wed, 09 Jun 2100 10:18:14 GMT")
    assert "backend.test" not in first and "Path=/here" in first
    assert second == "b=2; Path=/here"
    assert [seen.header("Cookie") for seen in backend.seen] == [None] * 3


def test_backend_25_the_environment_is_not_asked(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    with FaultBackend(GOOD) as backend, gateway(backend.url) as (authority, _):
        assert asked(authority).body == b"good"
        assert backend.seen[0].header("Authorization") is None
    with FaultBackend(GOOD, tls=True) as backend:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.setenv(name, backend.ca_file)
        with gateway(backend.url) as (authority, _):
            check_problem(asked(authority), 502, "tls_certificate_error")


def test_backend_26_the_proxy_field_is_dropped():
    with FaultBackend(GOOD) as backend, gateway(backend.url) as (authority, _):
        reply = asked(authority, headers=["Proxy: http://127.0.0.1:1"])
        assert reply.body == b"good"
        assert backend.seen[0].header("Proxy") is None


def test_backend_27_an_answer_without_a_length_ends_with_its_connection():
    data = b"HTTP/1.1 200 OK\r\n\r\nsome"
    with FaultBackend(faults.raw(data), GOOD) as backend:
        with gateway(backend.url) as (authority, pool):
            reply = asked(authority)
            assert (reply.body, reply.truncated) == (b"some", False)
            check_after(backend, authority, pool)


def test_backend_28_a_download_of_any_size_takes_no_memory():
    size, piece = 64 * MB, b"x" * 65536

    class Many(list):
        def __iter__(self):
            return (piece for _ in range(size // len(piece)))

    answer = Answer(200, [("Content-Length", str(size))], pieces=Many())
    with FaultBackend(answer) as backend:
        with gateway(backend.url, total_timeout=60) as (authority, _):
            with memory_below(4 * MB):
                assert downloaded(authority) == size


def downloaded(authority):
    """Read an answer and keep nothing of it; return the length of its body."""
    host, _, port = authority.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        with client.makefile("rb") as reader:
            length = 0
            while (line := reader.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            left = length
            while left and (piece := reader.read1(65536)):
                left -= len(piece)
            return length - left


def test_backend_28_an_upload_of_any_size_takes_no_memory():
    size, piece = 64 * MB, b"x" * 65536

    def play(peer):
        end = b""
        while not end.endswith(b"end"):
            end = end[-3:] + peer.connection.recv(65536)
        peer.send(GOOD.head() + GOOD.body)
        return False

    with FaultBackend(Fault("keeps nothing", play, "head")) as backend:
        with gateway(backend.url, total_timeout=60) as (authority, _):
            host, _, port = authority.rpartition(":")
            with memory_below(4 * MB):
                with socket.create_connection((host, int(port)), 10) as client:
                    head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {size + 3}"
                    client.sendall(head.encode() + b"\r\n\r\n")
                    for _ in range(size // len(piece)):
                        client.sendall(piece)
                    client.sendall(b"end")
                    with client.makefile("rb") as reader:
                        assert wire.read_reply(reader).body == b"good"


# -- all of them ------------------------------------------------------------------


def test_every_backend_vector_has_a_test(request):
    folder = pathlib.Path(request.config.getoption("--vectors"))
    found = json.loads((folder / "security.json").read_text("utf-8"))["vectors"]
    wanted = {each["id"] for each in found if each["area"] == "backend"}
    here = pathlib.Path(__file__).read_text("utf-8")
    tested = re.findall(r"BACKEND-\d+", here)
    tested += [f"BACKEND-{n}" for n in re.findall(r"def test_backend_(\d+)_", here)]
    assert wanted <= set(tested)
