"""What every renderer factory of ours is: a format, its library, its content type.

A factory is registered with ``config.add_renderer``; a view's renderer is what it
makes. How a value becomes bytes is the business of one module a format.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from pyramid.interfaces import IRendererInfo
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.interfaces import Representation

__all__ = ["Renderer", "RendererFactory", "set_content_type"]

#: A Pyramid renderer of ours: ``renderer(value, system)`` always returns bytes.
Renderer = Callable[[Any, Any], bytes]


class RendererFactory:
    """Base of the renderer factories. Instances hold no state and are thread-safe.

    :cvar representation: the format's row, where its content type comes from.
    :cvar module: the library to import, imported only when it is wanted; empty
        where the standard library is enough.
    :cvar package: the name under which the library is installed.
    :cvar extra: the extra of this package that installs it.
    """

    representation: Representation
    module = ""
    package = ""
    extra = ""

    def __call__(self, info: IRendererInfo) -> Renderer:
        """Make the renderer of one view.

        :raises MissingExtra: where the library is not installed.
        """
        self.require(f"renderer {info.name!r}")
        content_type = self.representation.content_type(self.representation.media_type)
        registry = info.registry

        def render(value: Any, system: Any) -> bytes:
            request = system.get("request")
            if request is not None:
                set_content_type(request.response, content_type)
            return self.encode(value, request, registry)

        return render

    def require(self, wanted_by: str) -> None:
        """Check that the library of this format can be imported.

        :param wanted_by: who needs it, the beginning of the error's sentence.
        :raises MissingExtra: where it cannot.
        """
        if self.module:
            with needs(self.extra, self.package, wanted_by):
                importlib.import_module(self.module)

    def encode(
        self, value: Any, request: Request | None, registry: Registry | None
    ) -> bytes:
        """Write a value in this format.

        :param request: given to ``__json__`` methods and JSON adapters.
        :param registry: where the application's JSON adapters are found.
        :raises TypeError: for a value that this format cannot write.
        :raises ValueError: for one that is too deep, too large or too long.
        """
        raise NotImplementedError


def set_content_type(response: Response, content_type: str) -> None:
    """Set Content-Type, unless the view has set one other than the default.

    :param content_type: the whole value, parameters included.
    """
    # The list itself: WebOb's views of it cost as much as a small rendering.
    headers = response.headerlist
    for place, (name, value) in enumerate(headers):
        if name.lower() == "content-type":
            if value.startswith(response.default_content_type):
                headers[place] = (name, content_type)
            return
    headers.append(("Content-Type", content_type))
