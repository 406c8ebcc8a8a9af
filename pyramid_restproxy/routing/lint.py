"""Start-up lint: views and routes that are probably a mistake, as warnings.

Each warning carries the file and line of the declaration. Nothing is changed;
``restproxy.lint = false`` switches it off.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator
from pyramid.interfaces import IDefaultCSRFOptions, IRoutesMapper
from pyramid.registry import Registry

from pyramid_restproxy.routing.catalogue import Catalogue, ViewRow, catalogue_of
from pyramid_restproxy.settings import settings_of

__all__ = ["Finding", "RestLintWarning", "findings", "lint"]

#: Methods that are safe by their definition, whatever the application says.
SAFE = frozenset({"OPTIONS", "QUERY", "PROPFIND", "REPORT", "SEARCH"})

# A pattern whose last segment names an extension itself: `.json`, `.{ext}`.
_OWN_EXTENSION = re.compile(r"\.(\w+|\{\w+\})$")


class RestLintWarning(UserWarning):
    """Something in the configuration is probably a mistake."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at.

    :ivar message: what it is and what to do.
    :ivar file: where it was declared; empty where that is not known.
    :ivar line: the line in that file.
    """

    message: str
    file: str = ""
    line: int = 0


def findings(registry: Registry) -> Iterator[Finding]:
    """Yield what is probably a mistake in a configured application."""
    catalogue = catalogue_of(registry)
    yield from _without_method(registry, catalogue)
    yield from _ambiguous_extensions(registry, catalogue)
    yield from _unsafe_targets(registry)


def _without_method(registry: Registry, catalogue: Catalogue) -> Iterator[Finding]:
    for row in catalogue:
        siblings = catalogue.of_route(row.route_name)
        restful = any(other.restful for other in siblings)
        if row.route_name and restful and not row.says_method:
            yield Finding(
                f"a view of route {row.route_name!r} names no method, so it answers "
                "DELETE and OPTIONS too: give it allowed_methods=",
                *_place(registry, "views", row),
            )


def _ambiguous_extensions(
    registry: Registry, catalogue: Catalogue
) -> Iterator[Finding]:
    mapper = registry.queryUtility(IRoutesMapper)
    for route in mapper.get_routes() if mapper else ():
        extensions = mapper.plan(route.name).extensions
        own = _OWN_EXTENSION.search(route.pattern)
        if extensions and own:
            yield Finding(
                f"route {route.name!r} has {own[0]!r} in its pattern and views that "
                "offer extensions: take it out, or set extensions=False on the route",
                *_place(registry, "routes", route.name),
            )
    for row in catalogue:
        for extension in _shared_extensions(row):
            yield Finding(
                f"a view of route {row.route_name!r} offers more than one "
                f"representation with the extension {extension!r}: the first is sent",
                *_place(registry, "views", row),
            )


def _shared_extensions(row: ViewRow) -> list[str]:
    offered = row.offers.representations if row.offers else ()
    every = [extension for each in offered for extension in each.extensions]
    return sorted({extension for extension in every if every.count(extension) > 1})


def _unsafe_targets(registry: Registry) -> Iterator[Finding]:
    csrf = registry.queryUtility(IDefaultCSRFOptions)
    safe = SAFE | (set(csrf.safe_methods) if csrf else set())
    for method in settings_of(registry).override_methods:
        if method in safe:
            yield Finding(
                f"restproxy.override.methods has {method}, which is not checked for "
                "CSRF: a form on any site can ask for it"
            )


def _place(registry: Registry, category: str, item: ViewRow | str) -> tuple[str, int]:
    """Find the file and line where a view or a route was declared."""
    introspector = getattr(registry, "introspector", None)
    for entry in introspector.get_category(category) or () if introspector else ():
        found = entry["introspectable"]
        info = found.action_info
        if _is(found, item) and info is not None and info.file:
            return str(info.file), int(info.line or 0)
    return "", 0


def _is(introspectable: Any, item: ViewRow | str) -> bool:
    if isinstance(item, str):
        return bool(introspectable["name"] == item)
    wanted = (item.route_name, item.name, item.phash, item.context)
    keys = ("route_name", "name", "phash", "context")
    return tuple(introspectable.get(key) for key in keys) == wanted


def lint(registry: Registry) -> None:
    """Issue a :class:`RestLintWarning` for each finding."""
    for finding in findings(registry):
        if finding.file:
            warnings.warn_explicit(
                finding.message, RestLintWarning, finding.file, finding.line
            )
        else:
            warnings.warn(finding.message, RestLintWarning, stacklevel=2)


def includeme(config: Configurator) -> None:
    """Look at the configuration once, after everything else was registered."""

    def register() -> None:
        if settings_of(config.registry).lint:
            lint(config.registry)

    config.action(("restproxy", "lint"), register, order=1000)
