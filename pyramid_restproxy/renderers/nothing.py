"""The answer without a body: 204 No Content (RFC 9110 section 15.3.5)."""

from __future__ import annotations

from typing import Any

from pyramid.interfaces import IRendererInfo

from pyramid_restproxy.renderers.base import Renderer

__all__ = ["NoContentFactory"]


class NoContentFactory:
    """Renderer factory ``no_content``."""

    def __call__(self, info: IRendererInfo) -> Renderer:
        """Make the renderer of one view."""
        return _no_content

    def require(self, wanted_by: str) -> None:
        """Do nothing: there is no library to miss."""


def _no_content(value: Any, system: Any) -> Any:
    if value is not None:
        raise TypeError(
            "renderer 'no_content' answers views that return None, and this one "
            f"returned {type(value).__qualname__}: give it another renderer"
        )
    request = system.get("request")
    if request is not None:
        request.response.status = 204
        request.response.headers.pop("Content-Type", None)
    return ()  # no bytes, not b"": a 204 has no Content-Length, RFC 9110 section 8.6
