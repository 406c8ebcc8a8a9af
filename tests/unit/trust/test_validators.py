"""Whose a token is."""

from __future__ import annotations

import json
import threading

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPForbidden
from pyramid.request import Request, apply_request_extensions

from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.memory_store import MemoryStore
from pyramid_restproxy.trust.refusals import StoreUnavailable
from pyramid_restproxy.trust.stored import MAX_VALUE, hashed
from pyramid_restproxy.trust.validators import (
    CachedValidator,
    IdentityUnavailable,
    backend_validator,
)

NOW = 1_790_000_000.0
ANN = Identity("ann", ("read",), {"team": "red"})


class Clock:
    now = NOW

    def __call__(self):
        return self.now


class Asked:
    """A validator that remembers what it was asked."""

    def __init__(self, answer=ANN):
        self.answer = answer
        self.tokens = []

    def __call__(self, request, token):
        self.tokens.append(token)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Away:
    """A store that cannot be asked."""

    def get(self, key):
        raise StoreUnavailable()

    def set(self, key, value, ttl):
        raise StoreUnavailable()

    def add(self, key, value, ttl):
        raise StoreUnavailable()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return MemoryStore(clock=clock)


REQUEST = Request.blank("/")


# -- what is kept --------------------------------------------------------------------


def test_an_answer_is_used_again(store, clock):
    asked = Asked()
    validator = CachedValidator(asked, store, ttl=60, clock=clock)
    assert [validator(REQUEST, "t") for _ in range(3)] == [ANN] * 3
    assert asked.tokens == ["t"]
    validator(REQUEST, "u")
    clock.now += 60
    assert validator(REQUEST, "t") == ANN
    assert asked.tokens == ["t", "u", "t"]


def test_processes_share_it(store, clock):
    asked = Asked()
    CachedValidator(asked, store, clock=clock)(REQUEST, "t")
    assert CachedValidator(Asked(None), store, clock=clock)(REQUEST, "t") == ANN


def test_a_refusal_is_kept_for_a_short_time(store, clock):
    asked = Asked(None)
    validator = CachedValidator(
        asked, store, refused_ttl=5, refusals=MemoryStore(clock=clock), clock=clock
    )
    assert validator(REQUEST, "t") is validator(REQUEST, "t") is None
    assert asked.tokens == ["t"]
    asked.answer = ANN
    clock.now += 5
    assert validator(REQUEST, "t") == ANN


def test_refusals_have_a_room_of_their_own(store):
    """Strangers pushed all logins out of the store with them."""
    validator = CachedValidator(Asked(None), store)
    assert [validator(REQUEST, str(number)) for number in range(100)] == [None] * 100
    assert len(store) == 0


@pytest.mark.parametrize("options", [{"ttl": 0}, {"refusals": Away()}])
def test_refusals_that_are_not_kept(options):
    asked = Asked(None)
    validator = CachedValidator(asked, **options)
    assert validator(REQUEST, "t") is validator(REQUEST, "t") is None
    assert asked.tokens == ["t", "t"]


def test_nothing_is_good_after_its_end(store, clock):
    asked = Asked(Identity("ann", expires=NOW + 10))
    validator = CachedValidator(asked, store, ttl=60, clock=clock)
    assert validator(REQUEST, "t")
    clock.now += 9.9
    assert validator(REQUEST, "t")
    clock.now += 0.2
    assert validator(REQUEST, "t") is None
    assert asked.tokens == ["t", "t"]


def test_what_ended_already(store, clock):
    validator = CachedValidator(Asked(Identity("ann", expires=NOW)), store, clock=clock)
    assert validator(REQUEST, "t") is None
    assert len(store) == 0


def test_a_clock_that_went_on_alone():
    """The store's time stands still, ours does not."""
    clock, store = Clock(), MemoryStore(clock=lambda: 0.0)
    asked = Asked(Identity("ann", expires=NOW + 10))
    validator = CachedValidator(asked, store, clock=clock)
    assert validator(REQUEST, "t")
    clock.now += 10
    assert validator(REQUEST, "t") is None


