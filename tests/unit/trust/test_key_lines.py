"""Signing keys in settings and files."""

from __future__ import annotations

import base64

import pytest
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.trust import key_lines
from pyramid_restproxy.trust.profiles import BodyProfile, RequestProfile

SECRET = bytes(range(32))
BASE64 = base64.b64encode(SECRET).decode()


@pytest.mark.parametrize(
    "text", [f"hex:{SECRET.hex()}", f"base64:{BASE64}", f"whsec_{BASE64}"]
)
def test_secrets(text, tmp_path):
    file = tmp_path / "secret"
    file.write_text(f"{text}\n")
    environ = {"S": f" {text} "}
    for each in (text, "env:S", f"file:{file}"):
        assert key_lines.read_secret(each, environ) == SECRET


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3cret" * 6,
        "hex:s3cret",
        "hex:" + "ab" * 15,
        "base64:s3cret!",
        "base64:czNjcmV0",
        "base64:",
        "whsec_s3cret!",
        "whsec_",
        "whsec_czNjcmV0",
        "HEX:" + "ab" * 32,
        "env:hex:" + "ab" * 32,
    ],
)
def test_what_is_no_secret(text):
    with pytest.raises(ValueError) as caught:
        key_lines.read_secret(text, {"S": text})
    shown = caught.getrepr(style="value", chain=True)
    assert "s3cret" not in str(caught.value) and "s3cret" not in str(shown)
    with pytest.raises(ValueError):
        key_lines.read_secret("env:S", {"S": text})


def test_where_there_is_none(tmp_path):
    with pytest.raises(ValueError, match="no variable 'NOPE'"):
        key_lines.read_secret("env:NOPE", {})
    with pytest.raises(ValueError, match="No such file"):
        key_lines.read_secret(f"file:{tmp_path}/nope")
    with pytest.raises(ValueError, match="directory"):
        key_lines.read_secret(f"file:{tmp_path}")
    (tmp_path / "raw").write_bytes(b"\xff" * 32)
    with pytest.raises(ValueError, match="no text in ASCII"):
        key_lines.read_secret(f"file:{tmp_path}/raw")


def test_one_reference_leads_to_no_other():
    with pytest.raises(ValueError, match="a secret is"):
        key_lines.read_secret("env:A", {"A": "env:B", "B": f"base64:{BASE64}"})


def test_lines():
    (one, two) = key_lines.parse_key_lines(
        "restproxy.signing_keys",
        [
            "# who",
            f"team-a hex:{SECRET.hex()}  # the first",
            "",
            f"team-b base64:{BASE64} expires=2027-06-30T00:00:00Z",
        ],
    )
    assert (one.id, one.secret, one.not_after) == ("team-a", SECRET, None)
    assert (two.id, two.secret, two.not_after) == ("team-b", SECRET, 1814313600.0)
    assert BASE64 not in repr(two) and SECRET.hex() not in repr(one)


@pytest.mark.parametrize(
    "line",
    [
        "s3cret",
        f"hex:{SECRET.hex()}",
        f"a hex:{SECRET.hex()} until=2027-06-30",
        f"a hex:{SECRET.hex()} expires=s3cret",
        f"a hex:{SECRET.hex()} expires=",
        f"a hex:{SECRET.hex()} expires=2027-06-30 s3cret",
        "a s3cret",
        f"hex:s3cret hex:{SECRET.hex()}",
    ],
)
def test_lines_that_are_none(line):
    with pytest.raises(ConfigurationError, match="^here, line 2: ") as caught:
        key_lines.parse_key_lines("here", ["", line])
    shown = str(caught.getrepr(style="value", chain=True))
    assert "s3cret" not in shown and SECRET.hex() not in shown


def test_with_what_to_sign():
    key, profile = key_lines.parse_sign_with("here", f"gateway hex:{SECRET.hex()}")
    assert (key.id, key.secret, profile) == ("gateway", SECRET, RequestProfile())
    _, profile = key_lines.parse_sign_with("here", f"g hex:{SECRET.hex()} body")
    assert profile == BodyProfile()


@pytest.mark.parametrize(
    "text",
    ["s3cret", "a s3cret", f"a hex:{SECRET.hex()} s3cret", f"a hex:{'00' * 32} body x"],
)
def test_with_what_nobody_can_sign(text):
    with pytest.raises(ConfigurationError, match="^here: ") as caught:
        key_lines.parse_sign_with("here", text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", key_lines.PROFILES)
def test_profiles_have_the_names_that_they_say(name):
    assert key_lines.profile_named("here", name).name == name
