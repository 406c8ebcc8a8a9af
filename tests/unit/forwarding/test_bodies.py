"""Bodies on their way up and down."""

from __future__ import annotations

import errno
import gc
import io

import pytest
from pyramid.httpexceptions import HTTPRequestEntityTooLarge
from pyramid.request import Request

from pyramid_restproxy.forwarding import bodies
from pyramid_restproxy.forwarding.failures import Blame, failure_of
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.load import Gate
from pyramid_restproxy.forwarding.model import Answer
from pyramid_restproxy.forwarding.wire.errors import NoResources
from pyramid_restproxy.routing.override import UnreadableBody

LARGE = b"x" * (bodies.SMALL + 1)


class Stream:
    """A body as a socket gives it: it cannot be rewound, and gives a little."""

    def __init__(self, content, most=1000):
        self._file = io.BytesIO(content)
        self._most = most

    def read(self, size=-1):
        return self._file.read(min(size, self._most) if size >= 0 else self._most)


def environ(content, stream=None, **more):
    return {
        "CONTENT_LENGTH": str(len(content)),
        "wsgi.input": stream or io.BytesIO(content),
        **more,
    }


@pytest.mark.parametrize("length", [{}, {"CONTENT_LENGTH": ""}])
def test_no_body(length):
    assert bodies.request_body({"wsgi.input": io.BytesIO(), **length}) == (None, 0)


@pytest.mark.parametrize("stream", [None, Stream(b"hello")])
def test_a_small_body_is_bytes(stream):
    assert bodies.request_body(environ(b"hello", stream)) == (b"hello", 5)


class Broken(Stream):
    """A body that breaks after what there is, as the reader of a server does."""

    def __init__(self, content, error):
        super().__init__(content)
        self._error = error

    def read(self, size=-1):
        piece = super().read(size)
        if piece:
            return piece
        raise self._error


class ParseError(Exception):
    """What a server has of its own."""


ERRORS = [ParseError("InvalidChunkSize"), OSError("no more data"), ValueError()]


def test_a_small_body_that_the_client_cut_is_its_fault():
    cut = {"CONTENT_LENGTH": "9", "wsgi.input": Stream(b"hello")}
    with pytest.raises(UnreadableBody):
        bodies.request_body(cut)


def test_a_large_body_that_the_client_cut_is_its_fault():
    cut = {"CONTENT_LENGTH": str(len(LARGE)), "wsgi.input": Stream(b"x" * 70)}
    body, _ = bodies.request_body(cut)
    assert body.read(100) == b"x" * 70
    with pytest.raises(UnreadableBody):
        body.read(100)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("length", ["9", "70000", ""])
def test_what_a_server_raises_is_the_clients_fault(error, length):
    given = {
        "CONTENT_LENGTH": length,
        "wsgi.input": Broken(b"hello", error),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }
    with pytest.raises(UnreadableBody) as caught:
        body, _ = bodies.request_body(given)
        while body.read(100):
            pass
    assert caught.value.__cause__ is error
    assert caught.value.status_int == 400


def test_a_large_body_is_a_file_that_ends_where_the_body_does():
    body, length = bodies.request_body(environ(LARGE, Stream(LARGE + b"next")))
    assert len(body) == length == len(LARGE)
    assert b"".join(iter(lambda: body.read(70000), b"")) == LARGE
    assert body.read() == b""
    assert not body.replayable


def test_a_large_body_that_can_be_rewound_can_be_sent_again():
    body, _ = bodies.request_body(environ(LARGE))
    assert body.replayable
    body.read()
    assert body.replayable
    body.rewind()
    assert body.read() == LARGE


def test_a_body_that_nothing_was_read_of_can_be_sent_again():
    body, _ = bodies.request_body(environ(LARGE, Stream(LARGE)))
    assert body.replayable
    body.rewind()
    assert body.read(3) == b"xxx"


@pytest.mark.parametrize("attribute", ["body", "POST", "json_body"])
def test_what_the_application_has_read_is_there_again(attribute):
    content = b'{"a": 1}' if attribute == "json_body" else b"a=1&b=%7e"
    request = Request.blank("/", environ(content), method="POST")
    request.environ["wsgi.input"] = Stream(content)
    request.environ["webob.is_body_seekable"] = False
    request.content_type = "application/x-www-form-urlencoded"
    getattr(request, attribute)
    assert bodies.request_body(request.environ) == (content, len(content))


def test_a_body_whose_end_only_the_server_knows():
    body, length = bodies.request_body(streamed(LARGE))
    assert length is None
    assert b"".join(iter(lambda: body.read(1000), b"")) == LARGE


@pytest.mark.parametrize("content", [b"", b"hello", LARGE[1:]])
def test_a_small_body_whose_end_only_the_server_knows(content):
    assert bodies.request_body(streamed(content)) == (content, len(content))


def streamed(content):
    return {
        "wsgi.input": Stream(content),
        "wsgi.input_terminated": True,
        "HTTP_TRANSFER_ENCODING": "chunked",
    }


