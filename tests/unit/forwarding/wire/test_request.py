"""The head and the body of a request, as bytes."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.exceptions import InvalidHeader, InvalidURL

from pyramid_restproxy.forwarding.wire import request


def test_a_head_is_written_exactly_as_given():
    fields = [("Host", "h"), ("x-lower", "caf\xe9"), ("X-A", "1"), ("X-A", "2")]
    assert request.encode_head("GET", "/a%2Fb//c?x=%7e", fields) == (
        b"GET /a%2Fb//c?x=%7e HTTP/1.1\r\n"
        b"Host: h\r\nx-lower: caf\xe9\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
    )


@pytest.mark.parametrize(
    "method, target, fields, error",
    [
        ("GET\r\nX", "/", [], InvalidHeader),
        ("", "/", [], InvalidHeader),
        ("GET", "/a b", [], InvalidURL),
        ("GET", "/a\r\n", [], InvalidURL),
        ("GET", "/caf\xe9", [], InvalidURL),
        ("GET", "", [], InvalidURL),
        ("GET", "/a#f", [], InvalidURL),
        ("GET", "/a?b#", [], InvalidURL),
        ("GET", "/", [("X Y", "1")], InvalidHeader),
        ("GET", "/", [("", "1")], InvalidHeader),
        ("GET", "/", [("X", "a\r\nY: b")], InvalidHeader),
        ("GET", "/", [("X", "a\nb")], InvalidHeader),
        ("GET", "/", [("X", "a\0b")], InvalidHeader),
        ("GET", "/", [("X", "snow \u2603")], InvalidHeader),
    ],
)
def test_what_could_be_read_as_two_lines_is_refused(method, target, fields, error):
    with pytest.raises(error):
        request.encode_head(method, target, fields)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_line_break_ever_leaves(target, name, value):
    try:
        head = request.encode_head("GET", target, [(name, value)])
    except (InvalidHeader, InvalidURL):
        return
    assert head.count(b"\r\n") == 3
    assert head.count(b"\n") == 3
    assert b"\0" not in head


@pytest.mark.parametrize(
    "body, pieces",
    [
        (b"ab", [b"ab"]),
        ("é", ["é".encode()]),
        (io.BytesIO(b"ab"), [b"ab"]),
        (io.StringIO("é"), ["é".encode()]),
        (iter([b"a", "b"]), [b"a", b"b"]),
        (bytearray(b"x"), [b"x"]),
    ],
)
def test_bodies_of_all_kinds(body, pieces):
    assert list(request.blocks(body)) == pieces


def test_a_large_file_is_read_in_blocks():
    pieces = list(request.blocks(io.BytesIO(b"x" * (request.BLOCK * 2 + 1))))
    assert [len(piece) for piece in pieces] == [request.BLOCK, request.BLOCK, 1]


def test_chunks_leave_out_empty_pieces():
    framed = b"".join(request.chunks([b"ab", b"", b"c" * 16]))
    assert framed == b"2\r\nab\r\n10\r\n" + b"c" * 16 + b"\r\n0\r\n\r\n"


def test_tokens_are_known_again_however_many_there_were(monkeypatch):
    """Bug: long names were kept for good; and once there were many, no new ones."""
    monkeypatch.setattr(request, "_tokens", set())
    for number in range(request._MAX_TOKENS + 5):
        request.encode_head("GET", "/", [(f"X-{number}", "1")])
    assert {"GET", f"X-{number}"} < request._tokens
    assert len(request._tokens) <= request._MAX_TOKENS + 1
    assert request.encode_head("GET", "/", [("X" * 1000, "1")])
    assert max(map(len, request._tokens)) < 1000
