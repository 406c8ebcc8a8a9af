"""Telling caches on what the answer to a request depends.

Without it a cache on the way would give the answer to who may not have it (RFC 9111
section 4.1). How a Vary field is written is in ``negotiation``.
"""

from __future__ import annotations

from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.forwarding.fields import canonical_name
from pyramid_restproxy.negotiation import add_vary

__all__ = ["vary"]

#: Environ key of the names that were given so far.
NAMES = "pyramid_restproxy.vary"


def vary(request: Request, field: str) -> None:
    """Say that the answer depends on a field of the request; errors too.

    :param field: the field with the credential; ``*`` where other things count as
        well, such as the time (RFC 9110 section 12.5.5).
    """
    environ = request.environ
    if NAMES not in environ:
        environ[NAMES] = []
        request.add_response_callback(_tell)
    environ[NAMES].append(field)


def _tell(request: Request, response: Response) -> None:
    fields = request.environ.pop(NAMES)
    names = ("*",) if "*" in fields else dict.fromkeys(map(canonical_name, fields))
    for name in names:
        add_vary(response.headerlist, name)
