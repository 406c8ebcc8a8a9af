"""The security policy of users of a backend."""

from __future__ import annotations

import json

import pytest
import webtest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.authorization import Allow, Authenticated, Deny, Everyone
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy, get_csrf_token
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import ISecurityPolicy
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember
from pyramid.session import SignedCookieSessionFactory
from zope.interface.verify import verifyObject

from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.login import (
    BackendLoginPolicy,
    _one_account,
    local_path,
    login,
    logout,
    logout_everywhere,
    policy_of,
)
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.stored import MAX_VALUE

NOW = 1_790_000_000.0
PASSWORD = "s3cret"


class Clock:
    now = NOW

    def __call__(self):
        return self.now


class Away:
    """A store that cannot be asked."""

    def get(self, key):
        raise StoreUnavailable()

    set = delete = lambda self, *args: self.get("")


def says(value, status=200, *fields):
    body = json.dumps(value).encode()
    return Answer(status, [("Content-Type", "application/json"), *fields], body)


def service(**more):
    """Return a login service that knows ann."""

    def answer(request):
        asked = json.loads(request.body)
        if asked.get("password") != PASSWORD:
            return says({"error": "no"}, 401)
        return says({"user": asked["username"], "permissions": ["read"], **more})

    return answer


class Root:
    def __init__(self, request):
        pass


class Guarded:
    __acl__ = [
        (Deny, "user:eve", "read"),
        (Allow, "permission:read", "read"),
        (Allow, Authenticated, "look"),
        (Allow, Everyone, "knock"),
    ]

    def __init__(self, request):
        pass


def login_view(request):
    found = login(request, **request.json_body)
    return Response("no" if found is None else found.user_id)


def logout_view(request):
    logout(request)
    return Response("bye")


def who_view(request):
    return Response(str(request.authenticated_userid))


def app(url, configure=None, **options):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("users", url, retries=0)
        config.set_security_policy(BackendLoginPolicy("users", **options))
        if configure:
            configure(config)
        for name, view in (
            ("login", login_view),
            ("logout", logout_view),
            ("who", who_view),
        ):
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name)
        for name, factory in (("plain", Root), ("acl", Guarded)):
            config.add_route(name, f"/{name}/{{permission}}", factory=factory)
            config.add_view(may_view, route_name=name)
        return webtest.TestApp(config.make_wsgi_app())


def may_view(request):
    allowed = request.has_permission(request.matchdict["permission"])
    return Response("yes" if allowed else "no")


@pytest.fixture
def backend():
    with FakeBackend(service()) as backend:
        yield backend


@pytest.fixture
def client(backend):
    return app(backend.url)


def log_in(client, user="ann", password=PASSWORD, status=200, **options):
    credentials = {"username": user, "password": password}
    return client.post_json("/login", credentials, status=status, **options)


def who(client):
    return client.get("/who").text


def with_cookie(client, session_id, path="/who", **options):
    """Ask with a cookie alone, as a browser where somebody planted it."""
    client.reset()
    headers = {"Cookie": f"restproxy_login={session_id}"}
    return client.get(path, headers=headers, **options)


def test_it_is_a_security_policy():
    verifyObject(ISecurityPolicy, BackendLoginPolicy("users"))


# -- in and out ----------------------------------------------------------------------


def test_logging_in_and_out(client, backend):
    assert who(client) == "None"
    assert log_in(client).text == "ann"
    assert who(client) == "ann"
    assert client.get("/logout").text == "bye"
    assert who(client) == "None"
    (seen,) = backend.requests
    assert (seen.method, seen.target) == ("POST", "/login")
    assert json.loads(seen.body) == {"username": "ann", "password": PASSWORD}


def test_credentials_that_are_not_good(client):
    answer = log_in(client, password="wrong")
    assert answer.text == "no" and "Set-Cookie" not in answer.headers
    assert who(client) == "None"


def test_credentials_that_are_not_good_leave_the_old_login(client):
    log_in(client)
    assert log_in(client, "bob", "wrong").text == "no"
    assert who(client) == "ann"


