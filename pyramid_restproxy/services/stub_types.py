"""From the text of a signature to the types that a stub may name.

The text comes from a server, so nothing of it is kept but names that are identifiers,
literals, and types of the lists below; any other type becomes ``Any``.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["IMPORTED", "Kind", "StubParameter", "StubSignature", "read_signature"]

#: How long a signature may be, characters: what is longer is not read.
MAX_SIGNATURE = 4000

#: Where the first names of types come from that are not built in; a module itself
#: comes from nowhere.
IMPORTED = {
    "datetime": "",
    "decimal": "",
    "uuid": "",
    "Any": "typing",
    "Literal": "typing",
    "Mapping": "collections.abc",
    "Sequence": "collections.abc",
}

_PLAIN = frozenset(
    """
    None bool int float complex str bytes object
    datetime.datetime datetime.date datetime.time datetime.timedelta
    decimal.Decimal uuid.UUID
    """.split()
)
#: Types with others inside, and how many.
_GENERIC = {"list": 1, "set": 1, "frozenset": 1, "Sequence": 1, "dict": 2, "Mapping": 2}
#: Older names, without the module that they come from.
_RENAMED = {
    "NoneType": "None",
    "List": "list",
    "Set": "set",
    "FrozenSet": "frozenset",
    "Dict": "dict",
    "Tuple": "tuple",
}
_STREAMS = frozenset({"Iterator", "Iterable", "Generator"})
#: Never an item of a stream: the client shows it.
_PROGRESS = "pyramid_restproxy.services.values.Progress"
#: What a default may be given to, by the type of the default.
_TAKEN_BY = {
    "NoneType": {"None", "object"},
    "bool": {"bool", "int", "float", "complex", "object"},
    "int": {"int", "float", "complex", "object"},
    "float": {"float", "complex", "object"},
    "str": {"str", "object"},
    "bytes": {"bytes", "object"},
}
#: Names of kinds that no import has to bring.
_SIGNS = frozenset({"|", "...", "None"})


@dataclass(frozen=True, slots=True)
class Kind:
    """A type, as it is written.

    :ivar name: its name, dotted where it lies in a module; ``|`` for a union.
    :ivar inside: the types in it, or the members of a ``Literal`` as literals.
    """

    name: str
    inside: tuple[Kind | str, ...] = ()

    def heads(self) -> Iterator[str]:
        """Yield the first names in it, which must be there where it is written."""
        if self.name not in _SIGNS:
            yield self.name.partition(".")[0]
        for each in self.inside:
            if isinstance(each, Kind):
                yield from each.heads()

    def written(self, aliases: Mapping[str, str]) -> str:
        """Write it.

        :param aliases: other names for first names that are taken.
        """
        inside = [e if isinstance(e, str) else e.written(aliases) for e in self.inside]
        if self.name == "|":
            return " | ".join(inside)
        name = self.name
        if name not in _SIGNS:
            head, dot, rest = name.partition(".")
            name = aliases.get(head, head) + dot + rest
        return f"{name}[{', '.join(inside)}]" if inside else name


_ANY = Kind("Any")
_DOTS = Kind("...")


@dataclass(frozen=True, slots=True)
class StubParameter:
    """One parameter of a service.

    :ivar name: an identifier.
    :ivar kind: its type.
    :ivar required: whether a call must give it.
    :ivar default: the source of its default, None where the service alone knows it.
    """

    name: str
    kind: Kind
    required: bool
    default: str | None = None


@dataclass(frozen=True, slots=True)
class StubSignature:
    """What a service takes and returns.

    :ivar parameters: all given by name.
    :ivar returns: the type of the answer, or of the items of a stream.
    :ivar stream: whether it is a stream.
    """

    parameters: tuple[StubParameter, ...]
    returns: Kind
    stream: bool


def read_signature(text: str, stream: bool = False) -> StubSignature | None:
    """Read a signature as a description has it.

    :param text: e.g. ``(*, a: int, b: int = 1) -> int``.
    :param stream: whether the service is known to answer with a stream.
    :returns: None where it is not a signature, or one that no method can have.
    """
    if len(text) > MAX_SIGNATURE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of odd literals, which are none of ours
            found = ast.parse(f"def service{text}: ...").body
        return _signature(found, stream)
    except (SyntaxError, ValueError, Warning, RecursionError, MemoryError):
        return None


def _signature(found: list[ast.stmt], stream: bool) -> StubSignature | None:
    if len(found) != 1 or not isinstance(found[0], ast.FunctionDef):
        return None
    given = found[0].args
    names = [each.arg for each in given.kwonlyargs]
    others = (*given.posonlyargs, *given.args, given.vararg, given.kwarg)
    if any(others) or len(set(names)) < len(names) or not all(map(_can_be, names)):
        return None
    parameters = tuple(map(_parameter, given.kwonlyargs, given.kw_defaults))
    returns, streamed = _returned(found[0].returns, stream)
    return StubSignature(parameters, returns, streamed)


def _can_be(name: str) -> bool:
    """Say whether a method in a class may have a parameter of this name."""
    return name != "self" and not name.startswith("__")  # which classes rename


def _parameter(found: ast.arg, default: ast.expr | None) -> StubParameter:
    kind = _kind(found.annotation)
    written = _default(default, kind)
    return StubParameter(found.arg, kind, default is None, written)


def _default(found: ast.expr | None, kind: Kind) -> str | None:
    """Return the source of a default, where it is a literal that fits the type."""
    if found is None or not _is_literal(value := _value(found)):
        return None
    written = repr(value)
    kinds = kind.inside if kind.name == "|" else (kind,)
    taken_by = _TAKEN_BY[type(value).__name__] | {"Any"}
    for each in kinds:
        if isinstance(each, Kind) and (
            each.name in taken_by or (each.name == "Literal" and written in each.inside)
        ):
            return written
    return None


def _returned(found: ast.expr | None, stream: bool) -> tuple[Kind, bool]:
    """Return the type of an answer, or of the items where it is a stream."""
    name, inside = _name_and_inside(found)
    if name in ("Iterator", "Generator") or stream:
        items = inside[0] if inside and name in _STREAMS else None
        kinds = [_one(e, True) for e in _members(items) if _name(e) != _PROGRESS]
        return _union(kinds), True
    return _kind(found, answer=True), False


# -- types --------------------------------------------------------------------


def _kind(found: ast.expr | None, answer: bool = False) -> Kind:
    """Read a type.

    :param answer: whether it comes back: what was sent as a tuple is a list then.
    """
    return _union([_one(each, answer) for each in _members(found)])


def _union(kinds: Iterable[Kind]) -> Kind:
    distinct = tuple(dict.fromkeys(kinds))
    if not distinct or _ANY in distinct:
        return _ANY
    return Kind("|", distinct) if len(distinct) > 1 else distinct[0]


def _members(found: ast.expr | None) -> list[ast.expr | None]:
    """Return what a type may be, one by one."""
    if isinstance(found, ast.BinOp) and isinstance(found.op, ast.BitOr):
        return [*_members(found.left), *_members(found.right)]
    name, inside = _name_and_inside(found)
    if name == "Annotated":
        return _members(inside[0]) if inside else [None]
    if name == "Optional":
        inside = [*inside, ast.Constant(None)]
    if name in ("Optional", "Union"):
        return [member for each in inside for member in _members(each)]
    return [found]


def _one(found: ast.expr | None, answer: bool) -> Kind:
    """Read a type that is no union."""
    name, inside = _name_and_inside(found)
    if name == "Literal":
        return _literal(inside)
    if name == "tuple":
        return _tuple(inside, answer)
    if name in _PLAIN and not inside:
        return Kind(name)
    wanted = _GENERIC.get(name, 0)
    if wanted and not inside:
        return Kind(name, (_ANY,) * wanted)
    if wanted and len(inside) == wanted:
        return Kind(name, tuple(_kind(each, answer) for each in inside))
    return _ANY


def _tuple(inside: list[ast.expr], answer: bool) -> Kind:
    endless = len(inside) == 2 and _value(inside[1]) is ...
    kinds = [_kind(each, answer) for each in (inside[:1] if endless else inside)]
    if answer:
        return Kind("Sequence", (_union(kinds),))
    if endless or not kinds:
        return Kind("tuple", (_union(kinds), _DOTS))
    return Kind("tuple", tuple(kinds))


def _literal(members: list[ast.expr]) -> Kind:
    values = [_value(each) for each in members]
    if not values or not all(_is_literal(v) and type(v) is not float for v in values):
        return _ANY
    return Kind("Literal", tuple(map(repr, values)))


# -- names and values ---------------------------------------------------------


def _name_and_inside(found: ast.expr | None) -> tuple[str, list[ast.expr]]:
    """Split a type into its name and what stands in brackets behind it."""
    if not isinstance(found, ast.Subscript):
        return _name(found), []
    inside = found.slice
    return _name(found.value), (
        list(inside.elts) if isinstance(inside, ast.Tuple) else [inside]
    )


def _name(found: ast.expr | None) -> str:
    """Return the name of a type, empty where it is none.

    Of what comes from ``typing`` and ``collections.abc``, the last part.
    """
    if isinstance(found, ast.Constant) and found.value is None:
        return "None"
    name = ast.unparse(found) if isinstance(found, (ast.Name, ast.Attribute)) else ""
    for module in ("typing.", "collections.abc."):
        name = name.removeprefix(module)
    return _RENAMED.get(name, name)


def _value(found: ast.expr) -> Any:
    """Return the value of a literal; a list, which no literal here is, without one."""
    if isinstance(found, ast.Constant):
        return found.value
    if isinstance(found, ast.UnaryOp) and isinstance(found.op, ast.USub):
        value = _value(found.operand)
        return -value if type(value) in (int, float) else []
    return []


def _is_literal(value: Any) -> bool:
    """Say whether the form of a value is a literal again."""
    return type(value).__name__ in _TAKEN_BY and not (
        type(value) is float and not math.isfinite(value)
    )
