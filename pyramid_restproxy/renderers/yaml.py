"""YAML (RFC 9512), without tags, anchors or aliases."""

from __future__ import annotations

from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.renderers.base import RendererFactory
from pyramid_restproxy.renderers.plain import Plain

__all__ = ["REPRESENTATION", "YamlFactory"]

REPRESENTATION = Representation(
    "yaml",
    "application/yaml",
    (".yaml", ".yml"),
    ("application/x-yaml", "text/yaml"),
    "yaml",
)


class YamlFactory(RendererFactory):
    """Renderer factory ``yaml``."""

    representation = REPRESENTATION
    module = "yaml"
    package = "PyYAML"
    extra = "yaml"

    def encode(
        self, value: Any, request: Request | None, registry: Registry | None
    ) -> bytes:
        """Write a value as one YAML document in UTF-8."""
        import yaml

        return yaml.dump(
            Plain(registry, request).plain(value),
            # The one in C is many times faster; PyYAML may be built without it.
            Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper),
            encoding="utf-8",
            allow_unicode=True,
            sort_keys=False,
        )
