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


SMILE = "\U0001f642"


@pytest.mark.parametrize(
    "text",
    [
        "<r><t>x</t></r>",
        "<r></broken></r>",
        "<r>&amp; _x0041_ \n </r>",
        "<r></r>",
        "<r>",
    ],
)
def test_text_that_looks_like_the_librarys_own_markup_is_text(render, text):
    """It was written as it is, and the file could not be read, or said more."""
    assert cells_of(render("xlsx", [{text: text}])) == [[text], [text]]


@pytest.mark.parametrize(
    "text",
    [
        f"<r>{'<' * 20_000}</r>",
        f"<r>{SMILE * 16_300}</r>{'x' * 200}",
        # cut by the library, without a sign, it ended in the markup's end
        f"<r>{SMILE * 16_372}</broken></r>{'x' * 10}",
    ],
)
def test_markup_that_is_too_long_is_cut_and_still_text(render, text):
    value = sheet_of(render("xlsx", [text]))["A2"].value
    assert value.endswith("…") and text.startswith(value[:-1])
    assert len(value.encode("utf-16-le")) <= 2 * 32_767


def test_text_is_cut_between_characters(render):
    """The program counts UTF-16 code units, of which some characters are two."""
    value = sheet_of(render("xlsx", [SMILE * 16_384]))["A2"].value
    assert value == SMILE * 16_383 + "…"


@pytest.mark.parametrize(
    "amount",
    [
        "12345678901234567890.12",
        "12345678901234567",
        "0.1234567890123456",
        "1E+500",
        "1E-500",
        "sNaN",
        "-Infinity",
    ],
)
def test_a_decimal_whose_digits_would_be_lost_is_text(render, amount):
    """Digits were lost without a word, and a signaling NaN was a 500."""
    cell = sheet_of(render("xlsx", [Decimal(amount)]))["A2"]
    assert (cell.value, cell.data_type) == (amount, "s")


@pytest.mark.parametrize(
    "amount", ["0", "0.10", "1234567.89", "-999999999999.999", "1E+3", "1.5E-300"]
)
def test_a_decimal_whose_digits_are_kept_is_a_number(render, amount):
    cell = sheet_of(render("xlsx", [Decimal(amount)]))["A2"]
    assert (cell.value, cell.data_type) == (float(amount), "n")
