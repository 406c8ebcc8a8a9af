"""CBOR: the contract, the tags that others write, and what is refused."""

from __future__ import annotations

from decimal import Decimal

import cbor2
import numpy
import pytest

from pyramid_restproxy.services.codecs import CborCodec
from pyramid_restproxy.services.codecs import cbor as module
from pyramid_restproxy.services.contract import CodecContract
from pyramid_restproxy.services.values import (
    MAX_DEPTH,
    MAX_DIGITS,
    Finished,
    Undecodable,
    Unencodable,
)

Tag = cbor2.CBORTag


class TestCbor(CodecContract):
    def make_codec(self):
        return CborCodec()


@pytest.mark.parametrize(
    "body, code",
    [
        (b"", "syntax"),
        (b"\x01\x02", "syntax"),
        (b"\xff", "syntax"),
        (b"\x1c", "syntax"),
        (b"\x61\xff", "syntax"),
        (b"\x9a\xff\xff\xff\xff\x01", "syntax"),
        (b"\xba\xff\xff\xff\xff\x01", "syntax"),
        (b"\x5b\x00\x00\x01\x00\x00\x00\x00\x00abc", "syntax"),
        (b"\x7b\xff\xff\xff\xff\xff\xff\xff\xffabc", "syntax"),
        (b"\x81" * (MAX_DEPTH + 1) + b"\x01", "depth"),
        (b"\x81" * 100_000, "depth"),
        (b"\xd8\x1b\x82" * 5000, "depth"),
        (b"\xa2\x61a\x01\x61a\x02", "syntax"),
        (b"\xa1\x01\x02", "syntax"),
        (b"\xa1\xc2\x41\x01\x02", "syntax"),
        (b"\xa1\x80\x01", "syntax"),
        (bytes.fromhex("d81c81d81d00"), "tag"),
        (bytes.fromhex("d8 23 61 61".replace(" ", "")), "tag"),
        (bytes.fromhex("c5821b7fffffffffffffff01"), "tag"),
        (bytes.fromhex("d81e820100"), "tag"),
        (bytes.fromhex("d9ffff01"), "tag"),
        (bytes.fromhex("c1fb7fefffffffffffff"), "syntax"),
        (bytes.fromhex("c4821b7fffffffffffffff1b7fffffffffffffff"), "syntax"),
        (cbor2.dumps(Tag(27, 1)), "tag"),
        (cbor2.dumps(Tag(27, ["os.system", ["id"]])), "tag"),
        (cbor2.dumps(Tag(258, 1)), "tag"),
        (cbor2.dumps(Tag(258, [n + 2**64 for n in range(1001)])), "keys"),
        (cbor2.dumps(Tag(43000, [1, 2, 3])), "tag"),
        (cbor2.dumps(Tag(86, b"1234567")), "array"),
        (cbor2.dumps(Tag(86, 1)), "array"),
        (cbor2.dumps(Tag(83, bytes(16))), "tag"),
        (cbor2.dumps(Tag(40, [[2], [1, 2]])), "array"),
        (cbor2.dumps(Tag(40, 1)), "array"),
        (cbor2.dumps(Tag(40, [[2**40, 2**40], Tag(86, bytes(8))])), "array"),
        (cbor2.dumps(Tag(40, [["a"], Tag(86, bytes(8))])), "array"),
        (cbor2.dumps(Tag(0x52505258, 0)), "tag"),
        (cbor2.dumps(Tag(0x52505258, "a")), "tag"),
    ],
)
def test_refusals(body, code):
    with pytest.raises(Undecodable) as caught:
        CborCodec().decode(body)
    assert caught.value.code == code, str(caught.value)


def test_typed_arrays_have_the_tags_of_rfc_8746():
    assert module.TYPED == {
        ">u1": 64, ">u2": 65, ">u4": 66, ">u8": 67, "<u2": 69, "<u4": 70, "<u8": 71,
        ">i1": 72, ">i2": 73, ">i4": 74, ">i8": 75, "<i2": 77, "<i4": 78, "<i8": 79,
        ">f2": 80, ">f4": 81, ">f8": 82, "<f2": 84, "<f4": 85, "<f8": 86,
    }  # fmt: skip


