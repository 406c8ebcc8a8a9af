"""What each WSGI server does with bytes that only it can see, the gateway behind it.

SECURITY.rst has the same table; the last test holds them together.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from pyramid_restproxy.testing import Answer, FakeBackend, exchange
from tests.conftest import REQUIRED
from tests.wire import read_reply

PAGE = pathlib.Path(__file__).parents[2] / "SECURITY.rst"

#: The gateway that is served.
APPLICATION = """
import os
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid_restproxy.trust.profiles import BodyProfile

with Configurator() as config:
    config.include("pyramid_restproxy")
    config.include("pyramid_restproxy.trust.guard")
    config.add_route("process", "/process")
    config.add_view(lambda request: Response(str(os.getpid())), route_name="process")
    config.add_route("read", "/read")
    config.add_view(lambda request: Response(request.body), route_name="read")
    config.add_signing_key("k", b"s" * 32)
    config.add_route("signed", "/signed")
    config.add_view(
        lambda request: Response(request.body), route_name="signed", signed="body"
    )
    config.add_signing_profile("body", BodyProfile())
    config.add_backend("b", os.environ["BACKEND"])
    config.add_proxy_route("limited", "/limited/*path", "b", max_request_body=10 ** 6)
    config.add_proxy_route("b", "/*path", "b")
    app = config.make_wsgi_app()
