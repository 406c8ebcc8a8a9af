"""JSON Web Tokens, and what is tried with them."""

from __future__ import annotations

import base64
import hmac
import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe, jws, jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.jwks import KeySource, KeysUnavailable, pick
from pyramid_restproxy.trust.jwt import (
    ORDERS,
    JWTValidator,
    canonical,
    check_claims,
)
from pyramid_restproxy.trust.validators import CachedValidator

NOW = 1_790_000_000
REQUEST = Request.blank("/")
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
SECRET = OctKey.import_key("s" * 64, {"kid": "oct"})

CLAIMS = {
    "iss": "https://login.example",
    "aud": "gateway",
    "sub": "ann",
    "exp": NOW + 600,
    "nbf": NOW - 600,
    "iat": NOW - 600,
    "scope": "read write",
}


def other_signature(token):
    """Write an ECDSA signature (r, s) as (r, n - s), for which no key is needed."""
    signed, _, text = token.rpartition(".")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    half = len(raw) // 2
    s = ORDERS[len(raw)] - int.from_bytes(raw[half:], "big")
    made = base64.urlsafe_b64encode(raw[:half] + s.to_bytes(half, "big"))
    return f"{signed}.{made.rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "algorithm, curve", [("ES256", "P-256"), ("ES384", "P-384"), ("ES512", "P-521")]
)
def test_a_token_with_two_signatures_is_one_token(algorithm, curve):
    """The second could be used after the first was taken back."""
    key = ECKey.generate_key(curve, {"kid": "k"})
    token = jwt.encode(
        {"alg": algorithm, "kid": "k"}, CLAIMS, key, algorithms=[algorithm]
    )
    other = other_signature(token)
    validator = make(key, algorithms=[algorithm])
    assert other != token
    assert validator(REQUEST, other) == validator(REQUEST, token)
    assert validator.canonical(other) == validator.canonical(token)
    assert validator.canonical(token) in (token, other)
    for ttl in (0, 60):
        cached = CachedValidator(validator, ttl=ttl, clock=lambda: NOW)
        assert cached(REQUEST, other).user_id == "ann"
        cached.revoke(token, NOW + 600)
        assert cached(REQUEST, other) is None
        assert cached(REQUEST, token) is None


@pytest.mark.parametrize("token", ["", "a", "a.b.c", "a.b.%", "a.b." + "A" * 86, "é.."])
def test_what_has_no_second_signature_is_left_alone(token):
    assert canonical(token) == token


@given(st.text())
def test_any_text_has_a_canonical_form(text):
    assert canonical(canonical(text)) == canonical(text)


class Keys:
    def __init__(self, *keys):
        self.keys = keys
        self.asked = []

    def find(self, kid, algorithm):
        self.asked.append((kid, algorithm))
        return pick(self.keys, kid, algorithm)


def make(*keys, **options):
    defaults = {
        "algorithms": ["RS256", "ES256"],
        "issuer": "https://login.example",
        "audience": "gateway",
        "clock": lambda: NOW,
    }
    return JWTValidator(Keys(*(keys or (RSA, EC))), **defaults | options)


def token(key=RSA, algorithm="RS256", header=None, **claims):
    given = {name: value for name, value in (CLAIMS | claims).items() if value != ""}
    head = {"alg": algorithm, "kid": key.kid, **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    return jwt.encode(head, given, key, [algorithm])


def part(value):
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def unsigned(header, payload=CLAIMS, signature=""):
    return f"{part(header)}.{part(payload)}.{signature}"


# -- good ones -----------------------------------------------------------------------


def test_a_good_token():
    found = make()(REQUEST, token())
    assert found == Identity("ann", ("read", "write"), CLAIMS, NOW + 630)


@pytest.mark.parametrize(
    "key, algorithm",
    [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (SECRET, "HS256")],
)
def test_algorithms(key, algorithm):
    validator = make(key, algorithms=[algorithm])
    assert validator(REQUEST, token(key, algorithm)).user_id == "ann"
    assert make(key, algorithms=algorithm)(REQUEST, token(key, algorithm))


def test_a_token_without_a_key_id():
    assert make(RSA)(REQUEST, token(header={"kid": None}))


def test_several_audiences():
    validator = make(audience=["gateway", "other"])
    assert validator(REQUEST, token(aud=["other", "third"]))
    assert validator(REQUEST, token(aud="gateway"))
    assert validator(REQUEST, token(aud=["third", 7])) is None


def test_other_claims():
    validator = make(user_claim="email", permissions_claim="roles")
    found = validator(REQUEST, token(email="ann@example", roles=["admin"]))
    assert (found.user_id, found.permissions) == ("ann@example", ("admin",))
    assert validator(REQUEST, token(email="a", roles="")).permissions == ()


def test_what_a_header_says_besides_is_left_alone():
    open_registry = jws.JWSRegistry(strict_check_header=False)
    header = {"alg": "RS256", "kid": "rsa", "x-private": "1"}
    assert make()(REQUEST, jwt.encode(header, CLAIMS, RSA, registry=open_registry))


def test_the_type():
    validator = make(typ="at+jwt")
    assert validator(REQUEST, token(header={"typ": "at+jwt"}))
    assert validator(REQUEST, token(header={"typ": "application/AT+JWT"}))
    assert validator(REQUEST, token(header={"typ": "JWT"})) is None
    assert make(typ="JWT")(REQUEST, token(header={"typ": "at+jwt"})) is None


# -- attacks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "none", ["none", "None", "NONE", "nOnE", "", None, 7, ["RS256"]]
)
def test_no_algorithm(none):
    assert make()(REQUEST, unsigned({"alg": none, "kid": "rsa"})) is None
    assert make()(REQUEST, unsigned({"alg": none}, CLAIMS, "AAAA")) is None


