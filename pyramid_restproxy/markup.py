"""XML 1.0: the characters that it carries, and plain values as its elements.

There is no schema: a mapping's entries are elements of that name, None is
``nil="true"``. Which document the elements are in is decided elsewhere. Imports
nothing of ours.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["DECLARATION", "REPLACEMENT", "carriable", "element"]

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

#: Stands for what cannot be written (Unicode: REPLACEMENT CHARACTER).
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# The complement of XML 1.0 section 2.2, production Char: control characters, lone
# surrogates (which UTF-8 has not either), U+FFFE and U+FFFF.
_NOT_CARRIABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

# NCName (Namespaces in XML 1.0 section 3), of which only ASCII and Latin-1: beyond
# them parsers disagree, by the edition of XML they know. Names that begin with xml
# are reserved (XML 1.0 section 2.3).
_NAME = re.compile(r"(?!xml)[a-z_À-ÖØ-öø-ÿ][a-z0-9_.·À-ÖØ-öø-ÿ-]*", re.IGNORECASE)

# A parser would read a bare CR as LF (XML 1.0 section 2.11), and white space in an
# attribute as a space (section 3.3.3).
_IN_TEXT = {"\r": "&#13;"}
_IN_ATTRIBUTE = _IN_TEXT | {"\n": "&#10;", "\t": "&#9;", '"': "&quot;"}


def carriable(text: str) -> str:
    """Return `text` with U+FFFD for each character that XML 1.0 cannot carry."""
    return _NOT_CARRIABLE.sub(REPLACEMENT, text)


def element(name: str, value: Any, item: str, attributes: str = "") -> Iterator[str]:
    """Write a plain value as an element.

    :param name: of the element.
    :param value: None, a scalar, a list or a dict of such. An entry whose key is no
        name is an element ``<entry name="key">``.
    :param item: the name of the elements that a list is made of.
    :param attributes: of the element, as they are written.
    :returns: the pieces of the text.
    """
    if value is None:
        yield f'<{name}{attributes} nil="true"/>'
        return
    yield f"<{name}{attributes}>"
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _entry(_text(key), each, item)
    elif isinstance(value, list):
        for each in value:
            yield from element(item, each, item)
    else:
        yield escape(carriable(_text(value)), _IN_TEXT)
    yield f"</{name}>"


def _entry(key: str, value: Any, item: str) -> Iterator[str]:
    if _NAME.fullmatch(key):
        return element(key, value, item)
    name = escape(carriable(key), _IN_ATTRIBUTE)
    return element("entry", value, item, f' name="{name}"')


def _text(value: Any) -> str:
    """Return a scalar in the lexical form of XML Schema part 2."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isinf(value):
        return "INF" if value > 0 else "-INF"
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    return str(value)
