"""Bodies on their way through, never held whole: the request's and the answer's.

Up: the bytes of ``wsgi.input``, from their start even where the application has read
them already. Where they do not come to their end that is the client's fault, 400
(:class:`~pyramid_restproxy.routing.override.UnreadableBody`), and no backend is blamed.
Down: pieces as they come, the first of them read before the status goes out, so that a
backend that breaks at once is a clean 502.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pyramid.httpexceptions import HTTPRequestEntityTooLarge

from pyramid_restproxy.forwarding.failures import TRANSPORT_ERRORS, AnswerTooLarge
from pyramid_restproxy.forwarding.model import Answer, AnswerBody
from pyramid_restproxy.forwarding.wire.errors import NoResources
from pyramid_restproxy.grammar import media_type_of
from pyramid_restproxy.routing.override import (
    PushedBack,
    UnreadableBody,
    from_client,
    is_seekable,
    read_up_to,
)

__all__ = [
    "AnswerPieces",
    "BoundedBody",
    "BytesBody",
    "LimitedBody",
    "StreamedBody",
    "after_prelude",
    "is_event_stream",
    "request_body",
    "start",
]

#: A body of at most this size (bytes) is read at once and sent with the head.
SMALL = 65536


class LimitedBody:
    """A request body of known length, as a file that ends where it does.

    :param stream: ``wsgi.input``, which need not end there.
    :param length: bytes.
    :param start: where the body begins in a stream that can be rewound, or None.
    """

    def __init__(self, stream: Any, length: int, start: int | None) -> None:
        self._stream = stream
        self._left = self.length = length
        self._start = start

    def __len__(self) -> int:
        return self.length

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, all where it is negative.

        :raises UnreadableBody: where the client does not send it to its end.
        """
        wanted = self._left if size < 0 else min(size, self._left)
        if not wanted:
            return b""
        piece = from_client(self._stream.read, wanted)
        if not piece:
            raise UnreadableBody()  # the client left
        self._left -= len(piece)
        return piece

    @property
    def replayable(self) -> bool:
        """Whether it can be sent once more: nothing was read, or it can be rewound."""
        return self._start is not None or self._left == self.length

    def rewind(self) -> None:
        """Go back to the start."""
        if self._left != self.length:
            self._stream.seek(self._start)
            self._left = self.length

    def keep(self, limit: int) -> None:
        """Make it one that can be read several times; before anything is read.

        :param limit: bytes that are kept in a file where the server does not keep them.
        :raises HTTPRequestEntityTooLarge: where there are more.
        :raises NoResources: where the file cannot be written.
        :raises UnreadableBody: where the client does not send it to its end.
        """
        if self._start is None:
            self._stream, self._start = _in_file(self, limit), 0
            self._left = self.length


class StreamedBody:
    """A request body whose end only the server knows, as a file.

    It is not sent twice: how much there is is not known, so it is not kept for that.

    A limit is held by counting on the way. One could read the body into a file first,
    and know; but then no upload would be passed on before it has come whole, and each
    would cost the disk up to the limit. What is over it breaks off: the backend sees a
    body without its end, which is no request (RFC 9112 section 8).

    :param stream: ``wsgi.input``, which ends where the body does.
    :param limit: bytes that there may be, None for no limit.
    """

    def __init__(self, stream: Any, limit: int | None = None) -> None:
        self._stream = stream
        self._limit = self._left = limit
        self._is_kept = False

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, all where it is negative.

        :raises HTTPRequestEntityTooLarge: where there are more than the limit.
        :raises UnreadableBody: where the client does not send it to its end.
        """
        if self._left is None:
            return from_client(self._stream.read, size)
        wanted = self._left + 1  # so that one byte too many shows
        if size < 0:
            piece = read_up_to(self._stream, wanted)
        else:
            piece = from_client(self._stream.read, min(size, wanted))
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large(self._limit)
        return piece

    def rewind(self) -> None:
        """Go back to the start of what :meth:`keep` kept."""
        self._stream.seek(0)

    def keep(self, limit: int) -> None:
        """Make it one that can be read several times, as :meth:`LimitedBody.keep`."""
        if not self._is_kept:
            self._stream, self._is_kept = _in_file(self, limit), True
            self._left = None  # it has been counted


def _in_file(body: LimitedBody | StreamedBody, limit: int) -> Any:
    """Read a body into a temporary file, which goes with it.

    :raises NoResources: where the disk is full, or there is no descriptor.
    """
    try:
        kept = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(body, kept.close)
        while piece := body.read(SMALL):
            if kept.tell() + len(piece) > limit:
                raise _too_large(limit)
            kept.write(piece)
        kept.seek(0)
    except OSError as error:  # ours: no backend is to be blamed for it
        raise NoResources(f"a body cannot be kept: {error.strerror}") from error
    return kept


def _too_large(limit: int | None) -> HTTPRequestEntityTooLarge:
    return HTTPRequestEntityTooLarge(f"The limit is {limit} bytes.")


def request_body(
    environ: Mapping[str, Any], limit: int | None = None
) -> tuple[Any, int | None]:
    """Find the body of a request.

    :param environ: the WSGI environ. Where WebOb has read the body it left a file in
        the place of the stream; both are read from their start.
    :param limit: bytes that there may be, None for no limit.
    :returns: the body and its length in bytes: (None, 0) where there is none, bytes
        where it is small, a file otherwise; length None where only the server knows
        where a large one ends (chunked on servers that do not collect it); that one
        is held to the limit where it is read.
    :raises HTTPRequestEntityTooLarge: where it is known that there is more.
    :raises UnreadableBody: where a small one does not come to its end.
    """
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    if not length:
        if environ.get("HTTP_TRANSFER_ENCODING") and environ.get(
            "wsgi.input_terminated"
        ):
            return _streamed(stream, limit)
        return None, 0
    size = int(length)
    if limit is not None and size > limit:
        raise _too_large(limit)
    start = _rewind(stream)
    if size > SMALL:
        return LimitedBody(stream, size, start), size
    body = read_up_to(stream, size)
    if len(body) < size:
        raise UnreadableBody()  # the client left; a backend would wait for the rest
    return body, size


def _streamed(stream: Any, limit: int | None) -> tuple[Any, int | None]:
    """Read the first block, so that of a small body all is known before it is sent."""
    first = read_up_to(stream, SMALL + 1)
    if limit is not None and len(first) > limit:
        raise _too_large(limit)
    if len(first) <= SMALL:
        return first, len(first)
    return StreamedBody(PushedBack(first, stream), limit), None


def _rewind(stream: Any) -> int | None:
    if not is_seekable(stream):
        return None
    stream.seek(0)
    return 0


class BytesBody:
    """The content of an answer that the application has put in its place."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def at_end(self) -> bool:
        """Whether it has been read."""
        return not self._content

    def read_piece(self) -> bytes:
        """Return all of it, then nothing."""
        content, self._content = self._content, b""
        return content

    def close(self) -> None:
        """Do nothing: there is no connection behind it."""


