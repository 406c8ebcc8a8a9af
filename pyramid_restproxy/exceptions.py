"""The errors of pyramid_restproxy. This module imports nothing of ours.

A refusal is a Pyramid HTTP exception, so that ``add_exception_view`` and
``add_notfound_view`` see it as they see any other; it also is a
:class:`RestProxyError`, so that one ``except`` catches what we raise::

    RestProxyError
      RequestRefused                  the client's request cannot be served
        MalformedRequest       400    (HTTPBadRequest)
          OverrideRejected     400
        MethodNotAllowed       405    (HTTPMethodNotAllowed)
        NotAcceptable          406    (HTTPNotAcceptable)
        UnsupportedMediaType   415    (HTTPUnsupportedMediaType)
    ConfigurationError                Pyramid's own
      MissingExtra                    an optional dependency is not installed

``forwarding`` adds its own branch. What none of them does: render a body,
that is ``pyramid_restproxy.problems``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import (
    HTTPBadRequest,
    HTTPMethodNotAllowed,
    HTTPNotAcceptable,
    HTTPUnsupportedMediaType,
)

__all__ = [
    "MalformedRequest",
    "MethodNotAllowed",
    "MissingExtra",
    "NotAcceptable",
    "OverrideRejected",
    "RequestRefused",
    "RestProxyError",
    "UnsupportedMediaType",
    "needs",
]


def _remade(kind: type[Exception], args: tuple[Any, ...]) -> Exception:
    """Make an exception as it was, without its ``__init__``."""
    made: Exception = kind.__new__(kind)
    made.args = args
    return made


class Portable(Exception):
    """An exception that can be copied, and sent to another process.

    Python makes an exception again by calling its class with ``args``, the text; most
    of ours are made of other things, and a process pool would hang.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args), self.__dict__


class RestProxyError(Portable):
    """Base of everything that pyramid_restproxy raises at run time."""


class RequestRefused(RestProxyError):
    """A request that cannot be served as it was sent.

    :ivar problem_members: extension members for the problem document
        (RFC 9457 section 3.2), JSON-able values only.
    :ivar reason: one word for the log, where the answer does not say why.
    """

    problem_members: Mapping[str, Any] = {}
    reason: str = ""


class MalformedRequest(RequestRefused, HTTPBadRequest):
    """The request cannot be understood (RFC 9110 section 15.5.1)."""


class OverrideRejected(MalformedRequest):
    """A method override was asked for in a way that is not allowed.

    Raised only with ``restproxy.override.on_invalid = reject``.

    :ivar reason: one word for logs and tests: ``target``, ``ambiguous``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


class MethodNotAllowed(RequestRefused, HTTPMethodNotAllowed):
    """The resource exists and does not support the method (RFC 9110 section 15.5.6).

    :ivar allowed: the methods that it does support, in the order of ``Allow``.
    """

    def __init__(self, allowed: Sequence[str]) -> None:
        self.allowed = tuple(allowed)
        self.problem_members = {"allow": list(self.allowed)}
        listed = ", ".join(self.allowed)
        HTTPMethodNotAllowed.__init__(
            self,
            "This resource does not support the method of the request. "
            f"It supports {listed}.",
            headers=[("Allow", listed)],
        )


class NotAcceptable(RequestRefused, HTTPNotAcceptable):
    """No representation fits the request (RFC 9110 section 15.5.7).

    :ivar available: what there is, as dictionaries with ``type`` (media type)
        and, where the representation has a URL of its own, ``href``.
    :ivar by_accept: whether Accept decided it, and the answer says so in Vary
        (RFC 9110 section 12.5.5); not, where the extension of the path did.
    """

    def __init__(
        self, available: Sequence[Mapping[str, str]], *, by_accept: bool = True
    ) -> None:
        self.available = tuple(available)
        self.by_accept = by_accept
        self.problem_members = {"available": [dict(a) for a in self.available]}
        types = ", ".join(a["type"] for a in self.available)
        HTTPNotAcceptable.__init__(
            self,
            f"None of the asked representations exists. Available: {types}.",
            headers=[("Vary", "Accept")] if by_accept else None,
        )


class UnsupportedMediaType(RequestRefused, HTTPUnsupportedMediaType):
    """The body has a media type that is not taken (RFC 9110 section 15.5.16).

    :ivar accepted: the media types that it does take.
    """

    def __init__(self, method: str, accepted: Sequence[str]) -> None:
        self.accepted = tuple(accepted)
        self.problem_members = {"accept": list(self.accepted)}
        listed = ", ".join(self.accepted)
        # RFC 5789 section 2.2: a refused patch document is answered with Accept-Patch.
        field = "Accept-Patch" if method == "PATCH" else "Accept"
        HTTPUnsupportedMediaType.__init__(
            self,
            f"The resource does not take a body of this media type. It takes {listed}.",
            headers=[(field, listed)],
        )


class MissingExtra(Portable, ConfigurationError):
    """A part that was asked for needs a package that is not installed.

    :ivar extra: the extra to install, as in ``pyramid_restproxy[extra]``.
    :ivar wanted_by: what asked for it.
    """

    def __init__(self, extra: str, package: str, wanted_by: str) -> None:
        self.extra = extra
        self.package = package
        self.wanted_by = wanted_by
        super().__init__(
            f"{wanted_by} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install 'pyramid_restproxy[{extra}]'"
        )


@contextmanager
def needs(extra: str, package: str, wanted_by: str) -> Iterator[None]:
    """Name the extra to install where an import in the block fails.

    :param extra: as in ``pyramid_restproxy[extra]``.
    :param package: what it installs.
    :param wanted_by: who needs it, the beginning of the error's sentence.
    :raises MissingExtra: where it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtra(extra, package, wanted_by) from error
