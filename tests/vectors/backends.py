"""The backends of gateway.json: those of the test kit, and what needs more than one."""

from __future__ import annotations

import socket
from contextlib import ExitStack, contextmanager
from typing import Any

from pyramid_restproxy.testing import backend_playing
from pyramid_restproxy.testing.behaviours import check_keys

#: What those kinds read that are made here.
OWN_KINDS = {"dns_error": (), "blackhole": (), "cluster": ("destinations",)}


@contextmanager
def behaving(behaviour: dict[str, Any]):
    """Run what `behaviour` says; give authority, record, and all authorities.

    :raises ValueError: for what is not known.
    """
    kind = behaviour["kind"]
    if kind in OWN_KINDS:
        check_keys(behaviour, ("kind", *OWN_KINDS[kind]), kind)
    with ExitStack() as stack:
        if kind == "dns_error":
            yield "nope.invalid", [], None
        elif kind == "blackhole":
            yield stack.enter_context(full_backlog()), [], None
        elif kind == "cluster":
            parts = [
                stack.enter_context(
                    backend_playing({"kind": "sequence", "steps": [step]})
                )
                for step in behaviour["destinations"]
            ]
            authorities = [part.authority for part in parts]
            yield authorities[0], Joined([part.seen for part in parts]), authorities
        else:
            backend = stack.enter_context(backend_playing(behaviour))
            yield backend.authority, backend.seen, None


class Joined:
    """The records of several backends as one."""

    def __init__(self, records):
        self._records = records

    def __iter__(self):
        return (request for record in self._records for request in record)


@contextmanager
def full_backlog():
    """A port that accepts nobody any more."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(5):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        yield f"127.0.0.1:{full.getsockname()[1]}"
