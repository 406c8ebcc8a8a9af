"""The backend of a vector: from its ``backend_behaviour`` to a `FaultBackend`."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from pyramid_restproxy.testing.backend import Answer, RecordedRequest
from pyramid_restproxy.testing.failing import FaultBackend
from pyramid_restproxy.testing.faults import (
    After,
    Fault,
    Peer,
    certificate,
    close,
    hang,
    raw,
    refuse,
    reset,
)

__all__ = ["backend_playing", "check_keys", "filled", "steps_of"]

Behaviour = Mapping[str, Any]

#: What ``$BACKEND`` and the like stand for.
Names = Mapping[str, str]


def backend_playing(behaviour: Behaviour) -> FaultBackend:
    """Make the backend that behaves as a vector says.

    :param behaviour: its `kind`, one of ``respond``, ``raw_bytes``, ``stream``,
        ``sequence``, ``close``, ``reset``, ``silence``, ``refuse``, ``circuit_open``
        (nobody listens: nobody should ask), ``tls_self_signed``, ``tls_expired`` and
        ``tls_wrong_host``, and what belongs to that kind.
    :returns: a backend that is not started; use it as a context manager.
    :raises ValueError: for what is not known: nothing that a vector says is left out.
    """
    names: dict[str, str] = {}
    steps = _played(behaviour, names)
    backend = FaultBackend(*steps, tls=behaviour["kind"].startswith("tls_"))
    names.update({"$BACKEND": backend.authority, "$BACKEND_PORT": str(backend.port)})
    return backend


def check_keys(given: Mapping[str, Any], known: Iterable[str], what: str) -> None:
    """Refuse a key that nobody reads; those that end in ``_note`` are for people.

    :param what: what it is a key of, for the error.
    :raises ValueError: naming the keys.
    """
    unknown = sorted(k for k in set(given) - set(known) if not k.endswith("_note"))
    if unknown:
        raise ValueError(f"{what}: not known: {', '.join(unknown)}")


def filled(text: str, names: Names) -> str:
    """Fill placeholders; a longer one comes before one that begins alike."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, names[name])
    return text


def _played(behaviour: Behaviour, names: Names) -> list[Any]:
    kind = behaviour["kind"]
    if kind not in _KINDS:
        raise ValueError(f"unknown behaviour of a backend: {kind!r}")
    make, keys = _KINDS[kind]
    check_keys(behaviour, {"kind", *keys.split()}, f"a backend that plays {kind!r}")
    return make(behaviour, names)


def _one_of(behaviour: Behaviour, key: str, known: Iterable[str], default: str) -> str:
    """Return the word that a behaviour has for something."""
    word: str = behaviour.get(key, default)
    if word not in known:
        raise ValueError(f"{key!r}: {word!r}: expected one of {', '.join(known)}")
    return word


def _respond(behaviour: Behaviour, names: Names) -> list[Any]:
    """Answer, perhaps late.

    ``$BACKEND`` in a field is where it listens, ``$GATEWAY`` who asks.
    """
    if behaviour.get("body_b64"):
        body = base64.b64decode(behaviour["body_b64"])
    else:
        body = (behaviour.get("body") or "").encode("utf-8")

    delay = behaviour.get("delay_ms", 0) / 1000

    def answer(request: RecordedRequest) -> Answer | Fault:
        pairs = _fields(behaviour, _with_gateway(names, request))
        reason = behaviour.get("reason", "Reason")
        made = Answer(behaviour.get("status", 200), pairs, body, reason=reason)
        return _late(made, request, delay) if delay else made

    return [answer]


def _late(answer: Answer, request: RecordedRequest, delay: float) -> Fault:
    content = b"" if request.method == "HEAD" else answer.body

    def play(peer: Peer) -> bool:
        if not peer.stay(delay):
            return False
        peer.send(answer.head() + content)
        return True

    return Fault("late answer", play)


def _fields(behaviour: Behaviour, names: Names) -> list[tuple[str, str]]:
    pairs = behaviour.get("headers") or ()
    return [(name, filled(value, names)) for name, value in pairs]


def _with_gateway(names: Names, request: RecordedRequest) -> Names:
    public = request.header("X-Forwarded-Host")
    return {**names, "$GATEWAY": public} if public else names


_ENDS = ("close", "reset", "hang", "keep")


def _raw_bytes(behaviour: Behaviour, names: Names) -> list[Any]:
    """Send exactly these bytes, after the whole request or before its body is read."""
    then: Any = _one_of(behaviour, "then", _ENDS, "close")
    when = _one_of(behaviour, "when", ("before_body_read", "after_body_read"),
                   "after_body_read")  # fmt: skip
    text = behaviour["bytes_latin1"]

    def play(peer: Peer) -> bool:
        going_on = raw(filled(text, names).encode("latin-1"), then).play(peer)
        if when == "before_body_read" and then == "close":
            peer.finish()  # what is not read would make the close a reset
        return going_on

    return [Fault("bytes", play, "head" if when == "before_body_read" else "request")]


