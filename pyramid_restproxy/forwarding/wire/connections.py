"""Connections: made, used within deadlines, kept idle, and thrown away.

:func:`connect` makes one (plain, TLS, unix socket, through a second proxy);
:class:`Connection` is one; :class:`Pool` keeps idle ones, last in, first out.
HTTP itself is elsewhere.
"""

from __future__ import annotations

import base64
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import certifi
from requests.exceptions import InvalidProxyURL

from pyramid_restproxy.forwarding.wire.answer import Head, read_head
from pyramid_restproxy.forwarding.wire.errors import (
    OURS,
    CertificateError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    NoResources,
    ReadTimeout,
    ResolveError,
    SendError,
    TLSError,
    TunnelError,
    WireError,
)

__all__ = [
    "Connection",
    "Deadline",
    "Origin",
    "Pool",
    "connect",
    "make_context",
    "proxy_credentials",
]

#: How much is read and sent of a body at a time, bytes.
BLOCK = 65536


class Deadline:
    """How long an exchange may take, and how long the peer may be silent.

    The total time is the peer's. While another is waited for, a client of ours that
    sends slowly or takes slowly, it stands still: :meth:`pause`, :meth:`resume`.

    :param silence: seconds between two bytes, None for no limit.
    :param total: seconds from now, None for no limit.
    """

    __slots__ = ("silence", "at", "_paused_at")

    def __init__(self, silence: float | None, total: float | None) -> None:
        self.silence = silence
        self.at = None if total is None else time.monotonic() + total
        self._paused_at = 0.0

    def wait(self, limit: float | None = None) -> float | None:
        """Return how long to wait for the next byte (or `limit`), in seconds.

        :raises DeadlineExceeded: where the total time is over.
        """
        limit = self.silence if limit is None else limit
        if self.at is None:
            return limit
        left = self.at - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the exchange took longer than its total timeout")
        return left if limit is None else min(limit, left)

    def pause(self) -> None:
        """Note that from now on it is not the peer who is waited for."""
        self._paused_at = time.monotonic()

    def resume(self) -> None:
        """Note that it is again: the time since :meth:`pause` does not count."""
        if self.at is not None:
            self.at += time.monotonic() - self._paused_at

    def without(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield pieces; the time that passes until they come does not count."""
        self.pause()
        for piece in pieces:
            self.resume()
            yield piece
            self.pause()
        self.resume()

    def left(self) -> float:
        """Return how many seconds are left in all; infinity where there is no limit."""
        return float("inf") if self.at is None else self.at - time.monotonic()

    def timed_out(self) -> ReadTimeout | DeadlineExceeded:
        """Return the error that fits: which of the two limits was it?"""
        if self.at is not None and time.monotonic() >= self.at:
            return DeadlineExceeded("the exchange took longer than its total timeout")
        return ReadTimeout(f"the server was silent for {self.silence} s")


class Origin(NamedTuple):
    """Where a connection leads; connections to equal origins are alike.

    :ivar scheme: ``http``, ``https`` or ``http+unix``.
    :ivar host: host name or address without brackets; the path of a unix socket.
    :ivar port: TCP port; 0 for a unix socket.
    :ivar proxy: URL of a second proxy on the way, or None.
    :ivar verify: whether and by what the certificate is verified, as in requests.
    :ivar cert: client certificate, as in requests.
    """

    scheme: str
    host: str
    port: int
    proxy: str | None = None
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None

    @property
    def authority(self) -> str:
        """Host and port, the port left out where it is the scheme's own."""
        if self.scheme == "http+unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"
        )


DEFAULT_PORTS = {"http": 80, "https": 443}