def test_the_same_request_knows_who_it_is(backend):
    def view(request):
        before = request.authenticated_userid
        login(request, username="ann", password=PASSWORD)
        between = request.authenticated_userid
        logout(request)
        return Response(f"{before} {between} {request.authenticated_userid}")

    def configure(config):
        config.add_route("all", "/all")
        config.add_view(view, route_name="all")

    assert app(backend.url, configure).get("/all").text == "None ann None"


def twice_view(request):
    login(request, username="eve", password=PASSWORD)
    login(request, username="ann", password=PASSWORD)
    if "not here" in request.GET:
        logout(request)
    return Response("done")


@pytest.mark.parametrize("query, last", [("", "ann"), ("?not+here", "None")])
def test_what_a_request_says_last_counts(backend, query, last):
    """The logins before that one stayed alive, each with a cookie of its own."""

    def configure(config):
        config.add_route("twice", "/twice")
        config.add_view(twice_view, route_name="twice")

    store = MemoryStore()
    client = app(backend.url, configure, store=store)
    answer = client.get(f"/twice{query}")
    assert len(answer.headers.getall("Set-Cookie")) == 1
    assert client.get("/who").text == last
    assert len(store) == (last == "ann")


def test_who_is_not_active_was_logged_in():
    with FakeBackend(says({"user": "ann", "is_active": False})) as backend:
        client = app(backend.url)
        assert log_in(client).text == "no"
        assert who(client) == "None"


def test_an_answer_in_a_form_of_its_own():
    def read(data):
        if not isinstance(data, dict):
            raise ValueError("expected an object")
        return Identity(data["login"]) if data["login"] else None

    answers = says({"login": "ann"}), says({"login": ""}), says([])
    with FakeBackend(*answers) as backend:
        client = app(backend.url, read=read)
        assert log_in(client).text == "ann"
        assert log_in(client).text == "no"
        log_in(client, status=503)
        assert who(client) == "ann"


@pytest.mark.parametrize(
    "answer",
    [
        says({}, 500),
        says({}, 404),
        says({"nobody": 1}),
        Answer(204),
        None,
        says({"user": "ann", "claims": {"a": "x" * MAX_VALUE}}),
        Answer(
            200,
            [("Content-Type", "application/json")],
            b'{"user": "ann", "claims": {"a": NaN}}',
        ),
    ],
)
def test_a_backend_that_does_not_say(answer, caplog):
    with FakeBackend(answer) as backend:
        client = app(backend.url)
        refused = log_in(client, status=503)
        assert refused.headers["Retry-After"] == "1"
        assert "Set-Cookie" not in refused.headers
    assert PASSWORD not in caplog.text


def test_the_store_is_away(backend):
    client = app(backend.url, store=Away())
    log_in(client, status=503)
    assert who(client) == "None"  # nobody said that he is somebody
    with_cookie(client, "x" * 43, status=503)
    with_cookie(client, "x" * 43, "/logout", status=503)


def test_a_login_that_is_over_already():
    with FakeBackend(says({"user": "ann", "expires": 1})) as backend:
        client = app(backend.url)
        assert log_in(client).text == "no"
        assert who(client) == "None"


# -- everywhere ----------------------------------------------------------------------


def everywhere_view(request):
    logout_everywhere(request, request.params["user"])
    if "again" in request.params:
        login(request, username=request.params["again"], password=PASSWORD)
    return Response(str(request.authenticated_userid))


def with_everywhere(config):
    config.add_route("everywhere", "/everywhere")
    config.add_view(everywhere_view, route_name="everywhere")


@pytest.fixture
def browsers(backend):
    """Two browsers of ann's and one of bob's, at two processes with one store."""
    store = MemoryStore()
    found = [app(backend.url, with_everywhere, store=store) for _ in range(3)]
    for client, user in zip(found, ("ann", "ann", "bob"), strict=True):
        log_in(client, user)
    return found


def test_all_logins_of_who_asks(browsers):
    one, two, bob = browsers
    answer = one.get("/everywhere?user=ann")
    assert answer.text == "None"
    name, session_id, attributes = cookie_of(answer)
    assert (name, session_id) == ("restproxy_login", "")
    assert [who(each) for each in browsers] == ["None", "None", "bob"]
    log_in(two)
    assert who(two) == "ann"


