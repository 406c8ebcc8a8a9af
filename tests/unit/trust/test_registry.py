"""What the trust of an application is made of."""

from __future__ import annotations

from pyramid.config import Configurator

from pyramid_restproxy.trust.keys import Key
from pyramid_restproxy.trust.registry import DEFAULT_PROFILE, make_trust, trust_of


def test_it_is_made_once_and_keys_are_added_to_it():
    with Configurator() as config:
        config.include("pyramid_restproxy.trust")
        config.add_signing_key("a", b"1" * 32)
        config.add_sealing_key("b", b"2" * 32)
    trust = trust_of(config.registry)
    assert make_trust(config) is trust
    assert isinstance(trust.signing_ring().get("a"), Key)
    assert isinstance(trust.sealing_ring().get("b"), Key)
    assert trust.store_of_keys() is trust.own_keys
    assert DEFAULT_PROFILE in trust.profiles
    trust.key_store = store = object()
    assert trust.store_of_keys() is store
