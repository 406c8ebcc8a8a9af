"""Destinations that change."""

from __future__ import annotations

import logging
import threading

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.forwarding import sources
from pyramid_restproxy.forwarding.health import HealthPolicy
from pyramid_restproxy.testing import Answer, FakeBackend

POLICY = HealthPolicy()


def urls(endpoints):
    return [(each.url, each.weight) for each in endpoints]


def test_known_endpoints_stay_what_they_are():
    before = sources.make_endpoints("b", ["http://a", "http://b"], POLICY)
    after = sources.make_endpoints("b", [("http://b", 2), "http://c"], POLICY, before)
    assert urls(after) == [("http://b", 2), ("http://c", 1)]
    assert after[0] is before[1]


@pytest.mark.parametrize(
    "given", [["ftp://a"], [("http://a", 0)], [("http://a", "x")], [7]]
)
def test_what_is_no_destination(given):
    with pytest.raises(ConfigurationError):
        sources.make_endpoints("b", given, POLICY)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_provider_is_asked_first_and_then_now_and_then():
    clock, used, said = Clock(), [], [["a"], ["b"]]
    source = sources.Source(lambda: said.pop(0), 30, used.append, clock)
    source()
    source()
    clock.now = 31
    source()
    assert used == [["a"], ["b"]]


def test_a_provider_that_fails_changes_nothing(caplog):
    clock, used = Clock(), []

    def fails():
        raise OSError("away")

    source = sources.Source(fails, 30, used.append, clock)
    with caplog.at_level(logging.ERROR):
        source()
    assert not used
    assert "known ones stay" in caplog.text


def test_one_request_asks_the_others_go_on():
    clock, inside, go_on = Clock(), threading.Event(), threading.Event()
    calls = []

    def provider():
        calls.append(1)
        if len(calls) > 1:
            inside.set()
            go_on.wait(10)
        return []

    source = sources.Source(provider, 30, list, clock)
    source()
    clock.now = 31
    slow = threading.Thread(target=source)
    slow.start()
    assert inside.wait(10)
    source()  # does not wait
    go_on.set()
    slow.join(10)
    assert len(calls) == 2


def test_the_first_requests_wait_for_the_first_list():
    inside, go_on, used = threading.Event(), threading.Event(), []

    def provider():
        inside.set()
        go_on.wait(10)
        return ["a"]

    source = sources.Source(provider, 30, used.append)
    threads = [threading.Thread(target=source) for _ in range(3)]
    for each in threads:
        each.start()
    assert inside.wait(10)
    go_on.set()
    for each in threads:
        each.join(10)
    assert used == [["a"]]


def test_a_file(tmp_path):
    path = tmp_path / "backends"
    path.write_text("# ours\nhttp://a:1 weight=2\n\nhttp://b:2  # slow\n")
    assert list(sources.from_file(str(path))()) == [
        ("http://a:1", 2),
        ("http://b:2", 1),
    ]


def test_a_name():
    found = list(sources.from_dns("http://localhost:8000/base")())
    assert {each.authority for each in found} == {"localhost:8000"}
    assert "http://127.0.0.1:8000/base" in {each.url for each in found}


def test_each_kind_of_address_makes_a_url(monkeypatch):
    def lookup(host, port, type):
        return [(0, 0, 0, "", ("::1", 80, 0, 0)), (0, 0, 0, "", ("10.0.0.1", 80))]

    monkeypatch.setattr(sources.socket, "getaddrinfo", lookup)
    found = list(sources.from_dns("http://users.internal")())
    assert [each.url for each in found] == ["http://10.0.0.1:80", "http://[::1]:80"]


def test_a_name_is_looked_up_again_when_its_time_is_over(monkeypatch):
    """What stays is the same endpoint; where the name server is away, all stay."""
    clock, known, said = Clock(), (), [["10.0.0.1", "10.0.0.2"], ["10.0.0.2"], None]

    def lookup(host, port, type):
        addresses = said.pop(0)
        if addresses is None:
            raise OSError("no name server")
        return [(0, 0, 0, "", (each, port)) for each in addresses]

    def use(given):
        nonlocal known
        known = sources.make_endpoints("b", given, POLICY, known)

    monkeypatch.setattr(sources.socket, "getaddrinfo", lookup)
    source = sources.Source(sources.from_dns("http://users.internal"), 30, use, clock)
    source()
    assert [each.url for each in known] == ["http://10.0.0.1:80", "http://10.0.0.2:80"]
    stays = known[1]
    stays.enabled = False
    clock.now = 29.9
    source()
    assert len(known) == 2
    clock.now = 30
    source()
    assert known == (stays,) and not stays.enabled
    clock.now = 59.9
    source()
    clock.now = 60
    source()
    assert known == (stays,) and not said


@pytest.mark.parametrize("url", ["https://h", "h", "http://", "http://[::1"])
def test_names_that_are_looked_up_in_another_way(url):
    with pytest.raises(ConfigurationError, match="from_dns"):
        sources.from_dns(url)


def test_a_backend_from_a_provider():
    with FakeBackend(Answer(body=b"ok")) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", lambda: [backend.url], probe_path="/up")
        config.add_proxy_route("r", "/*path", "b")
        app = webtest.TestApp(config.make_wsgi_app(), lint=False)
        assert not backend.requests  # nothing is asked on include
        assert app.get("/").body == b"ok"


def test_a_provider_that_has_nothing():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", lambda: [])
        config.add_proxy_route("r", "/*path", "b")
        app = webtest.TestApp(config.make_wsgi_app(), lint=False)
        assert app.get("/", status=503).headers["Retry-After"]


def test_a_file_that_is_empty_while_it_is_written_changes_nothing(tmp_path, caplog):
    """Bug: for that moment nobody could be asked."""
    path, clock, used = tmp_path / "backends", Clock(), []
    path.write_text("http://a:1\n")
    source = sources.Source(sources.from_file(str(path)), 30, used.append, clock)
    source()
    path.write_text("# soon\n")
    clock.now = 31
    source()
    assert used == [[("http://a:1", 1)]]
    assert "names no destination" in caplog.text
