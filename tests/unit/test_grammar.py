"""What is a token."""

from __future__ import annotations

import pytest

from pyramid_restproxy.grammar import TOKEN


@pytest.mark.parametrize("text", ["GET", "X-Team", "a1!#$%&'*+-.^_`|~"])
def test_tokens(text):
    assert TOKEN.fullmatch(text)


@pytest.mark.parametrize("text", ["", "a b", "a:b", "a\n", "é", "(a)", '"a"', "a/b"])
def test_what_is_no_token(text):
    assert not TOKEN.fullmatch(text)
