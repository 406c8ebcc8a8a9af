"""One asks, the others wait for it."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from pyramid_restproxy.forwarding.cache.collapse import Flights
from tests.unit.forwarding.cache.test_entry import ENTRY

FAR = time.monotonic() + 10_000


def test_the_first_leads_the_others_join():
    flights = Flights(60)
    flight, leads = flights.join("slot", "resource")
    assert leads and not flight.landed
    assert flights.join("slot", "resource") == (flight, False)
    assert flights.join("other", "resource")[0] is not flight


def test_those_that_wait_get_what_landed():
    flights = Flights(60)
    flight, _ = flights.join("slot", "resource")
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(flight.wait(FAR))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    flight.land(ENTRY)
    for thread in threads:
        thread.join()
    assert got == [ENTRY] * 5
    flight.land(None)
    assert flight.wait(FAR) == ENTRY


def test_a_flight_that_landed_is_not_joined():
    flights = Flights(60)
    flight, _ = flights.join("slot", "resource")
    flight.land()
    assert flights.join("slot", "resource")[1]


def test_a_flight_that_takes_too_long_is_neither_awaited_nor_joined():
    flights = Flights(0)
    flight, _ = flights.join("slot", "resource")
    assert flight.wait(FAR) is None
    assert flights.join("slot", "resource")[1]


def test_nobody_waits_longer_than_he_wants():
    flight = Flights(60).begin("resource")
    assert flight.wait(time.monotonic()) is None


def test_a_flight_that_is_dropped_is_forgotten():
    flights = Flights(60)
    flight, _ = flights.join("slot", "resource")
    del flight
    gc.collect()
    assert flights.join("slot", "resource")[1]


def test_a_resource_that_changed_meanwhile_is_not_shared():
    flights = Flights(60)
    joined, _ = flights.join("slot", "resource")
    alone, other = flights.begin("resource"), flights.begin("other")
    flights.spoil("resource")
    assert (joined.spoiled, alone.spoiled, other.spoiled) == (True, True, False)
    joined.land(ENTRY)
    assert joined.wait(FAR) is None


def test_a_leader_that_leaves():
    flight = Flights(60).begin("resource")
    assert not flight.left
    flight.leave()
    assert flight.left and flight.landed and flight.wait(FAR) is None
    landed = Flights(60).begin("resource")
    landed.land(ENTRY)
    landed.leave()
    assert not landed.left and landed.wait(FAR) == ENTRY


def test_an_error_lands_it():
    flights = Flights(60)
    with flights.begin("resource") as flight:
        pass
    assert not flight.landed
    with pytest.raises(KeyError), flight:
        raise KeyError
    assert flight.landed
