"""The request target: read raw, made safe, cut, joined. Pure functions.

What was routed and authorised must be what is sent. So the raw path is used only
where it says the same as the decoded one that Pyramid matched, and a path that two
parsers could read in two ways is refused (RFC 3986 sections 3.3, 5.2.4; RFC 9112
section 3.2). Everything here is str, percent-encoded unless it is called decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote_to_bytes

from pyramid_restproxy.exceptions import MalformedRequest

__all__ = [
    "Target",
    "check_path",
    "decoded_path",
    "edit_query",
    "fill_pattern",
    "has_empty_query",
    "is_sendable",
    "join_path",
    "join_query",
    "names_in",
    "raw_target",
    "request_target",
    "safe_target",
    "split_mount",
    "split_target",
    "tail_of",
]

#: What needs no escape in a path (RFC 3986 section 3.3).
_DECODED_SAFE = "/~!$&'()*+,;=:@-._"

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_SEPARATORS = re.compile(rb"[/\\]")
#: A path with nothing escaped, and no backslash.
_UNESCAPED = re.compile(r"/[A-Za-z0-9/._~!$&'()*+,;=:@-]*")
#: What stands for a value in a route's pattern: as ``{id}``, or as ``:id`` in old ones.
_PLACE = re.compile(r"\{[A-Za-z_][^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_OLD_PLACE = re.compile(r":[A-Za-z_]\w*")
_TAIL_NAME = re.compile(r"\*([A-Za-z_]\w*)\Z")
#: The same in the pattern of a path to send, in one: a value may look like either.
_NAMED = re.compile(r"\{([A-Za-z_]\w*)(?::(?:[^{}]|\{[^{}]*\})*)?\}|\*([A-Za-z_]\w*)\Z")
_ESCAPED_SLASH = re.compile(r"%2f", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")

#: How many times a path may have been escaped; more has no honest reason.
MAX_DECODINGS = 5

#: Environ key of the target that was found to be safe, beside what it was read from.
SAFE = "pyramid_restproxy.safe_target"


class Target(NamedTuple):
    """What to send for a request.

    :ivar path: below the destination's URL.
    :ivar query: without ``?``.
    :ivar prefix: what was cut off the path of the request.
    :ivar base: what stands in its place.
    """

    path: str
    query: str
    prefix: str = ""
    base: str = ""


# -- reading -------------------------------------------------------------------


def raw_target(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return the path and the query of a request, as they came.

    :param environ: the WSGI environ. waitress gives the raw target as REQUEST_URI,
        gunicorn as RAW_URI; without one, or where it disagrees with the path that
        was routed, the decoded path is escaped again.
    :returns: path (begins with ``/``, includes SCRIPT_NAME) and query (without ``?``).
    """
    decoded = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    query = environ.get("QUERY_STRING", "")
    raw = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if raw == decoded and not query and _UNESCAPED.fullmatch(raw):
        return raw, query  # many targets
    path = _path_of(raw)
    if not _says(path, decoded):
        mount = environ.get("SCRIPT_NAME", "")
        # A proxy in front may have taken the mount point away.
        below = mount and _says(path, environ.get("PATH_INFO", ""))
        path = escaped(mount) + path if below else escaped(decoded) or "/"
    return _ascii(path), _ascii(query)


def request_target(environ: Mapping[str, Any]) -> str:
    """Return the target of a request in origin form, as :func:`raw_target` reads it.

    :param environ: the WSGI environ.
    """
    raw: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    is_path = raw == environ.get("PATH_INFO") and not environ.get("SCRIPT_NAME")
    if is_path and not environ.get("QUERY_STRING") and _UNESCAPED.fullmatch(raw):
        return raw  # many
    path, query = raw_target(environ)
    return f"{path}?{query}" if query or has_empty_query(environ) else path


def has_empty_query(environ: Mapping[str, Any]) -> bool:
    """Say whether a request came with a ``?`` and nothing after it.

    That is another URI than the one without (RFC 3986 section 6.2.3); WSGI has no place
    for the difference, so it shows only where the server gives the raw target.

    :param environ: the WSGI environ.
    """
    raw: str = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    if "?" not in raw or environ.get("QUERY_STRING"):
        return False  # nearly all
    target = raw.partition("#")[0]
    decoded = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    # A view may forward another path, and a tween may have taken the query away.
    return target.find("?") == len(target) - 1 and _says(_path_of(target), decoded)


def _says(path: str, decoded: str) -> bool:
    """Say whether a raw path is this decoded one."""
    if not path.startswith("/"):
        return False
    if path == decoded and "%" not in path:  # many paths
        return True
    return unquote_to_bytes(_ascii(path)) == decoded.encode("latin-1")


def decoded_path(target: str) -> str:
    """Return the path of a raw request target, decoded as servers decode it (PEP 3333).

    :param target: in origin-form or absolute-form.
    """
    return unquote_to_bytes(_ascii(_path_of(target))).decode("latin-1")


