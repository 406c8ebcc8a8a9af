"""Ending without breaking what goes on."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from pyramid_restproxy.operation import drain as d


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_first_the_word_then_the_refusal(clock):
    drain = d.Drain(grace=5, clock=clock)
    assert (drain.draining, drain.refusing) == (False, False)
    drain.begin()
    assert (drain.draining, drain.refusing) == (True, False)
    clock.now += 5
    drain.begin()
    assert (drain.draining, drain.refusing) == (True, True)


def test_it_waits_for_the_grace_time_and_what_is_in_flight(clock):
    drain = d.Drain(grace=1, timeout=10, clock=clock)
    drain.enter()
    drain.enter()

    def pause(seconds):
        clock.now += seconds
        if drain.refusing and drain.in_flight:
            drain.leave()

    assert drain.wait(pause)
    assert clock.now >= 101


def test_it_does_not_wait_for_ever(clock):
    drain = d.Drain(timeout=1, clock=clock)
    drain.enter()

    def pause(seconds):
        clock.now += seconds

    assert not drain.wait(pause)


@pytest.mark.parametrize("in_flight, says", [(0, "drained"), (2, "2 requests did not")])
def test_then_it_ends_as_with_ctrl_c(caplog, in_flight, says):
    caplog.set_level("INFO")
    drain, sent = d.Drain(timeout=0.01), []
    drain.in_flight = in_flight
    d._end(drain, lambda *args: sent.append(args))
    assert sent == [(os.getpid(), signal.SIGINT)]
    assert says in caplog.text


def test_sigterm_begins_it(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr(d, "_end", lambda drain: ended.set())
    before = signal.getsignal(signal.SIGTERM)
    try:
        drain = d.Drain()
        d.drain_on_sigterm(drain)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert ended.wait(10)
        assert drain.draining
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_application_made_in_a_thread_says_so(caplog):
    thread = threading.Thread(target=d.drain_on_sigterm, args=(d.Drain(),))
    thread.start()
    thread.join(10)
    assert "made in a thread" in caplog.text


def test_a_process_that_was_started_with_sigint_ignored_ends_all_the_same(monkeypatch):
    """A shell that is no terminal's starts its ``&`` jobs in that way."""
    handlers = {signal.SIGINT: signal.SIG_IGN}
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    d.drain_on_sigterm(d.Drain(0, 0))
    assert handlers[signal.SIGINT] is signal.default_int_handler
    assert callable(handlers[signal.SIGTERM])
