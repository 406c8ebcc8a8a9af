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
from pyramid.view import view_config
from pyramid_retry import RetryableException

from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust import admission
from pyramid_restproxy.trust.admission import (
    IN_MEMORY,
    override_is_signed,
    spooled,
)
from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.canonical import RequestParts, WireParts
from pyramid_restproxy.trust.exposed import require_signature
from pyramid_restproxy.trust.key_lines import PROFILES
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import BodyProfile, RequestProfile
from pyramid_restproxy.trust.refusals import BodyTooLarge
from pyramid_restproxy.trust.registry import trust_of
from pyramid_restproxy.trust.signing import Signed, sign, verify
from tests import wire

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

        def last_used(self, key):
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


def test_caches_are_told_of_the_key_though_the_answer_is_an_error(key):
    client = app(with_key(key[1]), api_key=True)
    for presented, status in ((key[0], 200), ("", 401), ("wrong", 403)):
        answer = client.get("/r", headers={"api-key": presented}, status=status)
        assert "api-key" in answer.headers["Vary"]
    assert "Vary" not in app().get("/r").headers


def test_caches_are_told_of_the_key_by_the_name_that_they_see(key):
    """WSGI cannot tell ``api_key`` from the name with a dash, which clients send."""
    settings = {"restproxy.api_keys.header": "Api_Key"}
    client = app(with_key(key[1]), settings, api_key=True)
    answer = client.get("/r", headers={"api-key": key[0]})
    assert (answer.text, answer.headers["Vary"]) == ("mobile", "api-key")


@pytest.mark.parametrize("kind", [tuple, list, set, frozenset])
def test_scopes_may_be_given_in_a_set(key, kind):
    client = app(with_key(key[1], scopes=("a", "b")), api_key=kind(["b", "a"]))
    assert client.get("/r", headers={"api-key": key[0]}).text == "mobile"


# -- addresses ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        "10.0.0.0/8 192.0.2.1",
        "10.0.0.0/8, 192.0.2.1",
        ["10.0.0.0/8", "192.0.2.1"],
        {"10.0.0.0/8", "192.0.2.1"},
    ],
)
def test_addresses(given):
    client = app(allow_from=given)

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


def test_the_file_of_a_body_is_closed_where_the_request_is_refused():
    client = app(with_signing_key, signed=True)
    headers = signed_headers(b"hello")
    for status in ("200 OK", "401 Unauthorized"):  # the second is the same again
        request = Request.blank("/r", method="POST", headers=headers)
        stream = {"wsgi.input": Socket(b"hello"), "CONTENT_LENGTH": "5"}
        environ = {**request.environ, **stream}
        assert Request(environ).call_application(client.app)[0] == status
        assert environ["wsgi.input"].closed


def test_another_profile():
    def configure(config):
        with_signing_key(config)
        config.add_signing_profile("old", BodyProfile())

    client = app(configure, signed="old")
    headers = signed_headers(b"hello", profile=BodyProfile())
    assert client.post("/r", b"hello", headers=headers).body == b"hello"


@pytest.mark.parametrize("named", ["x-tenant", "close, Content-Digest", "X-Tenant,te"])
def test_connection_takes_no_signed_field_away(named):
    """A forwarded request lost it, though the signature had held."""
    profile = RequestProfile(covered=("host", "content-type", "x-tenant"))
    headers = signed_headers(b"{}", profile=profile)
    with FakeBackend(Answer()) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        with_signing_key(config)
        config.add_signing_profile("tenant", profile)
        config.add_backend("b", backend.url)
        config.add_proxy_route("r", "/r", "b", signed="tenant")
        client = webtest.TestApp(config.make_wsgi_app(), lint=False)
        client.post("/r", b"{}", headers={**headers, "Connection": named}, status=401)
        assert not backend.requests
        headers = signed_headers(b"{}", profile=profile)
        passing = {**headers, "Connection": "close, x-other"}
        client.post("/r", b"{}", headers=passing, status=200)


