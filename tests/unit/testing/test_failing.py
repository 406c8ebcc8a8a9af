"""The backend that fails: its script, its port, its TLS, its end."""

from __future__ import annotations

import os
import pathlib
import socket
import ssl
import sys
import threading

import pytest
import requests

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.testing import Answer, FaultBackend, exchange, faults

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
GOOD = Answer(body=b"good")


def asked(backend):
    return exchange(backend.authority, GET)


def test_steps_of_all_kinds_in_order():
    steps = (
        faults.close(after="connection"),
        Answer(body=b"1"),
        faults.reset(after="half-body"),
        lambda request: Answer(body=request.target.encode()),
        b"HTTP/1.1 299 Raw\r\nContent-Length: 0\r\n\r\n",
        None,
        GOOD,
    )
    with FaultBackend(*steps) as backend, socket.socket() as client:
        client.connect(("127.0.0.1", backend.port))
        assert client.recv(1) == b""  # nothing was asked
        found = [asked(backend) for _ in range(7)]
    assert [(r.status, r.body) for r in found] == [
        (200, b"1"),
        (200, b"01234"),
        (200, b"/"),
        (299, b""),
        (0, b""),
        (200, b"good"),
        (200, b"good"),
    ]
    assert backend.connections == 8 and len(backend.seen) == 7


def test_an_answer_before_a_fault_of_the_connection_says_that_it_ends():
    with FaultBackend(GOOD, faults.refuse()) as backend:
        assert asked(backend).get("Connection") == "close"
        with pytest.raises(ConnectionRefusedError):
            asked(backend)


def test_the_port_is_kept_while_nobody_listens():
    with FaultBackend(faults.refuse()) as backend:
        port = backend.port
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                asked(backend)
            backend.play(GOOD)
            assert asked(backend).body == b"good"
            backend.play(faults.refuse())
        assert backend.port == port


def test_another_script_is_for_new_connections_only():
    ours, other = socket.socketpair()
    with ours, other, FaultBackend(GOOD) as backend:
        with pytest.raises(ConnectionAbortedError):
            backend._at_request(ours)  # as if `play` had ended it a moment ago
        backend.play(faults.hang())
        with socket.create_connection(("127.0.0.1", backend.port), 5) as client:
            client.sendall(GET)
            settled(lambda: len(backend.seen) == 1)
            backend.play(GOOD)
            assert client.recv(1) == b""
        assert asked(backend).body == b"good"


def settled(condition):
    """Wait until what happens in another thread has happened."""
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.01)
    assert condition()


def test_another_script_ends_open_connections():
    with FaultBackend(GOOD) as backend, requests.Session() as session:
        for _ in range(2):
            assert session.get(backend.url, timeout=5).content == b"good"
        assert backend.connections == backend.open_connections == 1
        backend.play()
        assert session.get(backend.url, timeout=5).content == b""
        assert backend.connections == 2


def test_a_connection_step_that_is_repeated():
    with FaultBackend(faults.certificate("expired"), tls=True) as backend:
        context = ssl._create_unverified_context()
        for _ in range(2):
            found = over_tls(backend, context)
            assert found.startswith(b"HTTP/1.1 200") and b"Connection: close" in found


def over_tls(backend, context, name="127.0.0.1"):
    with socket.create_connection(("127.0.0.1", backend.port), 5) as plain:
        with context.wrap_socket(plain, server_hostname=name) as client:
            client.sendall(GET)
            with client.makefile("rb") as reader:
                return reader.read()  # to the end: see `Connection: close`


def test_tls():
    with FaultBackend(
        GOOD,
        faults.certificate("self-signed"),
        faults.certificate("expired"),
        faults.certificate("wrong-host"),
        faults.needs_server_name(),
        faults.old_tls(),
        faults.not_tls(),
        faults.needs_server_name(),
        GOOD,
        faults.refuse(),
        tls=True,
    ) as backend:
        assert backend.url.startswith("https://")
        context = ssl.create_default_context(cafile=backend.ca_file)
        assert b"good" in over_tls(backend, context)
        for text in (
            "self.signed|issuer",
            "expired",
            "doesn't match|not valid for|mismatch",
            "(?i)unrecognized.name",
            "(?i)protocol",
            "(?i)wrong.version|record",
        ):
            with pytest.raises(ssl.SSLError, match=text):
                over_tls(backend, context)
        assert b"good" in over_tls(backend, context, "localhost")
        file = backend.ca_file
    assert len(backend.seen) == 2 and not pathlib.Path(file).exists()


def test_only_a_tls_backend_has_a_certificate():
    with FaultBackend() as backend, pytest.raises(ValueError, match="tls=True"):
        assert backend.ca_file


def test_tls_without_trustme(monkeypatch):
    monkeypatch.setitem(sys.modules, "trustme", None)
    with pytest.raises(MissingExtra, match="trustme"):
        FaultBackend(tls=True)


def test_nothing_is_left():
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for tls in (False, True) * 5:
        first = faults.hang("connection" if tls else "half-body")
        with FaultBackend(first, GOOD, faults.refuse(), tls=tls) as backend:
            client = socket.create_connection(("127.0.0.1", backend.port), 5)
            with client:
                client.sendall(GET)
                if not tls:
                    assert client.recv(1000)
                backend.close()  # while the fault is played
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == files
