"""The shape of the package: imports, promises, parts, tests."""

from __future__ import annotations

import ast
import graphlib
import importlib
import pathlib

import pytest
from pyramid.config import Configurator

import pyramid_restproxy

ROOT = pathlib.Path(pyramid_restproxy.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

#: The rooms, from the top down: a room imports what stands below it, never above.
ROOMS = [
    "prest",
    "gateway",
    "testing",
    "services",
    "trust",
    "operation",
    "forwarding",
    "routing",
    "renderers",
    "problems",
    "negotiation",
    "settings",
    "redis_link",
    "exceptions",
    "casts",
    "grammar",
    "markup",
    "remembered",
    "interfaces",
]

PARTS = [
    "pyramid_restproxy",
    "pyramid_restproxy.settings",
    "pyramid_restproxy.problems",
    "pyramid_restproxy.renderers",
    "pyramid_restproxy.routing",
    "pyramid_restproxy.routing.lint",
    "pyramid_restproxy.forwarding",
    "pyramid_restproxy.operation",
    "pyramid_restproxy.trust",
    "pyramid_restproxy.trust.guard",
    "pyramid_restproxy.services",
]


def name_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def graph():
    known = {name_of(path) for path in MODULES}
    return {
        name_of(path): {i for i in imports_of(path) if i in known} - {name_of(path)}
        for path in MODULES
    }


def test_there_is_no_import_cycle():
    graphlib.TopologicalSorter(graph()).prepare()


def test_imports_point_one_way():
    for module, imported in graph().items():
        room = module.split(".")[1] if "." in module else None
        for other in imported:
            target = other.split(".")[1] if "." in other else None
            if room and target:
                assert ROOMS.index(target) >= ROOMS.index(room), f"{module} -> {other}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_what_a_module_promises_is_there(path):
    module = importlib.import_module(name_of(path))
    assert sorted(set(module.__all__)) == sorted(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert module.__doc__


def test_the_public_names_are_the_promise():
    public = {
        name
        for name, value in vars(pyramid_restproxy).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "").startswith("pyramid_rest")
    }
    assert public == set(pyramid_restproxy.__all__)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_can_be_included_alone_and_again(part):
    config = Configurator()
    config.include(part)
    config.include(part)
    config.commit()
    config.make_wsgi_app()


def test_parts_can_be_included_in_any_order():
    config = Configurator()
    for part in reversed(PARTS):
        config.include(part)
    config.commit()


def test_every_module_has_its_tests():
    unit = pathlib.Path(__file__).parent
    missing = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if path.name != "__init__.py"
        and not (unit / path.relative_to(ROOT).parent / f"test_{path.name}").exists()
    ]
    assert missing == []


def test_nothing_listens_to_events():
    """Where anything does, Pyramid sends four events with each request."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
    assert not config.registry.has_listeners
