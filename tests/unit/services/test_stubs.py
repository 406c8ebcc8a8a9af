"""Typed clients: what they can do, and that no server can put code into them."""

from __future__ import annotations

import ast
import builtins
import os
import pathlib
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pyramid_restproxy
from pyramid_restproxy.services.stubs import is_class_name, stubs_of
from pyramid_restproxy.services.values import Undecodable


def service(pattern, signature="()", doc="", **more):
    return {"pattern": pattern, "signature": signature, "doc": doc} | more


class Client:
    """Stands for a client: says what it was asked."""

    def call(self, name, arguments):
        return name, arguments


def made(*services, name="Services"):
    """Run the module, and return an object of its class."""
    module = {"__name__": "made"}
    exec(stubs_of(list(services), name), module)
    return module[name](Client())


# -- names --------------------------------------------------------------------


def test_methods_call_services():
    found = made(
        service("/srv/add", "(*, a: int, b: int = 1, c=x) -> int", "Add."),
        service("/srv/nothing", "() -> None"),
        service("/srv/describe"),
    )
    assert found.add(a=5) == ("add", {"a": 5, "b": 1})
    assert found.add(a=5, c=None) == ("add", {"a": 5, "b": 1, "c": None})
    assert found.nothing() is None
    assert found.describe() == ("describe", {})
    assert type(found).add.__doc__ == "Add."


def test_folders_are_attributes():
    found = made(
        service("/srv/describe"),
        service("/srv/statistics/mean", "(*, values: list[float]) -> float"),
        service("/srv/statistics/more/deep"),
        service("/srv/statistics", "(*, a)"),
    )
    assert found.statistics.mean(values=[1]) == ("statistics/mean", {"values": [1]})
    assert found.statistics.more.deep() == ("statistics/more/deep", {})
    assert found.statistics(a=1) == ("statistics", {"a": 1})


@pytest.mark.parametrize(
    "path, name",
    [
        ("find-me", "find_me"),
        ("class", "class_"),
        ("3d", "service_3d"),
        ("_client", "service_client"),
        ("__init__", "service_init__"),
        ("__call__", "service_call__"),
        ("größe", "größe"),
        ("\ufb01nd", "find"),
        ("list", "list"),
        ("self", "self"),
        ("\u0660", "service_"),
        ("\uff44\uff45\uff46", "def_"),
        ("a b'c", "a_b_c"),
    ],
)
def test_names_of_methods(path, name):
    found = made(service("/describe"), service(f"/{path}", "(*, a: list[int])"))
    assert getattr(found, name)(a=[1]) == (path, {"a": [1]})


def test_names_that_would_be_the_same():
    patterns = ("/describe", "/a-b", "/a_b", "/a b", "/a+b/x", "/a*b")
    found = made(*map(service, patterns))
    assert [found.a_b(), found.a_b_2(), found.a_b_3(), found.a_b_4.x()] == [
        ("a-b", {}),
        ("a_b", {}),
        ("a b", {}),
        ("a+b/x", {}),
    ]


@pytest.mark.parametrize(
    "patterns, path",
    [
        (("/one", "/srv/describe", "/srv/sub/describe", "/srv/m"), "m"),
        (("/srv/m",), "m"),
        (("/srv/m", "/srv/sub/x"), "m"),
        (("m", "n"), "m"),
    ],
)
def test_the_folder(patterns, path):
    assert made(*map(service, patterns)).m() == (path, {})


@pytest.mark.parametrize("path", ["x/{id}", "*rest", "", "/x", "a//b", "../x", "./x"])
def test_what_has_no_address_of_its_own(path):
    found = made(service("/srv/describe"), service(f"/srv/{path}"))
    assert f"- {path}".rstrip() in type(found).__doc__
    assert not hasattr(found, "x")


def test_folders_without_end():
    found = made(service("/describe"), service("/a" * 22), service("/b" * 21))
    assert not hasattr(found, "a") and found.b.b.b.b.b.b


@pytest.mark.parametrize("name", ["Services", "Größe", "statistics", "Service_2"])
def test_class_names(name):
    assert is_class_name(name)
    assert type(made(service("/list"), name=name)).__name__ == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "_A",
        "class",
        "int",
        "Any",
        "TypedServices",
        "a b",
        "\ufb01",
        "A(B)",
        "A:\nx",
    ],
)
def test_what_is_no_class_name(name):
    assert not is_class_name(name)
    with pytest.raises(ValueError, match="a class cannot be named"):
        stubs_of([], name)


