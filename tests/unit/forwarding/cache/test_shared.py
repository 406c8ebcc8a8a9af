"""The cache between the forwarder and a backend."""

from __future__ import annotations

import logging
import threading
import time
from types import SimpleNamespace

import pytest

from pyramid_restproxy.forwarding.cache import shared as module
from pyramid_restproxy.forwarding.cache.shared import SharedCache
from pyramid_restproxy.forwarding.cache.store import MemoryStore
from pyramid_restproxy.forwarding.failures import Failure, ForwardingFailed, failed
from tests.unit.forwarding.cache.calls import (
    DATE,
    DESTINATION,
    Clock,
    Origin,
    answer,
    cacheable,
    call,
    read,
)

TAG = ("ETag", '"1"')
DOWN = failed(Failure.CONNECTION_REFUSED, "b")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    return make(clock)


def make(clock, store=None, **options):
    store = MemoryStore() if store is None else store
    return SharedCache(store, clock=clock, name="c", **options)


def ask(cache, origin, path="/x", **more):
    """Ask and read the answer to its end."""
    made = more.pop("made", None) or call(path, **more)
    given = cache.answer(made, origin)
    return SimpleNamespace(
        status=given.status,
        reason=given.reason,
        get=given.headers.get,
        told=given.headers.get("Cache-Status"),
        content=read(given),
        call=made,
    )


# -- hits and misses -----------------------------------------------------------------


def test_the_second_request_is_a_hit(cache, clock):
    origin = Origin(
        cacheable(b"hel", b"lo", fields=[("X-A", "1"), ("Server", "s"), ("Date", DATE)])
    )
    first = ask(cache, origin)
    assert (first.content, first.told) == (b"hello", "c; fwd=miss; stored")
    clock.now += 7
    second = ask(cache, origin)
    assert (second.status, second.reason, second.content) == (200, "OK", b"hello")
    assert (second.told, second.get("Age")) == ("c; hit; ttl=53", "7")
    assert (second.get("X-A"), second.get("Date")) == ("1", DATE)
    assert second.get("Transfer-Encoding") is second.get("Server") is None
    assert second.call.destination.url == DESTINATION.url
    assert second.call.destination.base_path == DESTINATION.base_path
    assert len(origin.calls) == 1


def test_hits_do_not_share_their_fields(cache):
    origin = Origin(cacheable())
    ask(cache, origin)
    cache.answer(call(), origin).headers.set("X-A", "1")
    assert ask(cache, origin).get("X-A") is None


def test_a_stale_answer_is_fetched_again(cache, clock):
    origin = Origin(cacheable(b"1"), cacheable(b"2"))
    ask(cache, origin)
    clock.now += 60
    assert ask(cache, origin).content == b"2"
    assert len(origin.calls) == 2


def test_an_answer_without_date_gets_one(cache):
    origin = Origin(answer(fields=[("Cache-Control", "max-age=60")]))
    assert ask(cache, origin).get("Date") is None
    assert ask(cache, origin).get("Date") == DATE


def test_an_answer_whose_destination_is_not_known(cache):
    origin = Origin(cacheable())

    def send(sent):
        given = origin(sent)
        sent.destination = None
        return given

    ask(cache, send)
    assert ask(cache, send).call.destination is None


def test_head_is_answered_from_a_stored_get(cache):
    origin = Origin(cacheable(fields=[("X-A", "1")]))
    ask(cache, origin)
    head = ask(cache, origin, method="HEAD")
    assert (head.content, head.get("X-A")) == (b"", "1")
    assert head.told == "c; hit; ttl=60"


def test_head_is_not_stored(cache):
    origin = Origin(cacheable(b""), cacheable(b"", fields=[TAG]), cacheable())
    assert ask(cache, origin, method="HEAD").told == "c; fwd=miss"
    assert ask(cache, origin, method="HEAD").told == "c; fwd=miss"
    assert ask(cache, origin).told == "c; fwd=miss; stored"