def test_a_new_token_is_for_one_answer(store, clock):
    asked = Asked(Identity("ann", token="new"))
    validator = CachedValidator(asked, store, clock=clock)
    assert validator(REQUEST, "t").token == "new"
    asked.answer = None
    assert validator(REQUEST, "t") is None
    assert asked.tokens == ["t", "t"]


def test_where_no_answer_is_kept_it_is_asked_each_time(store):
    asked = Asked()
    validator = CachedValidator(asked, store, ttl=0)
    assert [validator(REQUEST, "t") for _ in range(2)] == [ANN] * 2
    assert asked.tokens == ["t", "t"]
    assert len(store) == 0


def test_without_a_store_answers_are_in_this_process():
    asked = Asked()
    validator = CachedValidator(asked)
    assert [validator(REQUEST, "t") for _ in range(2)] == [ANN] * 2
    assert asked.tokens == ["t"]


def test_no_token_is_in_the_store(store):
    CachedValidator(Asked(), store)(REQUEST, "s3cret")
    shown = str(store._kept.entries)
    assert "s3cret" not in shown and hashed("token", "s3cret") in shown


def test_a_store_that_is_away_is_passed_by():
    asked = Asked()
    validator = CachedValidator(asked, Away())
    assert [validator(REQUEST, "t") for _ in range(2)] == [ANN] * 2
    assert asked.tokens == ["t", "t"]


def test_where_no_answer_is_kept_and_the_store_is_away_nobody_passes():
    """Nobody else knows which tokens were taken back."""
    asked = Asked()
    with pytest.raises(StoreUnavailable):
        CachedValidator(asked, Away(), ttl=0)(REQUEST, "t")
    assert asked.tokens == []


def test_an_answer_that_cannot_be_written_is_good_all_the_same(store):
    store.set = Away().set
    assert CachedValidator(Asked(), store)(REQUEST, "t") == ANN


class Counted(MemoryStore):
    """A store that counts what it is asked."""

    asked = 0

    def get(self, key):
        self.asked += 1
        return super().get(key)


@pytest.mark.parametrize("ttl", [0, 60])
def test_a_token_costs_one_look(ttl):
    store = Counted()
    validator = CachedValidator(Asked(), store, ttl=ttl)
    validator(REQUEST, "t")
    store.asked = 0
    assert validator(REQUEST, "t") == ANN
    assert store.asked == 1


@pytest.mark.parametrize(
    "kept",
    [
        7,
        "x",
        [],
        {},
        {"user": 1.5},
        {"refused": False},
        {"user": "ann", "permissions": 7},
    ],
)
def test_what_somebody_else_keeps_there(store, kept):
    store.set(hashed("token", "t"), kept, 60)
    assert CachedValidator(Asked(), store)(REQUEST, "t") == ANN


@pytest.mark.parametrize("claim", ["x" * MAX_VALUE, object()])
def test_what_cannot_be_kept_is_good_all_the_same(store, claim, caplog):
    found = Identity("ann", claims={"s3cret": claim})
    asked = Asked(found)
    validator = CachedValidator(asked, store)
    assert [validator(REQUEST, "t").user_id for _ in range(2)] == ["ann"] * 2
    assert len(asked.tokens) == 2
    assert "cannot be kept" in caplog.text and "s3cret" not in caplog.text


# -- taken back ----------------------------------------------------------------------


def test_a_token_that_is_taken_back(store, clock):
    asked = Asked()
    here = CachedValidator(asked, store, clock=clock)
    there = CachedValidator(asked, store, clock=clock)
    assert here(REQUEST, "t") == there(REQUEST, "t") == ANN
    here.revoke("t")
    assert here(REQUEST, "t") is there(REQUEST, "t") is None


