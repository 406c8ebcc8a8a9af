"""Header fields on their way through: read, stripped, checked. Pure.

A field list is a list of (name, value) pairs, str, in order; names keep the case
they came in. What an intermediary must not pass on: RFC 9110 section 7.6.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pyramid_restproxy.grammar import TOKEN
from pyramid_restproxy.remembered import remembered

__all__ = [
    "HOP_BY_HOP",
    "FORWARDED_FAMILY",
    "FieldList",
    "Fields",
    "canonical_name",
    "connection_named",
    "cookie_of",
    "drop",
    "is_field",
    "is_safe_value",
    "keep_cookies",
    "names_set",
    "one_or_several",
    "request_fields",
    "response_fields",
]

Fields = list[tuple[str, str]]

#: Says whether a name is wanted.
Wanted = Callable[[str], bool]

#: Fields that concern one connection only (RFC 9110 section 7.6.1, and older ones).
HOP_BY_HOP = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

#: Fields of a request that are made anew here, or must not go on: framing, Host,
#: Expect (answered by the server in front of us), httpoxy's Proxy, and those in which
#: some frameworks look for another path than the one that was checked here.
REQUEST_OWN = HOP_BY_HOP | {
    "content-length",
    "expect",
    "host",
    "proxy",
    "x-forwarded-uri",
    "x-original-url",
    "x-rewrite-url",
}

#: Fields of an answer that speak of the backend's own connection or address. Server
#: is dropped because the WSGI server in front names itself.
RESPONSE_OWN = HOP_BY_HOP | {"alt-svc", "server"}

#: Connection cannot take these away: they say what the message is, and to whom.
END_TO_END = frozenset({"cache-control", "content-type", "host", "content-length"})

_UNSAFE = re.compile(r"[\r\n\0]")

#: What may stand around names and values (RFC 9110 section 5.6.3), and nothing else.
_BLANKS = " \t"

#: What stands for all fields in which a proxy speaks of its client.
FORWARDED_FAMILY = "x-forwarded-*"


def canonical_name(name: str) -> str:
    """Return the one name of a field: lower case, and dashes, as WSGI reads it.

    A WSGI server cannot tell ``X_User`` from ``X-User`` (PEP 3333), so neither may what
    takes fields out or sets them.
    """
    return name.lower().replace("_", "-")


def one_or_several(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return names that are given alone or together: a str is one, not its letters."""
    return (names,) if isinstance(names, str) else tuple(names)


@remembered(2048)
def _name(key: str) -> tuple[str, str, str]:
    """Return for an environ key the name as sent, in lower case, and of its family."""
    name = key[5:].replace("_", "-").title()
    lowered = name.lower()
    claims = lowered.startswith("x-forwarded-")
    return name, lowered, FORWARDED_FAMILY if claims else lowered


#: WSGI has these without HTTP_; what comes with it was ``Content_Type`` on the wire.
_TWINS = frozenset({"content-type", "content-length"})


def request_fields(environ: Mapping[str, Any], without: frozenset[str]) -> Fields:
    """Read the fields of a request that may go on.

    :param environ: the WSGI environ; repeated fields are joined there already.
    :param without: names (lower case) to leave out; see :data:`REQUEST_OWN`, and
        :data:`FORWARDED_FAMILY`.
    :returns: the fields without these, and without those that ``Connection`` names.
    """
    if "HTTP_CONTENT_TYPE" in environ or "HTTP_CONTENT_LENGTH" in environ:
        without = without | _TWINS
    named = environ.get("HTTP_CONNECTION")
    dropped = without if named is None else without | connection_named(named)
    found = []
    for key, value in environ.items():
        if key[:5] == "HTTP_":
            name, lowered, family = _name(key)
            if lowered not in dropped and family not in dropped:
                found.append((name, value))
    if environ.get("CONTENT_TYPE"):
        found.append(("Content-Type", environ["CONTENT_TYPE"]))
    return found


def response_fields(fields: Iterable[tuple[str, str]]) -> Fields:
    """Return the fields of an answer that may go on to the client."""
    found = []
    named: frozenset[str] = frozenset()
    for pair in fields:
        lowered = pair[0].lower()
        if lowered not in RESPONSE_OWN:
            found.append(pair)
        elif lowered == "connection":
            named |= connection_named(pair[1])
    return drop(found, named) if named else found


