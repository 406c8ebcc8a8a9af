"""Active health."""

from __future__ import annotations

import errno
import gc
import os
import threading
import weakref

import pytest
import webtest
from pyramid.config import Configurator
from requests.adapters import HTTPAdapter

from pyramid_restproxy.forwarding import probes
from pyramid_restproxy.forwarding.health import HealthPolicy
from pyramid_restproxy.forwarding.model import Backend, IGateway
from pyramid_restproxy.forwarding.sources import make_endpoints
from pyramid_restproxy.forwarding.wire import KeepAliveAdapter
from pyramid_restproxy.settings import BackendSettings
from pyramid_restproxy.testing import Answer, FakeBackend

UP, DOWN = Answer(body=b"up"), Answer(500)


def backend_of(*urls, adapter=None, **options):
    settings = BackendSettings(**{"probe_path": "/up", **options})
    endpoints = make_endpoints("b", urls, HealthPolicy())
    return Backend("b", endpoints, settings, adapter or KeepAliveAdapter())


@pytest.mark.parametrize(
    "step, wrong",
    [(UP, ""), (Answer(302), ""), (DOWN, "500"), (None, "connection_terminated")],
)
@pytest.mark.parametrize("adapter", [KeepAliveAdapter, HTTPAdapter])
def test_a_probe(step, wrong, adapter):
    with FakeBackend(step) as fake:
        backend = backend_of(fake.url + "/base", adapter=adapter())
        destination = backend.endpoints[0].destination
        assert probes.probe(backend, destination, "/up") == wrong
        assert fake.requests[0].target == "/base/up"
        assert fake.requests[0].header("Host") == fake.authority


@pytest.mark.parametrize("host, sent", [("preserve", None), ("own.example",) * 2])
def test_the_host_of_a_probe(host, sent):
    with FakeBackend(UP) as fake:
        backend = backend_of(fake.url, host=host)
        probes.probe(backend, backend.endpoints[0].destination, "/up")
        assert fake.requests[0].header("Host") == (sent or fake.authority)


def test_destinations_leave_and_come_back_after_some_probes_in_a_row():
    with FakeBackend(UP, DOWN, UP, DOWN, DOWN, UP, UP) as fake:
        backend = backend_of(fake.url, probe_fails=2, probe_passes=2)
        prober, health = probes.Prober(backend), backend.endpoints[0].health
        states = []
        for _ in range(7):
            prober.look(backend)
            states.append(health.is_closed)
        assert states == [True, True, True, True, False, False, True]


def test_the_thread_starts_on_first_use_and_ends_with_the_backend():
    with FakeBackend(UP) as fake:
        backend = backend_of(fake.url, probe_interval=0.01)
        prober = probes.Prober(backend)
        name = f"probes {id(prober)}"

        def running():
            return [each for each in threading.enumerate() if each.name == name]

        assert not running()
        prober()
        prober()
        (thread,) = running()
        known = weakref.ref(backend)
        backend.adapter.close()
        del backend
        gc.collect()
        thread.join(10)
        assert not running()
        assert known() is None


def test_the_thread_starts_anew_after_a_fork(monkeypatch):
    """What a fork leaves behind is a prober whose thread is in another process."""
    with FakeBackend(UP) as fake:
        backend = backend_of(fake.url, probe_interval=60)
        prober = probes.Prober(backend)
        name = f"probes {id(prober)}"

        def running():
            return [each for each in threading.enumerate() if each.name == name]

        prober()
        (parents,) = running()
        child = os.getpid() + 1
        monkeypatch.setattr(probes.os, "getpid", lambda: child)
        prober()
        prober()
        (own,) = [each for each in running() if each is not parents]
        prober.stop()
        for each in (parents, own):
            each.join(10)
        assert not running()
        backend.adapter.close()


def test_pauses_differ_so_that_processes_do_not_ask_in_step(monkeypatch):
    with FakeBackend(UP) as fake:
        backend = backend_of(fake.url, probe_interval=10)
        prober, pauses = probes.Prober(backend), []

        def wait(seconds):
            pauses.append(seconds)
            if len(pauses) == 20:
                prober.stop()

        monkeypatch.setattr(prober._stopped, "wait", wait)
        prober._run()
        assert all(9 <= each <= 11 for each in pauses)
        assert len(set(pauses)) > 1
        backend.adapter.close()


