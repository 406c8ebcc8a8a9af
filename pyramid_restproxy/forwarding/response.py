"""`ProxyResponse`: a Pyramid response that sends its header list exactly as given."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pyramid.response import Response
from webob.response import iter_close

from pyramid_restproxy.forwarding.fields import Fields

__all__ = ["ProxyResponse"]


class ProxyResponse(Response):
    """A response whose head came from elsewhere.

    WebOb invents a Content-Type, makes Location absolute and mangles ``//host`` in
    it; here nothing is invented. Tweens and callbacks can use it as any response.

    :param status: the status line without version, e.g. ``'200 OK'``.
    :param headers: the fields, in order; the list is used, not copied.
    :param app_iter: the content.
    """

    def __init__(self, status: str, headers: Fields, app_iter: Iterable[bytes]) -> None:
        # What Response.__init__ would set, without its guesses.
        self._status = status
        self._headerlist = headers
        self._headers = None
        self._app_iter = app_iter

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Send it (PEP 3333). A HEAD answer has no content to begin with."""
        start_response(self._status, self._headerlist)
        return self._app_iter

    def copy(self) -> ProxyResponse:
        """Return a copy; the content is read, and both have it."""
        pieces = list(self._app_iter)
        iter_close(self._app_iter)
        self._app_iter = pieces
        return type(self)(self._status, list(self._headerlist), list(pieces))
