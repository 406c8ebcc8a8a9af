"""Reading the fields that caches understand: Cache-Control, dates, numbers. Pure.

What cannot be read never makes an answer look fresher than it is, and nothing here
raises: fields come from others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from types import MappingProxyType

from pyramid_restproxy.forwarding.fields import Fields
from pyramid_restproxy.remembered import remembered

__all__ = [
    "FOREVER",
    "Directives",
    "cache_control",
    "has",
    "is_name",
    "lines",
    "number",
    "parse_date",
    "request_directives",
    "seconds",
    "single",
]

#: Cache-Control as names in lower case to arguments, None for none.
Directives = Mapping[str, str | None]

#: The greatest number of seconds; more is taken for this (RFC 9111 section 1.2.2).
FOREVER = 2**31

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NUMBER = re.compile(r"[0-9]+")


def is_name(text: str) -> bool:
    """Say whether a text is a token, as names are (RFC 9110 section 5.6.2)."""
    return _NAME.fullmatch(text) is not None


def lines(fields: Iterable[tuple[str, str]], name: str) -> list[str]:
    """Return the values of a field (name in lower case), line by line."""
    return [value for each, value in fields if each.lower() == name]


def has(fields: Iterable[tuple[str, str]], names: frozenset[str]) -> bool:
    """Say whether there is a field of one of these names (lower case)."""
    return any(name.lower() in names for name, _ in fields)


def single(fields: Fields, name: str) -> str | None:
    """Return the value of a field that has one line; None for none or several."""
    found = set(lines(fields, name))
    return found.pop().strip() if len(found) == 1 else None


def cache_control(fields: Fields) -> Directives:
    """Read Cache-Control (section 5.2). Never raises.

    :returns: the directives. One that is given twice with two arguments has the
        argument ``''``, which stands for no seconds at all (section 4.2.1).
    """
    found = lines(fields, "cache-control")
    return _directives(found[0] if len(found) == 1 else ", ".join(found))


def request_directives(fields: Fields) -> Directives:
    """Read what a client asks of the cache; Pragma counts alone only (section 5.4)."""
    if not lines(fields, "cache-control") and "no-cache" in _directives(
        ", ".join(lines(fields, "pragma"))
    ):
        return MappingProxyType({"no-cache": None})
    return cache_control(fields)


@remembered(256)
def _directives(value: str) -> Directives:
    found: dict[str, str | None] = {}
    for element in _elements(value):
        name, equals, argument = element.partition("=")
        name = name.strip().lower()
        if not is_name(name):
            continue
        read = _unquoted(argument.strip()) if equals else None
        found[name] = read if found.get(name, read) == read else ""
    return MappingProxyType(found)


def _elements(value: str) -> Iterator[str]:
    """Split a list at its commas, but not at those between quotes.

    A quote that is not closed hides nothing: a ``no-store`` after it counts.
    """
    begin = position = 0
    while position < len(value):
        if value[position] == ",":
            yield value[begin:position]
            begin = position + 1
        elif value[position] == '"':
            end = _closing(value, position + 1)
            if end < 0:
                yield from value[begin:].split(",")
                return
            position = end
        position += 1
    yield value[begin:]


def _closing(value: str, position: int) -> int:
    """Find the quote that closes a quoted string; -1 where there is none."""
    while position < len(value) and value[position] != '"':
        position += 2 if value[position] == "\\" else 1
    return position if position < len(value) else -1


def _unquoted(argument: str) -> str:
    if len(argument) > 1 and argument[0] == argument[-1] == '"':
        return argument[1:-1]
    return argument


def seconds(argument: str | None) -> int:
    """Read delta-seconds (section 1.2.2); what is not a number is 0, that is stale."""
    return min(number(argument) or 0, FOREVER)


def number(value: str | None) -> int | None:
    """Read digits; None where there is anything else. Very long ones are just large."""
    if value is None or not _NUMBER.fullmatch(value):
        return None
    return int(value.lstrip("0")[:20] or "0")


_MONTHS = {
    name: number
    for number, name in enumerate(
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1
    )
}
_MONTH = r"(?P<m>[A-Z][a-z]{2})"
_TIME = r"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)"
_DATES = [
    re.compile(form, re.ASCII)
    for form in (
        rf"[A-Z][a-z]{{2}}, (?P<d>\d\d) {_MONTH} (?P<y>\d{{4}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{5,8}}, (?P<d>\d\d)-{_MONTH}-(?P<y>\d\d) {_TIME} GMT",
        rf"[A-Z][a-z]{{2}} {_MONTH} (?P<d>[ \d]\d) {_TIME} (?P<y>\d{{4}})",
    )
]


@remembered(256)
def parse_date(value: str | None) -> float | None:
    """Read an HTTP-date in any of its three forms (RFC 9110 section 5.6.7).

    :returns: seconds since the epoch; None where it is not a date. A year of two
        digits is one of 1970 to 2069.
    """
    for form in _DATES:
        match = form.fullmatch(value or "")
        if match:
            return _timestamp(match.groupdict())
    return None


def _timestamp(parts: Mapping[str, str]) -> float | None:
    year = int(parts["y"])
    if len(parts["y"]) == 2:
        year += 2000 if year < 70 else 1900
    try:
        found = datetime(
            year,
            _MONTHS[parts["m"]],
            int(parts["d"]),
            int(parts["H"]),
            int(parts["M"]),
            min(int(parts["S"]), 59),  # a leap second
            tzinfo=timezone.utc,
        )
    except (ValueError, KeyError):
        return None
    return found.timestamp()