def test_a_stale_head_is_passed_on_without_conditions(cache, clock):
    origin = Origin(cacheable(fields=[TAG]), cacheable(b""))
    ask(cache, origin)
    clock.now += 61
    assert ask(cache, origin, method="HEAD").told == "c; fwd=stale"
    assert "if-none-match" not in origin.calls[1].fields


@pytest.mark.parametrize(
    "given, fields",
    [
        pytest.param({"fields": [("Set-Cookie", "s=1")]}, [], id="set-cookie"),
        pytest.param({}, [("Authorization", "Bearer a")], id="authorization"),
        pytest.param({"control": "private, max-age=60"}, [], id="private"),
        pytest.param({"control": "no-store, max-age=60"}, [], id="no-store"),
        pytest.param({"fields": [("Vary", "*")]}, [], id="vary"),
        pytest.param({"status": 500}, [], id="status"),
        pytest.param({"control": "max-age=0"}, [], id="never-fresh"),
        pytest.param({"fields": [("Age", "60")]}, [], id="stale-on-arrival"),
        pytest.param({"framed": False}, [], id="no-known-end"),
        pytest.param({}, [("Cache-Control", "no-store")], id="request-no-store"),
    ],
)
def test_not_stored_cache_01(cache, given, fields):
    origin = Origin(cacheable(**given), cacheable(**given))
    assert ask(cache, origin, fields=fields).told == "c; fwd=miss"
    assert ask(cache, origin, fields=fields).told == "c; fwd=miss"
    assert len(origin.calls) == 2


def test_credentials_that_a_transform_took_out_count(cache):
    origin = Origin(cacheable(), cacheable())
    environ = {"HTTP_AUTHORIZATION": "Bearer a"}
    assert ask(cache, origin, environ=environ).told == "c; fwd=miss"
    assert ask(cache, origin).told == "c; fwd=miss; stored"


def test_other_credentials_can_be_named(clock):
    cache = make(clock, credentials=["X-User"])
    origin = Origin(cacheable())
    assert ask(cache, origin, fields=[("x-user", "a")]).told == "c; fwd=miss"
    origin = Origin(cacheable())
    assert ask(cache, origin, fields=[("Authorization", "a")]).told == "c; fwd=miss"


def test_what_a_trusted_proxy_says_of_a_user_is_a_credential(cache):
    origin = Origin(cacheable(), cacheable())
    assert ask(cache, origin, fields=[("X-Forwarded-User", "a")]).told == "c; fwd=miss"
    assert ask(cache, origin, fields=[("X-Forwarded-For", "192.0.2.9")]).told == (
        "c; fwd=miss; stored"
    )


@pytest.mark.parametrize(
    "path", ["/account.php/x.css", "/account;.js", "/account%2f..%2fstatic.css"]
)
def test_names_do_not_make_answers_cacheable_cache_03(cache, path):
    origin = Origin(answer(), answer())
    ask(cache, origin, path)
    assert ask(cache, origin, path).told == "c; fwd=miss"


@pytest.mark.parametrize(
    "changed",
    [
        {"body": b"a", "length": 1},
        {"fields": [("X-Original-URL", "/admin")]},
        {"fields": [("X-HTTP-Method-Override", "DELETE")]},
        {"fields": [("Range", "bytes=0-1")]},
        {"environ": {"REQUEST_METHOD": "POST"}},
    ],
)
def test_what_is_not_keyed_bypasses_the_cache_cache_02(cache, changed):
    origin = Origin(cacheable(b"poison"), cacheable(b"good"))
    assert ask(cache, origin, **changed).told == "c; fwd=bypass"
    assert ask(cache, origin).content == b"good"


def test_variants_c06(cache):
    vary = [("Vary", "Accept-Language")]
    origin = Origin(cacheable(b"de", fields=vary), cacheable(b"fr", fields=vary))
    german, french = [("Accept-Language", "de")], [("Accept-Language", "fr")]
    ask(cache, origin, fields=german)
    second = ask(cache, origin, fields=french)
    assert (second.content, second.told) == (b"fr", "c; fwd=vary-miss; stored")
    assert ask(cache, origin, fields=german).content == b"de"
    assert ask(cache, origin, fields=french).content == b"fr"
    assert len(origin.calls) == 2


