"""Keys and key rings."""

from __future__ import annotations

import copy
import hmac
import pickle

import hypothesis.strategies as st
import pytest
from hypothesis import example, given
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.trust.keys import Key, KeyRing


@pytest.mark.parametrize("key_id", ["", "a b", "a:b", ".a", "ä", "a\n", "x" * 65])
def test_the_id_of_a_key_is_a_short_word(key_id):
    with pytest.raises(ConfigurationError):
        Key(key_id, b"secret")


def test_a_key_without_secret_is_refused():
    with pytest.raises(ConfigurationError, match="empty"):
        Key("a", b"")


def test_the_secret_is_never_shown():
    key = Key("a", b"very secret")
    assert "very secret" not in f"{key!r} {key} {KeyRing([key])!r}"


def test_a_key_is_good_up_to_its_last_second():
    key = Key("a", b"s", 100.0)
    assert key.is_valid(100)
    assert not key.is_valid(100.1)


def test_all_valid_keys_verify_and_the_newest_signs():
    ring = KeyRing([Key("a", b"s", 100.0), Key("b", b"s", 200.0)])
    assert [key.id for key in ring.valid(50)] == ["a", "b"]
    assert ring.newest(50).id == "b"
    assert [key.id for key in ring.valid(150)] == ["b"]
    assert ring.get("a").id == "a"
    assert ring.get("c") is None


def test_without_a_valid_key_nothing_is_signed():
    with pytest.raises(LookupError):
        KeyRing([Key("a", b"s", 1.0)]).newest(2)


def signed(key, *pieces):
    inner = key.begin_hmac()
    for piece in pieces:
        inner.update(piece)
    return key.end_hmac(inner)


def test_an_hmac_begins_anew_each_time():
    key = Key("k", b"Jefe")
    key.begin_hmac().update(b"something else")
    made = signed(key, b"what do ya want ", b"for nothing?").hex()
    assert made.startswith("5bdcc146bf60754e6a042426089575c7")  # RFC 4231


@given(st.binary(min_size=1, max_size=200), st.lists(st.binary(max_size=99)))
@example(b"k" * 64, [b"as long as a block"])
@example(b"k" * 65, [b"longer"])
def test_it_is_the_hmac_of_the_standard_library(secret, pieces):
    expected = hmac.digest(secret, b"".join(pieces), "sha256")
    assert signed(Key("k", secret), *pieces) == expected


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda k: pickle.loads(pickle.dumps(k))]
)
def test_a_key_can_be_copied(copied):
    key = copied(Key("k", b"s", 5.0))
    assert (key.id, key.secret, key.not_after) == ("k", b"s", 5.0)
    assert signed(key, b"x") == signed(Key("l", b"s"), b"x")


def test_two_keys_cannot_have_one_id():
    with pytest.raises(ConfigurationError, match="'a'"):
        KeyRing([Key("a", b"1"), Key("a", b"2")])
    ring = KeyRing([Key("a", b"1")])
    ring.add(Key("b", b"1"))
    with pytest.raises(ConfigurationError, match="'b'"):
        ring.add(Key("b", b"1"))
    assert len(ring) == 2


@pytest.mark.parametrize("not_after", ["2027-06-30", 1.8e12, float("nan"), True])
def test_times_that_are_none(not_after):
    with pytest.raises(ConfigurationError, match="seconds since the epoch"):
        Key("k", b"s" * 32, not_after)