def test_one_that_is_taken_back_while_it_is_looked_up(store):
    def validator(request, token):
        cached.revoke(token)
        return ANN

    cached = CachedValidator(validator, store)
    assert cached(REQUEST, "t") is None
    assert cached(REQUEST, "t") is None


def test_one_that_is_taken_back_while_its_answer_is_written(clock):
    """AUTH-05: the answer was written over it, and good until it expired."""

    class Store(MemoryStore):
        def set(self, key, value, ttl):
            if value == ANN.stored():
                cached.revoke("t")
            super().set(key, value, ttl)

    asked = Asked()
    cached = CachedValidator(asked, Store(clock=clock), clock=clock)
    assert [cached(REQUEST, "t") for _ in range(3)] == [None] * 3
    assert asked.tokens == ["t"]


def test_one_that_is_taken_back_while_the_store_goes(store):
    """What cannot be written then is found by the mark all the same."""

    def validator(request, token):
        cached.revoke(token)
        store.delete(hashed("token", token))
        store.set = Away().set
        return ANN

    cached = CachedValidator(validator, store)
    assert cached(REQUEST, "t") is None


@pytest.mark.parametrize("ttl", [0, 60])
def test_nobody_is_told_that_it_is_taken_back_where_it_is_not(ttl):
    with pytest.raises(StoreUnavailable):
        CachedValidator(Asked(), Away(), ttl=ttl).revoke("t")


@pytest.mark.parametrize("ttl", [0, 60])
def test_one_that_is_taken_back_is_refused_until_its_end(ttl, store, clock):
    """With no answers kept nothing was done; with them it was good again soon."""
    asked = Asked(Identity("ann", expires=NOW + 3600))
    here, there = (
        CachedValidator(asked, store, ttl=ttl, clock=clock) for _ in range(2)
    )
    assert here(REQUEST, "t") and there(REQUEST, "t")
    here.revoke("t", NOW + 3600)
    asked.tokens.clear()
    for _ in range(4):
        assert here(REQUEST, "t") is there(REQUEST, "t") is None
        clock.now += 900
    assert asked.tokens == []
    assert here(REQUEST, "u") is None  # its end has come
    clock.now += ttl + 12  # clocks may differ
    assert here(REQUEST, "t") is None
    assert len(store) == 0


@pytest.mark.parametrize("ttl", [0, 60])
def test_one_without_an_end_is_refused_for_30_days(ttl, store, clock):
    validator = CachedValidator(Asked(), store, ttl=ttl, clock=clock)
    validator.revoke("t")
    clock.now += 30 * 86400
    assert validator(REQUEST, "t") is None
    clock.now += ttl + 12
    assert validator(REQUEST, "t") == ANN


@pytest.mark.parametrize("ttl", [0, 60])
def test_one_that_is_taken_back_stays_so_where_there_is_no_room(ttl, clock):
    """A store in memory drops what was set; a mark must not go that way."""
    store = MemoryStore(max_entries=2, clock=clock)
    validator = CachedValidator(Asked(), store, ttl=ttl, clock=clock)
    validator.revoke("t")
    for number in range(9):
        store.set(str(number), 1, 60)
    assert validator(REQUEST, "t") is None


def test_one_whose_end_has_come_is_taken_back(store, clock):
    CachedValidator(Asked(), store, clock=clock).revoke("t", NOW - 3600)


def test_who_comes_after_it_was_taken_back_does_not_wait_for_an_older_answer(store):
    held = Held(ANN)
    validator = CachedValidator(held, store, ttl=0)
    first = threading.Thread(target=validator, args=(REQUEST, "t"))
    first.start()
    assert held.begun.wait(10)
    validator.revoke("t")
    assert validator(REQUEST, "t") is None
    held.go_on.set()
    first.join(10)


