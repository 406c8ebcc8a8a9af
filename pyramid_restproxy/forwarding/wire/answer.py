"""Reading an answer: its head through llhttp, its body by its framing.

:class:`Head` collects what the parser reports and checks what it lets pass;
:class:`Body` hands out the content in pieces as they come. Neither opens sockets.
"""

from __future__ import annotations

import re
from typing import Protocol

import httptools

from pyramid_restproxy.forwarding.wire.errors import MalformedAnswer, TruncatedBody
from pyramid_restproxy.remembered import remembered

__all__ = ["MAX_FIELDS", "MAX_HEAD", "RECEIVE", "Body", "Head", "Source", "read_head"]

#: Limits on the head of an answer: bytes (and what comes with it in one read), and
#: number of field lines.
MAX_HEAD = 65536
MAX_FIELDS = 200
#: How many 1xx answers may precede the real one.
MAX_INTERIM = 20
#: How much is asked of the socket at a time, bytes.
RECEIVE = 65536

#: How the end of a body is known (RFC 9112 section 6.3).
NONE, LENGTH, CHUNKED, CLOSE = "none", "length", "chunked", "close"


#: What a reason phrase must not have (RFC 9112 section 4).
_NO_REASON = re.compile(rb"[^\t\x20-\x7e\x80-\xff]")


@remembered(2048)
def _name(name: bytes) -> tuple[str, str]:
    """Return the name of a field as text, and in lower case."""
    text = name.decode("latin-1")
    return text, text.lower()


class Source(Protocol):
    """Where bytes come from, and where a connection goes when it is done."""

    def receive(self, size: int) -> bytes:
        """Return some bytes, none at the end of the stream."""

    def release(self, reusable: bool) -> None:
        """Give the connection back, or close it."""