def test_a_second_attempt_is_no_replay():
    """pyramid_retry asks again with the same request; it was refused as a replay."""
    attempts = []

    def view(request):
        attempts.append(request.signed.key_id)
        if len(attempts) == 1:
            raise RetryableException()
        return Response(request.body)

    def configure(config):
        config.include("pyramid_retry")
        with_signing_key(config)

    client = app(configure, {"retry.attempts": 2}, view, signed=True)
    headers = signed_headers(b"{}")
    assert client.post("/r", b"{}", headers=headers).text == "{}"
    assert attempts == ["k1", "k1"]
    client.post("/r", b"{}", headers=headers, status=401)


@pytest.mark.parametrize(
    "headers, status, reason",
    [
        ({"X-Signature": ""}, 401, "missing"),
        ({"X-Signature": "x"}, 401, "malformed"),
        (None, 401, "unknown-key"),
    ],
)
def test_the_log_says_why_nobody_came_in(caplog, headers, status, reason):
    """The client must not learn it, but somebody has to find out."""
    caplog.set_level("INFO", "pyramid_restproxy")
    client = app(signed=True)
    given = signed_headers(b"{}") if headers is None else headers
    client.post("/r", b"{}", headers=given, status=status)
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"refused with {status}: {reason}, route 'r'"]


def test_one_request_has_one_signature():
    """What a subrequest got from the environ of another is good for that only."""

    def outer(request):
        inner = request.copy()
        inner.headers.update(signed_headers(b"other"))
        inner.body = b"other"
        return Response(str(request.invoke_subrequest(inner, use_tweens=True).status))

    def configure(config):
        config.include("pyramid_retry")
        with_signing_key(config)
        config.add_route("outer", "/r", request_param="outer")
        config.add_view(outer, route_name="outer", signed=True)

    client = app(configure, signed=True)
    headers = signed_headers(b"{}", path="/r?outer=1")
    told = client.post("/r?outer=1", b"{}", headers=headers)
    assert told.text == "401 Unauthorized"


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
    ring = trust_of(client.app.registry).signing_keys
    pieces = spooled(environ)
    return verify(RequestProfile(), WireParts(environ), pieces, ring, time.time())


@pytest.mark.parametrize("name", PROFILES)
def test_all_profiles_have_a_name_without_being_added(name):
    client = app(with_signing_key, signed=name)
    headers = signed_headers(b"hello", profile=PROFILES[name]())
    assert client.post("/r", b"hello", headers=headers).body == b"hello"
    client.post("/r", b"hullo", headers=headers, status=401)


@pytest.mark.parametrize("way", ["imperative", "scan"])
def test_a_view_that_says_itself_that_it_is_signed(way):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        with_signing_key(config)
        config.add_route("scanned", "/r")
        if way == "scan":
            config.scan(__name__, categories=["pyramid"])
        else:
            config.add_view(Scanned, attr="show", route_name="scanned")
        client = webtest.TestApp(config.make_wsgi_app(), lint=False)
    client.post("/r", b"hello", status=401)
    headers = signed_headers(b"hello", profile=BodyProfile())
    assert client.post("/r", b"hello", headers=headers).text == "k1"


@require_signature("body")
class Scanned:
    def __init__(self, request):
        self.request = request

    @view_config(route_name="scanned")
    def show(self):
        return Response(self.request.signed.key_id)


def test_no_cache_uses_a_signed_answer_again():
    """It would give it to who has no signature, or the same one again."""
    client = app(with_signing_key, signed=True)
    headers = signed_headers(b"", method="GET")
    for status in (200, 401):
        answer = client.get("/r", headers=headers, status=status)
        assert answer.headers["Vary"].endswith("*")


# -- the method of a signed request --------------------------------------------------

