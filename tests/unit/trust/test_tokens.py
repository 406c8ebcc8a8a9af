"""Views that know the user."""

from __future__ import annotations

import re

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError, ConfigurationExecutionError
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.exposed import expose_service
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.registry import trust_of
from pyramid_restproxy.trust.store import store_of
from pyramid_restproxy.trust.tokens import (
    revoke_user_token,
    send_user_token,
    set_token_validator,
)

USERS = {
    "ann": Identity("ann", ("read",)),
    "old": Identity("ann", token="new"),
}


def validator(request, token):
    if token == "away":
        raise OSError("away")
    return USERS.get(token)


def app(view=None, settings=None, prepare=set_token_validator, **options):
    def own(request):
        user = getattr(request, "user_token_identity", "nothing")
        return Response(getattr(user, "user_id", str(user)))

    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        if prepare is set_token_validator:
            set_token_validator(config, validator)
        elif prepare:
            prepare(config)
        config.add_route("r", "/r")
        config.add_view(view or own, route_name="r", **options)
        return webtest.TestApp(config.make_wsgi_app())


def get(client, token=None, status=200):
    headers = {} if token is None else {"user-token": token}
    return client.get("/r", headers=headers, status=status)


# -- the option ----------------------------------------------------------------------


def test_a_token_is_required():
    client = app(user_token="required")
    assert get(client, "ann").text == "ann"
    missing = get(client, None, 401)
    assert missing.headers["WWW-Authenticate"] == "UserToken"
    get(client, "", 401)
    refused = get(client, "bad", 403)
    assert "bad" not in refused.json["detail"]
    away = get(client, "away", 503)
    assert away.headers["Retry-After"] == "1"


def test_a_token_is_optional():
    client = app(user_token="optional")
    assert get(client, "ann").text == "ann"
    assert get(client).text == "None"
    get(client, "bad", 403)
    get(client, "away", 503)


def test_a_token_is_refused():
    client = app(user_token="refused")
    assert get(client).text == "None"
    get(client, "ann", 400)


def test_a_token_is_dropped():
    def view(request):
        return Response(str("user-token" in request.headers))

    assert get(app(view, user_token="dropped"), "ann").text == "False"


def test_views_without_the_option():
    assert get(app(), "bad").text == "nothing"


@pytest.mark.parametrize(
    "token", ["a b", "ä".encode().decode("latin-1"), "x" * 8193, "a\tb"]
)
def test_what_can_be_no_token_is_not_looked_up(token):
    def never(request, token):
        raise AssertionError("asked")

    def prepare(config):
        set_token_validator(config, never)

    get(app(prepare=prepare, user_token="required"), token, 403)


def test_the_older_error_format_says_400():
    client = app(settings={"restproxy.errors": "envelope"}, user_token="required")
    missing = get(client, None, 400)
    assert missing.json["error"]["code"] == 400
    get(client, "bad", 403)


def test_where_nobody_can_tell():
    client = app(prepare=None, user_token="optional")
    get(client, "ann", 503)
    assert get(client, None).text == "None"
    client = app(prepare=None, user_token="dropped")
    assert get(client, "ann").text == "None"


def test_another_option():
    with pytest.raises(ConfigurationExecutionError, match="user_token='yes'"):
        app(user_token="yes")


def test_nothing_stays_from_one_request_to_the_next():
    client = app(user_token="optional")
    assert [get(client, token).text for token in ("ann", None, "ann", None)] == [
        "ann",
        "None",
        "ann",
        "None",
    ]


def test_caches_are_told_that_users_differ():
    def view(request):
        raise HTTPNotFound()

    assert "user-token" in get(app(user_token="optional")).headers["Vary"]
    assert "user-token" in get(app(user_token="required"), None, 401).headers["Vary"]
    found = get(app(view, user_token="required"), "ann", 404)
    assert "user-token" in found.headers["Vary"]
    assert "Vary" not in get(app(user_token="dropped")).headers


# -- the new token -------------------------------------------------------------------


def test_a_new_token_goes_out():
    client = app(user_token="required")
    answer = get(client, "old")
    assert answer.headers["user-token"] == "new"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "user-token" not in get(client, "ann").headers


def test_a_new_token_goes_out_with_an_error_too():
    def view(request):
        raise HTTPNotFound()

    answer = get(app(view, user_token="required"), "old", 404)
    assert answer.headers["user-token"] == "new"


# -- the directive -------------------------------------------------------------------


def test_a_dotted_name_and_another_field():
    def prepare(config):
        set_token_validator(config, f"{__name__}.validator", field="X-Session")

    client = app(prepare=prepare, user_token="required")
    assert client.get("/r", headers={"X-Session": "ann"}).text == "ann"
    rotated = client.get("/r", headers={"X-Session": "old"})
    assert rotated.headers["X-Session"] == "new"
    get(client, "ann", 401)


