"""XML 1.0: a plain value as elements, readable by any parser.

There is no schema and no namespace: a mapping's entries are elements of that name, a
list's are ``<item>``, and None is ``nil="true"``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.renderers.base import RendererFactory
from pyramid_restproxy.renderers.plain import Plain
from pyramid_restproxy.renderers.text import carriable

__all__ = ["REPRESENTATION", "XmlFactory", "to_xml"]

REPRESENTATION = Representation(
    "xml", "application/xml", (".xml",), ("text/xml",), "xml", "UTF-8"
)

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

# NCName (Namespaces in XML 1.0 section 3), of which only ASCII and Latin-1: beyond
# them parsers disagree, by the edition of XML they know. Names that begin with xml
# are reserved (XML 1.0 section 2.3).
_NAME = re.compile(r"(?!xml)[a-z_À-ÖØ-öø-ÿ][a-z0-9_.·À-ÖØ-öø-ÿ-]*", re.IGNORECASE)

# A parser would read a bare CR as LF (XML 1.0 section 2.11), and white space in an
# attribute as a space (section 3.3.3).
_IN_TEXT = {"\r": "&#13;"}
_IN_ATTRIBUTE = _IN_TEXT | {"\n": "&#10;", "\t": "&#9;", '"': "&quot;"}


class XmlFactory(RendererFactory):
    """Renderer factory ``xml``."""

    representation = REPRESENTATION

    def encode(
        self, value: Any, request: Request | None, registry: Registry | None
    ) -> bytes:
        """Write a value under the root element ``<response>``."""
        return to_xml(Plain(registry, request).plain(value))


def to_xml(value: Any) -> bytes:
    """Write plain data as an XML document in UTF-8."""
    return "".join((_DECLARATION, *_element("response", value))).encode("utf-8")


def _element(name: str, value: Any, attributes: str = "") -> Iterator[str]:
    if value is None:
        yield f'<{name}{attributes} nil="true"/>'
        return
    yield f"<{name}{attributes}>"
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _entry(_text(key), each)
    elif isinstance(value, list):
        for each in value:
            yield from _element("item", each)
    else:
        yield escape(carriable(_text(value)), _IN_TEXT)
    yield f"</{name}>"


def _entry(key: str, value: Any) -> Iterator[str]:
    if _NAME.fullmatch(key):
        return _element(key, value)
    return _element("entry", value, f' name="{escape(carriable(key), _IN_ATTRIBUTE)}"')


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
