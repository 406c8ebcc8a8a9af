"""Errors become responses: RFC 9457 problem documents, an HTML page, the envelope.

One tween around Pyramid's exception views. The application's own exception views
come first; what is left is either an HTTP exception without a body, which gets
one here in the format the client can read, or an exception nobody handled,
which becomes a 500 that tells nothing (the traceback goes to the log).

An error never becomes 406: a client that accepts no error format gets JSON. Nor does
it become another error because it could not be written: a :class:`Problem` keeps
nothing that one of the formats cannot carry.

What lives elsewhere: which error it is (``exceptions``, and whoever raises).
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from functools import lru_cache
from html import escape
from importlib.resources import files
from math import isfinite
from string import Template
from traceback import walk_tb
from types import CodeType
from typing import Any
from urllib.parse import quote, unquote_to_bytes
from xml.sax.saxutils import quoteattr

from pyramid.config import Configurator
from pyramid.exceptions import (
    BadCSRFOrigin,
    BadCSRFToken,
    ConfigurationError,
    PredicateMismatch,
    URLDecodeError,
)
from pyramid.httpexceptions import (
    HTTPException,
    HTTPInternalServerError,
    HTTPUnsupportedMediaType,
)
from pyramid.interfaces import IRendererFactory
from pyramid.registry import Registry
from pyramid.renderers import render
from pyramid.request import Request
from pyramid.response import Response
from pyramid.traversal import PATH_SAFE
from pyramid.tweens import EXCVIEW, INGRESS
from webob.cookies import RequestCookies
from webob.request import BaseRequest

from pyramid_restproxy.exceptions import MalformedRequest, MissingExtra
from pyramid_restproxy.grammar import TOKEN
from pyramid_restproxy.markup import DECLARATION, carriable, element
from pyramid_restproxy.negotiation import add_vary, best
from pyramid_restproxy.settings import Settings, settings_of

__all__ = [
    "Problem",
    "fields_of",
    "forbid_sniffing",
    "includeme",
    "instance_of",
    "path_reference",
    "problem_of",
    "problem_response",
    "require_template",
]

log = logging.getLogger(__name__)

TWEEN = "pyramid_restproxy.problems.problems_tween_factory"

Handler = Callable[[Request], Response]

#: Where WebOb reads what it has no error of its own for.
_FORM_READER = BaseRequest.POST.fget.__code__
_COOKIE_READER = RequestCookies._cache.fget.__code__


#: How deep lists and mappings may lie in each other.
MAX_DEPTH = 50

#: The bits of the largest number. Python refuses to write much longer ones in decimal,
#: and no reader need take them (RFC 8259 section 6).
MAX_BITS = 2048

#: Stands for what lies too deep, contains itself or cannot be read.
LEFT_OUT = "..."

# RFC 9110 section 5.5, in latin-1, as WSGI wants it.
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


# -- plain values -------------------------------------------------------------


def plain(value: Any, within: tuple[int, ...] = ()) -> Any:
    """Return a value as every format of an error can carry it.

    :param value: anything.
    :param within: the identities of the containers that it lies in.
    :returns: None, a bool, a finite number, a text without characters that XML cannot
        carry, or a list or a dict of such; everything else as text.
    """
    found = _guarded(_form, value)
    if not isinstance(found, (dict, list)):
        return found
    if id(value) in within or len(within) == MAX_DEPTH:
        return LEFT_OUT
    within = (*within, id(value))
    if isinstance(found, list):
        return [plain(each, within) for each in found]
    return {_guarded(_written, key): plain(each, within) for key, each in found.items()}


def _form(value: Any) -> Any:
    """Convert one value, and nothing in it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and value.bit_length() <= MAX_BITS:
        return int.__int__(value)  # not its subclass, which may write itself otherwise
    if isinstance(value, float) and isfinite(value):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(value)
    return _written(value)


def _written(value: Any) -> str:
    return carriable(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value)