# -- who cannot say ------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [KeyError("s3cret"), OSError("s3cret"), HTTPForbidden("s3cret"), RecursionError()],
)
def test_a_validator_that_fails(store, error, caplog):
    asked = Asked(error)
    validator = CachedValidator(asked, store)
    for _ in range(2):
        with pytest.raises(IdentityUnavailable) as found:
            validator(REQUEST, "s3cret")
    assert found.value.status_int == 503
    assert found.value.headers["Retry-After"] == "1"
    assert found.value.reason == "store"
    assert len(asked.tokens) == 2  # that it could not say is not kept
    assert type(error).__name__ in caplog.text
    assert __file__ in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "said",
    [
        "ann",
        True,
        False,
        b"",
        {"user": "ann"},
        Identity(""),
        Identity(None),
        Identity(5),
        Identity(b"ann"),
        Identity("ann", permissions="read"),
        Identity("ann", permissions=5),
        Identity("ann", permissions=(5,)),
        Identity("ann", expires="2030"),
        Identity("ann", expires=float("nan")),
        Identity("ann", claims=5),
        Identity("ann", claims="s3cret"),
        Identity("ann", token="x\r\nSet-Cookie: a=b"),
        Identity("ann", token=5),
    ],
)
def test_what_is_no_identity_lets_nobody_pass(store, said, caplog):
    validator = CachedValidator(Asked(said), store)
    for _ in range(2):
        with pytest.raises(IdentityUnavailable):
            validator(REQUEST, "s3cret")
    assert len(store) == 0
    assert "the token validator failed" in caplog.text
    assert "s3cret" not in caplog.text


def test_the_first_answer_is_as_the_kept_ones(store, clock):
    said = Identity("ann", ["read"], expires="2126-01-01T00:00:00Z")
    validator = CachedValidator(Asked(said), store, clock=clock)
    first, second = validator(REQUEST, "t"), validator(REQUEST, "t")
    assert first == second == Identity("ann", ("read",), expires=4922899200.0)


def test_what_ends_the_process_is_not_held_up():
    validator = CachedValidator(Asked(SystemExit()))
    with pytest.raises(SystemExit):
        validator(REQUEST, "t")
    with pytest.raises(SystemExit):  # nobody waits for the first one
        validator(REQUEST, "t")


# -- one asks ------------------------------------------------------------------------


class Held:
    """A validator that says something when it may."""

    def __init__(self, outcome):
        self.outcome = outcome
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.calls = 0

    def __call__(self, request, token):
        self.calls += 1
        self.begun.set()
        assert self.go_on.wait(10)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def together(validator, held, count=8):
    """Ask from several threads while the first one is under way."""
    found = []

    def ask():
        try:
            found.append(validator(REQUEST, "t"))
        except IdentityUnavailable as error:
            found.append(error)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    threads[0].start()
    assert held.begun.wait(10)
    flight = next(iter(validator._asking.values()))
    waiting = threading.Semaphore(0)
    original = flight.result

    def result(timeout):
        waiting.release()
        return original(timeout)

    flight.result = result
    for thread in threads[1:]:
        thread.start()
    for _ in threads[1:]:
        assert waiting.acquire(timeout=10)
    held.go_on.set()
    for thread in threads:
        thread.join(10)
    return found


@pytest.mark.parametrize("outcome", [ANN, None, Identity("ann", token="new")])
def test_of_many_requests_one_asks(outcome, store):
    held = Held(outcome)
    found = together(CachedValidator(held, store), held)
    assert found == [outcome] * 8
    assert held.calls == 1
    if outcome:  # what one request does to its own is nothing to the others
        assert len(set(map(id, found))) == 8
        found[0].claims["more"] = 1
        assert found[1] == found[7] == outcome


def test_those_that_wait_for_a_failure():
    held = Held(OSError())
    found = together(CachedValidator(held), held)
    assert [type(each) for each in found] == [IdentityUnavailable] * 8
    assert len(set(map(id, found))) == 8  # each has an answer of its own
    assert held.calls == 1


