"""A Redis that goes and comes back, or hangs, while requests are answered.

Caches and rate limits go on without it, and count that; nonces do not (503). What is
asked of it again, and when, is said by pauses: no test here waits for a time.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import contextmanager

import pytest
import redis
import requests
from pyramid.config import Configurator

from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.hmac_auth import HMACAuth
from pyramid_restproxy.trust.limits import STORE_REST, STORE_TIMEOUT, IRateLimiter
from pyramid_restproxy.trust.store import store_of
from tests import wire
from tests.redis import redis_server

CLIENTS = 4
FRESH = Answer(headers=[("Cache-Control", "max-age=600")], body=b"ok")
KEY = "k", b"secret of the client"


@pytest.fixture(autouse=True)
def server(need):
    need("redis-server")


def application(backend, store):
    settings = {"restproxy.store": store, "restproxy.secret": "s"}
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")
        config.add_metrics_view()
        config.add_signing_key(*KEY)
        config.add_backend("b", backend)
        config.add_proxy_route("signed", "/signed/*path", "b", signed=True)
        config.add_proxy_route(
            "r", "/*path", "b", cache=True, rate_limit="1000000/minute"
        )
        return config.make_wsgi_app()


def get(authority, path="/x"):
    return wire.exchange(
        authority, f"GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
    )


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def served(port):
    """A gateway whose store is a Redis that does not run yet."""
    with FakeBackend(FRESH) as backend:
        app = application(backend.url, f"redis://127.0.0.1:{port}/0")
        with wire.served(app) as authority:
            yield authority, app.registry
        gateway = app.registry.getUtility(IGateway)
        gateway.answers.close()
        store_of(app.registry).close()
        shared = app.registry.getUtility(IRateLimiter)._shared
        if shared is not None:
            shared.storage.storage.close()
        gateway.backends["b"].adapter.close()


@contextmanager
def asking(authority):
    """Let clients ask without a pause; give the list of what they get."""
    over, replies = threading.Event(), []

    def ask():
        while not over.is_set():
            replies.append(get(authority))

    clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield replies
    finally:
        over.set()
        for client in clients:
            client.join(30)


def test_nothing_hangs_and_all_recovers(tmp_path, port, served):
    authority, registry = served
    store = registry.getUtility(IGateway).answers
    limiter = registry.getUtility(IRateLimiter)
    with redis_server(tmp_path, port):
        until(lambda: is_hit(get(authority)))
        with asking(authority) as replies:
            seen_by(replies, 50)
            with redis.Redis(port=port) as client:
                client.shutdown(nosave=True)
            seen_by(replies, 50)  # the Redis is gone
            assert store.failures > 0
            assert limiter.failures > 0
            with redis_server(tmp_path, port):
                until(lambda: is_hit(get(authority)))
                failures = limiter.failures
                until(lambda: limiter._clock() >= limiter._rest_until)
                seen_by(replies, 50)
                assert limiter.failures == failures
    assert {reply.status for reply in replies} == {200}


def test_one_that_hangs_holds_nobody_up(tmp_path, port, served):
    authority, registry = served
    store = registry.getUtility(IGateway).answers
    with redis_server(tmp_path, port) as url:
        with redis.Redis.from_url(url) as client:
            pid = client.info("server")["process_id"]
        until(lambda: is_hit(get(authority)))
        with asking(authority) as replies:
            seen_by(replies, 50)
            os.kill(pid, signal.SIGSTOP)
            try:
                seen_by(replies, 200)
                failures = store.failures
                assert failures > 0
                told = get(authority, "/metrics").body.decode()
                assert 'restproxy_store_failures_total{store="cache"}' in told
            finally:
                os.kill(pid, signal.SIGCONT)
            until(lambda: is_hit(get(authority)))
            seen_by(replies, 50)
    assert {reply.status for reply in replies} == {200}


def test_it_is_asked_again_within_two_seconds(served):
    _, registry = served
    store = registry.getUtility(IGateway).answers
    assert STORE_REST + STORE_TIMEOUT < 2
    link = store._link
    timeout = link._redis.connection_pool.connection_kwargs["socket_timeout"]
    assert link._pause + timeout < 2


def test_what_must_be_known_is_refused_until_it_is_back(tmp_path, port, served):
    """Whether a nonce was used before nobody may guess."""
    authority, _ = served

    def signed():
        with requests.Session() as session:
            url = f"http://{authority}/signed/x"
            return session.get(url, auth=HMACAuth(*KEY), timeout=30).status_code

    with redis_server(tmp_path, port):
        assert signed() == 200
    assert {signed() for _ in range(3)} == {503}
    assert get(authority).status == 200
    with redis_server(tmp_path, port):
        until(lambda: signed() == 200)


def is_hit(reply):
    return "; hit" in (reply.get("Cache-Status") or "")


def seen_by(replies, more):
    """Wait for some answers more."""
    wanted = len(replies) + more
    until(lambda: len(replies) >= wanted)


def until(condition):
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it does not happen")