@pytest.mark.parametrize(
    "wrong, options",
    [
        (7, {}),
        (None, {}),
        (validator, {"field": "a b"}),
        (validator, {"field": ""}),
        (validator, {"field": None}),
        (validator, {"field": "Cookie"}),  # a browser sends it by itself
    ],
)
def test_what_is_no_validator_or_field(wrong, options):
    with pytest.raises(ConfigurationError, match="set_token_validator"):
        set_token_validator(Configurator(), wrong, **options)


def test_a_field_with_an_underscore_goes_to_no_backend():
    """WSGI cannot tell it from the one with a dash, which is taken out."""
    client = app(
        prepare=lambda config: set_token_validator(config, validator, field="my_token"),
        user_token="optional",
    )
    answer = client.get("/r", headers={"My-Token": "ann"})
    assert (answer.text, answer.headers["Vary"]) == ("ann", "my-token")
    gateway = client.app.registry.getUtility(IGateway)
    assert "my-token" in gateway.without


def test_where_answers_are_kept():
    own = MemoryStore()
    asked = []

    def counted(request, token):
        asked.append(token)
        return USERS["ann"]

    def kept(**options):
        def prepare(config):
            set_token_validator(config, counted, **options)

        asked.clear()
        client = app(prepare=prepare, user_token="required")
        get(client, "t"), get(client, "t")
        return client.app.registry

    assert len(store_of(kept())) == 1 and asked == ["t"]
    kept(store=own)
    assert len(own) == 1 and asked == ["t"]
    kept(cache_ttl=0)
    assert asked == ["t", "t"]


# -- backends ------------------------------------------------------------------------


def gateway(url, **options):
    with Configurator() as config:
        config.include("pyramid_restproxy")
        set_token_validator(config, validator)
        config.add_backend("b", url)
        config.add_proxy_route("r", "/r*tail", "b", **options)
        return webtest.TestApp(config.make_wsgi_app(), lint=False)


@pytest.mark.parametrize("way", ["required", "optional", "dropped", None])
def test_no_backend_sees_the_token(way):
    options = {} if way is None else {"user_token": way}
    with FakeBackend(Answer(200, body=b"ok")) as backend:
        assert get(gateway(backend.url, **options), "ann").text == "ok"
        (seen,) = backend.requests
    assert seen.header("user-token") is None


def test_unless_the_route_says_so():
    with FakeBackend(Answer(200, body=b"ok")) as backend:
        client = gateway(
            backend.url,
            user_token="optional",
            request_transforms=[send_user_token("X-Token")],
        )
        get(client, "ann")
        client.get("/r", headers={"X-Token": "forged"})
        first, second = backend.requests
    assert first.header("X-Token") == "ann" and first.header("user-token") is None
    assert second.header("X-Token") is None


def test_a_token_that_was_not_checked_is_not_sent():
    with FakeBackend(Answer(200, body=b"ok")) as backend:
        client = gateway(backend.url, request_transforms=[send_user_token()])
        get(client, "bad")
        (seen,) = backend.requests
    assert seen.header("user-token") is None


def test_refused_users_do_not_reach_the_backend():
    with FakeBackend() as backend:
        client = gateway(backend.url, user_token="required")
        get(client, "bad", 403)
        get(client, None, 401)
        assert backend.requests == []


def test_the_token_is_not_in_what_registries_show():
    client = app(user_token="required")
    get(client, "old")
    assert "new" not in repr(trust_of(client.app.registry))


def test_a_token_is_taken_back():
    def view(request):
        revoke_user_token(request)
        return Response("bye")

    client = app(view, user_token="optional")
    assert get(client).text == "bye"
    assert get(client, "ann").text == "bye"
    get(client, "ann", 403)


@pytest.mark.parametrize("options", [{}, {"user_token": "required"}])
@pytest.mark.parametrize("ttl", [0, 60])
def test_a_token_is_taken_back_whatever_is_kept(ttl, options):
    """With cache_ttl=0, which is for JWTs, nothing was done."""
    store = MemoryStore()

    def prepare(config):
        set_token_validator(config, validator, store=store, cache_ttl=ttl)

    here = app(
        lambda request: revoke_user_token(request) or Response("bye"),
        prepare=prepare,
        **options,
    )
    there = app(prepare=prepare, user_token="required")
    get(here, "ann")
    get(there, "ann", 403)
    get(there, "old")


