"""`FakeBackend`: an HTTP/1.1 server on a real socket that answers from a script.

Here are well-behaved answers, and raw bytes. What goes wrong on purpose is in
``faults``, and the backend that plays it in ``failing``.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

__all__ = ["Answer", "FakeBackend", "RecordedRequest", "Step", "read_body", "read_head"]

_Self = TypeVar("_Self", bound="FakeBackend")


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

    def framed(self) -> Iterable[bytes]:
        """Return the body piece by piece, as it goes over the wire."""
        for piece in [self.body] if self.pieces is None else self.pieces:
            if callable(piece):
                piece()
            elif self.chunked:
                yield b"%x\r\n%b\r\n" % (len(piece), piece)
            else:
                yield piece
        if self.chunked:
            yield b"0\r\n\r\n"


#: What a script may give: an answer, raw bytes, None to close without a word, or a
#: function of the request that gives one of these.
Step = Answer | bytes | None | Callable[[RecordedRequest], Any]


@dataclass
class _Open:
    """What is to be ended at the end."""

    connections: set[socket.socket] = field(default_factory=set)
    serving: list[threading.Thread] = field(default_factory=list)
    accepting: list[threading.Thread] = field(default_factory=list)


class FakeBackend:
    """An HTTP/1.1 server on 127.0.0.1 that answers from a script and remembers.

    :param steps: what is answered, in order, over all connections; the last one is
        repeated. Raw bytes are sent exactly and the connection is closed.

    Use it as a context manager. Thread-safe.
    """

    scheme = "http"

    def __init__(self, *steps: Any) -> None:
        self.requests: list[RecordedRequest] = []
        self.connections = 0
        self._steps: list[Any] = list(steps) or [Answer()]
        self._lock = threading.Lock()
        self._open = _Open()
        # Bound and never listening: it keeps the port while nobody listens there.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self._port = int(self._reserved.getsockname()[1])
        self._listener: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL to give to ``config.add_backend``."""
        return f"{self.scheme}://{self.authority}"

    def __enter__(self: _Self) -> _Self:
        self._listen()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop, and end all connections."""
        self._stop_listening()
        for thread in self._open.accepting:
            thread.join(5)
        with self._lock:
            still_open = list(self._open.connections)
        for connection in still_open:
            hang_up(connection)
        for thread in self._open.serving:
            thread.join(5)
        self._reserved.close()

    # -- listening ------------------------------------------------------------

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._open.accepting.append(thread)
        thread.start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            hang_up(listener)  # or accept() would not notice
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                self.connections += 1
                self._open.connections.add(connection)
            thread = threading.Thread(
                target=self._serve, args=(connection,), daemon=True
            )
            self._open.serving.append(thread)
            thread.start()

    # -- one connection ---------------------------------------------------------

    def _serve(self, connection: socket.socket) -> None:
        try:
            self._converse(connection)
        except OSError:
            return  # the peer left, which is its right
        finally:
            self._forget(connection)
            connection.close()

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.connections.discard(connection)

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            while (request := read_head(reader)) is not None:
                request = replace(request, body=read_body(reader, request))
                with self._lock:
                    self.requests.append(request)
                    step = self._next_step()
                if not self._answer(connection, request, step):
                    return

    def _next_step(self) -> Any:
        return self._steps[0] if len(self._steps) == 1 else self._steps.pop(0)

    def _answer(
        self, connection: socket.socket, request: RecordedRequest, step: Step
    ) -> bool:
        """Answer one request; return whether the connection goes on."""
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
    for piece in answer.framed():
        connection.sendall(piece)


# -- reading requests -------------------------------------------------------------


def read_head(reader: io.BufferedReader) -> RecordedRequest | None:
    """Read the head of a request; None where the connection ends, or none comes."""
    words = reader.readline().decode("latin-1").split(" ", 2)
    if len(words) < 3:
        return None
    return RecordedRequest(words[0], words[1], tuple(_read_fields(reader)), b"")


def _read_fields(reader: io.BufferedReader) -> Iterable[tuple[str, str]]:
    while line := reader.readline().decode("latin-1").rstrip("\r\n"):
        name, _, value = line.partition(":")
        yield name, value.strip()


def read_body(reader: io.BufferedReader, request: RecordedRequest) -> bytes:
    """Read the content that the head of a request announces."""
    if (request.header("Transfer-Encoding") or "").lower() == "chunked":
        return b"".join(_read_chunks(reader))
    return reader.read(int(request.header("Content-Length") or 0))


def _read_chunks(reader: io.BufferedReader) -> Iterable[bytes]:
    while size := int(reader.readline().partition(b";")[0] or b"0", 16):
        yield reader.read(size)
        reader.readline()
    while reader.readline() not in (b"\r\n", b""):
        pass


def hang_up(connection: socket.socket) -> None:
    """End a connection that a thread may be using: it is told, and closes it.

    Not by a TLS socket's own `shutdown`, which takes the TLS from under that thread.
    """
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        pass  # not connected any more
