"""The access line, and where it cannot be written."""

from __future__ import annotations

import json
import logging

import pytest
from pyramid.request import Request

from pyramid_restproxy.operation import access
from pyramid_restproxy.operation.access import Losses, access_line, write_line


class Route:
    name = "users"


def test_a_line_says_what_happened_and_no_secrets():
    request = Request.blank("/api/users/1?token=hunter2", method="POST")
    request.headers["Authorization"] = "Bearer hunter2"
    request.matched_route = Route
    text = access_line(request, 201, 0.25, {"backend": "b", "trace_id": None})
    assert json.loads(text) == {
        "method": "POST",
        "path": "/api/users/1",
        "status": 201,
        "seconds": 0.25,
        "route": "users",
        "backend": "b",
    }
    assert "hunter2" not in text


def test_a_line_is_one_line_whatever_the_path():
    request = Request.blank("/a%0Ab")
    assert "\n" not in access_line(request, 404, 0.0, {})


# -- lines that are lost ---------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Broken:
    """A stream on a full disk."""

    def write(self, text):
        raise OSError(28, "No space left on device")

    def flush(self):
        pass


@pytest.fixture
def counted(monkeypatch):
    found = Losses(every=60, clock=Clock())
    monkeypatch.setattr(access, "losses", found)
    yield found
    for each in access._handlers(access.log):  # the test runner's own
        vars(each).pop("handleError", None)


@pytest.fixture
def handler():
    """A handler of the access log alone, on a full disk."""
    handler = logging.StreamHandler(Broken())
    level = access.log.level
    access.log.addHandler(handler)
    access.log.setLevel(logging.INFO)
    yield handler
    access.log.removeHandler(handler)
    access.log.setLevel(level)


def test_a_line_that_is_lost_is_counted_and_said_now_and_then(counted, handler, capsys):
    counted.watch(access.log)
    counted.watch(access.log)  # once is enough
    for _ in range(3):
        write_line("{}")
    assert counted.count == 3
    assert capsys.readouterr().err.count("Logging error") == 1
    counted._clock.now = 60.0
    write_line("{}")
    assert counted.count == 4
    assert capsys.readouterr().err.count("Logging error") == 1


def test_other_lines_of_the_same_handler_are_its_own_business(counted, handler, capsys):
    counted.watch(access.log)
    for _ in range(2):
        access.log.getChild("other").warning("lost")
    assert counted.count == 0
    assert capsys.readouterr().err.count("Logging error") == 2


def test_a_handler_that_does_not_keep_its_errors(counted, handler):
    handler.emit = Broken().write
    write_line("{}")
    assert counted.count == 1


def test_handlers_of_loggers_above_are_watched_as_far_as_lines_go(counted):
    above, below = logging.getLogger("lost"), logging.getLogger("lost.below")
    first, second = logging.StreamHandler(Broken()), logging.StreamHandler(Broken())
    above.addHandler(first)
    below.addHandler(second)
    above.propagate = below.propagate = False
    counted.watch(below)
    assert first.handleError.__self__ is first
    below.propagate = True
    counted.watch(below)
    below.error("lost")
    assert counted.count == 2


def test_a_path_is_told_as_people_read_it():
    request = Request.blank("/api/%C3%BC%ff")
    assert json.loads(access_line(request, 200, 0.0, {}))["path"] == "/api/ü\ufffd"
