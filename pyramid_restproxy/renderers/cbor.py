"""CBOR (RFC 8949), without tags: dates are text, as in the other formats."""

from __future__ import annotations

from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.renderers.base import RendererFactory
from pyramid_restproxy.renderers.plain import Plain, encodable

__all__ = ["REPRESENTATION", "CborFactory"]

REPRESENTATION = Representation("cbor", "application/cbor", (".cbor",), renderer="cbor")


class CborFactory(RendererFactory):
    """Renderer factory ``cbor``."""

    representation = REPRESENTATION
    module = package = "cbor2"
    extra = "cbor"

    def encode(
        self, value: Any, request: Request | None, registry: Registry | None
    ) -> bytes:
        """Write a value; bytes stay bytes."""
        import cbor2

        plain = Plain(registry, request, native=(bytes,)).plain(value)
        try:
            return cbor2.dumps(plain)
        except UnicodeEncodeError:  # seldom: most texts need not be looked through
            return cbor2.dumps(encodable(plain))