class Connection:
    """One open connection. One exchange at a time.

    :ivar used: how many exchanges it has carried.
    :ivar idle_since: when it was last given back (monotonic seconds).
    """

    __slots__ = (
        "_sock",
        "_kernel_waits",
        "_tells_state",
        "_poll",
        "_early",
        "_timeout",
        "used",
        "idle_since",
    )

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # A timeout of Python's costs a poll before every call; the kernel's costs
        # nothing, and TLS cannot use it.
        self._kernel_waits = os.name == "posix" and not isinstance(sock, ssl.SSLSocket)
        if self._kernel_waits:
            sock.settimeout(None)
            # gevent's do not block: then nothing of the kernel's would end a wait
            self._kernel_waits = os.get_blocking(sock.fileno())
        is_linux = sys.platform == "linux"
        self._tells_state = is_linux and sock.family != socket.AF_UNIX
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._early = b""
        self._timeout: float | None = -1.0
        self.used = 0
        self.idle_since = 0.0

    def receive(self, size: int, deadline: Deadline) -> bytes:
        """Return some bytes, none at the end of the stream.

        :raises ReadTimeout, DeadlineExceeded: where none come in time.
        """
        if self._early:
            early, self._early = self._early, b""
            return early
        self._set_timeout(deadline.wait())
        try:
            return self._sock.recv(size)
        except (TimeoutError, BlockingIOError) as error:
            raise deadline.timed_out() from error
        except (ConnectionError, ssl.SSLError):
            return b""  # a reset ends the stream as a close does, only less politely

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send all of `data`.

        :raises SendError: where the connection breaks.
        """
        self._set_timeout(deadline.wait())
        try:
            self._sock.sendall(data)
        except (TimeoutError, BlockingIOError) as error:
            raise deadline.timed_out() from error
        except OSError as error:
            raise SendError(f"the request could not be sent: {error}") from error

    def send_watching(self, data: bytes, deadline: Deadline) -> bool:
        """Send all of `data`, unless the peer begins to answer meanwhile.

        :returns: False where it did, or ended the stream; the rest is not sent.
        :raises ReadTimeout, DeadlineExceeded: where it takes nothing for too long.
        """
        left = memoryview(data)
        while left:
            ready = self._wait_for_either(deadline)
            if ready & ~select.POLLOUT and self._answering():
                return False
            if ready & select.POLLOUT:
                try:
                    left = left[self._send_some(left) :]
                except (BlockingIOError, ssl.SSLWantWriteError):
                    continue
                except OSError:
                    return False  # whatever it said before it closed can be read
        return True

    def _send_some(self, data: memoryview) -> int:
        """Send what can be sent without waiting."""
        if self._kernel_waits:
            return self._sock.send(data, socket.MSG_DONTWAIT)
        return self._sock.send(data)

    def _wait_for_either(self, deadline: Deadline) -> int:
        wait = deadline.wait()
        self._poll.modify(self._sock, select.POLLIN | select.POLLOUT)
        try:
            ready = self._poll.poll(None if wait is None else wait * 1000)
        finally:
            self._poll.modify(self._sock, select.POLLIN)
        if not ready:
            raise deadline.timed_out()
        return ready[0][1]

    def _answering(self) -> bool:
        """Say whether what made the socket readable is an answer, or the end.

        On TLS it may be the protocol's own message instead (a session ticket).
        """
        if not isinstance(self._sock, ssl.SSLSocket):
            return True
        self._set_timeout(0)
        try:
            self._early = self._sock.recv(BLOCK)
        except ssl.SSLWantReadError:
            return False
        except OSError:
            pass
        return True

    def readable(self) -> bool:
        """Say whether there are bytes, or the end, without waiting."""
        pending = getattr(self._sock, "pending", None)
        if pending and pending():
            return True
        if self._tells_state and _stands_silent(self._sock):
            return False
        return bool(self._poll.poll(0))

    def _set_timeout(self, timeout: float | None) -> None:
        if timeout == self._timeout:
            return
        self._timeout = timeout
        if not self._kernel_waits:
            self._sock.settimeout(timeout)
            return
        # 0 would mean for ever: wait a microsecond at the least
        wait = 0 if timeout is None else max(int(timeout * 1_000_000), 1)
        interval = struct.pack("ll", *divmod(wait, 1_000_000))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._sock.setsockopt(socket.SOL_SOCKET, option, interval)

    def close(self) -> None:
        """Close it, without waiting for anything."""
        self._sock.close()


#: What getsockopt of Linux says of a socket's memory; first, the bytes received and
#: not read (``SO_MEMINFO`` of asm-generic/socket.h, which Python has no name for).
_SO_MEMINFO = 55
_NOTHING = bytes(4)
_ESTABLISHED = b"\1"  # the first byte of TCP_INFO


def _stands_silent(sock: socket.socket) -> bool:
    """Say whether Linux is sure that its TCP connection stands and nothing has come.

    A poll knows it too, but lets go of the interpreter's lock. Under load that costs
    more than all the rest of taking a connection from the pool.
    """
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        unread = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4)
    except OSError:
        return False
    return state == _ESTABLISHED and unread == _NOTHING


# -- making one ---------------------------------------------------------------


def connect(origin: Origin, timeout: float | None, deadline: Deadline) -> Connection:
    """Make a connection.

    :param timeout: seconds for each stage of it, None for no limit. How long a name is
        looked up the system's resolver alone decides.
    :raises ResolveError, ConnectError, ConnectTimeout, TLSError, TunnelError:
    :raises NoResources: where it is this process that cannot.
    """
    if origin.scheme == "http+unix":
        path = origin.host
        wait = deadline.wait(timeout)
        return Connection(_connected(socket.AF_UNIX, path, path, wait))
    proxy = _proxy_of(origin)
    host, port = (proxy[0], proxy[1]) if proxy else (origin.host, origin.port)
    sock = _open(host, port, timeout, deadline)
    try:
        if proxy and origin.scheme == "https":
            _tunnel(sock, origin, proxy[2], Deadline(timeout, deadline.wait(timeout)))
        if origin.scheme == "https":
            sock.settimeout(deadline.wait(timeout))
            sock = _wrap(sock, origin)
    except BaseException:
        sock.close()
        raise
    return Connection(sock)


def _open(
    host: str, port: int, timeout: float | None, deadline: Deadline
) -> socket.socket:
    """Connect to the first address of a name that accepts.

    They share the time: each has its part of what is left, so that the last is asked
    too where the first are dead.
    """
    addresses = _addresses(host, port)
    limit = Deadline(None, deadline.wait(timeout))
    while True:
        family, *_, address = addresses.pop(0)
        wait = None if limit.at is None else max(limit.left(), _AT_LEAST)
        share = None if wait is None else wait / (len(addresses) + 1)
        try:
            sock = _connected(family, address, f"{host}:{port}", share)
        except (ConnectError, ConnectTimeout):
            if not addresses:
                raise
        else:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock


#: How long an address is waited for though the time is over, seconds; 0 would mean not
#: to wait at all.
_AT_LEAST = 0.001


def _addresses(host: str, port: int) -> list[Any]:
    """Return the addresses of a name, as getaddrinfo has them."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        if error.errno in OURS or _lacks_descriptors():
            raise NoResources("no name can be looked up: no descriptor left") from error
        raise ResolveError(f"{host} does not resolve: {error.strerror}") from error


