"""Content-Digest and base64 (RFC 9530, RFC 4648)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.trust import digests
from pyramid_restproxy.trust.refusals import BodyTooLarge

#: RFC 9530, appendix B, of the body '{"hello": "world"}\n'.
RFC_BODY = b'{"hello": "world"}\n'
RFC_VALUE = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_the_example_of_rfc_9530():
    assert digests.content_digest([RFC_BODY]) == RFC_VALUE
    assert digests.digest_fits(digests.parse_content_digest(RFC_VALUE), [RFC_BODY])


@given(st.lists(st.binary()), st.sampled_from(sorted(digests.ALGORITHMS)))
def test_a_digest_fits_its_body_however_it_is_cut(pieces, algorithm):
    found = digests.parse_content_digest(digests.content_digest(pieces, algorithm))
    assert digests.digest_fits(found, [b"".join(pieces)])
    assert not digests.digest_fits(found, [*pieces, b"x"])


def test_all_known_digests_must_fit_and_unknown_ones_count_for_nothing():
    other = digests.content_digest([b"other"], "sha-512")
    both = digests.parse_content_digest(f"{RFC_VALUE} , {other}")
    assert not digests.digest_fits(both, [RFC_BODY])
    assert not digests.digest_fits({"md5": b"x"}, [])
    with_md5 = digests.parse_content_digest(f"md5=:AAAA:,{RFC_VALUE}")
    assert digests.digest_fits(with_md5, [RFC_BODY])


@pytest.mark.parametrize(
    "value",
    [
        "",
        "sha-256",
        "sha-256=abc",
        "sha-256=:ab:",
        "sha-256=:AAA=:x",
        f"{RFC_VALUE},{RFC_VALUE}",
        f"{RFC_VALUE},",
        f"{RFC_VALUE},,a",
        f"{RFC_VALUE};",
        f"{RFC_VALUE};X",
        f"{RFC_VALUE}, sha-512=1",
        f"sha-256=1, {RFC_VALUE}",
        "a=(" + "aa " * 300 + '!"',
        "a=(" + '"a" ' * 200,
        'a="' + "\\" * 900,
        "SHA-256=:AAAA:",
        "a=:" + "A" * 2000 + ":",
    ],
)
def test_a_malformed_digest_is_refused(value):
    with pytest.raises(ValueError):
        digests.parse_content_digest(value)


@given(st.text() | st.text("abcsh-256=:/+, \t"))
def test_reading_a_digest_raises_value_error_only(value):
    try:
        found = digests.parse_content_digest(value)
    except ValueError:
        return
    assert found.keys() <= digests.ALGORITHMS.keys()


@given(st.binary())
def test_base64_there_and_back(data):
    assert digests.from_base64(digests.to_base64(data)) == data


@given(st.text("AQgw/+=\n -_é"))
def test_base64_has_one_text_for_the_same_bytes(text):
    try:
        data = digests.from_base64(text)
    except ValueError:
        return
    assert base64.b64encode(data).decode() == text


@pytest.mark.parametrize(
    "value, fits",
    [
        (RFC_VALUE, True),
        (RFC_VALUE.replace("R", "S"), False),
        (RFC_VALUE.replace("g=:", "h=:"), None),  # other bits, the same bytes
        (RFC_VALUE.replace("g=:", "é=:"), None),
        (f"{RFC_VALUE},", None),
        (f"{RFC_VALUE}\n", None),
        (f"{RFC_VALUE}, md5=:AAAA:", True),
        (f"{RFC_VALUE};x=1; y", True),
        (f"{RFC_VALUE}, unixsum=30637", True),
        (f'a="b,c;(\\"",d=(e "f)" :g:);h="i" ,\t{RFC_VALUE} , j', True),
        ("sha-256=:AAAA:, md5=:AAAA:".ljust(len(RFC_VALUE)), False),
        (RFC_VALUE.replace("256", "512"), False),
    ],
)
def test_the_body_of_a_digest(value, fits):
    if fits is None:
        with pytest.raises(digests.MalformedDigest):
            digests.body_fits(value, [RFC_BODY])
    else:
        assert digests.body_fits(value, [RFC_BODY]) is fits


@pytest.mark.parametrize("text", ["AB==", "AA", "A A=", "AA==\n", "é"])
def test_other_base64_is_refused(text):
    with pytest.raises(ValueError):
        digests.from_base64(text)


def test_a_body_is_handed_on_up_to_its_limit():
    assert list(digests.limited([b"ab", b"c"], 3)) == [b"ab", b"c"]
    assert list(digests.limited([b"abc"], None)) == [b"abc"]


def test_an_endless_body_is_stopped():
    def endless():
        while True:
            yield b"x" * 10

    taken = []
    with pytest.raises(BodyTooLarge):
        taken.extend(digests.limited(endless(), 25))
    assert sum(map(len, taken)) == 20
