"""What caches are told."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from webtest import TestApp

from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.registry import Trust
from pyramid_restproxy.trust.store import StoreNonces, make_store
from pyramid_restproxy.trust.varying import credentials

KEY, HASHED = new_key("k")


def trust(key_header="API_Key"):
    store = make_store("")
    return Trust(key_header, store, StoreNonces(store))


@pytest.mark.parametrize(
    "options, told",
    [
        ({}, ()),
        ({"api_key": False, "user_token": "dropped", "signed": False}, ()),
        ({"user_token": "refused"}, ()),
        ({"sealed": True}, ()),
        ({"api_key": True}, ("api-key",)),
        ({"api_key": ("read",), "user_token": "optional"}, ("api-key", "user-token")),
        ({"user_token": "required"}, ("user-token",)),
        ({"signed": True, "api_key": True}, ("*",)),
        ({"signed": "body"}, ("*",)),
        ({"sealed": "user"}, ("*",)),
    ],
)
def test_what_of_a_request_counts(options, told):
    assert credentials(options.get, trust()) == told


def test_one_field_for_both_is_told_once():
    options = {"api_key": True, "user_token": "required"}
    assert credentials(options.get, trust("User_Token")) == ("user-token",)


def asked(there=(), **options):
    def view(request):
        answer = Response("ok")
        answer.headerlist.extend(("Vary", value) for value in there)
        return answer

    with Configurator() as config:
        config.include("pyramid_restproxy.trust")
        config.add_api_key("k", HASHED)
        config.add_route("r", "/r")
        config.add_view(view, route_name="r", **options)
        config.set_token_validator(lambda request, token: Identity("ann"), field="tok")
    return TestApp(config.make_wsgi_app())


@pytest.mark.parametrize(
    "there, told",
    [
        ([], ["api-key, tok"]),
        (["Accept", "Cookie"], ["Accept, Cookie, api-key, tok"]),
        (["Accept, Api-Key"], ["Accept, Api-Key, tok"]),
        (["*"], ["*"]),
    ],
)
def test_it_is_put_beside_what_the_view_says(there, told):
    """The validator, which names the field, is set after the view."""
    client = asked(there, api_key=True, user_token="required")
    for _ in range(2):
        answer = client.get("/r", headers={"api-key": KEY, "tok": "t"})
        assert answer.headers.getall("Vary") == told


@pytest.mark.parametrize("headers, status", [({}, 401), ({"api-key": "x"}, 403)])
def test_refusals_say_it_too(headers, status):
    answer = asked(api_key=True).get("/r", headers=headers, status=status)
    assert "api-key" in answer.headers["Vary"]


def test_who_is_asked_for_nothing_is_told_nothing():
    assert "Vary" not in asked().get("/r").headers