@pytest.mark.parametrize(
    "description",
    [
        None,
        {},
        "text",
        [1],
        [{}],
        [{"pattern": 1, "signature": "()", "doc": ""}],
        [{"pattern": "/a", "doc": ""}],
        [{"pattern": "/a", "signature": "()", "doc": None}],
    ],
)
def test_what_is_no_description(description):
    with pytest.raises(Undecodable, match="not a description") as caught:
        stubs_of(description)
    assert caught.value.code == "description"


def test_no_services():
    made()


# -- hostile descriptions -----------------------------------------------------

#: All that a generated module is made of.
NODES = (
    ast.Module, ast.Import, ast.ImportFrom, ast.alias, ast.ClassDef, ast.FunctionDef,
    ast.arguments, ast.arg, ast.Expr, ast.Constant, ast.Return, ast.Assign,
    ast.AnnAssign, ast.Call, ast.Dict, ast.Name, ast.Attribute, ast.Subscript,
    ast.Tuple, ast.BinOp, ast.BitOr, ast.UnaryOp, ast.USub, ast.expr_context,
)  # fmt: skip
#: What it may import.
FROM = {
    "__future__": {"annotations"},
    "typing": {"Any", "Literal"},
    "collections.abc": {"Mapping", "Sequence"},
    "pyramid_restproxy.services.client": {"Items", "ServiceClient"},
    "pyramid_restproxy.services.typed": {"LEFT_OUT", "TypedServices"},
}
MODULES = {"datetime", "decimal", "uuid"}

PIECES = st.sampled_from(
    [
        "import os\n", "os.system('x')", "__import__('os')", "eval('1')", "; x", "\n",
        '"', "'", '"""', "\\", "\\\n", "#", "(", ")", "*, ", "a", "b: ", "int", " = ",
        "1", " -> ", "list[", "]", " | ", "Literal['", "']", ", ", "lambda: 0", "\0",
        "\udc00", "\u2028", "\u202e", "{", "}", "/", "..", "self", "__init__", "_call",
        "class", "None", "...", "1e999", "-", "f'{x}'", "(x := 1)", "@x\n", "Iterator[",
        "datetime.date", "return", "yield x", "TypedServices", "super", "result",
        "__class__", "\ufb01", "fi", "\t", ":", "é", "[", "lambda", "~T", "<locals>",
    ]
)  # fmt: skip
TEXT = st.lists(PIECES | st.text(max_size=2), max_size=8).map("".join)
SIGNATURE = TEXT | st.builds(
    "(*, {}: {} = {}, {}: {}) -> {}".format, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT
) | st.builds(
    "(*, {}: {} = {}) -> {}".format,
    st.sampled_from(["a", "list", "result", "Any", "_list", "arguments", "client"]),
    st.sampled_from(["int", "list[datetime.date]", "Literal['a']", "tuple", "x.Y"]),
    st.sampled_from(["1", "None", "'a'", "-1.5", "1e999", "os.system('x')", "[1]"]),
    st.sampled_from(["int", "None", "Iterator[int]", "tuple[int, str]", "Any", "x()"]),
)  # fmt: skip
SERVICE = st.fixed_dictionaries(
    {"pattern": TEXT.map("/srv/{}".format) | TEXT, "signature": SIGNATURE, "doc": TEXT},
    optional={"stream": st.booleans(), "name": TEXT},
)


@given(st.lists(SERVICE, max_size=5))
@example([service("/a", "(*, a=print(1)) -> int")])
@example([service("/a", "(): ...\nimport os\ndef x()")])
@example([service("/a\nimport os", doc='"""\nimport os\n"""')])
@example([service("/super/__class__/_call")])
@example([service("/int"), service("/b", "(*, int: int = 1) -> list[int]")])
def test_no_description_becomes_code(description):
    source = stubs_of(description)
    compile(source, "made", "exec")
    tree = ast.parse(source)
    parents = {
        child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)
    }
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in ast.walk(tree):
        assert isinstance(node, NODES), ast.dump(node)
        if isinstance(node, ast.ImportFrom):
            assert {each.name for each in node.names} <= FROM[node.module]
        elif isinstance(node, ast.Import):
            assert {each.name for each in node.names} <= MODULES
        elif isinstance(node, ast.Call):
            assert ast.unparse(node.func) in {
                "self._call", "super", "super().__init__", *classes
            }  # fmt: skip
        elif isinstance(node, ast.FunctionDef):
            assert not node.decorator_list and isinstance(parents[node], ast.ClassDef)
            assert node.name in ("__init__", "__call__") or node.name[0] != "_"
        elif isinstance(node, ast.ClassDef):
            assert parents[node] is tree and not node.decorator_list
            assert not node.keywords and len(node.bases) == 1
    exec(source, {"__name__": "made"})


