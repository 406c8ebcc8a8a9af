"""What a session sees of an answer."""

from __future__ import annotations

from datetime import timedelta

import requests

from pyramid_restproxy.forwarding.wire.answer import Body, Head, read_head
from pyramid_restproxy.forwarding.wire.response import BodyFile, WireResponse


class Bytes:
    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.released = []

    def receive(self, size):
        return self.pieces.pop(0) if self.pieces else b""

    def release(self, reusable):
        self.released.append(reusable)


def body_of(source):
    head = Head("GET")
    read_head(head, source)
    return head, Body(head, source)


RAW = (
    b"HTTP/1.1 201 Made\r\nContent-Type: text/plain; charset=latin-1\r\n"
    b"X: 1\r\nX: 2\r\nSet-Cookie: a=1\r\nContent-Length: 6\r\n\r\nabcdef"
)


def test_a_response_has_what_a_session_and_its_users_ask_for():
    head, body = body_of(Bytes(RAW))
    request = requests.Request("GET", "http://h/x").prepare()
    response = WireResponse(request, head, body, connection="the adapter")
    assert (response.status_code, response.reason, response.url) == (
        201,
        "Made",
        "http://h/x",
    )
    assert response.headers["x"] == "1, 2"
    assert response.raw.headers.getlist("X") == ["1", "2"]
    assert response.encoding == "latin-1"
    assert response.cookies.get_dict() == {"a": "1"}
    assert response.elapsed == timedelta(0)
    assert response.connection == "the adapter"
    assert response.text == "abcdef"
    response.close()


def test_attributes_are_those_of_a_plain_response():
    head, body = body_of(Bytes(RAW))
    request = requests.Request("GET", "http://h/x").prepare()
    ours = WireResponse(request, head, body, connection=None)
    for name in vars(requests.Response()):
        assert hasattr(ours, name), name


def test_a_body_as_a_file_cuts_pieces_to_size():
    source = Bytes(RAW)
    _, body = body_of(source)
    file = BodyFile(body)
    assert file.readable()
    assert file.read(2) == b"ab"
    assert file.read1(1) == b"c"
    assert file.read() == b"def"
    assert file.read(1) == b""
    file.close()
    file.close()
    assert source.released == [True]


def test_closing_the_file_early_gives_the_connection_up():
    source = Bytes(RAW[:-3])
    _, body = body_of(source)
    BodyFile(body).close()
    assert source.released == [False]