@remembered(256)
def connection_named(value: str) -> frozenset[str]:
    """Return the names (lower case) that a Connection value asks to stop here.

    Those that stop here in any case are not among them.
    """
    names = {name.strip().lower() for name in value.split(",")}
    return frozenset(names - END_TO_END - HOP_BY_HOP)


def drop(fields: Iterable[tuple[str, str]], names: frozenset[str]) -> Fields:
    """Return the fields without those of these names (lower case)."""
    return [pair for pair in fields if pair[0].lower() not in names]


def cookie_of(environ: Mapping[str, Any], name: str) -> str:
    """Return the value of a cookie of a request; empty where there is none.

    Only a semicolon ends a cookie (RFC 6265 section 4.2.1). ``request.cookies`` finds
    one of ours in ``x restproxy_login=1`` too, which is another's, and raises for bytes
    outside ASCII, which others of the same browser may have.

    :param environ: the WSGI environ.
    :param name: case counts; of several cookies of this name the last one is taken.
    :returns: the value, without the quotes that some clients put around it.
    """
    found = ""
    for pair in environ.get("HTTP_COOKIE", "").split(";"):
        each, _, value = pair.partition("=")
        if each.strip(_BLANKS) == name:
            found = value.strip(_BLANKS + '"')
    return found


def keep_cookies(fields: Iterable[tuple[str, str]], wanted: Wanted) -> Fields:
    """Return the fields without the Set-Cookie lines of names that are not wanted."""
    return [
        (name, value)
        for name, value in fields
        if name.lower() != "set-cookie" or wanted(_name_sent_back(value))
    ]


def _name_sent_back(line: str) -> str:
    """Return the name that a cookie has when a browser sends it back.

    Of one without a name the value alone is sent: what ``=a=b`` sets comes back as
    ``a=b`` (RFC 6265bis sections 5.6 and 5.8.3).

    :param line: the value of Set-Cookie.
    """
    pair = line.partition(";")[0].lstrip("=" + _BLANKS)
    return pair.partition("=")[0].rstrip(_BLANKS)


def names_set(before: Fields, after: Fields) -> frozenset[str]:
    """Return the names (lower case) of the fields that were set, added or renamed.

    Pairs are told apart by identity: what was set to the very value that it had was set
    too.
    """
    known = set(map(id, before))
    return frozenset(pair[0].lower() for pair in after if id(pair) not in known)


def is_safe_value(value: str) -> bool:
    """Say whether a value can stand in one field line (RFC 9110 section 5.5)."""
    return not _UNSAFE.search(value)


def is_field(name: str, value: str) -> bool:
    """Say whether a field can be written as it is (RFC 9110 sections 5.1 and 5.5)."""
    in_latin_1 = max(value, default="") <= "\xff"
    return bool(TOKEN.fullmatch(name)) and is_safe_value(value) and in_latin_1


class FieldList:
    """Fields as hooks and transforms change them. Names compare without case.

    :param fields: the pairs; changed in place.
    """

    __slots__ = ("pairs",)

    def __init__(self, fields: Fields) -> None:
        self.pairs = fields

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(list(self.pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a field."""
        lowered = name.lower()
        for each, value in self.pairs:
            if each.lower() == lowered:
                return value
        return default

    def get_all(self, name: str) -> list[str]:
        """Return all values of a field, in order."""
        lowered = name.lower()
        return [value for each, value in self.pairs if each.lower() == lowered]

    def set(self, name: str, value: str) -> None:
        """Replace all lines of a field by one.

        :raises ValueError: where the value has a line break or NUL.
        """
        self.remove(name)
        self.add(name, value)

    __setitem__ = set

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def add(self, name: str, value: str) -> None:
        """Add a line.

        :raises ValueError: where the value has a line break or NUL.
        """
        if not is_safe_value(value):
            raise ValueError(f"the value of {name!r} has a line break or NUL")
        self.pairs.append((name, value))

    def remove(self, *names: str) -> None:
        """Take all lines of these fields out."""
        self.pairs[:] = drop(self.pairs, frozenset(name.lower() for name in names))

    def rename(self, old: str, new: str) -> None:
        """Give all lines of a field another name, where they stand."""
        lowered = old.lower()
        self.pairs[:] = [  # the others stay the same, see `names_set`
            (new, pair[1]) if pair[0].lower() == lowered else pair
            for pair in self.pairs
        ]

    def keep_only(self, *names: str) -> None:
        """Take out all fields but these."""
        kept = {name.lower() for name in names}
        self.pairs[:] = [pair for pair in self.pairs if pair[0].lower() in kept]
