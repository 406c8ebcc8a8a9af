"""The command ``prest``: look at an application's REST and proxy configuration.

``prest routes development.ini`` lists resources, representations and forwarded
routes; ``prest explain development.ini GET /posts/1 -H 'Accept: text/html'`` says
how a request would be answered, without running the view. ``prest backends
development.ini`` asks every destination once and says what came back. ``prest keys
new NAME --file keys`` makes an API key. ``prest call http://host/srv add a=1`` calls a
service, ``prest stubs http://host/srv`` writes a typed client of all of them.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from configparser import Error as IniError
from importlib.metadata import PackageNotFoundError
from typing import Any
from urllib.parse import quote

from plaster import PlasterError
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import IRoutesMapper
from pyramid.paster import bootstrap, setup_logging
from pyramid.registry import Registry
from pyramid.request import Request, apply_request_extensions

from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.forwarding.probes import probe
from pyramid_restproxy.routing.catalogue import ViewRow, catalogue_of
from pyramid_restproxy.routing.explain import decide
from pyramid_restproxy.routing.methods import allow_order
from pyramid_restproxy.routing.representations import representations_of
from pyramid_restproxy.routing.state import Decision
from pyramid_restproxy.services.command import (
    call_from_command_line,
    stubs_from_command_line,
)
from pyramid_restproxy.trust.key_command import add_parser as add_keys_parser

__all__ = ["main"]

#: Commands that call services and read their words themselves.
CALLING = {
    "call": (call_from_command_line, "call a service"),
    "stubs": (stubs_from_command_line, "write a typed client of services"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: the words after ``prest``; those of the process where left out.
    :returns: the exit status: 0, or 1 where ``explain`` finds a refusal or
        ``backends`` a destination that does not answer.
    """
    try:
        status = _main(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has enough; the interpreter flushes once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


#: What is wrong with the file or the settings, and not with the application.
_NOT_STARTED = (
    ConfigurationError,
    IniError,
    OSError,
    PackageNotFoundError,
    PlasterError,
)


def _main(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in CALLING:
        return CALLING[words[0]][0](words[1:])
    parser = _parser()
    options = parser.parse_args(words)
    if "ini" not in options:
        try:
            return int(options.run(options, None, sys.stdout))
        except BrokenPipeError:
            raise
        except (ConfigurationError, OSError, ValueError) as error:  # for the user
            parser.error(str(error))
    file = options.ini.partition("#")[0]
    if "://" not in file and not os.path.exists(file):
        parser.error(f"there is no file {file!r}")
    with _started(parser, options.ini) as environment:
        return int(options.run(options, environment["registry"], sys.stdout))


def _started(parser: argparse.ArgumentParser, ini: str) -> Any:
    """Start the application of an ini file; what the user can mend is told in a line.

    Other faults of the application keep their traceback.
    """
    try:
        setup_logging(ini)
        return bootstrap(ini)
    except _NOT_STARTED as error:
        parser.error(str(error))
    except LookupError as error:
        if "No section" not in str(error):
            raise
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="prest", description=__doc__.replace("``", "")
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    routes = commands.add_parser("routes", help="list resources and forwarded routes")
    routes.add_argument("ini", help="the ini file, e.g. development.ini#main")
    routes.set_defaults(run=_routes)
    backends = commands.add_parser("backends", help="ask every destination once")
    backends.add_argument("ini", help="the ini file, e.g. development.ini#main")
    backends.set_defaults(run=_backends)
    explain = commands.add_parser("explain", help="say how a request is answered")
    explain.add_argument("ini", help="the ini file, e.g. development.ini#main")
    explain.add_argument("method", help="e.g. GET")
    explain.add_argument("path", help="path with query, e.g. '/posts/1?x=1'")
    explain.add_argument(
        "-H", "--header", action="append", default=[], metavar="'Name: value'"
    )
    explain.add_argument("-d", "--data", default="", help="the body, e.g. a form")
    explain.set_defaults(run=_explain)
    add_keys_parser(commands)
    for name, (_, text) in CALLING.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


# -- prest routes -------------------------------------------------------------


def _routes(options: argparse.Namespace, registry: Registry, out: io.TextIOBase) -> int:
    catalogue = catalogue_of(registry)
    mapper = registry.getUtility(IRoutesMapper)
    forwarded = dict(_forwarded(registry))
    rows = [("Route", "Pattern", "Methods", "Representations", "Answered by")]
    for route in mapper.get_routes():
        views = catalogue.of_route(route.name)
        if route.name in forwarded:
            methods = _methods(views) or "*"
            if any(row.methods.negated for row in views):
                methods = "all but CONNECT,TRACE"
            rows.append((route.name, route.pattern, methods, "", forwarded[route.name]))
            continue
        for row in views:
            rows.append((route.name, route.pattern, *_view_cells(row)))
    _print_table(rows, out)
    print(file=out)
    _print_table(list(_representation_rows(registry)), out)
    return 0


def _forwarded(registry: Registry) -> Iterator[tuple[str, str]]:
    """Yield the names of forwarded routes with where they lead."""
    introspector = getattr(registry, "introspector", None)
    category = (
        introspector.get_category("restproxy proxy routes") if introspector else ()
    )
    for entry in category or ():
        found = entry["introspectable"]
        yield found["name"], f"-> {found['backend']}"


def _methods(views: Iterable[ViewRow]) -> str:
    methods = frozenset[str]().union(*(row.methods.listed() for row in views))
    return ",".join(allow_order(methods))


def _view_cells(row: ViewRow) -> tuple[str, str, str]:
    methods = _methods([row]) if row.says_method else "*"
    offered = ",".join(r.name for r in row.offers.representations) if row.offers else ""
    name = getattr(row.view, "__qualname__", None) or type(row.view).__qualname__
    return methods, offered, f"{name}.{row.attr}" if row.attr else name


def _representation_rows(registry: Registry) -> Iterator[tuple[str, ...]]:
    yield "Representation", "Media type", "Extensions", "Aliases"
    for each in representations_of(registry).values():
        extensions, aliases = ",".join(each.extensions), ",".join(each.aliases)
        yield each.name, each.media_type, extensions, aliases


def _print_table(rows: Sequence[Sequence[str]], out: io.TextIOBase) -> None:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    rule = ["-" * width for width in widths]
    for row in (rows[0], rule, *rows[1:]):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip(), file=out)


# -- prest backends -----------------------------------------------------------


def _backends(
    options: argparse.Namespace, registry: Registry, out: io.TextIOBase
) -> int:
    rows = [("Backend", "Destination", "Weight", "Path", "Answer")]
    gateway = registry.queryUtility(IGateway)
    for backend in gateway.backends.values() if gateway is not None else ():
        if backend.on_use is not None:
            backend.on_use()  # where the destinations come from a provider
        path = backend.options.probe_path or "/"
        for endpoint in backend.endpoints:
            wrong = probe(backend, endpoint.destination, path)
            if wrong.isdigit() and not backend.options.probe_path:
                wrong = ""  # it speaks HTTP; nobody said what it has at /
            cells = endpoint.url, f"{endpoint.weight:g}", path, wrong or "ok"
            rows.append((backend.name, *cells))
    _print_table(rows, out)
    return 0 if all(row[-1] == "ok" for row in rows[1:]) else 1


# -- prest explain ------------------------------------------------------------


def _explain(
    options: argparse.Namespace, registry: Registry, out: io.TextIOBase
) -> int:
    request = _request(options, registry)
    try:
        decision = decide(request)
    finally:
        request._process_finished_callbacks()
    for line in describe(decision, request):
        print(line, file=out)
    forwarded = dict(_forwarded(registry))
    if decision.route in forwarded and not decision.refusal:
        print(f"answered by     {forwarded[decision.route]}", file=out)
    return 1 if decision.refusal and not decision.refusal.startswith("none") else 0


def _request(options: argparse.Namespace, registry: Registry) -> Request:
    body = options.data.encode("utf-8")
    # curl's habit: what is given with -d is a form, unless a header says otherwise.
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    for header in options.header:
        name, _, value = header.partition(":")
        headers[name.strip()] = value.strip()
    path = re.sub(r"[^\0-\x7f]+", lambda found: quote(found[0]), options.path)
    request = Request.blank(path, method=options.method, headers=headers)
    if body:
        request.body = body
    request.registry = registry
    apply_request_extensions(request)  # a route factory may want request.db
    return request


def describe(decision: Decision, request: Any) -> Iterator[str]:
    """Yield the lines that tell a decision."""
    method = decision.effective_method
    if decision.method_source != "request":
        method += (
            f" ({decision.original_method} overridden by {decision.method_source})"
        )
    yield f"method          {method}"
    yield f"route           {decision.route or 'none'}"
    if decision.route:
        yield f"matchdict       {dict(request.matchdict)}"
    yield f"extension       {decision.extension or 'none'}"
    yield f"Accept          {'absent' if decision.accept is None else decision.accept}"
    for score in decision.offers:
        specificity = "no match" if score.specificity < 0 else score.specificity
        yield f"  offer         {score.media_type}  q={score.q:g}  ({specificity})"
    if decision.chosen:
        yield f"representation  {decision.chosen}, by {decision.chosen_by}"
    if decision.refusal:
        yield f"refusal         {decision.refusal}"


if __name__ == "__main__":
    sys.exit(main())
