"""Which destination of a backend is asked next.

A picker is ``(endpoints) -> endpoint``: given those that may be asked (one at the
least), it returns one. Each process has its own turn and its own counts. Who may be
asked at all is decided in ``attempts``, with what ``health`` knows.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

from pyramid_restproxy.forwarding.endpoint import Endpoint

__all__ = [
    "PICKERS",
    "Picker",
    "first",
    "least_requests",
    "random_choice",
    "round_robin",
    "two_choices",
]

Picker = Callable[[Sequence[Endpoint]], Endpoint]


def round_robin() -> Picker:
    """Make a picker that asks all in turn, by their weights, spread evenly.

    Each endpoint gains its weight at each turn; the one that has most is asked and
    pays the sum (nginx's smooth weighted round robin).
    """
    lock = threading.Lock()
    credit: dict[str, float] = {}

    def pick(endpoints: Sequence[Endpoint]) -> Endpoint:
        with lock:
            total = 0.0
            if len(credit) > 2 * len(endpoints) + 64:  # most of them are gone
                for url in credit.keys() - {each.url for each in endpoints}:
                    del credit[url]
            for each in endpoints:
                credit[each.url] = credit.get(each.url, 0.0) + each.weight
                total += each.weight
            chosen = max(endpoints, key=lambda each: credit[each.url])
            credit[chosen.url] -= total
            return chosen

    return pick


def random_choice() -> Picker:
    """Make a picker that asks any, by their weights."""
    return lambda endpoints: random.choices(
        endpoints, [each.weight for each in endpoints]
    )[0]


def least_requests() -> Picker:
    """Make a picker that asks who has least to do for its weight; ties by chance."""
    return lambda endpoints: min(
        endpoints, key=lambda each: (_load(each), random.random())
    )


def two_choices() -> Picker:
    """Make a picker that asks the one with less to do of two taken by chance.

    Nearly as even as looking at all, without that all processes run to the same one.
    """

    def pick(endpoints: Sequence[Endpoint]) -> Endpoint:
        pair = random.sample(endpoints, 2) if len(endpoints) > 1 else endpoints
        return min(pair, key=_load)

    return pick


def first() -> Picker:
    """Make a picker that asks the first; the others are there for when it fails."""
    return lambda endpoints: endpoints[0]


def _load(endpoint: Endpoint) -> float:
    return (endpoint.in_flight + 1) / endpoint.weight


#: By the name that settings use.
PICKERS: dict[str, Callable[[], Picker]] = {
    "round_robin": round_robin,
    "random": random_choice,
    "least_requests": least_requests,
    "two_choices": two_choices,
    "first": first,
}