_STREAM_ENDS = ("end", "stall", "close", "reset")


def _stream(behaviour: Behaviour, names: Names) -> list[Any]:
    """Send chunks with pauses between them, and then end, break off or stall."""
    then = _one_of(behaviour, "then", _STREAM_ENDS, "end")
    chunks = [each.encode("utf-8") for each in behaviour["chunks"]]
    delay, interval = (
        behaviour.get(name, 0) / 1000 for name in ("initial_delay_ms", "interval_ms")
    )

    def play(peer: Peer) -> bool:
        answer = Answer(
            behaviour.get("status", 200),
            _fields(behaviour, names),
            pieces=chunks * behaviour.get("repeat", 1),
        )
        pieces = list(answer.framed())
        if then != "end" and answer.chunked:
            pieces.pop()  # the last chunk, which would be the end
        peer.send(answer.head())
        if delay and not peer.stay(delay):
            return False
        if not peer.send_slowly(pieces, interval):
            return False
        if then == "reset":
            peer.reset()
        return peer.stay() if then == "stall" else then == "end"

    return [Fault("stream", play)]


def _broken(make: Callable[..., Fault]) -> Callable[[Behaviour, Names], list[Any]]:
    """Make what plays the end of a connection, or silence, at some place."""

    def steps(behaviour: Behaviour, names: Names) -> list[Any]:
        given: dict[str, Any] = {
            "after": _one_of(behaviour, "after", get_args(After), "request")
        }
        if "seconds" in behaviour:
            given["seconds"] = behaviour["seconds"]
        return [make(**given)]

    return steps


def _sequence(behaviour: Behaviour, names: Names) -> list[Any]:
    return [step for each in behaviour["steps"] for step in steps_of(each, names)]


_ANSWER = re.compile(
    r"(?:respond(?: keep-alive)?)? ?(\d{3})?(?: x(\d+))?(?: ([^:]+): (.*))?"
)
_BREAK = re.compile(
    r"(refuse|close|reset|silence)(?: after ([a-z-]+))?(?: x(\d+))?", re.ASCII
)


def steps_of(given: str | Behaviour, names: Names | None = None) -> list[Any]:
    """Read the short form of steps.

    :param given: ``respond``, ``respond 404``, ``503 Retry-After: 0``; ``close``,
        ``reset`` or ``silence``, also ``after head`` and the like; ``read request then
        close``; ``refuse``; ``close x3 then respond``; or a whole behaviour.
    :param names: what placeholders stand for.
    :returns: steps for :class:`FaultBackend`.
    :raises ValueError: for what is none of these.
    """
    if not isinstance(given, str):
        return _played(given, names or {})
    parts = given.replace("read request then ", "").split(" then ")
    return [step for part in parts for step in _steps(part)]


def _steps(text: str) -> list[Any]:
    broken, answered = _BREAK.fullmatch(text), _ANSWER.fullmatch(text)
    if broken and (broken[2] is None or broken[2] in get_args(After)):
        return [_break(broken[1], broken[2])] * int(broken[3] or 1)
    if text and answered:
        headers = [(answered[3], answered[4])] if answered[3] else []
        answer = Answer(int(answered[1] or 200), headers, b"ok")
        return [answer] * int(answered[2] or 1)
    raise ValueError(f"unknown step {text!r}")


def _break(what: str, after: Any) -> Fault | None:
    if what == "refuse" and after is None:
        return refuse()
    if what == "close" and after is None:
        return None
    if what not in _BREAKS:
        raise ValueError(f"unknown step: {what!r} after {after!r}")
    return _BREAKS[what](after or "request")


_BREAKS: dict[str, Callable[..., Fault]] = {
    "close": close,
    "reset": reset,
    "silence": hang,
}

_RESPOND = "status headers body body_b64 reason delay_ms"

#: Kinds of behaviour: what plays them, and the keys that it reads.
_KINDS: dict[str, tuple[Callable[[Behaviour, Names], list[Any]], str]] = {
    "respond": (_respond, _RESPOND),
    "raw_bytes": (_raw_bytes, "bytes_latin1 when then"),
    "stream": (
        _stream,
        "status headers chunks repeat initial_delay_ms interval_ms then",
    ),
    "sequence": (_sequence, "steps"),
    "close": (_broken(close), "after"),
    "reset": (_broken(reset), "after"),
    "silence": (_broken(hang), "after seconds"),
    "refuse": (lambda behaviour, names: [refuse()], ""),
    "circuit_open": (lambda behaviour, names: [refuse()], ""),
    "tls_self_signed": (lambda behaviour, names: [certificate("self-signed")], ""),
    "tls_expired": (lambda behaviour, names: [certificate("expired")], ""),
    "tls_wrong_host": (lambda behaviour, names: [certificate("wrong-host")], ""),
}
