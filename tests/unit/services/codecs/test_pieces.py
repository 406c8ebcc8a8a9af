"""Large buffers beside the rest."""

from __future__ import annotations

import numpy
import pytest

from pyramid_restproxy.services.codecs.pieces import (
    LARGE,
    Body,
    Cuts,
    Lifted,
    flat,
    lift,
    size_of,
)
from pyramid_restproxy.services.values import Undecodable


def test_a_body_has_a_length_and_can_be_sent_again():
    body = Body([b"ab", memoryview(b"cde")])
    assert len(body) == size_of(body.pieces) == 5
    assert b"".join(body) == b"".join(body) == b"abcde"


def test_cuts_are_put_where_they_belong():
    cuts = Cuts()
    mark = b"<" + Cuts.mark + b">"
    for text in (b"one", b"two"):
        cuts.cut(b"#", memoryview(text))
    assert b"".join(cuts.pieces(b"a" + mark + b"b" + mark, mark)) == b"a#oneb#two"
    assert cuts.pieces(b"a" + mark + mark, mark)[-1] == b"two"


def test_the_latest_cuts_can_be_put_back():
    cuts = Cuts()
    for text in (b"one", b"two"):
        cuts.cut(b"", memoryview(text))
    assert cuts.inline(b"x" + Cuts.mark, Cuts.mark) == b"xtwo"
    assert cuts.inline(b"x", Cuts.mark) == b"x"
    assert cuts.pieces(Cuts.mark, Cuts.mark) == [b"", b"one"]


@pytest.mark.parametrize("index", [-1, 1, "0", True, None])
def test_forged_marks(index):
    with pytest.raises(Undecodable):
        Lifted(b"", [memoryview(b"x")]).buffer(index if index is not True else 1.0)


def test_small_bodies_are_not_walked():
    assert lift(b"x", None, None).buffers == []


def test_a_walk_ends():
    steps = []

    def head(view, at):
        steps.append(at)
        return at + 1, None

    assert lift(bytes(LARGE), head, None).buffers == []
    assert len(steps) == 10_000


@pytest.mark.parametrize("array", [numpy.zeros((0, 2)), numpy.arange(6).reshape(2, 3)])
def test_flat_is_the_bytes_of_an_array(array):
    assert bytes(flat(array)) == array.tobytes()
    assert bytes(flat(array.T)) == array.T.tobytes()