def test_nobody_waits_for_ever():
    held = Held(ANN)
    validator = CachedValidator(held, wait=0.01)
    first = threading.Thread(target=validator, args=(REQUEST, "t"))
    first.start()
    assert held.begun.wait(10)
    with pytest.raises(IdentityUnavailable):
        validator(REQUEST, "t")
    held.go_on.set()
    first.join(10)
    assert validator(REQUEST, "t") == ANN
    assert validator._asking == {}


# -- a backend that is asked -----------------------------------------------------------


def asking(url):
    """Return a request from which the backend can be asked."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("users", url, retries=0, total_timeout=5)
    request = Request.blank("/")
    request.registry = config.registry
    apply_request_extensions(request)
    return request


def says(value, status=200):
    body = json.dumps(value).encode()
    return Answer(status, [("Content-Type", "application/json")], body)


def test_a_backend_says_whose_it_is():
    answer = says({"user": "ann", "permissions": ["read"], "claims": {"team": "red"}})
    with FakeBackend(answer) as backend:
        request = asking(backend.url)
        assert backend_validator("users", "/validate")(request, "s3cret") == ANN
        (seen,) = backend.requests
    assert (seen.method, seen.target) == ("POST", "/validate")
    assert json.loads(seen.body) == {"token": "s3cret"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_token_in_a_field(method):
    with FakeBackend(says({"user": "ann"})) as backend:
        request = asking(backend.url)
        validator = backend_validator("users", "/me", method, field="User-Token")
        assert validator(request, "s3cret") == Identity("ann")
        (seen,) = backend.requests
    assert (seen.method, seen.target, seen.body) == (method, "/me", b"")
    assert seen.header("user-token") == "s3cret"


@pytest.mark.parametrize("method", ["GET", "head", "DELETE"])
def test_no_token_in_a_url(method):
    with pytest.raises(ConfigurationError, match="field"):
        backend_validator("users", "/me", method)


@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_a_backend_says_no(status):
    with FakeBackend(says({"user": "ann"}, status)) as backend:
        request = asking(backend.url)
        assert backend_validator("users", "/validate")(request, "t") is None


@pytest.mark.parametrize(
    "answer",
    [
        says({"user": "ann"}, 500),
        says({"user": "ann"}, 404),
        says({"user": "ann"}, 302),
        says({"user": "ann"}, 429),
        says({"nobody": 1}),
        says("ann"),
        Answer(204),
        Answer(200, [("Content-Type", "application/json")], b"{not json"),
        Answer(200, [("Content-Type", "text/plain")], b"ann"),
        b"not http\r\n\r\n",
        None,
    ],
)
def test_a_backend_that_does_not_say(answer, caplog):
    with FakeBackend(answer) as backend:
        request = asking(backend.url)
        with pytest.raises(IdentityUnavailable):
            backend_validator("users", "/validate")(request, "s3cret")
    assert "s3cret" not in caplog.text


def test_an_answer_without_an_end():
    def flood(request):
        return Answer(
            200, [("Content-Type", "application/json")], pieces=[b" " * 65536] * 300
        )

    with FakeBackend(flood) as backend:
        request = asking(backend.url)
        validator = CachedValidator(backend_validator("users", "/validate"))
        with pytest.raises(IdentityUnavailable):
            validator(request, "t")


def test_what_a_validator_told_itself_is_told_once(store, caplog):
    """There was a traceback too, for a service that answered 500."""

    def away(request, token):
        raise IdentityUnavailable()

    with pytest.raises(IdentityUnavailable):
        CachedValidator(away, store)(REQUEST, "t")
    assert not caplog.records


def test_a_backend_that_is_not_there():
    request = asking("http://127.0.0.1:1")
    with pytest.raises(IdentityUnavailable):
        backend_validator("users", "/validate")(request, "t")
