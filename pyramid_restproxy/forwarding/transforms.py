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

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.fields import FieldList, keep_cookies
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
    "is_for_all",
    "json_filter",
    "location_for_client",
    "public_location",
    "remove_request_headers",
    "remove_response_headers",
    "rename_request_header",
    "rename_response_header",
    "rewrite_content_location",
    "set_cookie_filter",
    "set_path",
    "set_request_header",
    "set_response_header",
]

#: A URL reference: scheme, authority, path, and the rest (RFC 3986 appendix B). Taken
#: apart by hand because urlsplit drops white space and what is empty.
_REFERENCE = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(.*)")

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)

#: A body that a filter reads whole must not be larger, bytes.
MAX_FILTERED = 2 * 1024 * 1024


# -- header fields ---------------------------------------------------------------


def _on_request(change: Callable[[FieldList], None]) -> RequestTransform:
    def transform(call: ProxyCall) -> None:
        change(call.headers)

    transform.is_for_all = True  # type: ignore[attr-defined]
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
    value: str,
    destination: Destination,
    prefix: str,
    public: tuple[str, str],
    host: str = "",
) -> str:
    """Turn a Location of the backend into one that leads back through the gateway.

    :param value: the URL reference, as the backend gave it.
    :param destination: who gave it.
    :param prefix: what was cut off the path of the request, e.g. ``/api``.
    :param public: scheme and host under which the client reached the gateway.
    :param host: the name that the backend was called by, where it is another one.
    :returns: the reference for the client. Relative ones, ``//other`` ones and those
        that lead elsewhere stay as they are, and so does a public one that has the
        prefix already; hosts are compared, not texts.
    """
    parts = _REFERENCE.fullmatch(value)
    if parts is None:
        return value
    scheme, authority, path, rest = parts.groups()
    base = destination.base_path
    if scheme is None and authority is None:
        new = _public_path(path, base, prefix) if path.startswith("/") else None
        if new is None:
            return value
        if new.startswith(("//", "/\\")):  # what is left could be read as a host
            return f"{public[0]}://{public[1]}{new}{rest}"
        return new + rest
    scheme = (scheme or "").lower()
    if not authority or scheme not in ("http", "https"):
        return value
    named = _bare(authority)
    if named == _bare(public[1]):
        # Somebody who knows the public host may know more: the prefix, or that it
        # must be https; nobody is sent back from https to http.
        scheme = "https" if scheme == "https" else public[0]
        known = path == prefix or path.startswith(prefix + "/")
        new = path if prefix and known else _public_path(path or "/", base, prefix)
    elif named in (_bare(destination.authority), _bare(host)):
        scheme, new = public[0], _public_path(path or "/", base, prefix)
    else:
        return value
    return value if new is None else f"{scheme}://{public[1]}{new}{rest}"


def _bare(authority: str) -> str:
    """Return an authority without the port that goes without saying."""
    lowered = authority.lower()
    name, _, port = lowered.rpartition(":")
    return name if port in ("", "80", "443") and name else lowered


def _public_path(path: str, base: str, prefix: str) -> str | None:
    """Exchange the backend's base path for the prefix; None where it is outside."""
    if base and path != base and not path.startswith(base + "/"):
        return None
    return prefix + path[len(base) :]


def location_for_client(call: ProxyCall, value: str) -> str:
    """Turn a URL reference of an answer into one for the client of a call.

    Where the client is, is what the backend was told of it: X-Forwarded-Proto, -Host
    and -Prefix, which begin with what a trusted proxy in front of us says.
    """
    if call.destination is None:
        return value
    told = call.headers
    scheme = _first(told.get("X-Forwarded-Proto")).lower()
    public = (
        scheme if scheme in ("http", "https") else call.request.scheme,
        _first(told.get("X-Forwarded-Host")) or call.request.host,
    )
    prefix = told.get("X-Forwarded-Prefix") or call.prefix
    host = call.backend.options.host
    named = "" if host in ("destination", "preserve") else host
    return public_location(value, call.destination, prefix, public, named)


def _first(value: str | None) -> str:
    """Return the first of a list, or nothing."""
    return (value or "").partition(",")[0].strip()


def rewrite_content_location() -> ResponseTransform:
    """Treat Content-Location as Location is treated."""

    def transform(call: ProxyCall, answer: Answer) -> None:
        value = answer.headers.get("Content-Location")
        if value is not None:
            answer.headers.set("Content-Location", location_for_client(call, value))

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

    transform.is_for_all = True  # type: ignore[attr-defined]
    return transform