def test_without_a_validator_nothing_can_be_taken_back():
    request = Request.blank("/", headers={"user-token": "ann"})
    request.registry = app(prepare=None).app.registry
    with pytest.raises(LookupError, match="no validator"):
        revoke_user_token(request)


def test_a_token_that_nobody_knows_is_not_taken_back():
    """Strangers filled the store."""
    store = MemoryStore()
    client = app(
        lambda request: revoke_user_token(request) or Response("bye"),
        prepare=lambda config: set_token_validator(config, validator, store=store),
    )
    for token in ("nobody", "\xe9", "x" * 9000, "", None):
        get(client, token)
    assert len(store) == 0
    get(client, "away", 503)


class Exchange:
    """A token service where a token is good until it is exchanged for the next one."""

    def __init__(self):
        self.live = {"t1": "ann"}

    def __call__(self, request, token):
        user = self.live.pop(token, None)
        if user is None:
            return None
        new = f"t{int(token[1:]) + 1}"
        self.live[new] = user
        return Identity(user, token=new)


def test_the_backend_gets_the_new_token():
    """It got the one that had just been retired, and did not know it."""
    exchange = Exchange()
    with FakeBackend(Answer(200)) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        set_token_validator(config, exchange)
        config.add_backend("b", backend.url)
        config.add_proxy_route(
            "r",
            "/r",
            "b",
            user_token="required",
            request_transforms=[send_user_token()],
        )
        client = webtest.TestApp(config.make_wsgi_app(), lint=False)
        assert get(client, "t1").headers["user-token"] == "t2"
        (seen,) = backend.requests
    assert seen.header("user-token") == "t2" and [*exchange.live] == ["t2"]


@pytest.mark.parametrize("options", [{}, {"user_token": "required"}])
@pytest.mark.parametrize("ttl", [0, 60])
def test_after_a_logout_the_new_token_is_not_good_either(ttl, options):
    """It went out with the answer of the logout, and whoever had it was logged in."""
    exchange, store = Exchange(), MemoryStore()

    def prepare(config):
        set_token_validator(config, exchange, store=store, cache_ttl=ttl)

    def log_out(request):
        revoke_user_token(request)
        return Response("bye")

    here = app(log_out, prepare=prepare, **options)
    there = app(prepare=prepare, user_token="required")
    answer = get(here, "t1")
    assert answer.text == "bye" and "user-token" not in answer.headers
    assert [*exchange.live] == ["t2"]
    get(there, "t1", 403)
    get(there, "t2", 403)


# -- services ------------------------------------------------------------------------


def services(key, settings=None):
    @expose_service(["GET", "POST"])
    def private(request):
        return Response(request.user_token_identity.user_id)

    @expose_service("GET", public=True)
    def public(request):
        return Response(str(request.user_token_identity))

    @expose_service("GET", public=True, strict=True)
    def strict(request):
        return Response("ok")

    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        set_token_validator(config, validator)
        config.add_api_key("mobile", key)
        for name, view in (("private", private), ("public", public), ("s", strict)):
            config.add_route(name, f"/{name}")
            config.add_view(view, route_name=name)
        return webtest.TestApp(config.make_wsgi_app())


def test_services():
    key, kept = new_key("mobile")
    client = services(kept)
    with_key = {"api-key": key}
    with_both = {"api-key": key, "user-token": "ann"}
    assert client.get("/private", headers=with_both).text == "ann"
    client.put("/private", headers=with_both, status=405)
    client.get("/private", headers={"user-token": "ann"}, status=401)
    client.get("/private", headers={**with_both, "api-key": "bad"}, status=403)
    client.get("/private", headers=with_key, status=401)
    client.get("/private", headers={**with_both, "user-token": "bad"}, status=403)
    assert client.get("/public", headers=with_key).text == "None"
    assert client.get("/public", headers=with_both).text == "None"
    assert client.get("/s", headers=with_key).text == "ok"
    client.get("/s", headers=with_both, status=400)


def test_services_in_the_older_error_format():
    key, kept = new_key("mobile")
    client = services(kept, {"restproxy.errors": "envelope"})
    client.get("/private", headers={"api-key": key}, status=400)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere.at_all", "cannot be imported: No module named 'nowhere'"),
        (f"{__name__}.nothing", "cannot be imported"),
        (f"{__name__}.__doc__", "cannot be called"),
        (".relative", "relative"),
    ],
)
def test_a_validator_of_the_settings_that_is_not_there(name, says):
    """It was an ImportError that named neither the setting nor the value."""
    expected = f"restproxy.token_validator = '{re.escape(name)}': .*{says}"
    with pytest.raises(ConfigurationExecutionError, match=expected):
        app(settings={"restproxy.token_validator": name}, prepare=lambda config: None)
