"""Turn any value into plain data, the same way for every format.

Plain data are None, bool, int, float, str, list and dict, and the types that a format
says it writes itself. An object says what it is by ``__json__(request)`` or by an
adapter of the application's ``json`` renderer; the rest has a built-in form.
"""

from __future__ import annotations

import base64
import codecs
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pyramid.interfaces import IJSONAdapter, IRendererFactory
from pyramid.registry import Registry
from pyramid.renderers import JSON
from pyramid.request import Request
from zope.interface import providedBy

from pyramid_restproxy.markup import REPLACEMENT

__all__ = ["MAX_DEPTH", "REPLACING", "Plain", "encodable", "json_renderer"]

#: How deep lists, mappings and converted objects may lie in each other.
MAX_DEPTH = 100

TOO_DEEP = (
    f"the value is nested more than {MAX_DEPTH} levels deep: "
    "does it contain itself, or does a __json__ method return its own object?"
)

_SCALARS = frozenset({type(None), bool, int, float, str})


def _in_order(values: Iterable[Any]) -> list[Any]:
    """Return a set as a list, sorted so that the same set is always the same text."""
    try:
        return sorted(values)
    except TypeError:
        return list(values)


# The first type that fits decides. An enum may be a str or an int, a datetime is a
# date, a subclass of str (Markup) becomes the str that every library can write.
_FORMS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (Enum, lambda member: member.value),
    (date, lambda moment: moment.isoformat()),
    (time, lambda moment: moment.isoformat()),
    (Decimal, str),
    (UUID, str),
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (Mapping, dict),
    ((set, frozenset), _in_order),
    (Iterable, list),
)


def json_renderer(registry: Registry | None) -> Any:
    """Return the renderer factory that the application registered as ``json``."""
    if registry is None:
        return None
    return registry.queryUtility(IRendererFactory, name="json")


def _replace(error: UnicodeEncodeError) -> tuple[bytes, int]:
    octets = REPLACEMENT.encode("utf-8")  # from a handler, UTF-8 takes no other text
    return octets * (error.end - error.start), error.end


#: The error handler of codecs that writes U+FFFD for lone surrogates.
REPLACING = "pyramid_restproxy.replacing"
codecs.register_error(REPLACING, _replace)  # type: ignore[arg-type]


def encodable(plain: Any) -> Any:
    """Return plain data with U+FFFD for each lone surrogate, which UTF-8 has not."""
    if isinstance(plain, dict):
        return {encodable(key): encodable(each) for key, each in plain.items()}
    if isinstance(plain, list):
        return [encodable(each) for each in plain]
    if isinstance(plain, str):
        return plain.encode("utf-8", REPLACING).decode("utf-8")
    return plain


class Plain:
    """Converts the values of one rendering.

    :param registry: where the application's ``json`` renderer is found, if anywhere.
    :param request: given to ``__json__`` methods and adapters.
    :param native: types that the format writes itself, left as they are.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        request: Request | None = None,
        native: tuple[type, ...] = (),
    ) -> None:
        renderer = json_renderer(registry)
        self._adapters = (
            renderer.components.adapters if isinstance(renderer, JSON) else None
        )
        self._request = request
        self._native = native

    def default(self, value: Any) -> Any:
        """Convert one object by one step; what is in it may need another.

        For encoders that call back for what they do not know.

        :raises TypeError: for an object that has no plain form.
        """
        if hasattr(value, "__json__"):
            return value.__json__(self._request)
        adapter = self._adapter(value)
        if adapter is not None:
            return adapter(value, self._request)
        return self._built_in(value)

    def plain(self, value: Any) -> Any:
        """Convert a value and everything in it.

        :raises TypeError: for an object that has no plain form.
        :raises ValueError: where it is nested more than :data:`MAX_DEPTH` levels.
        """
        return self._walk(value, MAX_DEPTH)

    def _walk(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in _SCALARS or kind in self._native:
            return value
        if not depth:
            raise ValueError(TOO_DEEP)
        if kind is dict:
            return {
                self._key(key, depth): self._walk(each, depth - 1)
                for key, each in value.items()
            }
        if kind is list or kind is tuple:
            return [self._walk(each, depth - 1) for each in value]
        return self._walk(self.default(value), depth - 1)

    def _key(self, key: Any, depth: int) -> Any:
        found = self._walk(key, depth - 1)
        if isinstance(found, (list, dict)):
            raise TypeError(f"{key!r} cannot be a key: it must be text or a number")
        return found

    def _adapter(self, value: Any) -> Any:
        if self._adapters is None:
            return None
        return self._adapters.lookup((providedBy(value),), IJSONAdapter)

    def _built_in(self, value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            return self._octets(bytes(value))
        if is_dataclass(value) and not isinstance(value, type):
            return {each.name: getattr(value, each.name) for each in fields(value)}
        for kind, form in _FORMS:
            if isinstance(value, kind) and not isinstance(value, type):
                return form(value)
        raise TypeError(
            f"objects of type {type(value).__qualname__!r} have no plain form: give "
            "the class a __json__(request) method, or call add_adapter on the JSON "
            "renderer that the application registers under the name 'json'"
        )

    def _octets(self, octets: bytes) -> Any:
        return octets if bytes in self._native else base64.b64encode(octets).decode()
