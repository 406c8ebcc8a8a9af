"""JSON: the contract, and what is refused."""

from __future__ import annotations

import numpy
import pytest

from pyramid_restproxy.services.codecs import JsonCodec
from pyramid_restproxy.services.codecs import json as module
from pyramid_restproxy.services.contract import CodecContract
from pyramid_restproxy.services.values import MAX_DEPTH, Undecodable, Unencodable


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
