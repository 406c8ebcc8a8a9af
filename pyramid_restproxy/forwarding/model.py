"""What the modules of forwarding hand to each other. No behaviour to speak of.

Configuration is frozen when the application is made; a :class:`ProxyCall` lives for
one request and is what hooks and transforms read and change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pyramid.request import Request
from pyramid.response import Response
from requests.adapters import BaseAdapter
from zope.interface import Interface

from pyramid_restproxy.forwarding.balance import PICKERS
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.endpoint import Endpoint
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.forwarded import TrustedProxies
from pyramid_restproxy.forwarding.load import Gate, RetryBudget
from pyramid_restproxy.settings import BackendSettings

__all__ = [
    "Answer",
    "AnswerCache",
    "AnswerBody",
    "Backend",
    "Gateway",
    "IGateway",
    "ProxyCall",
    "RequestTransform",
    "ResponseTransform",
    "RoutePolicy",
]


class AnswerBody(Protocol):
    """The content of an answer, as a transport hands it out."""

    @property
    def at_end(self) -> bool:
        """Whether all of it has been read, as far as that is known."""

    def read_piece(self) -> bytes:
        """Return the next piece as it comes, none at the end; raise where it is cut."""

    def close(self) -> None:
        """Give up what is left."""


class Watcher(Protocol):
    """Who wants to know what becomes of an answer; told once."""

    def finished(self) -> None:
        """Note that the exchange is over, read to its end or given up."""

    def broken(self) -> None:
        """Note that the backend broke off; :meth:`finished` follows."""


@dataclass(slots=True)
class Answer:
    """What a backend answered; response transforms may change it.

    :ivar status: the status code.
    :ivar reason: the reason phrase, may be empty.
    :ivar headers: the fields, in order.
    :ivar body: the content; a transform may put another in its place.
    :ivar watcher: who wants to know when it is over.
    :ivar gates: what is left when it is.
    """

    status: int
    reason: str
    headers: FieldList
    body: AnswerBody
    watcher: Watcher | None = None
    gates: tuple[Gate, ...] = ()

    def close(self) -> None:
        """End the exchange; what is left of the content is given up."""
        try:
            self.body.close()  # it may be a transform's, and raise
        finally:
            watcher, self.watcher = self.watcher, None
            if watcher is not None:
                watcher.finished()
            gates, self.gates = self.gates, ()
            for gate in gates:
                gate.leave()

    def broke(self) -> None:
        """Note that the content broke off."""
        if self.watcher is not None:
            self.watcher.broken()


#: Told of each exchange: backend, destination, what came of it (``2xx`` or a
#: Proxy-Status token), seconds until then.
Observer = Callable[[str, str, str, float], None]


class Backend:
    """A backend: its endpoints, options and transport. Thread-safe.

    :param name: the name in routes, settings and logs.
    :param endpoints: its destinations.
    :param options: timeouts, Host policy, TLS, and how failures are met.
    :param adapter: the ``requests`` transport adapter that sends to it.
    :param on_use: called before each exchange: other destinations, probes.
    :param secret: the key of affinity cookies.

    :ivar endpoints: a tuple, replaced as a whole where the destinations change.
    :ivar pick: who is asked next of those that may be.
    :ivar budget: how many retries there may be.
    :ivar gate: how many exchanges there may be at a time.
    :ivar observers: told of each of them.
    :ivar failing: those of them that have failed, which was logged.
    :ivar sign: takes what is about to go out and the scheme; returns fields to add.
    """

    def __init__(
        self,
        name: str,
        endpoints: Sequence[Endpoint],
        options: BackendSettings,
        adapter: BaseAdapter,
        on_use: Callable[[], None] | None = None,
        secret: bytes = b"",
    ) -> None:
        self.name = name
        self.endpoints = tuple(endpoints)
        self.options = options
        self.adapter = adapter
        self.pick = PICKERS[options.balance]()
        self.budget = RetryBudget(options.retry_budget)
        self.gate = Gate(options.max_in_flight)
        self.secret = secret
        self.observers: tuple[Observer, ...] = ()
        self.failing: set[Observer] = set()
        self.sign: Callable[[Any, str], list[tuple[str, str]]] | None = None
        self.on_use = on_use


@dataclass(slots=True)
class ProxyCall:
    """One request on its way to a backend.

    :ivar request: the Pyramid request; not to be changed.
    :ivar backend: where it goes.
    :ivar method: the method to send.
    :ivar path: the path below the destination's URL, percent-encoded.
    :ivar query: the query, percent-encoded, without ``?``.
    :ivar empty_query: whether a ``?`` is sent although the query is empty.
    :ivar headers: the fields to send; framing is added later, and Host where there is
        none.
    :ivar body: bytes, or a file that ends where the body does, or None.
    :ivar length: bytes of the body; None where it is not known beforehand.
    :ivar prefix: what was cut off the path, for X-Forwarded-Prefix and Location.
    :ivar base: what is sent in its place, before the rest of the path.
    :ivar destination: where it is being sent, or was sent last.
    :ivar endpoint: that, with what is known of it.
    :ivar host: the Host to send, where it is not what the backend's option says.
    :ivar personal: names (lower case) of fields that transforms set for this client;
        known where there is a cache.
    :ivar attempts: how often somebody was asked.
    :ivar attributes: room for hooks and transforms.
    """

    request: Request
    backend: Backend
    method: str
    path: str
    query: str
    headers: FieldList
    body: Any = None
    length: int | None = 0
    prefix: str = ""
    base: str = ""
    destination: Destination | None = None
    endpoint: Endpoint | None = None
    host: str | None = None
    personal: frozenset[str] = frozenset()
    attempts: int = 0
    empty_query: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)


RequestTransform = Callable[[ProxyCall], Response | None]
ResponseTransform = Callable[[ProxyCall, Answer], None]


class AnswerCache(Protocol):
    """What may answer in the place of a backend."""

    def answer(self, call: ProxyCall, send: Callable[[ProxyCall], Answer]) -> Answer:
        """Return an answer, kept or fetched.

        :param send: asks the backend.
        :raises ForwardingFailed: what `send` raises, where nothing kept may be used.
        """


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """How requests of one route are forwarded.

    :ivar strip_prefix: whether only the tail of the pattern is sent.
    :ivar path: a pattern for the path to send, filled from the matchdict.
    :ivar identity_headers: names that clients must not send; taken out.
    :ivar identity: fields that tell the backend who asks, and where that is known from.
    :ivar request_transforms: run before sending, in order.
    :ivar response_transforms: run on the answer's head, in order.
    :ivar rewrite_location: whether Location leads back through the gateway.
    :ivar max_request_body: bytes, None for no limit.
    :ivar forwarded: whether to send Forwarded (RFC 7239) besides X-Forwarded fields.
    :ivar by: this gateway's name in Forwarded.
    :ivar sse_prelude: whether an event stream begins with a comment of the gateway's,
        so that its head reaches the client before the first event.
    :ivar gate: how many requests of the route there may be at a time.
    :ivar cache: what answers where it can, in the place of the backend.
    """

    strip_prefix: bool = True
    path: str | None = None
    identity_headers: frozenset[str] = frozenset()
    identity: tuple[tuple[str, Callable[[Request], str | None]], ...] = ()
    request_transforms: tuple[RequestTransform, ...] = ()
    response_transforms: tuple[ResponseTransform, ...] = ()
    rewrite_location: bool = True
    max_request_body: int | None = None
    forwarded: bool = False
    by: str = ""
    sse_prelude: bool = False
    gate: Gate | None = None
    cache: AnswerCache | None = None


@dataclass(slots=True)
class Gateway:
    """What the forwarding of an application shares.

    :ivar backends: by name.
    :ivar trusted: the proxies whose claims are believed.
    :ivar without: names of fields (lower case) that never go on.
    :ivar secret: the key of what is signed for ourselves.
    :ivar answers: the store of cached answers, made for the first route that caches.
    :ivar own_cookies: names of cookies that directives of ours make.
    :ivar kept_cookies: names of all cookies that go to no backend, and that none may
        set; None until that is asked, see ``own_cookies``.
    :ivar streams: how many event streams there may be at a time in this process.
    :ivar pseudonym: how this gateway names itself in Via, Proxy-Status, Cache-Status.
    :ivar watchers: told of each backend.
    """

    backends: dict[str, Backend]
    trusted: TrustedProxies
    without: frozenset[str]
    secret: bytes = field(default=b"", repr=False)
    own_cookies: frozenset[str] = frozenset()
    kept_cookies: frozenset[str] | None = None
    streams: Gate = field(default_factory=Gate)
    answers: Any = None
    pseudonym: str = "pyramid_restproxy"
    watchers: list[Callable[[Backend], None]] = field(default_factory=list)

    def add(self, backend: Backend) -> None:
        """Take in a backend, in the place of one that has its name."""
        self.backends[backend.name] = backend
        self.kept_cookies = None  # it may have one more
        for watcher in self.watchers:
            watcher(backend)

    def watch(self, watcher: Callable[[Backend], None]) -> None:
        """Tell somebody of each backend: of those that are there, and that come later.

        Later is after a commit, or with ``autocommit``.
        """
        self.watchers.append(watcher)
        for backend in self.backends.values():
            watcher(backend)


class IGateway(Interface):
    """The :class:`Gateway` of an application, in its registry."""
