"""Calls to cache, a backend made of a list, and a clock that is set by hand."""

from __future__ import annotations

from types import SimpleNamespace

from pyramid.request import Request

from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.model import Answer, ProxyCall

#: Sun, 06 Nov 1994 08:49:37 GMT
NOW = 784111777.0
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"

DESTINATION = Destination.parse("b", "http://backend:8080/base")


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


def call(path="/x", *, method="GET", fields=(), environ=None, **more):
    """Make a call as the forwarder does."""
    made = {
        "REQUEST_METHOD": method,
        "HTTP_HOST": "public",
        "REMOTE_ADDR": "192.0.2.1",
        **(environ or {}),
    }
    request = Request.blank("/api" + path, environ=made)
    request.registry = object()
    path, _, query = path.partition("?")
    values = {
        "request": request,
        "backend": SimpleNamespace(name="b"),
        "method": method,
        "path": path,
        "query": query,
        "headers": FieldList([("X-Forwarded-Host", "public"), *fields]),
        "prefix": "/api",
    }
    return ProxyCall(**{**values, **more})


class Pieces:
    """Content in pieces; a callable among them is called, an error raised."""

    def __init__(self, *pieces, known_end=True):
        self.left = list(pieces)
        self.known_end = known_end
        self.closed = False

    @property
    def at_end(self):
        return self.known_end and not self.left

    def read_piece(self):
        while self.left:
            piece = self.left.pop(0)
            if isinstance(piece, Exception):
                raise piece
            if not callable(piece):
                return piece
            piece()
        return b""

    def close(self):
        self.left.clear()
        self.closed = True


def answer(*pieces, status=200, reason="OK", fields=(), **more):
    """Make an answer, framed unless `framed` is False."""
    pieces = pieces or (b"hello",)
    framing = [("Transfer-Encoding", "chunked")] if more.pop("framed", True) else []
    content = Pieces(*pieces, **more)
    return Answer(status, reason, FieldList([*framing, *fields]), content)


def cacheable(*pieces, control="max-age=60", fields=(), **more):
    """Make an answer that may be stored."""
    fields = [("Cache-Control", control), *fields]
    return answer(*pieces, fields=fields, **more)


class Origin:
    """A backend that gives these answers, one after the other; errors are raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []

    def __call__(self, sent):
        fields = {name.lower(): value for name, value in sent.headers}
        self.calls.append(SimpleNamespace(call=sent, fields=fields))
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        given = given() if callable(given) else given
        sent.destination = DESTINATION
        return given


def read(given):
    """Read an answer to its end, as a server does."""
    content = b""
    while piece := given.body.read_piece():
        content += piece
    given.close()
    return content
