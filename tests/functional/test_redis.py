"""A Redis that goes and comes back while requests are answered."""

from __future__ import annotations

import socket
import threading

from pyramid.config import Configurator

from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.limits import IRateLimiter
from tests import wire
from tests.redis import redis_server

CLIENTS = 4


def application(backend, store):
    settings = {"restproxy.store": store, "restproxy.secret": "s"}
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend)
        config.add_proxy_route(
            "r", "/*path", "b", cache=True, rate_limit="1000000/minute"
        )
        return config.make_wsgi_app()


def get(authority):
    return wire.exchange(
        authority, f"GET /x HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
    )


def test_nothing_hangs_and_all_recovers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    fresh = Answer(headers=[("Cache-Control", "max-age=600")], body=b"ok")
    over, replies = threading.Event(), []

    def ask():
        while not over.is_set():
            replies.append(get(authority))

    with FakeBackend(fresh) as backend:
        app = application(backend.url, f"redis://127.0.0.1:{port}/0")
        store = app.registry.getUtility(IGateway).answers
        limiter = app.registry.getUtility(IRateLimiter)
        with wire.served(app) as authority:
            clients = [threading.Thread(target=ask) for _ in range(CLIENTS)]
            try:
                with redis_server(tmp_path, port):
                    until(lambda: is_hit(get(authority)))
                    for client in clients:
                        client.start()
                    seen_by(replies, 50)
                seen_by(replies, 50)  # the Redis is gone
                assert store.failures > 0
                assert limiter.failures > 0
                with redis_server(tmp_path, port):
                    until(lambda: is_hit(get(authority)))
                    failures = limiter.failures
                    until(lambda: limiter._clock() >= limiter._rest_until)
                    seen_by(replies, 50)
                    assert limiter.failures == failures
            finally:
                over.set()
                for client in clients:
                    if client.is_alive():
                        client.join(30)
    assert {reply.status for reply in replies} == {200}


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
