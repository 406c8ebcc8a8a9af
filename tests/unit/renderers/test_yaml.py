from __future__ import annotations

from datetime import date

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from pyramid_restproxy.renderers.yaml import YamlFactory


def test_order_and_letters_are_kept(render):
    assert render("yaml", {"b": "é", "a": [1]}) == "b: é\na:\n- 1\n".encode()


def test_there_are_no_tags_and_no_aliases(render):
    same = [Markup("x")]
    assert render("yaml", {"a": same, "b": same}) == b"a:\n- x\nb:\n- x\n"


def test_a_date_is_text(render):
    assert yaml.safe_load(render("yaml", [date(2026, 1, 2)])) == ["2026-01-02"]


def test_without_the_library_in_c(render, monkeypatch):
    monkeypatch.delattr(yaml, "CSafeDumper")
    assert render("yaml", {"a": 1}) == b"a: 1\n"


def test_control_characters_are_escaped(render):
    assert yaml.safe_load(render("yaml", ["\0\x1b"])) == ["\0\x1b"]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(blacklist_categories=("Cs", "Cc", "Cn")))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner)
)


@given(VALUES)
def test_values_come_back(value):
    assert yaml.safe_load(YamlFactory().encode(value, None, None)) == value


NUMBERS = ["1e5", "123e4", "12e-03", "0o14", "+12", ".5", "+.5", "1.", "0x1F", "1_000"]


@pytest.mark.parametrize("text", NUMBERS)
@pytest.mark.parametrize("in_c", [True, False])
def test_text_that_is_a_number_in_yaml_1_1_or_1_2_is_quoted(
    render, monkeypatch, text, in_c
):
    """A commit ``123e4`` was a number for readers of YAML 1.2."""
    if not in_c:
        monkeypatch.delattr(yaml, "CSafeDumper")
    assert render("yaml", {"a": text}) == f"a: '{text}'\n".encode()


@pytest.mark.parametrize("text", ["0o8", ".", "+", "e5", "1e", "1.2.3", "+1 2"])
def test_text_that_only_begins_like_a_number_is_not_quoted(render, text):
    assert render("yaml", {"a": text}) == f"a: {text}\n".encode()


def test_numbers_are_not_quoted(render):
    assert render("yaml", [10, -1, 1.5, 1e20]) == b"- 10\n- -1\n- 1.5\n- 1.0e+20\n"


def test_a_lone_surrogate_is_replaced(render):
    """It was a 500, and JSON of a client's can bring one."""
    value = {"k\udfff": ["x\ud800y"]}
    assert yaml.safe_load(render("yaml", value)) == {"k\ufffd": ["x\ufffdy"]}
