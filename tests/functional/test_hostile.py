"""What strangers with bad intentions send: each of these was let through once."""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from requests.adapters import HTTPAdapter

from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.fields import request_fields
from pyramid_restproxy.forwarding.locations import public_location
from pyramid_restproxy.forwarding.transforms import rename_request_header
from pyramid_restproxy.services.codecs import CborCodec, JsonCodec
from pyramid_restproxy.services.values import Undecodable
from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.guard import Policy, refusal_of, use_target_host
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.login import BackendLoginPolicy, login
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.profiles import RequestProfile
from pyramid_restproxy.trust.refusals import Unauthenticated
from pyramid_restproxy.trust.rfc9421 import MessageProfile
from pyramid_restproxy.trust.sealing import seal
from pyramid_restproxy.trust.session_tokens import (
    keep_session_token,
    send_session_token,
    session_token,
)
from pyramid_restproxy.trust.sessions import LoginSessions
from pyramid_restproxy.trust.signing import sign, verify
from pyramid_restproxy.trust.store import StoreNonces
from pyramid_restproxy.trust.tokens import send_user_token
from pyramid_restproxy.trust.validators import CachedValidator
from tests import wire

SECRET = b"a secret of thirty-two bytes...."


@contextmanager
def gateway(answer, configure, **settings):
    """Serve an application in front of the backend ``b``; give both."""
    given = {f"restproxy.{name}": value for name, value in settings.items()}
    with FakeBackend(answer) as backend:
        with Configurator(settings=given) as config:
            config.include("pyramid_restproxy")
            config.add_backend("b", backend.url)
            configure(config)
            application = config.make_wsgi_app()
        with wire.served(application) as own:
            yield own, backend


def ask(own, target, *fields, method="GET", body=b""):
    lines = [f"{method} {target} HTTP/1.1", *fields]
    if not any(each.lower().startswith("host:") for each in fields):
        lines.append("Host: a")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "", ""])
    return wire.exchange(own, head.encode("latin-1") + body, method)


# -- caches ------------------------------------------------------------------------


def of_the_token(request):
    body = f"for {request.header('user-token')}".encode()
    return Answer(headers=[("Cache-Control", "max-age=60")], body=body)


def test_what_one_user_token_gets_is_not_kept_for_another():
    def configure(config):
        config.set_token_validator(lambda request, token: Identity(token))
        config.add_proxy_route(
            "mine",
            "/mine/*path",
            "b",
            user_token="required",
            request_transforms=[send_user_token()],
            cache=True,
        )

    with gateway(of_the_token, configure) as (own, _):
        assert ask(own, "/mine/x", "user-token: ann").body == b"for ann"
        assert ask(own, "/mine/x", "user-token: bob").body == b"for bob"


def test_what_one_session_gets_is_not_kept_for_another():
    def answer(request):
        if request.target != "/login":
            return of_the_token(request)
        name = json.loads(request.body)["username"]
        said = json.dumps({"user": name, "token": name}).encode()
        return Answer(headers=[("Content-Type", "application/json")], body=said)

    def configure(config):
        config.set_security_policy(BackendLoginPolicy("b"))
        config.add_route("login", "/login")
        config.add_view(logging_in, route_name="login")
        config.add_proxy_route(
            "mine",
            "/mine/*path",
            "b",
            request_transforms=[send_session_token()],
            cache=True,
        )

    with gateway(answer, configure) as (own, _):
        cookies = [
            f"Cookie: {ask(own, f'/login?{name}').get('Set-Cookie').partition(';')[0]}"
            for name in ("ann", "bob")
        ]
        assert ask(own, "/mine/x", cookies[0]).body == b"for ann"
        assert ask(own, "/mine/x", cookies[1]).body == b"for bob"
        assert ask(own, "/mine/x").body == b"for None"


