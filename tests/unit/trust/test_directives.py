"""The directives of trust."""

from __future__ import annotations

import io
import socket
import time

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import (
    ConfigurationConflictError,
    ConfigurationError,
    ConfigurationExecutionError,
)
from pyramid.httpexceptions import HTTPRequestEntityTooLarge
from pyramid.request import Request

from pyramid_restproxy.forwarding.bodies import LimitedBody, StreamedBody
from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust import directives
from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import BodyProfile
from pyramid_restproxy.trust.rfc9421 import MessageProfile
from pyramid_restproxy.trust.signing import sign, verify


class FindsOnly:
    """A key store that is not finished."""

    def find(self, hashed):
        raise AssertionError


@pytest.fixture
def config():
    made = Configurator()
    made.include("pyramid_restproxy.trust")
    return made


def test_keys_are_introspectable_without_their_digest(config):
    _, hashed = new_key("mobile")
    config.add_api_key("mobile", hashed, scopes=["read"])
    config.commit()
    (entry,) = config.introspector.get_category("restproxy api keys")
    assert dict(entry["introspectable"]) == {
        "name": "mobile",
        "routes": (),
        "scopes": ("read",),
    }


def test_the_same_key_twice_is_a_conflict(config):
    _, hashed = new_key("mobile")
    config.add_api_key("a", hashed)
    config.add_api_key("b", hashed)
    with pytest.raises(ConfigurationConflictError):
        config.commit()


@pytest.mark.parametrize(
    "directive, arguments, says",
    [
        ("add_api_key", ("a", "not a digest"), "digest"),
        ("set_api_key_store", (object(),), "has no find, used, last_used"),
        ("set_api_key_store", (FindsOnly(),), "FindsOnly .* has no used, last_used"),
        ("add_signing_key", ("a", "text"), "secret"),
        ("add_signing_key", ("a", b""), "empty secret"),
        ("add_signing_profile", ("", None), "expected a name"),
        ("add_signing_profile", ("a", object()), "not a profile"),
        ("sign_requests_to", ("b", "a", "text"), "secret"),
    ],
)
def test_arguments_are_checked(config, directive, arguments, says):
    with pytest.raises(ConfigurationError, match=says):
        getattr(config, directive)(*arguments)


def test_a_signed_backend_must_be_there(config):
    config.sign_requests_to("nope", "a", b"s" * 32)
    with pytest.raises(ConfigurationExecutionError, match="no backend 'nope'"):
        config.commit()


@pytest.mark.parametrize(
    "body",
    [
        LimitedBody(io.BytesIO(b"hello"), 5, 0),
        LimitedBody(io.BytesIO(b"hello"), 5, None),
        StreamedBody(io.BytesIO(b"hello")),
    ],
)
def test_a_body_that_is_signed_is_there_again(body):
    for _ in range(2):
        assert list(directives._pieces(body)) == [b"hello"]
    assert body.read() == b"hello"


def test_a_body_that_nobody_keeps_and_is_too_large_cannot_be_signed():
    class Endless:
        def read(self, size):
            return b"x" * size

    with pytest.raises(HTTPRequestEntityTooLarge):
        list(directives._pieces(StreamedBody(Endless())))


def with_backend(*urls, settings=None, **options):
    """Make an application that forwards to a backend."""
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", list(urls), **options)
        config.add_proxy_route("b", "/b", "b")
        return config


def test_what_nobody_keeps_is_signed_and_sent_where_the_first_is_away():
    """Its bytes are there for the second destination as well."""
    with socket.socket() as bound, FakeBackend(Answer(body=b"ok")) as backend:
        bound.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{bound.getsockname()[1]}"
        sign_with = f"k hex:{'5e' * 32} body"
        config = with_backend(away, backend.url, sign_with=sign_with, balance="first")
        body = b"y" * 200_000
        request = Request.blank("/b", {"SERVER_PROTOCOL": "HTTP/1.1"})
        request.method = "POST"
        request.environ.update(
            {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        )
        request.environ["wsgi.input"] = Once(body)
        assert request.get_response(config.make_wsgi_app()).status_int == 200
        (seen,) = backend.requests
        assert seen.body == body
        ring = KeyRing([Key("k", b"\x5e" * 32)])
        made = sign(BodyProfile(), None, [body], ring, 0.0)
        assert seen.header(made[0][0]) == made[0][1]


def ask(client, target="/b", **fields):
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    request = Request.blank("/b", {"SERVER_PROTOCOL": "HTTP/1.1"}, headers=headers)
    request.environ["REQUEST_URI"] = target
    request.environ["QUERY_STRING"] = target.partition("?")[2]
    return request.get_response(client)


@pytest.mark.parametrize(
    "profile, fields",
    [
        ("rfc9421", {"content_type": "text/\xe9"}),
        ("webhook", {"webhook_id": "a.b"}),
        ("rfc9421", {"content_digest": "x", "content_type": "a\xa0b"}),
    ],
)
def test_what_a_client_sends_and_cannot_be_signed_is_no_fault_of_the_backend(
    profile, fields
):
    """Three of these took a signed backend away from everybody."""
    with FakeBackend(lambda request: Answer(body=b"ok")) as backend:
        sign_with = f"k hex:{'5e' * 32} {profile}"
        config = with_backend(backend.url, sign_with=sign_with)
        client = config.make_wsgi_app()
        for _ in range(8):
            refused = ask(client, **fields)
            assert refused.status_int == 400
            assert refused.json["detail"] == "The request cannot be signed."
        assert backend.requests == []
        assert ask(client).text == "ok"


@pytest.mark.parametrize(
    "target", ["/b?filter={a}", "/b?filter[a]=1", '/b?a="|^\\`<>', "/b?q=100%&r=%zz"]
)
def test_targets_with_what_no_uri_has_are_signed_as_they_are_sent(target):
    """They could not be signed at all with RFC 9421."""
    ring = KeyRing([Key("k", b"\x5e" * 32)])
    with FakeBackend(lambda request: Answer(body=b"ok")) as backend:
        config = with_backend(backend.url, sign_with=f"k hex:{'5e' * 32} rfc9421")
        assert ask(config.make_wsgi_app(), target).text == "ok"
        (seen,) = backend.requests
    assert seen.target == target
    path, _, query = seen.target.partition("?")
    parts = RequestParts("GET", "http", seen.header("host"), path, query, seen.headers)
    assert verify(MessageProfile(), parts, [], ring, time.time())


class Once(io.BytesIO):
    """A body that cannot be rewound."""

    def seekable(self):
        return False


def test_the_directive_wins_over_the_setting():
    with FakeBackend(Answer(body=b"ok")) as backend:
        config = with_backend(
            backend.url,
            settings={"restproxy.backend.b.sign_with": f"k hex:{'5e' * 32} body"},
        )
        config.sign_requests_to("b", "k", b"s" * 32, BodyProfile("X-Other"))
        Request.blank("/b").get_response(config.make_wsgi_app())
        (seen,) = backend.requests
        assert seen.header("X-Other") and not seen.header("X-MY-APP-HMAC")


def test_a_key_of_the_settings_and_of_a_directive_by_the_same_id(config):
    config.registry.settings = {"restproxy.signing_keys": f"k hex:{'5e' * 32}"}
    config.add_signing_key("k", b"s" * 32)
    with pytest.raises(ConfigurationExecutionError, match="two keys"):
        config.commit()
