"""What is kept is bounded, in number and in size."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from pyramid_restproxy.remembered import LONGEST, remembered


class Client(NamedTuple):
    address: str
    host: str


def counting(most=8):
    asked = []

    @remembered(most)
    def double(given):
        asked.append(given)
        return (given, given)

    return double, asked


@pytest.mark.parametrize("given", ["a", b"a", None, "", ("a", None, True), "x" * 256])
def test_what_is_known_is_not_worked_out_again(given):
    double, asked = counting()
    assert [double(given), double(given)] == [(given, given)] * 2
    assert asked == [given]


@pytest.mark.parametrize(
    "given",
    [
        "x" * (LONGEST + 1),
        b"x" * (LONGEST + 1),
        ("a", "x" * LONGEST),
        (Client("::1", "x" * LONGEST), False, ""),
    ],
)
def test_a_long_text_is_worked_out_and_not_remembered(given):
    double, asked = counting()
    assert [double(given), double(given)] == [(given, given)] * 2
    assert asked == [given, given]


def test_the_number_is_bounded_and_there_is_always_room_for_what_is_new():
    double, asked = counting(most=3)
    for given in "abcd":
        double(given)
    double("d")
    assert asked == ["a", "b", "c", "d"]
    double("a")
    assert asked[4:] == ["a"]


def test_an_error_is_not_remembered():
    asked = []

    @remembered(8)
    def refuse(given):
        asked.append(given)
        raise ValueError(given)

    for _ in range(2):
        with pytest.raises(ValueError, match="a"):
            refuse("a")
    assert asked == ["a", "a"]
