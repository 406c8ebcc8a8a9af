"""XML 1.0: a plain value as elements, readable by any parser.

There is no schema and no namespace: a mapping's entries are elements of that name, a
list's are ``<item>``, and None is ``nil="true"``.
"""

from __future__ import annotations

from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.markup import DECLARATION, element
from pyramid_restproxy.renderers.base import RendererFactory
from pyramid_restproxy.renderers.plain import Plain

__all__ = ["REPRESENTATION", "XmlFactory", "to_xml"]

REPRESENTATION = Representation(
    "xml", "application/xml", (".xml",), ("text/xml",), "xml", "UTF-8"
)


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
    return "".join((DECLARATION, *element("response", value, "item"))).encode("utf-8")
