"""Test kit: backends on real sockets that answer, or fail, as a script says.

::

    with FakeBackend(Answer(200, body=b'ok')) as backend:
        config.add_backend('users', backend.url)
        ...
        assert backend.requests[0].target == '/7?full=1'

    with FaultBackend(faults.reset(after='head')) as backend:
        ...

Also a client of bare sockets (:func:`exchange`), the runner of test cases that
are data (:func:`load_vectors`, :func:`send`, :func:`check`), and the tests of a codec
of your own (:class:`CodecContract`).
"""

from __future__ import annotations

from pyramid_restproxy.services.contract import CodecContract
from pyramid_restproxy.testing.backend import Answer, FakeBackend, RecordedRequest
from pyramid_restproxy.testing.behaviours import backend_playing
from pyramid_restproxy.testing.client import Reply, exchange
from pyramid_restproxy.testing.failing import FaultBackend
from pyramid_restproxy.testing.vectors import check, load_vectors, send

__all__ = [
    "Answer",
    "CodecContract",
    "FakeBackend",
    "FaultBackend",
    "RecordedRequest",
    "Reply",
    "backend_playing",
    "check",
    "exchange",
    "load_vectors",
    "send",
]
