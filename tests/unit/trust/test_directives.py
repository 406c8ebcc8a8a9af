"""The directives of trust."""

from __future__ import annotations

import io

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import (
    ConfigurationConflictError,
    ConfigurationError,
    ConfigurationExecutionError,
)

from pyramid_restproxy.forwarding.bodies import LimitedBody
from pyramid_restproxy.trust import directives
from pyramid_restproxy.trust.api_keys import new_key


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
        ("set_api_key_store", (object(),), "not a key store"),
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


def test_a_body_that_can_be_read_once_only_cannot_be_signed():
    body = LimitedBody(io.BytesIO(b"hello"), 5, None)
    with pytest.raises(ValueError, match="cannot be signed"):
        list(directives._pieces(body))
    with pytest.raises(ValueError, match="cannot be signed"):
        list(directives._pieces(iter([b"x"])))
