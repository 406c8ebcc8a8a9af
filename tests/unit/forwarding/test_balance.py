from __future__ import annotations

from pyramid_restproxy.forwarding.balance import Rotation


def test_everyone_has_a_turn_and_everyone_is_a_reserve():
    rotation = Rotation()
    assert [list(rotation.order("abc")) for _ in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_one_alone():
    assert list(Rotation().order("a")) == ["a"]