def test_what_is_known_of_destinations_that_are_gone_is_forgotten():
    with FakeBackend(DOWN) as one, FakeBackend(DOWN) as two:
        backend = backend_of(one.url, two.url, probe_fails=2)
        prober = probes.Prober(backend)
        prober.look(backend)
        stays, goes = backend.endpoints
        backend.endpoints = (stays,)
        prober.look(backend)
        backend.endpoints = (stays, goes)
        prober.look(backend)
        assert (stays.health.is_closed, goes.health.is_closed) == (False, True)
        backend.adapter.close()


def test_a_backend_that_is_probed_from_its_first_use_on():
    """A destination that fails its probes is asked no more, until they pass again."""
    up = threading.Event()
    up.set()

    def answer(seen):
        if seen.target == "/up" and not up.is_set():
            return DOWN
        return Answer(body=b"first")

    with FakeBackend(answer) as first, FakeBackend(Answer(body=b"second")) as second:
        with Configurator() as config:
            config.include("pyramid_restproxy")
            config.add_backend(
                "b",
                [first.url, second.url],
                balance="first",
                probe_path="/up",
                probe_interval=0.01,
                probe_fails=2,
                probe_passes=2,
            )
            config.add_proxy_route("r", "/*path", "b")
            app = webtest.TestApp(config.make_wsgi_app(), lint=False)
        assert not first.requests  # not before it is used
        assert app.get("/x").body == b"first"
        until(lambda: any(seen.target == "/up" for seen in second.requests))
        up.clear()
        until(lambda: app.get("/x").body == b"second")
        up.set()
        until(lambda: app.get("/x").body == b"first")
        backend = config.registry.getUtility(IGateway).backends["b"]
        backend.on_use.stop()
        backend.adapter.close()


def until(condition):
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it does not happen")


def test_the_thread_can_be_stopped():
    with FakeBackend(UP) as fake:
        backend = backend_of(fake.url, probe_interval=60)
        prober = probes.Prober(backend)
        prober()
        (thread,) = [
            t for t in threading.enumerate() if t.name == f"probes {id(prober)}"
        ]
        prober.stop()
        thread.join(10)
        assert not thread.is_alive()
        backend.adapter.close()


def test_a_probe_carries_what_every_request_to_the_backend_gets():
    with FakeBackend(UP) as fake:
        backend = backend_of(fake.url, headers=(("X-Key", "own"),))
        backend.sign = lambda made, scheme: [("X-Signed", made.target)]
        probes.probe(backend, backend.endpoints[0].destination, "/up")
        (asked,) = fake.requests
    assert asked.header("X-Key") == "own"
    assert asked.header("X-Signed") == "/up"


def test_an_adapter_that_raises_what_is_no_failure_ends_no_probes(caplog):
    class Broken(KeepAliveAdapter):
        asked = threading.Semaphore(0)

        def exchange(self, *args, **options):
            self.asked.release()
            raise RuntimeError("a fault of the adapter")

    options = {"probe_interval": 0.001}
    backend = backend_of("http://127.0.0.1:9", adapter=Broken(), **options)
    prober = probes.Prober(backend)
    prober()
    try:
        assert all(Broken.asked.acquire(timeout=10) for _ in range(3))
    finally:
        prober.stop()
    assert "its probes failed" in caplog.text


def test_a_process_without_descriptors_takes_nobody_out(monkeypatch):
    """Bug: probes that could not be sent counted as failed."""

    def no_more(*arguments):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("socket.socket.connect", no_more)
    backend = backend_of("http://127.0.0.1:9", probe_fails=1)
    probes.Prober(backend).look(backend)
    assert backend.endpoints[0].health.is_closed


def test_a_thread_that_cannot_be_started_is_started_with_the_next_request(
    monkeypatch, caplog
):
    """Bug: the request failed, and the destinations were never probed."""
    start = threading.Thread.start

    def no_more(thread):
        monkeypatch.setattr(threading.Thread, "start", start)
        raise RuntimeError("can't start new thread")

    with FakeBackend(UP) as fake:
        backend = backend_of(fake.url, probe_interval=60)
        prober = probes.Prober(backend)
        monkeypatch.setattr(threading.Thread, "start", no_more)
        prober()
        assert "cannot be started" in caplog.text
        prober()
        (thread,) = [
            t for t in threading.enumerate() if t.name == f"probes {id(prober)}"
        ]
        prober.stop()
        thread.join(10)
        backend.adapter.close()
