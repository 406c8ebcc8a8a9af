"""MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md)."""

from __future__ import annotations

from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.renderers.base import RendererFactory
from pyramid_restproxy.renderers.plain import REPLACING, Plain

__all__ = ["REPRESENTATION", "MessagePackFactory"]

REPRESENTATION = Representation(
    "msgpack",
    "application/msgpack",
    (".msgpack",),
    ("application/vnd.msgpack", "application/x-msgpack"),
    "msgpack",
)


class MessagePackFactory(RendererFactory):
    """Renderer factory ``msgpack``."""

    representation = REPRESENTATION
    module = package = extra = "msgpack"

    def encode(
        self, value: Any, request: Request | None, registry: Registry | None
    ) -> bytes:
        """Write a value; bytes stay bytes, integers have at most 64 bits."""
        import msgpack

        plain = Plain(registry, request, native=(bytes,))

        def default(obj: Any) -> Any:
            if type(obj) is int:
                raise ValueError(f"MessagePack has no integers over 64 bits: {obj}")
            return plain.default(obj)

        return msgpack.packb(
            value, use_bin_type=True, default=default, unicode_errors=REPLACING
        )
