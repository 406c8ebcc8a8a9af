"""Strikes, cool-down, one probe."""

from __future__ import annotations

import threading

import pytest

from pyramid_restproxy.forwarding.health import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    Health,
    HealthPolicy,
)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def failing(health, times):
    for _ in range(times):
        health.failed()


def test_three_strikes(clock):
    health = Health(HealthPolicy(max_fails=3, cool_down=5), clock)
    failing(health, 2)
    assert (health.state, health.is_closed, health.admit()) == (CLOSED, True, True)
    failing(health, 1)
    assert (health.state, health.is_closed, health.admit()) == (OPEN, False, False)
    assert health.seconds_left() == 5


def test_strikes_must_be_within_the_window(clock):
    health = Health(HealthPolicy(max_fails=2, window=10), clock)
    failing(health, 1)
    clock.now += 11
    failing(health, 1)
    assert health.state == CLOSED


def test_one_probe_after_the_cool_down(clock):
    health = Health(HealthPolicy(max_fails=1, cool_down=5), clock)
    failing(health, 1)
    clock.now += 5
    assert (health.state, health.seconds_left()) == (HALF_OPEN, 0)
    assert [health.admit(), health.admit()] == [True, False]
    health.succeeded()
    assert health.state == CLOSED
    assert health.admit()


def test_a_probe_that_fails_begins_a_new_cool_down(clock):
    health = Health(HealthPolicy(max_fails=3, cool_down=5), clock)
    failing(health, 3)
    clock.now += 5
    assert health.admit()
    failing(health, 1)
    assert (health.state, health.admit()) == (OPEN, False)


def test_a_probe_whose_client_left_says_nothing_and_the_next_may_go(clock):
    health = Health(HealthPolicy(max_fails=1, cool_down=5), clock)
    failing(health, 1)
    clock.now += 5
    assert health.admit()
    health.abandoned()
    assert health.admit()


def test_a_probe_that_nobody_reports_on_does_not_block_for_ever(clock):
    health = Health(HealthPolicy(max_fails=1, cool_down=5), clock)
    failing(health, 1)
    clock.now += 5
    assert health.admit()
    clock.now += 5
    assert health.admit()


def test_the_error_rate_counts_from_a_minimum_on(clock):
    policy = HealthPolicy(error_rate=0.5, min_volume=4)
    health = Health(policy, clock)
    health.failed()
    health.succeeded()
    health.failed()
    assert health.state == CLOSED
    health.failed()
    assert health.state == OPEN


def test_the_error_rate_forgets_what_is_old(clock):
    health = Health(HealthPolicy(error_rate=0.5, min_volume=2, window=10), clock)
    health.failed()
    clock.now += 11
    health.succeeded()
    health.succeeded()
    health.failed()
    assert health.state == CLOSED


def test_without_a_policy_nothing_makes_it_leave(clock):
    health = Health(HealthPolicy(), clock)
    failing(health, 100)
    assert health.admit()


def test_taken_out_and_brought_back(clock):
    health = Health(HealthPolicy(), clock)
    health.take_out()
    clock.now += 1e6
    assert not health.admit()
    health.bring_back()
    assert health.admit()


def test_a_circuit_that_closes_while_somebody_asks(clock):
    """Between the look at it and the lock, another's probe was answered."""
    health = Health(HealthPolicy(max_fails=1, cool_down=5), clock)
    failing(health, 1)

    class Closing:
        def __enter__(self):
            health._open_until = None

        def __exit__(self, *exc_info):
            pass

    health._lock = Closing()
    assert health.admit()


def test_an_answer_to_an_older_request_does_not_bring_back_what_probes_took_out():
    clock = Clock()
    health = Health(HealthPolicy(max_fails=1, cool_down=10), clock)
    health.take_out()
    health.succeeded()
    assert (health.state, health.admit()) == (OPEN, False)
    health.failed()
    clock.now += 100
    assert (health.state, health.admit()) == (OPEN, False)
    health.bring_back()
    assert health.is_closed


def test_an_answer_to_an_older_request_does_not_end_the_cool_down():
    clock = Clock()
    health = Health(HealthPolicy(max_fails=1, cool_down=10), clock)
    health.failed()
    health.succeeded()
    assert health.state == OPEN
    clock.now += 11
    assert health.admit()
    health.succeeded()
    assert health.is_closed


def test_a_circuit_that_closes_while_its_state_is_asked_for(clock):
    health = Health(HealthPolicy(max_fails=1, cool_down=5), clock)
    failing(health, 1)

    def closing():
        health.bring_back()
        return clock.now

    health._clock = closing
    assert health.state == OPEN
    assert health.state == CLOSED


def elsewhere(do):
    """Do something in another thread; return what came of it."""
    found = []
    thread = threading.Thread(target=lambda: found.append(do()))
    thread.start()
    thread.join(10)
    return found[0]


@pytest.mark.parametrize("report", ["succeeded", "failed", "abandoned"])
def test_a_request_that_is_older_is_not_the_one_that_was_let_through(clock, report):
    """Bug: it ended the probe, and the next was let through as well."""
    health = Health(HealthPolicy(max_fails=1, cool_down=5), clock)
    failing(health, 1)
    clock.now += 6
    assert health.admit()
    elsewhere(getattr(health, report))
    assert (health.state, health.seconds_left()) == (HALF_OPEN, 0)
    assert not elsewhere(health.admit)
    health.succeeded()
    assert health.state == CLOSED


def test_a_probe_that_takes_longer_than_the_cool_down_closes_the_circuit(clock):
    """Bug: it had ceased to be the probe by then, and so had each one after it."""
    health = Health(HealthPolicy(max_fails=1, cool_down=5), clock)
    failing(health, 1)
    clock.now += 6
    assert health.admit()
    clock.now += 6
    assert elsewhere(health.admit)
    health.succeeded()
    assert health.state == CLOSED
