"""Forwarding over real sockets: streams, cuts, clients that leave, leaks, memory."""

from __future__ import annotations

import gc
import os
import random
import socket
import struct
import threading
from contextlib import contextmanager

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from webob import Request

from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.testing import Answer, FakeBackend
from tests import wire

MB = 1024 * 1024

#: Clients that abort; RESTPROXY_ABORTS=10000 for the long run.
ABORTS = int(os.environ.get("RESTPROXY_ABORTS", "200"))


@contextmanager
def gateway(backend, settings=None, route=None, **options):
    """Serve a gateway in front of a backend; give its authority and its pool."""
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend.url, **options)
        config.add_proxy_route("r", "/*path", "b", **(route or {}))
        app = config.make_wsgi_app()
    pool = config.registry.getUtility(IGateway).backends["b"].adapter.pool
    # What waitress itself holds back for a slow client is not ours to measure.
    with wire.served(app, outbuf_high_watermark=MB) as authority:
        yield authority, pool


def request(authority, path="/", method="GET", headers=(), body=b""):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {authority}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def connect(authority):
    host, _, port = authority.rpartition(":")
    return socket.create_connection((host, int(port)), 10)


def test_events_are_not_held_back():
    go_on = threading.Event()
    pieces = [b"data: 1\n\n", lambda: go_on.wait(10), b"data: 2\n\n"]
    answer = Answer(200, [("Content-Type", "text/event-stream")], pieces=pieces)
    with FakeBackend(answer) as backend, gateway(backend) as (authority, _):
        with connect(authority) as client, client.makefile("rb") as reader:
            client.sendall(request(authority))
            while reader.readline() != b"\r\n":
                pass
            assert reader.readline() == b"9\r\n"
            assert reader.read(9) == b"data: 1\n\n"  # the second was not sent yet
            go_on.set()
            assert b"data: 2\n\n" in reader.read(16)


def test_a_late_first_event_does_not_keep_the_head_back():
    go_on = threading.Event()
    answer = Answer(
        200,
        [("Content-Type", "text/event-stream")],
        pieces=[lambda: go_on.wait(10), b"data: 1\n\n"],
    )
    with (
        FakeBackend(answer) as backend,
        gateway(backend, route={"sse_prelude": True}) as (authority, _),
        connect(authority) as client,
        client.makefile("rb") as reader,
    ):
        client.sendall(request(authority))
        while reader.readline() != b"\r\n":
            pass
        assert reader.readline() == b"3\r\n"
        assert reader.read(5) == b":\n\n\r\n"  # before there is any event
        go_on.set()
        assert b"data: 1\n\n" in reader.read(16)


def test_event_streams_do_not_take_all_threads():
    go_on = threading.Event()
    answer = Answer(
        200,
        [("Content-Type", "text/event-stream")],
        pieces=[b"data: 1\n\n", lambda: go_on.wait(10)],
    )
    settings = {"restproxy.max_streams": "1"}
    with (
        FakeBackend(answer) as backend,
        gateway(backend, settings) as (authority, _),
        connect(authority) as first,
        connect(authority) as second,
        connect(authority) as third,
    ):
        first.sendall(request(authority))
        assert first.recv(17) == b"HTTP/1.1 200 OK\r\n"
        second.sendall(request(authority))
        assert second.recv(12) == b"HTTP/1.1 503"
        go_on.set()
        while b"0\r\n\r\n" not in first.recv(4096):
            pass
        third.sendall(request(authority))
        assert third.recv(17) == b"HTTP/1.1 200 OK\r\n"


def test_a_route_sheds_what_is_too_much():
    go_on = threading.Event()
    answer = Answer(200, pieces=[b"1", lambda: go_on.wait(10)])
    with (
        FakeBackend(answer) as backend,
        gateway(backend, route={"max_in_flight": 1}) as (authority, _),
        connect(authority) as first,
        connect(authority) as second,
        connect(authority) as third,
    ):
        first.sendall(request(authority))
        assert first.recv(17) == b"HTTP/1.1 200 OK\r\n"
        second.sendall(request(authority))
        assert second.recv(12) == b"HTTP/1.1 503"
        go_on.set()
        while b"0\r\n\r\n" not in first.recv(4096):
            pass
        third.sendall(request(authority))
        assert third.recv(17) == b"HTTP/1.1 200 OK\r\n"


def test_a_cut_body_looks_cut():
    head = b"HTTP/1.1 200 OK\r\n"
    for framing in (
        b"Content-Length: 10\r\n\r\nok",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    ):
        with (
            FakeBackend(head + framing) as backend,
            gateway(backend) as (authority, pool),
        ):
            reply = wire.exchange(authority, request(authority))
            assert (reply.status, reply.body, reply.truncated) == (200, b"ok", True)
            assert pool.count() == 0


def test_a_client_that_leaves_ends_the_work_of_the_backend():
    left = threading.Event()

    def endless(seen):
        def piece():
            yield b"x" * 65536

        class Endless(list):
            def __iter__(self):
                while True:
                    yield from piece()

        return Answer(pieces=Endless())

    class Noticing(FakeBackend):
        def _serve(self, connection):
            super()._serve(connection)
            left.set()

    with Noticing(endless) as backend, gateway(backend) as (authority, pool):
        with connect(authority) as client:
            client.sendall(request(authority))
            assert client.recv(1000)
        assert left.wait(10)
        assert pool.count() == 0


