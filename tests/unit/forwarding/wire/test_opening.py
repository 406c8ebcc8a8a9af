"""Opening connections: each stage, TLS, tunnels, what is our own fault."""

from __future__ import annotations

import errno
import socket
import threading
from contextlib import suppress

import pytest

from pyramid_restproxy.forwarding.wire import opening
from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.errors import (
    CertificateError,
    ConnectError,
    ConnectTimeout,
    NoResources,
    ResolveError,
    TLSError,
    TunnelError,
)
from pyramid_restproxy.forwarding.wire.opening import Origin, connect

from .conftest import FOREVER, echo, read_request, wait_for_end


def test_ipv6(serve):
    try:
        server = serve(echo, family=socket.AF_INET6, address=("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    made = connect(Origin("http", "::1", server.port), 5, FOREVER)
    made.send(b"6", FOREVER)
    assert made.receive(100, FOREVER) == b"6"
    made.close()


def test_a_unix_socket(serve, tmp_path):
    path = str(tmp_path / "backend.sock")
    serve(echo, family=socket.AF_UNIX, address=path)
    made = connect(Origin("http+unix", path, 0), 5, FOREVER)
    made.send(b"u", FOREVER)
    assert made.receive(100, FOREVER) == b"u"
    made.close()


def test_a_unix_socket_that_is_not_there(tmp_path):
    with pytest.raises(ConnectError):
        connect(Origin("http+unix", str(tmp_path / "none"), 0), 5, FOREVER)


def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ConnectError, match="refused"):
            connect(Origin("http", "127.0.0.1", port), 5, FOREVER)


def test_a_name_without_an_address():
    with pytest.raises(ResolveError):
        connect(Origin("http", "nope.invalid", 80), 5, FOREVER)


def test_a_full_backlog_is_a_connect_timeout():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            port = full.getsockname()[1]
            others = [socket.socket() for _ in range(4)]
            for other in others:
                other.setblocking(False)
                other.connect_ex(full.getsockname())
            with pytest.raises(ConnectTimeout):
                connect(Origin("http", "127.0.0.1", port), 0.1, FOREVER)
            for other in others:
                other.close()


def test_tls_with_an_own_authority(serve_tls, bundle):
    server = serve_tls(echo)
    made = connect(Origin("https", "localhost", server.port, verify=bundle), 5, FOREVER)
    made.send(b"hello", FOREVER)
    assert made.receive(100, FOREVER) == b"hello"
    made.close()


def test_a_client_certificate(serve_tls, bundle, authority, tmp_path):
    def tell_who(connection, reader):
        names = dict(pair[0] for pair in connection.getpeercert()["subject"])
        connection.sendall(names["commonName"].encode())

    issued = authority.issue_cert("gateway.example", common_name="the gateway")
    chain, key = str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")
    for each in issued.cert_chain_pems:
        each.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    server = serve_tls(tell_who, ask_for_certificate=True)
    origin = Origin("https", "localhost", server.port, verify=bundle, cert=(chain, key))
    made = connect(origin, 5, FOREVER)
    assert made.receive(100, FOREVER) == b"the gateway"
    made.close()


def test_a_server_that_misses_the_client_certificate_ends_the_connection(
    serve_tls, bundle
):
    server = serve_tls(wait_for_end, ask_for_certificate=True)
    server.errors = []
    made = connect(Origin("https", "localhost", server.port, verify=bundle), 5, FOREVER)
    assert made.receive(100, FOREVER) == b""  # TLS 1.3 tells after the handshake
    made.close()


def test_an_unknown_authority_is_refused(serve_tls):
    server = serve_tls(wait_for_end)
    server.errors = []
    with pytest.raises(CertificateError):
        connect(Origin("https", "localhost", server.port), 5, FOREVER)


def test_another_name_is_refused(serve_tls, bundle):
    server = serve_tls(wait_for_end)
    with pytest.raises(CertificateError):
        connect(Origin("https", "127.0.0.1", server.port, verify=bundle), 5, FOREVER)


def test_verification_can_be_switched_off(serve_tls):
    server = serve_tls(echo)
    made = connect(Origin("https", "localhost", server.port, verify=False), 5, FOREVER)
    made.close()


def test_a_server_that_does_not_speak_tls(serve):
    server = serve(
        lambda connection, reader: connection.sendall(b"HTTP/1.1 400 X\r\n\r\n")
    )
    with pytest.raises(TLSError):
        connect(Origin("https", "localhost", server.port), 5, FOREVER)


def test_a_handshake_that_hangs_is_a_connect_timeout(serve):
    server = serve(wait_for_end)
    with pytest.raises(ConnectTimeout):
        connect(Origin("https", "localhost", server.port), 0.1, FOREVER)


def test_https_goes_through_a_tunnel(serve, serve_tls, bundle):
    target = serve_tls(echo)
    seen = []

    def proxy(connection, reader):
        seen.append(read_request(reader)[0])
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", target.port)) as far:
            back = threading.Thread(target=pump, args=(far, connection))
            back.start()
            while data := reader.read1():
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)
            back.join(5)

    def pump(source, sink):
        with suppress(OSError):  # the client may have gone already
            while data := source.recv(65536):
                sink.sendall(data)

    via = f"http://user:p%40ss@127.0.0.1:{serve(proxy).port}"
    made = connect(
        Origin("https", "localhost", target.port, via, verify=bundle), 5, FOREVER
    )
    made.send(b"hello", FOREVER)
    assert made.receive(100, FOREVER) == b"hello"
    made.close()
    assert seen[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % target.port)
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in seen[0]


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", b""]
)
def test_a_proxy_that_refuses(serve, answer):
    def refuse(connection, reader):
        read_request(reader)
        connection.sendall(answer)

    via = f"http://127.0.0.1:{serve(refuse).port}"
    with pytest.raises(TunnelError):
        connect(Origin("https", "localhost", 443, via), 5, FOREVER)


