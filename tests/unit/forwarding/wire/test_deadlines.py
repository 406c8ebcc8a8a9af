"""Deadlines: what counts, and what does not."""

from __future__ import annotations

import pytest

from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.errors import (
    DeadlineExceeded,
)


def test_a_deadline_that_is_over_allows_nothing_more():
    deadline = Deadline(5, 0.0)
    with pytest.raises(DeadlineExceeded):
        deadline.wait()


def test_the_total_time_stands_still_while_another_is_waited_for(clock):
    deadline = Deadline(None, 2)

    def slow():
        for piece in (b"a", b"b"):
            clock.now += 10
            yield piece
        clock.now += 10

    assert [deadline.left() for _ in deadline.without(slow())] == [2, 2]
    assert deadline.left() == 2
    clock.now += 3
    with pytest.raises(DeadlineExceeded):
        deadline.wait()


def test_without_a_total_time_there_is_nothing_that_could_stand_still(clock):
    deadline = Deadline(5, None)
    deadline.pause()
    deadline.resume()
    assert (deadline.wait(), deadline.at) == (5, None)
