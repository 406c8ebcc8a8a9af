"""Transforms: small callables that change a call before it is sent, or its answer.

A request transform is ``(call) -> None`` or a Response, which answers instead of the
backend. A response transform is ``(call, answer) -> None``. Each function here makes
one. :func:`public_location` is the rule for Location, on by default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.model import (
    Answer,
    AnswerBody,
    ProxyCall,
    RequestTransform,
    ResponseTransform,
)
from pyramid_restproxy.forwarding.target import edit_query, fill_pattern

__all__ = [
    "add_request_header",
    "add_response_header",
    "allow_request_headers",
    "allow_response_headers",
    "cookie_attributes",
    "cookie_filter",
    "drop_cookies",
    "edit_query_parameters",
    "html_filter",
    "json_filter",
    "public_location",
    "remove_request_headers",
    "remove_response_headers",
    "rename_request_header",
    "rename_response_header",
    "rewrite_content_location",
    "set_path",
    "set_request_header",
    "set_response_header",
]

#: A body that a filter reads whole must not be larger, bytes.
MAX_FILTERED = 2 * 1024 * 1024


# -- header fields ---------------------------------------------------------------


def _on_request(change: Callable[[FieldList], None]) -> RequestTransform:
    def transform(call: ProxyCall) -> None:
        change(call.headers)

    return transform


def _on_response(change: Callable[[FieldList], None], when: str) -> ResponseTransform:
    if when not in ("ok", "always"):
        raise ValueError(f"when={when!r}: expected 'ok' or 'always'")

    def transform(call: ProxyCall, answer: Answer) -> None:
        if when == "always" or answer.status < 400:
            change(answer.headers)

    return transform


def set_request_header(name: str, value: str) -> RequestTransform:
    """Replace a field of the request."""
    return _on_request(lambda headers: headers.set(name, value))


def add_request_header(name: str, value: str) -> RequestTransform:
    """Add a line to a field of the request."""
    return _on_request(lambda headers: headers.add(name, value))


def remove_request_headers(*names: str) -> RequestTransform:
    """Take fields out of the request."""
    return _on_request(lambda headers: headers.remove(*names))


def rename_request_header(old: str, new: str) -> RequestTransform:
    """Send a field of the request under another name."""
    return _on_request(lambda headers: headers.rename(old, new))


def allow_request_headers(*names: str) -> RequestTransform:
    """Send only these fields of the request (and those that the gateway adds)."""
    return _on_request(lambda headers: headers.keep_only(*names))


def set_response_header(
    name: str, value: str, when: str = "always"
) -> ResponseTransform:
    """Replace a field of the answer.

    :param when: ``'ok'`` for statuses below 400 only.
    """
    return _on_response(lambda headers: headers.set(name, value), when)


def add_response_header(
    name: str, value: str, when: str = "always"
) -> ResponseTransform:
    """Add a line to a field of the answer."""
    return _on_response(lambda headers: headers.add(name, value), when)


def remove_response_headers(*names: str, when: str = "always") -> ResponseTransform:
    """Take fields out of the answer."""
    return _on_response(lambda headers: headers.remove(*names), when)


def rename_response_header(
    old: str, new: str, when: str = "always"
) -> ResponseTransform:
    """Send a field of the answer under another name."""
    return _on_response(lambda headers: headers.rename(old, new), when)


def allow_response_headers(*names: str, when: str = "always") -> ResponseTransform:
    """Send only these fields of the answer."""
    return _on_response(lambda headers: headers.keep_only(*names), when)


# -- path and query ------------------------------------------------------------------


def set_path(pattern: str) -> RequestTransform:
    """Send another path.

    :param pattern: e.g. ``/v2/{id}``, filled from the matchdict, values escaped.
    """

    def transform(call: ProxyCall) -> None:
        call.path = fill_pattern(pattern, call.request.matchdict)

    return transform


def edit_query_parameters(
    *,
    set_: dict[str, str] | None = None,
    add: Iterable[tuple[str, str]] = (),
    remove: Sequence[str] = (),
) -> RequestTransform:
    """Change parameters of the query, all others byte by byte as they came."""
    added = tuple(add)

    def transform(call: ProxyCall) -> None:
        call.query = edit_query(call.query, set_=set_, add=added, remove=remove)

    return transform


# -- Location ------------------------------------------------------------------------


def public_location(
    value: str, destination: Destination, prefix: str, public: tuple[str, str]
) -> str:
    """Turn a Location of the backend into one that leads back through the gateway.

    :param value: the URL reference, as the backend gave it.
    :param destination: who gave it.
    :param prefix: what was cut off the path of the request, e.g. ``/api``.
    :param public: scheme and host under which the client reached the gateway.
    :returns: the reference for the client. Relative ones, ``//other`` ones and those
        that lead elsewhere stay as they are; hosts are compared, not texts.
    """
    try:
        parts = urlsplit(value)
    except ValueError:
        return value
    ours = parts.netloc.lower() in (destination.authority.lower(), public[1].lower())
    if parts.netloc and not (ours and parts.scheme in ("http", "https")):
        return value
    if value.startswith("//") or not (parts.netloc or parts.path.startswith("/")):
        return value
    path = _public_path(parts.path or "/", destination.base_path, prefix)
    if path is None:
        return value
    if not parts.netloc:
        return path + value[len(parts.path) :]
    return urlunsplit((*public, path, parts.query, parts.fragment))


def _public_path(path: str, base: str, prefix: str) -> str | None:
    """Exchange the backend's base path for the prefix; None where it is outside."""
    if base and path != base and not path.startswith(base + "/"):
        return None
    return prefix + path[len(base) :]