def test_rows_columns_and_clamped_bytes_of_others():
    row = Tag(86, numpy.arange(6.0).tobytes())
    found = CborCodec().decode(cbor2.dumps([Tag(40, [[2, 3], row]), Tag(68, b"ab")]))
    assert found[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found[1].tolist() == [97, 98]
    found = CborCodec().decode(cbor2.dumps(Tag(1040, [[2, 3], row])))
    assert found.tolist() == [[0, 2, 4], [1, 3, 5]]


def test_a_plain_byte_string_stays_bytes_however_it_looks():
    codec = CborCodec()
    value = ["\x01\xd8\x56", b"x" * 70_000, b"\xd8\x56" + b"y" * 70_000]
    assert codec.decode(b"".join(codec.encode(value))) == value


def test_strings_of_unknown_length():
    body = b"\x9f\x5f\x5a\x00\x01\x11\x70" + b"x" * 70_000 + b"\xff\xff"
    assert CborCodec().decode(body) == [b"x" * 70_000]
    body = b"\xd8\x56\x5f\x5a\x00\x01\x11\x70" + bytes(70_000) + b"\xff"
    assert len(CborCodec().decode(body)) == 70_000 // 8


@pytest.mark.parametrize(
    "tail", [b"\xd8\x56", b"\xd8\x56\x01", b"\xd8\x56\x5a\xff\0\0\0"]
)
def test_tags_of_arrays_at_the_end_of_a_large_body(tail):
    with pytest.raises(Undecodable):
        text = b"\x7a\x00\x01\x11\x70" + b"x" * 70_000
        CborCodec().decode(b"\x82" + text + b"\xd8\x56" + tail)


def test_large_arrays_are_not_copied():
    codec, array = CborCodec(), numpy.arange(20_000.0)
    pieces = codec.encode({"a": array})
    assert any(numpy.shares_memory(numpy.frombuffer(p, "u1"), array) for p in pieces)
    body = bytearray(b"".join(pieces))
    found = codec.decode(body)["a"]
    assert numpy.shares_memory(numpy.frombuffer(body, "u1"), found)


def test_others_read_what_we_write():
    (written,) = CborCodec().encode({"m": numpy.ones((1, 2)), "s": {1}})
    found = cbor2.loads(written)
    assert found["s"] == {1}
    assert found["m"].tag == 40 and found["m"].value[1].tag == 86


def test_a_lone_surrogate_is_not_written():
    with pytest.raises(Unencodable):
        CborCodec().encode("\ud800")


def test_pieces_as_a_file():
    stream = module._Pieces(iter([b"ab", b"", b"c"]))
    assert stream.readable() and stream.readall() == b"abc"


def test_errors_that_are_not_the_library_s_own(monkeypatch):
    class Decoder:
        def __init__(self, *arguments, **options): ...

        def decode(self):
            raise MemoryError

    monkeypatch.setattr(cbor2, "CBORDecoder", Decoder)
    with pytest.raises(Undecodable) as caught:
        CborCodec().decode(b"\x01")
    assert caught.value.code == "syntax"


@pytest.mark.parametrize(
    "body, code",
    [
        (b"\xc4\x82\x1a\x3b\x9a\xc9\xff\x01", "number"),
        (b"\xc4\x82\x3a\x3b\x9a\xc9\xff\x01", "number"),
        (b"\xc4\x82\x01\xf5", "tag"),
        (b"\xc4\x83\x01\x01\x01", "tag"),
        (b"\xc4\x01", "tag"),
        (b"\xc2\x01", "tag"),
        (b"\xc3\x61a", "tag"),
    ],
)
def test_decimals_and_large_integers_that_are_none(body, code):
    with pytest.raises(Undecodable) as caught:
        CborCodec().decode(body)
    assert caught.value.code == code


@pytest.mark.parametrize("size", [1_662, 5_000, 1_000_000])
@pytest.mark.parametrize(
    "before",
    [b"\xc2", b"\xc3", b"\xc4\x82\x01\xc2", b"\xc4\x82\x01\xc3", b"\xc4\x82\xc2"],
)
def test_large_numbers_that_take_quadratic_time(before, size):
    """1 MB as the mantissa of a decimal took 100 seconds."""
    with pytest.raises(Undecodable) as caught:
        body = before + b"\x5a" + size.to_bytes(4, "big") + b"\xff" * size
        CborCodec().decode(body + b"\x01" * before.endswith(b"\x82\xc2"))
    assert caught.value.code == "number"


def test_decimals_with_more_digits_than_an_integer_may_have():
    value = [Decimal("1." + "3" * 9_000), Decimal("-1e-3999")]
    assert CborCodec().decode(b"".join(CborCodec().encode(value))) == value


def test_large_numbers_within_the_limit():
    most = 10**MAX_DIGITS - 1
    for value in (most, -most, Decimal(most), Decimal("1.5e-3000")):
        assert CborCodec().decode(cbor2.dumps(value)) == value
    assert CborCodec().decode(b"\xc2\x43\x00\x00\x05") == 5


@pytest.mark.parametrize("odd", [b"\xf7", b"\xe0", b"\xf3", b"\xf8\x20", b"\xf8\xff"])
@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"\x81",
        b"\xa1\x61a",
        b"\xd9\x01\x02\x81",
        b"\xd8\x1b\x82\x68finished",
        b"\xd8\x1b\x82\x66failed\xa1\x61a",
        b"\xd8\x1b\x82\x64dict\x81\x82\x01",
    ],
)
def test_undefined_and_simple_values_are_refused(odd, before):
    """They were read, and no answer could hold them."""
    with pytest.raises(Undecodable) as caught:
        CborCodec().decode(before + odd)
    assert caught.value.code == "simple"
    with pytest.raises(Undecodable):
        list(CborCodec().records([before, odd]))


def test_a_key_that_is_undefined_is_refused():
    with pytest.raises(Undecodable) as caught:
        CborCodec().decode(b"\xd8\x1b\x82\x64dict\x81\x82\xf7\x01")
    assert caught.value.code == "simple"


def test_bytes_that_look_like_simple_values_are_read():
    value = {"語": ["\u0e01", b"\xf7\xf8", Finished({"a": {b"\xe0"}})]}
    assert CborCodec().decode(b"".join(CborCodec().encode(value))) == value


@pytest.mark.parametrize(
    "head",
    [
        b"\x5b\x00\x00\x01\x00\x00\x00\x00\x00",  # 2**40 bytes
        b"\x5f",  # and empty pieces
        b"\x9f",
    ],
)
def test_a_record_without_end_is_refused(monkeypatch, head):
    monkeypatch.setattr(module, "MAX_RECORD", 1_000_000)
    given = []

    def endless():
        yield b"\x01" + head
        while True:
            given.append(1)
            yield (b"\x40" if head == b"\x5f" else b"\0") * 100_000

    records = CborCodec().records(endless())
    assert next(records) == 1
    with pytest.raises(Undecodable) as caught:
        next(records)
    assert caught.value.code == "size"
    assert len(given) < 20


def test_records_are_counted_one_by_one(monkeypatch):
    monkeypatch.setattr(module, "MAX_RECORD", 200_000)
    (record,) = CborCodec().record(b"x" * 100_000)
    assert len(list(CborCodec().records([record] * 5))) == 5