def test_all_logins_of_somebody_else(browsers):
    one, two, bob = browsers
    answer = bob.get("/everywhere?user=ann")
    assert answer.text == "bob" and "Set-Cookie" not in answer.headers
    assert [who(each) for each in browsers] == ["None", "None", "bob"]


def test_all_others_of_who_logs_in_again_at_once(browsers):
    one, two, bob = browsers
    old = session_id_of(one)
    assert one.get("/everywhere?user=ann&again=ann").text == "ann"
    assert [who(each) for each in browsers] == ["ann", "None", "bob"]
    assert with_cookie(one, old).text == "None"


def test_all_logins_where_the_store_is_away(backend):
    client = app(backend.url, with_everywhere, store=Away())
    client.get("/everywhere?user=ann", status=503)


# -- the cookie ----------------------------------------------------------------------


def cookie_of(answer):
    value, *attributes = answer.headers["Set-Cookie"].split("; ")
    name, _, session_id = value.partition("=")
    return name, session_id, set(attributes)


def test_the_cookie(client):
    name, session_id, attributes = cookie_of(log_in(client))
    assert name == "restproxy_login" and len(session_id) == 43
    assert attributes == {"Path=/", "HttpOnly", "SameSite=Lax"}


def test_the_cookie_over_https(client):
    answer = log_in(client, extra_environ={"wsgi.url_scheme": "https"})
    name, _, attributes = cookie_of(answer)
    assert name == "__Host-restproxy_login"
    assert attributes == {"Path=/", "HttpOnly", "SameSite=Lax", "secure"}


def test_over_https_the_other_name_does_not_count(client):
    log_in(client)
    environ = {"wsgi.url_scheme": "https"}
    assert client.get("/who", extra_environ=environ).text == "None"


def test_a_cookie_by_another_name(backend):
    client = app(backend.url, cookie="sid", secure=True)
    name, _, attributes = cookie_of(log_in(client))
    assert name == "__Host-sid" and "secure" in attributes


def test_the_cookie_is_taken_back(client):
    log_in(client)
    answer = client.get("/logout")
    name, session_id, attributes = cookie_of(answer)
    assert (name, session_id) == ("restproxy_login", "")
    assert "Max-Age=0" in attributes


def test_answers_with_a_cookie_are_not_cached(client):
    assert log_in(client).headers["Cache-Control"] == "no-store"
    assert client.get("/logout").headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in client.get("/who").headers


@pytest.mark.parametrize("value", ["x", "x" * 43, "x" * 5000, '"', "%00", "a=b"])
def test_a_cookie_that_is_not_ours(client, value):
    assert with_cookie(client, value).text == "None"
    with_cookie(client, value, "/logout")


# -- fixation ------------------------------------------------------------------------


def session_id_of(client):
    return client.cookies["restproxy_login"]


def test_an_id_that_was_chosen_by_somebody_else(client):
    chosen = {"Cookie": f"restproxy_login={'x' * 43}"}
    _, session_id, _ = cookie_of(log_in(client, headers=chosen))
    assert session_id != "x" * 43
    assert with_cookie(client, "x" * 43).text == "None"
    assert with_cookie(client, session_id).text == "ann"


def test_the_id_changes_at_each_login_and_the_old_one_ends(client):
    log_in(client)
    old = session_id_of(client)
    log_in(client, "bob")
    assert session_id_of(client) != old
    assert who(client) == "bob"
    assert with_cookie(client, old).text == "None"


def test_a_login_of_somebody_else_in_our_browser_does_not_become_ours(backend):
    """An attacker logs in, plants the cookie, and waits for the victim's login."""
    store = MemoryStore()
    attacker, victim = app(backend.url, store=store), app(backend.url, store=store)
    log_in(attacker, "eve")
    planted = session_id_of(attacker)
    log_in(victim, headers={"Cookie": f"restproxy_login={planted}"})
    assert who(victim) == "ann"
    assert who(attacker) == "None"


