"""From the text of a signature to types."""

from __future__ import annotations

import pytest

from pyramid_restproxy.services.stub_types import Kind, read_signature

PROGRESS = "pyramid_restproxy.services.values.Progress"


def kind_of(text):
    (found,) = read_signature(f"(*, a: {text})").parameters
    return found.kind.written({})


def returned(text, stream=False):
    found = read_signature(f"() -> {text}", stream)
    return found.returns.written({}), found.stream


@pytest.mark.parametrize(
    "text, written",
    [
        ("int", "int"),
        ("None", "None"),
        ("NoneType", "None"),
        ("object", "object"),
        ("datetime.datetime", "datetime.datetime"),
        ("decimal.Decimal", "decimal.Decimal"),
        ("uuid.UUID", "uuid.UUID"),
        ("typing.Any", "Any"),
        ("list", "list[Any]"),
        ("dict", "dict[Any, Any]"),
        ("List[int]", "list[int]"),
        ("typing.List[typing.Any]", "list[Any]"),
        ("dict[str, list[datetime.date]]", "dict[str, list[datetime.date]]"),
        ("collections.abc.Mapping[str, int]", "Mapping[str, int]"),
        ("Sequence[FrozenSet[bytes]]", "Sequence[frozenset[bytes]]"),
        ("list[int, str]", "Any"),
        ("int[str]", "Any"),
        ("Optional[int]", "int | None"),
        ("Optional", "None"),
        ("Union[int, Optional[str]]", "int | str | None"),
        ("int | str | int | None", "int | str | None"),
        ("int | numpy.ndarray", "Any"),
        ("list[int | numpy.ndarray]", "list[Any]"),
        ("typing.Annotated[int, Meta(gt=0)]", "int"),
        ("Annotated[int | None, 5]", "int | None"),
        ("Annotated", "Any"),
        ("Literal['a', -1, None, True, b'x']", "Literal['a', -1, None, True, b'x']"),
        ("Literal", "Any"),
        ("Literal[1.5]", "Any"),
        ("Literal[Colour.RED]", "Any"),
        ("Literal[-'a']", "Any"),
        ("tuple", "tuple[Any, ...]"),
        ("Tuple[int, ...]", "tuple[int, ...]"),
        ("tuple[int, str]", "tuple[int, str]"),
        ("shop.Point", "Any"),
        ("~T", "Any"),
        ("int or str", "Any"),
        ("print('x')", "Any"),
        ("__import__('os').system", "Any"),
        ("[int for int in x]", "Any"),
        ("'int'", "Any"),
        ("datetime", "Any"),
    ],
)
def test_types(text, written):
    assert kind_of(text) == written


@pytest.mark.parametrize(
    "text, stream, expected",
    [
        ("int", False, ("int", False)),
        ("None", False, ("None", False)),
        ("tuple[int, str] | None", False, ("Sequence[int | str] | None", False)),
        ("dict[str, tuple[int, ...]]", False, ("dict[str, Sequence[int]]", False)),
        ("tuple", False, ("Sequence[Any]", False)),
        ("Iterator[int]", False, ("int", True)),
        ("collections.abc.Generator[int, None, str]", False, ("int", True)),
        (f"Iterator[Union[{PROGRESS}, float]]", True, ("float", True)),
        (f"Iterator[{PROGRESS}]", True, ("Any", True)),
        ("Iterator", True, ("Any", True)),
        ("Iterable[str]", True, ("str", True)),
        ("Iterable[str]", False, ("Any", False)),
        ("list[int]", True, ("Any", True)),
    ],
)
def test_answers(text, stream, expected):
    assert returned(text, stream) == expected


def test_a_stream_without_a_type():
    found = read_signature("(*, n: int)", stream=True)
    assert found.stream and found.returns == Kind("Any")
    assert not read_signature("()").stream


@pytest.mark.parametrize(
    "text, default",
    [
        ("a: int = 1", "1"),
        ("a: int = -1", "-1"),
        ("a: float = 2", "2"),
        ("a: float = 1e999", None),
        ("a: float = inf", None),
        ("a: int = 1.5", None),
        ("a: int = True", "True"),
        ("a: bool = 1", None),
        ("a: int = None", None),
        ("a: int | None = None", "None"),
        ("a=None", "None"),
        ("a: object = b'x'", "b'x'"),
        ("a: str = 'it\\'s'", '"it\'s"'),
        ("a: Literal['x', 'y'] = 'x'", "'x'"),
        ("a: Literal['x', 'y'] | None = 'y'", "'y'"),
        ("a: Literal['x', 'y'] = 'z'", None),
        ("a: list[int] = []", None),
        ("a=...", None),
        ("a=1j", None),
        ("a=-'x'", None),
        ("a=f'{1}'", None),
        ("a=print(1)", None),
        ("a=(x := 1)", None),
    ],
)
def test_defaults(text, default):
    (found,) = read_signature(f"(*, {text})").parameters
    assert not found.required and found.default == default


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(",
        "(a)",
        "(a, /)",
        "(*a)",
        "(**a)",
        "(*, self)",
        "(*, __a)",
        "(*, __debug__)",
        "(*, a, a)",
        "(*, \ufb01, fi)",
        "(*, class)",
        "(*, a=<object object at 0x7f0>)",
        "(): ...\nimport os\ndef service()",
        "(*, a='\\d')",
        "(*, a=\x00)",
        "(*, a='\udc00')",
        "(*, a: " + "list[" * 300 + "int" + "]" * 300 + ")",
        "(*, a=0x" + "f" * 3900 + ")",
        "(*, a: " + " " * 4000 + "int)",
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_signature(text):
    assert read_signature(text) is None


@pytest.mark.parametrize(
    "text", ["a|" * 1900 + "a", "-" * 3900 + "1", "a." * 1900 + "a", "not " * 900 + "1"]
)
def test_what_is_nested_deep_is_no_type(text):
    found = read_signature(f"(*, a: {text})")  # some versions of Python read it
    assert found is None or found.parameters[0].kind == Kind("Any")


def test_first_names_and_other_names_for_them():
    (found,) = read_signature(
        "(*, a: dict[str, datetime.date | None] | tuple[uuid.UUID, ...])"
    ).parameters
    assert set(found.kind.heads()) == {"dict", "str", "datetime", "tuple", "uuid"}
    aliases = {"datetime": "_datetime", "dict": "_dict"}
    assert found.kind.written(aliases) == (
        "_dict[str, _datetime.date | None] | tuple[uuid.UUID, ...]"
    )
