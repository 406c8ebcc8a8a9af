"""Signing and verifying, with every profile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.digests import content_digest
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import (
    BodyProfile,
    RequestProfile,
    WebhookProfile,
)
from pyramid_restproxy.trust.refusals import (
    BodyTooLarge,
    StoreUnavailable,
    Unauthenticated,
)
from pyramid_restproxy.trust.rfc9421 import MessageProfile
from pyramid_restproxy.trust.signing import (
    Moment,
    Signed,
    check_body,
    sign,
    signature,
    verify,
)

from .conftest import NOW, BrokenNonces, Nonces

BODY = [b'{"a":', b"1}"]
DATED = [RequestProfile(), WebhookProfile(), MessageProfile()]
ALL = [BodyProfile(), *DATED]


def name_of(profile):
    return profile.name


def signed_parts(profile, parts, keys, body=BODY, now=NOW):
    fields = sign(profile, parts, body, keys, now)
    return replace(parts, fields=[*parts.fields, *fields])


def reason_of(profile, parts, keys, body=BODY, now=NOW, **options):
    with pytest.raises(Unauthenticated) as caught:
        verify(profile, parts, body, keys, now, **options)
    return caught.value.reason


@pytest.mark.parametrize("profile", ALL, ids=name_of)
class TestEveryProfile:
    def test_what_is_signed_verifies(self, profile, parts, keys, nonces):
        signed = signed_parts(profile, parts, keys)
        found = verify(profile, signed, [b"".join(BODY)], keys, NOW, nonces=nonces)
        assert found.key_id == "new"
        assert found.created == (NOW if profile.replay_safe else None)

    def test_a_request_without_signature_is_refused(self, profile, parts, keys):
        assert reason_of(profile, parts, keys) == "missing"

    def test_an_altered_body_is_refused(self, profile, parts, keys):
        signed = signed_parts(profile, parts, keys)
        reason = reason_of(profile, signed, keys, [b'{"a":2}'])
        assert reason in ("digest", "signature")

    def test_a_signature_of_another_key_is_refused(self, profile, parts, keys):
        other = KeyRing([Key("new", b"another secret of 32 bytes here!")])
        signed = signed_parts(profile, parts, other)
        assert reason_of(profile, signed, keys) == "signature"

    def test_old_and_new_key_are_good_together(self, profile, parts, keys):
        signed = signed_parts(profile, parts, KeyRing([keys.get("old")]))
        assert verify(profile, signed, BODY, keys, NOW).key_id == "old"

    def test_a_key_that_has_ended_is_refused(self, profile, parts, keys):
        signed = signed_parts(profile, parts, KeyRing([Key("old", b"o" * 32)]))
        later = NOW + 1001
        reason = reason_of(profile, signed, keys, now=later, window=5000)
        # without a key id it is one of those that are not tried
        named = isinstance(profile, (RequestProfile, MessageProfile))
        assert reason == ("expired" if named else "signature")

    def test_a_body_over_the_limit_is_not_read(self, profile, parts, keys):
        signed = signed_parts(profile, parts, keys)
        with pytest.raises(BodyTooLarge):
            verify(profile, signed, BODY, keys, NOW, max_body=6)

    def test_every_refusal_says_the_same(self, profile, parts, keys):
        other = signed_parts(profile, parts, keys, [b"other"])
        details = set()
        for each in (parts, other):
            with pytest.raises(Unauthenticated) as caught:
                verify(profile, each, BODY, keys, NOW)
            details.add(caught.value.detail)
            assert caught.value.headers["WWW-Authenticate"]
        assert len(details) == 1

    def test_an_empty_body_can_be_signed(self, profile, parts, keys):
        signed = signed_parts(profile, parts, keys, [])
        assert verify(profile, signed, [], keys, NOW).key_id == "new"
        assert reason_of(profile, signed, keys, [b"x"]) in ("digest", "signature")


@pytest.mark.parametrize("profile", DATED, ids=name_of)
class TestEveryDatedProfile:
    @pytest.mark.parametrize("away", [-300, 300])
    def test_a_date_inside_the_window_is_good(self, profile, parts, keys, away):
        signed = signed_parts(profile, parts, keys)
        assert verify(profile, signed, BODY, keys, NOW + away)

    @pytest.mark.parametrize("away", [-301, 301])
    def test_a_date_outside_the_window_is_refused(self, profile, parts, keys, away):
        signed = signed_parts(profile, parts, keys)
        unread = iter(BODY)
        assert reason_of(profile, signed, keys, unread, NOW + away) == "skew"
        assert list(unread) == BODY

    def test_the_same_request_twice_is_refused(self, profile, parts, keys, nonces):
        signed = signed_parts(profile, parts, keys)
        verify(profile, signed, BODY, keys, NOW, nonces=nonces)
        assert reason_of(profile, signed, keys, nonces=nonces) == "replay"
        assert min(nonces.ttl.values()) >= 600

    def test_two_requests_are_not_the_same(self, profile, parts, keys, nonces):
        for _ in range(2):
            signed = signed_parts(profile, parts, keys)
            verify(profile, signed, BODY, keys, NOW, nonces=nonces)
        assert len(nonces.ttl) == 2

    def test_a_forged_request_is_not_remembered(self, profile, parts, keys, nonces):
        signed = signed_parts(profile, parts, keys)
        reason_of(profile, signed, keys, [b"forged"], nonces=nonces)
        assert nonces.ttl == {}

    def test_without_the_store_nobody_passes(self, profile, parts, keys):
        signed = signed_parts(profile, parts, keys)
        with pytest.raises(StoreUnavailable):
            verify(profile, signed, BODY, keys, NOW, nonces=BrokenNonces())


@pytest.mark.parametrize("profile", [RequestProfile(), MessageProfile()], ids=name_of)
@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/api/other"},
        {"query": "dry=0"},
        {"query": ""},
        {"authority": "other.example"},
    ],
    ids=str,
)
def test_a_request_for_something_else_is_refused(profile, change, parts, keys):
    signed = replace(signed_parts(profile, parts, keys), **change)
    assert reason_of(profile, signed, keys) == "signature"


@pytest.mark.parametrize("profile", [RequestProfile(), MessageProfile()], ids=name_of)
def test_another_media_type_is_refused_and_the_order_is_free(profile, parts, keys):
    signed = signed_parts(profile, parts, keys)
    backwards = replace(signed, fields=signed.fields[::-1])
    assert verify(profile, backwards, BODY, keys, NOW)
    altered = signed.having(("Content-Type", "text/html"))
    assert reason_of(profile, altered, keys) == "signature"


def test_a_body_profile_has_no_nonce_to_remember(parts, keys, nonces):
    signed = signed_parts(BodyProfile(), parts, keys)
    assert verify(BodyProfile(), signed, BODY, keys, NOW, nonces=nonces)
    assert nonces.ttl == {}


class Nameless:
    """A profile that forgets its nonce."""

    name = "nameless"
    replay_safe = True

    def sign(self, parts, pieces, key, created, nonce):
        return []

    def check(self, parts, pieces, keys, at):
        return Signed("new", NOW, None)


def test_a_dated_signature_without_nonce_is_refused(parts, keys, nonces):
    assert reason_of(Nameless(), parts, keys, nonces=nonces) == "malformed"
    assert verify(Nameless(), parts, [], keys, NOW).key_id == "new"


def test_a_signature_ends_when_it_says_so():
    Moment(100).check(90, 100)
    with pytest.raises(Unauthenticated) as caught:
        Moment(100).check(90, 99)
    assert caught.value.reason == "expired"


def test_nothing_is_signed_without_a_valid_key(parts):
    with pytest.raises(LookupError):
        sign(RequestProfile(), parts, BODY, KeyRing([]), NOW)


@pytest.mark.parametrize(
    "value, body, reason",
    [
        (None, [b"", b"x"], "digest"),
        ("sha-256", [], "malformed"),
        (content_digest([b"a"]), [b"b"], "digest"),
        (content_digest([b"a"], "sha-512"), [b"b"], "digest"),
        ("md5=:AAAA:", [], "digest"),
    ],
)
def test_a_body_that_does_not_fit_its_digest(value, body, reason):
    with pytest.raises(Unauthenticated) as caught:
        check_body(value, body)
    assert caught.value.reason == reason


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_a_body_that_fits_its_digest(algorithm):
    check_body(content_digest([b"ab"], algorithm), [b"a", b"b"])
    check_body(f"md5=:AAAA:, {content_digest([b'ab'], algorithm)}", [b"a", b"b"])


def test_no_body_needs_no_digest():
    check_body(None, [b""])


def test_the_hmac_of_rfc_4231_case_2():
    made = signature(Key("k", b"Jefe"), [b"what do ya want ", b"for nothing?"])
    assert made.hex().startswith("5bdcc146bf60754e6a042426089575c7")


FUZZ = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@pytest.mark.parametrize("profile", ALL, ids=name_of)
@FUZZ
@given(data=st.data())
def test_any_altered_character_is_refused(profile, data, parts, keys):
    signed = signed_parts(profile, parts, keys)
    index = data.draw(st.integers(len(parts.fields), len(signed.fields) - 1))
    name, value = signed.fields[index]
    at = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.characters(max_codepoint=0xFF))
    altered = value[:at] + other + value[at + 1 :]
    try:
        verify(profile, signed.having((name, altered)), BODY, keys, NOW)
    except Unauthenticated:
        return
    assert value == altered.strip(" \t")


@pytest.mark.parametrize("profile", ALL, ids=name_of)
@FUZZ
@given(data=st.data())
def test_whatever_comes_is_refused_and_nothing_else(profile, data, parts, keys):
    names = [name for name, _ in sign(profile, parts, BODY, keys, NOW)]
    text = st.text(st.characters(max_codepoint=0xFF), max_size=60)
    likely = st.text('()=:;"@-,. v1sigkeycreatednonce0123456789', max_size=60)
    fields = [(name, data.draw(text | likely)) for name in names]
    with pytest.raises(Unauthenticated):
        verify(profile, replace(parts, fields=fields), BODY, keys, NOW)


def test_the_request_of_another_route_is_refused(keys):
    """S13: a signature is not good for another path, nor on another day."""
    profile = RequestProfile()
    parts = RequestParts("POST", "http", "gw", "/api/x", "", [])
    signed = signed_parts(profile, parts, keys, [b"hi"])
    other = replace(signed, path="/api/other")
    assert reason_of(profile, other, keys, [b"hi"]) == "signature"
    assert reason_of(profile, signed, keys, [b"hi"], NOW + 86400) == "skew"


def test_a_nonce_is_known_by_profile_and_key(parts, keys):
    nonces = Nonces()
    for ring in (keys, KeyRing([keys.get("old")])):
        fields = sign(RequestProfile(), parts, BODY, ring, NOW, "n" * 16)
        signed = replace(parts, fields=[*parts.fields, *fields])
        verify(RequestProfile(), signed, BODY, keys, NOW, nonces=nonces)
    assert set(nonces.ttl) == {"request:new:" + "n" * 16, "request:old:" + "n" * 16}
