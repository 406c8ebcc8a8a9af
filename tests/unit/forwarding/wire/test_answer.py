"""The head and the body of an answer, byte by byte and at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.forwarding.wire import answer
from pyramid_restproxy.forwarding.wire.errors import MalformedAnswer, TruncatedBody

OK = b"HTTP/1.1 200 OK\r\n"


class Bytes:
    """A source of prepared pieces that notes how it was given back."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.released = []

    def receive(self, size):
        return self.pieces.pop(0) if self.pieces else b""

    def release(self, reusable):
        self.released.append(reusable)


def read(raw, method="GET", step=None):
    """Read an answer; return head, content and whether the connection is reusable."""
    pieces = (
        [raw] if step is None else [raw[n : n + step] for n in range(0, len(raw), step)]
    )
    source = Bytes(*pieces)
    head = answer.Head(method)
    assert answer.read_head(head, source)
    body = answer.Body(head, source)
    content = b"".join(iter(body.read_piece, b""))
    assert len(source.released) == 1
    return head, content, source.released[0]


GOOD = {
    "known length": (OK + b"Content-Length: 2\r\n\r\nok", "GET", b"ok", True),
    "length 0": (OK + b"Content-Length: 0\r\n\r\n", "GET", b"", True),
    "chunked": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
        "GET",
        b"ok!",
        True,
    ),
    "chunked with trailers": (
        OK + b"Transfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: v\r\n\r\n",
        "GET",
        b"ok",
        True,
    ),
    "HTTP/1.0 to the end": (b"HTTP/1.0 200 OK\r\n\r\nhello", "GET", b"hello", False),
    "HTTP/1.1 to the end": (OK + b"\r\nhello", "GET", b"hello", False),
    "close asked": (
        OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok",
        "GET",
        b"ok",
        False,
    ),
    "HEAD": (OK + b"Content-Length: 9\r\n\r\n", "HEAD", b"", True),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", "GET", b"", True),
    "304": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        "GET",
        b"",
        True,
    ),
    "early hints": (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nok",
        "GET",
        b"ok",
        True,
    ),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "GET", b"ok", True),
}


@pytest.mark.parametrize("step", [None, 1, 3])
@pytest.mark.parametrize("raw, method, content, reusable", GOOD.values(), ids=GOOD)
def test_answers(raw, method, content, reusable, step):
    _, found, kept = read(raw, method, step)
    assert (found, kept) == (content, reusable)


def test_fields_keep_their_order_their_case_and_their_lines():
    head, _, _ = read(
        OK + b"B: 1\r\nset-cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n"
    )
    assert head.fields[:3] == [("B", "1"), ("set-cookie", "a"), ("Set-Cookie", "b")]


def test_the_fields_and_the_reason_of_an_interim_answer_are_forgotten():
    head, _, _ = read(
        b"HTTP/1.1 100 Go On\r\nX: y\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    )
    assert head.reason == "OK"
    assert head.fields == [("Content-Length", "0")]


@pytest.mark.parametrize(
    "raw, method",
    [
        (OK + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", "GET"),
        (OK + b"Content-Length: 2\r\n\r\nok!", "GET"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "GET"),
        (OK + b"Content-Length: 2\r\n\r\nok", "HEAD"),
    ],
)
def test_bytes_after_the_message_are_dropped_and_the_connection_with_them(raw, method):
    _, content, reusable = read(raw, method)
    assert content in (b"ok", b"")
    assert not reusable


BAD = {
    "not HTTP": b"hello world\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "status 999": b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "length abc": OK + b"Content-Length: abc\r\n\r\nok",
    "length -5": OK + b"Content-Length: -5\r\n\r\nok",
    "length and chunked": OK
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": OK + b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    "space before colon": OK + b"X-Bad : a\r\n\r\n",
    "no colon": OK + b"bad\r\n\r\n",
    "no name": OK + b": a\r\n\r\n",
    "NUL": OK + b"X: a\0b\r\n\r\n",
    "bare CR": OK + b"X: a\rSet-Cookie: evil=1\r\n\r\n",
    "bare LF": OK + b"X: a\nY: b\n\n",
    "folded": OK + b"X: a\r\n b\r\n\r\n",
    "cut": OK + b"X: a\r\n",
    "too many fields": OK + b"X: 1\r\n" * (answer.MAX_FIELDS + 1) + b"\r\n",
    "too long": OK + b"X: " + b"y" * 2 * answer.MAX_HEAD + b"\r\n\r\n",
    "interim flood": b"HTTP/1.1 102 P\r\n\r\n" * 50,
}


@pytest.mark.parametrize("step", [None, 7])
@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_heads_that_break_the_rules(raw, step):
    with pytest.raises(MalformedAnswer):
        read(raw, step=step)


def test_an_unending_head_is_given_up_at_the_limit():
    source = Bytes(OK, *[b"x" * 1000] * 1000)
    with pytest.raises(MalformedAnswer, match="longer than"):
        answer.read_head(answer.Head("GET"), source)
    assert len(source.pieces) > 900


def test_no_byte_at_all_is_no_answer():
    assert not answer.read_head(answer.Head("GET"), Bytes())


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 10\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n",
    ],
)
@pytest.mark.parametrize("step", [None, 1])
def test_a_cut_or_broken_body_is_an_error(raw, step):
    with pytest.raises(TruncatedBody):
        read(raw, step=step)


def test_closing_an_unread_body_closes_the_connection():
    source = Bytes(OK + b"Content-Length: 10\r\n\r\nok")
    head = answer.Head("GET")
    answer.read_head(head, source)
    body = answer.Body(head, source)
    body.close()
    body.close()
    assert source.released == [False]
    assert body.read_piece() == b""


def test_an_error_of_the_source_closes_the_connection():
    class Broken(Bytes):
        def receive(self, size):
            if not self.pieces:
                raise TimeoutError
            return super().receive(size)

    source = Broken(OK + b"Content-Length: 10\r\n\r\nok")
    head = answer.Head("GET")
    answer.read_head(head, source)
    body = answer.Body(head, source)
    assert body.read_piece() == b"ok"
    with pytest.raises(TimeoutError):
        body.read_piece()
    assert source.released == [False]


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_make_it_raise_anything_else(tail, step):
    try:
        head, _, _ = read(OK + tail, step=step)
    except (MalformedAnswer, TruncatedBody):
        return
    for name, value in head.fields:
        assert not set(name + value) & set("\r\n\0")


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.integers(1, 20))
def test_what_was_chunked_comes_out_whole(pieces, step):
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces)
    raw = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    assert read(raw, step=step)[1:] == (b"".join(pieces), True)


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(
    "raw",
    [
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICE/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\x7fK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_another_protocol_or_a_control_character_in_the_reason(raw, step):
    with pytest.raises(MalformedAnswer):
        read(raw, step=step)


def test_a_reason_may_have_other_letters():
    head, _, _ = read(b"HTTP/1.1 404 Nicht gefunden \xfc\r\nContent-Length: 0\r\n\r\n")
    assert head.reason == "Nicht gefunden \xfc"
