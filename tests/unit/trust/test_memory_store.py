"""The bounds of the store in memory."""

from __future__ import annotations

import pytest

from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.refusals import StoreUnavailable


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_time_is_that_of_its_clock(clock):
    store = MemoryStore(clock=clock)
    store.set("s", 1, 10)
    store.add("a", 1, 10)
    clock.now += 9.9
    assert (store.get("s"), store.get("a")) == (1, 1)
    clock.now += 0.1
    assert (store.get("s"), store.get("a")) == (None, None)
    assert len(store) == 0


def test_what_was_used_last_stays():
    store = MemoryStore(max_entries=6)
    for key in "abc":
        store.set(key, key, 60)
    store.get("a")
    store.set("d", "d", 60)
    assert [key for key in "abcd" if store.get(key)] == ["a", "c", "d"]


def test_the_number_is_bounded():
    store = MemoryStore(max_entries=100)
    for number in range(10_000):
        store.set(f"client {number}", number, 60)
    assert len(store) == 50


def test_the_size_is_bounded():
    store = MemoryStore(max_bytes=2 * 10_000)
    for number in range(100):
        store.set(f"{number:04}", "x" * 738, 60)  # 1000 bytes each
    assert len(store) == 10
    assert store.get("0099")


def test_a_value_larger_than_the_store_does_not_stay():
    store = MemoryStore(max_bytes=1000)
    store.set("k", "x" * 1000, 60)
    assert store.get("k") is None and len(store) == 0


def test_what_was_added_is_not_pushed_out():
    store = MemoryStore(max_entries=20)
    for number in range(10):
        assert store.add(f"nonce {number}", 1, 60)
    for number in range(100):
        store.set(f"login {number}", 1, 60)
    assert not any(store.add(f"nonce {number}", 1, 60) for number in range(10))


def test_no_room_is_no_answer(clock):
    store = MemoryStore(max_entries=20, clock=clock)
    store.set("login", 1, 1000)
    for number in range(10):
        store.add(f"nonce {number}", 1, 60)
    with pytest.raises(StoreUnavailable):
        store.add("one more", 1, 60)
    assert store.get("one more") is None
    assert store.get("login") == 1  # the others have their own room
    clock.now += 60
    assert store.add("one more", 1, 60)


def test_no_room_for_the_bytes():
    store = MemoryStore(max_bytes=2 * 1000)
    assert store.add("a", "x" * 500, 60)
    with pytest.raises(StoreUnavailable):
        store.add("b", "x" * 500, 60)
    store.delete("a")
    assert store.add("b", "x" * 500, 60)


def test_what_was_deleted_leaves_nothing_behind(clock):
    store = MemoryStore(max_entries=20, clock=clock)
    for _ in range(1000):
        store.add("k", 1, 60)
        store.delete("k")
    assert len(store._ends) <= 21
    store.add("k", 1, 120)
    clock.now += 60
    assert store.add("l", 1, 60)  # what ended under the same name was another one
    assert store.get("k") == 1
