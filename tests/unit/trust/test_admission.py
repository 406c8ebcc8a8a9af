"""Views that let in some only."""

from __future__ import annotations

import io
import time

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError, ConfigurationExecutionError
from pyramid.request import Request
from pyramid.response import Response
from pyramid.session import SignedCookieSessionFactory

from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.admission import spooled
from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.canonical import RequestParts, wire_parts
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import BodyProfile, RequestProfile
from pyramid_restproxy.trust.registry import trust_of
from pyramid_restproxy.trust.signing import sign, verify

SECRET = b"s" * 32


def app(configure=None, settings=None, view=None, **options):
    def own(request):
        key = getattr(request, "api_key", None)
        return Response(key.name if key else request.body or b"ok")

    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        if configure:
            configure(config)
        config.add_route("r", "/r")
        config.add_view(view or own, route_name="r", **options)
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


# -- API keys --------------------------------------------------------------------


@pytest.fixture
def key():
    return new_key("mobile")


def with_key(hashed, **options):
    return lambda config: config.add_api_key("mobile", hashed, **options)


def test_a_key_lets_in(key):
    client = app(with_key(key[1]), api_key=True)
    assert client.get("/r", headers={"api-key": key[0]}).text == "mobile"
    missing = client.get("/r", status=401)
    assert missing.headers["WWW-Authenticate"]
    assert client.get("/r", headers={"api-key": "nope"}, status=403)


@pytest.mark.parametrize(
    "options, wanted, status",
    [
        ({"scopes": ["read"]}, "read", 200),
        ({"scopes": ["read"]}, ("read", "write"), 403),
        ({"routes": ["r"]}, True, 200),
        ({"routes": ["other"]}, True, 403),
        ({"expires": 1.0}, True, 403),
    ],
)
def test_what_a_key_is_good_for(key, options, wanted, status):
    client = app(with_key(key[1], **options), api_key=wanted)
    client.get("/r", headers={"api-key": key[0]}, status=status)


def test_another_field_and_a_file(key, tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"mobile {key[1]}\n")
    settings = {
        "restproxy.api_keys.header": "X-API-Key",
        "restproxy.api_keys.file": str(path),
    }
    client = app(settings=settings, api_key=True)
    client.get("/r", headers={"X-API-Key": key[0]})
    client.get("/r", headers={"api-key": key[0]}, status=401)


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigurationExecutionError, match="restproxy.api_keys.file"):
        app(settings={"restproxy.api_keys.file": "/nowhere/keys"})


def test_a_store_of_your_own(key):
    class Store:
        def find(self, hashed):
            return None

        def used(self, key, now):
            raise AssertionError

    client = app(lambda config: config.set_api_key_store(Store()), api_key=True)
    client.get("/r", headers={"api-key": key[0]}, status=403)


def test_a_view_without_a_route(key):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_api_key("a", key[1])
        config.add_view(lambda request: Response("ok"), name="v", api_key=True)
        client = webtest.TestApp(config.make_wsgi_app())
    client.get("/v", headers={"api-key": key[0]})


def test_the_backend_gets_the_gateways_key_and_not_the_clients(key):
    with FakeBackend(Answer(body=b"ok")) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_api_key("mobile", key[1])
        config.add_backend("with", backend.url, headers={"api-key": "ours"})
        config.add_backend("without", backend.url)
        for name in ("with", "without"):
            config.add_proxy_route(name, f"/{name}", name, api_key=True)
        client = webtest.TestApp(config.make_wsgi_app(), lint=False)
        client.get("/with", headers={"api-key": key[0]})
        client.get("/without", headers={"api-key": key[0]})
        assert backend.requests[0].header("api-key") == "ours"
        assert backend.requests[1].header("api-key") is None


def test_without_keys_the_field_is_an_ordinary_one():
    with FakeBackend(Answer(body=b"ok")) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend.url)
        config.add_proxy_route("b", "/b", "b")
        client = webtest.TestApp(config.make_wsgi_app(), lint=False)
        client.get("/b", headers={"api-key": "theirs"})
        assert backend.requests[0].header("api-key") == "theirs"


def test_a_forwarded_post_with_a_key_needs_no_csrf_token(key):
    with FakeBackend(Answer(body=b"ok")) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.set_default_csrf_options(require_csrf=True)
        config.set_session_factory(SignedCookieSessionFactory("s"))
        config.add_api_key("mobile", key[1])
        config.add_backend("b", backend.url)
        config.add_proxy_route("key", "/key", "b", api_key=True)
        config.add_proxy_route("session", "/session", "b")
        client = webtest.TestApp(config.make_wsgi_app(), lint=False)
        client.post("/key", headers={"api-key": key[0]})
        client.post("/session", status=400)
        assert len(backend.requests) == 1


# -- addresses ---------------------------------------------------------------------


