"""JSON (RFC 8259), as the application's own ``json`` renderer writes it.

Its serializer, its adapters and its options are used; what is added are the built-in
forms of ``plain``, so that dates and decimals need no adapter.
"""

from __future__ import annotations

from typing import Any

from pyramid.interfaces import IRendererInfo
from pyramid.registry import Registry
from pyramid.renderers import JSON
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.renderers.base import Renderer, RendererFactory
from pyramid_restproxy.renderers.plain import TOO_DEEP, Plain, json_renderer

__all__ = ["REPRESENTATION", "JsonFactory"]

REPRESENTATION = Representation(
    "json", "application/json", (".json",), renderer="rest_json"
)

_STANDARD = JSON()


class JsonFactory(RendererFactory):
    """Renderer factory ``rest_json``."""

    representation = REPRESENTATION

    def __call__(self, info: IRendererInfo) -> Renderer:
        """Make the renderer of one view: ours, or that of the application."""
        factory = json_renderer(info.registry)
        if factory is None or isinstance(factory, JSON):
            return super().__call__(info)
        renderer = factory(info)
        return lambda value, system: _as_bytes(renderer(value, system))

    def encode(
        self, value: Any, request: Request | None, registry: Registry | None
    ) -> bytes:
        """Write a value by the serializer of the application's ``json`` renderer."""
        json = json_renderer(registry) or _STANDARD
        plain: Plain | None = None

        def default(unknown: Any) -> Any:
            nonlocal plain
            if plain is None:  # most values have nothing that needs it
                plain = Plain(registry, request)
            return plain.default(unknown)

        try:
            return _as_bytes(json.serializer(value, default=default, **json.kw))
        except RecursionError:
            raise ValueError(TOO_DEEP) from None


def _as_bytes(document: str | bytes) -> bytes:
    # RFC 8259 section 8.1: UTF-8, and no charset parameter says so.
    return document.encode("utf-8") if isinstance(document, str) else document
