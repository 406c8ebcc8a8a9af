"""A typed client as Python source, made from what a server says of its services.

The source has a method for every service: its arguments and its result have the types
that the service names, so a type checker and an editor know them. What the server says
is not trusted: it becomes names, literals and types of a list, never other code.
"""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Any

from pyramid_restproxy.services.stub_source import (
    IMPORTS,
    StubClass,
    StubMethod,
    free_name,
    source_of,
)
from pyramid_restproxy.services.stub_types import read_signature
from pyramid_restproxy.services.values import Undecodable

__all__ = ["DESCRIBE", "is_class_name", "stubs_of"]

#: What the service is called that describes the others, below the folder.
DESCRIBE = "describe"
#: How many folders a service may lie in.
MAX_FOLDERS = 20

_PLACES = re.compile(r"[{}*]")


@dataclass(slots=True)
class Node:
    """A service, a folder of services, or both.

    :ivar service: the service; None for a mere folder.
    :ivar members: what is in the folder, by the part of the path.
    """

    service: StubMethod | None = None
    members: dict[str, Node] = field(default_factory=dict)


def stubs_of(description: Any, name: str = "Services") -> str:
    """Write a typed client.

    :param description: what ``describe`` answered, in plain data.
    :param name: of its class.
    :returns: the source of a module.
    :raises ValueError: where a class cannot have this name.
    :raises Undecodable: ``description`` where it is none.
    """
    if not is_class_name(name):
        raise ValueError(f"a class cannot be named {name!r} here")
    services, uncallable = _services(description)
    doc = "The services of a folder; calls go through the client."
    if uncallable:
        doc += "\n\nNot here, because they have no single address:\n\n"
        doc += "\n".join(f"- {path}" for path in uncallable)
    return source_of(_classes(name, doc, _tree(services), {name}))


# -- reading ------------------------------------------------------------------


def _services(description: Any) -> tuple[list[StubMethod], list[str]]:
    """Return the services, and the paths below which no single service lies."""
    entries = [_checked(each, dict) for each in _checked(description, list)]
    patterns = [_checked(each.get("pattern"), str) for each in entries]
    folder = _folder_of(patterns)
    paths = [pattern.removeprefix(folder) for pattern in patterns]
    services = [
        _service(path, entry)
        for path, entry in zip(paths, entries, strict=True)
        if _is_plain(path)
    ]
    return services, [path for path in paths if not _is_plain(path)]


def _service(path: str, entry: Mapping[str, Any]) -> StubMethod:
    text = _checked(entry.get("signature"), str)
    signature = read_signature(text, entry.get("stream") is True)
    return StubMethod(path, _checked(entry.get("doc"), str), signature)


def _is_plain(path: str) -> bool:
    """Say whether a path is one address, in the folder."""
    if _PLACES.search(path) or path.count("/") > MAX_FOLDERS:
        return False
    return not {"", ".", ".."} & set(path.split("/"))


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise Undecodable("description", "not a description of services")
    return value


def _folder_of(patterns: Sequence[str]) -> str:
    """Return the folder that is described: that of the service that describes it."""
    own = [each for each in patterns if each.endswith(f"/{DESCRIBE}")]
    if own:
        return min(own, key=len).removesuffix(DESCRIBE)
    common = commonprefix(list(patterns))
    return common[: common.rfind("/") + 1]


def _tree(services: Sequence[StubMethod]) -> Node:
    root = Node()
    for service in services:
        at = root
        for part in service.path.split("/"):
            at = at.members.setdefault(part, Node())
        at.service = service
    return root


# -- names --------------------------------------------------------------------


def is_class_name(word: str) -> bool:
    """Say whether the class of a typed client can have this name."""
    return (
        word.isidentifier()
        and not word.startswith("_")
        and not keyword.iskeyword(word)
        and not hasattr(builtins, word)
        and word not in IMPORTS
        and unicodedata.normalize("NFKC", word) == word
    )


def _name_for(part: str, taken: Collection[str]) -> str:
    """Make a name of a part of a path: ``find-me`` becomes ``find_me``."""
    name = part if part.isidentifier() else re.sub("[^0-9A-Za-z_]", "_", part)
    name = unicodedata.normalize("NFKC", name)
    if name.startswith("_") or not name.isidentifier():
        name = f"service_{name.lstrip('_')}"
    return free_name(f"{name}_" if keyword.iskeyword(name) else name, taken)


# -- classes ------------------------------------------------------------------


def _classes(name: str, doc: str, node: Node, taken: set[str]) -> list[StubClass]:
    """Return the classes of a folder, the inner ones first.

    :param taken: names of classes; those of these are added.
    """
    inner: list[StubClass] = []
    methods = {} if node.service is None else {"__call__": node.service}
    folders: dict[str, str] = {}
    for part, member in node.members.items():
        attribute = _name_for(part, methods.keys() | folders.keys())
        if member.service is not None and not member.members:
            methods[attribute] = member.service
            continue
        folders[attribute] = free_name(f"_{name.lstrip('_')}_{attribute}", taken)
        taken.add(folders[attribute])
        inner += _classes(folders[attribute], f"In {part!r}.", member, taken)
    return [*inner, StubClass(name, doc, methods, folders)]
