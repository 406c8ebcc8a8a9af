"""Transforms: small callables that change a call before it is sent, or its answer.

A request transform is ``(call) -> None`` or a Response, which answers instead of the
backend. A response transform is ``(call, answer) -> None``. Each function here makes
one. :func:`public_location` is the rule for Location, on by default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.charsets import (
    UTF_8,
    charset_of_page,
    charset_with_label,
)
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.fields import (
    FieldList,
    is_field,
    keep_cookies,
    names_set,
    one_or_several,
)
from pyramid_restproxy.forwarding.model import (
    Answer,
    ProxyCall,
    RequestTransform,
    ResponseTransform,
)
from pyramid_restproxy.forwarding.routed import route_target
from pyramid_restproxy.forwarding.target import edit_query

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

__all__ = [
    "SetPath",
    "add_request_header",
    "add_response_header",
    "allow_request_headers",
    "allow_response_headers",
    "charset_of",
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
    "settle",
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


def _check_field(name: str, value: str = "") -> None:
    if not is_field(name, value):  # the value may be a credential: not in the message
        raise ValueError(
            f"{name!r}: expected a field's name, and a value in latin-1 without a line "
            "break or NUL"
        )


def set_request_header(name: str, value: str) -> RequestTransform:
    """Replace a field of the request.

    :raises ValueError: for what cannot stand in a field.
    """
    _check_field(name, value)
    return _on_request(lambda headers: headers.set(name, value))


def add_request_header(name: str, value: str) -> RequestTransform:
    """Add a line to a field of the request.

    :raises ValueError: for what cannot stand in a field.
    """
    _check_field(name, value)
    return _on_request(lambda headers: headers.add(name, value))


def remove_request_headers(*names: str) -> RequestTransform:
    """Take fields out of the request."""
    return _on_request(lambda headers: headers.remove(*names))


def rename_request_header(old: str, new: str) -> RequestTransform:
    """Send a field of the request under another name.

    :raises ValueError: for what is no name of a field.
    """
    _check_field(new)
    return _on_request(lambda headers: headers.rename(old, new))


def allow_request_headers(*names: str) -> RequestTransform:
    """Send only these fields of the request (and those that the gateway adds)."""
    return _on_request(lambda headers: headers.keep_only(*names))


def set_response_header(
    name: str, value: str, when: str = "always"
) -> ResponseTransform:
    """Replace a field of the answer.

    :param when: ``'ok'`` for statuses below 400 only.
    :raises ValueError: for what cannot stand in a field.
    """
    _check_field(name, value)
    return _on_response(lambda headers: headers.set(name, value), when)


def add_response_header(
    name: str, value: str, when: str = "always"
) -> ResponseTransform:
    """Add a line to a field of the answer.

    :raises ValueError: for what cannot stand in a field.
    """
    _check_field(name, value)
    return _on_response(lambda headers: headers.add(name, value), when)


def remove_response_headers(*names: str, when: str = "always") -> ResponseTransform:
    """Take fields out of the answer."""
    return _on_response(lambda headers: headers.remove(*names), when)


def rename_response_header(
    old: str, new: str, when: str = "always"
) -> ResponseTransform:
    """Send a field of the answer under another name.

    :raises ValueError: for what is no name of a field.
    """
    _check_field(new)
    return _on_response(lambda headers: headers.rename(old, new), when)


def allow_response_headers(*names: str, when: str = "always") -> ResponseTransform:
    """Send only these fields of the answer."""
    return _on_response(lambda headers: headers.keep_only(*names), when)


# -- path and query ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetPath:
    """What :func:`set_path` makes; whose pattern a route can look at."""

    pattern: str

    def __call__(self, call: ProxyCall) -> None:
        """Set the path; where it ends in the route's tail, also what was cut off."""
        target = route_target(call.request, self.pattern)
        call.path = target.path
        if target.prefix or target.base:
            call.prefix, call.base = target.prefix, target.base


def set_path(pattern: str) -> RequestTransform:
    """Send another path.

    :param pattern: e.g. ``/v2/{id}``, filled from the matchdict, values escaped; the
        route's own ``*tail`` at its end is sent as it came.
    """
    return SetPath(pattern)


def edit_query_parameters(
    *,
    set_: dict[str, str] | None = None,
    add: Iterable[tuple[str, str]] = (),
    remove: str | Iterable[str] = (),
) -> RequestTransform:
    """Change parameters of the query, all others byte by byte as they came."""
    added, removed = tuple(add), one_or_several(remove)

    def transform(call: ProxyCall) -> None:
        call.query = edit_query(call.query, set_=set_, add=added, remove=removed)

    return transform


# -- Location ------------------------------------------------------------------------


