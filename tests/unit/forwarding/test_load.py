"""A gate and a budget."""

from __future__ import annotations

from pyramid_restproxy.forwarding.load import Gate, RetryBudget


def test_a_gate_lets_in_as_many_as_it_may():
    gate = Gate(2)
    assert [gate.enter() for _ in range(3)] == [True, True, False]
    gate.leave()
    assert gate.enter()
    assert gate.inside == 2


def test_a_gate_without_a_limit():
    gate = Gate()
    assert all(gate.enter() for _ in range(100))


def test_retries_are_a_share_of_requests_and_a_reserve():
    budget = RetryBudget(0.25, reserve=2)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    for _ in range(4):
        budget.pay_in()
    assert [budget.take(), budget.take()] == [True, False]


def test_quiet_times_are_not_saved_up():
    budget = RetryBudget(1, reserve=1)
    for _ in range(100):
        budget.pay_in()
    assert [budget.take(), budget.take()] == [True, False]


def test_no_share_is_no_retry():
    budget = RetryBudget(0)
    budget.pay_in()
    assert not budget.take()