def escaped(decoded: str) -> str:
    """Escape a decoded path of the environ."""
    return quote(decoded.encode("latin-1"), safe=_DECODED_SAFE)


def _path_of(target: str) -> str:
    """Return the path of a request target: origin-form or absolute-form."""
    if not target.startswith("/"):
        target = _SCHEME.sub("", target, count=1)
    return target.partition("?")[0].partition("#")[0]


def _ascii(text: str) -> str:
    """Escape the bytes outside ASCII of a WSGI string, and nothing else."""
    if text.isascii():
        return text
    return quote(text.encode("latin-1"), safe="".join(map(chr, range(0x21, 0x7F))))


# -- making safe ---------------------------------------------------------------


def safe_target(environ: MutableMapping[str, Any]) -> tuple[str, str]:
    """Return the path and the query of a request, as they came, the path made safe.

    Whoever asks first finds them, all others get the same. Where a view has changed
    the path or the query since, or those of a copy, they are found anew.

    :param environ: the WSGI environ.
    :raises MalformedRequest: as :func:`check_path` says.
    """
    mount, path = environ.get("SCRIPT_NAME"), environ.get("PATH_INFO")
    said = mount, path, environ.get("QUERY_STRING")
    kept: tuple[Any, tuple[str, str]] | None = environ.get(SAFE)
    if kept is not None and kept[0] == said:
        return kept[1]
    found = raw_target(environ)
    check_path(found[0])
    environ[SAFE] = said, found
    return found


def check_path(path: str) -> None:
    """Refuse a path that somebody could read in another way.

    :param path: the raw path.
    :raises MalformedRequest: for malformed escapes, control characters, bytes that
        are not UTF-8, and dot segments in any disguise: escaped once or several
        times, glued to an escaped slash or backslash, or with a path parameter.
    """
    if _UNESCAPED.fullmatch(path) and "/." not in path:
        return  # most paths
    if not path.startswith("/"):  # what follows an authority could be part of it
        raise MalformedRequest("The path does not begin with a slash.")
    if _BAD_ESCAPE.search(path):
        raise MalformedRequest("The path has a malformed percent-escape.")
    found = path.encode("latin-1", "replace")
    for _ in range(MAX_DECODINGS):
        _check_characters(found)
        _check_segments(found)
        decoded = unquote_to_bytes(found)
        if decoded == found:
            return
        found = decoded
    raise MalformedRequest("The path is escaped too many times.")


def split_target(target: str) -> tuple[str, str]:
    """Split the target that a view gives into the path and the query.

    :param target: percent-encoded, in origin-form.
    :raises MalformedRequest: as :func:`check_path` says, and for a fragment, which a
        request target has not (RFC 9112 section 3.2.1).
    """
    path, _, query = target.partition("?")
    check_path(path)
    if "#" in target:
        raise MalformedRequest("The target has a fragment.")
    return path, query


def _check_characters(path: bytes) -> None:
    if _CONTROL.search(path):
        raise MalformedRequest("The path has a control character.")
    try:
        path.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedRequest("The path of the URL is not UTF-8.") from error


def _check_segments(path: bytes) -> None:
    for segment in _SEPARATORS.split(path):
        # `..;x` is `..` for servers that cut path parameters off before resolving.
        if segment.partition(b";")[0] in (b".", b".."):
            raise MalformedRequest("The path has a dot segment.")


# -- cutting the prefix ----------------------------------------------------------


def tail_of(path: str, prefix: str, decoded: str) -> str:
    """Cut a route's prefix off a raw path.

    :param path: the raw path, without SCRIPT_NAME.
    :param prefix: what stands before the ``*tail`` in the route's pattern, e.g.
        ``/api/`` or ``/users/{id}/``.
    :param decoded: the decoded path that the route matched (PATH_INFO).
    :returns: the rest, beginning with ``/``.
    :raises MalformedRequest: where an escaped slash in the prefix makes the raw and
        the decoded path disagree about where the rest begins, or where the cut makes
        a dot segment: ``/api*path`` and ``/api../x``.
    """
    start = _length_of(prefix, decoded)
    if path == decoded and "%" not in path:  # most paths
        tail = path[start:]
    else:
        at = _place_in(path, len(decoded[:start].encode("utf-8")))
        if _ESCAPED_SLASH.search(path, 0, at):
            raise MalformedRequest("The path has an escaped slash where none can be.")
        tail = path[at:]
    if prefix.endswith("/"):
        return "/" + tail
    tail = tail if tail.startswith("/") else "/" + tail
    check_path(tail)  # it begins within a segment, so that this one is new
    return tail


def _length_of(prefix: str, decoded: str) -> int:
    """Return how much of a decoded path the prefix of a pattern matches."""
    if decoded.startswith(prefix) and "{" not in prefix:
        return len(prefix)
    found = _compiled(prefix).match(decoded)
    if found:
        return found.start(found.re.groups)
    # Somebody has exchanged the path since it was matched.
    return len(decoded) - len(decoded.split("/", prefix.count("/"))[-1])


