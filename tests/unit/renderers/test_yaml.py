from __future__ import annotations

from datetime import date

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
