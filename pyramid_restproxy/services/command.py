"""``prest call`` and ``prest stubs``: services from the command line.

``prest call http://host/srv add a=1 b=2`` prints the result as JSON. A value is read
as JSON where it is JSON, else as text. ``prest stubs http://host/srv`` prints a typed
client of all services there as Python source.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.services.client import Items, ServiceClient, ServiceError
from pyramid_restproxy.services.codecs import NAMES, JsonCodec
from pyramid_restproxy.services.stubs import DESCRIBE, is_class_name, stubs_of
from pyramid_restproxy.services.values import Progress, Undecodable

__all__ = ["call_from_command_line", "stubs_from_command_line"]


def call_from_command_line(arguments: Sequence[str]) -> int:
    """Call a service and print what it answers.

    :param arguments: the words after ``prest call``.
    :returns: the exit status: 0, or 1 where the call failed.
    """
    options = _call_parser().parse_args(arguments)

    def call(client: ServiceClient) -> None:
        _print(_called(client, options.name, dict(options.argument)))

    return _with_client("prest call", options, call)


def _called(client: ServiceClient, name: str, arguments: dict[str, Any]) -> Any:
    """Call a service by its path, or by its name as describe tells it.

    The method ``mean`` of a class is ``statistics.mean`` at ``statistics/mean``.
    """
    try:
        return client.call(name, arguments)
    except ServiceError as error:
        if error.status != 404 or "." not in name:
            raise
    return client.call(name.replace(".", "/"), arguments)


def stubs_from_command_line(arguments: Sequence[str]) -> int:
    """Write a typed client of the services of a folder.

    :param arguments: the words after ``prest stubs``.
    :returns: the exit status: 0, or 1 where there is no description.
    """
    options = _stubs_parser().parse_args(arguments)

    def write(client: ServiceClient) -> None:
        source = stubs_of(client.call(DESCRIBE), options.name)
        if options.output is None:
            print(source, end="")
        else:
            options.output.write_text(source, "utf-8")

    return _with_client("prest stubs", options, write)


def _with_client(
    command: str, options: argparse.Namespace, act: Callable[[ServiceClient], None]
) -> int:
    """Do something with a client; what the user can mend is said without a traceback.

    :returns: the exit status.
    """
    headers = dict(_header(each) for each in options.header)
    try:
        with ServiceClient(
            options.url,
            options.codec,
            timeout=options.timeout,
            headers=headers,
            progress=_show,
        ) as client:
            act(client)
    except (
        ServiceError,
        Undecodable,
        ConfigurationError,
        OSError,  # requests.RequestException is one
    ) as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    return 0


def _call_parser() -> argparse.ArgumentParser:
    parser = _parser("prest call")
    parser.add_argument("name", help="the service; describe tells what there is")
    parser.add_argument(
        "argument", nargs="*", type=_argument, metavar="name=value", help="e.g. a=1"
    )
    return parser


def _stubs_parser() -> argparse.ArgumentParser:
    parser = _parser("prest stubs")
    parser.add_argument(
        "--class",
        dest="name",
        type=_class_name,
        default="Services",
        metavar="NAME",
        help="the name of the class",
    )
    parser.add_argument(
        "-o",
        dest="output",
        type=pathlib.Path,
        metavar="FILE",
        help="where to write it; to the screen if left out",
    )
    return parser


def _class_name(word: str) -> str:
    if not is_class_name(word):
        raise argparse.ArgumentTypeError(f"{word!r}: a class cannot have this name")
    return word


def _parser(command: str) -> argparse.ArgumentParser:
    """Return a parser of what both commands take."""
    parser = argparse.ArgumentParser(
        prog=command, description=__doc__.replace("``", "")
    )
    parser.add_argument("url", help="the folder of the services: http://host/srv")
    codecs = [name for name in NAMES if name != "pickle"]
    parser.add_argument("--codec", choices=codecs, default="json")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="seconds")
    parser.add_argument(
        "-H", "--header", action="append", default=[], metavar="'Name: value'"
    )
    return parser


def _argument(word: str) -> tuple[str, Any]:
    name, found, value = word.partition("=")
    if not found or not name:
        raise argparse.ArgumentTypeError(f"{word!r}: expected name=value")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def _print(result: Any) -> None:
    """Print a result; items of a stream each on a line of their own, as they come."""
    if isinstance(result, Items):
        for item in result:
            print(_text(item), flush=True)
        result = result.value
        if result is None:
            return
    print(_text(result))


def _text(value: Any) -> str:
    return bytes(JsonCodec().encode(value)[0]).decode("utf-8")


def _show(progress: Progress) -> None:
    total = "" if progress.total is None else f" of {progress.total:g}"
    print(f"{progress.done:g}{total} {progress.text}".rstrip(), file=sys.stderr)