def _lacks_descriptors() -> bool:
    """Say whether none is left; a resolver without any says that it knows no name."""
    try:
        socket.socket().close()
    except OSError as error:
        return error.errno in OURS
    return False


def _connected(
    family: int, address: Any, name: str, timeout: float | None
) -> socket.socket:
    """Connect to one address.

    :param name: for messages.
    """
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(timeout)
        sock.connect(address)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise _not_connected(name, error) from error
    return sock


def _not_connected(name: str, error: OSError) -> WireError:
    if isinstance(error, TimeoutError):
        return ConnectTimeout(f"no connection to {name} in time")
    reason = error.strerror or error
    if error.errno in OURS:
        return NoResources(f"no connection can be opened: {reason}")
    return ConnectError(f"no connection to {name}: {reason}")


def _proxy_of(origin: Origin) -> tuple[str, int, str | None] | None:
    """Return host, port and credentials of the second proxy."""
    if not origin.proxy:
        return None
    url = urlsplit(origin.proxy if "://" in origin.proxy else f"http://{origin.proxy}")
    if url.scheme != "http" or not url.hostname:
        # The URL may hold a password: not in the message.
        raise InvalidProxyURL("the proxy's URL must be http://host:port")
    return url.hostname, url.port or 80, proxy_credentials(origin.proxy)


def proxy_credentials(proxy: str) -> str | None:
    """Return the Proxy-Authorization for a proxy's URL, or None without userinfo."""
    url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if url.username is None:
        return None
    userinfo = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return "Basic " + base64.b64encode(userinfo.encode("utf-8")).decode("ascii")


class _TunnelSource:
    """A bare socket as the source of the answer to CONNECT, byte by byte.

    One byte at a time, because what follows the head belongs to TLS.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def receive(self, size: int) -> bytes:
        self._sock.settimeout(self._deadline.wait())
        try:
            return self._sock.recv(1)
        except TimeoutError as error:
            raise ConnectTimeout("the proxy did not answer CONNECT") from error
        except OSError:
            return b""

    def release(self, reusable: bool) -> None:
        """Keep the socket: TLS goes on with it."""


def _tunnel(
    sock: socket.socket, origin: Origin, credentials: str | None, deadline: Deadline
) -> None:
    """Ask the proxy for a tunnel (RFC 9110 section 9.3.6)."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    lines = [f"CONNECT {host}:{origin.port} HTTP/1.1", f"Host: {host}:{origin.port}"]
    if credentials:
        lines.append(f"Proxy-Authorization: {credentials}")
    head = Head("HEAD")  # a 2xx to CONNECT has no body, whatever its fields say
    try:
        sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        answered = read_head(head, _TunnelSource(sock, deadline))
    except WireError:  # which is an OSError too, as all errors of requests are
        raise
    except OSError as error:
        raise TunnelError(f"the proxy broke the connection: {error}") from error
    if not answered or not 200 <= head.status < 300:
        raise TunnelError(f"the proxy answered {head.status or 'nothing'} to CONNECT")


