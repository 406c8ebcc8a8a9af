"""Transforms: small callables that change a call before it is sent, or its answer.

A request transform is ``(call) -> None`` or a Response, which answers instead of the
backend. A response transform is ``(call, answer) -> None``. Each function here makes
one, but for ``json_filter`` and ``html_filter``, which come from ``contents``. The rule
for Location, on by default, is in ``locations``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pyramid_restproxy.forwarding.contents import html_filter, json_filter
from pyramid_restproxy.forwarding.fields import (
    FieldList,
    is_field,
    keep_cookies,
    one_or_several,
)
from pyramid_restproxy.forwarding.locations import (
    location_for_client,
    prefix_for_client,
    public_path,
)
from pyramid_restproxy.forwarding.model import (
    Answer,
    ProxyCall,
    RequestTransform,
    ResponseTransform,
)
from pyramid_restproxy.forwarding.routed import route_target
from pyramid_restproxy.forwarding.target import edit_query

__all__ = [
    "SetPath",
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


# -- Content-Location --------------------------------------------------------------


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


#: What can be written as Domain and Path (RFC 6265 sections 4.1.1 and 5.2.3); one of
#: one label, such as ``localhost``, is a domain.
_DOMAIN = re.compile(r"\.?[\w-]+(?:\.[\w-]+)*", re.ASCII)
_COOKIE_PATH = re.compile(r"/[ -:<-~]*")


def cookie_attributes(
    *, domain: str | None = None, path: str | None = None
) -> ResponseTransform:
    """Change Domain and Path of the cookies that the backend sets; no other byte.

    :param domain: ``'drop'`` to take it away: the cookie is for the gateway's host
        alone; or the domain to put there.
    :param path: ``'prefix'`` to put the route's prefix before it; ``'drop'`` to take
        it away: browsers use the path of the request; or the path to put there.
    :raises ValueError: for what is neither of the words, nor a domain, nor a path.
    """
    if domain is not None and not _DOMAIN.fullmatch(domain):
        raise ValueError(f"domain={domain!r}: expected 'drop' or a domain")
    if path not in (None, "drop", "prefix") and not _COOKIE_PATH.fullmatch(path):
        raise ValueError(
            f"path={path!r}: expected 'prefix', 'drop' or a path that begins with '/'"
        )

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
            drops = path == "drop"
            kept += [] if drops else [_cookie_path(attribute, value, path, call)]
        else:
            kept.append(attribute)
    return ";".join(kept)


def _cookie_path(attribute: str, value: str, path: str, call: ProxyCall) -> str:
    if path != "prefix":
        return f" Path={path}"
    if not value.startswith("/"):
        return attribute  # RFC 6265 section 5.2.4: none, so the path of the request
    base = (call.destination.base_path if call.destination else "") + call.base
    prefix = prefix_for_client(call)
    return f" Path={public_path(value, base, prefix) or prefix + value}"


def is_for_all(transform: RequestTransform) -> bool:
    """Say whether a transform sets the same for all clients, as far as is known."""
    return getattr(transform, "is_for_all", False)