def set_cookie_filter(allow: Sequence[str]) -> ResponseTransform:
    """Let the backend set only cookies of these names."""

    def transform(call: ProxyCall, answer: Answer) -> None:
        pairs = answer.headers.pairs
        pairs[:] = keep_cookies(pairs, lambda name: name in allow)

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
    if first.lstrip().lower().startswith("__host-"):
        return line  # without a domain and for all paths, or browsers refuse it
    kept = [first]
    for attribute in attributes:
        name, value = (part.strip() for part in attribute.partition("=")[::2])
        if name.lower() == "domain" and domain is not None:
            kept += [] if domain == "drop" else [f" Domain={domain}"]
        elif name.lower() == "path" and path is not None:
            kept.append(_cookie_path(attribute, value, path, prefix))
        else:
            kept.append(attribute)
    return ";".join(kept)


def _cookie_path(attribute: str, value: str, path: str, prefix: str) -> str:
    if path != "prefix":
        return f" Path={path}"
    if not value.startswith("/"):
        return attribute  # RFC 6265 section 5.2.4: none, so the path of the request
    return f" Path={prefix}{value}"


# -- contents ------------------------------------------------------------------------


def json_filter(drop: Sequence[str]) -> ResponseTransform:
    """Take members out of JSON answers, at any depth.

    :param drop: names of members.
    """
    names = frozenset(drop)

    def change(content: bytes, charset: str) -> bytes:
        return json.dumps(_without(json.loads(content), names)).encode("utf-8")

    return _filter(lambda name: name.endswith(("/json", "+json")), change)


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
    with needs("html", "selectolax", "html_filter"):
        from selectolax.lexbor import LexborHTMLParser

    def change(content: bytes, charset: str) -> bytes:
        page = LexborHTMLParser(_as_text(content, charset))
        for selector in remove:
            for node in page.css(selector):
                node.decompose()
        return (page.html or "").encode("utf-8")

    return _filter(lambda name: name == "text/html", change)


def _as_text(content: bytes, charset: str) -> str:
    """Decode a page; one that does not say how as browsers do."""
    try:
        return content.decode(charset or "utf-8")
    except UnicodeDecodeError:
        if charset:
            raise
        return content.decode("windows-1252", "replace")


def is_for_all(transform: RequestTransform) -> bool:
    """Say whether a transform sets the same for all clients, as far as is known."""
    return getattr(transform, "is_for_all", False)


def reads_body(transform: ResponseTransform) -> bool:
    """Say whether a transform reads the content, which then must not be compressed."""
    return getattr(transform, "reads_body", False)


def _filter(
    applies: Callable[[str], bool], change: Callable[[bytes, str], bytes]
) -> ResponseTransform:
    """Make a transform that changes the content of answers of some media types.

    :param applies: whether it is for a media type.
    :param change: takes the content and its charset, empty for none; gives UTF-8.
    """

    def transform(call: ProxyCall, answer: Answer) -> None:
        media_type = _media_type(answer)
        part = answer.status == 206 and media_type == "multipart/byteranges"
        if not part and not applies(media_type):
            return
        if call.method == "HEAD" or answer.status in (204, 304):
            return _forget_content(answer)
        if answer.status == 206:  # RFC 9110 section 15.3.7: it may hide what must go
            raise ValueError("a part of a body cannot be filtered")
        content = _read_whole(answer)
        _replace(answer, change(content, _charset(answer)) if content else content)

    transform.reads_body = True  # type: ignore[attr-defined]
    return transform


def _media_type(answer: Answer) -> str:
    value = answer.headers.get("Content-Type") or ""
    return value.partition(";")[0].strip().lower()


def _charset(answer: Answer) -> str:
    found = _CHARSET.search(answer.headers.get("Content-Type") or "")
    return found[1].lower() if found else ""


def _read_whole(answer: Answer) -> bytes:
    """Read a body that is to be changed.

    :raises ValueError: where it is compressed, or larger than the limit.
    """
    coding = answer.headers.get("Content-Encoding") or "identity"
    if coding.strip().lower() != "identity":
        raise ValueError(f"a body in {coding} cannot be filtered")
    pieces, size = [], 0
    while piece := answer.body.read_piece():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_FILTERED:
            raise ValueError(f"a body over {MAX_FILTERED} bytes cannot be filtered")
    return b"".join(pieces)


def _forget_content(answer: Answer) -> None:
    """Take out what describes the bytes of the backend's content."""
    answer.headers.remove("ETag", "Content-MD5", "Digest", "Content-Digest")
    answer.headers.remove("Repr-Digest", "Accept-Ranges", "Content-Range")
    answer.headers.remove("Content-Length")


def _replace(answer: Answer, content: bytes) -> None:
    """Send other content: what described the old bytes goes."""
    body: AnswerBody = answer.body
    body.close()
    answer.body = BytesBody(content)
    _forget_content(answer)
    answer.headers.set("Content-Length", str(len(content)))
    if _charset(answer) or not content.isascii():
        media_type = _media_type(answer)
        answer.headers.set("Content-Type", f"{media_type}; charset=utf-8")
