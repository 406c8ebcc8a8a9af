"""The backend of a vector: from its ``backend_behaviour`` to a `FaultBackend`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from pyramid_restproxy.testing.backend import Answer, RecordedRequest
from pyramid_restproxy.testing.failing import FaultBackend
from pyramid_restproxy.testing.faults import (
    Fault,
    Peer,
    certificate,
    close,
    hang,
    refuse,
)

__all__ = ["backend_playing"]

Behaviour = Mapping[str, Any]


def backend_playing(behaviour: Behaviour) -> FaultBackend:
    """Make the backend that behaves as a vector says.

    :param behaviour: its `kind`, one of ``respond``, ``raw_bytes``, ``stream``,
        ``sequence``, ``close``, ``silence``, ``refuse`` and ``tls_self_signed``, and
        what belongs to that kind.
    :returns: a backend that is not started; use it as a context manager.
    :raises ValueError: for a kind that is not known.
    """
    kind = behaviour["kind"]
    if kind not in _STEPS:
        raise ValueError(f"unknown behaviour of a backend: {kind!r}")
    return FaultBackend(*_STEPS[kind](behaviour), tls=kind.startswith("tls_"))


def _respond(behaviour: Behaviour) -> Callable[[RecordedRequest], Answer]:
    """Answer; ``$BACKEND`` in a field is the Host that the request names."""
    if behaviour.get("body_b64"):
        body = base64.b64decode(behaviour["body_b64"])
    else:
        body = (behaviour.get("body") or "").encode("utf-8")

    def answer(request: RecordedRequest) -> Answer:
        own = request.header("Host") or ""
        pairs = behaviour.get("headers", ())
        headers = [(name, value.replace("$BACKEND", own)) for name, value in pairs]
        return Answer(behaviour.get("status", 200), headers, body, reason="Reason")

    return answer


def _stream(behaviour: Behaviour) -> Fault:
    """Send chunks with pauses between them, and then end or stall."""
    headers = [(name, value) for name, value in behaviour.get("headers", ())]
    chunks = [each.encode("utf-8") for each in behaviour["chunks"]]
    answer = Answer(headers=headers, pieces=chunks * behaviour.get("repeat", 1))
    pieces = list(answer.framed())
    stalls = behaviour.get("then") == "stall"
    if stalls and answer.chunked:
        pieces.pop()  # the last chunk, which would be the end
    delay, interval = (
        behaviour.get(name, 0) / 1000 for name in ("initial_delay_ms", "interval_ms")
    )

    def play(peer: Peer) -> bool:
        peer.send(answer.head())
        if delay and not peer.stay(delay):
            return False
        if not peer.send_slowly(pieces, interval):
            return False
        return peer.stay() if stalls else True

    return Fault("stream", play)


def _sequence(behaviour: Behaviour) -> list[Any]:
    steps: dict[str, Any] = {
        "respond keep-alive": Answer(body=b"ok"),
        "respond": Answer(body=b"ok"),
        "read request then close": None,
    }
    return [steps[name] for name in behaviour["steps"]]


_STEPS: dict[str, Callable[[Behaviour], list[Any]]] = {
    "respond": lambda behaviour: [_respond(behaviour)],
    "raw_bytes": lambda behaviour: [behaviour["bytes_latin1"].encode("latin-1")],
    "stream": lambda behaviour: [_stream(behaviour)],
    "sequence": _sequence,
    "close": lambda behaviour: [close()],
    "silence": lambda behaviour: [hang(seconds=behaviour["seconds"])],
    "refuse": lambda behaviour: [refuse()],
    "tls_self_signed": lambda behaviour: [certificate("self-signed")],
}
