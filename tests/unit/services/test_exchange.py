"""One exchange of a client: straight, and the way of requests."""

from __future__ import annotations

import socket

import pytest
import requests
from requests.exceptions import InvalidHeader, InvalidSchema
from requests.structures import CaseInsensitiveDict

from pyramid_restproxy.forwarding.wire.errors import ReadTimeout
from pyramid_restproxy.services.codecs.pieces import Body
from pyramid_restproxy.services.exchange import Exchange
from tests.wire import served


class Echo:
    """A WSGI application that keeps what it was sent, and answers with its body."""

    def __init__(self):
        self.seen = {}
        self.cookie = ""

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read()
        self.seen = environ | {"body": body}
        headers = [("X-Odd", "x"), ("Content-Length", str(len(body)))]
        if self.cookie:
            headers.append(("Set-Cookie", self.cookie))
        start_response("201 Made", headers)
        return [body]


class Key(requests.auth.AuthBase):
    """Adds a header; with `hooks`, looks at the answer as well."""

    def __init__(self, hooks=False):
        self.hooks = hooks
        self.answered = []

    def __call__(self, prepared):
        prepared.headers["X-Key"] = "key"
        if self.hooks:
            prepared.register_hook("response", self.look)
        return prepared

    def look(self, response, **options):
        self.answered.append(response.content)
        return response


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def authority(echo):
    with served(echo) as found:
        yield found


def exchange_of(authority, auth=None, session=None, timeout=30.0, **headers):
    return Exchange(f"http://{authority}/srv", headers, auth, timeout, session)


WAYS = {
    "straight": lambda: {},
    "basic": lambda: {"auth": ("me", "pw")},
    "auth": lambda: {"auth": Key()},
    "hooks": lambda: {"auth": Key(hooks=True)},
    "session": lambda: {"session": requests.Session()},
    "timeouts": lambda: {"timeout": (5.0, 5.0)},
    "no limit": lambda: {"timeout": None},
}


@pytest.fixture(params=WAYS)
def exchange(request, authority):
    found = exchange_of(authority, **WAYS[request.param](), Accept="text/x")
    yield found
    found.close()


@pytest.mark.parametrize(
    "body", [b"abc", b"", Body([b"ab", memoryview(b"c")])], ids=["short", "none", "cut"]
)
def test_every_way_sends_the_same(exchange, echo, authority, body):
    for _ in range(2):  # over one connection
        answer = exchange.send("folder/a b", body)
        assert (answer.status, answer.reason) == (201, "Made")
        assert answer.field("x-odd") == "x" and answer.field("x-none") == ""
        assert b"".join(answer.pieces) == b"".join(getattr(body, "pieces", [body]))
        seen = echo.seen
        assert seen["PATH_INFO"] == "/srv/folder/a b"
        assert seen["REQUEST_METHOD"] == "POST"
        assert seen["CONTENT_LENGTH"] == str(len(body))
        assert seen["HTTP_ACCEPT"] == "text/x" and seen["HTTP_HOST"] == authority


def test_auth_has_its_part(authority, echo):
    key = Key(hooks=True)
    for auth, fields in (
        (("me", "pw"), {"HTTP_AUTHORIZATION": "Basic bWU6cHc="}),
        (Key(), {"HTTP_X_KEY": "key"}),
        (key, {"HTTP_X_KEY": "key"}),
    ):
        answer = exchange_of(authority, auth).send("a", b"x")
        assert b"".join(answer.pieces) == b"x"  # though a hook has read it
        assert fields.items() <= echo.seen.items()
    assert key.answered == [b"x"]


def test_a_host_of_your_own(authority, echo):
    headers = CaseInsensitiveDict({"host": "shop.example"})
    exchange_of(authority, **headers).send("a", b"x").close()
    assert echo.seen["HTTP_HOST"] == "shop.example"


def test_an_answer_that_is_not_read_is_closed(authority):
    exchange = exchange_of(authority)
    answer = exchange.send("a", bytes(1_000_000))
    assert next(answer.pieces)
    answer.close()
    assert b"".join(exchange.send("a", b"x").pieces) == b"x"


def test_what_cannot_be_sent(authority):
    with pytest.raises(InvalidHeader):
        exchange_of(authority, **{"X-A": "a\r\nX-B: b"}).send("a", b"")
    with pytest.raises(InvalidSchema):
        Exchange("ftp://host", {}, None, None, None).send("a", b"")


def test_silence_has_a_limit():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ReadTimeout):
            exchange_of(address, timeout=(5.0, 0.05)).send("a", b"")


def test_a_session_has_its_part(authority, echo):
    """Its auth, headers and cookies were not used."""
    session = requests.Session()
    session.auth, key = ("me", "pw"), Key(hooks=True)
    session.headers.update({"X-Mine": "1", "X-None": None, "Accept": "text/html"})
    session.cookies.set("a", "b")
    session.hooks["response"].append(key.look)
    exchange = exchange_of(authority, session=session, Accept="text/x")
    exchange.send("a", b"x").close()
    assert {
        "HTTP_AUTHORIZATION": "Basic bWU6cHc=",
        "HTTP_X_MINE": "1",
        "HTTP_ACCEPT": "text/x",
        "HTTP_COOKIE": "a=b",
    }.items() <= echo.seen.items()
    assert "HTTP_X_NONE" not in echo.seen
    assert echo.seen.get("HTTP_ACCEPT_ENCODING", "identity") == "identity"
    assert key.answered == [b"x"]
    exchange_of(authority, auth=Key(), session=session).send("a", b"x").close()
    assert echo.seen["HTTP_X_KEY"] == "key" and "HTTP_AUTHORIZATION" not in echo.seen
    exchange.close()


@pytest.mark.parametrize("session", [None, requests.Session])
def test_the_environment_is_not_asked(authority, echo, tmp_path, monkeypatch, session):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = session() if session else None
    exchange = exchange_of(authority, session=made)
    answer = exchange.send("a", b"x")
    assert answer.status == 201
    answer.close()
    exchange.close()
    assert "HTTP_AUTHORIZATION" not in echo.seen


def test_no_cookies_are_kept_without_a_session(authority, echo):
    echo.cookie = "a=b"
    exchange = exchange_of(authority, auth=Key(hooks=True))
    for _ in range(2):
        exchange.send("a", b"x").close()
        assert "HTTP_COOKIE" not in echo.seen
    exchange.close()
