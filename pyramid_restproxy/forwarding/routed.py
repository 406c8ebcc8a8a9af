"""What to send for a routed request: what the route's pattern says of its path."""

from __future__ import annotations

import re
from functools import lru_cache

from pyramid.request import Request

from pyramid_restproxy.forwarding.target import (
    Target,
    fill_pattern,
    safe_target,
    split_mount,
    tail_of,
)

__all__ = ["prefix_of", "route_target"]

#: The ``*tail`` of a pattern, as Pyramid finds it.
_TAIL = re.compile(r"\*\w*\Z")


@lru_cache(maxsize=1024)
def prefix_of(pattern: str) -> str | None:
    """Return what stands before the ``*tail`` of a route's pattern.

    :returns: e.g. ``/api/``; None where the pattern has no tail.
    """
    found = _TAIL.search(pattern)
    if found is None:
        return None
    before = pattern[: found.start()]
    return before if before.startswith("/") else "/" + before


def route_target(
    request: Request, pattern: str | None = None, strip_prefix: bool = True
) -> Target:
    """Return what to send for a routed request.

    :param pattern: a pattern for the path to send, filled from the matchdict; where it
        ends in the route's own tail, that is sent as it came.
    :param strip_prefix: whether only the tail of the route's pattern is sent.
    :raises KeyError: for a name in `pattern` that the route's pattern has not.
    :raises MalformedRequest: where the path could be read in two ways.
    """
    environ = request.environ
    path, query = safe_target(environ)
    script_name = environ.get("SCRIPT_NAME", "")
    mount, below = split_mount(path, script_name) if script_name else ("", path)
    route = request.matched_route  # None where a view was found by traversal
    prefix = prefix_of(route.pattern) if route else None
    base = ""
    if pattern is not None:
        values = request.matchdict or {}
        found = _TAIL.search(pattern)
        if found is None or prefix is None or not route.pattern.endswith(found[0]):
            return Target(fill_pattern(pattern, values), query)
        base = fill_pattern(pattern[: found.start()], values).rstrip("/")
    elif prefix is None or not strip_prefix:
        return Target(below, query, mount)
    cut, tail = _cut(request, prefix, below)
    return Target(base + tail, query, mount + cut, base)


def _cut(request: Request, prefix: str, below: str) -> tuple[str, str]:
    """Cut a path where the tail of the route begins."""
    info = request.environ["PATH_INFO"] or "/"  # as Pyramid matches an empty one
    tail = tail_of(below, prefix, info if info.isascii() else request.path_info)
    cut = below[: len(below) - len(tail)] if below.endswith(tail) else prefix
    return cut.rstrip("/"), tail
