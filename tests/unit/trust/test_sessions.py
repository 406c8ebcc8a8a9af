"""Who is logged in, in the store."""

from __future__ import annotations

import pytest

from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.sessions import LoginSessions
from pyramid_restproxy.trust.stored import MAX_VALUE, hashed

NOW = 1_790_000_000.0
ANN = Identity("ann", ("read",), {"team": "red"}, token="t0ken")


class Clock:
    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


class Counting(MemoryStore):
    writes = 0
    away = False

    def _set(self, key, content, ttl):
        if self.away:
            raise StoreUnavailable()
        self.writes += 1
        super()._set(key, content, ttl)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return Counting(clock=clock)


@pytest.fixture
def sessions(store, clock):
    return LoginSessions(store, idle=100.0, lifetime=1000.0, clock=clock)


def test_a_session(sessions):
    begun = sessions.begin(ANN)
    found = sessions.find(begun.id)
    assert found == begun and found.identity == ANN


def test_ids_are_long_and_differ(sessions):
    ids = {sessions.begin(ANN).id for _ in range(100)}
    assert len(ids) == 100 and {len(each) for each in ids} == {43}


def test_the_id_is_nowhere(sessions, store):
    session = sessions.begin(ANN)
    assert session.id not in str(store._kept.entries)
    assert session.id not in repr(session) and "t0ken" not in repr(session)


@pytest.mark.parametrize(
    "text", ["", "x", "x" * 43, "x" * 44, "ä" * 43, "x" * 42 + "\n", "../" * 20]
)
def test_what_a_browser_may_send(sessions, text):
    assert sessions.find(text) is None
    sessions.end(text)


def test_the_end_by_hand(sessions):
    session = sessions.begin(ANN)
    sessions.end(session.id)
    assert sessions.find(session.id) is None


def test_the_end_of_idleness(sessions, clock):
    session = sessions.begin(ANN)
    clock.now += 100
    assert sessions.find(session.id) is None


def test_use_keeps_it_until_the_end_of_its_life(sessions, clock):
    session = sessions.begin(ANN)
    for _ in range(11):
        clock.now += 90
        assert sessions.find(session.id)
    clock.now += 9.9
    assert sessions.find(session.id)
    clock.now += 0.1
    assert sessions.find(session.id) is None


def test_use_is_not_written_each_time(sessions, store, clock):
    session = sessions.begin(ANN)
    for _ in range(10):
        clock.now += 0.9
        sessions.find(session.id)
    assert store.writes == 1
    clock.now += 1.1
    assert sessions.find(session.id).seen == clock.now
    assert store.writes == 2


def test_an_identity_that_expires(sessions, clock):
    session = sessions.begin(Identity("ann", expires=NOW + 50))
    clock.now += 49.9
    assert sessions.find(session.id)
    clock.now += 0.1
    assert sessions.find(session.id) is None


def test_an_identity_that_expires_by_our_clock_alone(clock):
    sessions = LoginSessions(MemoryStore(clock=Clock()), 100.0, 1000.0, clock)
    session = sessions.begin(Identity("ann", expires=NOW + 50))
    clock.now += 50
    assert sessions.find(session.id) is None


@pytest.mark.parametrize("jump", [-3600, 900])
def test_a_clock_that_is_set_logs_nobody_out(jump, clock):
    sessions = LoginSessions(MemoryStore(clock=Clock()), 100.0, 1000.0, clock)
    session = sessions.begin(ANN)
    clock.now += jump
    assert sessions.find(session.id)
    assert sessions.find(session.id)


def test_another_identity(sessions):
    session = sessions.begin(ANN)
    changed = sessions.update(session, Identity("ann", token="new"))
    assert sessions.find(session.id) == changed
    assert changed.identity.token == "new"


def test_what_ended_stays_ended(sessions, clock, store):
    session = sessions.begin(ANN)
    sessions.end(session.id)
    assert sessions.update(session, Identity("bob")) is None
    assert sessions.find(session.id) is None
    assert len(store) == 0


def test_what_ends_while_it_is_read(sessions, store, clock):
    session = sessions.begin(ANN)
    clock.now += 50
    original = store.get

    def get(key):
        found = original(key)
        sessions.end(session.id)
        return found

    store.get = get
    assert sessions.find(session.id) is None
    assert len(store) == 0


def test_an_identity_that_ended_ends_it(sessions, store):
    session = sessions.begin(ANN)
    assert sessions.update(session, Identity("ann", expires=NOW - 1)) is None
    assert len(store) == 0


def test_use_that_cannot_be_written(sessions, store, clock):
    session = sessions.begin(ANN)
    clock.now += 50
    store.away = True
    assert sessions.find(session.id) == session
    with pytest.raises(StoreUnavailable):
        sessions.update(session, ANN)


@pytest.mark.parametrize(
    "found",
    [
        7,
        "x",
        [],
        {},
        {"identity": 7, "created": 1, "seen": 1},
        {"identity": {"user": "ann"}, "created": "x", "seen": 1},
        {"identity": {"user": "ann"}, "created": None, "seen": 1},
        {"identity": {"user": "ann"}, "created": 1},
    ],
)
def test_what_somebody_else_put_there(sessions, store, found):
    session_id = "x" * 43
    store.set(hashed("login", session_id), found, 60)
    assert sessions.find(session_id) is None


@pytest.mark.parametrize("claims", [{"a": "x" * MAX_VALUE}, {"a": float("nan")}])
def test_what_cannot_be_stored(sessions, claims):
    with pytest.raises(ValueError):
        sessions.begin(Identity("ann", claims=claims))
