"""What every store promises, in memory and in a Redis of its own."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from limits import parse
from pyramid.config import Configurator

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.operation.metrics import IFailing
from pyramid_restproxy.trust.limits import IRateLimiter
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.redis_store import RedisStore
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.store import IStore, StoreNonces, make_store, store_of
from pyramid_restproxy.trust.stored import MAX_VALUE, ValueTooLarge
from tests.redis import redis_server


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory, need):
    need("redis-server")
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["memory", "redis"])
def store(request):
    if request.param == "memory":
        return MemoryStore()
    url = request.getfixturevalue("redis_url")
    store = RedisStore(url, timeout=5.0)
    request.addfinalizer(store.close)
    store._link._redis.flushdb()
    return store


VALUE = {"user": "änn", "list": [1, 2.5, None, True], "deep": {"a": {}}}


def test_nothing_is_there(store):
    assert store.get("k") is None
    store.delete("k")


def test_a_value_comes_back(store):
    store.set("k", VALUE, 60)
    assert store.get("k") == VALUE
    store.set("k", 2, 60)
    assert store.get("k") == 2
    store.delete("k")
    assert store.get("k") is None


def test_a_value_is_a_copy(store):
    value = {"list": [1]}
    store.set("k", value, 60)
    value["list"].append(2)
    store.get("k")["list"].append(3)
    assert store.get("k") == {"list": [1]}


def test_add_where_nothing_is(store):
    assert store.add("k", 1, 60)
    assert not store.add("k", 2, 60)
    assert store.get("k") == 1
    store.delete("k")
    assert store.add("k", 3, 60)
    store.set("s", 1, 60)
    assert not store.add("s", 2, 60)


def test_replace_where_something_is(store):
    assert not store.replace("k", 1, 60)
    assert store.get("k") is None
    store.set("k", 1, 60)
    assert store.replace("k", 2, 60)
    assert store.get("k") == 2
    store.add("a", 1, 60)
    assert store.replace("a", 2, 60)
    assert store.get("a") == 2


def test_touch_where_something_is(store):
    assert not store.touch("k", 60)
    assert store.get("k") is None
    store.set("k", VALUE, 0.02)
    store.add("a", 1, 60)
    assert store.touch("k", 60) and store.touch("a", 0.02)
    assert gone(store, "a")
    assert store.get("k") == VALUE


@pytest.mark.parametrize("ttl", [0, -1])
def test_no_time_left(store, ttl):
    store.set("k", 1, 60)
    store.set("k", 2, ttl)
    assert store.get("k") is None
    assert store.add("k", 1, ttl)
    assert store.get("k") is None
    assert not store.replace("k", 1, ttl)
    store.set("k", 1, 60)
    assert not store.add("k", 2, ttl)
    assert store.replace("k", 2, ttl)
    assert store.get("k") is None
    assert not store.touch("k", ttl)
    store.set("k", 1, 60)
    assert store.touch("k", ttl)
    assert store.get("k") is None


def gone(store, key):
    for _ in range(200):
        if store.get(key) is None:
            return True
        time.sleep(0.01)
    return False


def test_the_end_of_its_time(store):
    store.set("s", 1, 0.02)
    store.add("a", 1, 0.02)
    store.set("r", 1, 60)
    store.replace("r", 1, 0.02)
    assert gone(store, "s") and gone(store, "a") and gone(store, "r")
    assert store.add("a", 2, 60)
    assert not store.replace("s", 2, 60)


@pytest.mark.parametrize("method", ["set", "add", "replace"])
def test_what_cannot_be_stored(store, method):
    store.set("old", 1, 60)
    with pytest.raises(ValueTooLarge):
        getattr(store, method)("old", "x" * MAX_VALUE, 60)
    with pytest.raises(TypeError):
        getattr(store, method)("old", object(), 60)
    assert store.get("old") == 1


def test_one_of_many_threads_adds(store):
    won, barrier = [], threading.Barrier(8)

    def add():
        barrier.wait(10)
        won.append(store.add("once", 1, 60))

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(won) == [False] * 7 + [True]


# -- nonces ------------------------------------------------------------------------


def test_a_nonce_is_used_once(store):
    nonces = StoreNonces(store)
    assert nonces.add("n1", 60)
    assert not nonces.add("n1", 60)
    assert nonces.add("n2", 60)
    assert StoreNonces(store).add("n1", 60) is False


def test_the_name_of_a_nonce_is_of_bounded_length(store):
    nonces = StoreNonces(store)
    assert nonces.add("n" * 257, 60)
    assert store.get("nonce:" + "n" * 257) is None
    assert not nonces.add("n" * 257, 60)
    assert nonces.add("n" * 258, 60)


_barrier = None


def start_together(barrier):
    global _barrier
    _barrier = barrier


def add_nonces(url):
    """Add the same nonces at the same moment as the other processes."""
    nonces = StoreNonces(RedisStore(url, timeout=5.0))
    nonces.add("warm-up", 60)
    won = []
    for number in range(20):
        _barrier.wait(30)
        won.append(nonces.add(f"nonce {number}", 60))
    return won


def test_of_eight_processes_one_adds_a_nonce(redis_url):
    context = get_context("spawn")
    with ProcessPoolExecutor(8, context, start_together, (context.Barrier(8),)) as pool:
        found = list(pool.map(add_nonces, [redis_url] * 8))
    assert [sum(each) for each in zip(*found, strict=True)] == [1] * 20


# -- making ------------------------------------------------------------------------


def test_a_store_by_its_url(redis_url):
    assert isinstance(make_store(""), MemoryStore)
    assert isinstance(make_store(redis_url), RedisStore)


def test_redis_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"\[redis\]"):
        make_store("redis://127.0.0.1/0")


def test_the_store_of_an_application(redis_url):
    with Configurator(settings={"restproxy.store": redis_url}) as config:
        config.include("pyramid_restproxy.settings")
    found = store_of(config.registry)
    assert isinstance(found, RedisStore)
    assert store_of(config.registry) is found
    assert config.registry.getUtility(IStore) is found
    assert config.registry.getUtility(IFailing, "trust") is found


def test_a_store_in_memory_does_not_fail():
    with Configurator() as config:
        config.include("pyramid_restproxy.settings")
    assert isinstance(store_of(config.registry), MemoryStore)
    assert config.registry.queryUtility(IFailing, "trust") is None


def test_one_store_though_many_ask_first():
    config = Configurator()
    config.include("pyramid_restproxy.settings")
    config.commit()
    found, barrier = [], threading.Barrier(8)

    def ask():
        barrier.wait(10)
        found.append(store_of(config.registry))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8 and len(set(map(id, found))) == 1


def test_nobody_there_is_no_answer():
    store = RedisStore("redis://127.0.0.1:1/0")
    with pytest.raises(StoreUnavailable):
        StoreNonces(store).add("n", 60)


def test_applications_with_one_redis_and_other_prefixes_are_kept_apart(redis_url):
    blog, bank = make_store(redis_url, "blog"), make_store(redis_url, "bank")
    blog.set("login:ann", {"user": "ann"}, 60)
    assert (blog.get("login:ann"), bank.get("login:ann")) == ({"user": "ann"}, None)
    assert StoreNonces(blog).add("n", 60) and StoreNonces(bank).add("n", 60)


def test_the_setting_of_the_prefix(redis_url):
    settings = {"restproxy.store": redis_url, "restproxy.store.prefix": "blog"}
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")
    store_of(config.registry).set("k", 1, 60)
    assert make_store(redis_url, "blog").get("k") == 1
    config.registry.getUtility(IRateLimiter).take([parse("5/minute")], "ann")
    names = [name.decode() for name in store_of(config.registry)._link._redis.keys()]
    assert [name for name in names if "ann" in name and name.startswith("blog:limits")]
