"""One request, from the client to the backend and the answer's head back.

The order is the security: the safe target first; what a client must not say is
stripped before anything is added; transforms run before the gateway's own fields, so
that neither a transform nor a client takes these away; the answer is checked before
its first byte goes on. Which destination, and whether again, is ``attempts``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from pyramid.httpexceptions import HTTPException
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.exceptions import MalformedRequest
from pyramid_restproxy.forwarding.affinity import cookie_to_set
from pyramid_restproxy.forwarding.attempts import attempt
from pyramid_restproxy.forwarding.bodies import (
    BoundedBody,
    after_prelude,
    is_event_stream,
    request_body,
    start,
)
from pyramid_restproxy.forwarding.contents import reads_body, settle
from pyramid_restproxy.forwarding.failures import (
    TRANSPORT_ERRORS,
    Failure,
    failed,
    failed_by,
)
from pyramid_restproxy.forwarding.fields import (
    FORWARDED_FAMILY,
    HOP_BY_HOP,
    REQUEST_OWN,
    FieldList,
    drop,
    is_field,
    is_safe_value,
    keep_cookies,
    names_set,
    request_fields,
    response_fields,
)
from pyramid_restproxy.forwarding.forwarded import (
    CLAIMS,
    Client,
    forwarding_fields,
    is_loop,
    max_forwards,
    via,
)
from pyramid_restproxy.forwarding.locations import location_for_client
from pyramid_restproxy.forwarding.model import (
    Answer,
    Backend,
    Gateway,
    ProxyCall,
    RoutePolicy,
)
from pyramid_restproxy.forwarding.own_cookies import kept_cookies
from pyramid_restproxy.forwarding.response import ProxyResponse
from pyramid_restproxy.forwarding.target import Target, has_empty_query
from pyramid_restproxy.forwarding.transforms import drop_cookies, is_for_all
from pyramid_restproxy.grammar import environ_key

__all__ = ["FORWARDED", "exchange", "make_call", "refuse_early"]

log = logging.getLogger(__name__)

_REASONS = {status.value: status.phrase for status in HTTPStatus}

#: Environ key of what is known of the exchange: backend, destination, attempts.
FORWARDED = "pyramid_restproxy.forwarded"

#: Methods for which Max-Forwards counts (RFC 9110 section 7.6.2).
_COUNTED = ("OPTIONS", "TRACE")

#: Fields that only this gateway says to a backend (lower case).
_OWN = CLAIMS | {"via"}

#: What a transform cannot set: it belongs to the connection, or says what the body is.
_FRAMING = tuple(HOP_BY_HOP | {"content-length"})


# -- before anything is sent -----------------------------------------------------


def refuse_early(request: Request, backend: str, gateway: Gateway) -> Response | None:
    """Refuse what cannot be forwarded at all.

    :returns: an answer of the gateway's own, or None.
    :raises ForwardingFailed: for a websocket handshake, or a request in a circle.
    :raises MalformedRequest: for an HTTP/1.1 request without Host.
    """
    environ = request.environ
    if "HTTP_UPGRADE" in environ and _asks_for_websocket(environ):
        raise failed(Failure.UPGRADE, backend)
    if "HTTP_HOST" not in environ and environ.get("SERVER_PROTOCOL") == "HTTP/1.1":
        raise MalformedRequest("The request has no Host.")  # RFC 9112 section 3.2
    if is_loop(environ.get("HTTP_VIA"), gateway.pseudonym):
        raise failed(Failure.LOOP, backend)
    if environ["REQUEST_METHOD"] in _COUNTED and _forwards_left(environ) == 0:
        return Response(status=200, headerlist=[("Content-Length", "0")])
    return None


def _asks_for_websocket(environ: Mapping[str, Any]) -> bool:
    """Read Upgrade, a list of protocols with or without a version (RFC 9110 7.8).

    In HTTP/1.0 it means nothing, and goes no further.
    """
    if environ.get("SERVER_PROTOCOL") == "HTTP/1.0":
        return False
    protocols = environ["HTTP_UPGRADE"].lower().split(",")
    return any(each.partition("/")[0].strip() == "websocket" for each in protocols)


def _forwards_left(environ: Mapping[str, Any]) -> int | None:
    return max_forwards(environ.get("HTTP_MAX_FORWARDS"))


def make_call(
    request: Request,
    backend: Backend,
    policy: RoutePolicy,
    gateway: Gateway,
    target: Target | tuple[str, ...],
) -> ProxyCall:
    """Make the call: the client's own fields stripped, the body found.

    :param target: path, query, the prefix that was cut off, what is in its place.
    :raises HTTPRequestEntityTooLarge: where the body is over the route's limit; where
        only the server knows its end, when it is sent.
    """
    environ = request.environ
    body, length = request_body(environ, policy.max_request_body)
    peer = environ.get("REMOTE_ADDR", "")
    own = policy.identity_headers
    without = _left_out(gateway.without, own, peer in gateway.trusted)
    path, query, prefix, base = Target(*target)
    return ProxyCall(
        request=request,
        backend=backend,
        method=environ["REQUEST_METHOD"],
        path=path,
        query=query,
        headers=FieldList(request_fields(environ, without)),
        body=body,
        length=length,
        prefix=prefix,
        base=base,
        empty_query=has_empty_query(environ),
    )


@lru_cache(maxsize=256)
def _left_out(
    override: frozenset[str], identity: frozenset[str], trusted: bool
) -> frozenset[str]:
    """Return the names of fields that no client passes on through this route."""
    names = REQUEST_OWN | _OWN | override | identity
    return names if trusted else names | {FORWARDED_FAMILY}


def _add_own_fields(call: ProxyCall, policy: RoutePolicy, gateway: Gateway) -> None:
    """Add who asked, and that it came through here."""
    environ = call.request.environ
    peer = environ.get("REMOTE_ADDR", "")
    host = environ.get("HTTP_HOST", "")
    client = Client(peer, environ["wsgi.url_scheme"], host, call.prefix)
    claims = _claims(environ) if peer in gateway.trusted else None
    pairs = call.headers.pairs
    pairs += forwarding_fields(client, claims, rfc7239=policy.forwarded, by=policy.by)
    protocol = environ.get("SERVER_PROTOCOL", "HTTP/1.1")
    pairs.append(("Via", via(environ.get("HTTP_VIA"), protocol, gateway.pseudonym)))
    if environ["REQUEST_METHOD"] in _COUNTED:
        left = _forwards_left(environ)
        call.headers.remove("Max-Forwards")
        if left is not None:
            pairs.append(("Max-Forwards", str(left - 1)))
    if policy.identity:
        pairs += list(_identity_fields(call, policy))


def _identity_fields(call: ProxyCall, policy: RoutePolicy) -> Iterator[tuple[str, str]]:
    """Yield who asks, as far as that is known; text goes as UTF-8.

    :raises ForwardingFailed: for what cannot stand in a field.
    """
    for name, known in policy.identity:
        value = known(call.request)
        if value:
            if not is_safe_value(value):
                raise failed(Failure.INTERNAL, call.backend.name)
            call.headers.remove(name)
            yield name, value.encode("utf-8").decode("latin-1")


def _claims(environ: Mapping[str, Any]) -> dict[str, str]:
    keys = ((name, environ_key(name)) for name in CLAIMS)
    return {name: environ[key] for name, key in keys if environ.get(key)}


# -- the exchange --------------------------------------------------------------------


def exchange(call: ProxyCall, policy: RoutePolicy, gateway: Gateway) -> Response:
    """Send a call and make the response of its answer.

    :returns: a :class:`ProxyResponse`, its first piece read already, or what a
        request transform answered instead.
    :raises ForwardingFailed: where there is no answer that could go on.
    """
    _keep_own_cookies(call, gateway)
    if policy.request_transforms:
        response = _transform_request(call, policy)
        if response is not None:
            return response
    if any(map(reads_body, policy.response_transforms)):
        call.headers.set("Accept-Encoding", "identity")
        call.headers.remove("Range", "If-Range")  # a part cannot be filtered
    _add_own_fields(call, policy, gateway)
    gate = policy.gate
    if gate is not None and not gate.enter():
        raise failed(Failure.OVERLOADED, call.backend.name, retry_after=1)
    try:
        cache = policy.cache
        answer = attempt(call) if cache is None else cache.answer(call, attempt)
    except BaseException:
        if gate is not None:
            gate.leave()
        raise
    finally:
        _tell(call)
    if gate is not None:
        answer.gates += (gate,)
    try:
        return _response(call, answer, policy, gateway)
    except BaseException:
        answer.close()
        raise


def _keep_own_cookies(call: ProxyCall, gateway: Gateway) -> None:
    """Take out the cookies that are ours, not the backend's."""
    own = kept_cookies(gateway, call.request.registry)
    if own:
        drop_cookies(*own)(call)