def start(answer: Answer) -> Iterable[bytes]:
    """Read the first piece of an answer's content, so that what breaks at once shows.

    :returns: all of it as an ``app_iter``: a list where it has come whole (a server
        then knows the length even where the backend sent chunks), else the pieces.
    :raises OSError, ValueError, http.client.HTTPException: what the transport raises.
    """
    try:
        first = answer.body.read_piece()
    except TRANSPORT_ERRORS:
        answer.broke()
        raise
    if answer.body.at_end:
        answer.close()
        return [first] if first else []
    return AnswerPieces(first, answer)


class BoundedBody:
    """The content of an answer that must not be larger than a limit.

    :param body: the content.
    :param limit: bytes.
    """

    def __init__(self, body: AnswerBody, limit: int) -> None:
        self._body = body
        self._left = limit

    @property
    def at_end(self) -> bool:
        """Whether all of it has been read."""
        return self._body.at_end

    def read_piece(self) -> bytes:
        """Return the next piece.

        :raises AnswerTooLarge: where there is more than the limit.
        """
        piece = self._body.read_piece()
        self._left -= len(piece)
        if self._left < 0:
            raise AnswerTooLarge("the answer is larger than it may be")
        return piece

    def close(self) -> None:
        """Give up what is left."""
        self._body.close()


def is_event_stream(answer: Answer) -> bool:
    """Say whether an answer is a stream of server-sent events."""
    return media_type_of(answer.headers.get("Content-Type")) == "text/event-stream"


def after_prelude(answer: Answer) -> AnswerPieces:
    """Begin an event stream with an empty comment.

    WSGI servers send the head with the first piece (PEP 3333), and a client waits for
    the head; the first event may be a long time coming.
    """
    answer.headers.remove("Content-Length")
    return AnswerPieces(b":\n\n", answer)


class AnswerPieces:
    """The content of an answer as an ``app_iter``.

    An error of the backend is raised out of the iteration: the server then breaks the
    connection, so that the client can tell a cut body from a whole one. `close()` is
    called by the server in every case (PEP 3333); it gives the connection back or up.
    One that no server gets, because a view has sent something else, does so when it is
    collected.

    :param first: the first piece, which is read already.
    :param answer: where the others come from.
    """

    __slots__ = ("_answer", "_first")

    def __init__(self, first: bytes, answer: Answer) -> None:
        self._answer = answer
        self._first = first

    def __iter__(self) -> Iterator[bytes]:
        first, self._first = self._first, b""
        if first:
            yield first
        read_piece = self._answer.body.read_piece
        try:
            while piece := read_piece():
                yield piece
        except TRANSPORT_ERRORS:
            self._answer.broke()
            raise

    def close(self) -> None:
        """Give the connection back, or up where something is left unread."""
        self._answer.close()

    def __del__(self) -> None:
        """Do the same for an answer that nobody sent."""
        self.close()
