"""A Redis that hangs, is away, and comes back."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from contextlib import contextmanager

import pytest
from pyramid.exceptions import ConfigurationError

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


# -- one that answers, and refuses


@contextmanager
def linked(tmp_path, *command):
    """Link to a Redis that has a value, and then gets a command."""
    with redis_server(tmp_path) as url:
        link = RedisLink(url, "a test", 5.0, 60.0, Clock())
        link.ask(lambda redis: redis.set("k", "1"))
        link.ask(lambda redis: redis.execute_command(*command))
        yield link
        link.close()


def write(link):
    with pytest.raises(RedisAway):
        link.ask(lambda redis: redis.set("k", "2"))


def test_a_full_one_is_still_read(need, tmp_path, caplog):
    """Each write that it refused switched it off for all who read."""
    need("redis-server")
    with linked(tmp_path, "CONFIG", "SET", "maxmemory", "1") as link:
        for _ in range(3):
            write(link)
            assert ask(link) == b"1"
        assert link.failures == 3
    (said,) = caplog.messages  # the others came in the same pause
    assert said == "the Redis of a test refuses: OutOfMemoryError"


def test_a_replica_is_still_read(need, tmp_path, caplog):
    need("redis-server")
    with linked(tmp_path, "REPLICAOF", "127.0.0.1", "1") as link:
        write(link)
        assert ask(link) == b"1"
    assert caplog.messages == ["the Redis of a test refuses: ReadOnlyError"]


def test_what_it_refuses_is_said_without_what_was_asked(need, tmp_path, caplog):
    need("redis-server")
    clock = Clock()
    with redis_server(tmp_path) as url:
        link = RedisLink(url, "a test", 5.0, 1.0, clock)
        for text in ("MISCONF s3cret", "no such thing: s3cret"):
            script = f"return redis.error_reply('{text}')"
            with pytest.raises(RedisAway):
                link.ask(lambda redis, s=script: redis.eval(s, 0))
            clock.now += 1.0
        link.close()
    one, other = caplog.messages
    assert one.endswith("refuses: ResponseError MISCONF")
    assert other.partition("refuses: ")[2].startswith("ResponseError")
    assert "s3cret" not in caplog.text


def test_a_refusal_ends_a_pause(need, tmp_path):
    need("redis-server")
    clock = Clock()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    link = RedisLink(f"redis://127.0.0.1:{port}/0", "a test", 5.0, 1.0, clock)
    assert ask(link) is None
    with redis_server(tmp_path, port):
        clock.now = 1.0
        with pytest.raises(RedisAway):
            link.ask(lambda redis: redis.incr("k", "no number"))
        link.ask(lambda redis: redis.set("k", "1"))
        assert ask(link) == b"1"
    link.close()


def test_one_that_loads_is_left_alone(caplog):
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    handled = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            handled.append(1)
            while self.request.recv(65536):
                self.request.sendall(b"-LOADING Redis is loading the dataset\r\n")

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"redis://127.0.0.1:{server.server_address[1]}/0?protocol=2"
        link = RedisLink(url, "a test", 5.0, 1.0, Clock())
        assert [ask(link) for _ in range(3)] == [None] * 3
        link.close()
        server.shutdown()
        thread.join(10)
    assert link.failures == len(handled) == 1
    assert "does not answer: BusyLoadingError" in caplog.text


def test_an_option_that_there_is_not_is_refused_at_once_and_not_repeated():
    """Bug: each request was a 500."""
    with pytest.raises(ConfigurationError, match="a test: the URL has an option") as it:
        RedisLink("redis://:s3cret@h/0?foo=bar", "a test", 0.01, 1.0)
    assert "s3cret" not in str(it.value)
