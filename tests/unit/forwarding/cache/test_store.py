"""Stores: one contract for all, and what each does when it is full or gone."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import closing

import pytest

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.forwarding.cache.store import MemoryStore, RedisStore
from tests.unit.forwarding.cache.calls import Clock


class Redis:
    """A redis-server of our own on a unix socket."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.url = f"unix://{folder}/s"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [
                *(self.program, "--port", "0", "--unixsocket", f"{self.folder}/s"),
                *("--save", "", "--appendonly", "no", "--dir", self.folder),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stdout:
            if "eady to accept connections" in line:
                return
        raise AssertionError("redis-server did not start")

    def stop(self):
        self.process.kill()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(scope="module")
def program(need):
    return need("redis-server")


@pytest.fixture(scope="module")
def server(program):
    folder = tempfile.mkdtemp(prefix="rp")  # short: a socket's name must be
    made = Redis(program, folder)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture(params=["memory", "redis"])
def store(request):
    if request.param == "memory":
        yield MemoryStore()
    else:
        url = request.getfixturevalue("server").url
        with closing(RedisStore(url, timeout=5)) as made:
            made._link._redis.flushall()
            yield made
            assert made.failures == 0


# -- the contract --------------------------------------------------------------------


def test_nothing_is_there(store):
    assert store.get("a") is None
    store.delete("a")


def test_what_is_set_is_got(store):
    store.set("a", b"\0\xff", 60)
    store.set("b", b"", 60)
    assert (store.get("a"), store.get("b")) == (b"\0\xff", b"")


def test_the_last_one_counts(store):
    store.set("a", b"1", 60)
    store.set("a", b"2", 60)
    assert store.get("a") == b"2"


def test_what_is_deleted_is_gone(store):
    store.set("a", b"1", 60)
    store.delete("a")
    assert store.get("a") is None


@pytest.mark.parametrize("ttl", [0, -1, 0.0001])
def test_what_has_no_time_replaces_and_is_not_there(store, ttl):
    store.set("a", b"1", 60)
    store.set("a", b"2", ttl)
    assert store.get("a") in (None, b"2")
    if ttl <= 0:
        assert store.get("a") is None


def test_many_threads_use_one_store(store):
    failures = []

    def work(number):
        for turn in range(50):
            value = f"{number}-{turn}".encode()
            store.set(f"k{number}", value, 60)
            if store.get(f"k{number}") != value:
                failures.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# -- memory --------------------------------------------------------------------------


def test_an_entry_ends_by_the_clock_of_the_store():
    clock = Clock(0.0)
    store = MemoryStore(clock=clock)
    store.set("a", b"1", 10)
    clock.now = 9.9
    assert store.get("a") == b"1"
    clock.now = 10
    assert store.get("a") is None
    assert (len(store), store.size) == (0, 0)


def test_what_was_not_used_for_longest_goes_first():
    store = MemoryStore(max_entries=2)
    store.set("a", b"1", 60)
    store.set("b", b"2", 60)
    store.get("a")
    store.set("c", b"3", 60)
    assert [store.get(key) for key in "abc"] == [b"1", None, b"3"]


def test_bytes_are_bounded():
    store = MemoryStore(max_bytes=3 * (MemoryStore.OVERHEAD + 101))
    for key in "abcd":
        store.set(key, bytes(100), 60)
    assert len(store) == 3 and store.get("a") is None
    store.set("d", bytes(300), 60)
    assert store.get("d") == bytes(300)
    assert store.size == len("cd") + 400 + 2 * MemoryStore.OVERHEAD


def test_what_is_too_large_is_not_stored_and_drives_nothing_out():
    store = MemoryStore(max_bytes=1000)
    store.set("a", b"1", 60)
    store.set("b", b"2", 60)
    store.set("b", bytes(1000), 60)
    assert (store.get("a"), store.get("b")) == (b"1", None)


def test_a_flood_of_keys_stays_bounded_store_03():
    store = MemoryStore(max_bytes=100_000, max_entries=200)
    for number in range(20_000):
        store.set(f"k{number}", b"x", 60)
    assert len(store) == 200 and store.size <= 100_000
    assert store.get("k19999") == b"x"


# -- redis ---------------------------------------------------------------------------


def test_processes_share_and_prefixes_keep_apart(server):
    stores = [RedisStore(server.url, prefix, 5) for prefix in ("a:", "a:", "b:")]
    stores[0].set("k", b"1", 60)
    assert [store.get("k") for store in stores] == [b"1", b"1", None]
    assert 0 < stores[0]._link._redis.pttl("a:k") <= 60_000
    for store in stores:
        store.close()


def test_a_value_of_another_type_is_a_miss(server):
    with closing(RedisStore(server.url, "x:", 5)) as store:
        store._link._redis.rpush("x:list", "1")
        assert store.get("list") is None
        assert store.failures == 1
        store._link._redis.delete("x:list")


def test_it_fails_open_pauses_and_recovers(program, tmp_path, caplog):
    folder = tempfile.mkdtemp(prefix="rp")
    server = Redis(program, folder)
    server.start()
    clock = Clock(0.0)
    store = RedisStore(server.url, timeout=5, pause=1.0, clock=clock)
    try:
        store.set("a", b"1", 60)
        assert store.get("a") == b"1"
        server.stop()
        assert store.get("a") is None
        assert store.failures == 1
        store.set("a", b"1", 60)
        store.delete("a")
        assert store.failures == 1  # not asked
        clock.now = 1.0
        assert store.get("a") is None
        assert store.failures == 2  # asked once after the pause
        server.start()
        assert store.get("a") is None
        clock.now = 2.0
        store.set("a", b"2", 60)
        assert store.get("a") == b"2"
        assert store.failures == 2
    finally:
        store.close()
        server.stop()
        shutil.rmtree(folder)
    assert "the Redis of the cache does not answer" in caplog.text


def test_a_redis_that_hangs_costs_one_timeout(caplog):
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        url = f"redis://:pass-word@127.0.0.1:{port}"
        with closing(RedisStore(url, clock=Clock(0.0))) as store:
            for _ in range(100):
                assert store.get("a") is None
            assert store.failures == 1
            assert "pass-word" not in caplog.text + repr(store)


def test_without_redis_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"pyramid_restproxy\[redis\]"):
        RedisStore("redis://localhost")
