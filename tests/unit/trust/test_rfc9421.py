"""HTTP message signatures: the example of the RFC, and its rules."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime, timezone

import http_message_signatures as reference
import pytest
from requests import Request

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.digests import from_base64, to_base64
from pyramid_restproxy.trust.hmac_auth import prepared_parts
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.refusals import Unauthenticated
from pyramid_restproxy.trust.rfc9421 import MessageProfile, signature_base
from pyramid_restproxy.trust.signing import sign, signature, verify

from .conftest import NOW

# -- appendix B.2.5 ------------------------------------------------------------

SHARED = Key(
    "test-shared-secret",
    from_base64(
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8j"
        "sasjlTMtDQ=="
    ),
)
CREATED = 1618884473
TEST_REQUEST = RequestParts(
    "POST",
    "https",
    "example.com",
    "/foo",
    "param=Value&Pet=dog",
    [
        ("Host", "example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Length", "18"),
    ],
)
COVERED = ("date", "@authority", "content-type")
PARAMETERS = (
    '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
)
SIGNATURE = "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="
SIGNED = replace(
    TEST_REQUEST,
    fields=[
        *TEST_REQUEST.fields,
        ("Signature-Input", f"sig-b25={PARAMETERS}"),
        ("Signature", f"sig-b25=:{SIGNATURE}:"),
    ],
)


def test_the_signature_of_b_2_5_is_what_we_make():
    base, parameters = signature_base(TEST_REQUEST, COVERED, SHARED.id, CREATED)
    assert parameters == PARAMETERS
    assert base.decode() == (
        '"date": Tue, 20 Apr 2021 02:07:55 GMT\n'
        '"@authority": example.com\n'
        '"content-type": application/json\n'
        f'"@signature-params": {PARAMETERS}'
    )
    assert to_base64(signature(SHARED, [base])) == SIGNATURE


def test_the_signature_of_b_2_5_holds():
    profile = MessageProfile(COVERED)
    found = verify(profile, SIGNED, [], KeyRing([SHARED]), CREATED)
    assert found.key_id == "test-shared-secret"
    assert found.created == CREATED
    assert found.covered == {"date", "content-type"}  # the fields among them


def test_the_body_of_b_2_5_is_not_signed_so_it_is_refused():
    body = [b'{"hello": "world"}']
    assert reason_of(SIGNED, KeyRing([SHARED]), body, MessageProfile(COVERED)) == (
        "digest"
    )


# -- rules ---------------------------------------------------------------------


def reason_of(parts, keys, body=(), profile=None, now=CREATED, **options):
    with pytest.raises(Unauthenticated) as caught:
        verify(profile or MessageProfile(), parts, body, keys, now, **options)
    return caught.value.reason


def signed(parts, keys, profile=None, body=()):
    fields = sign(profile or MessageProfile(), parts, body, keys, NOW)
    return replace(parts, fields=[*parts.fields, *fields])


def test_what_must_be_covered_must_be_covered():
    assert reason_of(SIGNED, KeyRing([SHARED])) == "malformed"


def test_a_field_that_is_not_there_need_not_be_covered(parts, keys):
    bare = signed(replace(parts, fields=[]), keys)
    assert verify(MessageProfile(), bare, [], keys, NOW)
    # make sure that it cannot be added on the way
    added = replace(bare, fields=[*bare.fields, ("Content-Type", "text/html")])
    assert reason_of(added, keys, now=NOW) == "malformed"


ODD = '/a|b"c'
TARGETS = ["@path", "@query", "@request-target", "@target-uri"]


def test_a_target_is_signed_as_it_is_sent():
    """RFC 9421 section 2.2: not one character of it is another one."""
    query = "filter[a]={x}&q=%5b|^\\`<>#%zz%"
    parts = RequestParts("GET", "https", "h:8443", ODD, query, [])
    base, _ = signature_base(parts, TARGETS, "k", CREATED)
    assert base.decode().split("\n")[:4] == [
        f'"@path": {ODD}',
        f'"@query": ?{query}',
        f'"@request-target": {ODD}?{query}',
        f'"@target-uri": https://h:8443{ODD}?{query}',
    ]


def test_a_target_without_path_and_query():
    parts = RequestParts("GET", "https", "h", "", "", [])
    base, _ = signature_base(parts, TARGETS, "k", CREATED)
    assert base.decode().split("\n")[:4] == [
        '"@path": /',
        '"@query": ?',
        '"@request-target": /',
        '"@target-uri": https://h/',
    ]


def test_a_target_with_an_empty_query():
    """RFC 9421 section 2.2.7: in @query alone it is the same as none."""
    parts = RequestParts("GET", "https", "h", "/x", "", [], empty_query=True)
    base, _ = signature_base(parts, TARGETS, "k", CREATED)
    assert base.decode().split("\n")[:4] == [
        '"@path": /x',
        '"@query": ?',
        '"@request-target": /x?',
        '"@target-uri": https://h/x?',
    ]


@pytest.mark.parametrize("sent", ["filter[a]=%7bx%7d", "filter%5Ba%5D={x}"])
def test_a_parameter_of_the_query_is_signed_decoded_and_encoded_anew(sent):
    """RFC 9421 section 2.2.8."""
    parts = RequestParts("GET", "https", "h", "/", sent, [])
    name = '"@query-param";name="filter%5Ba%5D"'
    base, _ = signature_base(parts, [name], "k", CREATED)
    assert base.decode().split("\n")[0] == f"{name}: %7Bx%7D"


def test_another_spelling_of_a_target_is_another_target(parts, keys):
    made = signed(replace(parts, query="filter[a]=1"), keys)
    assert verify(MessageProfile(), made, [], keys, NOW)
    other = replace(made, query="filter%5Ba%5D=1")
    assert reason_of(other, keys, now=NOW) == "signature"


@pytest.mark.parametrize(
    "odd", ["a b", "a\n", "a\r", "a\x00", "\xe9", "\x7f", "\u20ac"]
)
@pytest.mark.parametrize("name", ["path", "query"])
def test_a_target_that_could_be_read_in_two_ways_is_not_signed(parts, name, odd):
    with pytest.raises(ValueError, match="cannot be signed"):
        signature_base(replace(parts, **{name: f"/{odd}"}), ["@method"], "k", CREATED)


def test_an_unknown_and_an_ended_key_are_refused(parts, keys):
    other = KeyRing([Key("who", b"x" * 32)])
    assert reason_of(signed(parts, other), keys, now=NOW) == "unknown-key"
    ended = KeyRing([Key("who", b"x" * 32, NOW - 1)])
    assert reason_of(signed(parts, other), ended, now=NOW) == "expired"


def test_a_tag_keeps_signatures_of_several_purposes_apart(parts, keys):
    profile = MessageProfile(tag="gateway")
    both = signed(parts, keys, profile)
    assert 'tag="gateway"' in both.value("signature-input")
    assert verify(profile, both, [], keys, NOW)
    assert reason_of(signed(parts, keys), keys, profile=profile, now=NOW) == (
        "malformed"
    )


def test_one_of_several_signatures_is_found_by_its_tag(parts, keys):
    profile = MessageProfile(tag="gateway")
    ours = signed(parts, keys, profile)
    input_, made = ours.value("signature-input"), ours.value("signature")
    both = ours.having(("Signature-Input", f'{input_}, other=("date");created=1'))
    both = both.having(("Signature", f"{made}, other=:AAAA:"))
    assert verify(profile, both, [], keys, NOW)
    assert reason_of(both, keys, now=NOW) == "malformed"
    twice = ours.having(("Signature-Input", f"{input_}, {input_.replace('1=', '2=')}"))
    twice = twice.having(("Signature", f"{made}, {made.replace('1=', '2=')}"))
    assert reason_of(twice, keys, profile=profile, now=NOW) == "malformed"


def test_expires_is_kept(parts, keys):
    message = Request("GET", "http://h/x").prepare()
    signer = reference.HTTPMessageSigner(
        signature_algorithm=reference.algorithms.HMAC_SHA256,
        key_resolver=reference.resolvers.MappingKeyResolver(
            public_keys={}, private_keys={"new": b"n" * 32}
        ),
    )
    signer.sign(
        message,
        key_id="new",
        created=datetime.fromtimestamp(NOW, timezone.utc),
        expires=datetime.fromtimestamp(NOW + 10, timezone.utc),
        covered_component_ids=("@method", "@authority", "@path", "@query"),
    )
    came = prepared_parts(message)
    assert verify(MessageProfile(), came, [], keys, NOW + 10).nonce is None
    assert reason_of(came, keys, now=NOW + 11) == "expired"


def test_another_implementation_understands_us(keys):
    message = Request("POST", "http://h/x?a=1", json={"a": 1}).prepare()
    for name, value in sign(
        MessageProfile(), prepared_parts(message), [message.body], keys, NOW
    ):
        message.headers[name] = value
    verifier = reference.HTTPMessageVerifier(
        signature_algorithm=reference.algorithms.HMAC_SHA256,
        key_resolver=reference.resolvers.MappingKeyResolver(
            public_keys={"new": b"n" * 32}, private_keys={}
        ),
    )
    verifier.max_clock_skew *= 10**8  # its clock is not ours
    found = verifier.verify(message, body=message.body, max_age=None)
    assert found[0].body == message.body


def test_without_a_nonce_there_is_no_replay_protection(keys, nonces):
    profile = MessageProfile(COVERED)
    ring = KeyRing([SHARED])
    assert reason_of(SIGNED, ring, profile=profile, nonces=nonces) == "malformed"


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("Signature", "", "missing"),
        ("Signature-Input", "", "missing"),
        ("Signature", "sig-b25=:%%%:", "malformed"),
        ("Signature", f"sig-b25=:{SIGNATURE.replace('8=', '9=')}:", "malformed"),
        ("Signature", "sig-b25=?1", "malformed"),
        ("Signature", "x" * 8193, "malformed"),
        ("Signature-Input", "x" * 8193, "malformed"),
        ("Signature-Input", 'sig-b25=("@nothing")', "malformed"),
        ("Signature-Input", PARAMETERS, "malformed"),
        ("Signature-Input", f'sig-b25={PARAMETERS};alg="ed25519"', "malformed"),
        ("Signature-Input", f'sig-b25={PARAMETERS};nonce="x"', "signature"),
        ("Signature-Input", 'sig-b25=("date");keyid="test-shared-secret"', "malformed"),
    ],
)
def test_a_malformed_signature_is_refused(name, value, reason):
    came = SIGNED.having((name, value))
    profile = MessageProfile(COVERED)
    assert reason_of(came, KeyRing([SHARED]), profile=profile) == reason


@pytest.mark.parametrize("component", ["x-none", "@status", "Date"])
def test_what_cannot_be_covered_is_not_signed(component):
    with pytest.raises(ValueError, match="cannot be signed"):
        signature_base(TEST_REQUEST, [component], "k", CREATED)


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "http_message_signatures", None)
    with pytest.raises(MissingExtra, match=r"pyramid_restproxy\[rfc9421\]"):
        MessageProfile()
