"""MessagePack: the contract, and what is refused."""

from __future__ import annotations

from datetime import datetime, timezone

import msgpack
import numpy
import pytest

from pyramid_restproxy.services.codecs import MessagePackCodec
from pyramid_restproxy.services.codecs import messagepack as module
from pyramid_restproxy.services.contract import CodecContract
from pyramid_restproxy.services.values import Undecodable, Unencodable


class TestMessagePack(CodecContract):
    def make_codec(self):
        return MessagePackCodec()


def ext(code, payload):
    return msgpack.packb(msgpack.ExtType(code, payload))


@pytest.mark.parametrize(
    "body, code",
    [
        (b"", "syntax"),
        (b"\xc1", "syntax"),
        (b"\x01\x02", "syntax"),
        (b"\xdd\xff\xff\xff\xff\x01", "syntax"),
        (b"\xc6\xff\xff\xff\xff\x01", "syntax"),
        (b"\xdf\xff\xff\xff\xff\x01", "syntax"),
        (b"\xa1\xff", "syntax"),
        (b"\x91" * 101 + b"\x01", "depth"),
        (b"\x91" * 5000, "depth"),
        (b"\x82\x01\x02\x01\x03", "duplicate-key"),
        (b"\x81\x90\x01", "syntax"),
        (msgpack.packb({n * (2**61 - 1) % 2**64: 1 for n in range(1, 3000)}), "keys"),
        (ext(9, b"x"), "tag"),
        (msgpack.packb(msgpack.Timestamp(2**62)), "syntax"),
        (ext(1, b"\x01"), "tag"),
        (ext(1, b"\x91\x01"), "tag"),
        (ext(1, b"\xc1"), "syntax"),
        (ext(1, msgpack.packb(["nothing", 1])), "tag"),
        (ext(1, msgpack.packb([["dict"], 1])), "tag"),
        (ext(1, msgpack.packb(["set", [{}]])), "tag"),
        (ext(2, b"\x01"), "array"),
        (ext(2, b""), "syntax"),
        (ext(2, msgpack.packb(["|O", [1]]) + bytes(8)), "array"),
        (ext(2, msgpack.packb(["<f8", [2**40, 2**40]]) + bytes(8)), "array"),
        (ext(2, msgpack.packb(["<f8", [-1]]) + bytes(8)), "array"),
        (ext(3, bytes(4)), "tag"),
        (bytes(70_000), "syntax"),
        (b"\xc1" + bytes(70_000), "syntax"),
    ],
)
def test_refusals(body, code):
    with pytest.raises(Undecodable) as caught:
        MessagePackCodec().decode(body)
    assert caught.value.code == code


def test_extensions_in_extensions_end():
    body = msgpack.packb(1)
    for _ in range(60):
        body = msgpack.packb(["finished", msgpack.ExtType(1, body)])
    with pytest.raises(Undecodable) as caught:
        MessagePackCodec().decode(ext(1, body))
    assert caught.value.code == "depth"


def test_a_mark_forged_beside_a_large_array():
    codec = MessagePackCodec()
    large = b"".join(codec.encode(numpy.zeros(10_000)))
    with pytest.raises(Undecodable) as caught:
        codec.decode(b"\x92" + large + ext(3, (9).to_bytes(4, "big")))
    assert caught.value.code == "tag"


def test_large_arrays_are_not_copied():
    codec, array = MessagePackCodec(), numpy.arange(20_000.0)
    pieces = codec.encode({"a": array})
    assert any(numpy.shares_memory(numpy.frombuffer(p, "u1"), array) for p in pieces)
    body = bytearray(b"".join(pieces))
    found = codec.decode(body)["a"]
    assert numpy.shares_memory(numpy.frombuffer(body, "u1"), found)
    assert found.flags.writeable


def test_an_array_after_very_many_items_is_copied():
    codec = MessagePackCodec()
    value = [0] * 20_000 + [numpy.arange(20_000.0)]
    found = codec.decode(b"".join(codec.encode(value)))
    assert (found[-1] == value[-1]).all()


@pytest.mark.parametrize(
    "body",
    [
        [None, True, 1, -1, 200, 2**16, 2**33, -200, -(2**16), -(2**33), 2.5],
        ["x" * 20, "y" * 300, "z" * 70_000, b"a", b"b" * 300, b"c" * 70_000],
        [list(range(20)), list(range(70_000)), {str(n): n for n in range(20)}],
        [{str(n): None for n in range(70_000)}],
        [msgpack.ExtType(7, b"x" * n) for n in (1, 2, 4, 8, 16, 3, 300)],
        msgpack.ExtType(5, b"x" * 70_000),
    ],
)
def test_every_head_is_walked(body):
    packed = memoryview(msgpack.packb(body))
    at = items = 0
    while at < len(packed):
        at, _ = module.read_head(packed, at)
        items += 1
    assert at == len(packed) and items


def test_moments_of_others():
    found = MessagePackCodec().decode(msgpack.packb(msgpack.Timestamp(1)))
    assert found == datetime(1970, 1, 1, 0, 0, 1, tzinfo=timezone.utc)


def test_a_stream_with_a_bad_record():
    records = MessagePackCodec().records([b"\x01\xc1"])
    assert next(records) == 1
    with pytest.raises(Undecodable):
        next(records)


def test_what_is_too_large_for_an_extension(monkeypatch):
    class Huge:
        def __len__(self):
            return 2**32

    monkeypatch.setattr(module, "flat", lambda array: Huge())
    with pytest.raises(Unencodable):
        MessagePackCodec().encode(numpy.zeros(1))


def test_a_lone_surrogate_is_not_written():
    with pytest.raises(Unencodable):
        MessagePackCodec().encode("\ud800")


@pytest.mark.parametrize(
    "pair", [["int", "0x" + "f" * 5000], ["decimal", "1e999999999"]]
)
def test_large_numbers_are_refused(pair):
    with pytest.raises(Undecodable) as caught:
        MessagePackCodec().decode(ext(1, msgpack.packb(pair)))
    assert caught.value.code == "number"
