"""Who is logged in, in the store."""

from __future__ import annotations

import pytest

from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.redis_store import RedisStore
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.sessions import LoginSessions
from pyramid_restproxy.trust.stored import MAX_VALUE, hashed
from tests.redis import redis_server

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


def test_use_that_cannot_be_written_does_not_outlive_it(store, sessions, clock):
    session = sessions.begin(ANN)
    store.set(hashed("login", session.id), session.stored(), 5000)  # kept too long
    clock.now += 1000
    store.away = True
    assert sessions.find(session.id) is None
    store.away = False
    assert sessions.find(session.id) is None
    assert len(store) == 0


def test_of_each_session_a_process_tells_its_use_once_in_a_while(store, clock):
    """What is stored says when it was written: that alone would be each request."""
    shared = {}
    sessions = LoginSessions(store, 100.0, 1000.0, clock, shared)
    session = sessions.begin(ANN)
    clock.now += 50
    for _ in range(10):
        clock.now += 0.9
        assert LoginSessions(store, 100.0, 1000.0, clock, shared).find(session.id)
    assert store.writes == 2
    assert session.id not in str(shared)


def test_of_how_many_sessions_that_is_known_is_bounded(sessions, store, clock):
    sessions.touched.update((str(number), 0.0) for number in range(4096))
    session = sessions.begin(ANN)
    clock.now += 50
    assert sessions.find(session.id)
    assert len(sessions.touched) == 1


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


# -- all of a user ------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory, need):
    need("redis-server")
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["memory", "redis"])
def shared(request):
    """A store that several processes could share, of each kind."""
    if request.param == "memory":
        return MemoryStore()
    return RedisStore(request.getfixturevalue("redis_url"), timeout=5.0)


def of(store, clock=None):
    return LoginSessions(store, idle=100.0, lifetime=1000.0, clock=clock or Clock())


def test_all_sessions_of_a_user_end_everywhere(shared):
    here, there = of(shared), of(shared)
    anns = [each.begin(ANN).id for each in (here, there)]
    bobs = here.begin(Identity("bob")).id
    there.end_all("ann")
    for sessions in (here, there):
        assert [sessions.find(each) for each in anns] == [None, None]
        assert sessions.find(bobs)
    here.end_all("bob")
    assert there.find(bobs) is None


def test_who_begins_afterwards_stays(shared):
    sessions = of(shared)
    sessions.end_all("ann")
    first = sessions.begin(ANN)
    assert sessions.find(first.id) == first
    sessions.end_all("ann")
    second = sessions.begin(ANN)
    assert sessions.find(first.id) is None
    assert sessions.find(second.id) == second
    changed = sessions.update(second, Identity("ann", token="new"))
    assert sessions.find(second.id) == changed


def test_use_takes_back_no_renewal(shared):
    """It wrote what it had read, and the old token came back."""
    clock = Clock()
    sessions = of(shared, clock)
    session = sessions.begin(Identity("ann", token="old", expires=NOW + 500))
    clock.now += 50
    original, renewed = shared.get, Identity("ann", token="new", expires=NOW + 900)

    def get(key):
        found = original(key)
        if "mark" not in key:
            assert of(shared, clock).update(session, renewed)
        return found

    shared.get = get
    assert sessions.find(session.id).identity.token == "old"
    shared.get = original
    assert sessions.find(session.id).identity == renewed


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_clocks_that_differ_let_nobody_pass(shared, jump):
    clock = Clock()
    session = of(shared, Clock(NOW + jump)).begin(ANN)
    of(shared, clock).end_all("ann")
    assert of(shared, Clock(NOW + jump)).find(session.id) is None


def test_who_is_in_the_middle_of_beginning_ends_as_well(store, sessions):
    original = store.get

    def get(key):
        found = original(key)
        store.get = original
        sessions.end_all("ann")
        return found

    store.get = get
    assert sessions.find(sessions.begin(ANN).id) is None


def test_use_does_not_take_a_session_over_the_end(store, sessions, clock):
    session = sessions.begin(ANN)
    sessions.end_all("ann")
    assert sessions.update(session, Identity("ann", token="new"))
    assert sessions.find(session.id) is None


def test_the_end_of_all_outlives_them(sessions, store, clock):
    session = sessions.begin(ANN)
    sessions.end_all("ann")
    clock.now += 999
    begun = sessions.begin(ANN)
    store.set(hashed("login", session.id), session.stored(), 5000)  # kept too long
    clock.now += 50
    assert sessions.find(session.id) is None
    assert sessions.find(begun.id)


def test_without_the_mark_who_began_after_it_stays(sessions, store, clock):
    sessions.end_all("ann")
    clock.now += 1999
    session = sessions.begin(ANN)
    clock.now += 2
    assert sessions.find(session.id)
    clock.now += 200
    assert sessions.find(session.id) is None
    assert len(store) == 0  # one entry for each user, and it goes


def test_a_full_memory_drops_old_sessions_before_the_mark(clock):
    sessions = of(MemoryStore(max_entries=20, clock=clock), clock)
    old = [sessions.begin(ANN).id for _ in range(5)]
    sessions.end_all("ann")
    for _ in range(30):
        sessions.begin(Identity("bob"))
        assert [sessions.find(each) for each in old] == [None] * 5


def test_where_it_cannot_be_said_nobody_passes(sessions, store):
    session = sessions.begin(ANN)
    original = store.get

    def get(key):
        if "mark" in key:
            raise StoreUnavailable()
        return original(key)

    store.get = get
    with pytest.raises(StoreUnavailable):
        sessions.find(session.id)
    with pytest.raises(StoreUnavailable):
        sessions.begin(ANN)
