"""Connections: stages of making one, deadlines, the pool."""

from __future__ import annotations

import errno
import gc
import os
import select
import socket
import ssl
import struct
import threading
from contextlib import suppress

import pytest
import trustme

from pyramid_restproxy.forwarding.wire import connections
from pyramid_restproxy.forwarding.wire.connections import (
    Deadline,
    Origin,
    Pool,
    connect,
)
from pyramid_restproxy.forwarding.wire.errors import (
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
)

from .conftest import read_request

FOREVER = Deadline(None, None)


def origin(server, **options):
    return Origin("http", "127.0.0.1", server.port, **options)


def wait_for_end(connection, reader):
    reader.read()


def echo(connection, reader):
    while data := reader.read1():
        connection.sendall(data)


def test_bytes_go_there_and_back(serve):
    made = connect(origin(serve(echo)), 5, FOREVER)
    made.send(b"hello", FOREVER)
    assert made.receive(100, FOREVER) == b"hello"
    made.close()


def reset(connection, reader):
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    reader.close()


def say_more(connection, reader):
    connection.sendall(b"out of turn")
    reader.read()


def end_sending(connection, reader):
    connection.shutdown(socket.SHUT_WR)
    reader.read()


@pytest.mark.parametrize("platform", ["linux", "another"])
@pytest.mark.parametrize("do", [reset, say_more, end_sending])
def test_what_happened_to_an_idle_connection_is_noticed(
    serve, monkeypatch, platform, do
):
    monkeypatch.setattr(connections.sys, "platform", platform)
    made = connect(origin(serve(do)), 5, FOREVER)
    select.select([made._sock], [], [], 10)  # until it has arrived
    assert made.readable()
    made.close()


@pytest.mark.parametrize("platform", ["linux", "another"])
def test_an_idle_connection_that_stands_is_not_readable(serve, monkeypatch, platform):
    monkeypatch.setattr(connections.sys, "platform", platform)
    made = connect(origin(serve(echo)), 5, FOREVER)
    assert not made.readable()
    made.send(b"x" * 100_000, FOREVER)
    came = 0
    while came < 100_000:
        came += len(made.receive(65536, FOREVER))
    assert not made.readable()
    made.close()


def test_a_kernel_that_tells_nothing_is_polled(serve, monkeypatch):
    monkeypatch.setattr(connections, "_SO_MEMINFO", 0x7FFF)
    made = connect(origin(serve(echo)), 5, FOREVER)
    assert not made.readable()
    made.close()


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


@pytest.mark.parametrize(
    "deadline, error",
    [
        (Deadline(0.05, None), ReadTimeout),
        (Deadline(5, 0.05), DeadlineExceeded),
        (Deadline(None, 0.05), DeadlineExceeded),
    ],
)
def test_silence_ends_at_the_limit_that_comes_first(serve, deadline, error):
    made = connect(origin(serve(wait_for_end)), 5, FOREVER)
    with pytest.raises(error):
        made.receive(100, deadline)
    made.close()


def test_a_deadline_that_is_over_allows_nothing_more():
    deadline = Deadline(5, 0.0)
    with pytest.raises(DeadlineExceeded):
        deadline.wait()


def test_a_peer_that_takes_nothing_is_a_timeout_too(serve):
    enough = threading.Event()
    made = connect(origin(serve(lambda *_: enough.wait(10))), 5, FOREVER)
    with pytest.raises(ReadTimeout):
        made.send(b"x" * 50_000_000, Deadline(0.1, None))
    with pytest.raises(ReadTimeout):
        made.send_watching(b"x" * 50_000_000, Deadline(0.1, None))
    enough.set()
    made.close()


def test_sending_to_a_closed_connection_is_a_send_error(serve):
    made = connect(origin(serve(lambda *_: None)), 5, FOREVER)
    assert made.receive(1, FOREVER) == b""
    with pytest.raises(SendError):
        for _ in range(100):
            made.send(b"x" * 100_000, FOREVER)
    assert not made.send_watching(b"x", FOREVER)
    made.close()


def test_an_answer_during_the_upload_stops_it(serve):
    def answer_at_once(connection, reader):
        connection.sendall(b"enough")
        reader.read()

    made = connect(origin(serve(answer_at_once)), 5, FOREVER)
    assert not made.send_watching(b"x" * 50_000_000, FOREVER)
    assert made.receive(100, FOREVER) == b"enough"
    made.close()


