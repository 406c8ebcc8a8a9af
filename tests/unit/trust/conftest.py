"""What the tests of trust share: a request, keys, a clock that stands still."""

from __future__ import annotations

import pytest

from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.keys import Key, KeyRing

NOW = 1_790_000_000


class Nonces:
    """A store in memory, which remembers for how long."""

    def __init__(self):
        self.ttl = {}

    def add(self, nonce, ttl):
        if nonce in self.ttl:
            return False
        self.ttl[nonce] = ttl
        return True


class BrokenNonces:
    """A store that is down."""

    def add(self, nonce, ttl):
        raise ConnectionRefusedError("down")


@pytest.fixture
def keys():
    return KeyRing([Key("old", b"o" * 32, NOW + 1000), Key("new", b"n" * 32)])


@pytest.fixture
def parts():
    return RequestParts(
        method="POST",
        scheme="https",
        authority="api.example.com",
        path="/api/orders",
        query="dry=1",
        fields=[("Content-Type", "application/json"), ("Date", "today")],
    )


@pytest.fixture
def nonces():
    return Nonces()
