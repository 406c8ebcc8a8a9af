"""Cache-Control, dates and numbers, as others write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.forwarding.cache.directives import (
    FOREVER,
    cache_control,
    has,
    is_name,
    lines,
    number,
    parse_date,
    request_directives,
    seconds,
    single,
)
from tests.unit.forwarding.cache.calls import DATE, NOW


def control(*values):
    return dict(cache_control([("cache-CONTROL", value) for value in values]))


@pytest.mark.parametrize(
    "values, expected",
    [
        pytest.param([], {}, id="none"),
        pytest.param(["max-age=5"], {"max-age": "5"}, id="5.2-argument"),
        pytest.param(["MAX-Age=5"], {"max-age": "5"}, id="5.2-case"),
        pytest.param(['max-age="5"'], {"max-age": "5"}, id="5.2-quoted"),
        pytest.param(["a , ,b"], {"a": None, "b": None}, id="9110-5.6.1-empty"),
        pytest.param(["a", "b=1"], {"a": None, "b": "1"}, id="9110-5.3-two-lines"),
        pytest.param(["x=1, x=1"], {"x": "1"}, id="same-twice"),
        pytest.param(["max-age=5, max-age=9"], {"max-age": ""}, id="4.2.1-two"),
        pytest.param(["max-age=5", "max-age"], {"max-age": ""}, id="4.2.1-two-lines"),
        pytest.param(
            ['private="a, no-store", x'],
            {"private": "a, no-store", "x": None},
            id="comma-in-quotes",
        ),
        pytest.param(
            ['a="\\", b", no-store'],
            {"a": '\\", b', "no-store": None},
            id="escaped-quote",
        ),
        pytest.param(
            ['a="b, no-store'], {"a": '"b', "no-store": None}, id="open-quote"
        ),
        pytest.param(
            ['a="b\\', "no-store"], {"a": '"b\\', "no-store": None}, id="open-escape"
        ),
        pytest.param(["ä=1, =2, b c, ok"], {"ok": None}, id="not-names"),
        pytest.param(["x="], {"x": ""}, id="no-argument"),
    ],
)
def test_cache_control(values, expected):
    assert control(*values) == expected


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=255), max_size=60)))
def test_cache_control_of_anything(values):
    for name, argument in control(*values).items():
        assert name == name.lower() and is_name(name)
        assert 0 <= seconds(argument) <= FOREVER


@given(st.text(alphabet='a=",\\ 1', max_size=40))
def test_no_store_behind_anything_that_is_closed_counts(text):
    if '"' not in text:
        assert "no-store" in control(text + ",no-store")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z-]{0,9}", fullmatch=True),
        st.none() | st.from_regex(r"[0-9a-z ,]{1,9}", fullmatch=True),
    )
)
def test_what_is_written_is_read(wanted):
    text = ", ".join(
        name if value is None else f'{name}="{value}"' for name, value in wanted.items()
    )
    assert control(text) == wanted


def test_many_quotes_are_read_in_one_pass():
    assert control('"\\' * 30000) == {}


@pytest.mark.parametrize(
    "fields, expected",
    [
        pytest.param([("Pragma", "x, no-cache")], {"no-cache": None}, id="5.4-alone"),
        pytest.param([("Pragma", "x")], {}, id="5.4-other"),
        pytest.param(
            [("Pragma", "no-cache"), ("Cache-Control", "max-age=1")],
            {"max-age": "1"},
            id="5.4-with-cache-control",
        ),
    ],
)
def test_pragma(fields, expected):
    assert dict(request_directives(fields)) == expected


@pytest.mark.parametrize(
    "argument, expected",
    [
        ("0", 0),
        ("60", 60),
        ("0060", 60),
        (None, 0),
        ("", 0),
        ("-1", 0),
        ("1.5", 0),
        ("1e3", 0),
        ("²", 0),
        ("١", 0),
        (str(2**31 + 1), FOREVER),
        ("9" * 5000, FOREVER),
    ],
)
def test_delta_seconds_1_2_2(argument, expected):
    assert seconds(argument) == expected


def test_a_number():
    assert (number("012"), number("x"), number(None)) == (12, None, None)


@pytest.mark.parametrize(
    "value, expected",
    [
        (DATE, NOW),
        ("Sunday, 06-Nov-94 08:49:37 GMT", NOW),
        ("Sun Nov  6 08:49:37 1994", NOW),
        ("Thu, 01 Jan 1970 00:00:60 GMT", 59.0),
        ("Thursday, 01-Jan-69 00:00:00 GMT", 3124224000.0),
        ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ("Sun, 06 Nov 1994 08:49 GMT", None),
        ("Sun, 32 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nox 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sun, ٠6 Nov 1994 08:49:37 GMT", None),
        ("0", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_9110_5_6_7(value, expected):
    assert parse_date(value) == expected


@given(st.text(max_size=40))
def test_any_text_is_a_date_or_none(text):
    assert parse_date(text) is None or isinstance(parse_date(text), float)


def test_fields_are_found_without_regard_to_case():
    fields = [("A", " 1 "), ("b", "2"), ("B", "3")]
    assert lines(fields, "b") == ["2", "3"]
    assert single(fields, "a") == "1"
    assert single(fields, "b") is None
    assert single([("b", "2"), ("b", "2")], "b") == "2"
    assert has(fields, frozenset({"a"})) and not has(fields, frozenset({"c"}))
