"""A Redis that hangs, is away, and comes back."""

from __future__ import annotations

import socket
import sys

import pytest

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.redis_link import RedisAway, RedisLink
from tests.redis import redis_server


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def ask(link):
    """Ask; return the answer, or None where there is none."""
    try:
        return link.ask(lambda redis: redis.get("k"))
    except RedisAway:
        return None


def test_it_is_asked_again_after_the_pause(need, tmp_path, caplog):
    need("redis-server")
    clock = Clock()
    with redis_server(tmp_path) as url:
        link = RedisLink(url, "a test", 5.0, 1.0, clock)
        link.ask(lambda redis: redis.set("k", "1"))
        assert ask(link) == b"1"
    assert [ask(link) for _ in range(3)] == [None, None, None]
    assert link.failures == 1  # the others did not ask
    clock.now = 1.0
    assert ask(link) is None
    assert link.failures == 2
    with redis_server(tmp_path, int(url.rpartition(":")[2].partition("/")[0])):
        clock.now = 2.0
        link.ask(lambda redis: redis.set("k", "2"))
        assert ask(link) == b"2"
    link.close()
    assert "the Redis of a test does not answer: ConnectionError" in caplog.text


def test_after_the_pause_one_caller_tries_for_all():
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        clock = Clock()
        url = f"redis://:pass-word@127.0.0.1:{hanging.getsockname()[1]}"
        link = RedisLink(url, "a test", 0.01, 1.0, clock)
        assert ask(link) is None
        clock.now = 1.0
        tries = []

        def operation(redis):  # while one asks, others come
            tries.append([ask(link) for _ in range(3)])
            return redis.get("k")

        with pytest.raises(RedisAway):
            link.ask(operation)
        assert tries == [[None, None, None]]
        assert link.failures == 2
        link.close()


def test_one_that_hangs_costs_one_timeout(caplog):
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"redis://:pass-word@127.0.0.1:{hanging.getsockname()[1]}"
        link = RedisLink(url, "a test", 0.05, 1.0, Clock())
        assert {ask(link) for _ in range(100)} == {None}
        assert link.failures == 1
        assert "pass-word" not in caplog.text + repr(link)
        link.close()


def test_without_redis_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingExtra, match=r"pyramid_restproxy\[redis\]"):
        RedisLink("redis://localhost", "a test", 1.0, 1.0)
