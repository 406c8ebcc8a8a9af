"""A server made of a function over a bare socket, with TLS or not; a clock."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import ExitStack

import pytest
import trustme

from pyramid_restproxy.forwarding.wire import deadlines
from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.opening import Origin


class ScriptedServer:
    """Run `script(connection, reader)` for each connection, in a thread each.

    `reader` is a buffered file; `script` ends by returning or when the peer leaves.
    """

    def __init__(self, script, family=socket.AF_INET, address=("127.0.0.1", 0)):
        self.script = script
        self.connections = 0
        self.errors = []
        if family == socket.AF_UNIX:
            self.listener = socket.socket(family)
            self.listener.bind(address)
            self.listener.listen()
        else:
            self.listener = socket.create_server(address, family=family)
        self._threads = []
        self._open = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def port(self):
        return self.listener.getsockname()[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            with connection.makefile("rb") as reader:
                self.script(connection, reader)
        except OSError:
            pass  # the client went away, which is its right
        except Exception as error:
            self.errors.append(error)
        finally:
            connection.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in (self._accepting, *self._threads):
            thread.join(5)
        assert not self.errors


def read_request(reader):
    """Read one request; return its head as bytes and its body, or None at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline()
        if not line:
            return None
        head += line
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        return head, read_chunks(reader)
    for line in lowered.split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return head, reader.read(int(line.partition(b":")[2]))
    return head, b""


def read_chunks(reader):
    body = b""
    while size := int(reader.readline(), 16):
        body += reader.read(size)
        reader.readline()
    reader.readline()
    return body


def answering(*answers, seen=None):
    """Make a script that answers each request of a connection with the next bytes."""

    def script(connection, reader):
        for answer in answers:
            request = read_request(reader)
            if request is None:
                return
            if seen is not None:
                seen.append(request)
            connection.sendall(answer(*request) if callable(answer) else answer)

    return script


@pytest.fixture
def serve():
    """Start scripted servers; they end with the test."""
    with ExitStack() as stack:

        def start(script, **options):
            server = ScriptedServer(script, **options)
            stack.callback(server.close)
            return server

        yield start


FOREVER = Deadline(None, None)


def origin(server, **options):
    return Origin("http", "127.0.0.1", server.port, **options)


def wait_for_end(connection, reader):
    reader.read()


def echo(connection, reader):
    while data := reader.read1():
        connection.sendall(data)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def serve_tls(serve, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def start(script, ask_for_certificate=False):
        if ask_for_certificate:
            authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED

        def over_tls(connection, reader):
            with context.wrap_socket(connection.dup(), server_side=True) as wrapped:
                with wrapped.makefile("rb") as tls_reader:
                    script(wrapped, tls_reader)

        return serve(over_tls)

    return start


@pytest.fixture
def bundle(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(deadlines.time, "monotonic", clock)
    return clock
