"""What a backend can do wrong, one small function for each fault.

Each makes a :class:`Fault` for the script of a ``FaultBackend``; nothing here listens
or accepts. A backend that has no name in DNS needs no server: give
:data:`UNRESOLVABLE` to ``config.add_backend``.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from pyramid_restproxy.testing.backend import Answer

__all__ = [
    "UNRESOLVABLE",
    "Fault",
    "Peer",
    "bad_chunk",
    "certificate",
    "close",
    "drip",
    "early_answer",
    "endless_trailers",
    "glued",
    "hang",
    "header_flood",
    "interim_flood",
    "long_chunk_line",
    "needs_server_name",
    "not_tls",
    "old_tls",
    "raw",
    "refuse",
    "reset",
    "split",
    "status_line",
    "switch_protocols",
    "wrong_length",
]

#: The URL of a backend whose name does not resolve, anywhere (RFC 6761 section 6.4).
UNRESOLVABLE = "http://backend.invalid"

#: How far a connection gets before the fault: it was accepted; the request was read;
#: half of the answer's head was sent, or all of it; half of its body, or all of it.
After = Literal["connection", "request", "half-head", "head", "half-body", "answer"]

#: When a fault is played: instead of listening, when a connection comes, when the head
#: of a request has come, or when the whole request has.
Moment = Literal["listening", "connection", "head", "request"]

_BLOCK = 65536
_OK = Answer(200, [("Content-Type", "text/plain")], b"0123456789")
_POISON = Answer(body=b"poison")
_TOO_LARGE = Answer(413, reason="Content Too Large")


class Peer:
    """The backend's end of a connection, as a fault uses it.

    :param connection: the socket, TLS or not.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self.connection.sendall(data)

    def send_slowly(self, pieces: Iterable[bytes], every: float) -> bool:
        """Send pieces with a pause after each.

        :param every: seconds.
        :returns: False where the other side left meanwhile.
        """
        for piece in pieces:
            self.send(piece)
            if every and not self.stay(every):
                return False
        return True

    def stay(self, seconds: float | None = None) -> bool:
        """Say nothing for a while, and drop what comes.

        :param seconds: how long, None for ever.
        :returns: False where the other side left meanwhile.
        """
        until = None if seconds is None else time.monotonic() + seconds
        try:
            while until is None or time.monotonic() < until:
                self.connection.settimeout(
                    None if until is None else max(until - time.monotonic(), 0.001)
                )
                if not self.connection.recv(_BLOCK):
                    return False
        except TimeoutError:
            pass
        self.connection.settimeout(None)
        return True

    def finish(self) -> None:
        """Say that nothing more comes; drop what comes until the other side ends."""
        self.connection.shutdown(socket.SHUT_WR)
        self.stay()

    def reset(self) -> None:
        """Make the end of this connection a reset (RST), not a close."""
        self.connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )


