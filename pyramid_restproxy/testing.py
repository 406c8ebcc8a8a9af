"""Test kit: a scripted backend on a real socket, for our tests and for yours.

::

    with FakeBackend(Answer(200, body=b'ok')) as backend:
        config.add_backend('users', backend.url)
        ...
        assert backend.requests[0].target == '/7?full=1'
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Answer", "FakeBackend", "RecordedRequest"]


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as a backend saw it.

    :ivar method: from the request line.
    :ivar target: from the request line, not decoded.
    :ivar headers: (name, value) pairs in order, latin-1.
    :ivar body: the content, de-chunked.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the value of a field, its lines joined by commas; None if absent."""
        found = [value for each, value in self.headers if each.lower() == name.lower()]
        return ", ".join(found) if found else None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to give.

    :ivar headers: (name, value) pairs; Content-Length is added for `body` unless it,
        or Transfer-Encoding, is there.
    :ivar body: bytes, sent as they are.
    :ivar pieces: sent one by one in the place of `body`, as chunks unless `headers`
        has a Content-Length; a callable among them is called (to wait for something)
        and sends nothing.
    """

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    pieces: Sequence[bytes | Callable[[], Any]] | None = None
    reason: str = "OK"

    @property
    def chunked(self) -> bool:
        """Whether the pieces are framed as chunks."""
        return self.pieces is not None and not self._says_length()

    def _says_length(self) -> bool:
        names = {name.lower() for name, _ in self.headers}
        return bool(names & {"content-length", "transfer-encoding"})

    def head(self) -> bytes:
        """Return the head, as bytes."""
        fields = list(self.headers)
        if self.chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        elif self.status not in (204, 304) and not self._says_length():
            fields.append(("Content-Length", str(len(self.body))))
        lines = [f"HTTP/1.1 {self.status} {self.reason}"]
        lines += [f"{name}: {value}" for name, value in fields]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


#: What a script may give: an answer, raw bytes, None to close without a word, or a
#: function of the request that gives one of these.
Step = Answer | bytes | None | Callable[[RecordedRequest], Any]


@dataclass
class _Connections:
    open: set[socket.socket] = field(default_factory=set)
    threads: list[threading.Thread] = field(default_factory=list)


class FakeBackend:
    """An HTTP/1.1 server on 127.0.0.1 that answers from a script and remembers.

    :param steps: what is answered, in order, over all connections; the last one is
        repeated. Raw bytes are sent exactly and the connection is closed.

    Use it as a context manager. Thread-safe.
    """

    def __init__(self, *steps: Step) -> None:
        self.requests: list[RecordedRequest] = []
        self.connections = 0
        self._steps = list(steps) or [Answer()]
        self._lock = threading.Lock()
        self._connections = _Connections()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL to give to ``config.add_backend``."""
        return f"http://{self.authority}"

    def __enter__(self) -> FakeBackend:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and end all connections."""
        _shut(self._listener)
        self._thread.join(5)
        with self._lock:
            still_open = list(self._connections.open)
        for connection in still_open:
            _shut(connection)
        for thread in self._connections.threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                self.connections += 1
                self._connections.open.add(connection)
            thread = threading.Thread(
                target=self._serve, args=(connection,), daemon=True
            )
            self._connections.threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as reader:
                while (request := _read_request(reader)) is not None:
                    if not self._answer(connection, request):
                        return
        except OSError:
            return  # the peer left, which is its right
        finally:
            with self._lock:
                self._connections.open.discard(connection)
            connection.close()

    def _answer(self, connection: socket.socket, request: RecordedRequest) -> bool:
        """Answer one request; return whether the connection goes on."""
        with self._lock:
            self.requests.append(request)
            last = len(self._steps) == 1
            step = self._steps[0] if last else self._steps.pop(0)
        given = step(request) if callable(step) else step
        if isinstance(given, Answer):
            _send(connection, given, request.method)
            return True
        if given:
            connection.sendall(given)
        return False


def _send(connection: socket.socket, answer: Answer, method: str) -> None:
    connection.sendall(answer.head())
    if method == "HEAD":
        return
    if answer.pieces is None:
        connection.sendall(answer.body)
        return
    for piece in answer.pieces:
        if callable(piece):
            piece()
        elif answer.chunked:
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            connection.sendall(piece)
    if answer.chunked:
        connection.sendall(b"0\r\n\r\n")


def _read_request(reader: io.BufferedReader) -> RecordedRequest | None:
    line = reader.readline()
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers = tuple(_read_fields(reader))
    return RecordedRequest(method, target, headers, _read_body(reader, headers))


def _read_fields(reader: io.BufferedReader) -> Iterable[tuple[str, str]]:
    while line := reader.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(":")
        yield name, value.strip()


def _read_body(reader: io.BufferedReader, headers: Sequence[tuple[str, str]]) -> bytes:
    found = {name.lower(): value for name, value in headers}
    if found.get("transfer-encoding", "").lower() == "chunked":
        return b"".join(_read_chunks(reader))
    return reader.read(int(found.get("content-length", "0")))


def _read_chunks(reader: io.BufferedReader) -> Iterable[bytes]:
    while size := int(reader.readline().partition(b";")[0], 16):
        yield reader.read(size)
        reader.readline()
    while reader.readline() not in (b"\r\n", b""):
        pass


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # not connected any more
    connection.close()