def public_location(
    value: str,
    destination: Destination,
    prefix: str,
    public: tuple[str, str],
    host: str = "",
    place: str = "",
) -> str:
    """Turn a Location of the backend into one that leads back through the gateway.

    :param value: the URL reference, as the backend gave it.
    :param destination: who gave it.
    :param prefix: what was cut off the path of the request, e.g. ``/api``.
    :param public: scheme and host under which the client reached the gateway.
    :param host: the name that the backend was called by, where it is another one.
    :param place: what was sent in the place of the prefix, e.g. ``/v2``.
    :returns: the reference for the client. Relative ones, ``//other`` ones and those
        that lead elsewhere stay as they are, and so does a public one that has the
        prefix already; hosts are compared, not texts.
    """
    parts = _REFERENCE.fullmatch(value)
    if parts is None:
        return value
    scheme, authority, path, rest = parts.groups()
    base = destination.base_path + place
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
    return prefix + path[len(base) :] or "/"


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
    host = call.host or call.backend.options.host
    named = "" if host in ("destination", "preserve") else host
    prefix = _prefix_for_client(call)
    return public_location(value, call.destination, prefix, public, named, call.base)


def _prefix_for_client(call: ProxyCall) -> str:
    """Return what the client has before the paths of the backend."""
    return call.headers.get("X-Forwarded-Prefix") or call.prefix


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


def cookie_filter(allow: str | Iterable[str]) -> RequestTransform:
    """Send only cookies of these names to the backend."""
    names = one_or_several(allow)
    return _cookies_kept(lambda name: name in names)


def _cookies_kept(keep: Callable[[str], bool]) -> RequestTransform:
    def transform(call: ProxyCall) -> None:
        lines = call.headers.get_all("Cookie")
        pairs = [pair.strip() for line in lines for pair in line.split(";")]
        kept = [p for p in pairs if p and keep(p.partition("=")[0].strip())]
        if kept == pairs:
            return  # as it came: nothing was set for this client
        if lines:
            call.headers.remove("Cookie")
        if kept:
            call.headers.add("Cookie", "; ".join(kept))

    transform.is_for_all = True  # type: ignore[attr-defined]
    return transform


def set_cookie_filter(allow: str | Iterable[str]) -> ResponseTransform:
    """Let the backend set only cookies of these names."""
    names = one_or_several(allow)

    def transform(call: ProxyCall, answer: Answer) -> None:
        pairs = answer.headers.pairs
        pairs[:] = keep_cookies(pairs, lambda name: name in names)

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
            (n, _cookie_line(v, domain, path, call))
            if n.lower() == "set-cookie"
            else (n, v)
            for n, v in answer.headers.pairs
        ]

    return transform


def _cookie_line(
    line: str, domain: str | None, path: str | None, call: ProxyCall
) -> str:
    first, *attributes = line.split(";")
    if first.lstrip().lower().startswith("__host-"):
        return line  # without a domain and for all paths, or browsers refuse it
    kept = [first]
    for attribute in attributes:
        name, value = (part.strip() for part in attribute.partition("=")[::2])
        if name.lower() == "domain" and domain is not None:
            kept += [] if domain == "drop" else [f" Domain={domain}"]
        elif name.lower() == "path" and path is not None:
            kept.append(_cookie_path(attribute, value, path, call))
        else:
            kept.append(attribute)
    return ";".join(kept)


def _cookie_path(attribute: str, value: str, path: str, call: ProxyCall) -> str:
    if path != "prefix":
        return f" Path={path}"
    if not value.startswith("/"):
        return attribute  # RFC 6265 section 5.2.4: none, so the path of the request
    base = (call.destination.base_path if call.destination else "") + call.base
    prefix = _prefix_for_client(call)
    return f" Path={_public_path(value, base, prefix) or prefix + value}"


# -- contents ------------------------------------------------------------------------


def json_filter(drop: str | Iterable[str]) -> ResponseTransform:
    """Take members out of JSON answers, at any depth; they are sent on in UTF-8.

    A number that is too large for a float, as 1e400 is, makes the answer a 502: it
    could not be written again (RFC 8259 section 6).

    :param drop: names of members.
    """
    names = frozenset(one_or_several(drop))

    def change(content: bytes, label: str) -> tuple[bytes, str]:
        left = _without(_parsed(content, label), names)
        return json.dumps(left, allow_nan=False).encode("utf-8"), UTF_8.name

    return _filter(lambda name: name.endswith(("/json", "+json")), change)


def _parsed(content: bytes, label: str) -> Any:
    """Parse JSON, which is in UTF-8 (RFC 8259 section 8.1), or in the charset named.

    :raises ValueError: for what is no JSON.
    """
    try:
        return json.loads(content)
    except UnicodeDecodeError:
        charset = charset_with_label(label)
        if charset is None:
            raise
        return json.loads(content.decode(charset.codec))


