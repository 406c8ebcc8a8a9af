"""Errors become responses: RFC 9457 problem documents, an HTML page, the envelope.

One tween around Pyramid's exception views. The application's own exception views
come first; what is left is either an HTTP exception without a body, which gets
one here in the format the client can read, or an exception nobody handled,
which becomes a 500 that tells nothing (the traceback goes to the log).

An error never becomes 406: a client that accepts no error format gets JSON.
What lives elsewhere: which error it is (``exceptions``, and whoever raises).
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from importlib.resources import files
from string import Template
from traceback import walk_tb
from types import CodeType
from typing import Any
from urllib.parse import quote, unquote_to_bytes
from xml.sax.saxutils import escape as xml_escape
from xml.sax.saxutils import quoteattr

from pyramid.config import Configurator
from pyramid.exceptions import (
    BadCSRFOrigin,
    BadCSRFToken,
    PredicateMismatch,
    URLDecodeError,
)
from pyramid.httpexceptions import (
    HTTPException,
    HTTPInternalServerError,
    HTTPUnsupportedMediaType,
)
from pyramid.registry import Registry
from pyramid.renderers import render
from pyramid.request import Request
from pyramid.response import Response
from pyramid.traversal import PATH_SAFE
from pyramid.tweens import EXCVIEW, INGRESS
from webob.cookies import RequestCookies
from webob.request import BaseRequest

from pyramid_restproxy.exceptions import MalformedRequest
from pyramid_restproxy.negotiation import add_vary, best
from pyramid_restproxy.settings import Settings, settings_of

__all__ = [
    "Problem",
    "includeme",
    "path_reference",
    "problem_of",
    "problem_response",
]

log = logging.getLogger(__name__)

TWEEN = "pyramid_restproxy.problems.problems_tween_factory"

Handler = Callable[[Request], Response]

#: Where WebOb reads what it has no error of its own for.
_FORM_READER = BaseRequest.POST.fget.__code__
_COOKIE_READER = RequestCookies._cache.fget.__code__


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in plain values (RFC 9457 section 3.1).

    :ivar status: the HTTP status.
    :ivar title: what kind of error it is; the reason phrase.
    :ivar detail: what is wrong with this request; may be empty.
    :ivar instance: the path of the request, as :func:`path_reference` writes it.
    :ivar members: extension members, JSON-able.
    """

    status: int
    title: str
    detail: str = ""
    instance: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the members of the problem document, in reading order."""
        known = {
            # RFC 9457 section 4.2.1: about:blank says no more than the status does.
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": self.instance,
        }
        return {k: v for k, v in known.items() if v != ""} | dict(self.members)


# -- the formats --------------------------------------------------------------


def to_json(problem: Problem) -> str:
    """Write a problem document (RFC 9457 section 3)."""
    return json.dumps(problem.document())


def to_envelope(problem: Problem) -> str:
    """Write the older shape, ``{"error": {"code", "type", "message"}}``."""
    message = problem.detail or problem.title
    error = {"code": problem.status, "type": problem.title, "message": message}
    return json.dumps({"error": error | dict(problem.members)})


def to_xml(problem: Problem) -> str:
    """Write a problem document as XML (RFC 9457 appendix B)."""
    members = "".join(
        f"<{name}>{_xml_value(value)}</{name}>"
        for name, value in problem.document().items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<problem xmlns="urn:ietf:rfc:7807">{members}</problem>'
    )


def _xml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{k}>{_xml_value(v)}</{k}>" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return "".join(f"<i>{_xml_value(item)}</i>" for item in value)
    return xml_escape(str(value))


@lru_cache(maxsize=1)
def _page() -> Template:
    return Template(
        files("pyramid_restproxy").joinpath("templates/problem.html").read_text("utf-8")
    )


def to_html(problem: Problem) -> str:
    """Write the packaged error page."""
    links = "".join(
        f"<li><a href={quoteattr(item['href'])}>{escape(item['type'])}</a></li>"
        for item in problem.members.get("available", ())
        if "href" in item
    )
    return _page().substitute(
        status=problem.status,
        title=escape(problem.title),
        detail=escape(problem.detail),
        links=f"<ul>{links}</ul>" if links else "",
    )


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write an error, and the media types that ask for it."""

    write: Callable[[Problem], str]
    content_type: str
    asked_by: tuple[str, ...]
    extension: str


