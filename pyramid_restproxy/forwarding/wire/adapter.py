"""`KeepAliveAdapter`: an HTTP/1.1 client as a ``requests`` transport adapter.

Can be mounted in any session; the forwarder calls :meth:`KeepAliveAdapter.exchange`
directly, which gives the answer without a ``requests.Response`` around it. It sends
what it is given and nothing else, follows nothing, remembers nothing but idle
connections. Retrying is for those who know what may be sent twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.exceptions import InvalidSchema, InvalidURL
from requests.utils import select_proxy, urldefragauth

from pyramid_restproxy.forwarding.wire.answer import Body, Head, read_head
from pyramid_restproxy.forwarding.wire.connections import Connection
from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.errors import NoAnswer, SendError
from pyramid_restproxy.forwarding.wire.opening import (
    DEFAULT_PORTS,
    Origin,
    connect,
    proxy_credentials,
)
from pyramid_restproxy.forwarding.wire.pool import Pool
from pyramid_restproxy.forwarding.wire.request import (
    BLOCK,
    Fields,
    blocks,
    chunks,
    encode_head,
)
from pyramid_restproxy.forwarding.wire.response import WireResponse
from pyramid_restproxy.remembered import remembered

__all__ = ["KeepAliveAdapter", "Lease"]


class Lease:
    """A connection for the time of one exchange; the source of its answer.

    :param pool: where it goes back to.
    :param deadline: the limits of the exchange.
    """

    __slots__ = ("connection", "origin", "deadline", "_pool", "sent_whole")

    def __init__(
        self, connection: Connection, origin: Origin, deadline: Deadline, pool: Pool
    ) -> None:
        self.connection = connection
        self.origin = origin
        self.deadline = deadline
        self.sent_whole = True
        self._pool = pool

    def receive(self, size: int) -> bytes:
        """Return some bytes of the answer, none at the end of the stream."""
        return self.connection.receive(size, self.deadline)

    def release(self, reusable: bool) -> None:
        """Give the connection back, or close it."""
        if reusable and self.sent_whole:
            self._pool.give(self.origin, self.connection)
        else:
            self.connection.close()


class KeepAliveAdapter(BaseAdapter):
    """Speak HTTP/1.1 over pooled connections.

    Thread-safe; after a fork the child starts with an empty pool.

    :param pool_size: idle connections kept for one origin.
    :param idle_timeout: seconds after which an idle connection is not used again.
    :param total_timeout: seconds for a whole exchange, body included; None for no
        limit. A deadline, not a limit on silence.

    :ivar on_connect: told after each connection that was made, or not: how many seconds
        that took. None for nobody.
    """

    def __init__(
        self,
        pool_size: int = 10,
        idle_timeout: float = 30.0,
        total_timeout: float | None = None,
    ) -> None:
        super().__init__()
        self.pool = Pool(pool_size, idle_timeout)
        self.total_timeout = total_timeout
        self.on_connect: Callable[[float], None] | None = None

    # -- for the forwarder ----------------------------------------------------

    def exchange(
        self,
        origin: Origin,
        head: bytes,
        body: Any = None,
        *,
        method: str = "GET",
        chunked: bool = False,
        connect_timeout: float | None = None,
        deadline: Deadline | None = None,
    ) -> tuple[Head, Body]:
        """Send one request and read the head of its answer.

        :param head: the head, as :func:`encode_head` writes it.
        :param body: bytes, a file, an iterable of bytes, or None.
        :param method: the method in `head`; HEAD has an answer without a body.
        :param chunked: whether the body is framed here, or has a known length.
        :param connect_timeout: seconds to make a connection, None for no limit.
        :param deadline: limits of the rest.
        :returns: the head of the answer, and its body, which must be read to its
            end or closed.
        :raises WireError: by the stage that failed.
        """
        deadline = deadline or Deadline(None, self.total_timeout)
        connection = self.pool.take(origin)
        if connection is None:
            connection = self._connect(origin, connect_timeout, deadline)
        lease = Lease(connection, origin, deadline, self.pool)
        answer = Head(method)
        try:
            failed = self._send(lease, head, body, chunked)
            if not read_head(answer, lease):
                # That a kept one was closed for idleness shows in a large body, too.
                if connection.used or failed is None:
                    reused = connection.used > 0
                    if reused:  # the others were kept as long, or longer
                        self.pool.drop(origin)
                    raise NoAnswer("closed without an answer", reused) from failed
                raise failed
        except BaseException:
            connection.close()
            raise
        connection.used += 1
        return answer, Body(answer, lease)

    def _connect(
        self, origin: Origin, timeout: float | None, deadline: Deadline
    ) -> Connection:
        if self.on_connect is None:
            return connect(origin, timeout, deadline)
        started = time.perf_counter()
        try:
            return connect(origin, timeout, deadline)
        finally:
            self.on_connect(time.perf_counter() - started)

    def _send(
        self, lease: Lease, head: bytes, body: Any, chunked: bool
    ) -> SendError | None:
        """Send a request; what stops it may still have been answered."""
        connection, deadline = lease.connection, lease.deadline
        if isinstance(body, bytes) and len(body) <= BLOCK and not chunked:
            head, body = head + body, None
        try:
            connection.send(head, deadline)
        except SendError as error:
            lease.sent_whole = False
            return error
        if body is None:
            return None
        pieces: Iterable[bytes] = blocks(body)
        for piece in chunks(pieces) if chunked else pieces:
            if not connection.send_watching(piece, deadline):
                lease.sent_whole = False
                return SendError("the connection broke while the body was sent")
        return None

    # -- for requests ---------------------------------------------------------

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a prepared request (see :class:`requests.adapters.BaseAdapter`).

        :param timeout: seconds, for connecting and between two bytes, or a pair.
        :raises WireError: by the stage that failed.
        """
        connect_timeout, read_timeout = _timeouts(timeout)
        proxy = select_proxy(request.url or "", proxies) if proxies else None
        origin = origin_of(request.url or "", proxy, verify, cert)
        method, fields = _text(request.method or "GET"), _fields(request, origin)
        head, body = self.exchange(
            origin,
            encode_head(method, _target(request, origin), fields),
            request.body,
            method=method,
            chunked=_is_chunked(fields),
            connect_timeout=connect_timeout,
            deadline=Deadline(read_timeout, self.total_timeout),
        )
        return WireResponse(request, head, body, self)

    def close(self) -> None:
        """Close the idle connections."""
        self.pool.close()