class Head:
    """The head of one answer, as llhttp reports it.

    :ivar status: the status code.
    :ivar fields: (name, value) pairs in order, latin-1.
    :ivar framing: how the end of the body is known.
    :ivar length: bytes of the body where the framing is ``length``.
    :ivar keep_alive: whether the server keeps the connection.
    :ivar complete: whether the head is whole.
    :ivar ended: whether the whole message is.
    :ivar excess: whether bytes followed the message.
    """

    __slots__ = (
        "parser",
        "bodyless",
        "status",
        "fields",
        "framing",
        "length",
        "keep_alive",
        "complete",
        "ended",
        "excess",
        "pieces",
        "_reason",
        "_length",
        "_coding",
        "_interim",
        "_seen",
        "_framed_by",
    )

    def __init__(self, method: str) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.bodyless = method == "HEAD"
        self.status = 0
        self.fields: list[tuple[str, str]] = []
        self.framing, self.length = NONE, 0
        self.keep_alive = self.complete = self.ended = self.excess = False
        self.pieces: list[bytes] = []
        self._reason = b""
        self._length: str | None = None
        self._coding: str | None = None
        self._interim = self._seen = self._framed_by = 0

    @property
    def reason(self) -> str:
        """The reason phrase, which may be empty."""
        return self._reason.decode("latin-1")

    def feed(self, data: bytes) -> None:
        """Read some bytes.

        :raises MalformedAnswer: where the head breaks the rules.
        :raises TruncatedBody: where the chunks of the body do.
        """
        if not self.complete:
            if self._seen < 5:
                self._check_start(data)
            self._seen += len(data)
            if self._seen > MAX_HEAD + RECEIVE:
                raise MalformedAnswer(f"the head is longer than {MAX_HEAD} bytes")
        in_body, before = self.complete, len(self.pieces)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as error:
            raise MalformedAnswer("101 without having been asked") from error
        except httptools.HttpParserError as error:
            if self.ended:
                self.excess = True
            elif self.complete:
                raise TruncatedBody(f"broken body: {error}") from error
            elif isinstance(error.__context__, MalformedAnswer):
                raise error.__context__ from None
            else:
                raise MalformedAnswer(f"not HTTP/1: {error}") from error
        if not self.complete and self._seen > MAX_HEAD:
            raise MalformedAnswer(f"the head is longer than {MAX_HEAD} bytes")
        if in_body and not self.ended:
            self._bound_framing(len(data), len(self.pieces) > before)

    def _check_start(self, data: bytes) -> None:
        """Hear HTTP only: the parser takes RTSP and ICE for HTTP as well."""
        expected = b"HTTP/"[self._seen :]
        if not (data.startswith(expected) or expected.startswith(data)):
            raise MalformedAnswer("not HTTP/1: it does not begin with HTTP/")

    def _bound_framing(self, size: int, progress: bool) -> None:
        """Bound chunk lines and trailers, which are neither head nor content."""
        self._framed_by = 0 if progress else self._framed_by + size
        if self._framed_by > MAX_HEAD:
            raise TruncatedBody(f"more than {MAX_HEAD} bytes without content")

    # -- what llhttp calls ----------------------------------------------------

    def on_message_begin(self) -> None:
        """Notice an answer after the answer."""
        if self.ended:
            self.excess = True

    def on_status(self, reason: bytes) -> None:
        """Collect the reason phrase, which may come in parts."""
        if not self.ended:
            self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a field."""
        if self.complete:
            return  # a trailer, RFC 9110 section 6.5: WSGI cannot carry it
        text, lowered = _name(name)
        field = text, value.decode("latin-1")
        self.fields.append(field)
        if lowered == "content-length":
            self._length = field[1]
        elif lowered == "transfer-encoding":
            before = self._coding
            self._coding = field[1] if before is None else f"{before},{field[1]}"

    def on_headers_complete(self) -> None:
        """Look at the head as a whole: status, version, framing."""
        if self.complete:
            return
        if len(self.fields) > MAX_FIELDS:
            raise MalformedAnswer(f"more than {MAX_FIELDS} fields")
        if self._seen > MAX_HEAD:
            self._measure()
        self.status = status = self.parser.get_status_code()
        if status < 200:
            return self._skip_interim()
        if self._reason != b"OK" and _NO_REASON.search(self._reason):
            raise MalformedAnswer("the reason phrase has a control character")
        if status > 599 or self.parser.get_http_version() not in ("1.1", "1.0"):
            raise MalformedAnswer(f"status {status} or version not of HTTP/1")
        self.framing, self.length = self._framed()
        self.keep_alive = self.parser.should_keep_alive()
        self.complete = True
        if self.framing is NONE:
            self.ended = True

    def on_body(self, piece: bytes) -> None:
        """Collect a piece of the body."""
        if self.ended:
            self.excess = True  # of a second answer that nobody asked for
        else:
            self.pieces.append(piece)

    def on_message_complete(self) -> None:
        """Note the end of the message."""
        if self.complete:
            self.ended = True

    def _measure(self) -> None:
        """Hold the head to its limit, whatever came with it."""
        size = sum(len(name) + len(value) + 4 for name, value in self.fields)
        if size + len(self._reason) > MAX_HEAD:
            raise MalformedAnswer(f"the head is longer than {MAX_HEAD} bytes")

    def _skip_interim(self) -> None:
        """Forget a 1xx (RFC 9110 section 15.2): WSGI cannot pass it on."""
        self._interim += 1
        if self.status == 101 or self._interim > MAX_INTERIM:
            raise MalformedAnswer(f"unexpected {self.status}")
        self.fields, self._reason = [], b""
        self._coding = self._length = None

    def _framed(self) -> tuple[str, int]:
        """Say how the end of the body is known (RFC 9112 section 6.3)."""
        if self.bodyless or self.status in (204, 304):
            return NONE, 0
        coding, length = self._coding, self._length
        if coding is not None:
            if coding.strip().lower() != "chunked":
                raise MalformedAnswer(f"transfer coding {coding!r} is not supported")
            return CHUNKED, 0
        if length is not None:
            return (LENGTH, int(length)) if int(length) else (NONE, 0)
        return CLOSE, 0

    def let_go(self) -> None:
        """Leave the parser, which refers to this object as this does to it."""
        del self.parser


def read_head(head: Head, source: Source, first: bytes = b"") -> bool:
    """Read until the head is whole.

    :param first: bytes that were received already.
    :returns: False where the stream ended before its first byte.
    :raises MalformedAnswer: where it ends later, or breaks the rules.
    """
    received = False
    while not head.complete:
        data, first = first or source.receive(RECEIVE), b""
        if not data:
            if received:
                raise MalformedAnswer("the head was cut off")
            return False
        received = True
        head.feed(data)
    return True


class Body:
    """The content of an answer, in pieces as they come. One reader.

    :param head: the head, whole; it holds the pieces that came with it.
    :param source: where the rest comes from; released at the end.
    """

    __slots__ = ("_head", "_source", "_left", "closed")

    def __init__(self, head: Head, source: Source) -> None:
        self._head = head
        self._source: Source | None = source
        self._left = head.length
        self.closed = False
        if head.ended and not head.pieces:
            self._finish()

    def read_piece(self) -> bytes:
        """Return the next piece, none at the end.

        :raises TruncatedBody: where the body ends before its end.
        :raises ReadTimeout, DeadlineExceeded: where it takes too long.
        """
        pieces = self._head.pieces
        while not pieces:
            if self._source is None:
                return b""
            self._receive(self._source)
        return self._counted(pieces.pop(0))

    @property
    def at_end(self) -> bool:
        """Whether all of it has been read, and the connection is given back."""
        return self._source is None

    def _counted(self, piece: bytes) -> bytes:
        head = self._head
        if head.framing is LENGTH:
            self._left -= len(piece)
            if not self._left:
                self._finish()
        elif head.ended and not head.pieces:
            self._finish()
        return piece

    def _receive(self, source: Source) -> None:
        head = self._head
        try:
            data = source.receive(RECEIVE)
        except BaseException:
            self.close()
            raise
        if not data:
            return self._at_end_of_stream()
        if head.framing is CHUNKED:
            self._feed(data)
        elif head.framing is LENGTH and len(data) > self._left:
            head.excess = True
            head.pieces.append(data[: self._left])
        else:
            head.pieces.append(data)

    def _feed(self, data: bytes) -> None:
        try:
            self._head.feed(data)
        except TruncatedBody:
            self.close()
            raise
        if self._head.ended and not self._head.pieces:
            self._finish()

    def _at_end_of_stream(self) -> None:
        complete = self._head.framing is CLOSE
        self.close()
        if not complete:
            raise TruncatedBody("the body was cut off")

    def _finish(self) -> None:
        """Give the connection back; what is not in order is not reused."""
        source, self._source = self._source, None
        if source is not None:
            head = self._head
            head.let_go()
            reusable = head.keep_alive and not head.excess and head.framing is not CLOSE
            source.release(reusable)

    def close(self) -> None:
        """Give up what is left: an unread connection is closed, not reused."""
        source, self._source = self._source, None
        self._head.pieces.clear()
        self.closed = True
        if source is not None:
            self._head.let_go()
            source.release(False)