def test_no_algorithm_at_all():
    assert make()(REQUEST, unsigned({"kid": "rsa"})) is None


@pytest.mark.parametrize("algorithms", [["RS256"], ["HS256"]])
def test_a_public_key_as_a_shared_secret(algorithms):
    public = RSA.as_pem(private=False)
    signing = unsigned({"alg": "HS256", "kid": "rsa"})[:-1]
    tag = hmac.digest(public, signing.encode(), "sha256")
    found = f"{signing}.{part(tag)}"
    assert make(RSA, algorithms=algorithms)(REQUEST, found) is None


def test_an_algorithm_that_was_not_asked_for():
    found = token(RSA, "RS512")
    validator = make()
    assert validator(REQUEST, found) is None
    assert validator._keys.asked == []  # nobody looks for a key


@pytest.mark.parametrize(
    "kid",
    [
        "../../../../dev/null",
        "/dev/null",
        "rsa' OR '1'='1",
        "|/bin/true",
        "http://127.0.0.1/keys",
        "RSA",
        "rsa\x00",
        "",
        "k" * 300,
    ],
)
def test_a_key_id_is_only_compared(kid):
    found = jwt.encode({"alg": "RS256", "kid": kid}, CLAIMS, OTHER, ["RS256"])
    assert make()(REQUEST, found) is None


@pytest.mark.parametrize("kid", [7, None, [], {}, True])
def test_a_key_id_that_is_no_text(kid):
    assert make()(REQUEST, unsigned({"alg": "RS256", "kid": kid}, CLAIMS, "AA")) is None


def test_a_key_in_the_header():
    header = {
        "jwk": OTHER.as_dict(private=False),
        "jku": "http://127.0.0.1/keys",
        "x5u": "http://127.0.0.1/cert",
    }
    head = {"alg": "RS256", "kid": "rsa"}
    for name in header:
        forged = unsigned_by(OTHER, head | {name: header[name]})
        assert make()(REQUEST, forged) is None


def unsigned_by(key, header):
    """Sign with a key that is not the one it says."""
    signing = jwt.encode({"alg": "RS256"}, CLAIMS, key, ["RS256"]).split(".")
    return ".".join([part(header), *signing[1:]])


def test_another_key_of_the_same_name():
    assert make()(REQUEST, token(OTHER)) is None


def test_a_critical_header():
    forged = unsigned({"alg": "RS256", "kid": "rsa", "crit": ["exp"], "exp": 1})
    assert make()(REQUEST, forged) is None
    found = token().split(".")
    crit = part({"alg": "RS256", "kid": "rsa", "crit": ["unknown"], "unknown": 1})
    assert make()(REQUEST, ".".join([crit, *found[1:]])) is None


@pytest.mark.parametrize(
    "header",
    [
        {"crit": []},
        {"crit": ["alg"]},
        {"crit": None},
        {"b64": True},
        {"b64": True, "crit": ["b64"]},
    ],
)
def test_extensions_though_signed(header):
    """RFC 7515 section 4.1.11: crit is not empty, and names what is known."""
    payload = token().split(".")[1]
    signed = f"{part({'alg': 'HS256', 'kid': 'oct', **header})}.{payload}"
    mac = hmac.digest(SECRET.raw_value, signed.encode(), "sha256")
    assert make(SECRET, algorithms="HS256")(REQUEST, f"{signed}.{part(mac)}") is None


def test_a_changed_token():
    head, _, signature = token().split(".")
    changed = f"{head}.{part(CLAIMS | {'sub': 'bob'})}.{signature}"
    assert make()(REQUEST, changed) is None
    assert make()(REQUEST, f"{head}.{part(CLAIMS)}.") is None
    assert make()(REQUEST, token() + "A") is None


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 30},
        {"exp": ""},
        {"exp": None},
        {"exp": True},
        {"exp": str(NOW + 600)},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": 10**400},
        {"exp": -1},
        {"exp": [NOW + 600]},
        {"nbf": NOW + 31},
        {"nbf": "now"},
        {"nbf": float("nan")},
        {"iat": NOW + 31},
        {"iat": None},
        {"iss": "https://evil.example"},
        {"iss": ""},
        {"iss": ["https://login.example"]},
        {"aud": "other"},
        {"aud": ""},
        {"aud": []},
        {"aud": None},
        {"aud": {"gateway": 1}},
        {"aud": "gateway "},
        {"sub": ""},
        {"sub": None},
        {"sub": 7},
        {"scope": 7},
        {"scope": ["read", 7]},
    ],
)
def test_claims_that_are_not_good(claims):
    assert make()(REQUEST, token(**claims)) is None