def _transform_request(call: ProxyCall, policy: RoutePolicy) -> Response | None:
    """Run the transforms of the request; return what one of them answers."""
    body, length = call.body, call.length
    for transform in policy.request_transforms:
        before = list(call.headers)
        response = transform(call)
        if response is not None:
            return response
        # what comes after a transform for one client may be made of what that one set
        if policy.cache is not None and (call.personal or not is_for_all(transform)):
            call.personal |= names_set(before, call.headers.pairs)
    if call.body is not body and call.length == length:
        call.length = None  # another file; bytes are measured when they are sent
    call.host = call.headers.get("Host")
    call.headers.remove("Host", *_FRAMING)
    return None


def _tell(call: ProxyCall) -> None:
    """Leave word for who writes the access log."""
    call.request.environ[FORWARDED] = {
        "backend": call.backend.name,
        "destination": call.destination.url if call.destination else None,
        "attempts": call.attempts,
    }


def _response(
    call: ProxyCall, answer: Answer, policy: RoutePolicy, gateway: Gateway
) -> ProxyResponse:
    if answer.status == 407:  # RFC 9110 section 15.5.8: meant for us
        raise failed(Failure.PROXY_AUTHENTICATION, call.backend.name)
    answer.headers = FieldList(_stripped(answer))
    own = kept_cookies(gateway, call.request.registry)
    if own and "Set-Cookie" in answer.headers:
        pairs = answer.headers.pairs  # a backend may not set what is ours
        pairs[:] = keep_cookies(pairs, lambda name: name not in own)
    if policy.rewrite_location and answer.status != 200:
        _rewrite_location(call, answer)
    _transform(call, answer, policy)
    _bound(call, answer)
    cookie = cookie_to_set(call, gateway.trusted)
    if cookie is not None:
        answer.headers.add("Set-Cookie", cookie)
    counted = gateway.streams.limit or policy.sse_prelude
    streams = bool(counted) and is_event_stream(answer)
    bare = call.method != "HEAD" and answer.status == 200  # a comment may stand there
    bare = bare and "Content-Encoding" not in answer.headers
    if streams and not gateway.streams.enter():  # each of them takes a thread
        raise failed(Failure.OVERLOADED, call.backend.name, retry_after=1)
    if streams:
        answer.gates += (gateway.streams,)
    try:
        early = policy.sse_prelude and streams and bare
        pieces = after_prelude(answer) if early else start(answer)
    except TRANSPORT_ERRORS as error:
        raise failed_by(error, call.backend.name) from error
    reason = answer.reason or _REASONS.get(answer.status, "Unknown")
    return ProxyResponse(f"{answer.status} {reason}", answer.headers.pairs, pieces)


