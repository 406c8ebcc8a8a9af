"""The bounds of the store in memory."""

from __future__ import annotations

import pytest

from pyramid_restproxy.trust.memory_store import MAX_ADDED, MemoryStore
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.store import StoreNonces


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
    store = MemoryStore(max_entries=3)
    for key in "abc":
        store.set(key, key, 60)
    store.get("a")
    store.set("d", "d", 60)
    assert [key for key in "abcd" if store.get(key)] == ["a", "c", "d"]


def test_the_number_is_bounded():
    store = MemoryStore(max_entries=50)
    for number in range(10_000):
        store.set(f"client {number}", number, 60)
    assert len(store) == 50


def test_the_size_is_bounded():
    store = MemoryStore(max_bytes=10_000)
    for number in range(100):
        store.set(f"{number:04}", "x" * 738, 60)  # 1000 bytes each
    assert len(store) == 10
    assert store.get("0099")


def test_a_value_larger_than_the_store_does_not_stay():
    store = MemoryStore(max_bytes=1000)
    store.set("k", "x" * 1000, 60)
    assert store.get("k") is None and len(store) == 0


def test_what_was_added_is_not_pushed_out():
    store = MemoryStore(max_entries=10, max_added=10)
    for number in range(10):
        assert store.add(f"nonce {number}", 1, 60)
    for number in range(100):
        store.set(f"login {number}", 1, 60)
    assert not any(store.add(f"nonce {number}", 1, 60) for number in range(10))


def test_no_room_is_no_answer(clock):
    store = MemoryStore(max_added=10, clock=clock)
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
    store = MemoryStore(max_bytes=1000)
    assert store.add("a", "x" * 500, 60)
    with pytest.raises(StoreUnavailable):
        store.add("b", "x" * 500, 60)
    store.delete("a")
    assert store.add("b", "x" * 500, 60)


def test_what_was_deleted_leaves_nothing_behind(clock):
    store = MemoryStore(max_added=1, clock=clock)
    for _ in range(1000):
        store.add("k", "value", 60)
        store.delete("k")
    store.delete("k")
    assert len(store) == store._added.bytes == 0
    (second,) = store._added._seconds.values()
    assert second.names == []
    store.add("k", 1, 120)
    clock.now += 60
    with pytest.raises(StoreUnavailable):
        store.add("l", 1, 60)
    assert store.get("k") == 1


def test_what_ended_makes_room_little_by_little(clock):
    """A process that had many nonces and then a pause does not stand still."""
    store = MemoryStore(clock=clock)
    for number in range(100):
        store.add(f"early {number}", "", 10)
        store.add(f"late {number}", number, 20)
    clock.now += 30
    store.add("next", "", 60)
    assert len(store) == 101
    store.add("after", "", 60)
    assert len(store) == 2 and store._added.bytes == 0


def test_a_full_room_is_cleared_of_all_that_ended(clock):
    store = MemoryStore(max_added=2, clock=clock)
    store.add("a", 1, 10)
    store.add("b", 1, 30)
    clock.now += 20
    assert store.add("c", 1, 10)
    clock.now += 10
    assert store.add("d", 1, 10) and store.add("e", 1, 10)
    with pytest.raises(StoreUnavailable):
        store.add("f", 1, 10)


def test_one_that_is_large_has_the_room_of_several_that_ended(clock):
    store = MemoryStore(max_bytes=1000, clock=clock)
    for number in range(4):
        assert store.add(f"k{number}", "x" * 240, 10 + number)
    clock.now += 20
    assert store.add("large", "x" * 900, 10)
    assert store._added.bytes == 902


def test_what_ended_can_be_added_again(clock):
    store = MemoryStore(clock=clock)
    store.add("k", 1, 10)
    store.add("l", 1, 5)  # this one is dropped first, that one is found
    clock.now += 11
    assert store.add("k", 2, 60)
    assert store.get("k") == 2 and store.get("l") is None
    assert len(store) == 1


def test_what_was_added_stays_for_its_whole_time(clock):
    store = MemoryStore(clock=clock)
    clock.now += 0.5
    store.add("k", "", 10)
    clock.now += 10
    assert store.get("k") == ""
    clock.now += 0.5
    assert store.get("k") is None


def test_there_is_room_for_the_nonces_of_many_signed_requests(clock):
    """50 000 of them were 83 requests a second, and then nobody passed."""
    assert MAX_ADDED / 601 > 1600
    store = MemoryStore(clock=clock)
    nonces = StoreNonces(store)
    for number in range(60_000):
        assert nonces.add(f"nonce {number}", 601)
        clock.now += 0.01
    assert not nonces.add("nonce 0", 601)
    assert not store._added._values


def test_long_names_take_no_more_room(clock):
    store = MemoryStore(clock=clock)
    names = ["x" * 1000, "x" * 1001, "x" * 65, "x" * 64]
    for name in names:
        assert store.add(name, "", 60)
        assert not store.add(name, "", 60)
        assert store.get(name) == ""
    (second,) = store._added._seconds.values()
    assert [len(name) for name in second.names] == [65, 65, 65, 64]
    for name in names:
        store.delete(name)
    assert len(store) == 0
