"""Rate limits."""

from __future__ import annotations

import re
import subprocess
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
import webtest
from limits import parse_many
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError, ConfigurationExecutionError
from pyramid.httpexceptions import HTTPConflict
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.forwarding.forwarded import TrustedProxies
from pyramid_restproxy.operation.metrics import IFailing
from pyramid_restproxy.trust import limits
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.store import store_of
from tests.redis import redis_server


class RemoteUser:
    def authenticated_userid(self, request):
        return request.environ.get("REMOTE_USER")

    identity = authenticated_userid

    def permits(self, request, context, permission):
        return True


class Key:
    name = "team-a"


def app(settings=None, view=None, **options):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.set_security_policy(RemoteUser())
        config.add_route("r", "/r")
        config.add_view(
            view or (lambda request: Response("ok")), route_name="r", **options
        )
        return webtest.TestApp(config.make_wsgi_app())


def statuses(client, times=3, **options):
    return [client.get("/r", status="*", **options).status_int for _ in range(times)]


def test_a_limit_and_its_fields():
    client = app(rate_limit="2/minute")
    first = client.get("/r")
    assert first.headers["RateLimit-Policy"] == '"gateway";q=2;w=60'
    assert re.fullmatch(r'"gateway";r=1;t=\d+', first.headers["RateLimit"])
    client.get("/r")
    refused = client.get("/r", status=429)
    assert refused.content_type == "application/problem+json"
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert refused.headers["RateLimit"].startswith('"gateway";r=0;')


def test_the_nearest_of_several_limits_is_told():
    client = app(rate_limit="5/minute; 2/hour")
    assert client.get("/r").headers["RateLimit-Policy"] == '"gateway";q=2;w=3600'


@pytest.mark.parametrize(
    "first, second, together",
    [
        ({"REMOTE_ADDR": "192.0.2.1"}, {"REMOTE_ADDR": "192.0.2.2"}, False),
        ({"REMOTE_ADDR": "2001:db8::1"}, {"REMOTE_ADDR": "2001:db8::2"}, True),
        ({"REMOTE_ADDR": "2001:db8::1"}, {"REMOTE_ADDR": "2001:db8:1::1"}, False),
        ({"REMOTE_ADDR": "::ffff:1.2.3.4"}, {"REMOTE_ADDR": "::ffff:1.2.3.5"}, False),
        ({"REMOTE_ADDR": "::ffff:7.7.7.7"}, {"REMOTE_ADDR": "7.7.7.7"}, True),
        ({"REMOTE_ADDR": "::FFFF:707:707"}, {"REMOTE_ADDR": "7.7.7.7"}, True),
        ({"REMOTE_ADDR": "unix:"}, {"REMOTE_ADDR": "unix:"}, True),
    ],
)
def test_by_address(first, second, together):
    client = app(rate_limit="1/minute")
    client.get("/r", extra_environ=first)
    client.get("/r", extra_environ=second, status=429 if together else 200)


def test_an_address_that_the_client_claims_does_not_count():
    client = app(rate_limit="1/minute")
    client.get("/r", headers={"X-Forwarded-For": "192.0.2.1"})
    client.get("/r", headers={"X-Forwarded-For": "192.0.2.2"}, status=429)


def test_behind_a_trusted_proxy_its_word_counts():
    client = app({"restproxy.trusted_proxies": "127.0.0.1"}, rate_limit="1/minute")
    peer = {"REMOTE_ADDR": "127.0.0.1"}
    for forwarded, status in [("9.9.9.9, 192.0.2.1", 200), ("8.8.8.8, 192.0.2.1", 429)]:
        headers = {"X-Forwarded-For": forwarded}
        client.get("/r", headers=headers, extra_environ=peer, status=status)


def test_by_user():
    client = app(rate_limit="1/minute", rate_limit_by="user")
    ann, bob = {"REMOTE_USER": "ann"}, {"REMOTE_USER": "bob"}
    assert statuses(client, 2, extra_environ=ann) == [200, 429]
    assert statuses(client, 1, extra_environ=bob) == [200]
    assert statuses(client, 2) == [200, 429]  # who is none, by address