def test_fields_of_the_key(clock):
    cache = make(clock, key_fields=["X-Tenant"])
    origin = Origin(cacheable(b"1"), cacheable(b"2"))
    assert ask(cache, origin, fields=[("X-Tenant", "1")]).content == b"1"
    assert ask(cache, origin, fields=[("X-Tenant", "2")]).content == b"2"
    assert ask(cache, origin, fields=[("X-Tenant", "1")]).content == b"1"


def test_scopes_and_secrets_are_apart(clock):
    store = MemoryStore()
    origin = Origin(*(cacheable() for _ in range(3)))
    for options in ({}, {"scope": "s"}, {"secret": b"a"}):
        told = ask(make(clock, store, **options), origin).told
        assert told == "c; fwd=miss; stored"


def test_a_clock_that_is_turned_back_makes_no_answer_young_store_04(cache, clock):
    origin = Origin(cacheable(b"1"), cacheable(b"2"))
    ask(cache, origin)
    clock.now -= 3600
    assert ask(cache, origin).content == b"2"


# -- what is on its way --------------------------------------------------------------


def test_a_body_that_is_too_long_is_not_stored(clock):
    cache = make(clock, max_body=5)
    long = [("Content-Length", "6")]
    origin = Origin(
        cacheable(b"123456"), cacheable(b"123456", fields=long), cacheable()
    )
    assert ask(cache, origin).told == "c; fwd=miss; stored"  # as it seemed
    assert ask(cache, origin).told == "c; fwd=miss"
    assert ask(cache, origin).content == b"hello"
    assert ask(cache, origin).told == "c; hit; ttl=60"


def test_a_cut_body_is_not_stored(cache):
    origin = Origin(cacheable(b"hel", OSError("cut")), cacheable())
    with pytest.raises(OSError):
        ask(cache, origin)
    assert ask(cache, origin).told == "c; fwd=miss; stored"


def test_what_a_client_does_not_read_is_not_stored(cache):
    origin = Origin(cacheable(b"hel", b"lo"), cacheable())
    given = cache.answer(call(), origin)
    given.body.read_piece()
    given.close()
    assert ask(cache, origin).told == "c; fwd=miss; stored"


def test_a_broken_store_frees_those_that_wait(clock):
    class Broken(MemoryStore):
        def set(self, key, value, ttl):
            raise RuntimeError("full")

    cache = make(clock, Broken())
    origin = Origin(cacheable(), cacheable(control="no-store"))
    with pytest.raises(RuntimeError):
        ask(cache, origin)
    assert ask(cache, origin).told == "c; fwd=miss"


# -- what the client asks ------------------------------------------------------------


def test_a_client_can_ask_the_backend(cache):
    origin = Origin(cacheable(b"1"), cacheable(b"2"))
    ask(cache, origin)
    asked = ask(cache, origin, fields=[("Cache-Control", "no-cache")])
    assert (asked.content, asked.told) == (b"2", "c; fwd=request; stored")
    assert ask(cache, origin).content == b"2"


def test_a_client_can_want_the_backend_not_to_be_asked(cache, clock):
    origin = Origin(cacheable())
    only = [("Cache-Control", "only-if-cached")]
    refused = ask(cache, origin, fields=only)
    assert (refused.status, refused.content) == (504, b"")
    assert refused.told == "c; detail=only-if-cached"
    ask(cache, origin)
    assert ask(cache, origin, fields=only).content == b"hello"
    clock.now += 60
    assert ask(cache, origin, fields=only).status == 504
    stale = [("Cache-Control", "only-if-cached, max-stale")]
    assert ask(cache, origin, fields=stale).told == "c; hit; ttl=0"


@pytest.mark.parametrize(
    "condition, status",
    [
        (("If-None-Match", '"1"'), 304),
        (("If-None-Match", '"2"'), 200),
        (("If-Modified-Since", DATE), 304),
    ],
)
def test_a_client_has_it_already(cache, condition, status):
    typed = [TAG, ("Content-Type", "text/plain")]
    origin = Origin(cacheable(fields=typed))
    ask(cache, origin)
    again = ask(cache, origin, fields=[condition])
    assert again.status == status
    assert again.get("ETag") == '"1"'
    assert (again.content == b"") is (status == 304)
    assert (again.get("Content-Type") is None) is (status == 304)
    assert again.told == "c; hit; ttl=60"


