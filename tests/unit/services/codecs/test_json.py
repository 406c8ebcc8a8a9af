"""JSON: the contract, and what is refused."""

from __future__ import annotations

import json
import math

import numpy
import pytest

from pyramid_restproxy.services.codecs import JsonCodec
from pyramid_restproxy.services.codecs import json as module
from pyramid_restproxy.services.contract import CodecContract
from pyramid_restproxy.services.values import (
    MAX_DEPTH,
    MAX_DIGITS,
    Undecodable,
    Unencodable,
)


class TestJson(CodecContract):
    def make_codec(self):
        return JsonCodec()


@pytest.mark.parametrize(
    "body, code",
    [
        (b"NaN", "number"),
        (b"[-Infinity]", "number"),
        (b"9" * 5000, "number"),
        (b'{"a":1,"a":2}', "duplicate-key"),
        (b'"\\ud800"', "surrogate"),
        (b'{"\\uDC00": 1}', "surrogate"),
        (b'[{"$dict": [[1, 2]]}, "\\ud800"]', "surrogate"),
        (b'[{"$dict": [[{"$date": "2026-01-01"}, 2]]}, "\\ud83d"]', "surrogate"),
        (b"\xef\xbb\xbf1", "encoding"),
        ("[1]".encode("utf-16"), "encoding"),
        (b'"\xff"', "encoding"),
        (b"1 2", "syntax"),
        (b"", "syntax"),
        (b"'a'", "syntax"),
        (b'"a\nb"', "syntax"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "depth"),
        (b"[" * 100_000, "depth"),
        (b'{"$nothing": 1}', "tag"),
        (b'{"$uuid": 1}', "tag"),
        (b'{"$bytes": "?"}', "tag"),
        (b'{"$ndarray": ["<f8", [2], "AAAA"]}', "array"),
        (b'{"$ndarray": ["|O", [1], "AAAAAAAAAAA="]}', "array"),
    ],
)
def test_refusals(body, code):
    with pytest.raises(Undecodable) as caught:
        JsonCodec().decode(body)
    assert caught.value.code == code


@pytest.mark.parametrize("body", [b'"\\ud83d\\ude00"', b'"\\\\ud800"'])
def test_pairs_of_surrogates_and_their_look_are_text(body):
    assert JsonCodec().decode(body) in ("\U0001f600", "\\ud800")


def test_pairs_of_surrogates_beside_odd_keys():
    body = b'[{"$dict": [[1, "\\ud83d\\ude00"]]}]'
    assert JsonCodec().decode(body) == [{1: "\U0001f600"}]


def test_a_lone_surrogate_is_not_written():
    with pytest.raises(Unencodable):
        JsonCodec().encode("\ud800")


def test_it_reads_as_it_looks():
    written = b"".join(JsonCodec().encode({"a": numpy.arange(2, dtype="u1"), "b": "ü"}))
    assert written == '{"a":{"$ndarray":["|u1",[2],"AAE="]},"b":"ü"}'.encode()


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_RECORD", 100)
    with pytest.raises(Undecodable) as caught:
        list(JsonCodec().records([b"[" * 60, b"1" * 60]))
    assert caught.value.code == "size"


@pytest.mark.parametrize(
    "body",
    [
        b"1e400",
        b"-1e309",
        b'{"a": [1E+0400]}',
        b"1" * 400 + b".0",
        b"1" * 299 + b"e99",
        b"1" * 250 + b"e+99",
        b"9" * (MAX_DIGITS + 1),
        b"-" + b"9" * (MAX_DIGITS + 1),
        b'{"$int": "0x' + b"f" * 5000 + b'"}',
        b'{"$decimal": "1e999999999"}',
    ],
)
def test_numbers_that_become_infinite(body):
    with pytest.raises(Undecodable) as caught:
        JsonCodec().decode(body)
    assert caught.value.code == "number"


@pytest.mark.parametrize(
    "text",
    [
        "1e308",
        "1.5e-400",
        "-1E+99",
        "1" * 199 + "e99",
        "0." + "1" * 5000,
        "9" * MAX_DIGITS,
        "-" + "9" * MAX_DIGITS,
    ],
)
def test_large_numbers_that_are_finite(text):
    found = JsonCodec().decode(text.encode())
    kind = int if text.lstrip("-").isdigit() else float
    assert type(found) is kind and found == kind(text)
    assert kind is int or math.isfinite(found)


@pytest.mark.parametrize(
    "body",
    [
        b'{"$set": ["\\ud800"]}',
        b'{"$dict": [["a", {"$set": ["\\udfff"]}]]}',
        b'{"$finished": "\\ud800"}',
        b'{"$progress": [1, 2, "\\uDBFF"]}',
        b'["\\ud83d\\ud83d\\ude00"]',
        b'["\\ude00\\ud83d"]',
        b'["\\\\\\ud800"]',
        b'["\\ud800\\u0041"]',
    ],
)
def test_surrogates_within_tags_are_refused(body):
    """A set was looked at as its repr, in which a surrogate is an escape again."""
    with pytest.raises(Undecodable) as caught:
        JsonCodec().decode(body)
    assert caught.value.code == "surrogate"


def test_escapes_of_every_kind():
    text = '["\\u00e9\\uD7ff\\ue000\\n\\"\\/\\\\ud800\\uD83D\\uDE00\\ud83d\\ude00"]'
    assert JsonCodec().decode(text.encode()) == json.loads(text)


def test_a_sum_of_large_integers_can_be_written():
    most = 10**MAX_DIGITS - 1
    (written,) = JsonCodec().encode(most + most)
    assert len(written) == MAX_DIGITS + 1


def test_what_was_read_can_be_written():
    body = b'{"$frozenset":[' * 90 + b"1" + b"]}" * 90
    assert JsonCodec().encode(JsonCodec().decode(body)) == [body]
