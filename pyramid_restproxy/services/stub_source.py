"""Writing the source of a typed client: classes, methods, imports, documentation.

What is written comes in as checked names and types; text goes into string literals
only.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyramid_restproxy.services.stub_types import (
    IMPORTED,
    Kind,
    StubParameter,
    StubSignature,
)

__all__ = ["IMPORTS", "StubClass", "StubMethod", "free_name", "source_of"]

#: How long the first line of a method may be.
WIDTH = 88

_CLIENT = "pyramid_restproxy.services.client"
_TYPED = "pyramid_restproxy.services.typed"
#: The names that a stub may import, by where they come from.
IMPORTS = IMPORTED | {
    "Items": _CLIENT,
    "ServiceClient": _CLIENT,
    "LEFT_OUT": _TYPED,
    "TypedServices": _TYPED,
}


@dataclass(frozen=True, slots=True)
class StubMethod:
    """One service.

    :ivar path: below the URL of the client: ``statistics/mean``.
    :ivar doc: its documentation.
    :ivar signature: None where a method cannot say it.
    """

    path: str
    doc: str
    signature: StubSignature | None

    def parameters(self) -> tuple[StubParameter, ...]:
        """Return its parameters, as far as they can be said."""
        return self.signature.parameters if self.signature else ()

    def returns(self) -> Kind:
        """Return the type of its result."""
        if self.signature is None:
            return Kind("Any")
        if self.signature.stream:
            return Kind("Items", (self.signature.returns,))
        return self.signature.returns

    def heads(self) -> Iterator[str]:
        """Yield the first names that its source uses."""
        if self.signature is None:
            yield "Any"
        yield from self.returns().heads()
        for each in self.parameters():
            yield from each.kind.heads()
            if not each.required and each.default is None:
                yield "LEFT_OUT"


@dataclass(frozen=True, slots=True)
class StubClass:
    """One class.

    :ivar name: its name.
    :ivar doc: its documentation, never empty.
    :ivar methods: the services in it; ``__call__`` is the one that it is itself.
    :ivar folders: names of classes by the names of attributes.
    """

    name: str
    doc: str
    methods: Mapping[str, StubMethod]
    folders: Mapping[str, str]


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken, with a number where it must be."""
    numbered = (f"{name}_{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in taken)


def source_of(classes: Sequence[StubClass]) -> str:
    """Write a module.

    :param classes: its classes; each stands behind those that it uses.
    """
    methods = [method for each in classes for method in each.methods.values()]
    heads = {head for method in methods for head in method.heads()}
    heads |= {"TypedServices"} | {"ServiceClient" for each in classes if each.folders}
    names = {name for each in classes for name in (*each.methods, *each.folders)}
    names |= {each.name for method in methods for each in method.parameters()}
    aliases: dict[str, str] = {}
    for head in sorted(heads & names):
        aliases[head] = free_name(f"_{head}", names | {each.name for each in classes})
    lines = [
        '"""Typed client of services, written by ``prest stubs``."""',
        "",
        "from __future__ import annotations",
        "",
        *_imports(heads, aliases),
    ]
    for each in classes:
        lines += ["", "", *_class(each, aliases)]
    return "\n".join(lines) + "\n"


def _import_order(module: str) -> tuple[bool, str]:
    return module in (_CLIENT, _TYPED), module


def _imports(heads: set[str], aliases: Mapping[str, str]) -> list[str]:
    """Return the lines that bring the names, those that are taken as another one."""
    modules: dict[str, list[str]] = {}
    for head in sorted(heads & IMPORTS.keys()):
        name = f"{head} as {aliases[head]}" if head in aliases else head
        modules.setdefault(IMPORTS[head], []).append(name)
    lines = [f"import {name}" for name in modules.pop("", [])]
    lines += [
        f"from {module} import {', '.join(modules[module])}"
        for module in sorted(modules, key=_import_order)
    ]
    renamed = [f"{new} = {old}" for old, new in aliases.items() if old not in IMPORTS]
    return [*lines, "", *renamed] if renamed else lines


def _class(found: StubClass, aliases: Mapping[str, str]) -> Iterator[str]:
    yield f"class {found.name}({aliases.get('TypedServices', 'TypedServices')}):"
    yield from _docstring(found.doc, "    ")
    if found.folders:
        client = aliases.get("ServiceClient", "ServiceClient")
        yield ""
        yield f"    def __init__(self, client: {client}) -> None:"
        yield "        super().__init__(client)"
        for attribute, name in found.folders.items():
            yield f"        self.{attribute} = {name}(client)"
    for name, method in found.methods.items():
        yield ""
        yield from _method(name, method, aliases)


def _method(name: str, method: StubMethod, aliases: Mapping[str, str]) -> Iterator[str]:
    returns = method.returns().written(aliases)
    yield from _first_line(name, method, returns, aliases)
    yield from _docstring(method.doc, "        ")
    names = [each.name for each in method.parameters()]
    result = free_name("result", names)
    if method.returns() == Kind("None"):
        yield from _call("", method)
    elif method.returns() == Kind("Any"):
        yield from _call("return ", method)
    else:
        yield from _call(f"{result}: {returns} = ", method)
        yield f"        return {result}"


def _call(before: str, method: StubMethod) -> list[str]:
    """Return the call, in one line where it fits."""
    pairs = [f"{each.name!r}: {each.name}" for each in method.parameters()]
    given = "arguments" if method.signature is None else f"{{{', '.join(pairs)}}}"
    line = f"        {before}self._call({method.path!r}, {given})"
    if len(line) <= WIDTH or not pairs:
        return [line]
    return [
        f"        {before}self._call(",
        f"            {method.path!r},",
        "            {",
        *(f"                {pair}," for pair in pairs),
        "            },",
        "        )",
    ]


def _first_line(
    name: str, method: StubMethod, returns: str, aliases: Mapping[str, str]
) -> list[str]:
    if method.signature is None:
        anything = Kind("Any").written(aliases)
        parameters = ["self", "/", f"**arguments: {anything}"]
    else:
        written = [_parameter(each, aliases) for each in method.parameters()]
        parameters = ["self", "*", *written] if written else ["self"]
    line = f"    def {name}({', '.join(parameters)}) -> {returns}:"
    if len(line) <= WIDTH:
        return [line]
    return [
        f"    def {name}(",
        *(f"        {each}," for each in parameters),
        f"    ) -> {returns}:",
    ]


def _parameter(found: StubParameter, aliases: Mapping[str, str]) -> str:
    text = f"{found.name}: {found.kind.written(aliases)}"
    if found.required:
        return text
    return f"{text} = {found.default or aliases.get('LEFT_OUT', 'LEFT_OUT')}"


def _docstring(text: str, indent: str) -> Iterator[str]:
    """Write a text as a docstring, whatever is in it."""
    text = text.encode("utf-8", "replace").decode("utf-8")  # no lone surrogates
    plain = "\n".join(line.rstrip() for line in text.splitlines())
    lines = [_escaped(line) for line in inspect.cleandoc(plain).splitlines()]
    if not lines:
        return
    lines[0] = f'"""{lines[0]}'
    end = ['"""'] if len(lines) > 1 else []
    lines[-1] += "" if end else '"""'
    for line in [*lines, *end]:
        yield f"{indent}{line}" if line else ""


def _escaped(line: str) -> str:
    """Write what could end a docstring, or deceive its reader, as escapes."""
    line = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in line.replace("\\", "\\\\")
    )
    return re.sub('"(?="|$)', r"\"", line)