JSON = Format(
    to_json,
    "application/problem+json",
    ("application/problem+json", "application/json"),
    ".json",
)
ENVELOPE = Format(to_envelope, "application/json", ("application/json",), ".json")
HTML = Format(
    to_html,
    "text/html; charset=UTF-8",
    ("text/html", "application/xhtml+xml"),
    ".html",
)
XML = Format(
    to_xml,
    "application/problem+xml",
    ("application/problem+xml", "application/xml", "text/xml"),
    ".xml",
)

FORMATS = {"problem": (JSON, HTML, XML), "envelope": (ENVELOPE, HTML)}


def choose_format(
    formats: tuple[Format, ...], extension: str | None, accept: str | None
) -> Format:
    """Choose the format of an error: by the path's extension, then by Accept.

    :param formats: what there is; the first is sent where nothing fits.
    :param extension: the extension that was cut off the path, or None.
    :param accept: the Accept field, or None.
    """
    for found in formats:
        if found.extension == extension:
            return found
    asked = [(media_type, found) for found in formats for media_type in found.asked_by]
    score = best(accept, [media_type for media_type, _ in asked])
    return asked[score.offer][1] if score else formats[0]


# -- from exceptions to problems to responses ---------------------------------


def problem_of(error: HTTPException, request: Request) -> Problem:
    """Say what an HTTP exception means, leaving out what only we should know."""
    return Problem(
        status=error.status_int,
        title=error.title,
        detail=_public_detail(error, request.environ["PATH_INFO"].encode("latin-1")),
        instance=path_reference(_raw_path(request.environ)),
        members=getattr(error, "problem_members", {}),
    )


def _public_detail(error: HTTPException, path_info: bytes) -> str:
    internal = (
        # names the view and its predicates, or functions of Pyramid's
        isinstance(error, (PredicateMismatch, BadCSRFToken, BadCSRFOrigin))
        # names the view and the permission: raised by Pyramid's secured views
        or getattr(error, "result", None) is not None
    )
    detail = "" if internal else str(error.detail or "")
    if detail.encode("utf-8", "replace") == path_info:
        detail = ""  # Pyramid's router puts the path there, which only echoes
    return detail or str(error.explanation or "")


def path_reference(path: bytes) -> str:
    """Write a path so that it is a path for whoever follows it.

    ``//a/b`` as it is would be the path ``/b`` of the host ``a`` (RFC 3986 section
    4.2); ``/.//a/b`` leads where it should (section 5.2.4).

    :param path: decoded, beginning with a slash.
    :returns: a relative reference, percent-encoded.
    """
    quoted = quote(path, safe=PATH_SAFE)
    return f"/.{quoted}" if quoted.startswith("//") else quoted


def _raw_path(environ: Mapping[str, Any]) -> bytes:
    # Not request.path: it raises where the path is not UTF-8.
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return path.encode("latin-1")


def problem_response(
    problem: Problem,
    request: Request,
    settings: Settings,
    headers: list[tuple[str, str]] | None = None,
) -> Response:
    """Make the response for a problem.

    :param headers: what the error wants to send besides (Allow, Retry-After, ...);
        its Content-Type and Content-Length are not used.
    """
    formats = FORMATS[settings.errors]
    extension = getattr(request, "path_extension", None)
    chosen = choose_format(formats, extension, request.environ.get("HTTP_ACCEPT"))
    kept = [
        (name, value)
        for name, value in headers or ()
        if name.lower() not in ("content-type", "content-length")
    ]
    kept += [("Content-Type", chosen.content_type)]
    if chosen is HTML:
        body = _html_page(problem, request, settings)
    else:
        body = chosen.write(problem)
        kept += [("X-Content-Type-Options", "nosniff")]
    if chosen.extension != extension:
        add_vary(kept, "Accept")
    encoded = body.encode("utf-8")
    kept += [("Content-Length", str(len(encoded)))]
    return Response(status=problem.status, headerlist=kept, app_iter=[encoded])


