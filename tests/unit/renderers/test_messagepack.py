from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgpack
import pytest


class Endless:
    def __json__(self, request):
        return [Endless()]


def test_values_come_back_and_bytes_stay_bytes(render):
    value = {"a": [1, 2.5, None, True, "é"], "b": b"\xff"}
    assert msgpack.unpackb(render("msgpack", value)) == value


def test_objects_become_plain(render):
    value = {"at": date(2026, 1, 2), "sum": Decimal("1.50"), "set": {1}}
    found = msgpack.unpackb(render("msgpack", value))
    assert found == {"at": "2026-01-02", "sum": "1.50", "set": [1]}


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63)])
def test_the_largest_integers(render, number):
    assert msgpack.unpackb(render("msgpack", number)) == number


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1])
def test_integers_over_64_bits(render, number):
    with pytest.raises(ValueError, match="no integers over 64 bits"):
        render("msgpack", {"n": [number]})


def test_an_object_that_never_ends(render):
    with pytest.raises(ValueError):
        render("msgpack", Endless())


def test_a_lone_surrogate_is_replaced(render):
    """It was a 500, and JSON of a client's can bring one."""
    found = msgpack.unpackb(render("msgpack", {"k\udfff": ["x\ud800y", b"\xff"]}))
    assert found == {"k\ufffd": ["x\ufffdy", b"\xff"]}
