"""REST resources as paths of OpenAPI 3.1: what the catalogue of views knows of them."""

from __future__ import annotations

import inspect
import re
from typing import Any

from pyramid.interfaces import IRoutesMapper
from pyramid.registry import Registry

from pyramid_restproxy.routing.catalogue import ViewRow, catalogue_of
from pyramid_restproxy.routing.refusals import method_set

__all__ = ["PROBLEM", "path_template", "resource_paths"]

#: The name of the schema of problem documents. No class of a service has it, not even
#: one that is called Problem: no name of Python has a hyphen.
PROBLEM = "problem-document"

#: Methods that a path item of OpenAPI 3.1 has, without HEAD and OPTIONS, which are
#: answered without a view.
METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH")

_PLACE = re.compile(r"\{([A-Za-z_]\w*)(?::((?:[^{}]|\{[^{}]*\})*))?\}")


def path_template(pattern: str) -> tuple[str, list[dict[str, Any]]] | None:
    """Turn a route's pattern into a path of OpenAPI and its parameters.

    :param pattern: e.g. ``/posts/{id:[0-9]+}``.
    :returns: None for a pattern with a ``*tail``, which OpenAPI cannot say.
    """
    if "*" in _PLACE.sub("", pattern):
        return None
    parameters = []
    for match in _PLACE.finditer(pattern):
        schema = {"type": "string"}
        if match[2]:
            schema["pattern"] = f"^(?:{match[2]})$"
        parameters.append(
            {"name": match[1], "in": "path", "required": True, "schema": schema}
        )
    path = _PLACE.sub(r"{\1}", pattern)
    return path if path.startswith("/") else f"/{path}", parameters


def resource_paths(registry: Registry) -> dict[str, Any]:
    """Describe the resources of an application by path and method.

    That are the routes with a negotiated view, and of their views those too that are
    not negotiated but say their methods, e.g. one that deletes.
    """
    catalogue = catalogue_of(registry)
    found: dict[str, Any] = {}
    for route in registry.getUtility(IRoutesMapper).get_routes():
        views = catalogue.of_route(route.name)
        rows = [row for row in views if row.offers or row.says_method]
        template = path_template(route.pattern)
        if any(row.offers for row in rows) and template is not None:
            path, parameters = template
            item = {"parameters": parameters} if parameters else {}
            # Several routes may share a path; the first one answers.
            found[path] = item | _operations(route, rows) | found.get(path, {})
    return found


def _operations(route: Any, rows: list[ViewRow]) -> dict[str, Any]:
    restrictions = [each for each in map(method_set, route.predicates) if each]
    return {
        method.lower(): _operation(route.name, method, row)
        for row in sorted(rows, key=lambda row: row.offers is not None)
        for method in METHODS
        if method in row.methods and all(method in each for each in restrictions)
    }


def _operation(route: str, method: str, row: ViewRow) -> dict[str, Any]:
    view = getattr(row.view, row.attr, row.view) if row.attr else row.view
    summary = (inspect.getdoc(view) or "").partition("\n")[0]
    problem = {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}
    operation: dict[str, Any] = {
        "operationId": f"{route}.{method.lower()}",
        "responses": {
            **_success(row),
            "default": {
                "description": "Another status, or what went wrong.",
                "content": {"application/problem+json": problem},
            },
        },
    }
    if summary:
        operation["summary"] = summary
    if row.content_types:
        body: dict[str, Any] = {each: {} for each in row.content_types}
        operation["requestBody"] = {"content": body}
    return operation


def _success(row: ViewRow) -> dict[str, Any]:
    if row.offers is None:
        return {"2XX": {"description": "It was done."}}
    content: dict[str, Any] = {
        each.media_type: {} for each in row.offers.representations
    }
    return {"200": {"description": "The resource.", "content": content}}
