"""What services there are: for clients, and as OpenAPI 3.1."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Sequence
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.problems import path_reference
from pyramid_restproxy.services.codecs import JsonCodec
from pyramid_restproxy.services.directives import services_of, whole_pattern
from pyramid_restproxy.services.resource_paths import (
    PROBLEM,
    path_template,
    resource_paths,
)
from pyramid_restproxy.services.signature import Parameter
from pyramid_restproxy.services.values import Unencodable
from pyramid_restproxy.services.view import Service

__all__ = ["add_openapi_view", "add_service_description", "description", "openapi"]


def add_service_description(
    config: Configurator, pattern: str, *, name: str = "describe", **options: Any
) -> None:
    """Add a service that tells of the others in its folder.

    :param pattern: e.g. ``/srv/describe``: tells of what is below ``/srv/``.
    :param name: the name of the service.
    :param options: as for ``add_service``.
    """
    folder = whole_pattern(config, pattern).rpartition("/")[0] + "/"

    def describe(request: Request) -> list[dict[str, Any]]:
        """Tell what services there are."""
        found = services_of(request.registry).values()
        return [description(s) for s in found if s.pattern.startswith(folder)]

    options.setdefault("idempotent", True)
    config.add_service(name, pattern, describe, **options)


def add_openapi_view(
    config: Configurator,
    path: str = "/openapi.json",
    *,
    title: str = "Services",
    version: str = "1",
    **options: Any,
) -> None:
    """Add a view that describes all services and REST resources as OpenAPI 3.1.

    :param title: of the document.
    :param version: of the application.
    :param options: go to the view, e.g. ``permission``.

    Discriminators ``('restproxy', 'openapi')`` and that of its route,
    ``restproxy.openapi``; introspectable category ``restproxy openapi``.
    """

    def show(request: Request) -> Response:
        server = path_reference(request.environ["SCRIPT_NAME"].encode("latin-1"))
        found = openapi(request.registry, title, version, server)
        return Response(json_body=found)

    intr = config.introspectable("restproxy openapi", path, title, "OpenAPI")
    intr.update({"path": path, "title": title, "version": version})
    intr.relate("routes", "restproxy.openapi")
    config.add_route("restproxy.openapi", path)  # first, for what is related to it
    config.action(("restproxy", "openapi"), introspectables=(intr,))
    config.add_view(
        show, route_name="restproxy.openapi", allowed_methods="GET", **options
    )


def description(service: Service) -> dict[str, Any]:
    """Say what a service is, in plain data.

    Name, pattern, signature, documentation, codecs, whether it is idempotent, and
    whether it answers with a stream.
    """
    return {
        "name": service.name,
        "pattern": service.pattern,
        "signature": signature_of(service),
        "doc": service.doc,
        "codecs": [codec.name for codec in service.codecs],
        "idempotent": service.idempotent,
        "stream": service.contract.streams,
    }


def signature_of(service: Service) -> str:
    """Write the signature of a service as Python does: ``(*, a: int) -> int``.

    A default that has no form in Python is written as ``...``.
    """
    contract = service.contract
    parameters = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(each),
            annotation=_annotation(each.hint),
        )
        for each in contract.parameters
    ]
    returns = _annotation(contract.returns)
    written = str(inspect.Signature(parameters, return_annotation=returns))
    return written.replace("<locals>.", "")


def _annotation(hint: Any) -> Any:
    if hint is type(None):
        return None
    return inspect.Parameter.empty if hint is Any else hint


class _Unsaid:
    """Stands for a default that nobody could read, such as ``<object at 0x7f...>``."""

    def __repr__(self) -> str:
        return "..."


def _default(parameter: Parameter) -> Any:
    if parameter.required or _is_python(repr(parameter.default)):
        return parameter.default
    return _Unsaid()


def _is_python(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    return True


# -- OpenAPI ------------------------------------------------------------------


def openapi(
    registry: Registry, title: str = "Services", version: str = "1", server: str = ""
) -> dict[str, Any]:
    """Describe all services and REST resources of an application (OpenAPI 3.1).

    The schemas say what plain JSON may be sent. They are exact where ``msgspec`` is
    installed; without it they name the arguments only.

    :param title: of the document.
    :param version: of the application.
    :param server: the path that the application is mounted at, e.g. ``/shop``.
    """
    found = list(services_of(registry).values())
    schemas = _Schemas(found)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
    }
    if server:
        document["servers"] = [{"url": server}]
    return document | {
        "paths": _paths(found, schemas, resource_paths(registry)),
        "components": {"schemas": {PROBLEM: _PROBLEM} | schemas.components},
    }


def _paths(
    services: Sequence[Service], schemas: _Schemas, known: dict[str, Any]
) -> dict[str, Any]:
    """Describe services by path, those that have one, beside the paths known."""
    paths = dict(known)
    for service in services:
        template = path_template(service.pattern)
        if template is not None:
            path, parameters = template
            item: dict[str, Any] = {"parameters": parameters} if parameters else {}
            item["post"] = _operation(service, schemas)
            paths[path] = paths.get(path, {}) | item
    return paths


_PROBLEM = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
    },
}


def _operation(service: Service, schemas: _Schemas) -> dict[str, Any]:
    parameters = service.contract.parameters
    arguments = {
        "type": "object",
        "properties": {
            each.name: _with_default(schemas.of(each.hint), each) for each in parameters
        },
        "required": [each.name for each in parameters if each.required],
        "additionalProperties": False,
    }
    problem = {"$ref": f"#/components/schemas/{PROBLEM}"}
    summary, _, rest = service.doc.partition("\n")
    operation = {
        "operationId": service.name,
        "summary": summary,
        "description": rest.strip(),
        "requestBody": {
            "required": True,
            "content": {c.media_type: {"schema": arguments} for c in service.codecs},
        },
        "responses": {
            "200": {
                "description": "What the service returns.",
                "content": _answers(service, schemas),
            },
            "default": {
                "description": "What went wrong.",
                "content": {
                    c.problem_type: {"schema": problem} for c in service.codecs
                },
            },
        },
    }
    return {name: value for name, value in operation.items() if value != ""}


def _answers(service: Service, schemas: _Schemas) -> dict[str, Any]:
    """Describe what a service returns by media type."""
    if service.contract.streams:  # of items, progress and an end: there is no schema
        return {codec.stream_type: {} for codec in service.codecs}
    answer = schemas.of(service.contract.returns)
    return {codec.media_type: {"schema": answer} for codec in service.codecs}


def _with_default(schema: dict[str, Any], parameter: Parameter) -> dict[str, Any]:
    if parameter.required:
        return schema
    try:
        (written,) = JsonCodec().encode(parameter.default)
    except Unencodable:
        return schema  # a default of the function's own, which nobody can send
    return schema | {"default": json.loads(bytes(written))}


class _Schemas:
    """The JSON schemas of type hints."""

    def __init__(self, services: list[Service]) -> None:
        hints = [
            hint
            for service in services
            for hint in (
                service.contract.returns,
                *(each.hint for each in service.contract.parameters),
            )
        ]
        together = _together(list({id(hint): hint for hint in hints}.values()))
        schemas, self.components = _schemas(together) or ((), {})
        self._of = {
            id(hint): schema for hint, schema in zip(together, schemas, strict=True)
        }

    def of(self, hint: Any) -> dict[str, Any]:
        """Return the schema of a hint, empty where there is none."""
        return self._of.get(id(hint), {})


def _together(hints: Sequence[Any]) -> list[Any]:
    """Return the hints that have schemas, and in which no two classes have one name."""
    alone = [hint for hint in hints if _schemas([hint]) is not None]
    if _schemas(alone) is not None:
        return alone
    kept: list[Any] = []
    for hint in alone:  # some function made two classes
        if _schemas([*kept, hint]) is not None:
            kept.append(hint)
    return kept


def _schemas(
    hints: Sequence[Any],
) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]] | None:
    """Return the schemas of hints, and the components that they refer to.

    A class has its name, or its module's too where another one has the same.

    :returns: None where there are none: of an answer that no schema can say, such as
        two classes in a union; of two classes that are alike in name and module; or
        without msgspec.
    """
    try:
        import msgspec
    except ImportError:
        return None
    try:
        return msgspec.json.schema_components(
            hints, schema_hook=_unknown, ref_template="#/components/schemas/{name}"
        )
    except (TypeError, KeyError):
        return None


def _unknown(hint: type) -> dict[str, Any]:
    return {"title": getattr(hint, "__name__", str(hint))}