@lru_cache(maxsize=1024)
def _compiled(prefix: str) -> re.Pattern[str]:
    """Compile a prefix as Pyramid compiles patterns; its last group is the rest."""
    places = _PLACE if _PLACE.search(prefix) else _OLD_PLACE
    literals = [re.escape(text) for text in places.split(prefix)]
    values = [
        f"(?:{name[1:-1].partition(':')[2] or '[^/]+'})" if name[0] == "{" else "[^/]+"
        for name in places.findall(prefix)
    ]
    pairs = zip(literals, [*values, "(.*)"], strict=True)
    pattern = "".join(literal + value for literal, value in pairs)
    return re.compile(pattern + r"\Z", re.DOTALL)


def _place_in(path: str, size: int) -> int:
    """Return the place in a raw path before which `size` bytes stand."""
    at = 0
    for _ in range(size):
        at += 3 if path[at : at + 1] == "%" else 1
    return at


def split_mount(path: str, script_name: str) -> tuple[str, str]:
    """Split a raw path into the mount point and what is below it.

    :param script_name: SCRIPT_NAME, decoded; no slash at its end (PEP 3333).
    :raises MalformedRequest: where an escaped slash makes the raw and the decoded path
        disagree about where the mount point ends: ``/app%2Fapi/x``.
    """
    at = _place_in(path, len(script_name))  # latin-1: one character is one byte
    below = path[at:] or "/"
    if _ESCAPED_SLASH.search(path, 0, at) or not below.startswith("/"):
        raise MalformedRequest("The path has an escaped slash where none can be.")
    return escaped(script_name), below


# -- joining and rewriting ---------------------------------------------------------


def join_path(base: str, path: str) -> str:
    """Join a destination's base path and a path with exactly one slash between.

    :param base: percent-encoded; may be empty.
    :param path: percent-encoded, begins with ``/``; more slashes are kept.
    """
    return (base.rstrip("/") + path) if base else path


def join_query(first: str, second: str) -> str:
    """Join two queries (without ``?``); either may be empty."""
    return f"{first}&{second}" if first and second else first or second


def names_in(pattern: str) -> frozenset[str]:
    """Return the names of a route's pattern, or of one that :func:`fill_pattern` takes.

    That is ``{name}`` and a trailing ``*name``; ``:name`` where none is in braces.
    """
    places = _PLACE.findall(pattern) or _OLD_PLACE.findall(pattern)
    named = [each.strip("{}:").partition(":")[0] for each in places]
    return frozenset(named + _TAIL_NAME.findall(pattern))


def fill_pattern(pattern: str, values: Mapping[str, Any]) -> str:
    """Fill ``{name}`` and a trailing ``*name`` of a path pattern.

    :param values: a matchdict: decoded values; each becomes exactly one segment,
        so that a slash in it is escaped; a tuple, which is what a tail is, becomes
        several, in either form.
    :raises KeyError: naming the pattern, for a name that `values` does not have.
    :raises MalformedRequest: where a value makes a dot segment: ``/x{id}`` matched
        ``/x..`` and the pattern is ``/{id}``.
    """

    def value_of(name: str) -> Any:
        if name not in values:
            raise KeyError(f"{pattern!r} needs {name!r}, which the route does not have")
        return values[name]

    def segments(match: re.Match[str]) -> str:
        value = value_of(match[1] or match[2])
        parts = value if isinstance(value, (tuple, list)) else (value,)
        return "/".join(quote(str(part), safe="~!$&'()*+,;=:@-._") for part in parts)

    filled = _NAMED.sub(segments, pattern)
    check_path(filled)
    return filled


def is_sendable(pattern: str) -> bool:
    """Say whether what :func:`fill_pattern` makes of a pattern can be a path to send.

    :param pattern: percent-encoded, with places for values: the query is not its part.
    """
    try:
        filled = fill_pattern(pattern, dict.fromkeys(names_in(pattern), "x"))
    except MalformedRequest:
        return False
    return _UNESCAPED.fullmatch(filled.replace("%", "")) is not None


def edit_query(
    query: str,
    *,
    set_: Mapping[str, str] | None = None,
    add: Iterable[tuple[str, str]] = (),
    remove: Sequence[str] = (),
) -> str:
    """Change parameters of a query; all others stay as they are, byte by byte.

    :param query: percent-encoded, without ``?``.
    :param set_: parameters to replace: their other values go.
    :param add: parameters to append.
    :param remove: names of parameters to take out.
    """
    gone = {*remove, *(set_ or {})}
    pairs = query.split("&") if query else []
    kept = [pair for pair in pairs if _name_of(pair) not in gone]
    new = [*(set_ or {}).items(), *add]
    return "&".join(kept + [f"{quote_plus(n)}={quote_plus(v)}" for n, v in new])


def _name_of(pair: str) -> str:
    name = pair.partition("=")[0].replace("+", " ")
    return unquote_to_bytes(name).decode("utf-8", "replace")