def rewrite_content_location() -> ResponseTransform:
    """Treat Content-Location as Location is treated."""

    def transform(call: ProxyCall, answer: Answer) -> None:
        value = answer.headers.get("Content-Location")
        if value is not None and call.destination is not None:
            public = call.request.scheme, call.request.host
            rewritten = public_location(value, call.destination, call.prefix, public)
            answer.headers.set("Content-Location", rewritten)

    return transform


# -- cookies ---------------------------------------------------------------------------


def drop_cookies(*names: str) -> RequestTransform:
    """Keep cookies of these names from the backend, e.g. the gateway's own session."""
    return _cookies_kept(lambda name: name not in names)


def cookie_filter(allow: Sequence[str]) -> RequestTransform:
    """Send only cookies of these names to the backend."""
    return _cookies_kept(lambda name: name in allow)


def _cookies_kept(keep: Callable[[str], bool]) -> RequestTransform:
    def transform(call: ProxyCall) -> None:
        lines = call.headers.get_all("Cookie")
        pairs = [pair.strip() for line in lines for pair in line.split(";")]
        kept = [p for p in pairs if p and keep(p.partition("=")[0].strip())]
        if lines:
            call.headers.remove("Cookie")
        if kept:
            call.headers.add("Cookie", "; ".join(kept))

    return transform


def cookie_attributes(
    *, domain: str | None = None, path: str | None = None
) -> ResponseTransform:
    """Change Domain and Path of the cookies that the backend sets; no other byte.

    :param domain: ``'drop'``, or the domain to put there.
    :param path: ``'prefix'`` to put the route's prefix before it, or the path itself.
    """

    def transform(call: ProxyCall, answer: Answer) -> None:
        answer.headers.pairs[:] = [
            (n, _cookie_line(v, domain, path, call.prefix))
            if n.lower() == "set-cookie"
            else (n, v)
            for n, v in answer.headers.pairs
        ]

    return transform


def _cookie_line(line: str, domain: str | None, path: str | None, prefix: str) -> str:
    first, *attributes = line.split(";")
    kept = [first]
    for attribute in attributes:
        name, _, value = attribute.strip().partition("=")
        if name.lower() == "domain" and domain is not None:
            kept += [] if domain == "drop" else [f" Domain={domain}"]
        elif name.lower() == "path" and path is not None:
            new = prefix + value if path == "prefix" else path
            kept.append(f" Path={new}")
        else:
            kept.append(attribute)
    return ";".join(kept)


# -- contents ------------------------------------------------------------------------


def json_filter(drop: Sequence[str]) -> ResponseTransform:
    """Take members out of JSON answers, at any depth.

    :param drop: names of members.
    """
    names = frozenset(drop)

    def transform(call: ProxyCall, answer: Answer) -> None:
        if _media_type(answer).endswith(("/json", "+json")):
            content = json.loads(_read_whole(answer))
            _replace(answer, json.dumps(_without(content, names)).encode("utf-8"))

    return _reading(transform)


def _without(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {k: _without(v, names) for k, v in value.items() if k not in names}
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    return value


def html_filter(remove: Sequence[str]) -> ResponseTransform:
    """Take elements out of HTML answers.

    :param remove: CSS selectors.
    :raises MissingExtra: where selectolax is not installed.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError as error:
        raise MissingExtra("html", "selectolax", "html_filter") from error

    def transform(call: ProxyCall, answer: Answer) -> None:
        if _media_type(answer) == "text/html":
            page = LexborHTMLParser(_read_whole(answer))
            for selector in remove:
                for node in page.css(selector):
                    node.decompose()
            _replace(answer, (page.html or "").encode("utf-8"))

    return _reading(transform)


def reads_body(transform: ResponseTransform) -> bool:
    """Say whether a transform reads the content, which then must not be compressed."""
    return getattr(transform, "reads_body", False)


def _reading(transform: ResponseTransform) -> ResponseTransform:
    transform.reads_body = True  # type: ignore[attr-defined]
    return transform


def _media_type(answer: Answer) -> str:
    value = answer.headers.get("Content-Type") or ""
    return value.partition(";")[0].strip().lower()


def _read_whole(answer: Answer) -> bytes:
    """Read a body that is to be changed.

    :raises ValueError: where it is compressed, or larger than the limit.
    """
    coding = answer.headers.get("Content-Encoding", "identity")
    if coding != "identity":
        raise ValueError(f"a body in {coding} cannot be filtered")
    pieces, size = [], 0
    while piece := answer.body.read_piece():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_FILTERED:
            raise ValueError(f"a body over {MAX_FILTERED} bytes cannot be filtered")
    return b"".join(pieces)


def _replace(answer: Answer, content: bytes) -> None:
    """Send other content: what described the old bytes goes."""
    body: AnswerBody = answer.body
    body.close()
    answer.body = BytesBody(content)
    answer.headers.remove("ETag", "Content-MD5", "Digest", "Content-Digest")
    answer.headers.remove("Accept-Ranges", "Content-Range")
    answer.headers.set("Content-Length", str(len(content)))
    charset = re.search(r"charset\s*=", answer.headers.get("Content-Type") or "", re.I)
    if charset:
        media_type = _media_type(answer)
        answer.headers.set("Content-Type", f"{media_type}; charset=utf-8")
