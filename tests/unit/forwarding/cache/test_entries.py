"""Entries found by what a request asks."""

from __future__ import annotations

from dataclasses import replace

from pyramid_restproxy.forwarding.cache.entries import Entries
from pyramid_restproxy.forwarding.cache.rules import selecting
from pyramid_restproxy.forwarding.cache.store import MemoryStore
from tests.unit.forwarding.cache.calls import Clock
from tests.unit.forwarding.cache.test_entry import ENTRY

GERMAN, FRENCH = [("Accept-Language", "de")], [("Accept-Language", "fr")]
PLAIN = replace(ENTRY, selected=())


def variant(fields, body=b""):
    selected = selecting(["accept-language"], fields)
    return replace(ENTRY, selected=selected, body=body)


def test_nothing_is_stored():
    assert Entries(MemoryStore()).find("r", []) == ("r", None, "miss")


def test_an_entry_without_variants():
    entries = Entries(MemoryStore())
    entries.put("r", GERMAN, PLAIN, 5)
    assert entries.find("r", FRENCH) == ("r", PLAIN, "miss")
    assert entries.find("s", FRENCH).entry is None


def test_variants_are_apart_c06():
    entries = Entries(MemoryStore())
    german, french = variant(GERMAN, b"de"), variant(FRENCH, b"fr")
    entries.put("r", GERMAN, german, 5)
    assert entries.find("r", FRENCH)[1:] == (None, "vary-miss")
    entries.put("r", FRENCH, french, 5)
    assert entries.find("r", FRENCH).entry == french
    assert entries.find("r", GERMAN).entry == german


def test_what_is_forgotten_does_not_come_back():
    entries = Entries(MemoryStore())
    entries.put("r", GERMAN, variant(GERMAN), 5)
    entries.forget("r")
    assert entries.find("r", GERMAN).missing == "miss"
    entries.put("r", FRENCH, variant(FRENCH), 5)
    assert entries.find("r", GERMAN)[1:] == (None, "vary-miss")


def test_the_note_lives_as_long_as_any_variant():
    clock = Clock(0.0)
    entries = Entries(MemoryStore(clock=clock))
    entries.put("r", GERMAN, variant(GERMAN), 50)
    entries.put("r", FRENCH, variant(FRENCH), 5)
    clock.now = 40
    assert entries.find("r", GERMAN).entry == variant(GERMAN)
    assert entries.find("r", FRENCH).entry is None


def test_answers_that_vary_in_another_way_replace_the_note():
    entries = Entries(MemoryStore())
    entries.put("r", GERMAN, variant(GERMAN), 5)
    other = replace(ENTRY, selected=(("accept", None),))
    entries.put("r", GERMAN, other, 5)
    assert entries.find("r", GERMAN).entry == other
    entries.put("r", GERMAN, PLAIN, 5)
    assert entries.find("r", FRENCH).entry == PLAIN


def test_an_entry_that_was_put_in_the_place_of_another_is_not_used():
    store = MemoryStore()
    Entries(store).put("r", GERMAN, variant(GERMAN), 5)
    slot = Entries(store).find("r", FRENCH).slot
    store.set(slot, variant(GERMAN).to_bytes(slot), 5)
    assert Entries(store).find("r", FRENCH).entry is None


def test_entries_of_another_secret_are_misses():
    store = MemoryStore()
    Entries(store, b"a").put("r", GERMAN, PLAIN, 5)
    assert Entries(store, b"b").find("r", GERMAN).entry is None
    assert Entries(store, b"a").find("r", GERMAN).entry == PLAIN
