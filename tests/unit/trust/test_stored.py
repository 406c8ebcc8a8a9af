"""How values and names look in a store."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.trust.stored import MAX_VALUE, ValueTooLarge, encoded, hashed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_is_written_can_be_read(value):
    assert json.loads(encoded(value)) == value


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}])
def test_what_is_no_json_is_not_written(value):
    with pytest.raises(TypeError):
        encoded(value)


def test_numbers_that_json_does_not_have():
    with pytest.raises(ValueError):
        encoded(float("nan"))


def test_the_limit():
    assert len(encoded("x" * (MAX_VALUE - 2))) == MAX_VALUE
    with pytest.raises(ValueTooLarge, match=str(MAX_VALUE)) as found:
        encoded("x" * (MAX_VALUE - 1))
    assert "xxx" not in str(found.value)


def test_a_name_does_not_give_the_secret_away():
    name = hashed("token", "s3cret")
    assert name.startswith("token:") and len(name) == len("token:") + 64
    assert "s3cret" not in name
    assert name == hashed("token", "s3cret") != hashed("login", "s3cret")
    assert hashed("token", "\ud800")  # what a server makes of odd bytes
