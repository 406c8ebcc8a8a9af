"""`SharedCache`: between the forwarder and the backends, an answer for many clients.

It sees requests as they are sent to the backend, behind authentication and behind the
request transforms, and keeps answers as the backend gave them, before the response
transforms: these run for each client. What may be kept and used is in ``rules``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import lru_cache

from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.cache.asked import (
    CONDITIONS,
    Asked,
    changed_by,
    detached,
    resource_of,
    uncached,
)
from pyramid_restproxy.forwarding.cache.collapse import Flight, Flights
from pyramid_restproxy.forwarding.cache.directives import FOREVER, lines
from pyramid_restproxy.forwarding.cache.entries import Entries, Found
from pyramid_restproxy.forwarding.cache.entry import Entry
from pyramid_restproxy.forwarding.cache.kept import KeptBody
from pyramid_restproxy.forwarding.cache.rules import (
    CREDENTIALS,
    ERRORS,
    Reuse,
    cache_status,
    confirms,
    content_length,
    freshen,
    has_known_end,
    is_unsafe,
    may_store,
    may_use_on_error,
    not_modified,
    not_modified_fields,
    reuse,
    selecting,
    store_time,
    validators,
    varies_by,
)
from pyramid_restproxy.forwarding.cache.store import Store
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.failures import (
    PSEUDONYM,
    TRANSPORT_ERRORS,
    ForwardingFailed,
)
from pyramid_restproxy.forwarding.fields import (
    FieldList,
    Fields,
    drop,
    response_fields,
)
from pyramid_restproxy.forwarding.model import Answer, ProxyCall

__all__ = ["Send", "SharedCache"]

log = logging.getLogger(__name__)

#: Asks the backend; sets ``call.destination``; may raise ForwardingFailed.
Send = Callable[[ProxyCall], Answer]


@dataclass(frozen=True, slots=True)
class _Fetch:
    """One request to the backend.

    :ivar entry: what is stored and may not be used without it.
    :ivar reason: why the backend is asked, as in Cache-Status (RFC 9211 section 2.2).
    """

    asked: Asked
    send: Send
    entry: Entry | None
    reason: str
    flight: Flight


class SharedCache:
    """Answers that several clients may get (RFC 9111), for the routes that use it.

    :param store: where they are kept.
    :param max_body: the largest content that is kept, bytes.
    :param lock_timeout: how long a request waits for an equal one that is under way,
        seconds.
    :param clock: seconds since the epoch.
    :param keep: how long a stale answer is kept that a backend can confirm, seconds.
    :param secret: with it, nobody else who can write to the store can forge answers.
    :param key_fields: request fields that select among answers though no Vary says so.
    :param credentials: what, besides Authorization, names the user to the backend:
        request fields with which an answer is kept only where it says that it is for
        all (RFC 9111 section 3.5).
    :param never_with: fields of an answer that make it one client's.
    :param scope: tells the answers of this cache from others in the same store.
    :param refreshes: how many stale answers are renewed in the background at once.
    :param name: how the cache calls itself in Cache-Status, a token.
    """

    def __init__(
        self,
        store: Store,
        max_body: int = 1024 * 1024,
        lock_timeout: float = 5.0,
        clock: Callable[[], float] = time.time,
        *,
        keep: float = 3600.0,
        secret: bytes = b"",
        key_fields: Iterable[str] = (),
        credentials: Iterable[str] = (),
        never_with: Iterable[str] = (),
        scope: str = "",
        refreshes: int = 8,
        name: str = PSEUDONYM,
    ) -> None:
        self._entries = Entries(store, secret)
        self._flights = Flights(lock_timeout)
        self._refreshes = threading.BoundedSemaphore(refreshes)
        self._max_body = max_body
        self._lock_timeout = lock_timeout
        self._clock = clock
        self._keep = keep
        self._key_fields = frozenset(each.lower() for each in key_fields)
        self._credentials = CREDENTIALS | {each.lower() for each in credentials}
        self._never_with = frozenset(each.lower() for each in never_with)
        self._scope = scope
        self._name = name

    def answer(self, call: ProxyCall, send: Send) -> Answer:
        """Answer from what is stored, or by asking the backend.

        :param call: ready to be sent. ``call.destination`` is who gave the answer.
        :param send: asks the backend.
        :returns: an answer with Cache-Status, and Age where it was stored; its body
            must be read to its end or closed.
        :raises ForwardingFailed: where the backend fails and nothing can stand in.
        """
        why = uncached(call)
        if why is not None:
            return self._pass_by(call, send, why)
        asked = Asked.of(call, self._scope)
        until = time.monotonic() + self._lock_timeout
        for _ in range(2):  # once more: it is another variant, or who began it left
            found = self._find(asked)
            at_once = self._at_once(asked, send, found)
            if at_once is not None:
                return at_once
            if self._goes_alone(asked, found.entry):
                break
            flight, leads = self._flights.join(found.slot, asked.resource)
            if leads:
                return self._lead(asked, send, flight)
            shared = flight.wait(until)
            if shared is None:
                if flight.left and time.monotonic() < until:
                    continue  # one of those that wait begins it anew
                break
            if self._verdict(asked, shared) is Reuse.AS_IS:
                reason = f"fwd={self._reason(asked, found)}"
                return self._reply(asked, shared, reason, "collapsed")
        flight = self._flights.begin(asked.resource)
        return self._fetch(self._plan(asked, send, found, flight))

    # -- from what is stored ---------------------------------------------------------

    def _find(self, asked: Asked) -> Found:
        return self._entries.find(asked.resource, asked.fields)

    def _verdict(self, asked: Asked, entry: Entry | None) -> Reuse | None:
        if entry is None or not entry.is_for(asked.fields):
            return None
        return reuse(entry.said, asked.directives, entry.freshness(self._clock()))

    def _reason(self, asked: Asked, found: Found) -> str:
        """Say why the backend is asked."""
        verdict = self._verdict(asked, found.entry)
        if verdict is None:
            return found.missing
        return "request" if verdict is Reuse.ASKED else "stale"

    def _at_once(self, asked: Asked, send: Send, found: Found) -> Answer | None:
        """Answer without waiting for the backend, where that is possible, or wanted."""
        entry = found.entry
        if entry is not None:
            freshness = entry.freshness(self._clock())
            verdict = reuse(entry.said, asked.directives, freshness)
            if verdict is Reuse.WHILE_REVALIDATING:
                self._refresh(asked, send, found)
            if verdict in (Reuse.AS_IS, Reuse.WHILE_REVALIDATING):
                told = "hit", f"ttl={int(freshness.ttl)}"
                return self._reply(asked, entry, *told, age=freshness.age)
        if "only-if-cached" in asked.directives:  # RFC 9111 section 5.2.1.7
            status = cache_status(self._name, "detail=only-if-cached")
            fields = [("Content-Length", "0"), ("Cache-Status", status)]
            return Answer(504, "Gateway Timeout", FieldList(fields), BytesBody(b""))
        return None

    def _reply(
        self, asked: Asked, entry: Entry, *parameters: str, age: float | None = None
    ) -> Answer:
        """Make the answer of an entry, or a 304 where the client has it already.

        :param parameters: of Cache-Status.
        :param age: seconds, where that is known already.
        """
        asked.call.destination = _destination(entry.destination)
        if age is None:
            age = entry.freshness(self._clock()).age
        fields = drop(entry.fields, _AGE)
        fields.append(("Age", str(min(int(age), FOREVER))))
        fields.append(("Cache-Status", cache_status(self._name, *parameters)))
        if entry.status == 200 and not_modified(
            asked.fields, entry.fields, entry.received
        ):
            fields = not_modified_fields(fields)
            return Answer(304, "Not Modified", FieldList(fields), BytesBody(b""))
        content = b"" if asked.call.method == "HEAD" else entry.body
        return Answer(entry.status, entry.reason, FieldList(fields), BytesBody(content))

    # -- asking the backend ----------------------------------------------------------

    def _goes_alone(self, asked: Asked, entry: Entry | None) -> bool:
        """Say whether the answer to a request cannot be that to another."""
        return (
            asked.call.method == "HEAD"
            or not asked.directives.keys().isdisjoint({"no-cache", "no-store"})
            or self._verdict(asked, entry) is Reuse.ASKED
        )

    def _plan(self, asked: Asked, send: Send, found: Found, flight: Flight) -> _Fetch:
        reason = self._reason(asked, found)
        return _Fetch(asked, send, found.entry, reason, flight)

    def _lead(self, asked: Asked, send: Send, flight: Flight) -> Answer:
        """Fetch for all that wait, unless it has come since it was looked for."""
        with flight:
            found = self._find(asked)
            at_once = self._at_once(asked, send, found)
            if at_once is None:
                return self._fetch(self._plan(asked, send, found, flight))
            flight.land(found.entry)
            return at_once

    def _fetch(self, fetch: _Fetch) -> Answer:
        """Ask the backend; the flight lands here, or with the end of the body."""
        with fetch.flight:
            try:
                return self._exchange(fetch)
            except ForwardingFailed:
                if not self._may_stand_in(fetch.asked, fetch.entry):
                    raise
                return self._stand_in(fetch)

    def _exchange(self, fetch: _Fetch) -> Answer:
        asked, entry, begun = fetch.asked, fetch.entry, self._clock()
        conditions = _conditions(asked.call, entry)
        answer = _send_with(asked.call, fetch.send, conditions)
        if conditions and entry is not None and answer.status == 304:
            answer.close()
            if confirms(entry.fields, answer.headers.pairs):
                return self._confirmed(fetch, entry, answer, begun)
            begun = self._clock()
            answer = fetch.send(asked.call)
        if answer.status in ERRORS and self._may_stand_in(asked, entry):
            answer.close()
            return self._stand_in(fetch, f"fwd-status={answer.status}")
        return self._taken(fetch, answer, begun)

    def _may_stand_in(self, asked: Asked, entry: Entry | None) -> bool:
        return entry is not None and may_use_on_error(
            entry.said, asked.directives, entry.freshness(self._clock())
        )

    def _stand_in(self, fetch: _Fetch, *parameters: str) -> Answer:
        """Answer with what is stored in the place of an error."""
        assert fetch.entry is not None  # it may stand in
        fetch.flight.land()
        told = f"fwd={fetch.reason}", *parameters, "detail=stale-if-error"
        return self._reply(fetch.asked, fetch.entry, *told)

    def _confirmed(
        self, fetch: _Fetch, entry: Entry, answer: Answer, begun: float
    ) -> Answer:
        """Use what is stored, as the backend has confirmed and changed it."""
        asked = fetch.asked
        fields = freshen(entry.fields, response_fields(answer.headers.pairs))
        head = self._head(asked, entry.status, entry.reason, fields, begun)
        fresh = replace(head, body=entry.body)
        stored = self._may_store(asked, fresh)
        if stored:
            self._put(asked, fresh, fetch.flight)
        else:
            self._entries.forget(asked.resource)
        fetch.flight.land(fresh if stored else None)
        told = f"fwd={fetch.reason}", "fwd-status=304", *_STORED[stored]
        return self._reply(asked, fresh, *told)

    def _taken(self, fetch: _Fetch, answer: Answer, begun: float) -> Answer:
        """Pass an answer on; keep it on its way, where it may be kept."""
        asked, flight = fetch.asked, fetch.flight
        fields = response_fields(answer.headers.pairs)
        head = self._head(asked, answer.status, answer.reason, fields, begun)
        stored = self._fits(answer) and self._may_store(asked, head)
        if stored:
            answer.body = KeptBody(
                answer.body,
                self._max_body,
                lambda content: self._land(asked, head, content, flight),
                flight.leave,
            )
        else:
            flight.land()
            if fetch.entry is not None and _replaces(asked.call.method, answer.status):
                self._entries.forget(asked.resource)
        self._mark(answer, f"fwd={fetch.reason}", *_STORED[stored])
        return answer

    def _mark(self, answer: Answer, *parameters: str) -> None:
        answer.headers.add("Cache-Status", cache_status(self._name, *parameters))

    # -- keeping ---------------------------------------------------------------------

    def _head(
        self, asked: Asked, status: int, reason: str, fields: Fields, begun: float
    ) -> Entry:
        """Make an entry, without its content."""
        now, destination = self._clock(), asked.call.destination
        if not lines(fields, "date"):  # RFC 9110 section 6.6.1
            fields = [*fields, ("Date", formatdate(now, usegmt=True))]
        names = sorted({*(varies_by(fields) or ()), *self._key_fields})
        return Entry(
            status=status,
            reason=reason,
            fields=fields,
            body=b"",
            selected=selecting(names, asked.fields),
            asked=begun,
            received=now,
            destination=destination.url if destination is not None else "",
        )

    def _fits(self, answer: Answer) -> bool:
        """Say whether the content can be told from a cut one, and is not too long."""
        fields = answer.headers.pairs
        if answer.status == 204:
            return True  # nothing comes that could be cut (RFC 9112 section 6.3)
        length = content_length(fields)
        return has_known_end(fields) and (length is None or length <= self._max_body)

    def _may_store(self, asked: Asked, entry: Entry) -> bool:
        return self._use(entry) > 0 and may_store(
            asked.call.method,
            asked.client_fields,
            entry.status,
            entry.fields,
            self._credentials | asked.personal,
            self._never_with,
        )

    def _use(self, entry: Entry) -> float:
        """Return how long an entry will be of use, seconds."""
        ttl = entry.freshness(self._clock()).ttl
        return store_time(entry.said, ttl, bool(validators(entry.fields)), self._keep)

    def _put(self, asked: Asked, entry: Entry, flight: Flight) -> None:
        self._entries.put(asked.resource, asked.fields, entry, self._use(entry))
        if flight.spoiled:  # asked last, so that nothing comes back that was taken away
            self._entries.forget(asked.resource)

    def _land(
        self, asked: Asked, head: Entry, content: bytes | None, flight: Flight
    ) -> None:
        """Keep what has come whole, and let those have it that wait."""
        with flight:
            entry = None if content is None else replace(head, body=content)
            if entry is not None:
                self._put(asked, entry, flight)
            flight.land(entry)

    # -- methods that change something -----------------------------------------------

    def _pass_by(self, call: ProxyCall, send: Send, why: str) -> Answer:
        """Ask the backend, and forget what is not true any more (RFC 9111 4.4)."""
        answer = send(call)
        if is_unsafe(call.method, answer.status):
            for path, query in changed_by(call, answer):
                resource = resource_of(call, path, query, self._scope)
                self._flights.spoil(resource)
                self._entries.forget(resource)
        self._mark(answer, f"fwd={why}")
        return answer

    # -- in the background -----------------------------------------------------------

    def _refresh(self, asked: Asked, send: Send, found: Found) -> None:
        """Renew a stale entry while it is used (RFC 5861 section 3)."""
        copy = detached(asked)
        if not self._refreshes.acquire(blocking=False):
            return  # the next request may have more luck
        flight, leads = self._flights.join(found.slot, asked.resource)
        if not leads:
            return self._refreshes.release()
        fetch = _Fetch(copy, send, found.entry, "stale", flight)
        thread = threading.Thread(
            target=self._renew,
            args=(fetch,),
            name="restproxy-cache-refresh",
            daemon=True,
        )
        try:
            thread.start()
        except RuntimeError:  # there can be no more threads
            self._refreshes.release()
            flight.land()

    def _renew(self, fetch: _Fetch) -> None:
        try:
            _drain(self._fetch(fetch), fetch.flight)
        except (ForwardingFailed, *TRANSPORT_ERRORS) as error:
            backend = fetch.asked.call.backend.name
            log.info("no newer answer of backend %r: %s", backend, error)
        finally:
            fetch.flight.land()
            self._refreshes.release()


_AGE = frozenset({"age"})

#: What is told of storing.
_STORED = {True: ("stored",), False: ()}


def _conditions(call: ProxyCall, entry: Entry | None) -> Fields:
    """Return the conditions by which the backend can confirm what is stored."""
    if entry is None or call.method != "GET":
        return []
    return validators(entry.fields)


def _send_with(call: ProxyCall, send: Send, conditions: Fields) -> Answer:
    """Send a call with the conditions of the cache in the place of the client's."""
    if not conditions:
        return send(call)
    before = call.headers
    call.headers = FieldList(drop(before.pairs, CONDITIONS) + conditions)
    try:
        return send(call)
    finally:
        call.headers = before


def _replaces(method: str, status: int) -> bool:
    """Say whether an answer that is not kept shows that the kept one is old."""
    return method == "GET" and status < 400 and status != 304


def _drain(answer: Answer, flight: Flight) -> None:
    """Read an answer that nobody waits for, as far as somebody keeps it."""
    with closing(answer):
        try:
            while not flight.landed and answer.body.read_piece():
                pass
        except TRANSPORT_ERRORS:
            answer.broke()
            raise


@lru_cache(maxsize=1024)
def _destination(url: str) -> Destination | None:
    """Return who gave a stored answer; what its Location leads to depends on it."""
    return Destination.parse("cached", url) if url else None
