"""Content that is kept aside on its way."""

from __future__ import annotations

import pytest

from pyramid_restproxy.forwarding.cache.kept import KeptBody
from tests.unit.forwarding.cache.calls import Pieces


def kept(*pieces, limit=10, **more):
    told = []
    body = Pieces(*pieces, **more)
    return KeptBody(body, limit, told.append, lambda: told.append("left")), body, told


def drain(body):
    return b"".join(iter(body.read_piece, b""))


@pytest.mark.parametrize("known_end", [True, False])
def test_what_came_whole_is_told_once(known_end):
    body, _, told = kept(b"hello", b"world", known_end=known_end)
    assert body.read_piece() == b"hello"
    assert told == [] and not body.at_end
    assert drain(body) == b"world"
    assert told == [b"helloworld"]
    assert body.read_piece() == b""
    body.close()
    assert told == [b"helloworld"]


def test_it_is_told_with_the_last_piece_where_that_is_known():
    body, _, told = kept(b"hello")
    body.read_piece()
    assert told == [b"hello"] and body.at_end


def test_no_content_is_whole():
    body, _, told = kept()
    assert body.read_piece() == b""
    assert told == [b""]


def test_what_is_too_long_goes_on_and_is_not_kept():
    body, _, told = kept(b"hello", b"world", b"!")
    assert drain(body) == b"helloworld!"
    assert told == [None]


def test_a_client_that_leaves_takes_it_along():
    body, inner, told = kept(b"hello", b"world")
    body.read_piece()
    body.close()
    body.close()
    assert inner.closed
    assert told == ["left"]


def test_a_cut_body_is_not_kept():
    body, _, told = kept(b"hello", OSError("cut"))
    body.read_piece()
    with pytest.raises(OSError, match="cut"):
        body.read_piece()
    body.close()
    assert told == [None]
