"""Entries as bytes: what is not whole and ours is a miss."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.forwarding.cache import entry as module
from pyramid_restproxy.forwarding.cache.entry import (
    Entry,
    Variants,
    read_record,
    slot_of,
)
from tests.unit.forwarding.cache.calls import DATE, NOW

ENTRY = Entry(
    status=200,
    reason="Ok, fine",
    fields=[("ETag", '"\xe4"'), ("Cache-Control", "max-age=60"), ("Date", DATE)],
    body=b"\0\xffhello",
    selected=(("accept", "a"), ("cookie", None)),
    asked=NOW - 1,
    received=NOW + 0.5,
    destination="http://b/base",
)
VARIANTS = Variants(("accept", "cookie"), "abc", 5.0)


@pytest.mark.parametrize("record", [ENTRY, VARIANTS])
@pytest.mark.parametrize("secret", [b"", b"secret"])
def test_what_is_written_is_read(record, secret):
    assert read_record(record.to_bytes("slot", secret), "slot", secret) == record


text = st.text(alphabet=st.characters(max_codepoint=255))


@given(st.lists(st.tuples(text, text)), st.binary(), st.binary())
def test_anything_that_is_written_is_read(fields, body, secret):
    entry = replace(ENTRY, fields=fields, body=body)
    assert Entry.from_bytes(entry.to_bytes("slot", secret), "slot", secret) == entry


def test_a_note_of_variants_is_not_an_entry():
    assert Entry.from_bytes(VARIANTS.to_bytes("slot"), "slot") is None


@pytest.mark.parametrize("secret", [b"", b"secret"])
def test_cut_or_changed_bytes_are_a_miss_cache_05(secret):
    data = ENTRY.to_bytes("slot", secret)
    for size in range(len(data)):
        assert read_record(data[:size], "slot", secret) is None
        changed = bytearray(data)
        changed[size] ^= 1
        assert read_record(bytes(changed), "slot", secret) is None
    assert read_record(data + b"\0", "slot", secret) is None


@given(st.binary(max_size=200))
def test_other_bytes_are_a_miss_cache_05(data):
    assert read_record(data, "slot") is None


def test_a_pickle_is_a_miss_cache_05():
    assert read_record(pickle.dumps(["x" * 100]), "slot") is None


def test_an_entry_in_another_place_is_a_miss():
    assert read_record(ENTRY.to_bytes("slot"), "other") is None


def test_an_entry_of_another_secret_is_a_miss():
    data = ENTRY.to_bytes("slot", b"secret")
    assert read_record(data, "slot", b"other") is None
    assert read_record(data, "slot") is None
    assert read_record(ENTRY.to_bytes("slot"), "slot", b"secret") is None


@pytest.mark.parametrize("head", [[], {}, {"generation": 1}, None, {"status": 200}])
def test_a_whole_record_of_another_making_is_a_miss(head):
    assert read_record(module._seal(head, b"", "slot", b""), "slot") is None


def test_a_head_that_is_not_json_is_a_miss(monkeypatch):
    monkeypatch.setattr(json, "dumps", lambda head, **options: "nothing")
    assert read_record(module._seal({}, b"", "slot", b""), "slot") is None


def test_an_entry_is_for_requests_that_select_it():
    assert ENTRY.is_for([("Accept", " a ")])
    assert not ENTRY.is_for([("Accept", "a"), ("Cookie", "b")])
    assert not ENTRY.is_for([])
    assert replace(ENTRY, selected=()).is_for([("Accept", "b")])


def test_an_entry_knows_how_fresh_it_is():
    assert dict(ENTRY.said) == {"max-age": "60"}
    assert ENTRY.freshness(NOW + 10.5) == (60, 11.5)


def test_places_are_told_apart():
    assert slot_of("a", "b") == slot_of("a", "b")
    places = {
        slot_of("a", "b"),
        slot_of("ab", ""),
        slot_of("a", None),
        slot_of("a", "null"),
        slot_of(["a", "b"]),
        slot_of('a","b'),
    }
    assert len(places) == 6


def test_variants_have_places_of_their_own():
    slot = VARIANTS.slot("x", [("Accept", "a")])
    assert slot == VARIANTS.slot("x", [("ACCEPT", "a "), ("Other", "b")])
    assert slot != VARIANTS.slot("y", [("Accept", "a")])
    assert slot != VARIANTS.slot("x", [("Accept", "b")])
    assert slot != replace(VARIANTS, generation="b").slot("x", [("Accept", "a")])
