"""Opening connections: plain, with TLS, to a unix socket, through a second proxy.

What a connection does is in ``connections``, where idle ones wait in ``pool``.
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import certifi
from requests.exceptions import InvalidProxyURL

from pyramid_restproxy.forwarding.wire.answer import Head, read_head
from pyramid_restproxy.forwarding.wire.connections import Connection
from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.errors import (
    OURS,
    CertificateError,
    ConnectError,
    ConnectTimeout,
    NoResources,
    ResolveError,
    TLSError,
    TunnelError,
    WireError,
)

__all__ = ["Origin", "connect", "make_context", "proxy_credentials"]


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