def test_addresses():
    client = app(allow_from="10.0.0.0/8 192.0.2.1")

    def status(peer, **headers):
        environ = {"REMOTE_ADDR": peer}
        answer = client.get("/r", extra_environ=environ, headers=headers, status="*")
        return answer.status_int

    assert [status(peer) for peer in ("10.1.1.1", "192.0.2.1")] == [200, 200]
    assert status("192.0.2.2") == 403
    assert status("192.0.2.2", **{"X-Forwarded-For": "10.1.1.1"}) == 403
    assert status("") == 403


# -- signatures --------------------------------------------------------------------


def signed_headers(body, path="/r", method="POST", profile=None, host="localhost:80"):
    fields = [("Host", host), ("Content-Type", "text/plain")]
    parts = RequestParts(method, "http", host, path, "", fields)
    ring = KeyRing([Key("k1", SECRET)])
    made = sign(
        profile or RequestProfile(), parts, [body] if body else [], ring, time.time()
    )
    return {"Content-Type": "text/plain", **dict(made)}


def with_signing_key(config):
    config.add_signing_key("k1", SECRET)


def test_a_signed_request_passes_once():
    client = app(with_signing_key, signed=True)
    headers = signed_headers(b"hello")
    assert client.post("/r", b"hello", headers=headers).body == b"hello"
    client.post("/r", b"hello", headers=headers, status=401)  # again
    client.post("/r", b"hello", status=401)


@pytest.mark.parametrize("body, path", [(b"hullo", "/r"), (b"hello", "/other")])
def test_another_body_or_path_does_not_pass(body, path):
    client = app(with_signing_key, signed=True)
    client.post("/r", body, headers=signed_headers(b"hello", path), status=401)


def test_the_file_of_a_body_is_closed_with_the_request():
    client = app(with_signing_key, signed=True)
    request = Request.blank("/r", method="POST", headers=signed_headers(b"hello"))
    environ = {
        **request.environ,
        "wsgi.input": Socket(b"hello"),
        "CONTENT_LENGTH": "5",
    }
    asked = Request(environ)
    assert asked.call_application(client.app)[0] == "200 OK"
    assert environ["wsgi.input"].closed


def test_another_profile():
    def configure(config):
        with_signing_key(config)
        config.add_signing_profile("old", BodyProfile())

    client = app(configure, signed="old")
    headers = signed_headers(b"hello", profile=BodyProfile())
    assert client.post("/r", b"hello", headers=headers).body == b"hello"


def test_what_goes_out_is_signed_after_all_transforms():
    def path(call):
        call.path = "/changed"

    with FakeBackend(Answer(body=b"ok")) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend.url)
        config.sign_requests_to("b", "k1", SECRET)
        config.add_proxy_route("b", "/b", "b", request_transforms=[path])
        client = webtest.TestApp(config.make_wsgi_app(), lint=False)
        for body in (b"hi", b"x" * 200_000, b""):
            client.post("/b", body, headers={"X-Signature": "the client's"})
            seen = backend.requests[-1]
            checking = app(with_signing_key, signed=True)
            headers = {n: v for n, v in seen.headers if not n.startswith("X-Forw")}
            assert seen.target == "/changed"
            request = Request.blank("/changed", method="POST", headers=headers)
            request.body = body
            environ = request.environ
            environ["REQUEST_URI"] = "/changed"
            assert verified(checking, environ)


def verified(client, environ):
    ring = trust_of(client.app.registry).signing_ring()
    pieces = spooled(environ)
    return verify(RequestProfile(), wire_parts(environ), pieces, ring, time.time())


# -- the body of a signed request ----------------------------------------------------


class Socket:
    """A stream that cannot be rewound."""

    def __init__(self, content):
        self.read = io.BytesIO(content).read


@pytest.mark.parametrize("length", ["5", None])
@pytest.mark.parametrize("stream", [Socket, io.BytesIO])
def test_a_body_can_be_read_again(stream, length):
    environ = {"wsgi.input": stream(b"hello"), "wsgi.input_terminated": True}
    if length:
        environ["CONTENT_LENGTH"] = length
    else:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    assert b"".join(spooled(environ)) == b"hello"
    assert environ["wsgi.input"].read(5) == b"hello"
    assert environ["CONTENT_LENGTH"] == "5"
    assert "HTTP_TRANSFER_ENCODING" not in environ
    environ["wsgi.input"].close()


def test_no_body():
    environ = {"wsgi.input": Socket(b"next request")}
    assert list(spooled(environ)) == []


def test_a_client_that_left():
    environ = {"wsgi.input": Socket(b"he"), "CONTENT_LENGTH": "5"}
    assert b"".join(spooled(environ)) == b"he"
    environ["wsgi.input"].close()


# -- options that are wrong ------------------------------------------------------------


@pytest.mark.parametrize(
    "options, says",
    [
        ({"api_key": 7}, "api_key=7"),
        ({"api_key": ["read", 7]}, "names of scopes"),
        ({"signed": 7}, "signed=7"),
        ({"signed": "nope"}, "no signing profile 'nope'"),
        ({"allow_from": "here"}, "'here' is not an address"),
    ],
)
def test_options_that_are_wrong(options, says):
    with pytest.raises((ConfigurationError, ConfigurationExecutionError), match=says):
        app(**options)
