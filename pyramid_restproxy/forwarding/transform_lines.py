"""Transforms as lines of text, for gateways that are made of settings alone.

One line is one call of a function of :mod:`~pyramid_restproxy.forwarding.transforms`:
its name, then its arguments as people write them in an ini file. What the functions do
is there; here is only how the lines are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.casts import called
from pyramid_restproxy.forwarding.cors import cors_headers, cors_preflight
from pyramid_restproxy.forwarding.fields import is_safe_value
from pyramid_restproxy.forwarding.model import RequestTransform, ResponseTransform
from pyramid_restproxy.forwarding.transforms import (
    add_request_header,
    add_response_header,
    allow_request_headers,
    allow_response_headers,
    cookie_attributes,
    cookie_filter,
    drop_cookies,
    edit_query_parameters,
    html_filter,
    json_filter,
    remove_request_headers,
    remove_response_headers,
    rename_request_header,
    rename_response_header,
    rewrite_content_location,
    set_cookie_filter,
    set_path,
    set_request_header,
    set_response_header,
)
from pyramid_restproxy.grammar import TOKEN

__all__ = ["TransformList", "parse_transforms"]

Arguments = tuple[tuple[Any, ...], dict[str, Any]]

_WHEN = re.compile(r"when=(\S+)\s*")


@dataclass(frozen=True, slots=True)
class TransformList:
    """The transforms of some lines, in order.

    :ivar request: run before sending.
    :ivar response: run on the answer's head.
    """

    request: tuple[RequestTransform, ...] = ()
    response: tuple[ResponseTransform, ...] = ()


# -- how arguments are written ---------------------------------------------------


def _field(rest: str) -> Arguments:
    """Read ``Name: value``."""
    name, colon, value = rest.partition(":")
    if not colon or not TOKEN.fullmatch(name.strip()):
        raise ValueError("expected 'Name: value'")
    if not is_safe_value(value):
        raise ValueError("the value has a line break or NUL")
    return (name.strip(), value.strip()), {}


def _names(rest: str) -> Arguments:
    """Read names separated by spaces or commas."""
    found = [word for word in re.split(r"[\s,]+", rest) if word]
    wrong = [word for word in found if not TOKEN.fullmatch(word)]
    if wrong or not found:
        raise ValueError("expected names separated by spaces")
    return tuple(found), {}


def _two_names(rest: str) -> Arguments:
    """Read the old and the new name."""
    names, _ = _names(rest)
    if len(names) != 2:
        raise ValueError("expected the old and the new name")
    return names, {}


def _list_of_names(rest: str) -> Arguments:
    """Read names as one argument."""
    return (_names(rest)[0],), {}


def _selectors(rest: str) -> Arguments:
    """Read CSS selectors separated by commas."""
    found = [selector.strip() for selector in rest.split(",") if selector.strip()]
    if not found:
        raise ValueError("expected CSS selectors separated by commas")
    return (found,), {}


def _path(rest: str) -> Arguments:
    """Read the pattern of a path."""
    if not rest.startswith("/") or " " in rest:
        raise ValueError("expected a path that begins with '/'")
    return (rest,), {}


def _nothing(rest: str) -> Arguments:
    """Read nothing."""
    if rest:
        raise ValueError("expected nothing more")
    return (), {}


def _query(rest: str) -> Arguments:
    """Read ``set name=value``, ``add name=value`` or ``remove name``."""
    verb, _, what = rest.partition(" ")
    name, equals, value = what.strip().partition("=")
    if verb == "remove" and name and not equals:
        return (), {"remove": (name,)}
    if verb == "set" and name and equals:
        return (), {"set_": {name: value}}
    if verb == "add" and name and equals:
        return (), {"add": ((name, value),)}
    raise ValueError("expected 'set name=value', 'add name=value' or 'remove name'")


def _attributes(rest: str) -> Arguments:
    """Read ``domain=...`` and ``path=...``."""
    pairs = dict(word.partition("=")[::2] for word in rest.split())
    if not pairs or not {"domain", "path"}.issuperset(pairs):
        raise ValueError("expected domain=..., path=... or both")
    return (), pairs


def _origins(rest: str) -> Arguments:
    """Read origins, and ``credentials`` where cookies may come along."""
    found = rest.split()
    if not found:
        raise ValueError("expected origins, e.g. https://a.example, or *")
    origins = tuple(word for word in found if word != "credentials")
    return (origins,), {"credentials": "credentials" in found}


def _when(read: Callable[[str], Arguments]) -> Callable[[str], Arguments]:
    """Let ``when=ok`` or ``when=always`` stand before the arguments."""

    def read_both(rest: str) -> Arguments:
        found = _WHEN.match(rest)
        arguments, options = read(rest[found.end() :] if found else rest)
        return arguments, {**options, "when": found[1]} if found else options

    return read_both


Row = tuple[Callable[..., Any], Callable[[str], Arguments]]

#: The functions that a line may name, and how their arguments are written.
ON_REQUEST: dict[str, Row] = {
    "set_request_header": (set_request_header, _field),
    "add_request_header": (add_request_header, _field),
    "remove_request_headers": (remove_request_headers, _names),
    "rename_request_header": (rename_request_header, _two_names),
    "allow_request_headers": (allow_request_headers, _names),
    "set_path": (set_path, _path),
    "edit_query": (edit_query_parameters, _query),
    "drop_cookies": (drop_cookies, _names),
    "cookie_filter": (cookie_filter, _list_of_names),
    "cors_preflight": (cors_preflight, _origins),
}
ON_RESPONSE: dict[str, Row] = {
    "set_response_header": (set_response_header, _when(_field)),
    "add_response_header": (add_response_header, _when(_field)),
    "remove_response_headers": (remove_response_headers, _when(_names)),
    "rename_response_header": (rename_response_header, _when(_two_names)),
    "allow_response_headers": (allow_response_headers, _when(_names)),
    "rewrite_content_location": (rewrite_content_location, _nothing),
    "set_cookie_filter": (set_cookie_filter, _list_of_names),
    "cookie_attributes": (cookie_attributes, _attributes),
    "cors_headers": (cors_headers, _origins),
    "json_filter": (json_filter, _list_of_names),
    "html_filter": (html_filter, _selectors),
}
#: Lines that name a callable of your own, by its dotted name.
CALLS = ("request_transform", "response_transform")


def parse_transforms(setting: str, lines: Iterable[str]) -> TransformList:
    """Read transforms, one a line.

    :param setting: the name of the setting, for messages.
    :raises ConfigurationError: naming the setting and the function. The arguments are
        not in the message: they may be credentials.
    """
    request: list[RequestTransform] = []
    response: list[ResponseTransform] = []
    for line in lines:
        name, *more = line.split(None, 1)
        rest = more[0] if more else ""
        try:
            if name in ON_REQUEST or name == "request_transform":
                request.append(_made(name, ON_REQUEST.get(name), rest.strip()))
            elif name in ON_RESPONSE or name == "response_transform":
                response.append(_made(name, ON_RESPONSE.get(name), rest.strip()))
            else:
                raise ValueError(
                    "there is no such transform; there are "
                    + ", ".join([*ON_REQUEST, *ON_RESPONSE, *CALLS])
                )
        except ValueError as error:
            shown = repr(name) if name.isidentifier() else "..."  # the rest is in it
            raise ConfigurationError(f"{setting}: {shown}: {error}") from error
    return TransformList(tuple(request), tuple(response))


def _made(name: str, row: Row | None, rest: str) -> Any:
    if row is None:
        return called(rest)
    function, read = row
    arguments, options = read(rest)
    return function(*arguments, **options)
