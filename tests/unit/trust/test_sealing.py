"""Sealed parameters and the plain form."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from pyramid_restproxy import service_url
from pyramid_restproxy.trust import sealing
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.refusals import InvalidToken
from pyramid_restproxy.trust.sealing import decode_plain, encode_plain, seal, unseal

from .conftest import NOW

RING = KeyRing([Key("old.1", b"o" * 32, NOW + 1000), Key("new", b"n" * 32)])
LATER = NOW + 60

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab\u20ac"), inner),
    max_leaves=8,
)


def reason_of(token, route="posts", keys=RING, now=NOW, **options):
    with pytest.raises(InvalidToken) as caught:
        unseal(token, keys, route, now=now, **options)
    assert caught.value.status_int == 400
    return caught.value.reason


@given(
    st.dictionaries(st.text("abc"), JSON, max_size=4),
    st.text(st.characters(codec="utf-8")),
    st.none() | st.text(),
)
def test_what_is_sealed_can_be_opened(values, route, user):
    token = seal(values, RING, route, LATER, now=NOW, user=user)
    assert re.fullmatch(r"s1\.new\.[A-Za-z0-9_-]+", token)
    assert unseal(token, RING, route, now=LATER, user=user) == values


def test_nothing_can_be_read_and_nothing_is_the_same_twice():
    tokens = {seal({"name": "ann"}, RING, "posts", LATER, now=NOW) for _ in range(20)}
    assert len(tokens) == 20
    assert not any(b"ann" in base64.urlsafe_b64decode(t[7:] + "==") for t in tokens)


def test_a_token_is_good_up_to_its_last_second():
    token = seal({}, RING, "posts", LATER + 0.5, now=NOW)
    assert unseal(token, RING, "posts", now=LATER + 0.5) == {}
    assert reason_of(token, now=LATER + 0.6) == "expired"


@pytest.mark.parametrize(
    "sealed_for, opened_by",
    [
        (("posts", None), ("users", None)),
        (("posts", "ann"), ("posts", "bob")),
        (("posts", "ann"), ("posts", None)),
        (("posts", None), ("posts", "ann")),
        (("posts", None), ("posts", "")),
        (("a", 'b", "c'), ('a", "b', "c")),
    ],
)
def test_a_token_is_for_one_route_and_one_user(sealed_for, opened_by):
    route, user = sealed_for
    token = seal({"a": 1}, RING, route, LATER, now=NOW, user=user)
    route, user = opened_by
    assert reason_of(token, route, user=user) == "sealing"


def test_old_keys_open_and_the_newest_seals():
    old = seal({"a": 1}, KeyRing([RING.get("old.1")]), "posts", LATER, now=NOW)
    assert old.startswith("s1.old.1.")
    assert unseal(old, RING, "posts", now=NOW) == {"a": 1}
    assert seal({}, RING, "posts", LATER, now=NOW).startswith("s1.new.")
    assert reason_of(old, keys=KeyRing([RING.get("new")])) == "unknown-key"
    assert reason_of(old, now=NOW + 1001) == "expired"


def test_a_key_of_the_same_name_does_not_open():
    token = seal({}, RING, "posts", LATER, now=NOW)
    assert reason_of(token, keys=KeyRing([Key("new", b"x" * 32)])) == "sealing"


def test_no_character_can_be_altered():
    token = seal({"a": 1}, RING, "posts", LATER, now=NOW)
    alphabet = (
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ \u00e9"
    )
    for at, character in enumerate(token):
        for other in alphabet.replace(character, ""):
            assert reason_of(token[:at] + other + token[at + 1 :])
    for cut in range(len(token)):
        assert reason_of(token[:cut])
    assert reason_of(token + "A") and reason_of(token + "=")


@given(st.text() | st.from_regex(r"s1\.(new|x)?\.?[A-Za-z0-9_-]*", fullmatch=True))
@example("")
@example("s1.new.")
@example("s1..AAAA")
@example("s1.new." + "A" * 16)
@example("\ud800")
def test_whatever_comes_is_refused_and_nothing_else(token):
    assert reason_of(token)


def test_a_long_token_is_not_looked_at():
    assert reason_of("s1.new." + "A" * 5000) == "too-large"


@pytest.mark.parametrize(
    "plain", [b"", b"[1]", b"{}", b'["x",{}]', b"[1,2]", b"\xff", b"[" * 2500]
)
def test_what_others_sealed_with_the_key_may_be_malformed(plain):
    key = RING.get("new")
    bound = sealing._bound_to("new", "posts", None)
    sealed = sealing._cipher(key).encrypt(b"0" * 12, plain, bound)
    token = "s1.new." + sealing._to_base64url(b"0" * 12 + sealed)
    assert reason_of(token) == "malformed"


@pytest.mark.parametrize(
    "values, error",
    [
        ({"a": float("nan")}, ValueError),
        ({"a": b"x"}, TypeError),
        ({1: "x"}, TypeError),
        ({"a": "x" * 4096}, ValueError),
        ({"a": "\ud800"}, ValueError),
    ],
)
def test_what_is_not_json_or_too_large_is_not_sealed(values, error):
    with pytest.raises(error):
        seal(values, RING, "posts", LATER, now=NOW)


def test_a_short_secret_does_not_seal():
    with pytest.raises(ConfigurationError, match="too short") as caught:
        seal({}, KeyRing([Key("k", b"guess me")]), "posts", LATER, now=NOW)
    assert "guess me" not in str(caught.value)


def test_without_a_valid_key_nothing_is_sealed():
    with pytest.raises(LookupError):
        seal({}, KeyRing([]), "posts", LATER, now=NOW)


# -- the plain form ------------------------------------------------------------


def test_the_plain_form_is_that_of_django_proxy_server():
    """It was one text of all parameters, which its services cannot read."""
    params = {"username": "proxy_server_admin"}
    url = service_url("/get_user", encode_plain(params))
    assert url == "/get_user?username=cHJveHlfc2VydmVyX2FkbWlu"
    request = Request.blank(f"{url}&name=YQ==&name=w6Q")
    found = [*params.items(), ("name", "a"), ("name", "\xe4")]
    assert decode_plain(request.GET) == found
    assert decode_plain(encode_plain({"a": ["1", 2], "b": 3})) == [
        ("a", "1"),
        ("a", "2"),
        ("b", "3"),
    ]


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_the_plain_form_there_and_back(params):
    assert decode_plain(encode_plain(params)) == params


@given(st.text() | st.text("ABCbm0-_="))
@example("gA")
@example("\ud800")
def test_the_plain_form_is_read_or_refused(text):
    try:
        ((_, value),) = decode_plain([("name", text)])
        assert isinstance(value, str)
    except InvalidToken as refused:
        assert refused.reason == "malformed"


def test_the_plain_form_has_a_limit():
    with pytest.raises(InvalidToken) as caught:
        decode_plain({"name": "A" * 5000})
    assert caught.value.reason == "too-large"