"""

#: How each server is started, as SECURITY.rst advises.
SERVERS = {
    "waitress": "-m waitress --listen=127.0.0.1:{port} served:app",
    "gunicorn": "-m gunicorn -k gthread --threads 4 --forwarded-allow-ips= "
    "-b 127.0.0.1:{port} served:app",
    "granian": "-m granian --interface wsgi --http 1 --blocking-threads 4 "
    "--host 127.0.0.1 --port {port} served:app",
}


# -- bytes -------------------------------------------------------------------------


def get(*fields: str, line: str = "GET /x HTTP/1.1") -> bytes:
    return "\r\n".join([line, "Host: a", *fields, "", ""]).encode("latin-1")


def post(*fields: str, body: bytes = b"0\r\n\r\n", version: str = "1.1") -> bytes:
    return get(*fields, line=f"POST /x HTTP/{version}") + body


def sized(*lengths: str) -> bytes:
    return post(*(f"Content-Length: {length}" for length in lengths), body=b"ab")


def chunked(size: str, rest: bytes = b"ab\r\n0\r\n\r\n") -> bytes:
    return post(CHUNKED, body=size.encode() + b"\r\n" + rest)


def coded(*values: str) -> bytes:
    return post(*(f"Transfer-Encoding: {value}" for value in values))


CHUNKED = "Transfer-Encoding: chunked"
TRAILERS = b"ab\r\n0\r\nHost: b\r\nAuthorization: x\r\nX-User-Id: 1\r\n\r\n"
HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(200) + b"\r\n\r\n"


@dataclass(frozen=True)
class Row:
    """Bytes, all of which are treated alike, and how each server treats them.

    :ivar outcomes: for waitress, gunicorn and granian, in the words of
        :func:`outcome`.
    """

    vector: str
    what: str
    sent: tuple[bytes, ...]
    outcomes: tuple[str, str, str]


def row(vector: str, what: str, *sent: bytes, then: tuple[str, str, str]) -> Row:
    return Row(vector, what, sent, then)


#: Everything that depends on the server.
ROWS = [
    row(
        "FRAMING-01",
        "both Content-Length and Transfer-Encoding",
        post("Content-Length: 5", CHUNKED),
        then=("passed on, open", "400", "passed on"),
    ),
    row(
        "FRAMING-03",
        "``identity, chunked``",
        coded("identity, chunked"),
        then=("501", "400, open", "400, open"),
    ),
    row(
        "FRAMING-03",
        "``gzip, chunked``",
        coded("gzip, chunked"),
        then=("501", "400", "400, open"),
    ),
    row(
        "FRAMING-03",
        "``chunked`` twice, on one line or two",
        coded("chunked, chunked"),
        coded("chunked", "chunked"),
        then=("passed on, open", "400", "400, open"),
    ),
    row(
        "FRAMING-04",
        "``chunked`` on HTTP/1.0",
        post(CHUNKED, version="1.0"),
        then=("400", "400", "400"),
    ),
    row(
        "FRAMING-05",
        "Content-Length twice, the same",
        sized("2", "2"),
        then=("400", "400", "passed on as ``ab``, open"),
    ),
    row(
        "FRAMING-05",
        "Content-Length twice, not the same; a list",
        sized("2", "3"),
        sized("2, 2"),
        then=("400", "400", "400"),
    ),
    row(
        "FRAMING-06",
        "Content-Length that is no number: ``+2``, ``-1``, ``0x2``, ``1_0``, ``2 3``, "
        "empty",
        *(sized(each) for each in ("+2", "-1", "0x2", "1_0", "2 3", "")),
        then=("400", "400", "400"),
    ),
    row(
        "FRAMING-06",
        "Content-Length of 20 digits",
        sized("9" * 20),
        then=("413", "400, waits", "400"),
    ),
    row(
        "FRAMING-07",
        "chunk size that is none: ``+2``, ``0x2``, ``-1``, ``ZZ``, ``2_0``",
        *(chunked(each) for each in ("+2", "0x2", "-1", "ZZ", "2_0")),
        then=("400", "400", "passed on"),
    ),
    row(
        "FRAMING-08",
        "chunk size of 80 bits",
        chunked("F" * 20),
        then=("waits", "waits", "passed on"),
    ),
    row(
        "FRAMING-09",
        "bare LF or CR in a chunk extension",
        chunked("2;a\nb"),
        chunked("2;a\rb"),
        then=("400", "400", "passed on"),
    ),
    row(
        "FRAMING-09",
        "a chunk extension of 64 KiB",
        chunked("2;" + "a" * 65536),
        then=("passed on as ``ab``, open", "400", "passed on"),
    ),
    row(
        "FRAMING-10",
        "a chunk that is longer than its size",
        chunked("2", b"abcd\r\n0\r\n\r\n"),
        then=("400", "400", "passed on as ``ab``"),
    ),
    row(
        "FRAMING-11",
        "Host, Authorization and X-User-Id as trailers",
        chunked("2", TRAILERS),
        then=("passed on as ``ab``, open", "400", "passed on as ``ab``, open"),
    ),
    row(
        "FRAMING-13",
        "bare LF at the end of each line",
        get().replace(b"\r\n", b"\n"),
        then=("waits", "400", "passed on, open"),
    ),
    row(
        "FRAMING-13",
        "bare LF at the end of one line",
        get("X-B: 1").replace(b"a\r\n", b"a\n"),
        then=("400", "400", "passed on as ``X-B: 1``, open"),
    ),
    row(
        "FRAMING-13",
        "bare CR in a value",
        get("X-A: a\rb"),
        then=("400", "400", "400"),
    ),
    row(
        "FRAMING-14",
        "a folded field",
        get("X-A: b\r\n c"),
        then=("passed on as ``X-A: b c``, open", "400", "400"),
    ),
    row(
        "FRAMING-14",
        "a folded Transfer-Encoding",
        coded("\r\n chunked"),
        then=("passed on, open", "400", "400"),
    ),
    row(
        "FRAMING-17",
        "``PRI * HTTP/2.0``",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        then=("400", "400", "closed"),
    ),
    row(
        "FRAMING-17",
        "``GET /x HTTP/2.0``",
        get(line="GET /x HTTP/2.0"),
        then=("passed on", "400", "400"),
    ),
    row(
        "FRAMING-17",
        "``GET /x HTTP/1.2``",
        get(line="GET /x HTTP/1.2"),
        then=("passed on", "505, open", "400"),
    ),
    row(
        "FRAMING-17",
        "``GET /x`` (HTTP/0.9)",
        b"GET /x\r\n\r\n",
        then=("passed on", "400", "400"),
    ),
    row(
        "FRAMING-17",
        "a TLS hello",
        HELLO,
        then=("400", "400", "400"),
    ),
    row(
        "HEADERS-04",
        "``X_User_Id: 2`` alone",
        get("X_User_Id: 2"),
        then=(
            "passed on, open",
            "passed on, open",
            "passed on as ``X-User-Id: 2``, open",
        ),
    ),
    row(
        "HEADERS-04",
        "``X-User-Id: 1``, then ``X_User_Id: 2``",
        get("X-User-Id: 1", "X_User_Id: 2"),
        then=(
            "passed on as ``X-User-Id: 1``, open",
            "passed on as ``X-User-Id: 1``, open",
            "passed on as ``X-User-Id: 2``, open",
        ),
    ),
    row(
        "QUERY-03",
        "a target of 200 KB",
        get(line=f"GET /{'a' * 200_000} HTTP/1.1"),
        then=("414, open", "414", "414"),
    ),
    row(
        "QUERY-03",
        "5000 fields",
        get(*(f"X-{n}: 1" for n in range(5000))),
        then=("431, open", "431", "431"),
    ),
    row(
        "QUERY-03",
        "a field of 300 KB",
        get("X-A: " + "a" * 300_000),
        then=("431", "431", "431, open"),
    ),
    row(
        "TARGET-02",
        "two Host lines",
        get("Host: b"),
        then=("400, open", "400", "400, open"),
    ),
    row(
        "TARGET-03",
        "``GET http://b.example/x`` with ``Host: a``",
        get(line="GET http://b.example/x HTTP/1.1"),
        then=(
            "passed on as ``X-Forwarded-Host: b.example``, open",
            "passed on as ``X-Forwarded-Host: b.example``, open",
            "passed on, open",
        ),
    ),
    row(
        "TARGET-04",
        "``CONNECT evil:443``",
        get(line="CONNECT evil:443 HTTP/1.1"),
        then=("501, open", "501", "501, open"),
    ),
    row(
        "TARGET-06",
        "``OPTIONS *``",
        get(line="OPTIONS * HTTP/1.1"),
        then=("404, open", "404, open", "404, open"),
    ),
    row(
        "TARGET-06",
        "a target that begins with no slash",
        get(line="GET x/y HTTP/1.1"),
        then=("400, open", "400", "400"),
    ),
    row(
        "none",
        "``Expect: 100-continue`` and ``Content-Length: 0``",
        post("Expect: 100-continue", "Content-Length: 0", body=b""),
        then=("waits", "passed on, open", "passed on, open"),
    ),
]

# -- servers -----------------------------------------------------------------------


@contextlib.contextmanager
def serving(
    server: str,
    folder: pathlib.Path,
    backend: str,
    *options: str,
    application: str = APPLICATION,
    **environment: str,
):
    """Run a server with the gateway, or another application; give its port."""
    if importlib.util.find_spec(server) is None:
        if server in REQUIRED:
            pytest.fail(f"{server} is required (RESTPROXY_REQUIRE) and missing")
        pytest.skip(f"{server} is not installed")
    (folder / "served.py").write_text(application)
    port = free_port()
    command = SERVERS[server].format(port=port).split()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", *command, *options],
        cwd=folder,
        env={**os.environ, "BACKEND": backend, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), 5).close()
        time.sleep(0.05)
    raise AssertionError("the server does not start")


@pytest.fixture(scope="module", params=SERVERS)
def served(request, tmp_path_factory):
    """A server with a gateway: its name, its port, and the backend."""
    folder = tmp_path_factory.mktemp(request.param)
    with (
        FakeBackend(Answer(body=b"ok")) as backend,
        serving(request.param, folder, backend.url) as port,
    ):
        yield request.param, port, backend


# -- what happens ------------------------------------------------------------------


NUMBERS = itertools.count()


def outcome(port: int, sent: bytes, backend: FakeBackend, expected: str) -> str:
    """Say in a few words what comes of bytes.

    The status of a refusal, or what was passed on to the backend. Then ``open`` where
    the next request on the connection is answered, or ``waits`` where the server takes
    it for more of the first.

    :param expected: says only whether an answer is waited for.
    """
    # Uploads that broke off may reach the backend late: each request has its own path.
    path = f"/{next(NUMBERS)}"
    sent = sent.replace(b"/x", path.encode(), 1)
    with (
        socket.create_connection(("127.0.0.1", port), 30) as connection,
        connection.makefile("rb") as reader,
    ):
        send(connection, sent)
        if expected == "waits":
            return silence(connection, port)
        reply = read_reply(reader)
        found = str(reply.status or "closed")
        if reply.status == 200:
            found = passed_on(backend, path)
        else:
            assert path not in [each.target for each in backend.requests]
        send(connection, get(line=f"GET {path}/after HTTP/1.1"))
        if expected.endswith("waits"):
            return f"{found}, {silence(connection, port)}"
        is_open = is_answered(reader)
        # what is answered is that request, and no other hidden in the first
        seen = [each.target for each in backend.requests if path in each.target]
        assert (f"{path}/after" in seen) == is_open
        return f"{found}, open" if is_open else found


def send(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(data)


def is_answered(reader) -> bool:
    """Say whether there is another answer."""
    try:
        return read_reply(reader).status == 200
    except (BrokenPipeError, ConnectionResetError):
        return False


def silence(connection: socket.socket, port: int) -> str:
    """Say ``waits`` where nothing is answered while another is."""
    assert exchange(f"127.0.0.1:{port}", get(line="GET /other HTTP/1.1")).status == 200
    connection.setblocking(False)
    try:
        came = connection.recv(100)
    except BlockingIOError:
        return "waits"
    return "waits" if came == b"HTTP/1.1 100 Continue\r\n\r\n" else repr(came)


#: What the gateway adds, or what says nothing.
USUAL = {
    "accept-encoding",
    "content-length",
    "host",
    "transfer-encoding",
    "via",
    "x-forwarded-for",
    "x-forwarded-proto",
}


def passed_on(backend: FakeBackend, path: str) -> str:
    """Say what the backend was sent: the content, the fields that are not usual."""
    (found,) = [each for each in backend.requests if each.target == path]
    words = [f"{n}: {v}" for n, v in found.headers if n.lower() not in USUAL]
    words = [w for w in words if w != "X-Forwarded-Host: a"]
    words += [found.body.decode()] if found.body else []
    return "passed on" + (f" as ``{', '.join(words)}``" if words else "")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.vector} {row.what}")
def test_what_a_server_does(served, row):
    server, port, backend = served
    expected = row.outcomes[list(SERVERS).index(server)]
    found = {outcome(port, sent, backend, expected) for sent in row.sent}
    assert found == {expected}


@pytest.mark.parametrize("path", ["read", "signed"])
@pytest.mark.parametrize("body", [b"ZZ\r\nab\r\n0\r\n\r\n", b"2\r\nabcd\r\n0\r\n\r\n"])
def test_chunks_that_are_none_where_a_view_reads_them(served, path, body):
    """FRAMING-07, FRAMING-10: they are the client's fault there, too."""
    server, port, _ = served
    mac = "X-MY-APP-HMAC: " + "A" * 43 + "="
    sent = get(CHUNKED, mac, line=f"POST /{path} HTTP/1.1") + body
    reply = exchange(f"127.0.0.1:{port}", sent)
    if server != "granian":  # which ends the body there
        assert reply.status == 400


