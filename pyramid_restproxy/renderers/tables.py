"""Shape a value into a header and rows, for the formats that are tables.

What a cell looks like in a file is the business of ``csv`` and ``xlsx``.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

__all__ = ["NATIVE", "Cell", "Table", "to_table"]

#: What a table can hold as it is, beside plain data: an amount is a number here.
NATIVE = (Decimal,)

Cell = str | int | float | Decimal | bool | None
Table = tuple[list[str], list[list[Cell]]]


def to_table(value: Any) -> Table:
    """Return the header and the rows of a plain value.

    A list of mappings has a row a mapping and a column a key, in the order in which
    the keys are first seen; so has a mapping whose only value is such a list. Any
    other mapping is one row. What is not a mapping stands in a column ``value``.
    """
    records = [_record(each) for each in _records(value)]
    header = list(dict.fromkeys(key for record in records for key in record))
    return header, [[record.get(key) for key in header] for record in records]


def _records(value: Any) -> list[Any]:
    if isinstance(value, dict) and len(value) == 1:
        (only,) = value.values()
        if isinstance(only, dict) or _is_list_of_mappings(only):
            value = only
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _is_list_of_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _record(value: Any) -> dict[str, Cell]:
    if isinstance(value, dict):
        return {str(key): _cell(each) for key, each in value.items()}
    return {"value": _cell(value)}


def _cell(value: Any) -> Cell:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value
