"""Writing the source of a typed client."""

from __future__ import annotations

import ast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_restproxy.services.stub_source import (
    StubClass,
    StubMethod,
    free_name,
    source_of,
)
from pyramid_restproxy.services.stub_types import read_signature


def method(signature="()", path="path", doc="", stream=False):
    return StubMethod(path, doc, read_signature(signature, stream))


def written(methods, doc="Made.", folders=None):
    source = source_of([StubClass("Made", doc, methods, folders or {})])
    compile(source, "made", "exec")
    return source


def test_a_module():
    source = written({"add": method("(*, a: int, b: int = 1) -> int", "add", "Add.")})
    assert (
        source
        == '''"""Typed client of services, written by ``prest stubs``."""

from __future__ import annotations

from pyramid_restproxy.services.typed import TypedServices


class Made(TypedServices):
    """Made."""

    def add(self, *, a: int, b: int = 1) -> int:
        """Add."""
        result: int = self._call('add', {'a': a, 'b': b})
        return result
'''
    )


def test_long_lines_are_cut():
    names = ["first_parameter", "second_parameter", "third_parameter"]
    parameters = ", ".join(f"{name}: int" for name in names)
    source = written({"m": method(f"(*, {parameters}) -> None")})
    assert max(map(len, source.splitlines())) <= 88
    assert (
        "    def m(\n        self,\n        *,\n        first_parameter: int,\n"
        in source
    )
    assert "                'first_parameter': first_parameter,\n" in source


@pytest.mark.parametrize(
    "signature, body",
    [
        ("() -> None", "        self._call('path', {})\n"),
        ("()", "        return self._call('path', {})\n"),
        ("(*, result)", "        return self._call('path', {'result': result})\n"),
        (
            "(*, result) -> int",
            """        result_2: int = self._call('path', {'result': result})
        return result_2
""",
        ),
        ("(a)", "        return self._call('path', arguments)\n"),
    ],
)
def test_bodies(signature, body):
    assert written({"m": method(signature)}).endswith(body)


def test_what_no_method_can_say():
    source = written({"m": method("(*, self: int)")})
    assert "    def m(self, /, **arguments: Any) -> Any:\n" in source
    assert "from typing import Any\n" in source


def test_streams_and_defaults_that_only_the_service_knows():
    source = written({"m": method("(*, by: float = inf) -> Iterator[int]")})
    assert "def m(self, *, by: float = LEFT_OUT) -> Items[int]:" in source
    assert "from pyramid_restproxy.services.client import Items\n" in source
    assert "services.typed import LEFT_OUT, TypedServices\n" in source


def test_names_that_are_taken_get_other_ones():
    methods = {
        "list": method("(*, datetime: list[datetime.date]) -> None"),
        "TypedServices": method("(*, _list: int = x)"),
        "LEFT_OUT": method(),
        "ServiceClient": method(),
    }
    source = written(methods, folders={"_folder": "Made"})
    assert "import datetime as _datetime\n" in source
    assert "TypedServices as _TypedServices\n" in source
    assert "LEFT_OUT as _LEFT_OUT, " in source
    assert "\n_list_2 = list\n" in source
    assert "class Made(_TypedServices):" in source
    assert "def __init__(self, client: _ServiceClient) -> None:" in source
    assert "datetime: _list_2[_datetime.date]) -> None:" in source
    assert "_list: int = _LEFT_OUT" in source


def test_free_names():
    assert free_name("a", set()) == "a"
    assert free_name("a", {"a", "a_2"}) == "a_3"


DOCS = st.lists(
    st.sampled_from(['"', "'", "\\", "\n", "\r", "\t", " ", "#", "{", "\0", "\u202e"])
    | st.sampled_from(['"""', "\\N{DASH}", "\\", "\udc00", "\u2028", "\x0c", "é"])
    | st.text(max_size=3)
).map("".join)


def words_of(text):
    lines = text.encode("utf-8", "replace").decode("utf-8").splitlines()
    return "\n".join(" ".join(line.split()) for line in lines).strip("\n")


@given(DOCS)
@example('"""\nimport os\n"""')
@example("a\\")
@example('\\"')
@example('""""')
@example(' ""\n" ')
def test_documentation_is_text_and_nothing_else(doc):
    source = written({"m": method(doc=doc)}, f"Of {doc}")
    (made,) = (e for e in ast.parse(source).body if isinstance(e, ast.ClassDef))
    _, found = made.body
    assert words_of(ast.get_docstring(made)) == words_of(f"Of {doc}")
    assert words_of(ast.get_docstring(found) or "") == words_of(doc)
    assert all(each.isprintable() for each in source.replace("\n", ""))