def _guarded(convert: Callable[[Any], Any], value: Any) -> Any:
    """Convert a value of the application's, whose own methods may fail."""
    try:
        return convert(value)
    except Exception:
        # It must not be the cause of another error; say so and go on.
        log.exception("%s cannot be written in an error", type(value).__qualname__)
        return LEFT_OUT


# -- the error ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Problem:
    """An error in plain values (RFC 9457 section 3.1): in what :func:`plain` returns.

    :ivar status: the HTTP status.
    :ivar title: what kind of error it is; the reason phrase.
    :ivar detail: what is wrong with this request; may be empty.
    :ivar instance: the path of the request, as :func:`path_reference` writes it.
    :ivar members: extension members; none where it is no mapping.
    """

    status: int
    title: str
    detail: str = ""
    instance: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("title", "detail", "instance"):
            object.__setattr__(self, name, _guarded(_written, getattr(self, name)))
        members = plain(self.members)
        object.__setattr__(self, "members", members if type(members) is dict else {})

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
        told = {k: v for k, v in known.items() if v != ""} | dict(self.members)
        # RFC 9457 section 3.1.2: the same as in the response, whoever says otherwise.
        return told | {"status": self.status}


# -- the formats --------------------------------------------------------------


def to_json(problem: Problem) -> str:
    """Write a problem document (RFC 9457 section 3)."""
    return json.dumps(problem.document())


def to_envelope(problem: Problem) -> str:
    """Write the older shape, ``{"error": {"code", "type", "message"}}``."""
    message = problem.detail or problem.title
    error = {"code": problem.status, "type": problem.title, "message": message}
    told = error | dict(problem.members)
    # The same as in the response, as in the newer shape.
    return json.dumps({"error": told | {"code": problem.status}})


def to_xml(problem: Problem) -> str:
    """Write a problem document as XML (RFC 9457 appendix B)."""
    namespace = ' xmlns="urn:ietf:rfc:7807"'
    return DECLARATION + "".join(element("problem", problem.document(), "i", namespace))


@lru_cache(maxsize=1)
def _page() -> Template:
    return Template(
        files("pyramid_restproxy").joinpath("templates/problem.html").read_text("utf-8")
    )


def to_html(problem: Problem) -> str:
    """Write the packaged error page."""
    links = "".join(
        f"<li><a href={quoteattr(href)}>{escape(media_type)}</a></li>"
        for href, media_type in _links(problem.members.get("available"))
    )
    return _page().substitute(
        status=problem.status,
        title=escape(problem.title),
        detail=escape(problem.detail),
        links=f"<ul>{links}</ul>" if links else "",
    )


def _links(available: Any) -> Iterator[tuple[str, str]]:
    """Yield the links of a 406; an application may mean something else by the name."""
    for item in available if isinstance(available, list) else ():
        match item:
            case {"href": str(href), "type": str(media_type)}:
                yield href, media_type


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
        title=error.title or "",
        detail=_public_detail(error, request.environ["PATH_INFO"].encode("latin-1")),
        instance=instance_of(request.environ),
        members=getattr(error, "problem_members", {}),
    )


def _public_detail(error: HTTPException, path_info: bytes) -> str:
    internal = (
        # names the view and its predicates, or functions of Pyramid's
        isinstance(error, (PredicateMismatch, BadCSRFToken, BadCSRFOrigin))
        # names the view and the permission: raised by Pyramid's secured views
        or getattr(error, "result", None) is not None
    )
    detail = "" if internal or error.detail is None else _guarded(_text, error.detail)
    if detail.encode("utf-8", "replace") == path_info:
        detail = ""  # Pyramid's router puts the path there, which only echoes
    return detail or _guarded(_text, error.explanation or "")


def path_reference(path: bytes) -> str:
    """Write a path so that it is a path for whoever follows it.

    ``//a/b`` as it is would be the path ``/b`` of the host ``a`` (RFC 3986 section
    4.2); ``/.//a/b`` leads where it should (section 5.2.4).

    :param path: decoded, beginning with a slash.
    :returns: a relative reference, percent-encoded.
    """
    quoted = quote(path, safe=PATH_SAFE)
    return f"/.{quoted}" if quoted.startswith("//") else quoted