def _timeouts(timeout: Any) -> tuple[float | None, float | None]:
    if isinstance(timeout, tuple):
        connect_timeout, read_timeout = timeout
        return connect_timeout, read_timeout
    return timeout, timeout


def origin_of(
    url: str,
    proxy: str | None = None,
    verify: bool | str = True,
    cert: Any = None,
) -> Origin:
    """Return where a URL leads.

    :raises InvalidSchema: where the scheme is not http, https or http+unix.
    :raises InvalidURL: where there is no host, or a port that is none.
    """
    parts = urlsplit(url)
    certificate = tuple(cert) if isinstance(cert, list) else cert
    return _origin((parts.scheme, parts.netloc, proxy, verify, certificate))


@remembered(1024)
def _origin(
    leads: tuple[str, str, str | None, bool | str, str | tuple[str, str] | None],
) -> Origin:
    scheme, netloc, proxy, verify, cert = leads
    if scheme == "http+unix":
        return Origin(scheme, unquote(netloc), 0)
    if scheme not in DEFAULT_PORTS:
        raise InvalidSchema(f"no connection for {scheme!r} URLs")
    parts = urlsplit(f"//{netloc}")
    try:
        host, port = parts.hostname, parts.port or DEFAULT_PORTS[scheme]
    except ValueError as error:
        raise InvalidURL(f"{scheme}: the port of the URL is not valid") from error
    if not host:
        raise InvalidURL(f"{scheme}: the URL has no host")
    if scheme == "http":
        return Origin(scheme, host, port, proxy)
    return Origin(scheme, host, port, proxy, verify, cert)


def _target(request: PreparedRequest, origin: Origin) -> str:
    if origin.proxy and origin.scheme == "http":
        return urldefragauth(request.url or "")  # absolute-form, RFC 9112 section 3.2.2
    return request.path_url


def _is_chunked(fields: Fields) -> bool:
    codings = [text for name, text in fields if name.lower() == "transfer-encoding"]
    return [text.strip().lower() for text in codings] == ["chunked"]


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _fields(request: PreparedRequest, origin: Origin) -> Fields:
    found = [(_text(name), _text(value)) for name, value in request.headers.items()]
    names = [name.lower() for name, _ in found]
    if "host" not in names:
        found.insert(0, ("Host", origin.authority))
    if origin.proxy and origin.scheme == "http":
        credentials = proxy_credentials(origin.proxy)
        if credentials and "proxy-authorization" not in names:
            found.append(("Proxy-Authorization", credentials))
    return found
