"""What values become, and what tags are."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from pyramid_restproxy.services.values import (
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_LISTS,
    MAX_ODD_KEYS,
    MAX_WRITTEN,
    Dialect,
    Failed,
    Finished,
    Progress,
    Undecodable,
    Unencodable,
    array_of,
    check_depth,
    check_number,
    mapping_of,
    parts_of,
    revive,
    set_of,
)

PLAIN = Dialect(lambda kind, payload: (kind, payload))


class Told:
    def __json__(self, request):
        return {"told": date(2026, 1, 1)}


class Text(str):
    pass


def test_an_object_tells_its_form():
    assert PLAIN.tagged(Told()) == {"told": ("date", "2026-01-01")}


def test_subclasses_of_plain_types():
    found = PLAIN.tagged([Text("a"), OrderedDict(a=1)])
    assert found == ["a", {"a": 1}] and type(found[0]) is str


def test_native_types_are_left():
    native = Dialect(PLAIN.tag, frozenset({date}), words=True, finite=True)
    day = date(2026, 1, 1)
    assert native.tagged([day, 2**64, float("inf"), 1.5, True]) == [
        day,
        ("int", "0x10000000000000000"),
        ("float", "inf"),
        1.5,
        True,
    ]


def test_without_numpy_nothing_is_an_array(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(Unencodable, match="object"):
        PLAIN.tagged(object())
    with pytest.raises(Undecodable, match="NumPy"):
        array_of("<f8", [0], b"")


@pytest.mark.parametrize(
    "kind, payload",
    [
        ("nothing", 1),
        (None, 1),
        ([], 1),
        ("date", "2026-13-01"),
        ("date", 1),
        ("date", "2026-01-01" + " " * 100),
        ("decimal", "one"),
        ("decimal", "1" * 10_001),
        ("uuid", "0"),
        ("timedelta", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("timedelta", [10**30, 0, 0]),
        ("complex", [1, 2, 3]),
        ("bytes", "?"),
        ("bytes", 1),
        ("set", {"a": 1}),
        ("set", [{}]),
        ("set", [[set()]]),
        ("frozenset", 1),
        ("dict", 1),
        ("dict", 0),
        ("dict", {}),
        ("dict", [[1]]),
        ("dict", [[{}, 1]]),
        ("dict", [[[1, {}], 1]]),
        ("dict", [[1, 2], [1, 3]]),
        ("dict", [[[1], 2], [[1], 3]]),
        ("float", "one"),
        ("int", "0xg"),
        ("ndarray", [1]),
        ("ndarray", ["<f8", [1], "AA=="]),
        ("progress", [1, 2]),
        ("progress", [1, 2, 3]),
        ("progress", ["x", 2, ""]),
        ("failed", 1),
        ("failed", [[1, 2]]),
    ],
)
def test_tags_that_are_none(kind, payload):
    with pytest.raises(Undecodable) as caught:
        revive(kind, payload)
    assert caught.value.code in ("tag", "array", "duplicate-key")


def test_events_come_with_numbers():
    assert revive("progress", [1, None, "x"]) == Progress(1.0, None, "x")


@pytest.mark.parametrize(
    "dtype, shape, data",
    [
        ("|O", [1], bytes(8)),
        ("<f8,<f8", [1], bytes(16)),
        ("f8", [1], bytes(8)),
        (1, [1], bytes(8)),
        ("|V8", [1], bytes(8)),
        ("<m8[zz]", [1], bytes(8)),
        ("<f8", "1", bytes(8)),
        ("<f8", [1.0], bytes(8)),
        ("<f8", [True], bytes(8)),
        ("<f8", [-1], bytes(8)),
        ("<f8", [1] * 33, bytes(8)),
        ("<f8", [2], bytes(8)),
        ("<f8", [1], "12345678"),
        ("<f8", [0, 2**62], b""),
        ("|S0", [2**40], b""),
    ],
)
def test_arrays_that_are_none(dtype, shape, data):
    with pytest.raises(Undecodable) as caught:
        array_of(dtype, shape, data)
    assert caught.value.code == "array"


def test_tuples_as_members_and_keys():
    """A service answered with them, and the client said that it cannot read them."""
    assert revive("set", [[1, [2, []]], 3]) == {(1, (2, ())), 3}
    assert revive("frozenset", [[frozenset({(1,)})]]) == {(frozenset({(1,)}),)}
    assert revive("dict", [[[0, 1], [2]], ["a", []]]) == {(0, 1): [2], "a": []}


@pytest.mark.parametrize(
    "kind, entry", [("set", lambda key: key), ("dict", lambda key: [key, 1])]
)
def test_tuples_as_members_and_keys_are_bounded(kind, entry):
    deep = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert len(revive(kind, [entry(deep)])) == 1
    many = [[number] for number in range(MAX_ODD_KEYS + 1)]
    assert len(revive(kind, list(map(entry, many[1:])))) == MAX_ODD_KEYS
    for keys, code in (([[deep]], "depth"), (many, "keys")):
        with pytest.raises(Undecodable) as caught:
            revive(kind, list(map(entry, keys)))
        assert caught.value.code == code


@pytest.mark.parametrize(
    "kind, entry", [("set", lambda m: m), ("dict", lambda k: [k, 0])]
)
def test_long_tuples_that_share_a_hash_are_bounded(kind, entry):
    """Bug: each was compared with all before it over its whole length."""

    def tuples(length):
        return [
            [0] * (length - 10) + [-1 - (n >> b & 1) for b in range(10)]
            for n in range(1000)
        ]

    assert len(revive(kind, list(map(entry, tuples(16))))) == 1000
    with pytest.raises(Undecodable) as caught:
        revive(kind, list(map(entry, tuples(17))))
    assert caught.value.code == "keys"


def test_keys_that_may_collide_are_few():
    bad = [n * (2**61 - 1) for n in range(2, MAX_ODD_KEYS + 3)]
    for make in (lambda: mapping_of([k, 1] for k in bad), lambda: set_of(bad)):
        with pytest.raises(Undecodable) as caught:
            make()
        assert caught.value.code == "keys"
    assert len(set_of(list(range(5000)))) == 5000
    assert len(mapping_of([f"{n}", n] for n in range(5000))) == 5000
    assert len(set_of([float(n) for n in range(MAX_ODD_KEYS)])) == MAX_ODD_KEYS


@pytest.mark.parametrize("wrap", [list, tuple, lambda v: {"a": v[0]}])
def test_depth(wrap):
    value = 1
    for _ in range(MAX_DEPTH):
        value = wrap([value])
    check_depth(value)
    with pytest.raises(Undecodable) as caught:
        check_depth(wrap([value]))
    assert caught.value.code == "depth"


def test_depth_of_what_contains_itself():
    endless = []
    endless.append(endless)
    with pytest.raises(Undecodable):
        check_depth(endless)


@pytest.mark.parametrize(
    "kind, text",
    [
        ("decimal", "1e999999999"),
        ("decimal", "0e999999999"),
        ("decimal", "-1e-999999999"),
        ("decimal", f"1e{MAX_DIGITS}"),
        ("decimal", "1" * (MAX_DIGITS + 1)),
        ("decimal", "0." + "0" * MAX_DIGITS + "1"),
        ("int", hex(10**MAX_DIGITS)),
        ("int", hex(-(10**MAX_DIGITS))),
    ],
)
def test_numbers_that_are_too_large_are_not_read(kind, text):
    with pytest.raises(Undecodable) as caught:
        revive(kind, text)
    assert caught.value.code == "number"


def test_numbers_that_are_just_not_too_large():
    most = 10**MAX_DIGITS - 1
    assert revive("int", hex(-most)) == -most
    assert revive("decimal", str(most)) == most
    assert revive("decimal", f"1e{MAX_DIGITS - 1}") == 10 ** (MAX_DIGITS - 1)
    assert revive("decimal", "-Infinity") == -Decimal("Infinity")


@pytest.mark.parametrize(
    "value",
    [
        [10**MAX_WRITTEN],
        [-(10**MAX_WRITTEN)],
        {10**MAX_WRITTEN: 1},
        Decimal(f"1e{MAX_WRITTEN}"),
        Decimal("1" * (MAX_WRITTEN + 1)),
        Decimal("0." + "1" * 10_000),
    ],
)
def test_numbers_that_are_too_large_are_not_written(value):
    with pytest.raises(Unencodable):
        PLAIN.tagged(value)


def test_what_was_read_may_be_added_up():
    most = 10**MAX_DIGITS - 1
    assert PLAIN.tagged([most + most]) == [most + most]
    assert PLAIN.tagged(Decimal(most) + 1)[0] == "decimal"


@pytest.mark.parametrize(
    "shape, size",
    [
        ([2**40, 0], 0),
        ([0, 2**40], 0),
        ([MAX_LISTS + 1, 0], 0),
        ([2, 0, MAX_LISTS], 0),
        ([MAX_LISTS] + [1] * 31, MAX_LISTS),
    ],
)
def test_shapes_that_become_very_many_lists(shape, size):
    with pytest.raises(Undecodable) as caught:
        array_of("|u1", shape, bytes(size))
    assert caught.value.code == "array"


@pytest.mark.parametrize(
    "shape", [[1000, 0], [0, 1000], [0], [300, 28, 28, 1], [500_000, 1], [1] * 32]
)
def test_shapes_of_everyday(shape):
    size = math.prod(shape)
    assert array_of("|u1", shape, bytes(size)).shape == tuple(shape)


def test_the_end_of_a_stream_counts_as_a_level():
    value = 1
    for _ in range(MAX_DEPTH + 1):
        value = Finished(value)
    with pytest.raises(Undecodable):
        check_depth(value)
    with pytest.raises(Undecodable):
        check_depth(Failed({"a": value}))


def test_a_set_is_one_level_both_ways():
    value = 1
    for _ in range(MAX_DEPTH):
        value = frozenset([value])
    check_depth(value)
    PLAIN.tagged(value)


def test_parts():
    value = {"a": [1, {2}], 3: Finished((Failed({"b": 4}), None))}
    assert set(parts_of(value)) == {"a", 1, 2, 3, "b", 4, None}
    assert list(parts_of(5)) == [5]


@pytest.mark.parametrize("text", ["1e999999999", " -1E99999_9 ", "1" * 20_000])
def test_text_that_would_become_a_large_decimal(text):
    with pytest.raises(Undecodable):
        check_number(text)


@pytest.mark.parametrize("text", ["", "1.5", "1..5", "e9999", "text", "x" * 20_000])
def test_text_that_would_not(text):
    check_number(text)


@pytest.mark.parametrize(
    "text, second, microsecond",
    [
        ("2026-02-03T04:05:06Z", 6, 0),
        ("2026-02-03t04:05:06z", 6, 0),
        ("2026-02-03T04:05Z", 0, 0),
        ("2026-02-03T04:05:06.1Z", 6, 100_000),
        ("2026-02-03T04:05:06.1234+00:00", 6, 123_400),
        ("2026-02-03T04:05:06.123456789Z", 6, 123_456),
        ("2026-02-03 05:05:06.000001+01:00", 6, 1),
    ],
)
def test_moments_as_others_write_them(text, second, microsecond):
    """Python 3.10 read no ``Z``, and no fraction but of three or six digits."""
    expected = datetime(2026, 2, 3, 4, 5, second, microsecond, timezone.utc)
    assert revive("datetime", text) == expected
    assert (
        revive("time", text[11:])
        == datetime.fromisoformat(f"2026-02-03T{expected.timetz()}")
        .astimezone(revive("datetime", text).tzinfo)
        .timetz()
    )


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 2, 3, 4, 5, 6),
        datetime(2026, 2, 3, 4, 5, 6, 7),
        datetime(2026, 2, 3, tzinfo=timezone(timedelta(seconds=3723, microseconds=5))),
    ],
)
def test_moments_as_python_writes_them(moment):
    assert revive("datetime", moment.isoformat()) == moment
    assert revive("time", moment.timetz().isoformat()) == moment.timetz()


@pytest.mark.parametrize("kind", ["datetime", "time"])
@pytest.mark.parametrize("text", ["", "Z", "04:05:06.", "2026-02-03Z", "25:00:00Z", 1])
def test_moments_that_are_none(kind, text):
    with pytest.raises(Undecodable):
        revive(kind, text)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_arrays_can_be_written_to(kind):
    array = array_of("|u1", [3], kind(b"abc"))
    array += 1
    assert array.tobytes() == b"bcd"