def instance_of(environ: Mapping[str, Any]) -> str:
    """Return what a problem document calls the resource that was asked for.

    :param environ: the WSGI environ; its path may be anything.
    :returns: a relative reference; the empty string where the path is none.
    """
    # Not request.path: it raises where the path is not UTF-8.
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    if not path.startswith("/"):
        return ""
    return path_reference(path.encode("latin-1", "replace"))


def problem_response(
    problem: Problem,
    request: Request,
    settings: Settings,
    headers: list[tuple[str, str]] | None = None,
) -> Response:
    """Make the response for a problem.

    :param headers: what the error wants to send besides (Allow, Retry-After, ...);
        its Content-Type and Content-Length are not used, nor what is no field.
    """
    extension = getattr(request, "path_extension", None)
    reads_accept = _reads_accept(request)
    accept = request.environ.get("HTTP_ACCEPT") if reads_accept else None
    chosen = choose_format(FORMATS[settings.errors], extension, accept)
    kept = list(fields_of(headers or ()))
    kept += [("Content-Type", chosen.content_type)]
    if chosen is HTML:
        body = _html_page(problem, request, settings)
    else:
        body = chosen.write(problem)
        forbid_sniffing(kept)
    if reads_accept and chosen.extension != extension:
        add_vary(kept, "Accept")
    encoded = body.encode("utf-8", "replace")  # a template may write what it wants
    kept += [("Content-Length", str(len(encoded)))]
    return Response(status=problem.status, headerlist=kept, app_iter=[encoded])


def forbid_sniffing(headers: list[tuple[str, str]]) -> None:
    """Tell browsers to take the content for what its type says, where nobody has.

    :param headers: (name, value) pairs, changed in place.
    """
    if all(name.lower() != "x-content-type-options" for name, _ in headers):
        headers.append(("X-Content-Type-Options", "nosniff"))


def _reads_accept(request: Request) -> bool:
    """Say whether Accept has a say, which routing knows, where there is routing."""
    state = request.__dict__.get("rest")
    return bool(getattr(state, "reads_accept", True))


def fields_of(given: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the fields that an error document can be sent with."""
    for name, value in given:
        if name.lower() in ("content-type", "content-length"):
            continue
        text = _guarded(_text, value)
        if TOKEN.fullmatch(name) and _FIELD_VALUE.fullmatch(text):
            yield name, text
        else:
            # Part of a value may mean something else than the whole.
            log.warning("field %a of an error cannot be sent: left out", name)


def require_template(registry: Registry, template: str, wanted_by: str) -> None:
    """Check at start-up that the language of a template is there.

    :param template: the name of the template, or of a renderer.
    :param wanted_by: what names it, the beginning of the error's sentence.
    :raises ConfigurationError: where no renderer is registered for it.
    :raises MissingExtra: where that is Jinja2, which is not installed.
    """
    language = os.path.splitext(template)[1] or template
    if registry.queryUtility(IRendererFactory, name=language) is not None:
        return
    if language == ".jinja2" and importlib.util.find_spec("pyramid_jinja2") is None:
        raise MissingExtra("jinja2", "pyramid_jinja2", wanted_by)
    hint = ": config.include('pyramid_jinja2')" if language == ".jinja2" else ""
    raise ConfigurationError(
        f"{wanted_by}: no renderer is registered for {language!r}{hint}"
    )


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
    if settings.error_template:
        wanted_by = f"restproxy.error_template = {settings.error_template!r}"
        require_template(registry, settings.error_template, wanted_by)

    def problems_tween(request: Request) -> Response:
        # PEP 3333: it may be absent where it is empty; from here on it is there.
        request.environ.setdefault("PATH_INFO", "")
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
