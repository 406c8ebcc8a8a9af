"""Test cases as data: JSON vectors that any gateway can be checked with.

A vector says what a client sends, how the backend behaves, and what each side must
see. Here they are loaded, sent, and compared; what the backend does is in
``behaviours``. The format is in the documentation (``docs/testing.rst``).
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pyramid_restproxy.testing.backend import RecordedRequest
from pyramid_restproxy.testing.client import Reply, exchange

__all__ = [
    "Vector",
    "check",
    "content_of",
    "differences",
    "load_vectors",
    "requests_of",
    "send",
    "value_fits",
]

#: One test case, as it is in the file.
Vector = Mapping[str, Any]

#: What ``$BACKEND`` and the like stand for.
Names = Mapping[str, str]


def load_vectors(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read vectors.

    :param path: a JSON file: a list, or an object with the list as ``vectors``.
    :raises ValueError: where a vector has no id, or that of another.
    """
    found = json.loads(pathlib.Path(path).read_text("utf-8"))
    vectors: list[dict[str, Any]]
    vectors = found if isinstance(found, list) else found["vectors"]
    seen = set()
    for vector in vectors:
        own = vector.get("id")
        if not own or own in seen:
            raise ValueError(f"{path}: {own!r} is no id, or not unique")
        seen.add(own)
    return vectors


# -- the client ---------------------------------------------------------------------


def send(vector: Vector, authority: str) -> list[Reply]:
    """Send what the client of a vector sends.

    :param authority: host and port of the gateway.
    :returns: a reply for each request.
    """
    return [_send(spec, authority) for spec in requests_of(vector)]


def requests_of(vector: Vector) -> list[Mapping[str, Any]]:
    """Return the requests of a vector: one, a sequence, or one repeated."""
    request = vector["client_request"]
    if "sequence" in request:
        return list(request["sequence"])
    behaviour = vector["backend_behaviour"]
    if behaviour["kind"] == "sequence":
        # the step before the last is what the vector is about
        return [request] * (len(behaviour["steps"]) - 1)
    return [request] * request.get("repeat", 1)


