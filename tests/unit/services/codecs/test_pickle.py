"""Pickle: the contract, the allow list, and what is refused."""

from __future__ import annotations

import copyreg
import operator
import os
import pickle
import pickletools
from dataclasses import dataclass

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.services.codecs import PickleCodec
from pyramid_restproxy.services.codecs import pickle as module
from pyramid_restproxy.services.contract import CodecContract
from pyramid_restproxy.services.values import Undecodable, Unencodable


@dataclass
class Point:
    x: float
    data: object = None


class Other:
    pass


class Evil:
    def __init__(self, function, *arguments):
        self.made_by = function, arguments

    def __reduce__(self):
        return self.made_by


class TestPickle(CodecContract):
    def make_codec(self):
        return PickleCodec()


class TestPickleWithClasses(CodecContract):
    def make_codec(self):
        return PickleCodec(Point)


def code_of(body, *classes):
    with pytest.raises(Undecodable) as caught:
        PickleCodec(*classes).decode(body)
    return caught.value.code


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("classes", [(), (Point,)])
@pytest.mark.parametrize(
    "evil",
    [
        Evil(os.system, "exit 1"),
        Evil(eval, "1"),
        Evil(copyreg._reconstructor, Point, object, None),
        Evil(operator.attrgetter, "x"),
        Evil(Point, 1),
        Other(),
        numpy.arange(3),
    ],
    ids=lambda evil: str(getattr(evil, "made_by", evil))[:30],
)
def test_programs_are_refused(evil, classes, protocol):
    assert code_of(pickle.dumps(evil, protocol), *classes) in ("opcode", "class")


@pytest.mark.parametrize(
    "body, code",
    [
        (b"", "syntax"),
        (b".", "syntax"),
        (b"\x80\x05N", "syntax"),
        (b"\x80\x05N.N.", "syntax"),
        (b"\x80\x0fN.", "syntax"),
        (b"Pname\n.", "opcode"),
        (b"\x82\x01.", "opcode"),
        (b"\x83\x01\x00.", "opcode"),
        (b"\x84\x01\x00\x00\x00.", "opcode"),
        (b"(ios\nsystem\n.", "opcode"),
        (b"(cos\nsystem\no.", "opcode"),
        (b"I1\n.", "opcode"),
        (b"L" + b"9" * 400 + b"L\n.", "opcode"),
        (b"\xff.", "syntax"),
        (b"\x8c", "syntax"),
        (b"\x8d\x01\x00.", "syntax"),
        (b"\x8b\xff\xff\xff\xff.", "number"),
        (b"\x8b\xa0\x0f\x00\x00" + b"\x7f" * 4000 + b".", "number"),
        (b"V\\ud800\n.", "opcode"),
        (b"]r\xff\xff\xff\x7f.", "opcode"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "syntax"),
        (b"B\xff\xff\xff\x7f.", "syntax"),
        (b"h\x05.", "syntax"),
        (b"\x97.", "syntax"),
        (b"\x97.\x00\x00\x00\x00\x00\x00\x00\x09a", "syntax"),
        (b"NQ.", "tag"),
        (b"\x8c\x01a\x8c\x01b\x86Q.", "tag"),
        (b"\x8c\x07ndarray]\x86Q.", "tag"),
        (b"]q\x00h\x00a.", "depth"),
        (b"](" + b"](" * 300 + b"e" * 300 + b"e.", "depth"),
        (b"}](]e}s.", "syntax"),
    ],
)
def test_refusals(body, code):
    assert code_of(body) == code
    assert code_of(body, Point) == code


@pytest.mark.parametrize("layers, code", [(50, None), (150, "depth")])
def test_a_small_pickle_that_unfolds_into_much(layers, code):
    value = []
    for _ in range(layers):
        value = [value, value]  # 2 ** layers lists for who walks it by hand
    body = pickle.dumps(value, 4)
    if code is None:
        assert PickleCodec().decode(body) is not None
    else:
        assert code_of(body) == code


def test_objects_of_allowed_classes_travel():
    codec = PickleCodec(Point)
    found = codec.decode(b"".join(codec.encode([Point(1.5, numpy.arange(30_000))])))
    assert found[0].x == 1.5 and found[0].data[-1] == 29_999
    assert codec.decode(pickle.dumps(Point(2.0))) == Point(2.0)


def test_an_object_of_another_class_is_not_written():
    for value in (Other(), Point):
        with pytest.raises(Unencodable):
            PickleCodec().encode([value])
    with pytest.raises(Unencodable):
        PickleCodec(Point).encode(Point(1, Other()))


def test_a_plain_pickle_of_a_script_is_read():
    for protocol in (2, 3, 4, 5):
        body = pickle.dumps({"a": [1, 2.5, "x", (True, None)]}, protocol)
        assert PickleCodec().decode(body) == {"a": [1, 2.5, "x", (True, None)]}


def test_large_arrays_are_not_copied():
    codec, array = PickleCodec(), numpy.arange(20_000.0)
    pieces = codec.encode({"a": array})
    assert any(numpy.shares_memory(numpy.frombuffer(p, "u1"), array) for p in pieces)
    body = bytearray(b"".join(pieces))
    found = codec.decode(body)["a"]
    assert numpy.shares_memory(numpy.frombuffer(body, "u1"), found)


def test_the_lists_of_opcodes_are_opcodes():
    known = {each.name for each in pickletools.opcodes}
    assert module.PLAIN_OPCODES | module.CLASS_OPCODES <= known


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner)
    ),
)


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
@given(
    VALUES,
    st.integers(2, 5),
    st.binary(max_size=5),
    st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=3),
)
def test_a_pickle_ends_where_the_library_says(value, protocol, after, changes):
    body = bytearray(pickle.dumps(value, protocol) + after)
    for at, octet in changes:
        body[at % len(body)] = octet
    try:
        *_, last = pickletools.genops(bytes(body))
    except (ValueError, OverflowError, MemoryError):
        return
    except (DeprecationWarning, SyntaxWarning):  # an escape that Python does not know
        return
    widths = {
        code: module._widths(opcode)
        for code, opcode in module._OPCODES.items()
        if opcode.name in module.PLAIN_OPCODES | module.CLASS_OPCODES
    }
    try:
        end = module.end_of(memoryview(body), widths)
    except Undecodable as error:
        assert error.code == "opcode" or b"c" in body
    else:
        assert end == last[2] + 1


def test_a_record_without_end():
    with pytest.raises(Undecodable) as caught:
        list(PickleCodec().records([b"\xff" * 8]))
    assert caught.value.code == "size"


def test_objects_that_contain_themselves():
    deep = Point(1.0)
    for _ in range(100_000):
        deep = Point(1.0, deep)
    with pytest.raises(Unencodable, match="deep"):
        PickleCodec(Point).encode(deep)
    while deep.data is not None:  # or freeing it would be as deep
        deep = deep.data


def test_names_of_classes_in_text():
    body = b"c" + __name__.encode() + b"\nPoint\n)\x81."
    assert isinstance(PickleCodec(Point).decode(body), Point)
    assert code_of(b"cos\nsystem\n)\x81.", Point) == "class"
    assert code_of(b"c" + b"x" * 1000 + b"\nPoint\n.", Point) == "syntax"


def test_a_buffer_that_nobody_asked_for():
    assert code_of(b"\x80\x05N." + (1).to_bytes(8, "big") + b"a") == "syntax"
