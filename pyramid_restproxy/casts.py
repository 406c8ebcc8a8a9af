"""Reading the raw values of settings: text from an ini file, or Python values. Pure.

Each function takes one raw value and returns what it means, or raises ValueError or
TypeError with what was expected; who calls it says which setting it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pyramid.path import DottedNameResolver
from pyramid.settings import asbool

from pyramid_restproxy.grammar import TOKEN, has_valid_port

__all__ = [
    "SEVERAL",
    "affinity",
    "boolean",
    "called",
    "certificate",
    "fields",
    "host_policy",
    "lines",
    "number",
    "one_of",
    "optional_number",
    "optional_seconds",
    "override_methods",
    "path",
    "proxy_url",
    "seconds",
    "several",
    "share",
    "size",
    "statuses",
    "store_url",
    "text",
    "tokens",
    "tokens_or_nothing",
    "verification",
    "weighted_urls",
    "words",
]

#: Methods that can never be the target of an override: GET and HEAD would skip
#: the CSRF check, TRACE reflects credentials, CONNECT asks for a tunnel.
FORBIDDEN_TARGETS = frozenset({"GET", "HEAD", "TRACE", "CONNECT"})


#: What several values may be given in, where one of them is a str.
SEVERAL = (tuple, list, set, frozenset)


def several(value: object) -> tuple[Any, ...]:
    """Read an option that takes one str or several.

    :returns: in the order given; of a set sorted, which is the same in every process;
        nothing for what is neither.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (set, frozenset)):
        return tuple(sorted(value, key=str))
    return tuple(value) if isinstance(value, SEVERAL) else ()


def words(value: object) -> tuple[str, ...]:
    """Split a setting on white space and commas; several words pass.

    :param value: str, or a tuple, list or set of str.
    :returns: a tuple of non-empty str.
    """
    if isinstance(value, str):
        return tuple(word for word in re.split(r"[\s,]+", value) if word)
    if isinstance(value, SEVERAL) and all(isinstance(v, str) for v in value):
        return several(value)
    raise ValueError("expected words separated by spaces or commas")


def lines(value: object) -> tuple[str, ...]:
    """Split a setting into its non-empty lines, stripped."""
    if isinstance(value, str):
        return tuple(line.strip() for line in value.splitlines() if line.strip())
    if isinstance(value, (tuple, list)) and all(isinstance(v, str) for v in value):
        return tuple(value)
    raise ValueError("expected lines of text, or a list of them")


def tokens(value: object) -> tuple[str, ...]:
    """Read words that each are a token (RFC 9110 section 5.6.2)."""
    found = words(value)
    for word in found:
        if not TOKEN.fullmatch(word):
            raise ValueError(f"{word!r} is not a token")
    return found


def token(value: object) -> str:
    """Read a name that is a token."""
    word = tokens_or_nothing(value)
    if not word:
        raise ValueError("expected a name")
    return word


def credential_field(value: object) -> str:
    """Read the name of a field that carries a credential.

    Not that of cookies: a browser sends them by itself, whoever's page asks.
    """
    word = token(value)
    if word.lower() == "cookie":
        raise ValueError("a cookie cannot be the credential: browsers send it unasked")
    return word


#: What servers report.
_HTTP_VERSIONS = ("1.0", "1.1", "2", "2.0", "3", "3.0")


def http_versions(value: object) -> tuple[str, ...]:
    """Read versions of HTTP."""
    found = words(value)
    if not found or not set(found) <= set(_HTTP_VERSIONS):
        raise ValueError(f"expected some of {', '.join(_HTTP_VERSIONS)}")
    return found


def tokens_or_nothing(value: object) -> str:
    """Read a name that is a token, or nothing."""
    word = text(value)
    if word and not TOKEN.fullmatch(word):
        raise ValueError(f"{word!r} is not a token")
    return word


def override_methods(value: object) -> tuple[str, ...]:
    """Read the methods that an override may ask for, upper-cased."""
    methods = tuple(method.upper() for method in tokens(value))
    refused = [m for m in methods if m in FORBIDDEN_TARGETS or m == "POST"]
    if refused:
        raise ValueError(
            f"{', '.join(refused)} can never be the target of a method override"
        )
    return methods


def _read(kind: type, value: object, expected: str) -> Any:
    """Read a number; Python's own words about it help nobody with a setting."""
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise ValueError(expected) from None


#: What the clocks of all systems can count to, seconds: some 30 years.
LONGEST = 1e9


def seconds(value: object) -> float:
    """Read a positive number of seconds."""
    expected = "expected a positive number of seconds, without a unit, e.g. 30 or 0.5"
    number = _read(float, value, expected)
    if not 0 < number <= LONGEST:
        raise ValueError(expected)
    return float(number)


def optional_seconds(value: object) -> float | None:
    """Read a positive number of seconds, or nothing for no limit."""
    return None if value is None or value == "" else seconds(value)


def size(value: object) -> int:
    """Read a size in bytes, zero or more."""
    expected = "expected a number of bytes, without a unit, e.g. 1048576 for 1 MiB"
    number = _read(int, value, expected)
    if number < 0:
        raise ValueError(expected)
    return int(number)


def text(value: object) -> str:
    """Read a text, stripped."""
    return "" if value is None else str(value).strip()


def boolean(value: object) -> bool:
    """Read a truth value, as strictly as a mistake deserves."""
    if isinstance(value, bool):
        return value
    if str(value).strip().lower() in ("", "false", "no", "off", "f", "n", "0"):
        return False
    if asbool(value):
        return True
    raise ValueError("expected true or false")


