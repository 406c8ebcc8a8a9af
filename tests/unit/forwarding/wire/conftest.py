"""A server made of a function over a bare socket."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack

import pytest


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