def test_a_client_that_reads_nothing_does_not_fill_memory():
    sent = []
    chunk = b"x" * 65536
    enough = threading.Event()

    class Counting(list):
        def __iter__(self):
            for _ in range(2000):  # 125 MB
                sent.append(len(chunk))
                yield chunk

    with FakeBackend(lambda seen: Answer(pieces=Counting())) as backend:
        with gateway(backend) as (authority, _):
            with connect(authority) as client:
                client.sendall(request(authority))
                client.recv(1000)
                before = -1
                while before != sum(sent):  # until nothing moves any more
                    before = sum(sent)
                    enough.wait(0.2)
                assert sum(sent) < 40 * MB


@pytest.mark.parametrize("direction", ["down", "up"])
def test_memory_stays_flat(direction):
    size = 64 * MB
    chunk = b"x" * 65536

    class Many(list):
        def __iter__(self):
            return (chunk for _ in range(size // len(chunk)))

    long = Answer(200, [("Content-Length", str(size))], pieces=Many())
    answer = long if direction == "down" else Answer()
    with Draining(answer) as backend, gateway(backend) as (authority, _):
        wire.exchange(authority, request(authority))  # warm up
        before = resident()
        with connect(authority) as client, client.makefile("rb") as reader:
            if direction == "up":
                length = f"Content-Length: {size}"
                client.sendall(request(authority, method="POST", headers=[length]))
                for _ in range(size // len(chunk)):
                    client.sendall(chunk)
            else:
                client.sendall(request(authority))
            while reader.readline() != b"\r\n":
                pass
            left = size if direction == "down" else 0
            while left:
                left -= len(reader.read(min(left, MB)))
        assert resident() - before < 16 * MB


class Draining(FakeBackend):
    """A backend that reads a body and keeps nothing of it."""

    def _serve(self, connection):
        with connection, connection.makefile("rb") as reader:
            while True:
                length = 0
                first = reader.readline()
                if not first:
                    return
                while (line := reader.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                while length:
                    length -= len(reader.read(min(length, MB)))
                given = self._steps[0]
                try:
                    connection.sendall(given.head())
                    for piece in () if given.pieces is None else given.pieces:
                        connection.sendall(piece)
                except OSError:
                    return


def resident():
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_clients_that_abort_leave_nothing_behind():
    rng = random.Random(7)
    answer = Answer(body=b"x" * 300_000)
    with FakeBackend(answer) as backend, gateway(backend) as (authority, pool):
        wire.exchange(authority, request(authority))
        threads, files = threading.active_count(), open_files()
        for _ in range(ABORTS):
            with connect(authority) as client:
                raw = request(authority, method="POST", body=b"y" * 5000)
                client.sendall(raw[: rng.randrange(1, len(raw))])
                if rng.random() < 0.5:
                    client.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
        reply = wire.exchange(authority, request(authority))
        assert len(reply.body) == 300_000
        assert pool.count() <= pool.size
        settled(lambda: threading.active_count() <= threads + pool.size + 2)
        settled(lambda: open_files() <= files + 2 * pool.size + 4)


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


def test_nothing_of_one_request_reaches_the_next():
    answer = Answer(200, [("Set-Cookie", "secret=1"), ("Content-Length", "0")])
    with FakeBackend(answer) as backend, gateway(backend) as (authority, _):
        wire.exchange(
            authority, request(authority, headers=["Authorization: Bearer a"])
        )
        wire.exchange(authority, request(authority))
    first, second = backend.requests
    assert first.header("Authorization") == "Bearer a"
    assert second.header("Authorization") is None
    assert second.header("Cookie") is None


def test_the_environments_proxy_is_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with FakeBackend(Answer(body=b"ok")) as backend, gateway(backend) as (authority, _):
        assert wire.exchange(authority, request(authority)).body == b"ok"


def test_a_connection_is_kept_between_requests():
    with (
        FakeBackend(Answer(body=b"ok")) as backend,
        gateway(backend) as (authority, pool),
    ):
        for _ in range(5):
            wire.exchange(authority, request(authority))
        assert backend.connections == 1 and pool.count() == 1


def test_a_request_is_freed_without_the_garbage_collector():
    """Bug: request methods and the parser made a cycle of each request and its body."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_route("own", "/own")
        config.add_view(lambda request: Response("own"), route_name="own")
        with FakeBackend(Answer(200, [], b"ok")) as backend:
            config.add_backend("b", backend.url)
            config.add_proxy_route("r", "/*path", "b")
            app = config.make_wsgi_app()
            for path in ("/own", "/forwarded"):
                Request.blank(path).get_response(app)  # caches are filled
                gc.collect()
                gc.disable()
                try:
                    assert Request.blank(path).get_response(app).status_code == 200
                    assert gc.collect() == 0
                finally:
                    gc.enable()
