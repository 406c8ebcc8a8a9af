"""Ending without breaking what goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
    d._end([drain], lambda *args: sent.append(args))
    assert sent == [(os.getpid(), signal.SIGINT)]
    assert says in caplog.text


@pytest.fixture
def sigterm(monkeypatch):
    """The handler of a process in which no application was made yet."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(d, "on_sigterm", d.OnSigterm())
    yield d.on_sigterm
    signal.signal(signal.SIGTERM, before)


def test_sigterm_begins_it(monkeypatch, sigterm):
    ended, ends = threading.Event(), []

    def end(drains):
        ends.append((threading.current_thread().daemon, drains))
        ended.set()

    monkeypatch.setattr(d, "_end", end)
    drain = d.Drain()
    drain.begin()  # by hand: that alone does not end the process
    d.drain_on_sigterm(drain)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert ended.wait(10)
    assert drain.draining
    assert ends == [(True, [drain])]  # Ctrl+C does not wait for it


def test_all_applications_of_a_process_drain(monkeypatch, sigterm):
    """Only the last did, and the process ended with requests of the others."""
    ended = threading.Event()
    monkeypatch.setattr(d, "_end", lambda drains: ended.set())
    drains = [d.Drain() for _ in range(3)]
    for drain in drains:
        d.drain_on_sigterm(drain)
    d.drain_on_sigterm(d.Drain())  # its application is gone
    assert set(sigterm.drains) == set(drains)
    signal.raise_signal(signal.SIGTERM)
    assert ended.wait(10)
    assert all(drain.draining for drain in drains)


def test_several_drain_at_the_same_time(clock):
    """Each has its own time, and all of them have begun."""
    drains = [d.Drain(1, 10, clock), d.Drain(5, 2, clock), d.Drain(0, 3, clock)]

    def pause(seconds):
        clock.now += seconds

    for drain in drains:
        drain.enter()
        drain.begin()
    assert [drain.wait(pause) for drain in drains] == [False] * 3
    assert clock.now == pytest.approx(111, abs=0.1)


def test_who_has_pressed_ctrl_c_gets_no_second_one(monkeypatch):
    class Gone:
        def is_alive(self):
            return False

    monkeypatch.setattr(threading, "main_thread", Gone)
    sent = []
    d._end([d.Drain()], lambda *args: sent.append(args))
    assert sent == []


PROGRAM = """
import time
from pyramid_restproxy.operation.drain import Drain, drain_on_sigterm

drain = Drain(grace=60)
drain_on_sigterm(drain)
print("up", flush=True)
try:
    while not drain.draining:
        time.sleep(0.01)
    print("draining", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    pass
"""


def test_ctrl_c_ends_it_while_it_drains():
    """The process waited for the end of the drain, and printed a traceback."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "draining\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)  # the grace time is longer
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()


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
