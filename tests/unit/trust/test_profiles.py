"""The fields of the profiles, byte by byte."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import datetime, timezone

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.profiles import (
    BodyProfile,
    RequestProfile,
    WebhookProfile,
    webhook_secret,
)
from pyramid_restproxy.trust.refusals import Unauthenticated
from pyramid_restproxy.trust.signing import sign, verify
from pyramid_restproxy.trust.store import StoreNonces

from .conftest import NOW

NONCE = "Pq2vC1sYc0mF9o6TnH3uLw"


def reason_of(profile, parts, fields, keys, body=(), now=NOW):
    with pytest.raises(Unauthenticated) as caught:
        came = replace(parts, fields=[*parts.fields, *fields])
        verify(profile, came, body, keys, now)
    return caught.value.reason


# -- body ----------------------------------------------------------------------


def test_the_body_profile_is_what_anybody_can_make(parts):
    """The scheme of the shared secret: base64 of the HMAC-SHA256 of the body."""
    secret, body = b"shared-secret", b'{"name": "ann"}'
    made = base64.b64encode(hmac.new(secret, body, hashlib.sha256).digest()).decode()
    ring = KeyRing([Key("app", secret)])
    assert sign(BodyProfile(), parts, [body], ring, NOW) == [("X-MY-APP-HMAC", made)]
    came = replace(parts, fields=[("x-my-app-hmac", made)])
    assert verify(BodyProfile(), came, [body], ring, NOW).key_id == "app"


def test_the_field_of_the_body_profile_has_any_name(parts, keys):
    profile = BodyProfile("X-Hub")
    assert sign(profile, parts, [], keys, NOW)[0][0] == "X-Hub"


@pytest.mark.parametrize("value", ["no base64", "AB==", "é", "AAAA, AAAA"])
def test_a_malformed_hmac_is_refused(parts, keys, value):
    fields = [("X-MY-APP-HMAC", value)]
    assert reason_of(BodyProfile(), parts, fields, keys) == "malformed"


# -- request -------------------------------------------------------------------


def test_the_request_profile_is_what_anybody_can_make(parts, keys):
    digest = base64.b64encode(hashlib.sha256(b"{}").digest()).decode()
    text = "\n".join(
        [
            "restproxy-hmac-v1",
            "key: new",
            f"created: {NOW}",
            f"nonce: {NONCE}",
            "method: POST",
            "target: /api/orders?dry=1",
            "covered: host content-type content-digest",
            "host: api.example.com",
            "content-type: application/json",
            f"content-digest: sha-256=:{digest}:",
        ]
    )
    made = hmac.new(b"n" * 32, text.encode(), hashlib.sha256).digest()
    value = (
        f"key=new; created={NOW}; nonce={NONCE}; "
        'covered="host content-type content-digest"; '
        f"signature=:{base64.b64encode(made).decode()}:"
    )
    assert sign(RequestProfile(), parts, [b"{}"], keys, NOW + 0.9, NONCE) == [
        ("Content-Digest", f"sha-256=:{digest}:"),
        ("X-Signature", value),
    ]


@pytest.mark.parametrize("options", [{"nonce": "short"}, {"covered": ("Host",)}])
def test_what_could_not_be_verified_is_not_signed(parts, keys, options):
    nonce = options.pop("nonce", NONCE)
    with pytest.raises(ValueError, match="malformed"):
        sign(RequestProfile(**options), parts, [], keys, NOW, nonce)


def test_a_field_that_must_be_covered_must_be_covered(parts, keys):
    fields = sign(RequestProfile(("host",)), parts, [], keys, NOW)
    assert reason_of(RequestProfile(), parts, fields, keys) == "malformed"


def test_more_may_be_covered_than_must_be(parts, keys):
    profile = RequestProfile(("host", "content-type", "date"))
    fields = sign(profile, parts, [], keys, NOW)
    came = replace(parts, fields=[*parts.fields, *fields])
    assert verify(RequestProfile(), came, [], keys, NOW)
    other = came.having(("Date", "tomorrow"))
    with pytest.raises(Unauthenticated):
        verify(RequestProfile(), other, [], keys, NOW)


def test_a_covered_field_cannot_be_added_on_the_way(parts, keys):
    profile = RequestProfile(("host", "content-type", "x-role"))
    fields = sign(profile, parts, [], keys, NOW)
    fields.append(("X-Role", "admin"))
    assert reason_of(profile, parts, fields, keys) == "signature"


def test_an_unknown_key_is_refused_before_the_body_is_read(parts, keys):
    fields = sign(RequestProfile(), parts, [], KeyRing([Key("who", b"x")]), NOW)
    body = iter([b"unread"])
    assert reason_of(RequestProfile(), parts, fields, keys, body) == "unknown-key"
    assert list(body) == [b"unread"]


@pytest.mark.parametrize(
    "old, new",
    [
        ("key=new", "key=n w"),
        ("created=", "created=0"),
        ("; nonce", ";nonce"),
        ("signature=:", "signature="),
        ("content-digest", "content-type"),
    ],
)
def test_a_malformed_signature_is_refused(parts, keys, old, new):
    digest, (name, value) = sign(RequestProfile(), parts, [], keys, NOW)
    fields = [digest, (name, value.replace(old, new))]
    assert reason_of(RequestProfile(), parts, fields, keys) == "malformed"


def test_a_signature_has_one_text_for_the_same_bytes(parts, keys):
    digest, (name, value) = sign(RequestProfile(), parts, [], keys, NOW)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = value[-3]
    for other in letters[letters.index(last) + 1 :][:3]:
        fields = [digest, (name, f"{value[:-3]}{other}=:")]
        assert reason_of(RequestProfile(), parts, fields, keys) == "malformed"


def test_a_request_that_cannot_be_one_line_is_refused(parts, keys):
    fields = sign(RequestProfile(), parts, [], keys, NOW)
    broken = replace(parts, method="PO\nST")
    assert reason_of(RequestProfile(), broken, fields, keys) == "malformed"


def test_the_digest_of_another_body_is_refused(parts, keys):
    digest, signature = sign(RequestProfile(), parts, [b"a"], keys, NOW)
    fields = [digest, signature]
    assert reason_of(RequestProfile(), parts, fields, keys, [b"b"]) == "digest"
    without = [signature]
    assert reason_of(RequestProfile(), parts, without, keys, [b"a"]) == "signature"


# -- webhook -------------------------------------------------------------------

#: The example that the libraries of Standard Webhooks are tested with.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EXAMPLE = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
]
PAYLOAD = b'{"test": 2432232314}'
RING = KeyRing([Key("hook", webhook_secret(SECRET))])


def test_the_published_example_verifies(parts):
    came = replace(parts, fields=EXAMPLE)
    found = verify(WebhookProfile(), came, [PAYLOAD], RING, 1614265330)
    assert found.nonce == "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330"


def test_the_published_example_is_what_we_make(parts):
    named = replace(parts, fields=EXAMPLE[:1])
    assert sign(WebhookProfile(), named, [PAYLOAD], RING, 1614265330) == EXAMPLE


def test_another_implementation_understands_us_and_we_it(parts):
    other = standardwebhooks.Webhook(SECRET)
    now = int(datetime.now(timezone.utc).timestamp())
    fields = dict(sign(WebhookProfile(), parts, [PAYLOAD], RING, now))
    assert other.verify(PAYLOAD, fields) == {"test": 2432232314}
    at = datetime.fromtimestamp(now, timezone.utc)
    fields["webhook-signature"] = other.sign("msg_1", at, PAYLOAD.decode())
    fields["webhook-id"] = "msg_1"
    came = replace(parts, fields=list(fields.items()))
    assert verify(WebhookProfile(), came, [PAYLOAD], RING, now)


def test_one_of_several_signatures_is_enough(parts):
    value = f"v1a,xyz v1,AAAA {EXAMPLE[2][1]}"
    came = replace(parts, fields=[*EXAMPLE[:2], ("webhook-signature", value)])
    assert verify(WebhookProfile(), came, [PAYLOAD], RING, 1614265330)


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("webhook-id", "a.b", "malformed"),
        ("webhook-id", "", "missing"),
        ("webhook-timestamp", "1614265330.5", "malformed"),
        ("webhook-timestamp", "soon", "malformed"),
        ("webhook-signature", "v1,x", "malformed"),
        ("webhook-signature", "v2,AAAA", "signature"),
        ("webhook-signature", " ".join(["v1,AAAA"] * 17), "malformed"),
    ],
)
def test_a_malformed_webhook_is_refused(parts, name, value, reason):
    fields = list({**dict(EXAMPLE), name: value}.items())
    now = 1614265330
    assert reason_of(WebhookProfile(), parts, fields, RING, [PAYLOAD], now) == reason


def test_a_webhook_that_is_signed_with_two_keys_comes_once(parts):
    """Each signature of a key rotation let the same message pass once."""
    keys = KeyRing([Key("old", b"o" * 32), Key("new", b"n" * 32)])
    values = [
        sign(WebhookProfile(), parts, [PAYLOAD], KeyRing([key]), NOW, "n" * 22)
        for key in keys.valid(NOW)
    ]
    both = " ".join(fields[2][1] for fields in values)
    came = [
        replace(parts, fields=[*values[0][:2], ("webhook-signature", value)])
        for value in (both, both, values[1][2][1], values[0][2][1])
    ]
    nonces = StoreNonces(MemoryStore())
    verify(WebhookProfile(), came[0], [PAYLOAD], keys, NOW, nonces=nonces)
    for again in came[1:]:
        with pytest.raises(Unauthenticated) as caught:
            verify(WebhookProfile(), again, [PAYLOAD], keys, NOW, nonces=nonces)
        assert caught.value.reason == "replay"


def test_a_webhook_id_with_a_dot_is_not_signed(parts):
    named = replace(parts, fields=[("webhook-id", "a.b")])
    with pytest.raises(ValueError, match="webhook id"):
        sign(WebhookProfile(), named, [], RING, NOW)


@given(st.text() | st.text("whsec_+/=ABC"))
def test_a_secret_is_read_or_refused(text):
    try:
        assert webhook_secret(text)
    except ConfigurationError as error:
        assert error.__cause__ is None
        assert "whsec_" in str(error)


@pytest.mark.parametrize("text", ["", "whsec_", "QUFB", "x_whsec_QUFB", "whsec_no!"])
def test_another_secret_is_refused(text):
    with pytest.raises(ConfigurationError):
        webhook_secret(text)