def test_only_a_200_is_not_modified(cache):
    origin = Origin(cacheable(status=404, fields=[TAG]))
    ask(cache, origin)
    assert ask(cache, origin, fields=[("If-None-Match", '"1"')]).status == 404


def test_conditions_of_the_client_go_on_where_nothing_is_stored(cache):
    origin = Origin(answer(b"", status=304, fields=[TAG]), cacheable())
    asked = ask(cache, origin, fields=[("If-None-Match", '"1"')])
    assert (asked.status, asked.told) == (304, "c; fwd=miss")
    assert origin.calls[0].fields["if-none-match"] == '"1"'
    assert ask(cache, origin).told == "c; fwd=miss; stored"


# -- validation ----------------------------------------------------------------------


def test_a_304_makes_it_fresh_again(cache, clock):
    origin = Origin(
        cacheable(fields=[TAG, ("X-A", "1"), ("Age", "5")]),
        cacheable(b"", status=304, control="max-age=90", fields=[("X-A", "2")]),
    )
    ask(cache, origin)
    clock.now += 60
    fresh = ask(cache, origin, fields=[("If-None-Match", '"0"')])
    assert origin.calls[1].fields["if-none-match"] == '"1"'
    assert (fresh.status, fresh.content, fresh.get("X-A")) == (200, b"hello", "2")
    assert fresh.told == "c; fwd=stale; fwd-status=304; stored"
    assert fresh.call.headers.get("If-None-Match") == '"0"'
    assert ask(cache, origin).told == "c; hit; ttl=90"
    assert len(origin.calls) == 2


def test_a_304_answers_a_client_that_has_it_already(cache, clock):
    origin = Origin(cacheable(fields=[TAG]), cacheable(b"", status=304))
    ask(cache, origin)
    clock.now += 70
    asked = ask(cache, origin, fields=[("If-None-Match", '"1"')])
    assert (asked.status, asked.content) == (304, b"")


def test_a_client_that_wants_to_hear_it_from_the_backend(cache):
    origin = Origin(cacheable(fields=[TAG]), cacheable(b"", status=304))
    ask(cache, origin)
    asked = ask(cache, origin, fields=[("Pragma", "no-cache")])
    assert asked.told == "c; fwd=request; fwd-status=304; stored"


def test_a_304_that_forbids_storing_takes_it_away(cache):
    origin = Origin(
        cacheable(control="no-cache", fields=[TAG]),
        cacheable(b"", status=304, control="private"),
        cacheable(),
    )
    ask(cache, origin)
    asked = ask(cache, origin)
    assert (asked.content, asked.told) == (b"hello", "c; fwd=stale; fwd-status=304")
    assert ask(cache, origin).told == "c; fwd=miss; stored"


def test_a_304_about_another_answer_is_not_believed(cache):
    origin = Origin(
        cacheable(b"1", control="no-cache", fields=[TAG]),
        cacheable(b"", status=304, fields=[("ETag", '"2"')]),
        cacheable(b"2"),
    )
    ask(cache, origin)
    assert ask(cache, origin).content == b"2"
    assert "if-none-match" not in origin.calls[2].fields


def test_an_answer_that_may_not_be_kept_replaces_the_kept_one(cache):
    origin = Origin(cacheable(b"1"), answer(b"2"), cacheable(b"3"))
    ask(cache, origin)
    assert ask(cache, origin, fields=[("Cache-Control", "no-cache")]).content == b"2"
    assert ask(cache, origin).content == b"3"


def test_an_error_does_not_replace_it(cache):
    origin = Origin(cacheable(b"1"), answer(b"2", status=500))
    ask(cache, origin)
    assert ask(cache, origin, fields=[("Cache-Control", "no-cache")]).status == 500
    assert ask(cache, origin).content == b"1"