def test_a_kept_answer_gives_nobody_the_token_of_another():
    """A new token in an answer is for one session, as Set-Cookie is for one browser."""

    def answer(request):
        if request.target == "/login":
            name = json.loads(request.body)["username"]
            said = json.dumps({"user": name, "token": name}).encode()
            return Answer(headers=[("Content-Type", "application/json")], body=said)
        token = f"{request.header('user-token')}-renewed"
        fields = [("Cache-Control", "public, max-age=60"), ("user-token", token)]
        return Answer(headers=fields, body=b"ok")

    def configure(config):
        config.set_security_policy(BackendLoginPolicy("b"))
        config.add_route("login", "/login")
        config.add_view(logging_in, route_name="login")
        config.add_route("token", "/token")
        config.add_view(lambda r: Response(session_token(r)), route_name="token")
        config.add_proxy_route(
            "news",
            "/news/*path",
            "b",
            request_transforms=[send_session_token()],
            response_transforms=[keep_session_token()],
            cache=True,
        )

    with gateway(answer, configure) as (own, _):
        for name in ("ann", "bob"):
            cookie = ask(own, f"/login?{name}").get("Set-Cookie").partition(";")[0]
            ask(own, "/news/x", f"Cookie: {cookie}")
            found = ask(own, "/token", f"Cookie: {cookie}").body
            assert found.decode().startswith(name)


def tell_user(call):
    call.headers.set("X-Token", call.request.user_token_identity.user_id)


@pytest.mark.parametrize(
    "changes",
    [
        [send_user_token("X-Token")],
        [tell_user],
        [send_user_token("X-User"), rename_request_header("X-User", "X-Token")],
    ],
)
def test_who_sends_what_will_be_set_does_not_share_her_answer(changes):
    """A field that is set to the very value that it had is set all the same."""

    def answer(request):
        fields = [("Cache-Control", "max-age=60")]
        return Answer(headers=fields, body=f"for {request.header('X-Token')}".encode())

    def configure(config):
        config.set_token_validator(lambda request, token: Identity(token))
        config.add_proxy_route(
            "mine",
            "/mine/*path",
            "b",
            user_token="required",
            request_transforms=changes,
            cache=True,
        )

    with gateway(answer, configure) as (own, _):
        for field in ("X-Token", "X-User"):
            eve = ask(own, "/mine/x", "user-token: eve", f"{field}: eve")
            assert eve.body.endswith(b"eve")
        assert ask(own, "/mine/x", "user-token: ann").body == b"for ann"


def logging_in(request):
    login(request, username=request.query_string)
    return HTTPSeeOther("/")


def test_other_caches_are_told_that_the_key_counts():
    """A cache in front would give the answer to who has no key (RFC 9111 section 4)."""
    key, hashed = new_key("mobile")

    def configure(config):
        config.add_api_key("mobile", hashed)
        config.add_proxy_route("x", "/x/*path", "b", api_key=True)

    answer = Answer(headers=[("Cache-Control", "max-age=60")], body=b"ok")
    with gateway(answer, configure) as (own, _):
        for fields in ([f"api-key: {key}"], []):
            assert "api-key" in (ask(own, "/x/y", *fields).get("Vary") or "").lower()


# -- who asks ----------------------------------------------------------------------


def test_names_with_underscores_are_those_with_dashes():
    """WSGI cannot tell them apart (PEP 3333), so neither may what is taken out."""
    key, hashed = new_key("mobile")

    def configure(config):
        config.add_api_key("mobile", hashed)
        config.set_token_validator(lambda r, token: Identity("u"), field="user_token")
        config.add_proxy_route(
            "x",
            "/x/*path",
            "b",
            api_key=True,
            user_token="optional",
            identity={"X_User": "key"},
            identity_headers=["X_Role"],
        )

    names = {"api_keys.header": "api_key"}
    with gateway(Answer(body=b"ok"), configure, **names) as (own, backend):
        fields = [f"api-key: {key}", "user-token: secret", "X-User: root", "X-Role: r"]
        assert ask(own, "/x/y", *fields).status == 200
        (seen,) = backend.requests
        for name in ("api-key", "user-token", "X-Role"):
            assert seen.header(name) is None
        assert "root" not in [value for _, value in seen.headers]


@pytest.mark.parametrize(
    "name", ["User", "Email", "Groups", "Scheme", "Ssl", "Path", "Client-Cert"]
)
def test_no_stranger_says_what_a_proxy_says(name):
    """SECURITY.rst: X-Forwarded-* counts only from trusted proxies (HEADERS-04)."""

    def configure(config):
        config.add_proxy_route("x", "/x/*path", "b")

    with gateway(Answer(body=b"ok"), configure) as (own, backend):
        assert ask(own, "/x/y", f"X-Forwarded-{name}: root").status == 200
        assert backend.requests[0].header(f"X-Forwarded-{name}") is None


