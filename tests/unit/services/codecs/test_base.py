"""The interface, and codecs by name."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.services.codecs import (
    Codec,
    JsonCodec,
    PickleCodec,
    available,
    codec_of,
    codecs_of,
)
from pyramid_restproxy.services.codecs.base import too_long, truncated


class Own(Codec):
    name = "own"
    media_type = "application/x-own"


def test_the_interface_promises_and_does_nothing():
    own = Own()
    own.require("somebody")
    assert own.media_types == ("application/x-own",)
    for call in (own.encode, own.decode, own.record, own.records):
        with pytest.raises(NotImplementedError):
            call(b"")


def test_codecs_by_name():
    assert isinstance(codec_of("json"), JsonCodec)
    own = Own()
    assert codec_of(own) is own
    assert [each.name for each in codecs_of(["json", own])] == ["json", "own"]
    assert [each.name for each in codecs_of("cbor")] == ["cbor"]
    assert [each.name for each in codecs_of(PickleCodec())] == ["pickle"]
    assert available() == ("json", "msgpack", "cbor")


@pytest.mark.parametrize("given", ["xml", None, 1, PickleCodec])
def test_what_is_no_codec(given):
    with pytest.raises(ConfigurationError):
        codec_of(given)


@pytest.mark.parametrize("given", [[], ["json", "json"]])
def test_lists_that_make_no_sense(given):
    with pytest.raises(ConfigurationError):
        codecs_of(given)


@pytest.mark.parametrize("name, module", [("msgpack", "msgpack"), ("cbor", "cbor2")])
def test_a_missing_library_is_said(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=module):
        codec_of(name)


def test_errors_of_streams():
    assert (truncated().code, too_long().code) == ("truncated", "size")


KEYS = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3)
    ),
    max_leaves=8,
)
VALUES = st.recursive(
    KEYS.filter(lambda key: type(key) is not tuple),
    lambda inner: (
        st.sets(KEYS, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["json", "msgpack", "cbor", "pickle"])
@given(VALUES)
def test_tuples_come_back_where_no_list_can_be(name, value):
    """In sets, and as keys, nested as they like."""
    codec = codec_of(name) if name != "pickle" else PickleCodec()
    assert codec.decode(b"".join(codec.encode(value))) == value
