"""A destination and its counts."""

from __future__ import annotations

from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.endpoint import Endpoint
from pyramid_restproxy.forwarding.health import Health, HealthPolicy


def test_exchanges_are_counted_in_and_out():
    endpoint = Endpoint(Destination.parse("b", "http://h/x"), Health(HealthPolicy()))
    assert (endpoint.url, endpoint.weight, endpoint.enabled) == ("http://h/x", 1, True)
    endpoint.begin()
    endpoint.begin()
    endpoint.finished()
    assert endpoint.in_flight == 1
