"""CSV (RFC 4180) in UTF-8, safe to open in a spreadsheet program."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.markup import carriable
from pyramid_restproxy.renderers.base import RendererFactory
from pyramid_restproxy.renderers.plain import Plain
from pyramid_restproxy.renderers.tables import NATIVE, Cell, Table, to_table

__all__ = ["REPRESENTATION", "CsvFactory", "to_csv"]

REPRESENTATION = Representation(
    "csv", "text/csv", (".csv",), renderer="csv", charset="UTF-8"
)

# What makes a spreadsheet program read a cell as a formula (CWE-1236), also behind
# white space and what looks like none.
_FORMULA = re.compile("[\t\r\n]|[\\s\u200b\ufeff]*[=+@＝＋－＠-]")


class CsvFactory(RendererFactory):
    """Renderer factory ``csv``."""

    representation = REPRESENTATION

    def encode(
        self, value: Any, request: Request | None, registry: Registry | None
    ) -> bytes:
        """Write a value as a table, see :func:`.tables.to_table`."""
        return to_csv(to_table(Plain(registry, request, NATIVE).plain(value)))


def to_csv(table: Table) -> bytes:
    """Write a header and rows; a table without columns is the empty document."""
    header, rows = table
    if not header:
        return b""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow([_cell(name) for name in header])
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return stream.getvalue().encode("utf-8")


def _cell(cell: Cell) -> Any:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, str):
        text = carriable(cell)
        return f"'{text}" if _FORMULA.match(text) else text
    return cell
