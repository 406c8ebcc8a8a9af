"""What XML carries, and plain values as its elements."""

from __future__ import annotations

import pytest

from pyramid_restproxy.markup import carriable, element


@pytest.mark.parametrize("bad", ["\0", "\x08", "\x1f", "\ud800", "\ufffe", "\uffff"])
def test_what_cannot_be_carried_becomes_the_replacement_character(bad):
    assert carriable(f"a{bad}b") == "a\ufffdb"


@pytest.mark.parametrize("text", ["", "a\tb\r\nc", "é", "\x85", "\U0001f600", "\ufffd"])
def test_all_else_stays(text):
    assert carriable(text) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, '<r a="1" nil="true"/>'),
        ([True, None], '<r a="1"><i>true</i><i nil="true"/></r>'),
        ({"a": [[0]]}, '<r a="1"><a><i><i>0</i></i></a></r>'),
        ({"a b": 1}, '<r a="1"><entry name="a b">1</entry></r>'),
        ({"\x01": "\x01"}, '<r a="1"><entry name="\ufffd">\ufffd</entry></r>'),
    ],
)
def test_elements(value, written):
    assert "".join(element("r", value, "i", ' a="1"')) == written