# -- errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error, told",
    [
        (DOWN, "c; fwd=stale; detail=stale-if-error"),
        (answer(status=503), "c; fwd=stale; fwd-status=503; detail=stale-if-error"),
    ],
)
def test_a_stale_answer_stands_in_for_an_error(cache, clock, error, told):
    origin = Origin(cacheable(control="max-age=60, stale-if-error=30"), error)
    ask(cache, origin)
    clock.now += 90
    stale = ask(cache, origin)
    assert (stale.status, stale.content, stale.told) == (200, b"hello", told)
    assert stale.get("Age") == "90"


def test_an_error_is_passed_on_where_nothing_may_stand_in(cache, clock):
    origin = Origin(cacheable(), answer(status=503), DOWN, cacheable())
    ask(cache, origin)
    clock.now += 90
    assert ask(cache, origin).status == 503
    with pytest.raises(ForwardingFailed):
        ask(cache, origin)
    assert ask(cache, origin).told == "c; fwd=stale; stored"


def test_an_answer_that_is_not_used_is_closed(cache, clock):
    failing = answer(status=503)
    origin = Origin(cacheable(control="max-age=60, stale-if-error=30"), failing)
    ask(cache, origin)
    clock.now += 60
    ask(cache, origin)
    assert failing.body.closed


# -- invalidation --------------------------------------------------------------------


def test_a_change_takes_the_answer_away(cache):
    origin = Origin(cacheable(b"1"), answer(), cacheable(b"2"))
    ask(cache, origin)
    assert ask(cache, origin, method="PUT").told == "c; fwd=method"
    assert ask(cache, origin).content == b"2"


def test_a_change_takes_all_variants_away(cache):
    vary = [("Vary", "Accept")]
    origin = Origin(
        cacheable(fields=vary), answer(), cacheable(fields=vary), cacheable(fields=vary)
    )
    ask(cache, origin, fields=[("Accept", "a")])
    ask(cache, origin, method="DELETE")
    ask(cache, origin, fields=[("Accept", "b")])
    assert ask(cache, origin, fields=[("Accept", "a")]).told.startswith("c; fwd=vary")


@pytest.mark.parametrize("status, hit", [(404, True), (303, False)])
def test_a_change_that_failed_is_none(cache, status, hit):
    origin = Origin(cacheable(), answer(status=status), cacheable())
    ask(cache, origin)
    ask(cache, origin, method="POST")
    assert ask(cache, origin).told.startswith("c; hit") is hit


def test_a_safe_method_changes_nothing(cache):
    origin = Origin(cacheable(), answer())
    ask(cache, origin)
    ask(cache, origin, method="OPTIONS")
    assert ask(cache, origin).told.startswith("c; hit")


def test_what_location_names_is_taken_away(cache):
    location = ("Location", "http://backend:8080/base/y?a=1")
    origin = Origin(cacheable(), answer(status=201, fields=[location]), cacheable())
    ask(cache, origin, "/y?a=1")
    ask(cache, origin, "/x", method="POST")
    assert ask(cache, origin, "/y?a=1").told == "c; fwd=miss; stored"


def test_what_was_fetched_during_a_change_is_not_kept(cache):
    origin = Origin(
        cacheable(b"o", lambda: ask(cache, change, method="PUT"), b"ld"),
        cacheable(b"new"),
    )
    change = Origin(answer())
    assert ask(cache, origin).content == b"old"
    assert ask(cache, origin).content == b"new"


# -- many at once --------------------------------------------------------------------


class Gate:
    """An origin that says when it was asked and answers when it may."""

    def __init__(self, *answers):
        self.origin = Origin(*answers)
        self.asked = threading.Event()
        self.open = threading.Event()

    def __call__(self, sent):
        self.asked.set()
        assert self.open.wait(30)
        return self.origin(sent)

    @property
    def calls(self):
        return self.origin.calls


