"""A name for each request, the same in the logs of all who handle it. Pure."""

from __future__ import annotations

import re
import secrets
from collections.abc import MutableMapping
from typing import Any

from pyramid_restproxy.grammar import environ_key

__all__ = ["TRACE_ID", "name_request", "trace_id"]

#: What may come from another: nothing that could be read as more in a log.
_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")

#: The trace id of a traceparent (W3C Trace Context section 3.2.2).
TRACE_ID = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def name_request(environ: MutableMapping[str, Any], field: str, believed: bool) -> str:
    """Give a request its id, where the forwarder finds it as a field of the client's.

    :param environ: the WSGI environ; changed.
    :param field: the name of the field, e.g. ``X-Request-ID``.
    :param believed: whether an id that came along counts.
    :returns: the id.
    """
    key = environ_key(field)
    said = environ.get(key, "")
    if not (believed and _ID.fullmatch(said)):
        environ[key] = said = secrets.token_hex(16)
    return str(said)


def trace_id(environ: MutableMapping[str, Any]) -> str | None:
    """Return the trace that a request belongs to, or None."""
    found = TRACE_ID.fullmatch(environ.get("HTTP_TRACEPARENT", ""))
    return found[1] if found and found[1].strip("0") else None