OVERRIDE = "X-HTTP-Method-Override"
COVERED = RequestProfile(covered=("host", "content-type", OVERRIDE.lower()))
FORM = "application/x-www-form-urlencoded"


def method_of(request):
    return Response(request.method)


def sent(profile, body, *, signed=(), added=()):
    """Sign a POST with some fields and send it with others; give method or status."""
    fields = {"Content-Type": "text/plain", **dict(signed)}
    parts = RequestParts("POST", "http", "localhost:80", "/r", "", [*fields.items()])
    ring = KeyRing([Key("k1", SECRET)])
    made = dict(sign(profile, parts, [body], ring, time.time()))

    def configure(config):
        with_signing_key(config)
        config.add_signing_profile("chosen", profile)

    client = app(configure, view=method_of, signed="chosen")
    headers = {**fields, **made, **dict(added)}
    answer = client.post("/r", body, headers=headers, status="*")
    return answer.text if answer.status_int == 200 else answer.status_int


ALL = [make() for make in PROFILES.values()]


@pytest.mark.parametrize("profile", ALL)
def test_a_signed_post_becomes_no_delete_by_an_unsigned_field(profile):
    """HMAC-01, OVERRIDE-04."""
    assert sent(profile, b"hello", added={OVERRIDE: "DELETE"}) == 401
    assert sent(profile, b"hello", added={OVERRIDE: "GET"}) == "POST"
    assert sent(profile, b"hello") == "POST"


def test_a_signed_field_says_the_method():
    assert sent(COVERED, b"hello", signed={OVERRIDE: "delete "}) == "DELETE"
    assert sent(COVERED, b"hello") == "POST"
    for added in ({OVERRIDE: "DELETE"}, {OVERRIDE: "PUT, DELETE"}):
        assert sent(COVERED, b"hello", signed={OVERRIDE: "PUT"}, added=added) == 401
        assert sent(COVERED, b"hello", added=added) == 401


@pytest.mark.parametrize("profile", ALL)
def test_a_form_that_is_signed_says_the_method(profile):
    form = {"Content-Type": FORM}
    assert sent(profile, b"_method=PUT", signed=form) == "PUT"
    headers = {OVERRIDE: "DELETE"}  # the form comes first
    assert sent(profile, b"_method=PUT", signed=form, added=headers) == "PUT"


def test_text_that_is_signed_becomes_no_form():
    """Where fields are signed at all, that one must be."""
    less = RequestProfile(covered=("host",))
    text, form = b'{"said": "&_method=DELETE&"}', {"Content-Type": FORM}
    assert sent(less, text) == "POST"
    assert sent(less, text, added=form) == 401
    assert sent(RequestProfile(), text, added=form) == 401


def test_what_another_filter_made_of_the_method_is_not_signed():
    """One that reads other fields than this application knows, or says nothing."""
    signed = Signed("k", covered=frozenset([OVERRIDE.lower()]))
    overridden = {"REQUEST_METHOD": "DELETE", "HTTP_X_HTTP_METHOD_OVERRIDE": "PUT"}
    for source in ({}, {"http_method_override.source": "header"}):
        environ = {**overridden, **source}
        assert not override_is_signed(environ, signed, [OVERRIDE])
        assert not override_is_signed(environ, signed, [])


def test_a_route_that_wants_no_override_takes_the_method_that_is_signed():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        with_signing_key(config)
        config.add_route("r", "/r", method_override=False)
        config.add_view(method_of, route_name="r", signed=True)
        client = webtest.TestApp(config.make_wsgi_app(), lint=False)
    headers = {**signed_headers(b"hello"), OVERRIDE: "DELETE"}
    assert client.post("/r", b"hello", headers=headers).text == "POST"


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


@pytest.mark.parametrize("stream", [Socket, io.BytesIO])
def test_a_body_over_its_limit_is_not_read_on(stream):
    environ = {"wsgi.input": stream(b"x" * 200_000), "CONTENT_LENGTH": "200000"}
    taken = []
    with pytest.raises(BodyTooLarge):
        taken.extend(spooled(environ, 150_000))
    assert sum(map(len, taken)) <= 150_000


