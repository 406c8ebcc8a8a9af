"""Each fault as a client of bare sockets sees it."""

from __future__ import annotations

import socket

import pytest

from pyramid_restproxy.testing import Answer, FaultBackend, exchange, faults

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"
OK = HEAD + b"0123456789"


def talk(fault, sent=GET, limit=None):
    """Return all bytes that come, and how the connection ended."""
    with FaultBackend(fault) as backend:
        return talk_to(backend, sent, limit)


def talk_to(backend, sent=GET, limit=None):
    found = b""
    try:
        with socket.create_connection(("127.0.0.1", backend.port), 5) as client:
            client.sendall(sent)
            while limit is None or len(found) < limit:
                piece = client.recv(65536)
                if not piece:
                    return found, "closed"
                found += piece
            return found, silence_or_more(client)
    except ConnectionError:
        return found, "reset"


def silence_or_more(client):
    client.settimeout(0.2)
    try:
        return "more" if client.recv(1) else "closed"
    except TimeoutError:
        return "open"


@pytest.mark.parametrize("name,ended", [("close", "closed"), ("reset", "reset")])
@pytest.mark.parametrize(
    "after,came",
    [("request", b""), ("half-head", HEAD[: len(HEAD) // 2]), ("head", HEAD),
     ("half-body", HEAD + b"01234"), ("answer", OK)],
)  # fmt: skip
def test_connections_that_end(name, ended, after, came):
    assert talk(getattr(faults, name)(after)) == (came, ended)


@pytest.mark.parametrize("name", ["close", "reset"])
def test_connections_that_end_at_once(name):
    found, ended = talk(getattr(faults, name)("connection"))
    assert (found, ended) in ((b"", "closed"), (b"", "reset"))


def test_connections_that_go_silent():
    assert talk(faults.hang(), limit=0) == (b"", "open")
    assert talk(faults.hang("half-body"), limit=len(HEAD) + 5) == (
        HEAD + b"01234",
        "open",
    )
    assert talk(faults.hang(seconds=0.01)) == (b"", "closed")


def test_small_pieces():
    assert talk(faults.split(), limit=len(OK)) == (OK, "open")
    for part in ("head", "body"):
        drip = faults.drip(size=7, every=0.001, part=part)
        assert talk(drip, limit=len(OK)) == (OK, "open")


def test_a_drip_ends_when_the_client_leaves():
    with FaultBackend(faults.drip(every=60)) as backend:
        with socket.create_connection(("127.0.0.1", backend.port), 5) as client:
            client.sendall(GET)
            assert client.recv(100)


@pytest.mark.parametrize(
    "fault,end",
    [
        (faults.wrong_length(5), b"Content-Length: 15\r\n\r\n0123456789"),
        (faults.bad_chunk(), b"\r\n\r\n2\r\nok\r\nxyz\r\nok\r\n0\r\n\r\n"),
        (faults.bad_chunk(b"-2", first=b""), b"\r\n\r\n-2\r\nok\r\n0\r\n\r\n"),
        (faults.long_chunk_line(3), b"\r\n\r\n0002\r\nok\r\n0\r\n\r\n"),
        (
            faults.long_chunk_line(3, line="extension"),
            b"\r\n\r\n2;xxx\r\nok\r\n0\r\n\r\n",
        ),
        (faults.status_line("HTTP/1.1 999 Odd"), b"Content-Length: 2\r\n\r\nok"),
        (faults.switch_protocols(), b"what another protocol says"),
        (
            faults.header_flood(2, 3),
            b"X-Flood-0: xxx\r\nX-Flood-1: xxx\r\nContent-Type: text/plain\r\n"
            + OK.partition(b"text/plain\r\n")[2],
        ),
        (faults.raw(b"exactly"), b"exactly"),
    ],
)  # fmt: skip
def test_bytes_and_then_the_end(fault, end):
    found, ended = talk(fault)
    assert found.endswith(end) and ended == "closed"
    assert repr(fault).startswith("<fault: ")


def test_bytes_on_a_connection_that_is_kept():
    found, ended = talk(faults.wrong_length(-4), limit=len(HEAD) + 9)
    assert b"Content-Length: 6\r\n" in found and ended == "open"
    found, ended = talk(faults.glued(second=Answer(body=b"two")), limit=len(OK) + 41)
    assert found.count(b"HTTP/1.1 200") == 2 and ended == "open"
    assert talk(faults.raw(b"x", "keep"), limit=1) == (b"x", "open")
    assert talk(faults.raw(b"x", "hang"), limit=1) == (b"x", "open")
    assert talk(faults.raw(b"x", "reset")) == (b"x", "reset")


def test_floods():
    interim = b"HTTP/1.1 102 Interim\r\nLink: </a.css>\r\n\r\n" * 3
    whole = interim + OK
    flood = faults.interim_flood(3, status=102)
    assert talk(flood, limit=len(whole)) == (whole, "open")
    for endless in (faults.interim_flood(), faults.endless_trailers()):
        assert talk(endless, limit=100_000)[1] == "more"


def test_an_early_answer():
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
    for drain in (True, False):
        with FaultBackend(faults.early_answer(drain=drain)) as backend:
            reply = exchange(backend.authority, body + b"x" * 5_000_000, "POST")
            assert reply.status == 413
        assert backend.seen[0].body == b""


def test_staying_for_no_time():
    ours, other = socket.socketpair()
    with ours, other:
        assert faults.Peer(ours).stay(0)


def test_a_name_that_does_not_resolve():
    assert faults.UNRESOLVABLE.endswith(".invalid")
