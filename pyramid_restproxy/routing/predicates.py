"""View and route predicates: methods, path extension, type of the body, switches.

Every predicate only looks. ``allowed_methods(...)`` and ``extension(...)`` make
the same checks as callables for code that still uses ``custom_predicates=``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from pyramid_restproxy.casts import several
from pyramid_restproxy.grammar import media_type_of
from pyramid_restproxy.routing.methods import method_tokens

__all__ = [
    "AllowedMethods",
    "Extension",
    "RequestContentTypes",
    "allowed_methods",
    "extension",
    "split_options",
]

_EXTENSION = re.compile(r"\.[^./;?#\s]+")
_MEDIA_TYPE = re.compile(r"[!#$&^_.+\-0-9A-Za-z]+/[!#$&^_.+\-0-9A-Za-z]+")


class AllowedMethods:
    """Match the effective method of the request; GET implies HEAD.

    :param value: a method or a tuple of methods.
    :raises ConfigurationError: where a value is not a method.
    """

    def __init__(self, value: Any, config: Configurator | None = None) -> None:
        self.methods = method_tokens(value)
        self._text = f"allowed_methods = {','.join(self.methods)}"

    def text(self) -> str:
        """Describe the predicate, the same for any order of the same methods.

        In ``not_()`` Pyramid asks for it with each request.
        """
        return self._text

    phash = text

    def __call__(self, context: Any, request: Request) -> bool:
        return request.environ["REQUEST_METHOD"] in self.methods


class Extension:
    """Match the extension that was cut off the path, ``request.path_extension``.

    :param value: an extension with its dot, or a tuple of them; the empty string
        stands for a path without one.
    :raises ConfigurationError: where a value is not an extension.
    """

    def __init__(self, value: Any, config: Configurator | None = None) -> None:
        found = several(value)
        if not found:
            raise ConfigurationError(
                f"extension={value!r}: expected '.json' or a tuple"
            )
        for item in found:
            if not isinstance(item, str) or (item and not _EXTENSION.fullmatch(item)):
                raise ConfigurationError(
                    f"extension={value!r}: {item!r} is not an extension like '.json'"
                )
        self.extensions = tuple(sorted(set(found)))

    def text(self) -> str:
        """Describe the predicate, the same for any order of the same extensions."""
        return f"extension = {','.join(self.extensions)}"

    phash = text

    def __call__(self, context: Any, request: Request) -> bool:
        return (getattr(request, "path_extension", None) or "") in self.extensions


def has_body(environ: Mapping[str, Any]) -> bool:
    """Say whether a request carries content (RFC 9110 section 6.4)."""
    length: str = environ.get("CONTENT_LENGTH") or ""
    # "00" is no content as well (RFC 9110 section 8.6: any number of digits)
    return length.strip("0") != "" or "HTTP_TRANSFER_ENCODING" in environ


class RequestContentTypes:
    """Match the media type of the request's body; no body always matches.

    Parameters and case do not count (RFC 9110 section 8.3.1). Where it does not
    match, and nothing else on the route does, the client gets 415. In ``not_()`` it
    matches a body of any other type, and only that: a request without one does not.

    :param value: a media type or a tuple of them.
    :raises ConfigurationError: where a value is not a media type.
    """

    def __init__(self, value: Any, config: Configurator | None = None) -> None:
        found = several(value)
        if not found:
            raise ConfigurationError(
                f"request_content_types={value!r}: expected a media type or a tuple"
            )
        for item in found:
            if not isinstance(item, str) or not _MEDIA_TYPE.fullmatch(item):
                raise ConfigurationError(
                    f"request_content_types={value!r}: {item!r} is not a media type"
                )
        self.media_types = tuple(dict.fromkeys(item.lower() for item in found))

    def text(self) -> str:
        """Describe the predicate, the same for any order of the same types."""
        return f"request_content_types = {','.join(sorted(self.media_types))}"

    phash = text

    def __call__(self, context: Any, request: Request) -> bool:
        environ = request.environ
        if not has_body(environ):
            return True
        return media_type_of(environ.get("CONTENT_TYPE")) in self.media_types


class RouteSwitch:
    """A route option that is read at start-up; as a predicate it always matches.

    :param value: True or False.
    """

    name = ""

    def __init__(self, value: Any, config: Configurator | None = None) -> None:
        if not isinstance(value, bool):
            raise ConfigurationError(f"{self.name}={value!r}: expected True or False")
        self.value = value

    def text(self) -> str:
        """Describe the switch."""
        return f"{self.name} = {self.value}"

    phash = text

    def __call__(self, context: Any, request: Request) -> bool:
        return True


class ExtensionsSwitch(RouteSwitch):
    """``extensions=False``: no extension is cut off this route's paths."""

    name = "extensions"


class AcceptSwitch(RouteSwitch):
    """``accept_negotiation=False``: Accept is not read, so nothing varies by it."""

    name = "accept_negotiation"


class OverrideSwitch(RouteSwitch):
    """``method_override=False``: this route sees the method of the request line."""

    name = "method_override"


SWITCHES = (ExtensionsSwitch, AcceptSwitch, OverrideSwitch)

#: What a directive that adds routes and their views gives to the routes. What Pyramid
#: knows of both is said of the route: where it does not fit, another route may.
ROUTE_OPTIONS = frozenset(
    {"accept", "custom_predicates", "effective_principals", "extension", "factory"}
    | {"header", "inherit_slash", "is_authenticated", "path_info", "pregenerator"}
    | {"request_method", "request_param", "traverse", "use_global_views", "xhr"}
    | {switch.name for switch in SWITCHES}
)


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split the options of a directive that adds routes and their views.

    :returns: those of the routes (:data:`ROUTE_OPTIONS`), those of the views.
    """
    route = {name: options[name] for name in options if name in ROUTE_OPTIONS}
    view = {name: options[name] for name in options if name not in ROUTE_OPTIONS}
    return route, view


def allowed_methods(*methods: str) -> AllowedMethods:
    """Make a predicate for ``custom_predicates=``, of a view or of a route.

    :param methods: methods, in any case; GET implies HEAD.
    """
    return AllowedMethods(methods)


def extension(*extensions: str) -> Extension:
    """Make a predicate for ``custom_predicates=``, of a view or of a route.

    :param extensions: extensions, each with its dot.
    """
    return Extension(extensions)
