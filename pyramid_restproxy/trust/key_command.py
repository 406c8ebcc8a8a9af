"""``prest keys``: make, list and revoke the API keys of a key file.

When a key was used last is not in the list: the processes that are asked know it, each
for itself, and write nothing into the file, which need not be writable for them. Who
wants to know it keeps keys in a ``SqlKeyStore``, whose table has it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import pathlib
import tempfile
import time
from typing import Any

from pyramid_restproxy.trust.api_keys import ApiKey, format_keys, new_key, parse_keys

__all__ = ["add_parser"]

DAY = 24 * 60 * 60


def add_parser(commands: Any) -> None:
    """Add the command to those of ``prest``."""
    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    actions = keys.add_subparsers(required=True, metavar="action")
    new = actions.add_parser("new", help="make a key, and show it this once")
    new.add_argument("name", help="who will use it")
    new.add_argument(
        "--route",
        action="append",
        default=[],
        help="only this route; repeat it for more",
    )
    new.add_argument(
        "--scope",
        action="append",
        default=[],
        help="what it allows; repeat it for more",
    )
    new.add_argument("--days", type=_days, help="how long it is good")
    new.set_defaults(run=_new)
    listed = actions.add_parser("list", help="list the keys")
    listed.set_defaults(run=_list)
    revoke = actions.add_parser("revoke", help="take all keys of a name away")
    revoke.add_argument("name")
    revoke.set_defaults(run=_revoke)
    new.add_argument("--file", help="restproxy.api_keys.file; else the line is shown")
    for parser in (listed, revoke):
        parser.add_argument("--file", required=True, help="restproxy.api_keys.file")


def _days(word: str) -> float:
    """Read a number of days to come that the calendar has."""
    with contextlib.suppress(ValueError):
        if 0 < float(word) < 1e6:  # nan is not
            return float(word)
    raise argparse.ArgumentTypeError(f"{word!r}: expected days to come, e.g. 30")


def _new(options: argparse.Namespace, registry: None, out: io.TextIOBase) -> int:
    shown, hashed = new_key(options.name)
    expires = None if options.days is None else int(time.time() + options.days * DAY)
    key = ApiKey(
        options.name, hashed, tuple(options.route), tuple(options.scope), expires
    )
    line = format_keys([key])
    if options.file is None:
        print(shown, line, sep="\n", end="", file=out)
    else:
        _append(options.file, line)
        print(shown, file=out)
    return 0


def _append(file: str, line: str) -> None:
    text = _text(file)
    parse_keys(text)  # a file that cannot be read is not made longer
    _write(file, text + line)


def _list(options: argparse.Namespace, registry: None, out: io.TextIOBase) -> int:
    if not pathlib.Path(options.file).exists():
        print(f"there is no file {options.file!r}", file=out)
        return 1
    for key in parse_keys(_text(options.file)):
        routes = ",".join(key.routes) or "all routes"
        scopes = ",".join(key.scopes) or "no scopes"
        print(key.name, routes, scopes, _until(key), sep="  ", file=out)
    return 0


def _until(key: ApiKey) -> str:
    if key.expires is None:
        return "no end"
    day = time.strftime("%Y-%m-%d", time.gmtime(key.expires))
    return f"expired {day}" if key.expires < time.time() else f"until {day}"


def _revoke(options: argparse.Namespace, registry: None, out: io.TextIOBase) -> int:
    lines = _text(options.file).splitlines(keepends=True)
    left = [line for line in lines if line.split()[:1] != [options.name]]
    if len(left) == len(lines):
        print(f"there is no key of {options.name!r}", file=out)
        return 1
    _write(options.file, "".join(left))
    print("revoked; a gateway that runs takes it until it is started again", file=out)
    return 0


def _text(file: str) -> str:
    """Return what is in the file; a line break at its end, where there is anything."""
    path = pathlib.Path(file)
    text = path.read_text("utf-8") if path.exists() else ""
    return text if not text or text.endswith("\n") else text + "\n"


def _write(file: str, text: str) -> None:
    """Write the file in one step, readable by its owner only."""
    path = pathlib.Path(file)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with open(descriptor, "w", encoding="utf-8") as target:
        target.write(text)
    os.replace(name, path)