_contexts: dict[tuple[bool | str, str | tuple[str, str] | None], ssl.SSLContext] = {}


def _context(verify: bool | str, cert: str | tuple[str, str] | None) -> ssl.SSLContext:
    """Make the TLS context for these options, once a process."""
    key = verify, cert
    if key not in _contexts:
        _contexts[key] = make_context(verify, cert)
    return _contexts[key]


def make_context(
    verify: bool | str, cert: str | tuple[str, str] | None
) -> ssl.SSLContext:
    """Make the TLS context for these options.

    :param verify: whether and by what the certificate is verified, as in requests.
    :param cert: client certificate, as in requests.
    :raises OSError: where a file is not there, or is not what it must be.
    """
    context = ssl.create_default_context(cafile=certifi.where())
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif isinstance(verify, str):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        folder = os.path.isdir(verify)
        context.load_verify_locations(
            capath=verify if folder else None, cafile=None if folder else verify
        )
    if cert:
        context.load_cert_chain(*((cert,) if isinstance(cert, str) else cert))
    context.set_alpn_protocols(["http/1.1"])
    return context


def _wrap(sock: socket.socket, origin: Origin) -> ssl.SSLSocket:
    name = f"{origin.host}:{origin.port}"
    try:
        context = _context(origin.verify, origin.cert)
        # CPython before 3.13 loses the descriptor of a socket that was reset by now.
        sock.getpeername()
        return context.wrap_socket(sock, server_hostname=origin.host)
    except ssl.SSLCertVerificationError as error:
        raise CertificateError(f"{name}: {error.verify_message}") from error
    except TimeoutError as error:
        raise ConnectTimeout(f"no TLS handshake with {name} in time") from error
    except OSError as error:
        if error.errno in OURS:  # the certificates cannot be read
            raise _not_connected(name, error) from error
        raise TLSError(f"no TLS with {name}: {error}") from error


# -- keeping them -------------------------------------------------------------


class Pool:
    """Idle connections by origin. Thread-safe; empty again after a fork.

    :param size: how many idle connections are kept for one origin.
    :param idle: seconds after which an idle connection is not used any more.
    """

    def __init__(self, size: int, idle: float) -> None:
        self.size = size
        self.idle = idle
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[Connection]] = {}
        self._sweep_at = time.monotonic() + idle
        _pools.add(self)
        # An application that is thrown away leaves no socket behind. Not __del__: in a
        # cycle the sockets could be finalized, with a warning, before the pool is.
        weakref.finalize(self, _close_all, self._idle)

    def take(self, origin: Origin) -> Connection | None:
        """Return an idle connection that is still good, the last one given back."""
        while True:
            with self._lock:
                waiting = self._idle.get(origin)
                if not waiting:
                    return None
                found = waiting.pop()
            # Readable while nothing was asked: closed by the server, or out of step.
            if time.monotonic() - found.idle_since < self.idle and not found.readable():
                return found
            found.close()

    def give(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for later, or close the oldest one that is too many.

        Once in the idle time all that nobody took are closed, of all origins: the
        last one given back is taken first, so the others would wait for ever.
        """
        now = connection.idle_since = time.monotonic()
        surplus: list[Connection] = []
        with self._lock:
            waiting = self._idle.setdefault(origin, [])
            waiting.append(connection)
            if len(waiting) > self.size:
                surplus.append(waiting.pop(0))
            if now >= self._sweep_at:
                self._sweep_at = now + self.idle
                surplus += self._take_old(now - self.idle)
        for each in surplus:
            each.close()

    def _take_old(self, oldest: float) -> list[Connection]:
        """Take out what was given back before a time, and origins without any."""
        old = []
        for origin, waiting in list(self._idle.items()):
            old += [each for each in waiting if each.idle_since <= oldest]
            waiting[:] = [each for each in waiting if each.idle_since > oldest]
            if not waiting:
                del self._idle[origin]
        return old

    def count(self) -> int:
        """Return how many connections are idle."""
        with self._lock:
            return sum(map(len, self._idle.values()))

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            _close_all(self._idle)

    def forget(self) -> None:
        """Start anew in a child process: the parent's connections are the parent's."""
        self._lock = threading.Lock()
        _close_all(self._idle)  # this process's descriptors only


def _close_all(idle: dict[Origin, list[Connection]]) -> None:
    for waiting in idle.values():
        for connection in waiting:
            connection.close()
    idle.clear()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
