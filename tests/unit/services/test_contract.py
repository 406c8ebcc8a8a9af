"""The contract says no where it must."""

from __future__ import annotations

import json

import pytest

from pyramid_restproxy.services.codecs import JsonCodec
from pyramid_restproxy.services.contract import CodecContract


class Careless(JsonCodec):
    name = "careless"

    def encode(self, value):
        return [json.dumps(value, default=str).encode()]

    def decode(self, body):
        try:
            return json.JSONDecoder().raw_decode(str(body, "utf-8"))[0]
        except ValueError:
            return None

    def record(self, value):
        return self.encode(value)

    def records(self, pieces):
        yield [1]
        yield None


class Contract(CodecContract):
    def make_codec(self):
        return Careless()


@pytest.mark.parametrize(
    "test",
    [
        "values_come_back_as_they_were",
        "what_has_no_form_is_said",
        "a_cut_message_is_refused",
        "bytes_after_a_message_are_refused",
        "records_of_a_stream",
        "a_cut_stream_is_said",
    ],
)
def test_a_careless_codec_fails(test):
    with pytest.raises((AssertionError, ValueError)):
        getattr(Contract(), f"test_{test}")()


def test_the_codec_is_yours():
    with pytest.raises(NotImplementedError):
        CodecContract().make_codec()