@pytest.mark.parametrize(
    "said",
    [
        "ann",
        True,
        False,
        {"user": "ann"},
        Identity(""),
        Identity(None),
        Identity(b"ann"),
        Identity("ann", expires="2030"),
        Identity("ann", claims=5),
        Identity("ann", token="x\r\nSet-Cookie: a=b"),
    ],
)
def test_what_a_validator_must_not_say(said):
    """It cannot be said who it is: 503, and nobody passes."""

    def configure(config):
        config.set_token_validator(lambda request, token: said)
        config.add_proxy_route("x", "/x/*path", "b", user_token="required")

    with gateway(Answer(body=b"ok"), configure) as (own, backend):
        assert [ask(own, "/x/y", "user-token: t").status for _ in range(2)] == [503] * 2
        assert backend.requests == []


def test_a_token_that_is_taken_back_while_the_answer_is_being_kept():
    class Store(MemoryStore):
        def set(self, key, value, ttl):
            if value.get("user") and not taken_back:
                taken_back.append(key)
                validator.revoke("token")
            super().set(key, value, ttl)

    taken_back = []
    validator = CachedValidator(lambda request, token: Identity("ann"), Store())
    validator(None, "token")
    assert validator(None, "token") is None


def test_strangers_push_no_session_out_of_the_store():
    """Each token that is refused is remembered, and anybody can send as many."""
    store = MemoryStore(max_entries=200)
    sessions = LoginSessions(store, 1800, 3600, time.time)
    session = sessions.begin(Identity("ann"))
    validator = CachedValidator(lambda request, token: None, store)
    for number in range(1000):
        assert validator(None, f"token-{number}") is None
    assert sessions.find(session.id) is not None


def test_a_login_over_https_at_a_trusted_proxy_has_a_secure_cookie():
    said = b'{"user": "ann"}'
    answer = Answer(headers=[("Content-Type", "application/json")], body=said)

    def configure(config):
        config.set_security_policy(BackendLoginPolicy("b"))
        config.add_route("login", "/login")
        config.add_view(logging_in, route_name="login")

    with gateway(answer, configure, trusted_proxies="127.0.0.1") as (own, _):
        cookie = ask(own, "/login?ann", "X-Forwarded-Proto: https").get("Set-Cookie")
    assert cookie.startswith("__Host-")
    assert "; secure" in cookie.lower()


@pytest.mark.parametrize(
    "line",
    [
        "{}=evil; Path=/",
        "={}=evil; Path=/",
        " = {}=evil",
        "=={}=evil",
        "\t{}\t=evil",
        "{};=evil",
        "={}",
    ],
)
@pytest.mark.parametrize("name", ["restproxy_login", "restproxy_b"])
def test_no_backend_sets_a_cookie_of_ours(name, line):
    """One without a name comes back as its value: as one of ours (RFC 6265bis)."""
    lines = [line.format(name), line.format(name.upper()), "other=1"]
    answer = Answer(headers=[("Set-Cookie", each) for each in lines])
    with FakeBackend(answer) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.set_security_policy(BackendLoginPolicy("b"))
        config.add_backend("b", backend.url, affinity="cookie")
        config.add_proxy_route("x", "/x/*path", "b")
        response = Request.blank("/x/y").get_response(config.make_wsgi_app())
    *found, ours = response.headers.getall("Set-Cookie")
    assert found == [lines[1].strip(" \t"), "other=1"]  # case counts: it is another
    assert ours.startswith("restproxy_b=") and "evil" not in ours