def _html_page(problem: Problem, request: Request, settings: Settings) -> str:
    if not settings.error_template:
        return to_html(problem)
    values = {
        "status": problem.status,
        "title": problem.title,
        "detail": problem.detail,
        "instance": problem.instance,
        "problem": problem,
    }
    try:
        return str(render(settings.error_template, values, request))
    except Exception:
        # An error page must not be the cause of an error; say so and go on.
        log.exception("restproxy.error_template = %s", settings.error_template)
        return to_html(problem)


# -- the tween ----------------------------------------------------------------


def problems_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """Make the tween that gives every error a body its client can read."""
    settings = settings_of(registry)

    def problems_tween(request: Request) -> Response:
        try:
            response = handler(request)
        except Exception as error:  # the outermost boundary: nothing is hidden,
            response = _as_http_error(error, request, settings)  # all is logged
        if isinstance(response, HTTPException) and _wants_body(response):
            problem = problem_of(response, request)
            return problem_response(problem, request, settings, response.headerlist)
        return response

    return problems_tween


def _wants_body(error: HTTPException) -> bool:
    return error.status_int >= 400 and not error.has_body and not error.empty_body


def _as_http_error(
    error: Exception, request: Request, settings: Settings
) -> HTTPException:
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, UnicodeDecodeError):
        malformed = malformed_url(error, request.environ)
        if malformed:
            return malformed
    if isinstance(error, DeprecationWarning) and request.charset != "UTF-8":
        # how WebOb says that it reads forms in UTF-8 only
        return HTTPUnsupportedMediaType("The charset of a form must be UTF-8.")
    if isinstance(error, (ValueError, LookupError)) and _is_from(error, _FORM_READER):
        return MalformedRequest("The form in the body is not well-formed.")
    if isinstance(error, UnicodeDecodeError) and _is_from(error, _COOKIE_READER):
        return MalformedRequest("The cookies of the request are not UTF-8.")
    if settings.unexpected_errors == "raise":
        raise error
    # In ASCII: what strangers send writes no lines of its own, nor colours a terminal.
    log.exception("%a", f"{request.method} {request.environ.get('PATH_INFO', '')}")
    # Where Pyramid's exception views leave the error, for pyramid_retry and loggers.
    request.exception, request.exc_info = error, sys.exc_info()
    return HTTPInternalServerError()


def _is_from(error: Exception, reader: CodeType) -> bool:
    """Say whether an error was raised while WebOb read a part of the request.

    It raises what its parsers happen to raise: for a form (RFC 7578) ``ValueError``
    without a boundary, ``LookupError`` at an unknown charset of a part; for cookies
    ``UnicodeDecodeError``.
    """
    return any(frame.f_code is reader for frame, _ in walk_tb(error.__traceback__))


def malformed_url(
    error: UnicodeDecodeError, environ: Mapping[str, Any]
) -> MalformedRequest | None:
    """Say whether a decoding error is the client's: a URL that is not UTF-8.

    :returns: the error to answer with, or None where the URL is in order and the
        mistake is the application's.
    """
    if isinstance(error, URLDecodeError):
        return MalformedRequest("The path of the URL is not UTF-8.")
    query = environ.get("QUERY_STRING", "").encode("latin-1")
    try:
        unquote_to_bytes(query).decode("utf-8")
    except UnicodeDecodeError:
        return MalformedRequest("The query of the URL is not UTF-8.")
    return None


def includeme(config: Configurator) -> None:
    """Give every error a body: problem document, HTML page, or envelope."""
    config.include("pyramid_restproxy.settings")
    config.add_tween(TWEEN, under=INGRESS, over=EXCVIEW)
