"""The tests that every codec passes; for the tests of a codec of your own.

::

    class TestMine(CodecContract):
        def make_codec(self):
            return MineCodec()

Any test runner that collects methods named ``test_...`` runs them. NumPy is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pyramid_restproxy.services.codecs import Codec
from pyramid_restproxy.services.values import (
    MAX_DEPTH,
    Failed,
    Finished,
    Progress,
    Undecodable,
    Unencodable,
)

__all__ = ["CodecContract"]

_EAST = timezone(timedelta(hours=5, minutes=45))

#: Values that come back as they were, by type and by value.
EXACT: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    -(2**63),
    2**64,
    -(2**70),
    0.0,
    -1.5,
    1e300,
    math.inf,
    -math.inf,
    "",
    "text",
    "ünï\u0000 \U0001f600",
    "x" * 100_000,
    b"",
    b"\x00\xff",
    b"y" * 200_000,
    [],
    {},
    [1, [2, {"a": [None]}], {"b": {}}],
    {"$date": "not a date"},
    {"$a": {"$b": 1}},
    {"": 1, "a b": 2},
    datetime(2026, 2, 3, 4, 5, 6, 789),
    datetime(2026, 2, 3, 4, 5, 6, 789, timezone.utc),
    datetime(2026, 2, 3, 4, 5, 6, tzinfo=_EAST),
    date(2026, 2, 3),
    time(1, 2, 3, 4),
    timedelta(-1, 2, 3),
    Decimal("1.50"),
    Decimal("-0.0"),
    Decimal("1E+5"),
    Decimal("Infinity"),
    UUID(int=5),
    1 + 2j,
    set(),
    {1, 2, 3},
    {"a", date(2026, 1, 1)},
    frozenset({"a"}),
    {1: "one", None: "none", 2.5: "float"},
    {UUID(int=1): {date(2026, 1, 1): [Decimal("2")]}},
    {(1, "a"), (), ((2,), frozenset({(3,)}))},
    {(0, 1): [2], ("a", (None, date(2026, 1, 1))): {"b": {(1,)}}},
    Progress(1.0, 10.0, "half way"),
    Progress(1.0),
    Finished([1, {"a": date(2026, 1, 1)}]),
    Failed({"status": 500}),
)

#: Element types, and shapes, of arrays that come back as they were.
DTYPES = (
    "|b1 |u1 <u2 >u4 <u8 |i1 <i2 >i4 <i8 <f2 >f4 <f8 <c8 <c16 <U3 |S2 <M8[D] <m8[s]"
)
SHAPES = ((0,), (5,), (2, 3), (), (0, 3), (2, 1, 2), (40, 500))


class _Colour(Enum):
    RED = "red"


@dataclass
class _Point:
    x: int
    tags: list[str]


class CodecContract:
    """What a codec keeps. Set up by :meth:`make_codec`."""

    def make_codec(self) -> Codec:
        """Return the codec to be tested."""
        raise NotImplementedError

    def travel(self, value: Any) -> Any:
        """Send a value, and return what arrives."""
        codec = self.make_codec()
        return codec.decode(bytearray(b"".join(codec.encode(value))))

    def refused(self, body: bytes) -> str:
        """Return the code with which a body is refused."""
        try:
            found = self.make_codec().decode(body)
        except Undecodable as error:
            assert error.code and str(error)
            return error.code
        raise AssertionError(f"{body[:60]!r} was read as {found!r:.60}")

    # -- values ---------------------------------------------------------------

    def test_it_says_what_it_is(self) -> None:
        """Name and media types are there, and do not get in each other's way."""
        codec = self.make_codec()
        assert codec.name and codec.problem_type
        assert codec.media_type in codec.media_types
        assert codec.stream_type not in codec.media_types

    def test_values_come_back_as_they_were(self) -> None:
        """Types are kept, in whatever they lie."""
        for value in EXACT:
            for sent in (value, [value, 1], {"key": value}, {7: [value]}):
                found = self.travel(sent)
                assert _same(found, sent), f"{sent!r:.100} became {found!r:.100}"

    def test_nan_comes_back(self) -> None:
        """NaN is not equal to itself."""
        assert math.isnan(self.travel([math.nan])[0])

    def test_some_types_become_simpler(self) -> None:
        """Tuples, enums, dataclasses, and subclasses of plain types."""
        import numpy

        assert list(self.travel((1, 2))) == [1, 2]
        assert self.travel([_Colour.RED]) == ["red"]
        assert self.travel(_Point(1, ["a"])) == {"x": 1, "tags": ["a"]}
        assert self.travel(bytearray(b"ab")) == b"ab"
        scalars = [numpy.float64(2.5), numpy.float32(0.5), numpy.int8(3), numpy.True_]
        found = self.travel(scalars)
        assert [type(each) for each in found] == [float, float, int, bool]
        assert found == [2.5, 0.5, 3, True]

    def test_what_has_no_form_is_said(self) -> None:
        """An object that is nothing in particular, and what contains itself."""
        import numpy

        endless: list[Any] = []
        endless.append(endless)
        deep: list[Any] = []
        for _ in range(MAX_DEPTH + 1):
            deep = [deep]
        for value in (object(), numpy.array([object()]), len, _Point, endless, deep):
            try:
                self.make_codec().encode([value])
            except Unencodable:
                continue
            raise AssertionError(f"{value!r:.60} was written")

    # -- arrays ---------------------------------------------------------------

    def test_arrays_come_back_as_they_were(self) -> None:
        """Element type, byte order, shape, and every element."""
        for array in _arrays():
            for found in (
                self.travel(array),
                self.travel({"a": [array, 1]})["a"][0],
                self.travel({1: array})[1],
            ):
                assert found.dtype == array.dtype
                assert found.shape == array.shape
                assert found.tobytes() == array.tobytes()

    def test_arrays_can_be_written_to(self) -> None:
        """Small and large, wherever their bytes came from."""
        import numpy

        codec = self.make_codec()
        for size in (0, 5, 30_000):
            body = b"".join(codec.encode([numpy.zeros(size)]))
            for found in (codec.decode(body)[0], codec.decode(bytearray(body))[0]):
                found += 1
                assert found.sum() == size

    def test_arrays_that_are_not_in_rows(self) -> None:
        """Slices and columns are sent by their values."""
        import numpy

        whole = numpy.arange(40_000.0).reshape(200, 200)
        for array in (whole[::2], whole.T, whole[:, 3], numpy.asfortranarray(whole)):
            assert (self.travel(array) == array).all()

    def test_several_large_arrays(self) -> None:
        """Each is where it belongs."""
        import numpy

        arrays = [numpy.full(20_000, n, "<f8") for n in range(5)]
        sent = {"some": arrays, "text": "x" * 70_000, "last": arrays[0]}
        found = self.travel(sent)
        assert [int(each[-1]) for each in found["some"]] == [0, 1, 2, 3, 4]
        assert found["text"] == sent["text"] and (found["last"] == 0).all()

    # -- hostile --------------------------------------------------------------

    def test_a_cut_message_is_refused(self) -> None:
        """At every place."""
        body = b"".join(self.make_codec().encode({"a": [1, "text", {1, 2}, 2.5]}))
        for end in range(len(body)):
            self.refused(body[:end])

    def test_bytes_after_a_message_are_refused(self) -> None:
        """One message is one message."""
        body = b"".join(self.make_codec().encode({"a": 1}))
        self.refused(body + body)

    def test_changed_messages_do_no_harm(self) -> None:
        """Any byte may become any of some: read or refused, never another error."""
        codec = self.make_codec()
        values = [{"a": [1, Decimal("2"), {UUID(int=3)}, {4: date(2026, 1, 1)}]}]
        import numpy

        for value in (*values, [numpy.arange(6.0).reshape(2, 3), 1 + 2j]):
            body = b"".join(codec.encode(value))
            for at in range(len(body)):
                for changed in (0, 1, 0x7F, 0x80, 0xC1, 0xFF, body[at] ^ 1):
                    try:
                        codec.decode(body[:at] + bytes([changed]) + body[at + 1 :])
                    except Undecodable as error:
                        assert error.code

    # -- streams --------------------------------------------------------------

    def test_records_of_a_stream(self) -> None:
        """However the stream is cut into pieces."""
        codec = self.make_codec()
        values = [1, "text", {"a": [None]}, Progress(1.0), b"z" * 5000, Finished(None)]
        stream = b"".join(b"".join(codec.record(value)) for value in values)
        for size in (1, 7, 4096, len(stream)):
            pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
            found = list(codec.records(pieces))
            assert found == values

    def test_records_come_one_by_one(self) -> None:
        """A record is there before the next one is sent."""
        codec = self.make_codec()

        def pieces() -> Iterator[bytes]:
            for number in range(3):
                yield b"".join(codec.record({"n": number}))
                assert len(found) == number + 1

        found: list[Any] = []
        for record in codec.records(pieces()):
            found.append(record)
        assert found == [{"n": 0}, {"n": 1}, {"n": 2}]

    def test_a_cut_stream_is_said(self) -> None:
        """The records before are read."""
        codec = self.make_codec()
        stream = b"".join(codec.record([1])) + b"".join(codec.record(["text"]))[:-2]
        records = codec.records([stream])
        assert next(records) == [1]
        try:
            next(records)
        except Undecodable as error:
            assert error.code == "truncated", error.code
        else:
            raise AssertionError("half a record was read")


def _same(found: Any, sent: Any) -> bool:
    if type(found) is not type(sent):
        return False
    if isinstance(sent, dict):
        return found.keys() == sent.keys() and all(
            _same(found[key], sent[key]) for key in sent
        )
    if isinstance(sent, list):
        return len(found) == len(sent) and all(map(_same, found, sent))
    if isinstance(sent, (set, frozenset, Finished, Failed)):
        return bool(found == sent)
    return repr(found) == repr(sent)  # -0.0 is equal to 0.0


def _arrays() -> Iterator[Any]:
    import numpy

    for dtype in DTYPES.split():
        for shape in SHAPES:
            size = math.prod(shape) * numpy.dtype(dtype).itemsize
            octets = bytes(size)  # valid for every element type
            yield numpy.ndarray(shape, dtype, octets or None)
    yield numpy.arange(12, dtype=">i2").reshape(3, 4)
    yield numpy.linspace(0, 1, 10_001)
    yield numpy.array(["a", "bcd"])
    yield numpy.array(["2026-01-01", "NaT"], "M8[D]")
    yield numpy.array([1 + 2j, complex(math.inf, 0)])