class Crowd:
    """Requests in threads of their own, and what became of them."""

    def __init__(self, cache, send, monkeypatch):
        self.waiting = threading.Semaphore(0)
        self.answers, self.errors = [], []
        self._cache, self._send = cache, send
        self._threads = []
        joined = cache._flights.join

        def join(*place):
            found = joined(*place)
            if not found[1]:
                self.waiting.release()
            return found

        monkeypatch.setattr(cache._flights, "join", join)

    def add(self, count=1, **more):
        for _ in range(count):
            thread = threading.Thread(target=self._ask, kwargs=more)
            self._threads.append(thread)
            thread.start()

    def _ask(self, **more):
        try:
            self.answers.append(ask(self._cache, self._send, **more))
        except ForwardingFailed as error:
            self.errors.append(error)

    def wait_for(self, count):
        """Wait until so many wait for another's answer."""
        for _ in range(count):
            assert self.waiting.acquire(timeout=30)

    def join(self):
        for thread in self._threads:
            thread.join(30)
        return sorted(each.told for each in self.answers)


def lead(cache, gate, monkeypatch, followers, **more):
    """Let one ask and others wait for it."""
    crowd = Crowd(cache, gate, monkeypatch)
    crowd.add()
    assert gate.asked.wait(30)
    crowd.add(followers, **more)
    crowd.wait_for(followers)
    return crowd


def test_a_hundred_misses_are_one_request_cache_04(clock, monkeypatch):
    cache, gate = make(clock, lock_timeout=60), Gate(cacheable())
    crowd = lead(cache, gate, monkeypatch, 99)
    gate.open.set()
    told = crowd.join()
    assert told == ["c; fwd=miss; collapsed"] * 99 + ["c; fwd=miss; stored"]
    assert {each.content for each in crowd.answers} == {b"hello"}
    assert len(gate.calls) == 1


def test_a_failing_leader_frees_the_others_cache_04(clock, monkeypatch):
    cache = make(clock, lock_timeout=60)
    gate = Gate(DOWN, *(cacheable() for _ in range(5)))
    crowd = lead(cache, gate, monkeypatch, 5)
    gate.open.set()
    assert crowd.join() == ["c; fwd=miss; stored"] * 5
    assert crowd.errors == [DOWN]


def test_an_answer_that_cannot_be_kept_frees_the_others(clock, monkeypatch):
    cache = make(clock, lock_timeout=60)
    gate = Gate(*(answer() for _ in range(5)))
    crowd = lead(cache, gate, monkeypatch, 4)
    gate.open.set()
    assert crowd.join() == ["c; fwd=miss"] * 5


def test_a_leader_that_takes_too_long_is_not_waited_for(clock, monkeypatch):
    cache = make(clock, lock_timeout=0.01)
    gate, direct = Gate(cacheable()), Origin(cacheable(b"own"))
    crowd = Crowd(cache, gate, monkeypatch)
    crowd.add()
    assert gate.asked.wait(30)
    assert ask(cache, direct).content == b"own"
    gate.open.set()
    crowd.join()


def test_a_slow_client_does_not_hold_up_the_others_for_ever(clock):
    cache = make(clock, lock_timeout=0.01)
    origin = Origin(cacheable(b"1", b"2"), cacheable(b"own"))
    slow = cache.answer(call(), origin)
    slow.body.read_piece()
    assert ask(cache, origin).content == b"own"
    assert read(slow) == b"2"


def test_where_the_leader_leaves_one_of_the_others_begins_anew(clock, monkeypatch):
    """All of them asked the backend, at once."""
    cache, gate = make(clock, lock_timeout=60), Gate(cacheable(), cacheable(b"late"))
    crowd = Crowd(cache, gate, monkeypatch)
    gate.open.set()
    leader = cache.answer(call(), gate)
    gate.open.clear()
    crowd.add(20)
    crowd.wait_for(20)
    leader.close()
    crowd.wait_for(19)
    gate.open.set()
    told = crowd.join()
    assert told == ["c; fwd=miss; collapsed"] * 19 + ["c; fwd=miss; stored"]
    assert {each.content for each in crowd.answers} == {b"late"}
    assert len(gate.calls) == 2


