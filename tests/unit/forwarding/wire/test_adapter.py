"""The adapter, alone and under a real ``requests.Session``."""

from __future__ import annotations

import gzip
import io
import threading

import pytest
import requests
from requests.auth import HTTPDigestAuth
from requests.exceptions import InvalidHeader, InvalidSchema, InvalidURL

from pyramid_restproxy.forwarding.wire import KeepAliveAdapter
from pyramid_restproxy.forwarding.wire.adapter import origin_of
from pyramid_restproxy.forwarding.wire.errors import (
    MalformedAnswer,
    NoAnswer,
    ReadTimeout,
    SendError,
    TruncatedBody,
    WireError,
)

from .conftest import answering, read_request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def adapter():
    made = KeepAliveAdapter()
    yield made
    made.close()


@pytest.fixture
def session(adapter):
    with requests.Session() as made:
        made.trust_env = False
        made.mount("http://", adapter)
        made.mount("http+unix://", adapter)
        yield made


def test_a_connection_is_kept_for_the_next_request(serve, session):
    server = serve(answering(OK, OK, OK))
    assert [session.get(server.url).text for _ in range(3)] == ["ok"] * 3
    assert server.connections == 1


def test_target_and_fields_are_sent_as_they_are(serve, adapter):
    seen = []
    server = serve(answering(OK, seen=seen))
    request = requests.Request("GET", server.url).prepare()
    request.url = server.url + "/a/../b//c%2fd?q=%zz"
    request.headers.clear()
    request.headers["x-odd"] = "1"
    adapter.send(request).close()
    assert seen[0][0] == (
        b"GET /a/../b//c%%2fd?q=%%zz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nx-odd: 1\r\n\r\n"
        % server.port
    )


def test_the_session_follows_redirects_and_keeps_cookies(serve, session):
    seen = []
    found = b"HTTP/1.1 302 F\r\nLocation: /b\r\nSet-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n"  # noqa: E501
    server = serve(answering(found, OK, seen=seen))
    response = session.get(server.url + "/a")
    assert [r.status_code for r in response.history] == [302]
    assert response.history[0].cookies.get_dict() == {"a": "1", "b": "2"}
    assert b"Cookie: a=1; b=2\r\n" in seen[1][0]


def test_gzip_is_decoded_by_content_and_left_alone_in_raw(serve, session):
    packed = gzip.compress(b"hello" * 100)
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (
            len(packed),
            packed,
        )
    )
    server = serve(answering(answer, answer))
    assert session.get(server.url).content == b"hello" * 100
    with session.get(server.url, stream=True) as response:
        assert response.raw.read(decode_content=False) == packed


def test_pieces_are_handed_out_as_they_come(serve, session):
    go_on = threading.Event()

    def script(connection, reader):
        read_request(reader)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"5\r\nfirst\r\n")
        assert go_on.wait(10)
        connection.sendall(b"6\r\nsecond\r\n0\r\n\r\n")

    response = session.get(serve(script).url, stream=True)
    pieces = response.iter_content(1000)
    assert next(pieces) == b"first"  # the second has not been sent yet
    go_on.set()
    assert list(pieces) == [b"second"]


def test_lines_of_an_event_stream(serve, session):
    body = b"data: 1\n\ndata: 2\n\n"
    server = serve(answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body))
    lines = session.get(server.url, stream=True).iter_lines()
    assert [line for line in lines if line] == [b"data: 1", b"data: 2"]


@pytest.mark.parametrize(
    "body, framing",
    [
        (b"x" * 10, b"Content-Length: 10"),
        (b"x" * 300_000, b"Content-Length: 300000"),
        (io.BytesIO(b"x" * 200_000), b"Content-Length: 200000"),
        ((b"x" * 70_000 for _ in range(3)), b"Transfer-Encoding: chunked"),
    ],
    ids=["small", "large", "file", "generator"],
)
def test_uploads(serve, session, body, framing):
    seen = []
    server = serve(answering(OK, OK, seen=seen))
    assert session.post(server.url, data=body).text == "ok"
    head, received = seen[0]
    assert framing in head
    assert set(received) == {ord("x")} and len(received) in (
        10,
        300_000,
        200_000,
        210_000,
    )
    assert session.get(server.url).text == "ok"
    assert server.connections == 1


def test_an_early_answer_to_an_upload_is_returned(serve, session):
    def script(connection, reader):
        reader.readline()
        connection.sendall(
            b"HTTP/1.1 413 Big\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
        )

    server = serve(script)
    response = session.post(server.url, data=b"x" * 30_000_000)
    assert (response.status_code, response.text) == (413, "no")


def test_an_auth_handler_sends_again(serve, session):
    seen = []
    challenge = (
        b"HTTP/1.1 401 No\r\n"
        b'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n'
        b"Content-Length: 0\r\n\r\n"
    )
    server = serve(answering(challenge, OK, seen=seen))
    response = session.get(server.url, auth=HTTPDigestAuth("u", "p"))
    assert response.text == "ok"
    assert b"Authorization: Digest username=" in seen[1][0]


def test_a_unix_socket_under_a_session(serve, session, tmp_path):
    import socket
    from urllib.parse import quote

    path = str(tmp_path / "s")
    serve(answering(OK), family=socket.AF_UNIX, address=path)
    assert session.get(f"http+unix://{quote(path, safe='')}/x").text == "ok"


