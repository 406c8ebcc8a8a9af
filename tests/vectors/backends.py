"""The backend behaviours of gateway.json on real sockets."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from contextlib import ExitStack, contextmanager
from typing import Any

import trustme

from pyramid_restproxy.testing import Answer, FakeBackend


@contextmanager
def behaving(behaviour: dict[str, Any]):
    """Run what `behaviour` says; give authority, record, and all authorities."""
    kind = behaviour["kind"]
    with ExitStack() as stack:
        if kind == "refuse":
            yield closed_port(stack), [], None
        elif kind == "dns_error":
            yield "nope.invalid", [], None
        elif kind == "blackhole":
            yield stack.enter_context(full_backlog()), [], None
        elif kind == "tls_self_signed":
            yield stack.enter_context(self_signed()), [], None
        elif kind == "cluster":
            steps = behaviour["destinations"]
            parts = [stack.enter_context(behaving(step_of(step))) for step in steps]
            yield (
                parts[0][0],
                Joined([part[1] for part in parts]),
                [p[0] for p in parts],
            )
        else:
            stop = threading.Event()
            backend = FakeBackend(*steps_of(behaviour, stop))
            stack.callback(stop.set)
            yield stack.enter_context(backend).authority, backend.requests, None
            stop.set()


class Joined:
    """The records of several backends as one."""

    def __init__(self, records):
        self._records = records

    def __iter__(self):
        return (request for record in self._records for request in record)

    def __len__(self):
        return sum(map(len, self._records))

    def __getitem__(self, index):
        return list(self)[index]


def step_of(text: str) -> dict[str, Any]:
    """Read the short form of a step, e.g. ``respond 200``."""
    if text == "refuse":
        return {"kind": "refuse"}
    if text == "respond 200":
        return {"kind": "respond", "status": 200, "headers": [], "body": "ok"}
    raise ValueError(f"unknown step {text!r}")


def steps_of(behaviour: dict[str, Any], stop: threading.Event) -> list[Any]:
    kind = behaviour["kind"]
    if kind == "respond":
        return [substituted(behaviour)]
    if kind == "raw_bytes":
        return [behaviour["bytes_latin1"].encode("latin-1")]
    if kind == "close":
        return [None]
    if kind == "silence":
        return [lambda request: stop.wait(behaviour["seconds"]) and None]
    if kind == "stream":
        return [stream(behaviour, stop)]
    if kind == "sequence":
        ok = Answer(body=b"ok")
        names = {
            "respond keep-alive": ok,
            "respond": ok,
            "read request then close": None,
        }
        return [names[step] for step in behaviour["steps"]]
    raise ValueError(f"unknown behaviour {kind!r}")


def substituted(behaviour: dict[str, Any]):
    """Answer with $BACKEND and $GATEWAY replaced by what the request shows."""
    if behaviour.get("body_b64"):
        body = base64.b64decode(behaviour["body_b64"])
    else:
        body = (behaviour.get("body") or "").encode("utf-8")

    def answer(request):
        own = request.header("Host") or ""
        headers = [(n, v.replace("$BACKEND", own)) for n, v in behaviour["headers"]]
        return Answer(behaviour["status"], headers, body, reason="Reason")

    return answer


def stream(behaviour: dict[str, Any], stop: threading.Event):
    headers = [tuple(pair) for pair in behaviour["headers"]]
    interval = behaviour.get("interval_ms", 0) / 1000
    delay = behaviour.get("initial_delay_ms", 0) / 1000
    chunks = [c.encode("utf-8") for c in behaviour["chunks"]] * behaviour.get(
        "repeat", 1
    )

    def pieces(request):
        found = [lambda: stop.wait(delay)]
        for chunk in chunks:
            found += [chunk, lambda: stop.wait(interval)]
        if behaviour.get("then") == "stall":
            found.append(lambda: stop.wait(10))
        return Answer(200, headers, pieces=found)

    return pieces


def closed_port(stack: ExitStack) -> str:
    bound = stack.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it
    return f"127.0.0.1:{bound.getsockname()[1]}"


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


@contextmanager
def self_signed():
    """A TLS server with a certificate that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