def test_an_empty_user():
    assert make(user_claim="name")(REQUEST, token()) is None
    signed = jwt.encode({"alg": "RS256", "kid": "rsa"}, CLAIMS | {"sub": ""}, RSA)
    assert make()(REQUEST, signed) is None


@pytest.mark.parametrize("claims", [{"exp": NOW - 29}, {"nbf": NOW + 30}])
def test_clocks_may_differ(claims):
    assert make()(REQUEST, token(**claims))
    assert make(leeway=0)(REQUEST, token(**claims)) is None


def test_a_very_long_token():
    validator = make()
    assert validator(REQUEST, token(more="x" * 8192)) is None
    assert validator(REQUEST, "." * 10_000) is None
    assert validator._keys.asked == []


@pytest.mark.parametrize(
    "payload", [b"[" * 5000, b"[]", b'"text"', b"\xff", b"", b"{", b"1" * 5000]
)
def test_a_payload_that_is_no_object(payload):
    signed = jws.serialize_compact({"alg": "RS256", "kid": "rsa"}, payload, RSA)
    assert make()(REQUEST, signed) is None


def test_a_token_in_a_token():
    header = {"alg": "RS256", "kid": "rsa", "cty": "JWT"}
    assert make()(REQUEST, jws.serialize_compact(header, token(), RSA)) is None


def test_an_encrypted_token():
    header = {"alg": "dir", "enc": "A256GCM", "kid": "oct"}
    key = OctKey.import_key("k" * 32, {"kid": "oct"})
    found = jwe.encrypt_compact(header, json.dumps(CLAIMS), key)
    validator = make(key, algorithms=["HS256"])
    assert validator(REQUEST, found) is None
    assert validator._keys.asked == []


def test_an_unencoded_payload():
    """RFC 7797: the payload is not base64url."""
    header = {"alg": "RS256", "kid": "rsa", "b64": False, "crit": ["b64"]}
    assert make()(REQUEST, f"{part(header)}.{'{}'}.AAAA") is None


@pytest.mark.parametrize(
    "text", ["", "..", "a.b.c", "a.b", "a.b.c.d", "é.é.é", "{}.{}.{}", "W10.W10.AA"]
)
def test_what_is_no_token(text):
    assert make()(REQUEST, text) is None


@settings(deadline=None)
@given(st.text() | st.tuples(st.binary(), st.binary(), st.binary()))
def test_nothing_else_happens(given):
    text = given if isinstance(given, str) else ".".join(map(part, given))
    assert make()(REQUEST, text) is None


HEADERS = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5c", "cty", "zip"]),
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["RS256", "rsa", "JWT", "none"])
    | st.lists(st.sampled_from(["b64", "exp", "alg"])),
)


@settings(deadline=None)
@given(HEADERS | st.lists(st.integers()) | st.integers())
def test_whatever_a_header_says(header):
    assert make()(REQUEST, unsigned(header, CLAIMS, "AAAA")) is None


# -- keys ------------------------------------------------------------------------------


def test_keys_that_cannot_be_had():
    def away():
        raise OSError("away")

    validator = make()
    validator._keys = KeySource(away)
    with pytest.raises(KeysUnavailable):
        validator(REQUEST, token())


def test_keys_of_a_set():
    content = json.dumps(KeySet([RSA]).as_dict()).encode()
    validator = make()
    validator._keys = KeySource(lambda: content)
    assert validator(REQUEST, token()).user_id == "ann"


# -- configuration ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"algorithms": []},
        {"algorithms": ""},
        {"algorithms": ["none"]},
        {"algorithms": ["RS256", "none"]},
        {"algorithms": ["RS256", "HS256"]},
        {"algorithms": ["dir"]},
        {"issuer": ""},
        {"issuer": None},
        {"audience": ""},
        {"audience": []},
        {"audience": ["gateway", None]},
    ],
)
def test_what_an_application_must_say(options):
    with pytest.raises(ConfigurationError, match="JWTValidator"):
        make(**options)


def test_joserfc_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "joserfc.jws", None)
    with pytest.raises(MissingExtra, match=r"\[jwt\]"):
        make()


def test_claims_alone():
    mine = frozenset({"gateway"})
    assert check_claims(CLAIMS, CLAIMS["iss"], mine, NOW)
    assert not check_claims(CLAIMS, CLAIMS["iss"], mine, NOW + 600)
    assert check_claims({**CLAIMS, "iat": 0, "nbf": 0}, CLAIMS["iss"], mine, NOW)