def test_leaders_that_leave_hold_nobody_up_for_ever(clock, monkeypatch):
    cache = make(clock, lock_timeout=0.01)
    origin = Origin(cacheable(), cacheable(b"own"))
    leader = cache.answer(call(), origin)
    joined = cache._flights.join

    def join(*place):
        flight, leads = joined(*place)
        monkeypatch.setattr(flight.__class__, "wait", wait)
        return flight, leads

    def wait(flight, until):
        leader.close()
        while time.monotonic() < until:
            pass

    monkeypatch.setattr(cache._flights, "join", join)
    assert ask(cache, origin).content == b"own"


def test_those_of_another_variant_collapse_among_themselves(clock, monkeypatch):
    cache = make(clock, lock_timeout=60)
    vary = [("Vary", "Accept")]
    gate = Gate(cacheable(b"a", fields=vary), cacheable(b"b", fields=vary))
    again = threading.Event()
    crowd = lead(cache, gate, monkeypatch, 5, fields=[("Accept", "b")])
    gate.origin.answers[1:] = [
        lambda: again.wait(30) and cacheable(b"b", fields=vary),
    ]
    gate.open.set()
    crowd.wait_for(4)
    again.set()
    assert crowd.join() == [
        "c; fwd=miss; stored",
        *["c; fwd=vary-miss; collapsed"] * 4,
        "c; fwd=vary-miss; stored",
    ]
    assert len(gate.calls) == 2


def test_those_for_whom_it_is_not_twice_go_on_their_own(clock, monkeypatch):
    cache = make(clock, lock_timeout=60)
    gate, again = Gate(cacheable(control="no-cache", fields=[TAG])), threading.Event()

    def confirmed():
        assert again.wait(30)
        return answer(b"", status=304)

    gate.origin.answers += [confirmed] * 3
    crowd = lead(cache, gate, monkeypatch, 3)
    gate.open.set()
    crowd.wait_for(2)
    again.set()
    confirmation = "c; fwd=stale; fwd-status=304; stored"
    assert crowd.join() == ["c; fwd=miss; stored", *[confirmation] * 3]
    assert {each.content for each in crowd.answers} == {b"hello"}


def test_what_came_while_one_became_the_leader_is_used(cache, monkeypatch):
    origin = Origin(cacheable())
    joined = cache._flights.join

    def late(*place):
        monkeypatch.undo()
        ask(cache, origin)
        return joined(*place)

    monkeypatch.setattr(cache._flights, "join", late)
    assert ask(cache, origin).told == "c; hit; ttl=60"
    assert len(origin.calls) == 1


def test_requests_that_want_the_backend_do_not_wait(clock, monkeypatch):
    cache, gate = make(clock, lock_timeout=60), Gate(cacheable())
    crowd = Crowd(cache, gate, monkeypatch)
    crowd.add()
    assert gate.asked.wait(30)
    direct = Origin(cacheable(b"1"), cacheable(b"2"), cacheable(b""))
    for control in ("no-cache", "no-store"):
        asked = ask(cache, direct, fields=[("Cache-Control", control)])
        assert asked.content in (b"1", b"2")
        cache._entries.forget(module.Asked.of(call(), "").resource)
    assert ask(cache, direct, method="HEAD").content == b""
    gate.open.set()
    crowd.join()


# -- in the background ---------------------------------------------------------------

WHILE = "max-age=60, stale-while-revalidate=30"


def renewed(cache, origin, **more):
    """Ask while it is stale, and wait for the thread that renews it."""
    asked = ask(cache, origin, **more)
    for thread in threading.enumerate():
        if thread.name == "restproxy-cache-refresh":
            thread.join(30)
    return asked


def test_a_stale_answer_is_used_while_it_is_renewed(cache, clock):
    origin = Origin(cacheable(b"1", control=WHILE), cacheable(b"2", control=WHILE))
    ask(cache, origin)
    clock.now += 61
    stale = renewed(cache, origin, method="HEAD", fields=[("If-None-Match", '"9"')])
    assert stale.told == "c; hit; ttl=-1"
    sent = origin.calls[1].call
    assert sent is not stale.call and sent.request is not stale.call.request
    assert sent.method == "GET" and "if-none-match" not in origin.calls[1].fields
    assert ask(cache, origin).content == b"2"