@pytest.mark.parametrize("cookie", ["x {}", "x=1 {}", "x=1,{}", 'x="1"{}', "={}"])
def test_a_session_is_not_found_within_another_cookie(cookie):
    """A backend can set each of these, and so choose who a browser is logged in as."""
    said = b'{"user": "eve"}'
    answer = Answer(headers=[("Content-Type", "application/json")], body=said)

    def configure(config):
        config.set_security_policy(BackendLoginPolicy("b"))
        config.add_route("login", "/login")
        config.add_view(logging_in, route_name="login")
        config.add_route("who", "/who")
        config.add_view(
            lambda request: Response(str(request.authenticated_userid)),
            route_name="who",
        )

    with gateway(answer, configure) as (own, _):
        given = ask(own, "/login?eve").get("Set-Cookie").partition(";")[0]
        assert ask(own, "/who", f"Cookie: {given}").body == b"eve"
        assert ask(own, "/who", f"Cookie: {cookie.format(given)}").body == b"None"


@pytest.mark.parametrize("proto, status", [("https", 200), ("http", 403)])
def test_a_service_for_https_only_is_there_behind_a_trusted_proxy(proto, status):
    def configure(config):
        config.add_service("add", "/add", lambda a: a, require_https=True)

    fields = [f"X-Forwarded-Proto: {proto}", "Content-Type: application/json"]
    asked = {"method": "POST", "body": b'{"a": 1}'}
    with gateway(Answer(), configure, trusted_proxies="127.0.0.1") as (own, _):
        assert ask(own, "/add", *fields, **asked).status == status
    with gateway(Answer(), configure) as (own, _):
        assert ask(own, "/add", *fields, **asked).status == 403


def test_a_cookie_of_a_destination_is_secure_behind_a_trusted_proxy():
    def configure(config):
        config.add_backend("sticky", own_backend.url, affinity="cookie")
        config.add_proxy_route("x", "/x/*path", "sticky")

    with (
        FakeBackend(Answer(body=b"ok")) as own_backend,
        gateway(Answer(), configure, trusted_proxies="127.0.0.1") as (own, _),
    ):
        cookies = [
            ask(own, "/x/y", f"X-Forwarded-Proto: {proto}").get("Set-Cookie")
            for proto in ("https", "http")
        ]
    assert ["; Secure" in each for each in cookies] == [True, False]


# -- signatures and seals ------------------------------------------------------------


@pytest.mark.parametrize("profile", [RequestProfile(), MessageProfile()])
def test_what_is_not_signed_does_not_change_the_method(profile):
    """OVERRIDE-04, HMAC-01: a signed POST is no DELETE because of an added field."""

    def configure(config):
        config.add_signing_key("k", SECRET)
        config.add_signing_profile("chosen", profile)
        config.add_proxy_route("x", "/x/*path", "b", signed="chosen")

    with gateway(Answer(body=b"ok"), configure) as (own, backend):
        sent = [("Content-Type", "text/plain")]
        parts = RequestParts("POST", "http", own, "/x/y", "", sent)
        ring = KeyRing([Key("k", SECRET)])
        sent += sign(profile, parts, [b"body"], ring, time.time())
        fields = [f"{name}: {value}" for name, value in [("Host", own), *sent]]
        fields.append("X-HTTP-Method-Override: DELETE")
        ask(own, "/x/y", *fields, method="POST", body=b"body")
        assert "DELETE" not in [seen.method for seen in backend.requests]


def test_a_second_try_after_a_stale_connection_is_no_replay():
    """The first may have been read, its nonce taken: the same bytes are a replay."""
    ring, nonces = KeyRing([Key("k", SECRET)]), StoreNonces(MemoryStore())
    reasons = []

    def answer(request):
        path, _, query = request.target.partition("?")
        fields = list(request.headers)
        host = request.header("Host")
        parts = RequestParts(request.method, "http", host, path, query, fields)
        pieces = [request.body]
        try:
            verify(RequestProfile(), parts, pieces, ring, time.time(), nonces=nonces)
        except Unauthenticated as error:
            reasons.append(error.reason)
            return Answer(401)
        # the second takes the nonce, and dies
        return None if len(backend.requests) == 2 else Answer(body=request.body)

    def configure(config):
        config.sign_requests_to("b", "k", SECRET)
        config.add_proxy_route("x", "/x/*path", "b")

    with gateway(answer, configure) as (own, backend):
        for body in (b"a", b"b" * 100_000):
            found = ask(own, "/x/y", method="PUT", body=body)
            assert (found.status, found.body) == (200, body)
        assert len(backend.requests) == 3
    assert reasons == []


