"""A Redis that does not answer, and one that holds something else."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.trust.redis_store import RedisStore
from pyramid_restproxy.trust.refusals import StoreUnavailable
from tests.redis import redis_server, wait_for


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def server(need):
    need("redis-server")


def operations(store):
    return [
        lambda: store.get("k"),
        lambda: store.set("k", 1, 60),
        lambda: store.add("k", 1, 60),
        lambda: store.add("k", 1, 0),
        lambda: store.replace("k", 1, 60),
        lambda: store.replace("k", 1, 0),
        lambda: store.touch("k", 60),
        lambda: store.delete("k"),
    ]


def test_redis_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"\[redis\]"):
        RedisStore("redis://127.0.0.1/0")


@pytest.mark.parametrize("number", range(8))
def test_nobody_there_is_no_answer(number, caplog):
    store = RedisStore("redis://:s3cret@127.0.0.1:1/0", pause=0)
    with caplog.at_level(logging.WARNING), pytest.raises(StoreUnavailable):
        operations(store)[number]()
    assert store.failures == 1
    assert "ConnectionError" in caplog.text and "s3cret" not in caplog.text


def test_after_an_error_one_tries_after_the_pause():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    clock = Clock()
    store = RedisStore(f"redis://127.0.0.1:{port}/0", pause=1, clock=clock)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.get("k")
    assert store.failures == 1
    clock.now = 1.0
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.get("k")
    assert store.failures == 2


def test_it_is_used_again_when_it_is_back(tmp_path):
    clock = Clock()
    with redis_server(tmp_path) as url:
        store = RedisStore(url, timeout=5.0, clock=clock)
        assert store.add("k", 1, 60)
    with pytest.raises(StoreUnavailable):
        store.get("k")
    with redis_server(tmp_path, int(url.rpartition(":")[2].partition("/")[0])):
        clock.now += 1
        assert store.add("k", 1, 60)
        assert store.get("k") == 1
    store.close()


def test_one_that_hangs_costs_its_timeout(tmp_path):
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, "--save", "", "--dir", str(tmp_path)], stdout=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        clock = Clock()
        store = RedisStore(f"redis://127.0.0.1:{port}/0", clock=clock)
        store.set("k", 1, 60)
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(StoreUnavailable):
            store.get("k")
        os.kill(process.pid, signal.SIGCONT)
        patient = RedisStore(f"redis://127.0.0.1:{port}/0", timeout=5.0)
        assert patient.get("k") == 1
        store.close(), patient.close()
    finally:
        process.kill()
        process.wait(10)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_values_and_names_are_readable_json(tmp_path):
    with redis_server(tmp_path) as url:
        store = RedisStore(url, timeout=5.0)
        store.set("kind:name", {"a": 1}, 60)
        assert store._link._redis.get("restproxy:trust:kind:name") == b'{"a":1}'
        assert 0 < store._link._redis.pttl("restproxy:trust:kind:name") <= 60_000
        store.close()


@pytest.mark.parametrize("content", [b"not json", b"\x80\x04\x95pickle", b"\xff\xfe"])
def test_what_somebody_else_wrote_says_nothing(tmp_path, content):
    with redis_server(tmp_path) as url:
        store = RedisStore(url, timeout=5.0)
        store._link._redis.set("restproxy:trust:k", content)
        with pytest.raises(StoreUnavailable):
            store.get("k")
        store.close()


def test_a_full_redis_takes_nothing_more_and_logs_nobody_out(tmp_path):
    """What it refused was no answer, and then nobody was asked, nobody passed."""
    with redis_server(tmp_path) as url:
        store = RedisStore(url, timeout=5.0, pause=60)
        store.set("login", 1, 60)
        store._link._redis.config_set("maxmemory-policy", "noeviction")
        store._link._redis.config_set("maxmemory", "1")
        with pytest.raises(StoreUnavailable):
            store.add("nonce", 1, 60)
        assert store.get("login") == 1
        assert store.touch("login", 600)
        store.delete("login")
        assert store.get("login") is None
        store.close()