@pytest.mark.parametrize("size", [10, 100_000])
def test_uploads_that_break_off(served, size):
    """No backend takes them for whole, waits for the rest, or is blamed."""
    _, port, backend = served
    path = f"/{next(NUMBERS)}"
    with (
        socket.create_connection(("127.0.0.1", port), 30) as connection,
        connection.makefile("rb") as reader,
    ):
        fields = get(f"Content-Length: {size}", line=f"POST {path} HTTP/1.1")
        connection.sendall(fields + b"x" * (size - 5))
        connection.shutdown(socket.SHUT_WR)
        assert read_reply(reader).status in (0, 400)  # 0: closed
    reply = exchange(f"127.0.0.1:{port}", get(line=f"GET {path}/after HTTP/1.1"))
    assert reply.status == 200
    whole = [r for r in backend.requests if r.target == path and len(r.body) == size]
    assert whole == []


@pytest.mark.parametrize(
    "size, status", [(10, 200), (65_537, 200), (10**6, 200), (10**6 + 1, 413)]
)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_limit_on_uploads(served, size, status, is_chunked):
    """Chunked ones over 64 KiB were over any limit, where the server streams them."""
    _, port, backend = served
    path = f"/{next(NUMBERS)}"
    body = b"x" * size
    framing = CHUNKED if is_chunked else f"Content-Length: {size}"
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body) if is_chunked else body
    sent = get(framing, line=f"POST /limited{path} HTTP/1.1") + framed
    assert exchange(f"127.0.0.1:{port}", sent, "POST").status == status
    whole = [r for r in backend.requests if r.target == path and r.body == body]
    assert len(whole) == (status == 200)