def test_an_id_is_worth_nothing_after_the_logout(client):
    log_in(client)
    old = session_id_of(client)
    client.get("/logout")
    assert with_cookie(client, old).text == "None"


def test_all_processes_know_of_a_logout(backend):
    store = MemoryStore()
    here, there = app(backend.url, store=store), app(backend.url, store=store)
    log_in(here)
    session_id = session_id_of(here)
    assert with_cookie(there, session_id).text == "ann"
    here.get("/logout")
    assert with_cookie(there, session_id).text == "None"


# -- the ends ------------------------------------------------------------------------


@pytest.fixture
def clock():
    return Clock()


def timed(backend, clock, **options):
    store = MemoryStore(clock=clock)
    return app(backend.url, store=store, clock=clock, **options)


def test_idle(backend, clock):
    client = timed(backend, clock, idle=100)
    log_in(client)
    clock.now += 99
    assert who(client) == "ann"
    clock.now += 99
    assert who(client) == "ann"
    clock.now += 100
    assert who(client) == "None"


def test_lifetime(backend, clock):
    client = timed(backend, clock, idle=100, lifetime=150)
    log_in(client)
    clock.now += 99
    assert who(client) == "ann"
    clock.now += 51
    assert who(client) == "None"


def test_what_the_backend_says(clock):
    with FakeBackend(service(expires=NOW + 50)) as backend:
        client = timed(backend, clock)
        log_in(client)
        clock.now += 49
        assert who(client) == "ann"
        clock.now += 1
        assert who(client) == "None"


# -- too often -----------------------------------------------------------------------


