"""``prest call``: call a service from the command line.

``prest call http://host/srv add a=1 b=2`` prints the result as JSON. A value is read
as JSON where it is JSON, else as text.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

import requests
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.services.client import Items, ServiceClient, ServiceError
from pyramid_restproxy.services.codecs import NAMES, JsonCodec
from pyramid_restproxy.services.values import Progress, Undecodable

__all__ = ["call_from_command_line"]


def call_from_command_line(arguments: Sequence[str]) -> int:
    """Call a service and print what it answers.

    :param arguments: the words after ``prest call``.
    :returns: the exit status: 0, or 1 where the call failed.
    """
    options = _parser().parse_args(arguments)
    headers = dict(_header(each) for each in options.header)
    try:
        with ServiceClient(
            options.url,
            options.codec,
            timeout=options.timeout,
            headers=headers,
            progress=_show,
        ) as client:
            _print(client.call(options.name, dict(options.argument)))
    except (
        ServiceError,
        Undecodable,
        ConfigurationError,
        requests.RequestException,
    ) as error:
        print(f"prest call: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="prest call", description=__doc__)
    parser.add_argument("url", help="the folder of the services: http://host/srv")
    parser.add_argument("name", help="the service; describe tells what there is")
    parser.add_argument(
        "argument", nargs="*", type=_argument, metavar="name=value", help="e.g. a=1"
    )
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