def test_by_the_user_of_a_token():
    """All users of tokens had one count, that of their address."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.set_security_policy(RemoteUser())
        config.set_token_validator(lambda request, token: Identity(token))
        config.add_route("r", "/r")
        config.add_view(
            lambda request: Response("ok"),
            route_name="r",
            user_token="optional",
            rate_limit="1/minute",
            rate_limit_by="user",
        )
        client = webtest.TestApp(config.make_wsgi_app())
    for token in ("ann", "bob", "cid"):
        assert statuses(client, 2, headers={"user-token": token}) == [200, 429]
    # who is logged in may be another one of that name
    ann = {"REMOTE_USER": "ann"}
    assert statuses(client, 2, extra_environ=ann) == [200, 429]
    assert statuses(client, 2) == [200, 429]


def test_by_key():
    request = Request.blank("/")
    request.api_key = Key()
    assert limits.by_key(request) == "key team-a"
    client = app(rate_limit="1/minute", rate_limit_by="key")
    assert statuses(client, 2) == [200, 429]


def test_by_callable():
    def tenant(request):
        return request.headers.get("X-Tenant")

    client = app(rate_limit="1/minute", rate_limit_by=tenant)
    assert statuses(client, 2, headers={"X-Tenant": "a"}) == [200, 429]
    assert statuses(client) == [200, 200, 200]  # None: no limit


def test_views_can_share_a_count():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        for name in ("a", "b", "c"):
            config.add_route(name, f"/{name}")
            scope = None if name == "c" else "both"
            config.add_view(
                lambda request: Response("ok"),
                route_name=name,
                rate_limit="1/minute",
                rate_limit_scope=scope,
            )
        client = webtest.TestApp(config.make_wsgi_app())
    client.get("/a")
    client.get("/b", status=429)
    client.get("/c")


def test_a_view_without_a_route_is_named_by_its_function():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_view(lambda r: Response("ok"), name="x", rate_limit="1/minute")
        client = webtest.TestApp(config.make_wsgi_app())
    client.get("/x")
    client.get("/x", status=429)


@pytest.mark.parametrize(
    "options, says",
    [
        ({"rate_limit": "often"}, "rate_limit='often'"),
        ({"rate_limit": 7}, "rate_limit=7"),
        ({"rate_limit": "1/minute", "rate_limit_by": "name"}, "address, user, key"),
        ({"rate_limit": "1/minute", "rate_limit_by": 7}, "rate_limit_by=7"),
    ],
)
def test_options_that_are_wrong(options, says):
    with pytest.raises((ConfigurationError, ConfigurationExecutionError), match=says):
        app(**options)


def test_a_flood_of_clients_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(limits, "CLIENTS", 8)
    monkeypatch.setattr(limits, "SHARED", 2)
    clock = Clock()
    limiter, items = limits.RateLimiter("", clock), parse_many("100/minute")
    for number in range(500):
        allowed = limiter.take(items, str(number)).allowed
    assert not allowed  # those for whom there is no room share what there is
    assert limiter.take(items, "0").left == 98  # who came before does not
    (windows,) = limiter._own._of_limit.values()
    assert len(windows) == 10
    clock.now += 60
    assert limiter.take(items, "0").left == limiter.take(items, "499").left == 99


def test_the_clock_on_the_wall_does_not_count(monkeypatch):
    """STORE-04: it went back an hour, and a used-up limit refused for that hour."""
    clock, items = Clock(), parse_many("2/second")
    limiter = limits.RateLimiter("", clock)
    assert [limiter.take(items, "one").allowed for _ in range(3)] == [True, True, False]
    monkeypatch.setattr(limits.time, "time", lambda: 1.0)
    assert limiter.take(items, "one").reset == 1
    clock.now += 1
    assert limiter.take(items, "one").allowed


def test_a_window_begins_with_its_first_request():
    clock, items = Clock(), parse_many("2/minute")
    limiter = limits.RateLimiter("", clock)
    assert limiter.take(items, "one") == limits.Allowance(True, 2, 60, 1, 60)
    clock.now += 45.5
    assert limiter.take(items, "one") == limits.Allowance(True, 2, 60, 0, 15)
    assert limiter.take(items, "one") == limits.Allowance(False, 2, 60, 0, 15)
    assert limiter.take(items, "two").reset == 60
    clock.now += 14.5
    assert limiter.take(items, "one").left == 1


def test_what_is_over_is_dropped_and_nothing_is_searched():
    clock, items = Clock(), parse_many("9/minute")
    limiter = limits.RateLimiter("", clock)
    for number in range(100):
        limiter.take(items, str(number))
    (windows,) = limiter._own._of_limit.values()
    clock.now += 60
    limiter.take(items, "99")  # over as well, and not among the first
    assert len(windows) == 98
    for _ in range(60):
        limiter.take(items, "one")
    assert len(windows) == 2


def test_many_threads_count_exactly():
    limiter, items = limits.RateLimiter(), parse_many("500/hour")

    def take(_):
        return sum(limiter.take(items, "one").allowed for _ in range(100))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 500


def test_failures_are_among_the_metrics():
    client = app({"restproxy.store": "redis://127.0.0.1:1/0"}, rate_limit="9/minute")
    registry = client.app.registry
    client.get("/r")
    assert registry.getUtility(IFailing, "limits").failures == 1
    with pytest.raises(StoreUnavailable):
        store_of(registry).get("k")
    assert registry.getUtility(IFailing, "trust").failures == 1


def test_client_addresses():
    trusted = TrustedProxies(["10.0.0.0/8"])

    def found(peer, forwarded=""):
        environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
        return limits.client_address(environ, trusted)

    assert found("192.0.2.1", "1.1.1.1") == "192.0.2.1"
    assert found("10.0.0.1", "1.1.1.1, 192.0.2.7, 10.0.0.2") == "192.0.2.7"
    assert found("10.0.0.1") == "10.0.0.1"
    assert found("10.0.0.1", "10.0.0.2") == "10.0.0.2"


# -- in Redis --------------------------------------------------------------------


@pytest.fixture
def redis(tmp_path):
    with redis_server(tmp_path) as url:
        yield url


def hit(url, times):
    limiter, items = limits.RateLimiter(url), parse_many("50/minute")
    return sum(limiter.take(items, "one").allowed for _ in range(times))


def test_processes_share_a_limit_exactly(redis):
    with ProcessPoolExecutor(4) as pool:
        assert sum(pool.map(hit, [redis] * 4, [40] * 4)) == 50


def test_when_redis_goes_the_count_goes_on_here(tmp_path, caplog):
    clock = Clock()
    with redis_server(tmp_path) as url:
        limiter = limits.RateLimiter(url, clock)
        items = parse_many("2/minute")
        assert limiter.take(items, "one").left == 1
    assert limiter.take(items, "one").left == 1  # its own count
    assert limiter.failures == 1
    limiter.take(items, "one")
    assert limiter.failures == 1  # Redis is left alone for a while
    assert not limiter.take(items, "one").allowed
    clock.now += 2
    limiter.take(items, "one")
    assert limiter.failures == 2
    assert "counted here only" in caplog.text


def test_a_redis_that_hangs_costs_its_timeout_once(tmp_path):
    with redis_server(tmp_path) as url:
        limiter, items = limits.RateLimiter(url), parse_many("9/minute")
        limiter.take(items, "one")
        port = url.rpartition(":")[2].partition("/")[0]
        pause = ["redis-cli", "-p", port, "client", "pause", "5000"]
        subprocess.run(pause, check=True, capture_output=True)
        assert [limiter.take(items, "one").allowed for _ in range(5)] == [True] * 5
        assert limiter.failures == 1


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_redis_must_be_installed(monkeypatch):
    monkeypatch.setattr(limits, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="redis"):
        limits.RateLimiter("redis://h")


def test_what_a_view_raises_tells_what_is_left_too():
    """It was counted, and said nothing of it."""

    def view(request):
        raise HTTPConflict("no")

    client = app(view=view, rate_limit="2/minute")
    for left in "10":
        refused = client.get("/r", status=409)
        assert refused.headers["RateLimit"].startswith(f'"gateway";r={left};')
        assert refused.headers["RateLimit-Policy"] == '"gateway";q=2;w=60'
    refused = client.get("/r", status=429)
    assert len(refused.headers.getall("RateLimit")) == 1


def test_a_backend_that_is_away_is_counted_and_told():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", "http://127.0.0.1:9")
        config.add_proxy_route("r", "/*path", "b", rate_limit="2/minute")
        client = webtest.TestApp(config.make_wsgi_app())
    refused = client.get("/", status=502)
    assert refused.headers["RateLimit"].startswith('"gateway";r=1;')
