from __future__ import annotations

from decimal import Decimal

import pytest

from pyramid_restproxy.renderers.tables import to_table

TABLES = [
    (
        [{"a": 1, "b": 2}, {"c": 3, "a": 4}],
        ["a", "b", "c"],
        [[1, 2, None], [4, None, 3]],
    ),
    ({"posts": [{"a": 1}, {"a": 2}]}, ["a"], [[1], [2]]),
    ({"posts": []}, [], []),
    ({"post": {"a": 1, "b": None}}, ["a", "b"], [[1, None]]),
    ({"a": 1, "b": True}, ["a", "b"], [[1, True]]),
    ({"tags": ["x", "y"]}, ["tags"], [['["x", "y"]']]),
    (["x", 2.5, None], ["value"], [["x"], [2.5], [None]]),
    ("x", ["value"], [["x"]]),
    (None, [], []),
    ([], [], []),
    ([{"a": {"b": "é"}}], ["a"], [['{"b": "é"}']]),
    ([{"a": [Decimal("1.0")]}], ["a"], [['["1.0"]']]),
    ([{1: "x"}, {"1": "y"}], ["1"], [["x"], ["y"]]),
    ([{"a": 1}, 2], ["a", "value"], [[1, None], [None, 2]]),
]


@pytest.mark.parametrize(("value", "header", "rows"), TABLES)
def test_tables(value, header, rows):
    assert to_table(value) == (header, rows)