def _bound(call: ProxyCall, answer: Answer) -> None:
    """Hold an answer to the backend's limit."""
    limit = call.backend.options.max_response_body
    if not limit:
        return
    length = answer.headers.get("Content-Length")
    bodyless = call.method == "HEAD" or answer.status == 304  # RFC 9110 section 8.6
    if length is not None and int(length) > limit and not bodyless:
        raise failed(Failure.TOO_LARGE, call.backend.name)
    answer.body = BoundedBody(answer.body, limit)


def _stripped(answer: Answer) -> list[tuple[str, str]]:
    fields = response_fields(answer.headers.pairs)
    if answer.status == 204:  # RFC 9110 section 8.6: no length on a 204
        return drop(fields, frozenset({"content-length"}))
    return fields


def _rewrite_location(call: ProxyCall, answer: Answer) -> None:
    value = answer.headers.get("Location")
    if value is not None:
        rewritten = location_for_client(call, value)
        if rewritten != value:
            answer.headers.set("Location", rewritten)


def _transform(call: ProxyCall, answer: Answer, policy: RoutePolicy) -> None:
    for transform in policy.response_transforms:
        before = replace(answer, headers=FieldList(list(answer.headers)))
        try:
            transform(call, answer)
            settle(call, answer, before)
        except Exception as error:  # the application's code: told, and not passed on
            answer.body = before.body  # what it has put there may be none
            if isinstance(error, HTTPException):
                raise
            log.exception("a response transform of backend %r", call.backend.name)
            raise failed(Failure.TRANSFORM, call.backend.name) from error
    if policy.response_transforms:
        _check_fields(call, answer)


def _check_fields(call: ProxyCall, answer: Answer) -> None:
    """Hold transforms to what a WSGI server can write (PEP 3333)."""
    answer.headers.remove(*HOP_BY_HOP)
    for name, value in answer.headers:
        if not is_field(name, value):
            log.error("a response transform of %r set %r", call.backend.name, name)
            raise failed(Failure.TRANSFORM, call.backend.name)
