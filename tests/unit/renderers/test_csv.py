from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.markup import carriable
from pyramid_restproxy.renderers.csv import to_csv

FORMULA = tuple("=+-@\t\r\n＝＋－＠")


def read(document):
    return list(csv.reader(io.StringIO(document.decode(), newline="")))


def test_lines_end_in_crlf_and_quotes_are_doubled(render):
    found = render("csv", [{"a": 'say "x"', "b": "1,2"}, {"a": "l1\nl2"}])
    assert found == b'a,b\r\n"say ""x""","1,2"\r\n"l1\nl2",\r\n'


def test_an_empty_table_is_an_empty_document(render):
    assert render("csv", []) == b""


def test_numbers_stay_numbers(render):
    cells = [-1, -1.5, Decimal("-2.50"), True, False, None]
    assert (
        render("csv", cells)
        == b'value\r\n-1\r\n-1.5\r\n-2.50\r\ntrue\r\nfalse\r\n""\r\n'
    )


@pytest.mark.parametrize("first", FORMULA)
@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\u3000", "\ufeff"])
def test_formulas_are_text(render, first, before):
    cell = f"{before}{first}1"
    if before and first in "\t\r\n":
        assert read(render("csv", [cell]))[1] == [cell]
    else:
        assert read(render("csv", [{cell: cell}])) == [[f"'{cell}"], [f"'{cell}"]]


def test_control_characters_do_not_break_it(render):
    found = render("csv", ["a\0b\x1b\ud800"])
    assert read(found)[1] == ["a\ufffdb\ufffd\ufffd"]


@pytest.mark.parametrize("text", ["plain", "a=b", "'=1", "1-2", "", "é@"])
def test_other_text_stays(text):
    assert read(to_csv(([text or "x"], [[text]])))[1] == [text]


TEXT = st.text() | st.text(alphabet="=+-@\t\r\n＝＋－＠ \u00a0'\",x")


@given(st.lists(TEXT, min_size=1, max_size=4), st.data())
def test_cells_come_back_and_none_begins_a_formula(header, data):
    row = st.lists(TEXT, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(row))
    found = read(to_csv((header, rows)))
    for wanted, line in zip([header, *rows], found, strict=True):
        for cell, text in zip(wanted, line, strict=True):
            assert text in (carriable(cell), f"'{carriable(cell)}")
            assert not text.startswith(FORMULA)
            assert not text.strip().startswith(FORMULA)