#: What a fault does to a connection; returns whether the connection goes on.
Play = Callable[[Peer], bool]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    :ivar name: for people, e.g. ``reset after head``.
    :ivar play: does it; returns whether the connection goes on after it.
    :ivar moment: when it is played.
    :ivar tls: which TLS is spoken from here on, a key of ``certificates.contexts``.
    """

    name: str
    play: Play
    moment: Moment = "request"
    tls: str = "good"

    def __repr__(self) -> str:
        return f"<fault: {self.name}>"


# -- anything --------------------------------------------------------------------------


def raw(
    data: bytes, then: Literal["close", "reset", "hang", "keep"] = "close"
) -> Fault:
    """Send exactly these bytes.

    :param then: what becomes of the connection; ``keep`` waits for another request.
    """
    return Fault(f"{len(data)} bytes, then {then}", _sending(data, _ENDS[then]))


def _keep(peer: Peer) -> bool:
    return True


def _close(peer: Peer) -> bool:
    return False


def _reset(peer: Peer) -> bool:
    peer.reset()
    return False


def _hang(peer: Peer) -> bool:
    peer.stay()
    return False


_ENDS = {"close": _close, "reset": _reset, "hang": _hang, "keep": _keep}


# -- connections that end or go silent -----------------------------------------------


def refuse() -> Fault:
    """Close the listening port. Lasts until another script is played."""
    return Fault("refuse", _keep, "listening")


def close(after: After = "request", answer: Answer = _OK) -> Fault:
    """Close the connection.

    :param after: how far it gets; ``answer`` closes a kept connection after each
        answer, unannounced.
    :param answer: what is begun, where `after` is that late.
    """
    return _broken("close", after, answer, _close)


def reset(after: After = "request", answer: Answer = _OK) -> Fault:
    """Reset the connection (RST).

    :param after: how far it gets.
    :param answer: what is begun, where `after` is that late.
    """

    return _broken("reset", after, answer, _reset)


def hang(
    after: After = "request", answer: Answer = _OK, seconds: float | None = None
) -> Fault:
    """Go silent, and keep the connection open.

    :param after: how far it gets; at a TLS backend ``connection`` is before the
        handshake.
    :param answer: what is begun, where `after` is that late.
    :param seconds: after so long the connection is closed; None for never.
    """

    def end(peer: Peer) -> bool:
        peer.stay(seconds)
        return False

    return _broken("hang", after, answer, end)


def _broken(what: str, after: After, answer: Answer, end: Play) -> Fault:
    moment: Moment = "connection" if after == "connection" else "request"
    return Fault(f"{what} after {after}", _sending(_begun(answer, after), end), moment)


def _begun(answer: Answer, after: After) -> bytes:
    """Return what is sent of an answer until then."""
    head, body = answer.head(), b"".join(answer.framed())
    return {
        "connection": b"",
        "request": b"",
        "half-head": head[: len(head) // 2],
        "head": head,
        "half-body": head + body[: len(body) // 2],
        "answer": head + body,
    }[after]


# -- answers in small pieces ---------------------------------------------------------


def drip(
    answer: Answer = _OK,
    size: int = 1,
    every: float = 0.1,
    part: Literal["head", "body"] = "body",
) -> Fault:
    """Send a good answer slowly.

    :param size: bytes that are sent at a time.
    :param every: seconds between them.
    :param part: where it begins to be slow; what comes before is sent at once.
    """
    head, body = answer.head(), b"".join(answer.framed())
    at_once, slowly = (b"", head + body) if part == "head" else (head, body)

    def play(peer: Peer) -> bool:
        peer.send(at_once)
        return peer.send_slowly(_cut(slowly, size), every)

    return Fault(f"drip of {size} bytes every {every} s from the {part} on", play)


def split(answer: Answer = _OK) -> Fault:
    """Send a good answer in single bytes, each in a segment of its own, at once."""
    whole = answer.head() + b"".join(answer.framed())

    def play(peer: Peer) -> bool:
        peer.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return peer.send_slowly(_cut(whole, 1), 0)

    return Fault("answer in single bytes", play)


def _cut(data: bytes, size: int) -> Iterable[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


# -- framing that is wrong ------------------------------------------------------------


def wrong_length(by: int, answer: Answer = _OK) -> Fault:
    """Say a Content-Length that is not that of the body.

    :param by: how many bytes it is too large; the connection is closed after the
        body. Where negative it is too small, and the connection is kept.
    """
    said = str(len(answer.body) + by)
    wrong = replace(answer, headers=[*answer.headers, ("Content-Length", said)])
    end = _keep if by < 0 else _close
    return Fault(
        f"Content-Length wrong by {by}", _sending(wrong.head() + answer.body, end)
    )


def bad_chunk(line: bytes = b"xyz", first: bytes = b"ok") -> Fault:
    """Send a chunk whose size is none.

    :param line: what stands in the place of the size.
    :param first: the content of a good chunk before it; none where empty.
    """
    good = b"%x\r\n%b\r\n" % (len(first), first) if first else b""
    data = _CHUNKED + good + line + b"\r\nok\r\n0\r\n\r\n"
    return Fault(f"chunk size {line!r}", _sending(data))


def long_chunk_line(
    length: int = 1_000_000, line: Literal["size", "extension"] = "size"
) -> Fault:
    """Send a chunk whose size line is very long.

    :param length: bytes.
    :param line: whether the digits of the size are so many, or an extension is so
        long (RFC 9112 section 7.1.1).
    """
    long = b"0" * length + b"2" if line == "size" else b"2;" + b"x" * length
    data = _CHUNKED + long + b"\r\nok\r\n0\r\n\r\n"
    return Fault(f"chunk {line} of {length} bytes", _sending(data))


def endless_trailers(body: bytes = b"ok", size: int = 1000) -> Fault:
    """Send trailers after the last chunk, and never the end of them.

    :param body: what comes before.
    :param size: of each trailer, bytes.
    """
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    trailers = b"X-Trailer: " + b"x" * size + b"\r\n"

    def play(peer: Peer) -> bool:
        peer.send(_CHUNKED + chunk + b"0\r\n")
        while True:
            peer.send(trailers)

    return Fault("endless trailers", play)


def glued(answer: Answer = _OK, second: Answer = _POISON) -> Fault:
    """Send a second answer right after the first, which nobody asked for."""
    both = [part for each in (answer, second) for part in (each.head(), *each.framed())]
    return Fault("second answer glued to the first", _sending(b"".join(both), _keep))


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _sending(data: bytes, end: Play = _close) -> Play:
    """Make what sends `data` and then does `end`."""

    def play(peer: Peer) -> bool:
        peer.send(data)
        return end(peer)

    return play


# -- heads that are wrong or too large -------------------------------------------------


def status_line(line: str) -> Fault:
    """Answer with this status line, e.g. ``HTTP/1.1 999 Odd``."""
    data = f"{line}\r\nContent-Length: 2\r\n\r\nok".encode("latin-1")
    return Fault(f"status line {line[:40]!r}", _sending(data))


def switch_protocols() -> Fault:
    """Answer 101 to a request that asked for no upgrade."""
    head = Answer(101, [("Upgrade", "other"), ("Connection", "upgrade")]).head()
    return Fault("101 unasked", _sending(head + b"what another protocol says"))


def header_flood(count: int = 1000, size: int = 10) -> Fault:
    """Answer with too many fields, or too large ones.

    :param count: of fields.
    :param size: of each value, bytes.
    """
    fields = [(f"X-Flood-{number}", "x" * size) for number in range(count)]
    answer = replace(_OK, headers=[*fields, *_OK.headers])
    return Fault(
        f"{count} fields of {size} bytes", _sending(answer.head() + answer.body)
    )


def interim_flood(count: int | None = None, status: int = 103) -> Fault:
    """Send interim answers (1xx) before the real one.

    :param count: how many, None for no end.
    """
    interim = b"HTTP/1.1 %d Interim\r\nLink: </a.css>\r\n\r\n" % status

    def play(peer: Peer) -> bool:
        sent = 0
        while count is None or sent < count:
            peer.send(interim)
            sent += 1
        peer.send(_begun(_OK, "answer"))
        return True

    return Fault(f"{count or 'endless'} answers {status}", play)


# -- answers that come too early -----------------------------------------------------


def early_answer(answer: Answer = _TOO_LARGE, drain: bool = False) -> Fault:
    """Answer after the head of the request, and close while the body is still sent.

    :param drain: whether to read the body to its end before the close, as careful
        servers do; else what was not read makes the close a reset.
    """

    def play(peer: Peer) -> bool:
        peer.send(_begun(answer, "answer"))
        if drain:
            peer.finish()
        return False

    return Fault("answer before the body was sent", play, "head")


# -- TLS --------------------------------------------------------------------------


def certificate(kind: Literal["self-signed", "expired", "wrong-host"]) -> Fault:
    """Show a certificate that must not be trusted.

    For a backend made with ``tls=True``. Whoever accepts it is answered as the rest
    of the script says.
    """
    return Fault(f"{kind} certificate", _keep, "connection", kind)


def old_tls() -> Fault:
    """Speak TLS 1.0 and nothing newer (RFC 8996 forbids it)."""
    return Fault("TLS 1.0 only", _keep, "connection", "old")


def needs_server_name() -> Fault:
    """Refuse a handshake that does not name the host (RFC 6066 section 3)."""
    return Fault("needs the server's name", _keep, "connection", "named")


def not_tls() -> Fault:
    """Answer without TLS, in plain text, where TLS is expected."""
    return Fault("no TLS", _sending(_begun(_OK, "answer")), "connection")
