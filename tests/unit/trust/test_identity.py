"""Who somebody is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.trust.identity import (
    Identity,
    active_user,
    identity_of,
    is_time,
    is_token,
    restored,
    seconds_of,
    user_by_email,
)

ANN = Identity("ann", ("read", "write"), {"team": "red"}, 1_790_000_000.0, "t0ken")


def test_what_a_backend_says():
    data = {
        "user": "ann",
        "permissions": ["read", "write"],
        "claims": {"team": "red"},
        "expires": 1_790_000_000,
        "token": "t0ken",
        "more": "is left alone",
    }
    assert identity_of(data) == ANN


def test_the_least():
    assert identity_of({"user": 7}) == Identity("7")


def test_the_older_form():
    data = {
        "user-token": "t0ken",
        "expiration-date": "2026-09-21T14:13:20Z",
        "response": {
            "user": "ann",
            "permissions": ["read", "write"],
            "claims": {"team": "red"},
        },
    }
    assert identity_of(data) == ANN


@pytest.mark.parametrize("around", [{}, {"user-token": "t0ken"}])
@pytest.mark.parametrize("active", [False, None, 0, "false", []])
def test_who_is_not_active_is_nobody(active, around):
    """Whoever had been locked out at the backend was logged in all the same."""
    told = {"email": "ann@x", "name": "Ann", "is_active": active, "user": "ann"}
    data = {**around, "response": told} if around else told
    assert active_user(data) is None
    assert user_by_email(data) is None


def test_who_is_active():
    assert active_user({"user": "ann"}) == Identity("ann")
    assert (
        active_user({"response": {"user": "ann", "is_active": True}}).user_id == "ann"
    )


def test_the_login_of_django_proxy_server():
    """No login service of that form could be asked: there was no ``user``."""
    data = {
        "user-token": "t0ken",
        "expiration-date": "2026-09-21 14:13:20",
        "response": {
            "email": "ann@x",
            "name": "Ann",
            "is_active": True,
            "permissions": ["read", "write"],
            "token": "is no token",
        },
    }
    claims = {"email": "ann@x", "name": "Ann", "token": "is no token"}
    whole = Identity("ann@x", ("read", "write"), claims, 1_790_000_000.0, "t0ken")
    assert user_by_email(data) == whole
    assert user_by_email(data["response"]).token is None


@pytest.mark.parametrize("missing", ["email", "name", "is_active"])
def test_a_login_that_says_too_little(missing):
    told = {"email": "ann@x", "name": "Ann", "is_active": True}
    del told[missing]
    with pytest.raises(ValueError):
        user_by_email({"response": told})


@pytest.mark.parametrize("data", [None, [], "ann", {"response": [1]}])
@pytest.mark.parametrize("read", [active_user, user_by_email])
def test_what_says_nothing_of_a_user(read, data):
    with pytest.raises(ValueError):
        read(data)


def test_what_is_stored_comes_back():
    ended = Identity("ann", expires=0.0)
    for identity in (ANN, Identity("ann"), ended):
        stored = json.loads(json.dumps(identity.stored()))
        assert identity_of(stored) == restored(stored) == identity
    assert Identity("ann").stored() == {"user": "ann"}


@pytest.mark.parametrize("data", [None, [], "ann", {}, {"user": 1}, {"user": None}])
def test_what_was_not_stored(data):
    with pytest.raises(ValueError):
        restored(data)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "ann",
        b"ann",
        {},
        {"user": ""},
        {"user": None},
        {"user": True},
        {"user": 1.5},
        {"user": ["ann"]},
        {"user": "ann", "permissions": "admin"},
        {"user": "ann", "permissions": [1]},
        {"user": "ann", "claims": []},
        {"user": "ann", "expires": "soon"},
        {"user": "ann", "expires": True},
        {"user": "ann", "expires": float("nan")},
        {"user": "ann", "expires": float("inf")},
        {"user": "ann", "expires": -1},
        {"user": "ann", "expires": 10**400},
        {"user": "ann", "token": ""},
        {"user": "ann", "token": 7},
        {"user": "ann", "token": "a b"},
        {"user": "ann", "token": "a\r\nSet-Cookie: x=y"},
        {"user": "ann", "token": "x" * 8193},
    ],
)
def test_what_is_no_identity(data):
    with pytest.raises(ValueError):
        identity_of(data)


@given(st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists))
def test_nothing_else_happens(value):
    for name in ("user", "permissions", "claims", "expires", "token"):
        try:
            identity_of({"user": "ann", name: value})
        except ValueError:
            pass


def test_secrets_are_not_shown():
    assert "t0ken" not in repr(ANN) and "red" not in repr(ANN)
    assert "ann" in repr(ANN)
    assert hash(ANN)


def test_until_when():
    assert ANN.is_valid(1_789_999_999)
    assert not ANN.is_valid(1_790_000_000)
    assert Identity("ann").is_valid(9e9)


@pytest.mark.parametrize(
    "value, seconds",
    [
        (None, None),
        (0, 0.0),
        (1.5, 1.5),
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T00:01:00z", 60.0),
        ("1970-01-01T01:01:00+01:00", 60.0),
        ("1970-01-01 00:01:00", 60.0),
        ("1970-01-02", 86400.0),
        ("1970-01-01T00:01", 60.0),
    ],
)
def test_times(value, seconds):
    assert seconds_of(value) == seconds


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("2027-06-30T00:00:00.5Z", 1814313600.5),
        ("2027-06-30T00:00:00.25z", 1814313600.25),
        ("2027-06-30t02:00:00.123+02:00", 1814313600.123),
        ("2027-06-30T00:00:00.123456789Z", 1814313600.123456),
        ("2026-12-31T23:59:60Z", 1798761600.0),
        ("2026-12-31T23:59:60.5Z", 1798761600.5),
    ],
)
def test_times_of_rfc_3339_on_all_versions_of_python(text, seconds):
    """3.10 read no fraction but of three or six digits."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "2027-06-31", "2027-06-30T24:00:00Z", "2027-06-30T00:00:61Z"),
        *("2027-06-30T00:00:00,5Z", "20270630T000000Z", "2027-W26-3", "2027-06-30Z"),
        *("2027-06-30T00:00:00.Z", "2027-06-30T00:00:00+0000", "\u0662027-06-30"),
        *("2027-06-30T00:00:00+24:00", "2027-06-30T00:00:00Z\n", "1e9"),
    ],
)
def test_what_is_no_time_on_any_version_of_python(text):
    with pytest.raises(ValueError):
        seconds_of(text)


def test_what_is_a_time_and_a_token():
    assert is_time(1) and not is_time("1") and not is_time(False)
    assert is_token("a.b-c_d=") and not is_token(None) and not is_token("a\x00")
