"""Arguments against signatures, with msgspec and without."""

from __future__ import annotations

import sys
import typing
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import numpy
import pytest
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.services import signature
from pyramid_restproxy.services.signature import ArgumentError, Contract, fits


@dataclass
class Point:
    x: float
    tags: list[str]


def service(request, point: Point, on: date | None = None, n: int = 1) -> float:
    """Do something."""


def test_what_a_contract_says():
    contract = Contract(service)
    assert contract.wants_request
    assert [each.name for each in contract.parameters] == ["point", "on", "n"]
    assert [each.required for each in contract.parameters] == [True, False, False]
    assert contract.returns is float


def test_values_become_what_the_hints_say():
    bound = Contract(service).bind({"point": {"x": 1, "tags": []}, "on": "2026-01-02"})
    assert bound == {"point": Point(1.0, []), "on": date(2026, 1, 2)}


@pytest.mark.parametrize(
    "arguments, path",
    [
        ([1], "$"),
        ({}, "$.point"),
        ({"point": None, "request": 1}, "$.request"),
        ({1: 2}, "$.1"),
        ({"point": {"x": "1", "tags": []}}, "$.point.x"),
        ({"point": {"x": 1, "tags": ["a", 2]}}, "$.point.tags[1]"),
        ({"point": {"x": 1}}, "$.point.tags"),
        ({"point": {"x": 1, "tags": []}, "n": "1"}, "$.n"),
        ({"point": {"x": 1, "tags": []}, "on": "x"}, "$.on"),
    ],
)
def test_the_place_is_named(arguments, path):
    with pytest.raises(ArgumentError) as caught:
        Contract(service).bind(arguments)
    assert caught.value.path == path
    assert caught.value.problem_members["errors"][0]["path"] == path
    assert caught.value.status_int == 400


def test_arrays_are_left_as_they_are():
    def mean(values: numpy.ndarray, bare): ...

    contract = Contract(mean)
    array = numpy.zeros(2)
    assert contract.bind({"values": array, "bare": 1})["values"] is array
    with pytest.raises(ArgumentError):
        contract.bind({"values": [1], "bare": 1})


def test_deep_values_end():
    def walk(value: Tree): ...

    value: Any = None
    for _ in range(100_000):
        value = {"next": value}
    with pytest.raises(ArgumentError, match="deep"):
        Contract(walk).bind({"value": value})
    while value:  # or freeing it would be as deep
        value = value.pop("next")


@dataclass
class Tree:
    next: Tree | None = None


def positional(a, /): ...
def star(*a): ...
def keywords(**a): ...


@pytest.mark.parametrize("function", [positional, star, keywords])
def test_what_cannot_be_called_by_name(function):
    with pytest.raises(ConfigurationError, match=function.__name__):
        Contract(function)


def test_hints_that_cannot_be_read():
    def broken(a: Nowhere): ...  # noqa: F821

    with pytest.raises(ConfigurationError, match="Nowhere"):
        Contract(broken)


@pytest.mark.parametrize(
    "value, hint, expected",
    [
        (1, int, True),
        (True, int, False),
        ("1", int, False),
        (1, float, True),
        (True, float, False),
        (1.5, float, True),
        (None, None, True),
        (1, None, False),
        (None, int | None, True),
        ("a", Literal["a", "b"], True),
        ("c", Literal["a", "b"], False),
        ([1], list[int], True),
        ({}, list[int], False),
        (1, Annotated[int, "x"], True),
        (1, Any, True),
        (1, object, True),
        ("x", str, True),
    ],
)
def test_plain_hints(value, hint, expected):
    assert fits(value, hint) is expected


def test_without_msgspec(monkeypatch):
    monkeypatch.setitem(sys.modules, "msgspec", None)
    contract = Contract(service)
    with pytest.raises(ArgumentError) as caught:
        contract.bind({"point": {"x": 1}, "n": 1})
    assert "expected Point" in str(caught.value)
    point = Point(1, [])
    assert contract.bind({"point": point, "n": 2}) == {"point": point, "n": 2}
    with pytest.raises(ArgumentError, match="date"):
        contract.bind({"point": point, "on": 1})
    assert signature.fits(1, int)


def test_hints_that_cannot_be_checked():
    def either(value: Point | Tree): ...

    with pytest.raises(ConfigurationError, match="value"):
        Contract(either)


def test_hints_that_are_no_types():
    assert fits(1, typing.TypeVar("T"))


@dataclass
class Price:
    amount: Decimal
    next: Price | None = None


def priced(price: Price, note: str = "") -> str:
    return note


@pytest.mark.parametrize("text", ["1e999999999", "-0e-99999999", "1" * 5000])
def test_text_does_not_become_a_decimal_without_end(text):
    with pytest.raises(ArgumentError) as caught:
        Contract(priced).bind(
            {"price": {"amount": "1", "next": {"amount": text}}, "note": text}
        )
    assert caught.value.path == "$.price"


def test_text_becomes_a_decimal():
    bound = Contract(priced).bind({"price": {"amount": "1.50"}, "note": "1e999999"})
    assert bound == {"price": Price(Decimal("1.50")), "note": "1e999999"}
    bound = Contract(priced).bind({"price": {"amount": 2}})
    assert bound == {"price": Price(Decimal(2))}
