"""Active health."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from requests.adapters import HTTPAdapter

from pyramid_restproxy.forwarding import probes
from pyramid_restproxy.forwarding.health import HealthPolicy
from pyramid_restproxy.forwarding.model import Backend
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
