"""What the trust of an application is made of."""

from __future__ import annotations

import sys

import pytest
from pyramid.config import Configurator

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.trust.key_lines import PROFILES
from pyramid_restproxy.trust.keys import Key
from pyramid_restproxy.trust.profiles import BodyProfile, RequestProfile
from pyramid_restproxy.trust.registry import DEFAULT_PROFILE, make_trust, trust_of


def test_it_is_made_once_and_keys_are_added_to_it():
    with Configurator() as config:
        config.include("pyramid_restproxy.trust")
        config.add_signing_key("a", b"1" * 32)
        config.add_sealing_key("b", b"2" * 32)
    trust = trust_of(config.registry)
    assert make_trust(config) is trust
    assert isinstance(trust.signing_keys.get("a"), Key)
    assert isinstance(trust.sealing_keys.get("b"), Key)
    assert trust.key_store is trust.own_keys
    assert trust.profile(DEFAULT_PROFILE) == RequestProfile()


def test_the_profiles_that_settings_can_name_are_there():
    with Configurator() as config:
        config.include("pyramid_restproxy.trust")
        config.add_signing_profile("webhook", BodyProfile("X-Own"))
    trust = trust_of(config.registry)
    for name in {*PROFILES} - {"webhook"}:
        assert trust.profile(name).name == name
        assert trust.profile(name) is trust.profile(name)
    assert trust.profile("webhook") == BodyProfile("X-Own")  # what is added comes first
    assert trust.profile("nope") is None


def test_only_the_profile_that_is_used_needs_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "http_message_signatures", None)
    with Configurator() as config:
        config.include("pyramid_restproxy.trust")
    trust = trust_of(config.registry)
    assert trust.profile("body") == BodyProfile()
    with pytest.raises(MissingExtra, match="rfc9421"):
        trust.profile("rfc9421")