def test_a_sealed_parameter_is_not_given_in_the_clear_as_well():
    """URLPARAMS-03."""

    def configure(config):
        config.add_sealing_key("k", SECRET)
        config.add_route("x", "/x")
        config.add_view(lambda r: Response("ok"), route_name="x", sealed=True)

    now = time.time()
    ring = KeyRing([Key("k", SECRET)])
    token = seal({"name": "ann"}, ring, "/x", now + 60, now=now)
    with gateway(Answer(), configure) as (own, _):
        assert ask(own, f"/x?sealed={token}").status == 200
        assert ask(own, f"/x?sealed={token}&other=1").status == 200
        assert ask(own, f"/x?sealed={token}&name=bob").status == 400
        assert ask(own, f"/x?n%61me=bob&sealed={token}").status == 400


# -- the destination -----------------------------------------------------------------


@pytest.mark.parametrize("way", ["call", "forward"])
@pytest.mark.parametrize("adapter", [None, HTTPAdapter()])
@pytest.mark.parametrize("path", ["@{}/x", "http://{}/x", ".{}/x", "x", ""])
def test_a_path_does_not_choose_the_destination(way, adapter, path):
    """A path that begins with no slash would go on with the name of the host."""

    def configure(config):
        config.add_backend("other", elsewhere.url, adapter=adapter)
        config.add_route("x", "/{way}")
        config.add_view(view, route_name="x")

    def view(request):
        if way == "forward":
            return request.forward("other", target)
        return Response(str(request.backend("other").get(target).status))

    with FakeBackend(Answer()) as evil, FakeBackend(Answer()) as elsewhere:
        target = path.format(evil.url.removeprefix("http://"))
        with gateway(Answer(), configure) as (own, _):
            assert ask(own, "/x").status == 400
        assert evil.requests == elsewhere.requests == []


def test_what_cannot_be_sent_is_not_the_fault_of_a_backend():
    """HEADERS-11: a name outside Latin-1 took the backend away from everybody."""

    def tell_name(call):
        call.headers.set("X-Name", call.request.GET["name"])

    def configure(config):
        config.add_backend("two", [f"{own.url}/1", f"{own.url}/2"])
        config.add_proxy_route("x", "/x", "two", request_transforms=[tell_name])

    with (
        FakeBackend(Answer(body=b"ok")) as own,
        gateway(Answer(), configure) as (front, _),
    ):
        for _ in range(8):
            assert ask(front, "/x?name=%C5%81ukasz").status in (400, 500, 502)
        assert ask(front, "/x?name=Bob").status == 200


@pytest.mark.parametrize("target", ["//evil.example", "/%2fevil.example"])
def test_a_redirect_leads_to_nobody_else(target):
    """What is left of ``/base//evil`` without ``/base`` is another host.

    Backends that add a slash to a path answer like this (RFC 3986 section 4.2);
    gunicorn and granian leave both slashes; where waitress does not, the guard does.
    """

    def add_slash(request):
        path = request.target.replace("%2f", "/")  # as who reads PATH_INFO
        return Answer(301, [("Location", f"{path}/")])

    with FakeBackend(add_slash) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("below", backend.url + "/base")
        config.add_proxy_route("x", "/*path", "below")
        application = config.make_wsgi_app()
        request = Request.blank("/", environ={"RAW_URI": target})
        request.path_info = "//evil.example"
        location = request.get_response(application).location
    assert urlsplit(urljoin("http://localhost/", location)).hostname == "localhost"


@pytest.mark.parametrize("location", ["/base//evil/x", "/base/\\evil/x", "/base/x"])
@pytest.mark.parametrize("prefix", ["", "//evil", "/\\evil"])
def test_no_location_is_turned_into_another_host(location, prefix):
    """A proxy in front may hand on an X-Forwarded-Prefix that it does not know."""
    destination = Destination.parse("b", "http://b/base")
    found = public_location(location, destination, prefix, ("http", "a"))
    as_browsers_do = urljoin("http://a/", found.replace("\\", "/"))
    assert urlsplit(as_browsers_do).netloc == "a"