# -- TLS -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def serve_tls(serve, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def start(script, ask_for_certificate=False):
        if ask_for_certificate:
            authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED

        def over_tls(connection, reader):
            with context.wrap_socket(connection.dup(), server_side=True) as wrapped:
                with wrapped.makefile("rb") as tls_reader:
                    script(wrapped, tls_reader)

        return serve(over_tls)

    return start


@pytest.fixture
def bundle(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def test_tls_with_an_own_authority(serve_tls, bundle):
    server = serve_tls(echo)
    made = connect(Origin("https", "localhost", server.port, verify=bundle), 5, FOREVER)
    made.send(b"hello", FOREVER)
    assert made.receive(100, FOREVER) == b"hello"
    made.close()


def test_session_tickets_are_no_answer(serve_tls, bundle):
    def count(connection, reader):
        connection.sendall(b"%d" % len(reader.read(3_000_000)))

    server = serve_tls(count)
    made = connect(Origin("https", "localhost", server.port, verify=bundle), 5, FOREVER)
    assert made.send_watching(b"x" * 3_000_000, FOREVER)
    assert made.receive(100, FOREVER) == b"3000000"
    made.close()


def test_an_answer_during_a_tls_upload_stops_it(serve_tls, bundle):
    def answer_at_once(connection, reader):
        connection.sendall(b"enough")
        reader.read(100_000_000)

    server = serve_tls(answer_at_once)
    made = connect(Origin("https", "localhost", server.port, verify=bundle), 5, FOREVER)
    while made.send_watching(b"x" * 1_000_000, FOREVER):
        pass
    assert made.receive(100, FOREVER) == b"enough"
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


# -- a second proxy --------------------------------------------------------------------


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
    with pytest.raises(connections.InvalidProxyURL) as caught:
        connect(Origin("http", "h", 80, "socks5://u:secret@h:1"), 5, FOREVER)
    assert "secret" not in str(caught.value)


# -- the pool --------------------------------------------------------------------------


def test_the_last_connection_given_back_is_taken_first(serve):
    server = serve(wait_for_end)
    pool, where = Pool(10, 30), origin(server)
    first, second = (connect(where, 5, FOREVER) for _ in range(2))
    pool.give(where, first)
    pool.give(where, second)
    assert pool.take(where) is second
    assert pool.take(where) is first
    assert pool.take(where) is None
    first.close()
    second.close()


def test_the_pool_has_a_bound_and_drops_the_oldest(serve):
    pool, where = Pool(2, 30), origin(serve(wait_for_end))
    made = [connect(where, 5, FOREVER) for _ in range(3)]
    for each in made:
        pool.give(where, each)
    assert pool.count() == 2
    assert pool.take(where) is made[2]
    made[2].close()
    pool.close()
    assert pool.count() == 0


def test_a_connection_that_the_server_closed_is_not_taken(serve):
    pool, where = Pool(2, 30), origin(serve(lambda *_: None))
    made = connect(where, 5, FOREVER)
    assert made.receive(1, FOREVER) == b""  # the end has arrived
    pool.give(where, made)
    assert pool.take(where) is None


def test_a_connection_that_was_idle_too_long_is_not_taken(serve):
    pool, where = Pool(2, 0), origin(serve(wait_for_end))
    pool.give(where, connect(where, 5, FOREVER))
    assert pool.take(where) is None


def test_connections_that_nobody_takes_any_more_are_closed_when_others_come(serve):
    server = serve(wait_for_end)
    where, gone = origin(server), origin(server)._replace(host="localhost")
    pool = Pool(10, 1000)
    first, second = (connect(where, 5, FOREVER) for _ in range(2))
    pool.give(gone, first)
    pool.give(where, second)
    first.idle_since -= 2000
    pool._sweep_at = 0.0
    pool.give(where, connect(where, 5, FOREVER))
    assert pool.count() == 2
    assert list(pool._idle) == [where]
    pool.close()


def test_bug_a_pool_in_a_cycle_closes_its_sockets_without_a_warning(serve):
    pool, where = Pool(2, 30), origin(serve(wait_for_end))
    made = connect(where, 5, FOREVER)
    pool.give(where, made)
    sock = made._sock
    pool.itself = pool  # now only the collector can find it
    del pool
    gc.collect()
    assert sock.fileno() == -1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_child_process_starts_with_an_empty_pool(serve):
    pool, where = Pool(2, 30), origin(serve(echo))
    made = connect(where, 5, FOREVER)
    pool.give(where, made)
    child = os.fork()
    if child == 0:
        os._exit(pool.count())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    again = pool.take(where)
    assert again is made  # and the parent's is still open
    made.send(b"x", FOREVER)
    assert made.receive(1, FOREVER) == b"x"
    made.close()


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


# -- what is ours, and not the server's --------------------------------------------


def no_more(*arguments):
    raise OSError(errno.EMFILE, "Too many open files")


def unknown(*arguments, **options):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_without_descriptors_a_name_is_not_said_to_be_unknown(monkeypatch):
    """Bug: the resolver says so, and the backend was blamed."""
    monkeypatch.setattr(connections.socket, "getaddrinfo", unknown)
    monkeypatch.setattr(connections.socket, "socket", no_more)
    with pytest.raises(NoResources):
        connect(Origin("http", "users.internal", 80), 5, FOREVER)


def test_without_a_network_a_name_is_unknown(monkeypatch):
    def no_family(*arguments):
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported")

    monkeypatch.setattr(connections.socket, "getaddrinfo", unknown)
    monkeypatch.setattr(connections.socket, "socket", no_family)
    with pytest.raises(ResolveError):
        connect(Origin("http", "users.internal", 80), 5, FOREVER)


@pytest.mark.parametrize(
    "scheme, host", [("http+unix", "/run/users.sock"), ("http", "127.0.0.1")]
)
def test_without_descriptors_there_is_no_connection(monkeypatch, scheme, host):
    """Bug: the backend was blamed, where it has a unix socket."""
    monkeypatch.setattr(connections.socket, "socket", no_more)
    with pytest.raises(NoResources):
        connect(Origin(scheme, host, 80), 5, FOREVER)


def test_without_descriptors_the_certificates_cannot_be_read(serve, monkeypatch):
    monkeypatch.setattr(connections, "_context", no_more)
    server = serve(wait_for_end)
    with pytest.raises(NoResources):
        connect(Origin("https", "127.0.0.1", server.port), 5, FOREVER)


# -- time --------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(connections.time, "monotonic", clock)
    return clock


def test_the_addresses_of_a_name_share_the_time(monkeypatch, clock):
    """Bug: each had all of it; and none is left out because the first is dead."""
    waits = []

    def lookup(host, port, type):
        return [(socket.AF_INET, type, 6, "", (f"10.0.0.{n}", port)) for n in range(3)]

    def connected(family, address, name, timeout):
        waits.append(timeout)
        clock.now += timeout
        raise ConnectTimeout(name)

    monkeypatch.setattr(connections.socket, "getaddrinfo", lookup)
    monkeypatch.setattr(connections, "_connected", connected)
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

        monkeypatch.setattr(connections.socket, "getaddrinfo", lookup)
        connect(Origin("http", "users.internal", 80), None, FOREVER).close()


def test_the_total_time_stands_still_while_another_is_waited_for(clock):
    deadline = Deadline(None, 2)

    def slow():
        for piece in (b"a", b"b"):
            clock.now += 10
            yield piece
        clock.now += 10

    assert [deadline.left() for _ in deadline.without(slow())] == [2, 2]
    assert deadline.left() == 2
    clock.now += 3
    with pytest.raises(DeadlineExceeded):
        deadline.wait()


def test_without_a_total_time_there_is_nothing_that_could_stand_still(clock):
    deadline = Deadline(5, None)
    deadline.pause()
    deadline.resume()
    assert (deadline.wait(), deadline.at) == (5, None)


class Green(socket.socket):
    """A socket as gevent makes it: it waits by itself, its descriptor never blocks."""

    def settimeout(self, timeout):
        super().settimeout(timeout)
        os.set_blocking(self.fileno(), False)


def test_a_descriptor_that_does_not_block_knows_no_timeout_of_the_kernel():
    """Bug: with gevent no timeout ended anything."""
    ours, theirs = socket.socketpair()
    green = Green(fileno=ours.detach())
    made = connections.Connection(green)
    with theirs, pytest.raises(ReadTimeout):
        made.receive(10, Deadline(0.05, None))
    assert green.gettimeout() == 0.05
    made.close()
