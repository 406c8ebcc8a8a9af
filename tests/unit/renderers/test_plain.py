from __future__ import annotations

import enum
import json
from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup
from pyramid.renderers import JSON
from pyramid.threadlocal import get_current_registry

from pyramid_restproxy.renderers.plain import Plain, encodable

Point = namedtuple("Point", "x y")
Color = enum.Enum("Color", {"RED": "red"}, type=str)
EAST = timezone(timedelta(hours=1))


class Level(enum.IntEnum):
    HIGH = 3


class Weight(float):
    pass


@dataclass
class Post:
    id: int
    at: date


class Own:
    def __json__(self, request):
        return {"by": Point(1, request)}


class Adapted:
    pass


class Endless:
    def __json__(self, request):
        return [Endless()]


FORMS = [
    (None, None),
    (True, True),
    (date(2026, 1, 2), "2026-01-02"),
    (datetime(2026, 1, 2, 3, tzinfo=EAST), "2026-01-02T03:00:00+01:00"),
    (time(3, 4), "03:04:00"),
    (Decimal("1.50"), "1.50"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Color.RED, "red"),
    (Level.HIGH, 3),
    (Weight(1.5), 1.5),
    (Markup("<b>"), "<b>"),
    (Post(1, date(2026, 1, 2)), {"id": 1, "at": "2026-01-02"}),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset({1}), [1]),
    (b"\x00\xff", "AP8="),
    (bytearray(b"a"), "YQ=="),
    (memoryview(b"a"), "YQ=="),
    (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    (MappingProxyType({"a": (1,)}), {"a": [1]}),
    (Point(1, 2), [1, 2]),
    (range(2), [0, 1]),
    ({date(2026, 1, 2): 1, 2: 3, None: 4}, {"2026-01-02": 1, 2: 3, None: 4}),
]


@pytest.mark.parametrize(("value", "form"), FORMS, ids=lambda each: repr(each)[:30])
def test_built_in_forms(value, form):
    found = Plain().plain(value)
    assert found == form
    assert type(found) is type(form)


def test_a_set_that_cannot_be_sorted():
    assert set(Plain().plain({1, "a"})) == {1, "a"}


def test_a_generator():
    assert Plain().plain(n for n in "ab") == ["a", "b"]


def test_json_method_gets_the_request():
    assert Plain(request="the request").plain([Own()]) == [{"by": [1, "the request"]}]


def test_adapters_of_the_json_renderer(config):
    renderer = JSON()
    renderer.add_adapter(Adapted, lambda obj, request: {"for": request})
    renderer.add_adapter(date, lambda obj, request: obj.year)
    config.add_renderer("json", renderer)
    plain = Plain(get_current_registry(), "me").plain
    assert plain(Adapted()) == {"for": "me"}
    assert plain(date(2026, 1, 2)) == 2026
    assert plain(time(1)) == "01:00:00"


def test_native_types_are_left():
    plain = Plain(native=(bytes, Decimal)).plain
    assert plain([b"a", bytearray(b"b")]) == [b"a", b"b"]
    assert type(plain(Decimal("1.5"))) is Decimal


@pytest.mark.parametrize("value", [object(), Post, 1j], ids=repr)
def test_no_plain_form(value):
    with pytest.raises(TypeError, match="no plain form.*add_adapter") as caught:
        Plain().plain(value)
    assert repr(type(value).__qualname__) in str(caught.value)


def test_a_key_must_be_a_scalar():
    with pytest.raises(TypeError, match="cannot be a key"):
        Plain().plain({(1, 2): 3})


def test_what_contains_itself():
    value: list = []
    value.append({"again": value})
    with pytest.raises(ValueError, match="100 levels deep"):
        Plain().plain(value)


def test_a_json_method_that_never_ends():
    with pytest.raises(ValueError, match="100 levels deep"):
        Plain().plain(Endless())


def test_depth_that_is_allowed():
    value: object = 1
    for _ in range(100):
        value = [value]
    assert Plain().plain(value) == value


def _is_plain(value):
    if isinstance(value, dict):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return type(value) in {type(None), bool, int, float, str}


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.uuids()
    | st.sampled_from([Color.RED, Level.HIGH])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text(), inner)
        | st.frozensets(SCALARS)
    ),
)


@given(VALUES)
def test_plain_data_is_what_comes_out(value):
    found = Plain().plain(value)
    assert _is_plain(found)
    assert isinstance(found, (dict, list)) == isinstance(
        value, (Mapping, list, tuple, frozenset)
    )


@given(VALUES)
def test_the_hook_of_encoders_agrees_with_the_walk(value):
    plain = Plain()
    written = json.dumps(value, default=plain.default)
    assert written == json.dumps(plain.plain(value))


def test_each_lone_surrogate_is_one_replacement_character():
    value = {"\udfff\ud800a": ["é\U0001f642\ud83d", 1, None, b"\xff"]}
    assert encodable(value) == {
        "\ufffd\ufffda": ["é\U0001f642\ufffd", 1, None, b"\xff"]
    }


@given(st.text())
def test_text_that_utf_8_has_stays(text):
    assert encodable(text) == text
