from __future__ import annotations

import pytest

from pyramid_restproxy.renderers.text import carriable


@pytest.mark.parametrize("bad", ["\0", "\x08", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_cannot_be_carried_becomes_the_replacement_character(bad):
    assert carriable(f"a{bad}b") == "a\ufffdb"


@pytest.mark.parametrize("text", ["", "a\tb\r\nc", "é", "\x85", "\U0001f600", "\ufffd"])
def test_all_else_stays(text):
    assert carriable(text) == text