def test_an_error_page_links_to_nobody_else():
    """``//evil/x.json`` in a link is another host (RFC 3986 section 4.2)."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_route("x", "/*path")
        config.add_view(
            lambda request: {},
            route_name="x",
            renderer="negotiated",
            allowed_methods="GET",
        )
        application = config.make_wsgi_app()
    request = Request.blank("/", accept="text/html")
    request.path_info = "//evil.example/x"
    response = request.get_response(application)
    assert response.status_int == 406
    assert 'href="//' not in response.text


# -- the guard -------------------------------------------------------------------------


def verdict(**environ):
    asked = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": "/x",
        "QUERY_STRING": "",
        "HTTP_HOST": "a",
        "wsgi.url_scheme": "http",
        **environ,
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    use_target_host(asked)
    found = refusal_of(asked, Policy())
    return None if found is None else found.status


@pytest.mark.parametrize("blank", ["\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0"])
def test_only_spaces_and_tabs_are_blanks(blank):
    """RFC 9110 section 5.6.3: others are part of the value."""
    for value in (f"{blank}chunked", f"chunked{blank}"):
        assert verdict(HTTP_TRANSFER_ENCODING=value) == 400
    assert verdict(HTTP_EXPECT=f"{blank}100-continue") == 417
    assert verdict(HTTP_TRANSFER_ENCODING=" chunked\t") is None


@pytest.mark.parametrize(
    "target", ["#y", "?y", "ftp://evil/x", "http:/x", "ws://evil/x", "x:80"]
)
def test_targets_that_are_none(target):
    """RFC 9112 section 3.2: origin-form or absolute-form, without a fragment."""
    path = "/x" if target.startswith(("/", "ftp:", "http:", "ws:")) else ""
    assert verdict(REQUEST_URI=target, PATH_INFO=path) == 400


@pytest.mark.parametrize("host", ["a, b", "a/../b", "u@b", None])
def test_a_host_in_the_target_does_not_make_another_one_good(host):
    """RFC 9112 section 3.2: 400 for Host that is missing, invalid or there twice."""
    assert verdict(REQUEST_URI="http://a/x", HTTP_HOST=host) == 400
    assert verdict(REQUEST_URI="http://a/x", HTTP_HOST="b") is None


@pytest.mark.parametrize("host", ["[....]", "[:]", "[1.2.3.4]", "[:::1]", "[1]"])
def test_what_is_no_address_in_brackets(host):
    """RFC 3986 section 3.2.2."""
    assert verdict(HTTP_HOST=host) == 400


def test_there_is_one_content_type():
    """Some servers give ``Content_Type`` as HTTP_CONTENT_TYPE; WSGI has no such key."""
    twins = {"CONTENT_TYPE": "text/plain", "HTTP_CONTENT_TYPE": "text/html"}
    assert request_fields(twins, frozenset()) == [("Content-Type", "text/plain")]


# -- what is said and what is logged ---------------------------------------------------


def test_a_path_cannot_write_lines_into_the_log(caplog):
    with Configurator() as config:
        config.include("pyramid_restproxy.problems")
        config.add_route("x", "/{path}")
        config.add_view(lambda request: 1 / 0, route_name="x")
        application = config.make_wsgi_app()
    with caplog.at_level(logging.ERROR):
        Request.blank("/a%0d%0aERROR:root:forged%1b[31m").get_response(application)
    (record,) = caplog.records
    assert not {"\r", "\n", "\x1b"} & {*record.getMessage()}


# -- services -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"1e400",
        b'{"a": -1e999}',
        b'{"$set": ["\\ud800"]}',
        b'{"$dict": [["a", {"$set": ["\\udfff"]}]]}',
    ],
)
def test_json_that_is_more_than_it_looks(body):
    """SERIALISED-05: infinities and lone surrogates in other clothes."""
    with pytest.raises(Undecodable):
        JsonCodec().decode(body)


@pytest.mark.parametrize(
    "body",
    [
        # [1, a number of 40 000 bytes] as a decimal: the time grows with the square
        b"\xc4\x82\x01\xc2\x59\x9c\x40" + b"\xff" * 40_000,
        b"\xf7",  # undefined
        b"\xf8\xff",  # a simple value that has no meaning
    ],
)
def test_cbor_that_no_service_wants(body):
    """SERIALISED-04; 1 MB of the first took 100 seconds."""
    with pytest.raises(Undecodable):
        CborCodec().decode(body)