def test_an_account_is_not_tried_too_often(backend):
    client = app(backend.url, attempts="2/minute")
    log_in(client, "ann", "a")
    log_in(client, "Ann", "b")
    refused = log_in(client, "ann", PASSWORD, status=429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert log_in(client, "bob").text == "bob"
    assert len(backend.requests) == 3


def test_whose_attempts_are_counted(backend):
    client = app(backend.url, account="email", attempts="1/minute")
    with pytest.raises(TypeError, match="email"):
        policy_of(client.app.registry).login(Request.blank("/"), username="ann")
    for mail, status in (("a", 200), ("b", 200), ("a", 429)):
        client.post_json("/login", {"email": mail, "password": "x"}, status=status)


def test_as_often_as_one_likes(backend):
    client = app(backend.url, attempts="")
    assert {log_in(client, password="a").text for _ in range(12)} == {"no"}


@pytest.mark.parametrize("fields, told", [([("Retry-After", "7")], "7"), ([], "60")])
def test_a_backend_that_says_too_often(fields, told):
    with FakeBackend(says({}, 429, *fields)) as backend:
        refused = log_in(app(backend.url), status=429)
    assert refused.headers["Retry-After"] == told


@pytest.mark.parametrize("name", ["attempts", "address_attempts"])
def test_what_is_no_limit(name):
    with pytest.raises(ConfigurationError, match=f": {name}="):
        BackendLoginPolicy("users", **{name: "often"})


@pytest.mark.parametrize(
    "name",
    [
        *("max ", " max", "\tmax\n", "MAX", "m\xa0ax"),
        *("max\u200b", "\ufeffmax", "m\xadax", "\u202emax"),
        *("\uff4d\uff41\uff58", "\U0001d426\U0001d41a\U0001d431", "\u24dc\u24d0\u24e7"),
        # letters and marks that nobody sees
        *("max\ufe0f", "max\u034f", "m\u115fax", "\u17b4max", "m\u180bax", "ma\u3164x"),
        *("max\U000e0101", "ma\uffa0x", "max\ufff0", "\u1160max", "m\U000e0fffax"),
    ],
)
def test_other_ways_to_write_a_name_are_no_more_attempts(backend, name):
    """AUTH-09: each of them was counted alone, and a backend may take them for one."""
    client = app(backend.url, attempts="1/minute")
    log_in(client, "max", "a")
    log_in(client, name, "a", status=429)
    log_in(client, "maxi", "a")


@pytest.mark.parametrize(
    "one, other",
    [
        ("\u1fb3", "\u03b1\u03b9"),  # an iota below, an iota beside
        ("\u03b1\u0345\u0301", "\u03ac\u03b9"),
        ("a\u034f\u030a", "\xc5"),  # marks meet where something between them goes
        ("stra\xdfe", "STRASSE"),
    ],
)
def test_names_that_are_one_account(one, other):
    assert _one_account(one) == _one_account(other)


def test_all_that_nobody_sees_is_no_part_of_a_name():
    """Default_Ignorable_Code_Point of the Unicode Character Database."""
    ranges = (
        *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160)),
        *((0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E)),
        *((0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
        *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3)),
        *((0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
    )
    for first, last in ranges:
        for each in range(first, last + 1):
            assert _one_account(f"a{chr(each)}b") == "ab"


@given(st.text())
def test_a_name_is_folded_once_and_for_all(name):
    folded = _one_account(name)
    assert _one_account(folded) == folded == _one_account(name.casefold())


def test_an_address_does_not_try_one_account_after_the_other(backend):
    """AUTH-09: a password that many have, at each account once."""
    client = app(backend.url, address_attempts="3/minute")
    for name in ("a", "b", "c"):
        log_in(client, name, "a")
    refused = log_in(client, "d", "a", status=429)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    there = {"REMOTE_ADDR": "192.0.2.1"}
    log_in(client, "d", "a", extra_environ=there)
    assert len(backend.requests) == 4


def test_an_address_that_is_refused_locks_no_account(backend):
    client = app(backend.url, attempts="2/minute", address_attempts="1/minute")
    log_in(client, "eve", "a")
    for _ in range(3):
        log_in(client, "ann", "a", status=429)
    assert log_in(client, extra_environ={"REMOTE_ADDR": "192.0.2.1"}).text == "ann"


def test_addresses_may_try_as_often_as_they_like(backend):
    client = app(backend.url, attempts="", address_attempts="")
    assert {log_in(client, password="a").text for _ in range(305)} == {"no"}


# -- permissions ---------------------------------------------------------------------


def test_permissions_by_name(client):
    assert client.get("/plain/read").text == "no"
    log_in(client)
    assert client.get("/plain/read").text == "yes"
    assert client.get("/plain/write").text == "no"


def test_permissions_by_acl(client):
    assert [client.get(f"/acl/{p}").text for p in ("read", "look", "knock")] == [
        "no",
        "no",
        "yes",
    ]
    log_in(client)
    assert [client.get(f"/acl/{p}").text for p in ("read", "look", "write")] == [
        "yes",
        "yes",
        "no",
    ]
    log_in(client, "eve")
    assert client.get("/acl/read").text == "no"


def test_nobody_can_be_named_like_a_group(client):
    log_in(client, Everyone)
    assert client.get("/acl/write").text == "no"
    log_in(client, "permission:write")
    assert client.get("/plain/write").text == "no"


# -- Pyramid's own functions -----------------------------------------------------------


def test_remember_and_forget(backend):
    def view(request):
        if request.params.get("out"):
            request.response.headerlist.extend(forget(request))
        else:
            known = remember(request, "ann", permissions=("read",))
            request.response.headerlist.extend(known)
        request.response.text = str(request.authenticated_userid)
        return request.response

    def configure(config):
        config.add_route("own", "/own")
        config.add_view(view, route_name="own")

    client = app(backend.url, configure)
    assert client.get("/own").text == "ann"
    assert who(client) == "ann"
    assert client.get("/plain/read").text == "yes"
    assert client.get("/own?out=1").text == "None"
    assert who(client) == "None"


def test_another_policy():
    config = Configurator()
    with pytest.raises(LookupError, match="BackendLoginPolicy"):
        policy_of(config.registry)


# -- CSRF ------------------------------------------------------------------------------


def csrf_view(request):
    return Response(get_csrf_token(request))


def protected(config):
    config.set_default_csrf_options(require_csrf=True)
    config.add_route("csrf", "/csrf")
    config.add_view(csrf_view, route_name="csrf")


def by_cookie(config):
    config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
    protected(config)


def by_session(config):
    config.set_session_factory(SignedCookieSessionFactory("seekrit"))
    protected(config)


@pytest.mark.parametrize("configure", [by_cookie, by_session])
def test_no_login_by_another_site(backend, configure):
    client = app(backend.url, configure)
    log_in(client, status=400)
    assert backend.requests == []
    token = client.get("/csrf").text
    log_in(client, headers={"X-CSRF-Token": token})
    assert who(client) == "ann"


@pytest.mark.parametrize("configure", [by_cookie, by_session])
def test_the_csrf_token_changes_with_the_login(backend, configure):
    client = app(backend.url, configure)
    before = client.get("/csrf").text
    log_in(client, headers={"X-CSRF-Token": before})
    inside = client.get("/csrf").text
    client.get("/logout")
    after = client.get("/csrf").text
    assert len({before, inside, after}) == 3
    log_in(client, headers={"X-CSRF-Token": before}, status=400)


# -- renewing --------------------------------------------------------------------------


def renewing(config):
    def view(request):
        policy = policy_of(request.registry)
        expires = request.params.get("expires")
        changed = policy.renew(request, "new", expires and float(expires))
        identity = request.identity
        return Response(f"{changed} {identity and identity.token}")

    config.add_route("renew", "/renew")
    config.add_view(view, route_name="renew")
    config.add_route("token", "/token")
    config.add_view(
        lambda request: Response(str(request.identity.token)), route_name="token"
    )


def test_a_token_is_renewed(clock):
    with FakeBackend(service(token="old", expires=NOW + 50)) as backend:
        client = timed(backend, clock, configure=renewing)
        assert client.get("/renew").text == "False None"
        log_in(client)
        assert client.get("/token").text == "old"
        assert client.get("/renew").text == "True new"
        assert client.get("/token").text == "new"
        clock.now += 50
        assert who(client) == "None"


def test_with_the_token_its_end_changes(clock):
    with FakeBackend(service(token="old", expires=NOW + 50)) as backend:
        client = timed(backend, clock, configure=renewing)
        log_in(client)
        client.get(f"/renew?expires={NOW + 500}")
        clock.now += 60
        assert who(client) == "ann"
        assert client.get(f"/renew?expires={NOW}").text == "False None"
        assert who(client) == "None"


# -- secrets ---------------------------------------------------------------------------


def test_secrets_are_nowhere(caplog):
    caplog.set_level("DEBUG")
    store = MemoryStore()
    with FakeBackend(service(token="t0ken")) as backend:
        client = app(backend.url, store=store)
        answer = log_in(client)
        session_id = session_id_of(client)
        log_in(client, password="wr0ng")
    shown = caplog.text + repr(client.app) + answer.text
    for secret in (PASSWORD, "wr0ng", "t0ken", session_id):
        assert secret not in shown
    assert session_id not in str(store._kept.entries)
    assert PASSWORD not in str(store._kept.entries)
    assert "t0ken" not in repr(Identity("ann", token="t0ken"))


# -- where to go -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, path",
    [
        ("/", "/"),
        ("/posts/1?a=b#c", "/posts/1?a=b#c"),
        ("/%2F%2Fevil.example", "/%2F%2Fevil.example"),
        ("//evil.example", "/home"),
        ("/\\evil.example", "/home"),
        ("\\\\evil.example", "/home"),
        (" //evil.example", "/home"),
        ("/\t/evil.example", "/home"),
        ("/a\\b", "/home"),
        ("/a\r\nSet-Cookie: a=b", "/home"),
        ("https:evil.example", "/home"),
        ("https://evil.example", "/home"),
        ("javascript:alert(1)", "/home"),
        ("posts", "/home"),
        ("", "/home"),
        (None, "/home"),
        ("/ä", "/home"),
    ],
)
def test_where_to_go_afterwards(value, path):
    assert local_path(value, "/home") == path


@given(st.text())
def test_nowhere_else(value):
    found = local_path(value)
    assert found.startswith("/") and not found.startswith(("//", "/\\"))
    assert "\\" not in found and found.isprintable() and " " not in found
