"""Which destination is asked, and whether another is asked after it failed.

A connection that could not be made is tried at the next destination, for any method:
nothing has been sent. A request on a kept connection that the backend closed
unanswered is sent once more, on a new one, where it is idempotent (RFC 9110 section
9.2.2) and its body can be sent again. Nothing else is repeated.
"""

from __future__ import annotations

from pyramid_restproxy.forwarding.bodies import LimitedBody
from pyramid_restproxy.forwarding.failures import (
    TRANSPORT_ERRORS,
    Failure,
    ForwardingFailed,
    failed_by,
)
from pyramid_restproxy.forwarding.fields import Fields
from pyramid_restproxy.forwarding.model import Answer, Backend, Destination, ProxyCall
from pyramid_restproxy.forwarding.target import join_path, join_query
from pyramid_restproxy.forwarding.transport import Outgoing, send
from pyramid_restproxy.forwarding.wire.connections import Deadline
from pyramid_restproxy.forwarding.wire.errors import NoAnswer

__all__ = ["attempt", "outgoing"]

#: Failures in which nothing was sent.
UNSENT = frozenset(
    {
        Failure.DNS_ERROR,
        Failure.CONNECTION_REFUSED,
        Failure.CONNECTION_TIMEOUT,
        Failure.TLS_PROTOCOL,
        Failure.TLS_CERTIFICATE,
    }
)

#: Methods that may be sent twice (RFC 9110 section 9.2.2).
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

#: Methods whose requests say that they have no content (RFC 9110 section 8.6).
WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})


def attempt(call: ProxyCall) -> Answer:
    """Send a call until it is answered or may not be sent again.

    :returns: the head of the answer; ``call.destination`` is who gave it.
    :raises ForwardingFailed: where nobody answered.
    """
    backend = call.backend
    options = backend.options
    deadline = Deadline(options.read_timeout, options.total_timeout)
    failure: ForwardingFailed | None = None
    for destination in backend.rotation.order(backend.destinations):
        call.destination = destination
        try:
            answer = _send_once_more_if_stale(call, backend, destination, deadline)
            _spend_retries(call)
            return answer
        except TRANSPORT_ERRORS as error:
            failure = failed_by(error, backend.name)
            failure.__cause__ = error
            if failure.failure not in UNSENT:
                break
    assert failure is not None  # a backend has destinations
    raise failure


def _spend_retries(call: ProxyCall) -> None:
    """Keep pyramid_retry from running a view again that has sent what counts."""
    environ = call.request.environ
    if "retry.attempt" in environ and call.method not in IDEMPOTENT:
        environ["retry.attempts"] = environ["retry.attempt"] + 1


def _send_once_more_if_stale(
    call: ProxyCall, backend: Backend, destination: Destination, deadline: Deadline
) -> Answer:
    request = outgoing(call, destination, deadline)
    try:
        return send(backend.adapter, request, destination, backend.options)
    except NoAnswer as error:
        if not (error.reused and _may_repeat(call)):
            raise
    if isinstance(call.body, LimitedBody):
        call.body.rewind()
    return send(backend.adapter, request, destination, backend.options)


def _may_repeat(call: ProxyCall) -> bool:
    if call.method not in IDEMPOTENT and "Idempotency-Key" not in call.headers:
        return False
    body = call.body
    return body is None or isinstance(body, bytes) or getattr(body, "replayable", False)


def outgoing(call: ProxyCall, destination: Destination, deadline: Deadline) -> Outgoing:
    """Make the request for one destination: target, Host, framing."""
    query = join_query(destination.query, call.query)
    target = join_path(destination.base_path, call.path)
    fields: Fields = [("Host", _host(call, destination)), *call.headers.pairs]
    if call.length is None:
        fields.append(("Transfer-Encoding", "chunked"))
    elif call.length or call.method in WITH_LENGTH:
        fields.append(("Content-Length", str(call.length)))
    return Outgoing(
        call.method,
        f"{target}?{query}" if query else target,
        fields,
        call.body,
        call.length,
        deadline,
    )


def _host(call: ProxyCall, destination: Destination) -> str:
    policy = call.backend.options.host
    if policy == "destination":
        return destination.authority
    if policy == "preserve":
        return str(call.request.environ.get("HTTP_HOST") or destination.authority)
    return policy
