"""XLSX: a table as an Excel workbook of one sheet. Text never becomes a formula."""

from __future__ import annotations

import io
import math
from datetime import datetime
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.markup import carriable
from pyramid_restproxy.renderers.base import RendererFactory
from pyramid_restproxy.renderers.plain import Plain
from pyramid_restproxy.renderers.tables import NATIVE, Cell, Table, to_table

__all__ = ["REPRESENTATION", "XlsxFactory", "to_xlsx"]

REPRESENTATION = Representation(
    "xlsx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    (".xlsx",),
    renderer="xlsx",
)

# The limits of the program: rows (header included), columns, characters of a cell
# (UTF-16 code units), and the integers that its numbers, which are doubles, can hold.
_MAX_ROWS = 1_048_576
_MAX_COLUMNS = 16_384
_MAX_TEXT = 32_767
_MAX_INTEGER = 2**53

_OPTIONS = {
    "in_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


class XlsxFactory(RendererFactory):
    """Renderer factory ``xlsx``."""

    representation = REPRESENTATION
    module = package = "xlsxwriter"
    extra = "xlsx"

    def encode(
        self, value: Any, request: Request | None, registry: Registry | None
    ) -> bytes:
        """Write a value as a table, see :func:`.tables.to_table`."""
        return to_xlsx(to_table(Plain(registry, request, NATIVE).plain(value)))


def to_xlsx(table: Table) -> bytes:
    """Write a header, bold and frozen, and rows.

    :raises ValueError: where there are more rows or columns than a sheet has.
    """
    import xlsxwriter

    header, rows = table
    if len(rows) >= _MAX_ROWS or len(header) > _MAX_COLUMNS:
        raise ValueError(
            f"{len(rows)} rows and {len(header)} columns do not fit in a sheet: "
            f"it has {_MAX_ROWS - 1} rows and {_MAX_COLUMNS} columns"
        )
    stream = io.BytesIO()
    with xlsxwriter.Workbook(stream, _OPTIONS) as workbook:
        # The same table is the same file: no date of today.
        workbook.set_properties({"created": datetime(1980, 1, 1)})
        sheet = workbook.add_worksheet()
        sheet.freeze_panes(1, 0)
        bold = workbook.add_format({"bold": True})
        for column, name in enumerate(header):
            sheet.write_string(0, column, _text(name), bold)
        for number, row in enumerate(rows, start=1):
            for column, cell in enumerate(row):
                _write(sheet, number, column, cell)
    return stream.getvalue()


def _write(sheet: Any, row: int, column: int, cell: Cell) -> None:
    if isinstance(cell, bool):
        sheet.write_boolean(row, column, cell)
    elif cell is None:
        sheet.write_blank(row, column, None)
    elif isinstance(cell, str) or not _is_number(cell):
        sheet.write_string(row, column, _text(str(cell)))
    else:
        sheet.write_number(row, column, cell)


def _is_number(cell: int | float | Decimal) -> bool:
    if isinstance(cell, int):
        return abs(cell) <= _MAX_INTEGER
    if isinstance(cell, Decimal):  # of which the program keeps 15 digits
        return cell.is_finite() and Decimal(f"{float(cell):.15G}") == cell
    return math.isfinite(cell)


def _text(text: str) -> str:
    """Return what the library writes as this text, or as its beginning."""
    text = _cut(carriable(text))
    if not (text.startswith("<r>") and text.endswith("</r>")):
        return text
    # The library takes this for markup that it has made itself, and escapes nothing.
    markup = f'<r><t xml:space="preserve">{escape(text)}</t></r>'
    return markup if _cut(markup) == markup else f"{text[:-1]}…"


def _cut(text: str) -> str:
    """Return a text that a cell can hold; the library would cut it without a sign."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * _MAX_TEXT:
        return text
    kept = units[: 2 * (_MAX_TEXT - 1)].decode("utf-16-le", "ignore")
    return f"{kept}…"  # ignored is half of a pair