def test_it_is_renewed_by_a_304(cache, clock):
    origin = Origin(
        cacheable(control=WHILE, fields=[TAG]),
        answer(b"", status=304, fields=[("Cache-Control", WHILE)]),
    )
    ask(cache, origin)
    clock.now += 61
    renewed(cache, origin)
    assert ask(cache, origin).told == "c; hit; ttl=60"


@pytest.mark.parametrize(
    "failing", [DOWN, lambda: cacheable(b"x", OSError("cut"), control=WHILE)]
)
def test_a_renewal_that_fails_is_tried_again(cache, clock, failing, caplog):
    caplog.set_level(logging.INFO)
    origin = Origin(cacheable(b"1", control=WHILE), failing, cacheable(b"3"))
    ask(cache, origin)
    clock.now += 61
    assert renewed(cache, origin).content == b"1"
    assert renewed(cache, origin).content == b"1"
    assert ask(cache, origin).content == b"3"
    assert caplog.text.count("no newer answer of backend 'b'") == 1


def test_a_renewal_tells_the_watcher_that_the_backend_broke_off(cache, clock):
    events = []
    watcher = SimpleNamespace(
        broken=lambda: events.append("broken"),
        finished=lambda: events.append("finished"),
    )
    broken = cacheable(b"x", OSError("cut"))
    broken.watcher = watcher
    origin = Origin(cacheable(b"1", control=WHILE), broken)
    ask(cache, origin)
    clock.now += 61
    renewed(cache, origin)
    assert events == ["broken", "finished"]


def test_a_renewal_that_may_not_be_kept_takes_the_old_one_away(cache, clock):
    private = answer(b"private", b"and long")
    origin = Origin(cacheable(b"1", control=WHILE), private, cacheable(b"3"))
    ask(cache, origin)
    clock.now += 61
    assert renewed(cache, origin).content == b"1"
    assert private.body.closed
    assert ask(cache, origin).content == b"3"


def test_one_renewal_at_a_time(clock, monkeypatch):
    cache = make(clock, lock_timeout=60)
    gate = Gate(cacheable(b"2", control=WHILE))
    ask(cache, Origin(cacheable(b"1", control=WHILE)))
    clock.now += 61
    for _ in range(5):
        assert ask(cache, gate).content == b"1"
    gate.open.set()
    renewed(cache, gate)
    assert len(gate.calls) == 1


def test_renewals_are_bounded(clock):
    cache = make(clock, refreshes=1)
    gate, never = Gate(cacheable(b"2", control=WHILE)), Origin()
    for path in ("/x", "/y"):
        ask(cache, Origin(cacheable(b"1", control=WHILE)), path)
    clock.now += 61
    ask(cache, gate, "/x")
    assert ask(cache, never, "/y").content == b"1"
    gate.open.set()
    renewed(cache, gate, path="/x")
    assert never.calls == []


def test_where_there_are_too_many_threads_it_stays_stale(cache, clock, monkeypatch):
    origin = Origin(cacheable(b"1", control=WHILE), cacheable(b"2", control=WHILE))
    ask(cache, origin)
    clock.now += 61

    def start(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        assert ask(cache, origin).content == b"1"
    renewed(cache, origin)
    assert ask(cache, origin).content == b"2"


def test_the_clock_is_that_of_the_machine_where_none_is_given():
    cache = SharedCache(MemoryStore())
    fields = [("Cache-Control", "max-age=60")]
    ask(cache, Origin(answer(fields=fields)))
    told = ask(cache, Origin()).told
    assert told.startswith("pyramid_restproxy; hit; ttl=")


def test_an_answer_that_has_no_content_is_kept_without_a_length(cache):
    """A 204 was never kept: it may not say how long nothing is (RFC 9110 8.6)."""
    origin = Origin(cacheable(b"", status=204, reason="No Content", framed=False))
    for _ in range(2):
        given = ask(cache, origin)
        assert (given.status, given.content) == (204, b"")
    assert len(origin.calls) == 1 and given.told.startswith("c; hit")
