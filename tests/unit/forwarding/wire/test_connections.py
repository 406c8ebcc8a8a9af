"""Connections: bytes, silence, what happens to idle ones."""

from __future__ import annotations

import os
import select
import socket
import struct
import threading

import pytest

from pyramid_restproxy.forwarding.wire import connections
from pyramid_restproxy.forwarding.wire.connections import Connection
from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.errors import (
    DeadlineExceeded,
    ReadTimeout,
    SendError,
)
from pyramid_restproxy.forwarding.wire.opening import Origin, connect

from .conftest import FOREVER, echo, origin, wait_for_end


def test_bytes_go_there_and_back(serve):
    made = connect(origin(serve(echo)), 5, FOREVER)
    made.send(b"hello", FOREVER)
    assert made.receive(100, FOREVER) == b"hello"
    made.close()


def reset(connection, reader):
    reader.read(1)  # not before the other side has noticed that it is connected
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    reader.close()


def say_more(connection, reader):
    connection.sendall(b"out of turn")
    reader.read()


def end_sending(connection, reader):
    connection.shutdown(socket.SHUT_WR)
    reader.read()


@pytest.mark.parametrize("platform", ["linux", "another"])
@pytest.mark.parametrize("do", [reset, say_more, end_sending])
def test_what_happened_to_an_idle_connection_is_noticed(
    serve, monkeypatch, platform, do
):
    monkeypatch.setattr(connections.sys, "platform", platform)
    made = connect(origin(serve(do)), 5, FOREVER)
    made.send(b"x", FOREVER)
    select.select([made._sock], [], [], 10)  # until it has arrived
    assert made.readable()
    made.close()


@pytest.mark.parametrize("platform", ["linux", "another"])
def test_an_idle_connection_that_stands_is_not_readable(serve, monkeypatch, platform):
    monkeypatch.setattr(connections.sys, "platform", platform)
    made = connect(origin(serve(echo)), 5, FOREVER)
    assert not made.readable()
    made.send(b"x" * 100_000, FOREVER)
    came = 0
    while came < 100_000:
        came += len(made.receive(65536, FOREVER))
    assert not made.readable()
    made.close()


def test_a_kernel_that_tells_nothing_is_polled(serve, monkeypatch):
    monkeypatch.setattr(connections, "_SO_MEMINFO", 0x7FFF)
    made = connect(origin(serve(echo)), 5, FOREVER)
    assert not made.readable()
    made.close()


@pytest.mark.parametrize(
    "deadline, error",
    [
        (Deadline(0.05, None), ReadTimeout),
        (Deadline(5, 0.05), DeadlineExceeded),
        (Deadline(None, 0.05), DeadlineExceeded),
    ],
)
def test_silence_ends_at_the_limit_that_comes_first(serve, deadline, error):
    made = connect(origin(serve(wait_for_end)), 5, FOREVER)
    with pytest.raises(error):
        made.receive(100, deadline)
    made.close()


def test_a_peer_that_takes_nothing_is_a_timeout_too(serve):
    enough = threading.Event()
    made = connect(origin(serve(lambda *_: enough.wait(10))), 5, FOREVER)
    with pytest.raises(ReadTimeout):
        made.send(b"x" * 50_000_000, Deadline(0.1, None))
    with pytest.raises(ReadTimeout):
        made.send_watching(b"x" * 50_000_000, Deadline(0.1, None))
    enough.set()
    made.close()


def test_sending_to_a_closed_connection_is_a_send_error(serve):
    made = connect(origin(serve(lambda *_: None)), 5, FOREVER)
    assert made.receive(1, FOREVER) == b""
    with pytest.raises(SendError):
        for _ in range(100):
            made.send(b"x" * 100_000, FOREVER)
    assert not made.send_watching(b"x", FOREVER)
    made.close()


def test_an_answer_during_the_upload_stops_it(serve):
    def answer_at_once(connection, reader):
        connection.sendall(b"enough")
        reader.read()

    made = connect(origin(serve(answer_at_once)), 5, FOREVER)
    assert not made.send_watching(b"x" * 50_000_000, FOREVER)
    assert made.receive(100, FOREVER) == b"enough"
    made.close()


def test_session_tickets_are_no_answer(serve_tls, bundle):
    def count(connection, reader):
        connection.sendall(b"%d" % len(reader.read(3_000_000)))

    server = serve_tls(count)
    made = connect(Origin("https", "localhost", server.port, verify=bundle), 5, FOREVER)
    assert made.send_watching(b"x" * 3_000_000, FOREVER)
    assert made.receive(100, FOREVER) == b"3000000"
    made.close()


def test_an_answer_during_a_tls_upload_stops_it(serve_tls, bundle):
    def answer_at_once(connection, reader):
        connection.sendall(b"enough")
        reader.read(100_000_000)

    server = serve_tls(answer_at_once)
    made = connect(Origin("https", "localhost", server.port, verify=bundle), 5, FOREVER)
    while made.send_watching(b"x" * 1_000_000, FOREVER):
        pass
    assert made.receive(100, FOREVER) == b"enough"
    made.close()


class Green(socket.socket):
    """A socket as gevent makes it: it waits by itself, its descriptor never blocks."""

    def settimeout(self, timeout):
        super().settimeout(timeout)
        os.set_blocking(self.fileno(), False)


def test_a_descriptor_that_does_not_block_knows_no_timeout_of_the_kernel():
    """Bug: with gevent no timeout ended anything."""
    ours, theirs = socket.socketpair()
    green = Green(fileno=ours.detach())
    made = Connection(green)
    with theirs, pytest.raises(ReadTimeout):
        made.receive(10, Deadline(0.05, None))
    assert green.gettimeout() == 0.05
    made.close()
