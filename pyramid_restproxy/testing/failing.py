"""`FaultBackend`: a backend that fails on purpose, as its script says."""

from __future__ import annotations

import io
import os
import socket
import ssl
import tempfile
from dataclasses import replace
from typing import Any

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.testing.backend import (
    Answer,
    FakeBackend,
    RecordedRequest,
    hang_up,
    read_body,
    read_head,
)
from pyramid_restproxy.testing.certificates import contexts
from pyramid_restproxy.testing.faults import Fault, Peer

__all__ = ["FaultBackend"]


class FaultBackend(FakeBackend):
    """A backend on 127.0.0.1 that plays a script of faults, and of good answers.

    :param steps: what happens, in order, over all connections; the last one is
        repeated. A :class:`~pyramid_restproxy.testing.faults.Fault`, or what
        :class:`FakeBackend` takes. Most are played once a request; those that concern
        the connection itself (refused, reset at once, a bad certificate) once a
        connection. A function of the request may give one of the former.
    :param tls: whether to speak TLS; needs ``trustme``.
    :raises MissingExtra: with `tls`, where ``trustme`` is not installed.

    Before a step that concerns the connection, an open connection is ended.
    """

    def __init__(self, *steps: Any, tls: bool = False) -> None:
        self._tls: dict[str, ssl.SSLContext] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        if tls:
            self._folder = tempfile.TemporaryDirectory(prefix="fault-backend-")
            try:
                self._tls = contexts(self.ca_file)
            except MissingExtra:
                self._folder.cleanup()
                raise
        super().__init__(*steps)
        self.scheme = "https" if tls else "http"

    @property
    def ca_file(self) -> str:
        """The file to give as ``verify``, so that the good certificate is trusted.

        :raises ValueError: where the backend speaks no TLS.
        """
        if self._folder is None:
            raise ValueError("a backend without tls=True has no certificate")
        return os.path.join(self._folder.name, "ca.pem")

    @property
    def seen(self) -> list[RecordedRequest]:
        """The requests, in order; without their bodies where those were not read."""
        return self.requests

    @property
    def open_connections(self) -> int:
        """How many connections are open at this moment."""
        with self._lock:
            return len(self._open.connections)

    def play(self, *steps: Any) -> None:
        """Play another script from now on.

        All connections are ended, so that none goes on with the old one.
        """
        with self._lock:
            self._steps = list(steps) or [Answer()]
            for connection in self._open.connections:
                hang_up(connection)
            self._open.connections.clear()
            if self._listener is None:
                self._listen()
            self._refuse_if_told()

    def close(self) -> None:
        """Stop, and end all connections."""
        super().close()
        if self._folder is not None:
            self._folder.cleanup()

    # -- the script -----------------------------------------------------------

    def _listen(self) -> None:
        if self._moment() != "listening":
            super()._listen()

    def _refuse_if_told(self) -> None:
        if self._moment() == "listening":
            self._stop_listening()

    def _moment(self) -> str:
        """Say when the next step is to be played."""
        step = self._steps[0]
        return step.moment if isinstance(step, Fault) else "request"

    def _at_connection(self, connection: socket.socket) -> Fault | None:
        """Take the next step if it concerns the connection."""
        with self._lock:
            self._check_open(connection)
            if self._moment() != "connection":
                return None
            step: Fault = self._next_step()
            self._refuse_if_told()
            return step

    def _at_request(self, connection: socket.socket) -> tuple[Any, bool]:
        """Take the next step; say whether the connection ends after it."""
        with self._lock:
            self._check_open(connection)
            if self._moment() == "connection":
                # A repeated step, and a client that trusts what it must not.
                return Answer(), True
            step = self._next_step()
            self._refuse_if_told()
            return step, self._moment() in ("listening", "connection")

    def _check_open(self, connection: socket.socket) -> None:
        """Leave the script alone where the connection was ended meanwhile."""
        refused = self._moment() == "listening"
        if refused or connection not in self._open.connections:
            raise ConnectionAbortedError("another script is played")

    # -- one connection ---------------------------------------------------------

    def _converse(self, connection: socket.socket) -> None:
        opening = self._at_connection(connection)
        if opening is not None and not opening.play(Peer(connection)):
            return
        if not self._tls:
            return self._serve_requests(connection)
        context = self._tls[opening.tls if opening else "good"]
        wrapped = self._wrapped(connection, context)
        try:
            wrapped.do_handshake()
            self._serve_requests(wrapped)
        finally:
            self._forget(wrapped)
            wrapped.close()

    def _wrapped(
        self, connection: socket.socket, context: ssl.SSLContext
    ) -> ssl.SSLSocket:
        """Put TLS around a connection, which takes its place in the record."""
        with self._lock:
            self._open.connections.discard(connection)
            wrapped = context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
            self._open.connections.add(wrapped)
        return wrapped

    def _serve_requests(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            while (request := read_head(reader)) is not None:
                step, last = self._at_request(connection)
                if not self._respond(connection, reader, request, step, last) or last:
                    return

    def _respond(
        self,
        connection: socket.socket,
        reader: io.BufferedReader,
        request: RecordedRequest,
        step: Any,
        last: bool,
    ) -> bool:
        """Play one step; return whether the connection goes on."""
        if not (isinstance(step, Fault) and step.moment == "head"):
            request = replace(request, body=read_body(reader, request))
        with self._lock:
            self.requests.append(request)
        given = step(request) if callable(step) else step
        if isinstance(given, Fault):
            return given.play(Peer(connection))
        if last and isinstance(given, Answer):
            given = replace(given, headers=[*given.headers, ("Connection", "close")])
        return self._answer(connection, request, given)