@pytest.mark.parametrize(
    "given", [streamed(LARGE), environ(LARGE, Stream(LARGE)), environ(LARGE)]
)
def test_a_body_that_is_kept_can_be_read_several_times(given):
    body, _ = bodies.request_body(given)
    for _ in range(3):
        body.keep(len(LARGE))
        assert b"".join(iter(lambda: body.read(70000), b"")) == LARGE
        body.rewind()


@pytest.mark.parametrize("given", [streamed(LARGE), environ(LARGE, Stream(LARGE))])
def test_what_is_kept_has_a_limit(given):
    body, _ = bodies.request_body(given)
    with pytest.raises(HTTPRequestEntityTooLarge):
        body.keep(len(LARGE) - 1)


@pytest.mark.parametrize("size", [-1, 1000])
def test_a_body_whose_end_nobody_knows_is_held_to_a_limit_as_it_is_read(size):
    """All over 64 KiB was over any limit."""
    body, _ = bodies.request_body(streamed(LARGE), len(LARGE))
    assert b"".join(iter(lambda: body.read(size), b"")) == LARGE
    stream = Stream(LARGE + b"123")
    given = {**streamed(b""), "wsgi.input": stream}
    body, _ = bodies.request_body(given, len(LARGE))
    with pytest.raises(HTTPRequestEntityTooLarge, match=f"{len(LARGE)} bytes"):
        while body.read(size):
            pass
    assert stream.read(1) == b"2"  # no more was read than shows it


def test_a_body_that_is_held_to_a_limit_can_be_kept():
    body, _ = bodies.request_body(streamed(LARGE), len(LARGE))
    for _ in range(3):
        body.keep(2 * len(LARGE))
        assert b"".join(iter(lambda: body.read(70000), b"")) == LARGE
        body.rewind()
    body, _ = bodies.request_body(streamed(LARGE + b"x"), len(LARGE))
    with pytest.raises(HTTPRequestEntityTooLarge):
        body.keep(2 * len(LARGE))


@pytest.mark.parametrize("make", [streamed, environ])
def test_what_is_known_to_be_over_a_limit_is_refused_at_once(make):
    assert bodies.request_body(make(b"four"), 4) == (b"four", 4)
    with pytest.raises(HTTPRequestEntityTooLarge, match="3 bytes"):
        bodies.request_body(make(b"four"), 3)


class Pieces:
    def __init__(self, *pieces):
        self.left = list(pieces)
        self.closed = 0

    @property
    def at_end(self):
        return not self.left

    def read_piece(self):
        piece = self.left.pop(0) if self.left else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def close(self):
        self.closed += 1


def started(*pieces):
    body = Pieces(*pieces)
    return bodies.start(Answer(200, "OK", FieldList([]), body)), body


def test_pieces_come_as_they_are():
    found, body = started(b"a", b"b")
    assert list(found) == [b"a", b"b"]
    found.close()
    assert body.closed == 1


def test_an_empty_body_has_no_piece():
    assert started()[0] == []


def test_a_body_that_came_whole_is_a_list_so_that_servers_know_its_length():
    assert started(b"ab")[0] == [b"ab"]


def test_a_body_whose_end_is_not_known_yet_is_read_on():
    class Chunked(Pieces):
        at_end = False

    assert list(bodies.start(Answer(200, "OK", FieldList([]), Chunked(b"ab")))) == [
        b"ab"
    ]


def test_what_breaks_at_once_breaks_before_the_head_goes_out():
    with pytest.raises(OSError):
        started(OSError())


def test_what_breaks_later_is_raised_so_that_the_client_can_tell():
    found, _ = started(b"a", OSError())
    pieces = iter(found)
    assert next(pieces) == b"a"
    with pytest.raises(OSError):
        next(pieces)


class Noted(bodies.BytesBody):
    closed = 0

    def close(self):
        self.closed += 1


def test_pieces_that_nobody_sends_are_given_up_when_they_are_collected():
    gate = Gate(1)
    assert gate.enter()
    answer = Answer(200, "", FieldList([]), Noted(b"rest"), gates=(gate,))
    pieces = bodies.AnswerPieces(b"first", answer)
    around = [pieces]
    around.append(around)  # in a cycle, so that the collector finds it
    del pieces, around
    gc.collect()
    assert (answer.body.closed, gate.inside) == (1, 0)


def test_a_gate_can_be_left_by_who_is_collected_while_it_is_entered():
    gate = Gate(2)
    gate.enter()
    with gate._lock:  # the thread is in `enter`, and the collector runs
        gate.leave()
    assert gate.inside == 0


def test_a_body_of_bytes():
    body = bodies.BytesBody(b"x")
    assert (body.read_piece(), body.read_piece()) == (b"x", b"")
    body.close()


class Full:
    """A file on a disk without room."""

    def tell(self):
        return 0

    def write(self, piece):
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self):
        pass


def test_a_full_disk_is_ours(monkeypatch):
    """Bug: it opened the circuits of the backends that bodies were kept for."""
    monkeypatch.setattr(bodies.tempfile, "TemporaryFile", Full)
    body, _ = bodies.request_body(environ(LARGE, Stream(LARGE)))
    with pytest.raises(NoResources, match="No space left") as caught:
        body.keep(2 * len(LARGE))
    assert failure_of(caught.value).blame is Blame.GATEWAY
