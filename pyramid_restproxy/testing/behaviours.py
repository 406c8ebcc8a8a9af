"""The backend of a vector: from its ``backend_behaviour`` to a `FaultBackend`."""

from __future__ import annotations

import base64
import re
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

__all__ = ["backend_playing", "steps_of"]

Behaviour = Mapping[str, Any]


def backend_playing(behaviour: Behaviour) -> FaultBackend:
    """Make the backend that behaves as a vector says.

    :param behaviour: its `kind`, one of ``respond``, ``raw_bytes``, ``stream``,
        ``sequence``, ``close``, ``silence``, ``refuse``, ``circuit_open`` (nobody
        listens: nobody should ask) and ``tls_self_signed``, and what belongs to that
        kind.
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
    return [step for text in behaviour["steps"] for step in steps_of(text)]


_ANSWER = re.compile(r"(?:respond(?: keep-alive)?)? ?(\d{3})?(?: ([^:]+): (.*))?")
_CLOSE = re.compile(r"(?:read request then )?close(?: x(\d+))?")


def steps_of(text: str) -> list[Any]:
    """Read the short form of steps.

    :param text: ``respond``, ``respond 404``, ``503 Retry-After: 0``, ``close``,
        ``close x3 then respond``, ``read request then close`` or ``refuse``.
    :returns: steps for :class:`FaultBackend`.
    :raises ValueError: for what is none of these.
    """
    first, then, rest = text.partition(" then respond")
    closed, answered = _CLOSE.fullmatch(first), _ANSWER.fullmatch(text)
    if text == "refuse":
        return [refuse()]
    if closed:
        after = steps_of("respond" + rest) if then else []
        return [None] * int(closed[1] or 1) + after
    if text and answered:
        headers = [(answered[2], answered[3])] if answered[2] else []
        return [Answer(int(answered[1] or 200), headers, b"ok")]
    raise ValueError(f"unknown step {text!r}")


_STEPS: dict[str, Callable[[Behaviour], list[Any]]] = {
    "respond": lambda behaviour: [_respond(behaviour)],
    "raw_bytes": lambda behaviour: [behaviour["bytes_latin1"].encode("latin-1")],
    "stream": lambda behaviour: [_stream(behaviour)],
    "sequence": _sequence,
    "close": lambda behaviour: [close()],
    "silence": lambda behaviour: [hang(seconds=behaviour["seconds"])],
    "refuse": lambda behaviour: [refuse()],
    "circuit_open": lambda behaviour: [refuse()],
    "tls_self_signed": lambda behaviour: [certificate("self-signed")],
}