def _send(spec: Mapping[str, Any], authority: str) -> Reply:
    names = {"$GATEWAY": authority}
    headers = [(name, _filled(value, names)) for name, value in spec.get("headers", ())]
    present = {name.lower() for name, _ in headers}
    body = content_of(spec)
    if "host" not in present and not spec.get("no_host"):
        headers.insert(0, ("Host", authority))
    if spec.get("chunked"):
        if "transfer-encoding" not in present:
            headers.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    elif body and "content-length" not in present:
        headers.append(("Content-Length", str(len(body))))
    lines = [f"{spec['method']} {_filled(spec['target'], names)} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return exchange(authority, head + body, spec["method"])


def content_of(spec: Mapping[str, Any]) -> bytes:
    """Return the content of a request: ``body``, ``body_b64`` or ``body_size``."""
    if spec.get("body_b64"):
        return base64.b64decode(spec["body_b64"])
    if spec.get("body_size"):
        return b"x" * int(spec["body_size"])
    return (spec.get("body") or "").encode("utf-8")


# -- comparing ----------------------------------------------------------------------


def check(
    vector: Vector,
    replies: Sequence[Reply],
    seen: Sequence[RecordedRequest] = (),
    names: Names | None = None,
    also: Mapping[str, Callable[..., bool]] | None = None,
) -> None:
    """Compare what happened with what a vector expects.

    :param replies: what the client got; the last one is compared.
    :param seen: what the backend saw.
    :param names: what placeholders stand for: ``$BACKEND``, ``$GATEWAY``, ``$PEER``.
    :param also: more expectations, by their key in the vector:
        ``(wanted, replies, seen) -> bool``.
    :raises AssertionError: with every difference.
    :raises ValueError: for an expectation that is not known, so that a misspelt one
        is not taken for met.
    """
    found = list(differences(vector, replies, seen, names or {}, also or {}))
    if found:
        title = f"{vector['id']} {vector.get('title', '')}".strip()
        raise AssertionError("\n- ".join([title, *found]))


def differences(
    vector: Vector,
    replies: Sequence[Reply],
    seen: Sequence[RecordedRequest],
    names: Names,
    also: Mapping[str, Callable[..., bool]],
) -> Iterator[str]:
    """Say what is not as a vector expects, one line each (see :func:`check`)."""
    reply = replies[-1]
    gets = vector.get("expect_client_gets") or {}
    for key, wanted in gets.items():
        if key in also:
            if not also[key](wanted, replies, seen):
                yield f"client, {key}: not {wanted!r}"
        else:
            rule = _rule(_CLIENT, key, vector)
            yield from _named("client", key, rule(wanted, reply, names))
    yield from _content_differences(vector, gets, reply, seen)
    sees = vector.get("expect_backend_sees") or {}
    if isinstance(sees, Mapping):
        yield from _backend_differences(vector, sees, replies, seen, names, also)


def _rule(rules: Mapping[str, Any], key: str, vector: Vector) -> Any:
    if key.endswith("_note"):  # for people
        return _nothing
    if key not in rules:
        raise ValueError(f"{vector['id']}: the expectation {key!r} is not known")
    return rules[key]


def _named(side: str, key: str, found: Iterator[str]) -> Iterator[str]:
    return (f"{side}, {key}: {each}" for each in found)


def _nothing(*_: Any) -> Iterator[str]:
    yield from ()


def value_fits(value: str | None, wanted: Any) -> bool:
    """Say whether the value of a field is the wanted one.

    :param wanted: the value; a list for any of several; None for no such field;
        ``~x`` for one that contains x, ``!x`` for one that does not, in any case of
        letters.
    """
    if wanted is None:
        return value is None
    if isinstance(wanted, list):
        return any(value_fits(value, each) for each in wanted)
    if wanted.startswith("~"):
        return value is not None and wanted[1:].lower() in value.lower()
    if wanted.startswith("!"):
        return wanted[1:].lower() not in (value or "").lower()
    return bool(value == wanted)


def _filled(wanted: Any, names: Names) -> Any:
    """Fill placeholders in text, or in each of a list."""
    if isinstance(wanted, list):
        return [_filled(each, names) for each in wanted]
    if isinstance(wanted, str):
        for name, value in names.items():
            wanted = wanted.replace(name, value)
    return wanted


# -- what the client must get --------------------------------------------------------


def _status(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    statuses = wanted if isinstance(wanted, list) else [wanted]
    if wanted is not None and reply.status not in statuses:
        yield f"{reply.status} is not {wanted}: {reply.body[:200]!r}"


def _headers(wanted: Any, message: Any, names: Names) -> Iterator[str]:
    for name, value in wanted.items():
        found = _field(message, name)
        if not value_fits(found, _filled(value, names)):
            yield f"{name}: {found!r} is not {_filled(value, names)!r}"


def _field(message: Reply | RecordedRequest, name: str) -> str | None:
    return message.get(name) if isinstance(message, Reply) else message.header(name)


def _headers_if_200(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    return _headers(wanted, reply, names) if reply.status == 200 else _nothing()


def _headers_absent(wanted: Any, message: Any, names: Names) -> Iterator[str]:
    return (f"{n} is there" for n in wanted if _field(message, n) is not None)


def _headers_present(wanted: Any, message: Any, names: Names) -> Iterator[str]:
    return (f"{name} is not there" for name in wanted if _field(message, name) is None)


def _headers_not(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    return (f"{name}: {v!r}" for name, v in wanted.items() if reply.get(name) == v)


def _headers_match(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    for name, pattern in wanted.items():
        if not re.search(pattern, reply.get(name) or ""):
            yield f"{name}: {reply.get(name)!r} does not match {pattern!r}"


def _header_lines(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    for name, lines in wanted.items():
        if reply.lines(name) != _filled(lines, names):
            yield f"{name}: {reply.lines(name)} is not {_filled(lines, names)}"


def _proxy_status_error(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    found = reply.get("Proxy-Status")
    if f"error={wanted}" not in (found or ""):
        yield f"{found!r} does not say {wanted!r}"


def _truncated(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    if wanted and reply.status == 200 and not reply.truncated:
        yield f"the body looks whole: {reply.body[:200]!r}"


def _equal(attribute: str) -> Callable[..., Iterator[str]]:
    """Make the rule that an attribute is exactly the wanted value."""

    def rule(wanted: Any, message: Any, names: Names) -> Iterator[str]:
        found = getattr(message, attribute)
        if found != (wanted.encode("utf-8") if isinstance(found, bytes) else wanted):
            yield f"{found!r} is not {wanted!r}"

    return rule


def _first_chunk(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    if reply.pieces[:1] != [wanted.encode("utf-8")]:
        yield f"{reply.pieces[:1]} is not {wanted!r}"


def _within(attribute: str) -> Callable[..., Iterator[str]]:
    """Make the rule that something took fewer milliseconds."""

    def rule(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
        found = getattr(reply, attribute) * 1000
        if found >= wanted:
            yield f"{found:.0f} is not below {wanted}"

    return rule


_CLIENT: dict[str, Callable[..., Iterator[str]]] = {
    "status": _status,
    "headers": _headers,
    "headers_absent": _headers_absent,
    "headers_present": _headers_present,
    "headers_not": _headers_not,
    "headers_match": _headers_match,
    "headers_if_200": _headers_if_200,
    "header_lines": _header_lines,
    "proxy_status_error": _proxy_status_error,
    "truncated": _truncated,
    "reason": _equal("reason"),
    "interim": _equal("interim"),
    "body": _equal("body"),
    "first_chunk": _first_chunk,
    "within_ms": _within("took"),
    "first_byte_within_ms": _within("waited"),
    "body_same": _nothing,  # these two compare both sides, see below
    "same_as_backend_saw": _nothing,
}


def _content_differences(
    vector: Vector,
    gets: Mapping[str, Any],
    reply: Reply,
    seen: Sequence[RecordedRequest],
) -> Iterator[str]:
    """Say what the client has not as the backend had it."""
    if gets.get("body_same") and reply.body != content_of(vector["backend_behaviour"]):
        yield "client, body_same: not what the backend sent"
    name = gets.get("same_as_backend_saw")
    if name and [reply.get(name)] != [each.header(name) for each in seen[:1]]:
        yield f"client, same_as_backend_saw: {name}: {reply.get(name)!r}"


# -- what the backend must see --------------------------------------------------------


def _backend_differences(
    vector: Vector,
    sees: Mapping[str, Any],
    replies: Sequence[Reply],
    seen: Sequence[RecordedRequest],
    names: Names,
    also: Mapping[str, Callable[..., bool]],
) -> Iterator[str]:
    if sees.get("body_same") and seen:
        if seen[0].body != content_of(vector["client_request"]):
            yield "backend, body_same: not what the client sent"
    for key, wanted in sees.items():
        if key in also:
            if not also[key](wanted, replies, seen):
                yield f"backend, {key}: not {wanted!r}"
        elif key in _COUNTS:
            yield from _COUNTS[key](wanted, seen, vector)
        elif key == "second":
            for inner, value in wanted.items():
                rule = _rule(_BACKEND, inner, vector)
                yield from _of_one(f"second, {inner}", rule, value, seen[1:2], names)
        else:
            rule = _rule(_BACKEND, key, vector)
            yield from _of_one(key, rule, wanted, seen[:1], names)


def _of_one(
    key: str, rule: Any, wanted: Any, request: Sequence[RecordedRequest], names: Names
) -> Iterator[str]:
    for each in request:  # none where none came, which `calls` tells
        yield from _named("backend", key, rule(wanted, each, names))


def _calls(
    wanted: Any, seen: Sequence[RecordedRequest], vector: Vector
) -> Iterator[str]:
    """Compare how many came; a sequence may have been sent again in part."""
    sequence = vector["backend_behaviour"]["kind"] == "sequence"
    if not sequence and len(seen) != wanted:
        yield f"backend, calls: {len(seen)} is not {wanted}"


def _calls_max(
    wanted: Any, seen: Sequence[RecordedRequest], vector: Vector
) -> Iterator[str]:
    if len(seen) > wanted:
        yield f"backend, calls_max: {len(seen)} is more than {wanted}"


def _same_header(
    wanted: Any, seen: Sequence[RecordedRequest], vector: Vector
) -> Iterator[str]:
    values = {each.header(wanted) for each in seen}
    if len(values) > 1:
        yield f"backend, same_header: {wanted}: {len(values)} values"


_COUNTS: dict[str, Callable[..., Iterator[str]]] = {
    "calls": _calls,
    "calls_max": _calls_max,
    "same_header": _same_header,
}


def _target(wanted: Any, request: RecordedRequest, names: Names) -> Iterator[str]:
    filled = _filled(wanted, names)
    if request.target not in (filled if isinstance(filled, list) else [filled]):
        yield f"{request.target!r} is not {filled!r}"


def _host(wanted: Any, request: RecordedRequest, names: Names) -> Iterator[str]:
    return _headers({"Host": wanted}, request, names)


_BACKEND: dict[str, Callable[..., Iterator[str]]] = {
    "method": _equal("method"),
    "target": _target,
    "host": _host,
    "body": _equal("body"),
    "headers": _headers,
    "headers_absent": _headers_absent,
    "headers_present": _headers_present,
    "body_same": _nothing,
}