def test_a_large_body_can_be_read_again():
    content = bytes(3 * IN_MEMORY)
    for more in ({"CONTENT_LENGTH": str(len(content))}, {"wsgi.input_terminated": 1}):
        environ = {"wsgi.input": Socket(content), **more}
        assert b"".join(spooled(environ)) == content
        assert environ["CONTENT_LENGTH"] == str(len(content))
        with environ["wsgi.input"] as kept:
            assert kept.read() == content


def test_no_body():
    environ = {"wsgi.input": Socket(b"next request")}
    assert list(spooled(environ)) == []
    environ = {"wsgi.input": Socket(b""), "wsgi.input_terminated": True}
    assert list(spooled(environ)) == []
    assert "CONTENT_LENGTH" not in environ
    environ["wsgi.input"].close()


def test_a_client_that_left():
    environ = {"wsgi.input": Socket(b"he"), "CONTENT_LENGTH": "5"}
    assert b"".join(spooled(environ)) == b"he"
    environ["wsgi.input"].close()


class Broken:
    """A server's reader that raises what it likes (PEP 3333 does not say)."""

    def __init__(self):
        self.pieces = [b"hel"]

    def read(self, size):
        if self.pieces:
            return self.pieces.pop()
        raise RuntimeError("a chunk is none")


def test_a_reader_that_raises_is_400_and_its_file_is_closed(monkeypatch):
    file = io.BytesIO()
    monkeypatch.setattr(admission, "_room", lambda size: file)
    client = app(with_signing_key, signed=True)
    request = Request.blank("/r", method="POST", headers=signed_headers(b"hello"))
    stream = {"wsgi.input": Broken(), "CONTENT_LENGTH": "5"}
    answer = Request({**request.environ, **stream}).get_response(client.app)
    assert answer.status_int == 400
    assert b"chunk" not in answer.body
    assert file.closed


# -- options that are wrong ------------------------------------------------------------


@pytest.mark.parametrize(
    "options, says",
    [
        ({"api_key": 7}, "api_key=7"),
        ({"api_key": "read write"}, "none with a blank"),
        ({"api_key": ["read,write"]}, "none with a blank"),
        ({"api_key": ["read", 7]}, "names of scopes"),
        ({"signed": 7}, "signed=7"),
        ({"signed": "nope"}, "no signing profile 'nope'"),
        ({"allow_from": "here"}, "'here' is not an address"),
        ({"allow_from": " , "}, "expected addresses"),
    ],
)
def test_options_that_are_wrong(options, says):
    with pytest.raises((ConfigurationError, ConfigurationExecutionError), match=says):
        app(**options)


@pytest.mark.parametrize("target", ["/r/x?", "/r/x", "/r/x?a=1"])
@pytest.mark.parametrize("name", ["request", "rfc9421"])
def test_what_one_gateway_signs_another_verifies(target, name):
    """Of ``/x?`` the signature was over ``/x``; so was what was sent."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        with_signing_key(config)
        config.add_route("r", "/r/*rest")
        config.add_view(
            lambda request: Response(request.environ["REQUEST_URI"]),
            route_name="r",
            signed=name if name != "request" else True,
        )
        inner = config.make_wsgi_app()
    with wire.served(inner) as verifying, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", f"http://{verifying}")
        config.sign_requests_to("b", "k1", SECRET, PROFILES[name]())
        config.add_proxy_route("b", "/*path", "b")
        with wire.served(config.make_wsgi_app()) as gateway:
            head = f"GET {target} HTTP/1.1\r\nHost: {gateway}\r\n\r\n"
            reply = wire.exchange(gateway, head.encode())
    assert (reply.status, reply.body.decode()) == (200, target)
