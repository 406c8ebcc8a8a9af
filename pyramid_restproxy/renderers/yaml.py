"""YAML (RFC 9512), without tags, anchors or aliases."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.renderers.base import RendererFactory
from pyramid_restproxy.renderers.plain import Plain, encodable

__all__ = ["REPRESENTATION", "YamlFactory"]

REPRESENTATION = Representation(
    "yaml",
    "application/yaml",
    (".yaml", ".yml"),
    ("application/x-yaml", "text/yaml"),
    "yaml",
)

# The numbers of YAML 1.2.2 section 10.3.2. PyYAML knows those of YAML 1.1 only.
_INTEGER = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")


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
            encodable(Plain(registry, request).plain(value)),
            # The one in C is many times faster; PyYAML may be built without it.
            Dumper=_quoting(getattr(yaml, "CSafeDumper", yaml.SafeDumper)),
            encoding="utf-8",
            allow_unicode=True,
            sort_keys=False,
        )


@cache
def _quoting(base: Any) -> Any:
    """Make a dumper that quotes texts that are numbers in YAML 1.1 or 1.2."""
    dumper: Any = type("QuotingDumper", (base,), {})
    for tag, pattern in (("int", _INTEGER), ("float", _FLOAT)):
        dumper.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}", pattern, list("-+.0123456789")
        )
    return dumper
