"""A client of bare sockets, and a real server, for tests in which bytes matter."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import waitress.server
from waitress import wasyncore


@dataclass
class Reply:
    """An answer as it came over the wire.

    `truncated` says whether the body ended before its framing says it does.
    """

    status: int = 0
    reason: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    truncated: bool = False
    interim: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)

    def lines(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        lines = self.lines(name)
        return ", ".join(lines) if lines else None


@contextmanager
def served(app, **options):
    """Serve a WSGI application with waitress on a free port; give its authority."""
    server = waitress.server.create_server(
        app,
        listen="127.0.0.1:0",
        threads=4,
        clear_untrusted_proxy_headers=False,
        **options,
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.effective_port}"
    finally:
        server.trigger.pull_trigger(lambda: _close_connections(server))
        server.task_dispatcher.shutdown(cancel_pending=True, timeout=5)
        with suppress(OSError):  # the loop may have come to it before the wake-up
            server.trigger.pull_trigger(server.trigger.close)
        thread.join(5)


def _close_connections(server):
    """Close the listener and what clients left open, in the server's own thread.

    The trigger stays: tasks that still run write to it.
    """
    wasyncore.dispatcher.close(server)  # its own close() would close the trigger too
    for each in list(server._map.values()):
        if each is not server.trigger:
            each.close()


def exchange(authority: str, raw: bytes, method: str = "GET", timeout: float = 10):
    """Send raw bytes and read one answer."""
    host, _, port = authority.rpartition(":")
    with socket.create_connection((host, int(port)), timeout) as connection:
        try:
            connection.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an early answer can be read all the same
        with connection.makefile("rb") as reader:
            return read_reply(reader, method)


def read_reply(reader, method: str = "GET") -> Reply:
    reply = Reply()
    while True:
        line = reader.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            return reply
        _, status, reason = (line.split(" ", 2) + [""])[:3]
        headers = []
        while field_line := reader.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = field_line.partition(":")
            headers.append((name, value.strip()))
        if int(status) >= 200:
            break
        reply.interim.append(int(status))
    reply.status, reply.reason, reply.headers = int(status), reason, headers
    if method != "HEAD" and int(status) not in (204, 304):
        _read_body(reader, reply)
    reply.body = b"".join(reply.pieces)
    return reply


def _read_body(reader, reply: Reply) -> None:
    try:
        if (reply.get("Transfer-Encoding") or "").lower() == "chunked":
            _read_chunks(reader, reply)
        elif reply.get("Content-Length") is not None:
            wanted = int(reply.get("Content-Length"))
            while wanted and (piece := reader.read1(min(wanted, 65536))):
                reply.pieces.append(piece)
                wanted -= len(piece)
            reply.truncated = bool(wanted)
        else:
            while piece := reader.read1(65536):
                reply.pieces.append(piece)
    except OSError:
        reply.truncated = True


def _read_chunks(reader, reply: Reply) -> None:
    while True:
        line = reader.readline()
        if not line.endswith(b"\r\n"):
            reply.truncated = True
            return
        size = int(line.partition(b";")[0], 16)
        if not size:
            reader.readline()
            return
        piece = reader.read(size)
        reply.pieces.append(piece)
        if len(piece) < size or reader.readline() != b"\r\n":
            reply.truncated = True
            return
