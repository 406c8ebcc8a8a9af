from __future__ import annotations

import io
from datetime import date
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_restproxy.renderers.xlsx import to_xlsx


def sheet_of(document):
    return openpyxl.load_workbook(io.BytesIO(document)).active


def cells_of(document):
    return [[cell.value for cell in row] for row in sheet_of(document).rows]


def test_types_are_kept(render):
    value = [{"n": 1, "f": 2.5, "d": Decimal("-1.5"), "b": True, "z": None, "t": "x"}]
    assert cells_of(render("xlsx", value)) == [
        ["n", "f", "d", "b", "z", "t"],
        [1, 2.5, -1.5, True, None, "x"],
    ]


def test_the_header_is_bold_and_frozen(render):
    sheet = sheet_of(render("xlsx", [{"a": 1}]))
    assert sheet["A1"].font.b
    assert not sheet["A2"].font.b
    assert sheet.freeze_panes == "A2"


@pytest.mark.parametrize(
    "text", ["=1+1", "{=1}", "http://example.com", "12", "mailto:a@b", "#N/A", "-1"]
)
def test_text_is_text(render, text):
    cell = sheet_of(render("xlsx", [{text: text}]))["A2"]
    assert (cell.value, cell.data_type, cell.hyperlink) == (text, "s", None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("NaN"), "NaN"),
        (2**53 + 1, "9007199254740993"),
        (date(2026, 1, 2), "2026-01-02"),
        ("a\0\ud800b", "a\ufffd\ufffdb"),
    ],
)
def test_what_is_no_number_there_is_text(render, value, text):
    cell = sheet_of(render("xlsx", [value]))["A2"]
    assert (cell.value, cell.data_type) == (text, "s")


def test_long_text_is_cut(render):
    value = sheet_of(render("xlsx", ["x" * 40_000]))["A2"].value
    assert (len(value), value[-1]) == (32_767, "…")


def test_the_longest_text_is_not(render):
    assert sheet_of(render("xlsx", ["x" * 32_767]))["A2"].value[-1] == "x"


@pytest.mark.parametrize(
    "table", [(["a"], [[1]] * 1_048_576), ([str(n) for n in range(16_385)], [])]
)
def test_what_does_not_fit_in_a_sheet(table):
    with pytest.raises(ValueError, match="do not fit in a sheet"):
        to_xlsx(table)


def test_the_same_table_is_the_same_file(render):
    assert render("xlsx", [{"a": 1}]) == render("xlsx", [{"a": 1}])


CELLS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@settings(max_examples=40, deadline=None)
@given(st.lists(CELLS | st.text("=+-@{}h1:/\t\n", max_size=8), min_size=1))
def test_no_cell_is_ever_a_formula(cells):
    sheet = sheet_of(to_xlsx(([str(cell) for cell in cells], [cells])))
    for row in sheet.rows:
        assert all(cell.data_type != "f" and not cell.hyperlink for cell in row)