def test_slow_heads(served):
    """CLIENT-02: who sends a head byte by byte stops nobody, but on gunicorn."""
    server, port, _ = served
    with (
        contextlib.ExitStack() as slow,
        socket.create_connection(("127.0.0.1", port), 30) as honest,
        honest.makefile("rb") as reader,
    ):
        for _ in range(50):
            each = socket.create_connection(("127.0.0.1", port), 30)
            slow.enter_context(each).sendall(b"GET /x HTTP/1.1\r\nHos")
        honest.sendall(get())
        if server == "gunicorn":  # each takes a thread, until it ends
            slow.close()
        assert read_reply(reader).status == 200


def test_clients_that_leave_at_once_stop_nobody(served):
    """CLIENT-04."""
    _, port, _ = served
    for _ in range(500):
        socket.create_connection(("127.0.0.1", port), 30).close()
    assert exchange(f"127.0.0.1:{port}", get()).status == 200


def test_a_worker_that_is_killed_is_replaced(tmp_path):
    """RESILIENCE-05."""
    with (
        FakeBackend(Answer(body=b"ok")) as backend,
        serving("gunicorn", tmp_path, backend.url, "--workers", "2") as port,
    ):
        killed = process_of(port)
        os.kill(killed, signal.SIGKILL)
        others = set()
        for _ in range(600):
            with contextlib.suppress(OSError, ValueError):  # its own requests fail
                others.add(process_of(port))
            if len(others - {killed}) == 2:
                return
            time.sleep(0.05)
        raise AssertionError(f"it is not replaced: {others}")


def process_of(port: int) -> int:
    """Ask which process answers."""
    asked = get(line="GET /process HTTP/1.1").replace(
        b"Host", b"Connection: close\r\nHost"
    )
    return int(exchange(f"127.0.0.1:{port}", asked).body)


# -- the page ----------------------------------------------------------------------


def test_the_page_says_the_same():
    shown = "".join(
        f"   * - {row.vector}\n     - {row.what}\n"
        + "".join(f"     - {each}\n" for each in row.outcomes)
        for row in ROWS
    )
    assert shown in PAGE.read_text("utf-8")