def _without(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {k: _without(v, names) for k, v in value.items() if k not in names}
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    return value


def html_filter(remove: str | Iterable[str]) -> ResponseTransform:
    """Take elements out of HTML answers.

    A page is read as browsers read it, and sent on in its own charset: in another one
    they would read its scripts and send its forms in that too.

    :param remove: CSS selectors.
    :raises MissingExtra: where selectolax is not installed.
    :raises ValueError: for what is no selector.
    """
    with needs("html", "selectolax", "html_filter"):
        from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    selectors = one_or_several(remove)
    for selector in selectors:
        try:
            LexborHTMLParser("").css(selector)
        except SelectolaxError as error:
            raise ValueError(f"{selector!r} is no CSS selector") from error

    def change(content: bytes, label: str) -> tuple[bytes, str]:
        charset = charset_of_page(content, label)
        text = charset.decode(content)
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        page = LexborHTMLParser(text[len(mark) :])
        return charset.encode(mark + _without_elements(page, selectors)), charset.name

    return _filter(lambda name: name == "text/html", change)


def _without_elements(page: LexborHTMLParser, selectors: Iterable[str]) -> str:
    root = page.root.mem_id if page.root else None
    for selector in selectors:
        for node in page.css(selector):
            if node.mem_id == root:  # the library refuses to take it out
                return ""
            node.decompose()
    return page.html or ""


def is_for_all(transform: RequestTransform) -> bool:
    """Say whether a transform sets the same for all clients, as far as is known."""
    return getattr(transform, "is_for_all", False)


def reads_body(transform: ResponseTransform) -> bool:
    """Say whether a transform reads the content, which then must not be compressed."""
    return getattr(transform, "reads_body", False)


def _filter(
    applies: Callable[[str], bool],
    change: Callable[[bytes, str], tuple[bytes, str]],
) -> ResponseTransform:
    """Make a transform that changes the content of answers of some media types.

    :param applies: whether it is for a media type.
    :param change: takes the content and the charset that Content-Type names, empty
        for none; gives the new content and its charset.
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
        label = charset_of(answer)
        _replace(answer, *change(content, label) if content else (b"", UTF_8.name))

    transform.reads_body = True  # type: ignore[attr-defined]
    return transform


def settle(call: ProxyCall, answer: Answer, before: Answer) -> None:
    """Keep a body and what is said of it together, after a transform has run.

    A transform may put bytes in the place of the body: what described the old ones
    goes, unless the transform set it. Of a body that stays it cannot set the length.
    Another status has not the reason of the old one.

    :param before: a copy of the answer, made before the transform ran.
    :raises TypeError: for what is no body.
    """
    if answer.status != before.status and answer.reason == before.reason:
        answer.reason = ""
    content: object = answer.body
    chosen = names_set(before.headers.pairs, answer.headers.pairs)
    if isinstance(content, bytes):
        before.body.close()
        answer.headers.remove(*_OF_CONTENT - chosen | {"content-length"})
        bare = answer.status in (204, 304)
        answer.body = BytesBody(b"" if bare or call.method == "HEAD" else content)
        if not bare:
            answer.headers.set("Content-Length", str(len(content)))
    elif content is before.body:
        if "content-length" in chosen:
            answer.headers.remove("Content-Length")
            for length in before.headers.get_all("Content-Length"):
                answer.headers.add("Content-Length", length)
    elif not hasattr(content, "read_piece"):
        raise TypeError(f"the body of an answer is {type(content).__name__}, not bytes")


def _media_type(answer: Answer) -> str:
    value = answer.headers.get("Content-Type") or ""
    return value.partition(";")[0].strip().lower()


def charset_of(answer: Answer) -> str:
    """Return the charset that an answer names, in lower case; empty for none."""
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


#: Fields that describe the bytes of a content (lower case).
_OF_CONTENT = frozenset(
    {
        "accept-ranges",
        "content-digest",
        "content-length",
        "content-md5",
        "content-range",
        "digest",
        "etag",
        "repr-digest",
    }
)


def _forget_content(answer: Answer) -> None:
    """Take out what describes the bytes of the backend's content."""
    answer.headers.remove(*_OF_CONTENT)


def _replace(answer: Answer, content: bytes, charset: str) -> None:
    """Send other content: what described the old bytes goes.

    :param charset: of the content; named unless it goes without saying.
    """
    answer.body.close()
    answer.body = BytesBody(content)
    _forget_content(answer)
    answer.headers.set("Content-Length", str(len(content)))
    if charset_of(answer) or charset != UTF_8.name or not content.isascii():
        media_type = _media_type(answer)
        answer.headers.set("Content-Type", f"{media_type}; charset={charset}")
