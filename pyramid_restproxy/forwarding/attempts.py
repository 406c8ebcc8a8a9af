"""Which destination is asked, and whether another is asked after it failed.

- A connection that could not be made goes to the next destination, for any method:
  nothing has been sent.
- What was sent is sent again only where that cannot do harm: the method is idempotent
  (RFC 9110 section 9.2.2) or the request has an Idempotency-Key, its body can be
  replayed, ``retries`` and the retry budget allow it, and nothing of an answer has gone
  on. It goes to a destination that has not been asked yet, if there is one.
- A kept connection that the backend closed unanswered is no failure of the backend:
  the same one is asked once more, on a new connection.
- An answer with one of ``retry_statuses`` counts as a failure that was sent.

All attempts share one deadline.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable

from pyramid_restproxy.forwarding.affinity import owner_of
from pyramid_restproxy.forwarding.bodies import LimitedBody
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.endpoint import Endpoint
from pyramid_restproxy.forwarding.failures import (
    TRANSPORT_ERRORS,
    Blame,
    Failure,
    ForwardingFailed,
    failed,
    failed_by,
)
from pyramid_restproxy.forwarding.fields import Fields, drop
from pyramid_restproxy.forwarding.model import Answer, Backend, ProxyCall
from pyramid_restproxy.forwarding.target import join_path, join_query
from pyramid_restproxy.forwarding.transport import Outgoing, send
from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.errors import NoAnswer, WireError

__all__ = ["attempt", "finish", "host_for", "outgoing"]

log = logging.getLogger(__name__)

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

#: The longest Retry-After that a retry waits for, seconds; a longer one goes on to the
#: client, who can wait without holding a thread.
LONGEST_WAIT = 2.0
#: The longest Retry-After that is told to clients when nobody can be asked, seconds.
LONGEST_HINT = 60
#: The longest wait before the first retry of the same destination, seconds.
BACKOFF = 0.05


def attempt(call: ProxyCall) -> Answer:
    """Send a call until it is answered or may not be sent again.

    :returns: the head of the answer; ``call.endpoint`` is who gave it.
    :raises ForwardingFailed: where nobody answered, or nobody may be asked.
    """
    backend = call.backend
    if backend.on_use is not None:
        backend.on_use()
    if not backend.gate.enter():
        raise failed(Failure.OVERLOADED, backend.name, retry_after=1)
    try:
        answer = _attempts(call, backend)
    except BaseException:
        backend.gate.leave()
        raise
    if backend.gate.limit:
        answer.gates = (backend.gate,)
    _spend_retries(call)
    return answer


def _attempts(call: ProxyCall, backend: Backend) -> Answer:
    options = backend.options
    deadline = Deadline(options.read_timeout, options.total_timeout)
    backend.budget.pay_in()
    asked: list[Endpoint] = []
    failure: ForwardingFailed | None = None
    retries = options.retries
    if retries is None:
        retries = 1 if len(backend.endpoints) > 1 or options.retry_statuses else 0
    while (endpoint := choose(call, backend, asked)) is not None:
        asked.append(endpoint)
        call.endpoint, call.destination = endpoint, endpoint.destination
        try:
            answer = _ask(call, backend, endpoint, deadline)
        except ForwardingFailed as error:
            failure = error
            if deadline.left() <= 0:
                break  # nobody else is to be judged by what time is left
            if error.failure in UNSENT:
                continue
            if not _may_send_again(call, backend, retries):
                break
        else:
            wait = _wait_for_retry(call, answer, retries, deadline)
            if wait is None:
                return answer
            answer.close()
            time.sleep(wait)
        retries -= 1
        if set(asked) >= set(backend.endpoints):
            asked.clear()  # each had its turn, and a retry is left
    raise failure or _nobody(backend)


def choose(
    call: ProxyCall, backend: Backend, asked: Iterable[Endpoint]
) -> Endpoint | None:
    """Choose who is asked next.

    :param asked: who has been asked for this call already.
    :returns: None where nobody is left.
    """
    if len(backend.endpoints) == 1 and not asked:
        (only,) = backend.endpoints
        return only if only.enabled and only.health.admit() else None
    left = [e for e in backend.endpoints if e.enabled and e not in asked]
    closed = [e for e in left if e.health.is_closed]
    affinity = backend.options.affinity
    owner = owner_of(call, backend, backend.endpoints) if affinity else None
    if owner in closed:
        return owner
    if owner is not None and backend.options.affinity_lost == "refuse":
        return owner if owner in left and owner.health.admit() else None
    rested = _rested(left) if not closed or call.method in IDEMPOTENT else None
    if rested is not None or not closed:
        return rested
    if owner is not None:  # it is gone: the same other one for all of its clients
        owner = owner_of(call, backend, closed)
    return owner or (closed[0] if len(closed) == 1 else backend.pick(closed))


def _rested(endpoints: Iterable[Endpoint]) -> Endpoint | None:
    """Return one of those that rest, where it may be tried again."""
    for each in endpoints:
        if not each.health.is_closed and each.health.admit():
            return each
    return None


def _nobody(backend: Backend) -> ForwardingFailed:
    waits = [each.health.seconds_left() for each in backend.endpoints if each.enabled]
    soonest = min([*waits, LONGEST_HINT - 1])  # infinity where a probe took it out
    return failed(Failure.UNAVAILABLE, backend.name, retry_after=int(soonest) + 1)


# -- again? ----------------------------------------------------------------------


def _may_repeat(call: ProxyCall) -> bool:
    """Say whether sending a call twice does no harm, and is possible."""
    if call.method not in IDEMPOTENT and "Idempotency-Key" not in call.headers:
        return False
    body = call.body
    return body is None or isinstance(body, bytes) or getattr(body, "replayable", False)


def _may_send_again(call: ProxyCall, backend: Backend, retries: int) -> bool:
    if retries < 1 or not _may_repeat(call) or not backend.budget.take():
        return False
    if isinstance(call.body, LimitedBody):
        call.body.rewind()
    return True


def _wait_for_retry(
    call: ProxyCall, answer: Answer, retries: int, deadline: Deadline
) -> float | None:
    """Return how many seconds to wait before asking again; None to take the answer."""
    backend = call.backend
    if answer.status not in backend.options.retry_statuses:
        return None
    wait = random.uniform(0, BACKOFF)
    said = answer.headers.get("Retry-After")
    if said is not None:
        if not said.isascii() or not said.isdigit() or len(said) > 4:
            return None
        wait += int(said)
    if wait > LONGEST_WAIT or wait >= deadline.left():
        return None
    return wait if _may_send_again(call, backend, retries) else None


def _spend_retries(call: ProxyCall) -> None:
    """Keep pyramid_retry from running a view again that has sent what counts."""
    environ = call.request.environ
    if "retry.attempt" in environ and call.method not in IDEMPOTENT:
        environ["retry.attempts"] = environ["retry.attempt"] + 1


# -- one destination -----------------------------------------------------------------


def _ask(
    call: ProxyCall, backend: Backend, endpoint: Endpoint, deadline: Deadline
) -> Answer:
    """Ask one endpoint and report how it went."""
    health = endpoint.health
    call.attempts += 1
    started = time.perf_counter()
    endpoint.begin()
    try:
        answer = _send(call, backend, endpoint.destination, deadline)
    except TRANSPORT_ERRORS as error:
        endpoint.finished()
        failure = failed_by(error, backend.name)
        # The client learns the name of the backend only; here is all that is known.
        log.warning("backend %r: %s: %a", backend.name, endpoint.url, _said(error))
        _observe(backend, endpoint, failure.failure.token, started)
        stale = isinstance(error, NoAnswer) and error.reused
        if failure.failure.blame is Blame.BACKEND and not stale:
            health.failed()
        else:
            health.abandoned()
        raise failure from error
    except BaseException:
        endpoint.finished()
        health.abandoned()
        raise
    if answer.status in backend.options.failure_statuses:
        health.failed()
    else:
        health.succeeded()
    answer.watcher = endpoint
    if backend.observers:
        _observe(backend, endpoint, f"{answer.status // 100}xx", started)
    return answer


def _said(error: BaseException) -> str:
    """Return what an error says; those of others may say whole URLs, with secrets."""
    return str(error) if isinstance(error, WireError) else type(error).__name__


def _observe(backend: Backend, endpoint: Endpoint, outcome: str, since: float) -> None:
    """Tell who wants to know; one that fails costs no request, and is told of once."""
    seconds = time.perf_counter() - since
    for observer in backend.observers:
        try:
            observer(backend.name, endpoint.url, outcome, seconds)
        except Exception:  # the application's code, e.g. what it does with spans
            if observer not in backend.failing:
                backend.failing.add(observer)
                log.exception("backend %r: an observer fails", backend.name)


def _send(
    call: ProxyCall, backend: Backend, destination: Destination, deadline: Deadline
) -> Answer:
    """Send to a destination, once more where a kept connection turned out stale."""
    request = outgoing(call, destination, deadline)
    try:
        return send(backend.adapter, request, destination, backend.options)
    except NoAnswer as error:
        if not (error.reused and _may_repeat(call)):
            raise
    if isinstance(call.body, LimitedBody):
        call.body.rewind()
    call.attempts += 1
    request = outgoing(call, destination, deadline)  # signed anew: a nonce counts once
    return send(backend.adapter, request, destination, backend.options)


def outgoing(call: ProxyCall, destination: Destination, deadline: Deadline) -> Outgoing:
    """Make the request for one destination: target, Host, framing."""
    if call.body is None or isinstance(call.body, bytes):
        call.length = len(call.body or b"")  # a hook may have put another in its place
    query = join_query(destination.query, call.query)
    target = join_path(destination.base_path, call.path)
    host = call.host
    if host is None:
        client = call.request.environ.get("HTTP_HOST", "")
        host = host_for(call.backend, destination, client)
    fields: Fields = [("Host", host), *call.headers.pairs]
    if call.length is None:
        fields.append(("Transfer-Encoding", "chunked"))
    elif call.length or call.method in WITH_LENGTH:
        fields.append(("Content-Length", str(call.length)))
    made = Outgoing(
        call.method,
        f"{target}?{query}" if query or call.empty_query else target,
        fields,
        call.body,
        call.length,
        deadline,
    )
    finish(made, call.backend, destination)
    return made


def finish(made: Outgoing, backend: Backend, destination: Destination) -> None:
    """Give a request what every one to its backend gets: own fields, a signature."""
    own = backend.options.headers
    if own:
        names = frozenset(name.lower() for name, _ in own)
        made.fields = [*drop(made.fields, names), *own]
    if backend.sign is not None:
        made.deadline.pause()  # it may read all that the client sends
        added = backend.sign(made, destination.scheme)
        made.deadline.resume()
        names = frozenset(name.lower() for name, _ in added)
        made.fields = [*drop(made.fields, names), *added]


def host_for(backend: Backend, destination: Destination, client: str = "") -> str:
    """Return the Host to send, as the backend's option says.

    :param client: the client's, for ``preserve``; empty where there is no client.
    """
    policy = backend.options.host
    if policy == "preserve":
        return client or destination.authority
    return destination.authority if policy == "destination" else policy
