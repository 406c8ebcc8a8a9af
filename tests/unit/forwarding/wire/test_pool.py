"""Idle connections."""

from __future__ import annotations

import gc
import os

import pytest

from pyramid_restproxy.forwarding.wire.opening import connect
from pyramid_restproxy.forwarding.wire.pool import Pool

from .conftest import FOREVER, echo, origin, wait_for_end


def test_the_last_connection_given_back_is_taken_first(serve):
    server = serve(wait_for_end)
    pool, where = Pool(10, 30), origin(server)
    first, second = (connect(where, 5, FOREVER) for _ in range(2))
    pool.give(where, first)
    pool.give(where, second)
    assert pool.take(where) is second
    assert pool.take(where) is first
    assert pool.take(where) is None
    first.close()
    second.close()


def test_the_pool_has_a_bound_and_drops_the_oldest(serve):
    pool, where = Pool(2, 30), origin(serve(wait_for_end))
    made = [connect(where, 5, FOREVER) for _ in range(3)]
    for each in made:
        pool.give(where, each)
    assert pool.count() == 2
    assert pool.take(where) is made[2]
    made[2].close()
    pool.close()
    assert pool.count() == 0


def test_a_connection_that_the_server_closed_is_not_taken(serve):
    pool, where = Pool(2, 30), origin(serve(lambda *_: None))
    made = connect(where, 5, FOREVER)
    assert made.receive(1, FOREVER) == b""  # the end has arrived
    pool.give(where, made)
    assert pool.take(where) is None


def test_a_connection_that_was_idle_too_long_is_not_taken(serve):
    pool, where = Pool(2, 0), origin(serve(wait_for_end))
    pool.give(where, connect(where, 5, FOREVER))
    assert pool.take(where) is None


def test_connections_that_nobody_takes_any_more_are_closed_when_others_come(serve):
    server = serve(wait_for_end)
    where, gone = origin(server), origin(server)._replace(host="localhost")
    pool = Pool(10, 1000)
    first, second = (connect(where, 5, FOREVER) for _ in range(2))
    pool.give(gone, first)
    pool.give(where, second)
    first.idle_since -= 2000
    pool._sweep_at = 0.0
    pool.give(where, connect(where, 5, FOREVER))
    assert pool.count() == 2
    assert list(pool._idle) == [where]
    pool.close()


def test_bug_a_pool_in_a_cycle_closes_its_sockets_without_a_warning(serve):
    pool, where = Pool(2, 30), origin(serve(wait_for_end))
    made = connect(where, 5, FOREVER)
    pool.give(where, made)
    sock = made._sock
    pool.itself = pool  # now only the collector can find it
    del pool
    gc.collect()
    assert sock.fileno() == -1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_child_process_starts_with_an_empty_pool(serve):
    pool, where = Pool(2, 30), origin(serve(echo))
    made = connect(where, 5, FOREVER)
    pool.give(where, made)
    child = os.fork()
    if child == 0:
        os._exit(pool.count())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    again = pool.take(where)
    assert again is made  # and the parent's is still open
    made.send(b"x", FOREVER)
    assert made.receive(1, FOREVER) == b"x"
    made.close()


def test_what_is_idle_for_one_origin_can_be_dropped(serve):
    pool, server = Pool(2, 30), serve(wait_for_end)
    here, there = origin(server), origin(server, verify=False)
    for where in (here, here, there):
        pool.give(where, connect(where, 5, FOREVER))
    pool.drop(here)
    assert pool.count() == 1 and pool.take(here) is None
    pool.drop(here)
    pool.close()
