"""An answer tells who watches it how it ended, once."""

from __future__ import annotations

import pytest

from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.load import Gate
from pyramid_restproxy.forwarding.model import Answer


class Watcher:
    def __init__(self):
        self.heard = []

    def finished(self):
        self.heard.append("finished")

    def broken(self):
        self.heard.append("broken")


def answer(watcher=None):
    return Answer(200, "OK", FieldList([]), BytesBody(b"x"), watcher)


def test_the_end_is_told_once():
    watcher = Watcher()
    found = answer(watcher)
    found.close()
    found.close()
    assert watcher.heard == ["finished"]


def test_a_break_is_told_before_the_end():
    watcher = Watcher()
    found = answer(watcher)
    found.broke()
    found.close()
    found.broke()
    assert watcher.heard == ["broken", "finished"]


def test_content_that_cannot_be_closed_leaves_the_gates_all_the_same():
    """A transform's own content raised: in flight for ever, and then 503 for all."""

    class Broken(BytesBody):
        def close(self):
            raise OSError("No space left on device")

    watcher, gate = Watcher(), Gate(1)
    gate.enter()
    found = answer(watcher)
    found.body, found.gates = Broken(b"x"), (gate,)
    for _ in range(2):
        with pytest.raises(OSError):
            found.close()
    assert watcher.heard == ["finished"]
    assert gate.inside == 0


def test_nobody_need_watch():
    found = answer()
    found.broke()
    found.close()
