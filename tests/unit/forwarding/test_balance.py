"""Who is asked next."""

from __future__ import annotations

from collections import Counter

import pytest

from pyramid_restproxy.forwarding import balance
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.endpoint import Endpoint
from pyramid_restproxy.forwarding.health import Health, HealthPolicy


def endpoints(*weights):
    return [
        Endpoint(Destination.parse("b", f"http://h{i}"), Health(HealthPolicy()), weight)
        for i, weight in enumerate(weights)
    ]


def picked(pick, candidates, times):
    return [candidates.index(pick(candidates)) for _ in range(times)]


def test_round_robin():
    assert picked(balance.round_robin(), endpoints(1, 1, 1), 6) == [0, 1, 2, 0, 1, 2]


def test_round_robin_spreads_weights_evenly():
    assert picked(balance.round_robin(), endpoints(3, 1), 8) == [0, 0, 1, 0] * 2


def test_round_robin_goes_on_when_one_leaves():
    pick, candidates = balance.round_robin(), endpoints(1, 1, 1)
    picked(pick, candidates, 4)
    assert set(picked(pick, candidates[1:], 4)) == {0, 1}


def test_random_keeps_to_the_weights():
    found = Counter(picked(balance.random_choice(), endpoints(9, 1), 2000))
    assert 1650 < found[0] < 1950


def test_least_requests():
    candidates = endpoints(1, 1, 4)
    candidates[0].in_flight, candidates[1].in_flight = 2, 1
    candidates[2].in_flight = 5  # a quarter of it for its weight
    assert balance.least_requests()(candidates) is candidates[2]
    candidates[2].in_flight = 9
    assert balance.least_requests()(candidates) is candidates[1]


def test_the_better_of_two():
    candidates = endpoints(1, 1)
    candidates[0].in_flight = 1
    assert picked(balance.two_choices(), candidates, 5) == [1] * 5
    assert picked(balance.two_choices(), candidates[:1], 1) == [0]


def test_the_first():
    assert picked(balance.first(), endpoints(1, 1), 3) == [0, 0, 0]


@pytest.mark.parametrize("name", balance.PICKERS)
def test_every_picker_picks_one_of_those_there_are(name):
    candidates = endpoints(1, 2, 3)
    pick = balance.PICKERS[name]()
    assert all(pick(candidates) in candidates for _ in range(20))
