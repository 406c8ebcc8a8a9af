"""A client of bare sockets, for tests in which bytes matter.

It sends exactly what it is given and shows the answer as it came: whether the body was
cut off, which interim answers there were, in which pieces it arrived. One answer per
connection.
"""

from __future__ import annotations

import io
import socket
import time
from dataclasses import dataclass, field

__all__ = ["Reply", "exchange", "read_reply"]

_BLOCK = 65536


@dataclass
class Reply:
    """An answer as it came over the wire.

    :ivar status: 0 where there was no answer.
    :ivar headers: (name, value) pairs in order, latin-1.
    :ivar body: the content, de-chunked.
    :ivar truncated: whether the body ended before its framing says it does.
    :ivar interim: statuses of the 1xx answers before it.
    :ivar pieces: the body as it arrived; chunk by chunk where it is chunked.
    :ivar waited: seconds to the first byte.
    :ivar took: seconds to the last one.
    """

    status: int = 0
    reason: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    truncated: bool = False
    interim: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    waited: float = 0.0
    took: float = 0.0

    def lines(self, name: str) -> list[str]:
        """Return the values of a field, one for each of its lines."""
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """Return the value of a field, its lines joined by commas; None if absent."""
        lines = self.lines(name)
        return ", ".join(lines) if lines else None


def exchange(
    authority: str, raw: bytes, method: str = "GET", timeout: float = 10.0
) -> Reply:
    """Send raw bytes and read one answer.

    :param authority: host and port.
    :param method: the method in `raw`; HEAD has an answer without a body.
    :param timeout: seconds of silence.
    :raises TimeoutError: where the head of the answer takes longer.
    """
    host, _, port = authority.rpartition(":")
    started = time.monotonic()
    with socket.create_connection((host, int(port)), timeout) as connection:
        try:
            connection.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an early answer can be read all the same
        with connection.makefile("rb") as reader:
            reader.peek(1)
            waited = time.monotonic() - started
            reply = read_reply(reader, method)
    reply.waited, reply.took = waited, time.monotonic() - started
    return reply


def read_reply(reader: io.BufferedReader, method: str = "GET") -> Reply:
    """Read one answer, and the interim ones before it."""
    reply = Reply()
    while True:
        line = reader.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            return reply
        _, status, reason = [*line.split(" ", 2), ""][:3]
        headers = _read_fields(reader)
        if int(status) >= 200:
            break
        reply.interim.append(int(status))
    reply.status, reply.reason, reply.headers = int(status), reason, headers
    if method != "HEAD" and reply.status not in (204, 304):
        _read_body(reader, reply)
    reply.body = b"".join(reply.pieces)
    return reply


def _read_fields(reader: io.BufferedReader) -> list[tuple[str, str]]:
    headers = []
    while line := reader.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    return headers


def _read_body(reader: io.BufferedReader, reply: Reply) -> None:
    length = reply.get("Content-Length")
    try:
        if (reply.get("Transfer-Encoding") or "").lower() == "chunked":
            reply.truncated = not _read_chunks(reader, reply.pieces)
        else:
            left = None if length is None else int(length)
            reply.truncated = not _read_length(reader, reply.pieces, left)
    except OSError:
        reply.truncated = True


def _read_length(
    reader: io.BufferedReader, pieces: list[bytes], left: int | None
) -> bool:
    """Read that many bytes, or to the end; return whether they were all there."""
    while left != 0:
        piece = reader.read1(_BLOCK if left is None else min(left, _BLOCK))
        if not piece:
            break
        pieces.append(piece)
        left = None if left is None else left - len(piece)
    return not left


def _read_chunks(reader: io.BufferedReader, pieces: list[bytes]) -> bool:
    """Read chunks to the last one; return whether it came."""
    while (line := reader.readline()).endswith(b"\r\n"):
        size = int(line.partition(b";")[0], 16)
        if not size:
            reader.readline()
            return True
        piece = reader.read(size)
        pieces.append(piece)
        if len(piece) < size or reader.readline() != b"\r\n":
            return False
    return False