# -- type checkers ------------------------------------------------------------

DESCRIPTION = [
    service("/srv/describe", "() -> list[dict[str, typing.Any]]"),
    service("/srv/add", "(*, a: int, b: int = 1) -> int", "Add."),
    service("/srv/list", "(*, since: Optional[datetime.date] = None) -> list[str]"),
    service("/srv/price", "(*, of: uuid.UUID) -> decimal.Decimal | None"),
    service("/srv/train", "(*, epochs: int) -> Iterator[float]", stream=True),
    service("/srv/mode", "(*, mode: Literal['fast', 'slow'] = 'fast') -> None"),
    service("/srv/find-me", "(*, list: list[int], by=<x>) -> tuple[int, str]"),
    service("/srv/fit", "(*, shape: tuple[int, ...] = (), model: shop.Model = x)"),
    service("/srv/statistics/mean", "(*, values: list[float]) -> float"),
    service("/srv/statistics/list", "() -> dict[str, int]"),
    service("/srv/statistics", "(*, result: int) -> int"),
]  # fmt: skip

GOOD = """
import datetime
import uuid
from decimal import Decimal
from made import Services
from pyramid_restproxy.services.client import ServiceClient

with ServiceClient("http://localhost/srv", "json") as client:
    services = Services(client)
    total: int = services.add(a=1) + services.add(a=1, b=2)
    names: list[str] = services.list(since=datetime.date(2026, 1, 1))
    price: Decimal | None = services.price(of=uuid.UUID(int=1))
    losses: list[float] = [loss for loss in services.train(epochs=2)]
    with services.train(epochs=2) as items:
        last: float = next(items)
    services.mode(mode="slow")
    first: int | str = services.find_me(list=[1])[0]
    services.fit(shape=(1, 2), model=object())
    mean: float = services.statistics.mean(values=[1.0])
    counts: dict[str, int] = services.statistics.list()
    whole: int = services.statistics(result=1)
"""

#: What a type checker must refuse, and why.
BAD = [
    ("services.add(a='1')", "arg-type"),
    ("services.add(1)", "call-arg"),
    ("services.add(b=1)", "call-arg"),
    ("services.add(a=1, c=1)", "call-arg"),
    ("services.nothing()", "attr-defined"),
    ("text: str = services.add(a=1)", "assignment"),
    ("services.list(since='2026-01-01')", "arg-type"),
    ("services.price(of='x')", "arg-type"),
    ("services.train(epochs=1)[0]", "index"),
    ("words: list[str] = list(services.train(epochs=1))", "arg-type"),
    ("services.mode(mode='medium')", "arg-type"),
    ("nothing = services.mode()", "func-returns-value"),
    ("services.statistics.mean(values='x')", "arg-type"),
    ("services.statistics(result='x')", "arg-type"),
    ("Services('http://localhost')", "arg-type"),
]


def test_type_checkers_know_the_services(tmp_path):
    (tmp_path / "made.py").write_text(stubs_of(DESCRIPTION), "utf-8")
    (tmp_path / "good.py").write_text(GOOD, "utf-8")
    bad = GOOD + "".join(f"    {line}\n" for line, _ in BAD)
    (tmp_path / "bad.py").write_text(bad, "utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    command += ["--config-file=", "--no-pretty", "--no-error-summary"]
    done = subprocess.run(
        [*command, "made.py", "good.py", "bad.py"],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    start = GOOD.count("\n")
    expected = [
        (f"bad.py:{start + number}", f"[{code}]")
        for number, (_, code) in enumerate(BAD, 1)
    ]
    seen = [(line.partition(": error")[0], line.split()[-1]) for line in found]
    assert seen == expected, done.stdout + done.stderr


ROOT = pathlib.Path(pyramid_restproxy.__file__).parents[1]


def test_names_of_python_stay_free():
    for name in ("print", "int", "super", "Exception"):
        assert hasattr(builtins, name) and not is_class_name(name)
