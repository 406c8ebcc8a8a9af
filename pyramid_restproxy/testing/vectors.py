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

from pyramid_restproxy.testing.backend import Answer, RecordedRequest
from pyramid_restproxy.testing.behaviours import check_keys, filled, steps_of
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


#: The keys of one request. All requests are sent as ``raw`` says: exactly as given.
_REQUEST = (
    "method target headers body body_b64 body_size chunked no_host raw repeat".split()
)


def send(vector: Vector, authority: str, names: Names | None = None) -> list[Reply]:
    """Send what the client of a vector sends.

    :param authority: host and port of the gateway, which is ``$GATEWAY``.
    :param names: what other placeholders stand for.
    :returns: a reply for each request.
    :raises ValueError: for a key of a request that is not known.
    """
    known = {**(names or {}), "$GATEWAY": authority}
    return [_send(spec, authority, known) for spec in requests_of(vector)]


def requests_of(vector: Vector) -> list[Mapping[str, Any]]:
    """Return the requests of a vector: one, a sequence, or one repeated.

    For a backend that plays a sequence there are as many as it needs: one for each good
    answer, and one for what comes after the last of them. What fails before a good
    answer is for the gateway to try again.
    """
    request = vector["client_request"]
    if "sequence" in request:
        check_keys(request, ["sequence"], f"{vector['id']}: client_request")
        return [spec for each in request["sequence"] for spec in _repeated(each)]
    behaviour = vector["backend_behaviour"]
    if behaviour["kind"] == "sequence" and "repeat" not in request:
        return [request] * _needed(behaviour["steps"])
    return _repeated(request)


def _repeated(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [spec] * spec.get("repeat", 1)


def _needed(texts: Sequence[Any]) -> int:
    steps = [step for text in texts for step in steps_of(text)]
    good = [isinstance(step, Answer) and step.status < 400 for step in steps]
    return sum(good) + (not good[-1])


def _send(spec: Mapping[str, Any], authority: str, names: Names) -> Reply:
    check_keys(spec, _REQUEST, "client_request")
    headers = [(name, _filled(value, names)) for name, value in spec.get("headers", ())]
    present = {name.lower() for name, _ in headers}
    body = content_of(spec)
    if "host" not in present and not spec.get("no_host"):
        headers.insert(0, ("Host", authority))
    if spec.get("chunked"):
        if "transfer-encoding" not in present:
            headers.append(("Transfer-Encoding", "chunked"))
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        body = chunk + b"0\r\n\r\n"
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
    if not isinstance(sees, Mapping):
        raise ValueError(f"{vector['id']}: expect_backend_sees {sees!r} is not known")
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
    if not isinstance(wanted, (str, list)):
        raise ValueError(f"{wanted!r}: expected text, a list, or null")
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
    return filled(wanted, names) if isinstance(wanted, str) else wanted


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
    said = re.findall(r"error=([\w-]+)", reply.get("Proxy-Status") or "")
    errors = wanted if isinstance(wanted, list) else [wanted]
    if not any(each in (said or [None]) for each in errors):
        yield f"{reply.get('Proxy-Status')!r} does not say {wanted!r}"


def _truncated(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    if reply.status == 200 and reply.truncated is not wanted:
        looks = "whole" if wanted else "truncated"
        yield f"the body looks {looks}: {reply.body[:200]!r}"


def _text(attribute: str) -> Callable[..., Iterator[str]]:
    """Make the rule that text is exactly the wanted one, or one of a list."""

    def rule(wanted: Any, message: Any, names: Names) -> Iterator[str]:
        texts = wanted if isinstance(wanted, list) else [wanted]
        if wanted is None:
            return
        if not all(isinstance(each, str) for each in texts):
            raise ValueError(f"{wanted!r}: expected text, a list of texts, or null")
        found = getattr(message, attribute)
        if isinstance(found, bytes):
            texts = [each.encode("utf-8") for each in texts]
        if found not in texts:
            yield f"{found!r} is not {wanted!r}"

    return rule


def _interim(wanted: Any, reply: Reply, names: Names) -> Iterator[str]:
    if reply.interim != wanted:
        yield f"{reply.interim} is not {wanted}"


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
    "reason": _text("reason"),
    "interim": _interim,
    "body": _text("body"),
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
    if "body_same" in gets:
        same = reply.body == content_of(vector["backend_behaviour"])
        if same is not gets["body_same"]:
            yield f"client, body_same: {same}: what the backend sent"
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
    if "body_same" in sees:
        wanted = content_of(requests_of(vector)[0])
        same = bool(seen) and seen[0].body == wanted
        if same is not sees["body_same"]:
            yield f"backend, body_same: {same}: what the client sent"
    for key, wanted in sees.items():
        if key in also:
            if not also[key](wanted, replies, seen):
                yield f"backend, {key}: not {wanted!r}"
        elif key in _COUNTS:
            yield from _COUNTS[key](wanted, seen, vector)
        elif key in _PLACES:
            for inner, value in wanted.items():
                rule = _rule(_BACKEND, inner, vector)
                request = seen[_PLACES[key]]
                yield from _of_one(f"{key}, {inner}", rule, value, request, names)
        else:
            rule = _rule(_BACKEND, key, vector)
            if rule is not _nothing:
                yield from _of_one(key, rule, wanted, seen[:1], names)


#: Which request an expectation is about that is not about the first.
_PLACES = {"second": slice(1, 2), "third": slice(2, 3), "last": slice(-1, None)}


def _of_one(
    key: str, rule: Any, wanted: Any, request: Sequence[RecordedRequest], names: Names
) -> Iterator[str]:
    if not request:
        yield f"backend, {key}: no such request came"
    for each in request:
        yield from _named("backend", key, rule(wanted, each, names))


def _calls(
    wanted: Any, seen: Sequence[RecordedRequest], vector: Vector
) -> Iterator[str]:
    """Compare how many came: exactly so many, or one of a list.

    Beside `calls_max` it is how many came at least; also where a sequence takes several
    requests, of which only the last matters, and that may have been sent again.
    """
    sees, behaviour = vector["expect_backend_sees"], vector["backend_behaviour"]
    several = behaviour["kind"] == "sequence" and len(requests_of(vector)) > 1
    if isinstance(wanted, list):
        fits = len(seen) in wanted
    elif wanted and (several or "calls_max" in sees):
        fits = len(seen) >= wanted
    else:
        fits = len(seen) == wanted
    if not fits:
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
    "method": _text("method"),
    "target": _target,
    "host": _host,
    "body": _text("body"),
    "headers": _headers,
    "headers_absent": _headers_absent,
    "headers_present": _headers_present,
    "body_same": _nothing,
}