def test_a_second_proxy_gets_the_absolute_form(serve, session):
    seen = []
    proxy = f"http://user:pass@127.0.0.1:{serve(answering(OK, seen=seen)).port}"
    response = session.get("http://far.example/x?y#z", proxies={"http": proxy})
    assert response.text == "ok"
    assert seen[0][0].startswith(b"GET http://far.example/x?y HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in seen[0][0]


@pytest.mark.parametrize(
    "script, error, base",
    [
        (answering(b""), NoAnswer, requests.ConnectionError),
        (answering(b"nonsense\r\n\r\n"), MalformedAnswer, requests.ConnectionError),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"),
            TruncatedBody,
            requests.exceptions.ChunkedEncodingError,
        ),
    ],
)
def test_failures_are_what_requests_raises_and_ours(
    serve, session, script, error, base
):
    with pytest.raises(error) as caught:
        session.get(serve(script).url)
    assert isinstance(caught.value, base)
    assert isinstance(caught.value, WireError)


def test_silence_is_a_read_timeout(serve, session):
    server = serve(lambda connection, reader: reader.read())
    with pytest.raises(ReadTimeout) as caught:
        session.get(server.url, timeout=(5, 0.05))
    assert isinstance(caught.value, requests.ReadTimeout)


def test_a_slow_drip_ends_at_the_total_timeout(serve):
    stop = threading.Event()

    def drip(connection, reader):
        read_request(reader)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stop.wait(0.01):
            connection.sendall(b"x")

    adapter = KeepAliveAdapter(total_timeout=0.2)
    request = requests.Request("GET", serve(drip).url).prepare()
    response = adapter.send(request, stream=True, timeout=(5, 5))
    with pytest.raises(requests.ReadTimeout, match="total"):
        response.content  # noqa: B018
    stop.set()


def test_no_answer_says_whether_the_connection_had_been_used(serve, adapter):
    server = serve(answering(OK, b""))
    request = requests.Request("GET", server.url).prepare()
    assert adapter.send(request).text == "ok"
    with pytest.raises(NoAnswer) as caught:
        adapter.send(request)
    assert caught.value.reused


@pytest.mark.parametrize("chunked", [False, True])
def test_a_kept_connection_that_closed_is_told_of_for_large_bodies_too(serve, chunked):
    """It was a SendError, which nobody sends again."""
    closed = threading.Event()

    def script(connection, reader):
        read_request(reader)
        connection.sendall(OK)
        reader.readline()  # of the next request, whose body stays unread
        connection.close()
        closed.set()

    def body():
        yield b"x"
        assert closed.wait(10)
        for _ in range(300):
            yield b"x" * 100_000

    server = serve(script)
    adapter = KeepAliveAdapter()
    origin = origin_of(server.url)
    head = b"PUT / HTTP/1.1\r\nHost: h\r\n\r\n"
    _, answer = adapter.exchange(origin, head)
    assert answer.read_piece() == b"ok"
    with pytest.raises(NoAnswer) as caught:
        adapter.exchange(origin, head, body(), chunked=chunked)
    assert caught.value.reused
    assert isinstance(caught.value.__cause__, SendError)
    assert adapter.pool.count() == 0


def test_where_one_kept_connection_was_stale_the_others_are_not_tried(serve, adapter):
    """Bug: the second try took the next of them, and was the last one."""
    server = serve(answering(OK, b""))
    request = requests.Request("GET", server.url).prepare()
    for response in [adapter.send(request, stream=True) for _ in range(3)]:
        assert response.text == "ok"
    assert adapter.pool.count() == 3
    with pytest.raises(NoAnswer):
        adapter.send(request)
    assert adapter.pool.count() == 0


def test_an_upload_that_breaks_without_an_answer_is_a_send_error(serve, session):
    server = serve(lambda connection, reader: reader.readline())
    with pytest.raises((SendError, NoAnswer)):
        session.post(server.url, data=b"x" * 30_000_000)


def test_an_unread_answer_costs_its_connection(serve, session, adapter):
    server = serve(
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nstart", OK)
    )
    session.get(server.url, stream=True).close()
    assert adapter.pool.count() == 0


def test_bytes_that_nobody_asked_for_do_not_poison_the_next_request(serve, session):
    server = serve(
        answering(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", OK)
    )
    assert session.get(server.url).text == "ok"
    assert session.get(server.url).text == "ok"
    assert server.connections == 2


def test_a_header_that_breaks_the_line_is_refused_before_anything_is_sent(
    serve, adapter
):
    server = serve(answering(OK))
    request = requests.Request("GET", server.url).prepare()
    request.headers["X"] = "a\r\nY: b"
    with pytest.raises(InvalidHeader):
        adapter.send(request)
    assert server.connections == 0


@pytest.mark.parametrize(
    "url, error",
    [
        ("ftp://h/", InvalidSchema),
        ("http:///x", InvalidURL),
        ("http://h:99999/", InvalidURL),
    ],
)
def test_urls_that_lead_nowhere(url, error):
    with pytest.raises(error):
        origin_of(url)


def test_many_threads_share_one_adapter(serve, adapter):
    def echo_path(connection, reader):
        while request := read_request(reader):
            path = request[0].split()[1]
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path)
            )

    server = serve(echo_path)
    wrong = []

    def work(name):
        for n in range(50):
            url = f"{server.url}/{name}/{n}"
            request = requests.Request("GET", url).prepare()
            if adapter.send(request).text != f"/{name}/{n}":
                wrong.append(url)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert server.connections <= 8