def called(value: object) -> Callable[..., Any]:
    """Import what a dotted name names, which must be something to call."""
    word = text(value)
    try:
        found = DottedNameResolver(None).resolve(word)
    except ImportError as error:
        raise ValueError(f"it cannot be imported: {error}") from error
    if not callable(found):
        raise ValueError(f"{word!r} cannot be called")
    return found


def one_of(*allowed: str) -> Callable[[object], str]:
    """Make a cast that takes one of `allowed`."""

    def cast(value: object) -> str:
        word = text(value)
        if word not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return word

    return cast


def number(value: object) -> int:
    """Read a whole number, zero or more."""
    expected = "expected a whole number, zero or more"
    found = _read(int, value, expected)
    if found < 0:
        raise ValueError(expected)
    return int(found)


def optional_number(value: object) -> int | None:
    """Read a whole number, zero or more, or nothing."""
    return None if value is None or value == "" else number(value)


def share(value: object) -> float:
    """Read a share between 0 and 1."""
    expected = "expected a share between 0 and 1, e.g. 0.2"
    found = _read(float, value, expected)
    if not 0 <= found <= 1:
        raise ValueError(expected)
    return float(found)


def statuses(value: object) -> tuple[int, ...]:
    """Read status codes of errors."""
    listed = [value] if isinstance(value, int) else value
    if isinstance(listed, str):
        listed = words(listed)
    expected = "expected status codes from 400 to 599"
    found = tuple(_read(int, each, expected) for each in listed)  # type: ignore[attr-defined]
    if not all(400 <= each <= 599 for each in found):
        raise ValueError(expected)
    return found


def store_url(value: object) -> str:
    """Read where the shared store is."""
    word = text(value)
    if word in ("", "memory"):
        return ""
    if not re.fullmatch(r"rediss?://\S+", word):
        raise ValueError("expected 'memory' or redis://host:port/database")
    try:
        urlsplit(word).port  # noqa: B018 (it reads it)
    except ValueError:  # its words may repeat a password
        raise ValueError(
            "its host or port is not valid; in a password '/', '#', '?' and '@' are "
            "percent-encoded"
        ) from None
    return word


def weighted_urls(given: Iterable[str]) -> list[tuple[str, float]]:
    """Read URLs, each of which ``weight=n`` may follow."""
    found: list[tuple[str, float]] = []
    for word in given:
        if not word.startswith("weight="):
            found.append((word, 1.0))
            continue
        weight = float(word.removeprefix("weight="))
        if not found or not 0 < weight < float("inf"):
            raise ValueError(f"{word}: expected a positive number, after a URL")
        found[-1] = found[-1][0], weight
    return found


def affinity(value: object) -> str:
    """Read what keeps requests at a destination."""
    word = text(value)
    if word in ("", "cookie", "user") or re.fullmatch(r"header:[A-Za-z0-9-]+", word):
        return word
    raise ValueError("expected 'cookie', 'user' or 'header:Name'")


def path(value: object) -> str:
    """Read a path that begins with a slash, or nothing."""
    word = text(value)
    if word and not re.fullmatch(r"/[!-~]*", word):
        raise ValueError("expected a path that begins with '/'")
    return word


def host_policy(value: object) -> str:
    """Read the Host policy: ``destination``, ``preserve`` or a host name."""
    word = text(value)
    if not re.fullmatch(r"[A-Za-z0-9.\-_:\[\]]+", word):
        raise ValueError("expected 'destination', 'preserve' or a host name")
    return word


#: What cannot stand in the value of a header field as WSGI has it (PEP 3333): NUL, line
#: breaks, and all that is not Latin-1. Said by what can, which compiles far faster.
_NO_VALUE = re.compile(r"[^\x01-\x09\x0b\x0c\x0e-\xff]")


#: What frames a message or belongs to the connection is made by who sends it.
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)


def fields(value: object) -> tuple[tuple[str, str], ...]:
    """Read header fields, ``Name: value``, one a line; or a mapping."""
    expected = "expected 'Name: value' in latin-1, one a line"
    if isinstance(value, Mapping):
        pairs = [(str(name), str(content)) for name, content in value.items()]
    else:
        parted = [line.partition(":") for line in lines(value)]
        if not all(colon for _, colon, _ in parted):
            raise ValueError(expected)  # the line may be a secret: not in the message
        pairs = [(name.strip(), content.strip()) for name, _, content in parted]
    for name, content in pairs:
        if not TOKEN.fullmatch(name) or _NO_VALUE.search(content):
            raise ValueError(expected)
        if name.lower() in _FRAMING:
            raise ValueError(f"{name} is made anew for each request")
    return tuple(pairs)


def verification(value: object) -> bool | str:
    """Read how certificates are verified: true, a path, or ``insecure``."""
    if value is True or text(value).lower() in ("true", "yes", "on", "1"):
        return True
    word = text(value)
    if word == "insecure":
        return False
    if value is False or word.lower() in ("", "false", "no", "off", "0"):
        raise ValueError("write 'insecure' to switch verification off")
    return word


def certificate(value: object) -> str | tuple[str, str] | None:
    """Read a client certificate: one path, or certificate and key."""
    paths = words(value) if value else ()
    if len(paths) > 2 or isinstance(value, (set, frozenset)):  # the order counts
        raise ValueError("expected one path, or certificate and key")
    if len(paths) == 2:
        return paths[0], paths[1]
    return paths[0] if paths else None


def proxy_url(value: object) -> str | None:
    """Read the URL of a second proxy."""
    word = text(value)
    if word and not (_PROXY.fullmatch(word) and has_valid_port(word)):
        raise ValueError("expected http://host:port, or http://user:password@host:port")
    return word or None


#: A user with a password may stand before the host; an IPv6 address is in brackets.
_PROXY = re.compile(
    r"http://(?:[^\s/@]*@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?/?"
)