def test_a_proxy_that_is_silent(serve):
    via = f"http://127.0.0.1:{serve(wait_for_end).port}"
    with pytest.raises(ConnectTimeout):
        connect(Origin("https", "localhost", 443, via), 0.1, FOREVER)


def test_a_proxy_url_of_another_kind_is_refused_without_its_password():
    with pytest.raises(opening.InvalidProxyURL) as caught:
        connect(Origin("http", "h", 80, "socks5://u:secret@h:1"), 5, FOREVER)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "where, authority",
    [
        (Origin("http", "h", 80), "h"),
        (Origin("http", "h", 81), "h:81"),
        (Origin("https", "h", 443), "h"),
        (Origin("http", "::1", 8080), "[::1]:8080"),
        (Origin("http+unix", "/run/x", 0), "localhost"),
    ],
)
def test_authorities(where, authority):
    assert where.authority == authority


def no_more(*arguments):
    raise OSError(errno.EMFILE, "Too many open files")


def unknown(*arguments, **options):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_without_descriptors_a_name_is_not_said_to_be_unknown(monkeypatch):
    """Bug: the resolver says so, and the backend was blamed."""
    monkeypatch.setattr(opening.socket, "getaddrinfo", unknown)
    monkeypatch.setattr(opening.socket, "socket", no_more)
    with pytest.raises(NoResources):
        connect(Origin("http", "users.internal", 80), 5, FOREVER)


def test_without_a_network_a_name_is_unknown(monkeypatch):
    def no_family(*arguments):
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported")

    monkeypatch.setattr(opening.socket, "getaddrinfo", unknown)
    monkeypatch.setattr(opening.socket, "socket", no_family)
    with pytest.raises(ResolveError):
        connect(Origin("http", "users.internal", 80), 5, FOREVER)


@pytest.mark.parametrize(
    "scheme, host", [("http+unix", "/run/users.sock"), ("http", "127.0.0.1")]
)
def test_without_descriptors_there_is_no_connection(monkeypatch, scheme, host):
    """Bug: the backend was blamed, where it has a unix socket."""
    monkeypatch.setattr(opening.socket, "socket", no_more)
    with pytest.raises(NoResources):
        connect(Origin(scheme, host, 80), 5, FOREVER)


def test_without_descriptors_the_certificates_cannot_be_read(serve, monkeypatch):
    monkeypatch.setattr(opening, "_context", no_more)
    server = serve(wait_for_end)
    with pytest.raises(NoResources):
        connect(Origin("https", "127.0.0.1", server.port), 5, FOREVER)


def test_the_addresses_of_a_name_share_the_time(monkeypatch, clock):
    """Bug: each had all of it; and none is left out because the first is dead."""
    waits = []

    def lookup(host, port, type):
        return [(socket.AF_INET, type, 6, "", (f"10.0.0.{n}", port)) for n in range(3)]

    def connected(family, address, name, timeout):
        waits.append(timeout)
        clock.now += timeout
        raise ConnectTimeout(name)

    monkeypatch.setattr(opening.socket, "getaddrinfo", lookup)
    monkeypatch.setattr(opening, "_connected", connected)
    origin = Origin("http", "users.internal", 80)
    with pytest.raises(ConnectTimeout):
        connect(origin, 3, FOREVER)
    assert waits == [1, 1, 1]
    with pytest.raises(ConnectTimeout):
        connect(origin, 3, Deadline(None, 1.5))
    assert waits[3:] == [0.5, 0.5, 0.5]


def test_an_address_that_refuses_leaves_the_others_its_time(serve, monkeypatch):
    server = serve(echo)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead, good = unused.getsockname(), ("127.0.0.1", server.port)

        def lookup(host, port, type):
            return [(socket.AF_INET, type, 6, "", each) for each in (dead, good)]

        monkeypatch.setattr(opening.socket, "getaddrinfo", lookup)
        connect(Origin("http", "users.internal", 80), None, FOREVER).close()
