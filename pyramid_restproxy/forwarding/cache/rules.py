"""The rules of a shared cache (RFC 9111, RFC 5861, RFC 9211). Pure: no clock, no store.

Fields are lists of (name, value) pairs. Times are seconds since the epoch, lifetimes
and ages are seconds. Heuristic freshness (section 4.2.2) is not done: what does not
say how long it is fresh is stale at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from pyramid_restproxy.forwarding.cache.directives import (
    FOREVER,
    Directives,
    cache_control,
    has,
    is_name,
    lines,
    number,
    parse_date,
    seconds,
    single,
)
from pyramid_restproxy.forwarding.fields import Fields, drop

__all__ = [
    "CREDENTIALS",
    "Freshness",
    "Reuse",
    "bypass",
    "cache_status",
    "confirms",
    "content_length",
    "current_age",
    "freshen",
    "freshness_lifetime",
    "has_known_end",
    "is_unsafe",
    "may_store",
    "may_use_on_error",
    "named_target",
    "not_modified",
    "not_modified_fields",
    "reuse",
    "selecting",
    "store_time",
    "validators",
    "varies_by",
]

#: Final statuses that this cache understands. What asks for credentials (401, 407),
#: parts (206) and the failures of a server are not among them.
UNDERSTOOD = frozenset(
    {200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 451, 501}
)

#: Request fields with which an answer is for one client (section 3.5), lower case.
CREDENTIALS = frozenset({"authorization"})

#: Request fields with which the cache is left out: ranges, conditions that only the
#: origin may judge (section 4.3.2), and what some servers take for the target or the
#: method, so that a client could have one answer stored under the name of another.
UNCACHED = frozenset(
    {
        "if-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "x-host",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-original-host",
        "x-original-url",
        "x-rewrite-url",
    }
)

#: Methods after which stored answers are still true (RFC 9110 section 9.2.1).
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

#: Statuses that stale-if-error counts as errors (RFC 5861 section 4).
ERRORS = frozenset({500, 502, 503, 504})

#: How far the clocks of two processes may be apart, seconds.
SKEW = 5.0

_TAG = re.compile(r'"[^"]*"')


# -- what is left to the backend -----------------------------------------------------


def bypass(method: str, fields: Fields, has_body: bool) -> str | None:
    """Say why the cache has no part in a request.

    :returns: ``method`` or ``bypass``, as in Cache-Status (RFC 9211 section 2.2).
    """
    if method not in ("GET", "HEAD"):
        return "method"
    return "bypass" if has_body or has(fields, UNCACHED) else None


def is_unsafe(method: str, status: int) -> bool:
    """Say whether an answer makes stored ones untrue (section 4.4).

    A method that is not known is not known to be safe.
    """
    return method not in SAFE and 200 <= status < 400


def named_target(
    value: str, base: str, hosts: frozenset[str]
) -> tuple[str, str] | None:
    """Return what a Location or Content-Location names, where it is on the same host.

    :param base: the URL of the request at the backend.
    :param hosts: authorities in lower case: the backend's and the public one.
    :returns: path and query; None elsewhere (section 4.4: no other host's).
    """
    try:
        parts = urlsplit(urljoin(base, value))
    except ValueError:
        return None
    if parts.netloc.lower() not in hosts:
        return None
    return parts.path or "/", parts.query


# -- storing (section 3) -------------------------------------------------------------


def may_store(
    method: str,
    request_fields: Fields,
    status: int,
    response_fields: Fields,
    credentials: frozenset[str] = CREDENTIALS,
    never_with: frozenset[str] = frozenset(),
) -> bool:
    """Say whether a shared cache may store an answer. In doubt it may not.

    ``must-understand`` does not lift ``no-store``, ``private="field"`` is as good as
    ``private`` (sections 5.2.2.3 and 5.2.2.7 allow both); Set-Cookie is never stored.

    :param credentials: request fields with which an answer must be meant for all
        expressly (section 3.5), names in lower case.
    :param never_with: fields of an answer that make it one client's, in lower case.
    """
    said = cache_control(response_fields)
    return (
        method == "GET"
        and status in UNDERSTOOD
        and "no-store" not in cache_control(request_fields)
        and "no-store" not in said
        and "private" not in said
        and not has(response_fields, _UNSTORED | never_with)
        and not has(request_fields, _RANGE)
        and varies_by(response_fields) is not None
        and (not has(request_fields, credentials) or _is_for_all(said))
        and _is_worth_it(said, request_fields, response_fields)
    )


_UNSTORED = frozenset({"content-range", "set-cookie", "set-cookie2"})
_RANGE = frozenset({"range"})
_COOKIE = frozenset({"cookie"})
_VALIDATORS = frozenset({"etag", "last-modified"})


def _is_for_all(said: Directives) -> bool:
    return "public" in said or "s-maxage" in said or "must-revalidate" in said


def _is_worth_it(said: Directives, asked: Fields, fields: Fields) -> bool:
    """Say whether an answer is fresh for a while, or can be validated.

    One that may be used stale is as good as fresh meanwhile (RFC 5861). A validator
    alone is not enough where a cookie was sent: a backend that makes its validators
    without regard to it would confirm one user's answer to another.
    """
    given = _given_lifetime(said)
    if given or (given is None and lines(fields, "expires")):
        return True
    if given is not None and _may_be_stale(said) and _stale_window(said):
        return True
    return has(fields, _VALIDATORS) and ("public" in said or not has(asked, _COOKIE))


def varies_by(fields: Fields) -> tuple[str, ...] | None:
    """Return the names (lower case, sorted) of the request fields in Vary.

    :returns: None where it is ``*`` or cannot be read: no other request fits.
    """
    names = {
        name.strip().lower()
        for value in lines(fields, "vary")
        for name in value.split(",")
    } - {""}
    if "*" in names or not all(map(is_name, names)):
        return None
    return tuple(sorted(names))


def selecting(
    names: Iterable[str], fields: Fields
) -> tuple[tuple[str, str | None], ...]:
    """Return the request fields that select an answer, normalised (section 4.1).

    Lines are joined, and white space around commas does not count.
    """
    return tuple((name, _normalised(lines(fields, name))) for name in names)


def _normalised(values: list[str]) -> str | None:
    if not values:
        return None
    return ", ".join(part.strip() for part in ",".join(values).split(","))


def has_known_end(fields: Fields) -> bool:
    """Say whether the framing of an answer tells a whole body from a cut one.

    One that ends with its connection may have been cut (RFC 9112 section 8).
    """
    return has(fields, _FRAMING)


_FRAMING = frozenset({"content-length", "transfer-encoding"})


def content_length(fields: Fields) -> int | None:
    """Return the length that an answer gives, bytes."""
    return number(single(fields, "content-length"))


def store_time(said: Directives, ttl: float, has_validator: bool, keep: float) -> float:
    """Return how long an answer is of any use, seconds; 0 where it is of none.

    :param ttl: how long it is still fresh.
    :param keep: how long a stale one is kept to be validated.
    """
    after = keep if has_validator else 0.0
    if _may_be_stale(said):
        after = max(after, _stale_window(said))
    return max(0.0, ttl + after if "no-cache" not in said else after)


# -- freshness (section 4.2) ---------------------------------------------------------


class Freshness(NamedTuple):
    """How old an answer is and may be.

    :ivar lifetime: seconds from its making to its end.
    :ivar age: seconds since its making.
    """

    lifetime: float
    age: float

    @property
    def ttl(self) -> float:
        """Seconds that are left; negative for a stale one."""
        return self.lifetime - self.age


def _given_lifetime(said: Directives) -> int | None:
    for name in ("s-maxage", "max-age"):
        if name in said:
            return seconds(said[name])
    return None


def freshness_lifetime(fields: Fields, received: float) -> float:
    """Return how long an answer is fresh (section 4.2.1), 0 where it does not say.

    :param received: when it came; it counts where there is no Date.
    """
    given = _given_lifetime(cache_control(fields))
    if given is not None:
        return given
    expires = parse_date(single(fields, "expires"))
    if expires is None:
        return 0.0
    return min(max(0.0, expires - _date(fields, received)), FOREVER)


def _date(fields: Fields, received: float) -> float:
    date = parse_date(single(fields, "date"))
    return received if date is None else date


def current_age(fields: Fields, asked: float, received: float, now: float) -> float:
    """Return how old an answer is (section 4.2.3).

    Where the clock stands before the time at which it came, the clock was turned
    back, and nobody knows: it is taken for very old.

    :param asked: when the request for it was made.
    :param received: when it came.
    """
    if now + SKEW < received:
        return 2 * FOREVER  # older than any lifetime
    given = lines(fields, "age")
    told = max(0.0, received - asked)
    if given:  # the first counts, section 5.1
        told += seconds(given[0].split(",")[0].strip())
    return max(told, received - _date(fields, received)) + max(0.0, now - received)


# -- using what is stored (section 4) ------------------------------------------------


class Reuse(Enum):
    """What may be done with a stored answer."""

    #: It is the answer.
    AS_IS = "hit"
    #: It is, while another is fetched (RFC 5861 section 3).
    WHILE_REVALIDATING = "stale-while-revalidate"
    #: It is stale; the backend must say that it is still true.
    STALE = "stale"
    #: It is fresh, but the client wants to hear it from the backend.
    ASKED = "request"


def reuse(said: Directives, asked: Directives, found: Freshness) -> Reuse:
    """Decide what may be done with a stored answer.

    :param said: the directives of the answer.
    :param asked: those of the request (section 5.2.1).
    """
    if "no-cache" in asked:
        return Reuse.ASKED
    if "max-age" in asked and found.age > seconds(asked["max-age"]):
        return Reuse.ASKED if found.ttl > 0 else Reuse.STALE
    if "no-cache" in said:
        return Reuse.STALE
    if found.ttl > 0:
        enough = found.ttl >= _window(asked, "min-fresh")
        return Reuse.AS_IS if enough else Reuse.ASKED
    return _reuse_stale(said, asked, -found.ttl)


def _reuse_stale(said: Directives, asked: Directives, over: float) -> Reuse:
    if _may_be_stale(said) and "min-fresh" not in asked:
        if "max-stale" in asked and over <= _max_stale(asked["max-stale"]):
            return Reuse.AS_IS
        if over <= _window(said, "stale-while-revalidate", never=-1):
            return Reuse.WHILE_REVALIDATING
    return Reuse.STALE


def _max_stale(argument: str | None) -> int:
    return FOREVER if argument is None else seconds(argument)


def _window(said: Directives, name: str, never: int = 0) -> int:
    return seconds(said[name]) if name in said else never


def _stale_window(said: Directives) -> int:
    """Return how long an answer may be used stale (RFC 5861), seconds."""
    names = ("stale-while-revalidate", "stale-if-error")
    return max(_window(said, name) for name in names)


def _may_be_stale(said: Directives) -> bool:
    """Say whether an answer may ever be used stale (section 4.2.4).

    For a shared cache ``s-maxage`` forbids it too (section 5.2.2.10).
    """
    return not said.keys() & _NEVER_STALE


_NEVER_STALE = frozenset(
    {"must-revalidate", "no-cache", "proxy-revalidate", "s-maxage"}
)


def may_use_on_error(said: Directives, asked: Directives, found: Freshness) -> bool:
    """Say whether a stored answer may stand in for an error (RFC 5861 section 4)."""
    if "no-cache" in asked or not _may_be_stale(said):
        return False
    name = "stale-if-error"
    return -found.ttl <= max(_window(said, name, -1), _window(asked, name, -1))


# -- validation (section 4.3) --------------------------------------------------------


def validators(fields: Fields) -> Fields:
    """Return the conditions by which a backend can confirm a stored answer."""
    pairs = (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
    found = ((condition, single(fields, name)) for condition, name in pairs)
    return [(condition, value) for condition, value in found if value]


def _opaque(tag: str | None) -> str | None:
    """Return what the weak comparison looks at (RFC 9110 section 8.8.3.2)."""
    return tag.removeprefix("W/") if tag is not None else None


def confirms(stored: Fields, fields: Fields) -> bool:
    """Say whether a 304 is about the stored answer (section 4.3.4)."""
    tag = single(fields, "etag")
    if tag is not None:
        return _opaque(tag) == _opaque(single(stored, "etag"))
    modified = single(fields, "last-modified")
    return modified is None or modified == single(stored, "last-modified")


#: What says how the stored content is to be read; a 304 does not change it.
_OF_CONTENT = frozenset(
    {"content-encoding", "content-length", "content-range", "content-type"}
)
#: What was true of the old answer only.
_OF_MESSAGE = frozenset({"age", "date", "cache-status"})


def freshen(stored: Fields, fields: Fields) -> Fields:
    """Return the fields of a stored answer as a 304 updates them (section 3.2)."""
    new = drop(fields, _OF_CONTENT)
    replaced = frozenset(name.lower() for name, _ in new) | _OF_MESSAGE
    return drop(stored, replaced) + new


def not_modified(asked: Fields, stored: Fields, received: float) -> bool:
    """Say whether a client has the stored answer already (section 4.3.2).

    :param asked: the fields of the request.
    :param received: when the stored answer came.
    """
    wanted = lines(asked, "if-none-match")
    if wanted:
        tag = _opaque(single(stored, "etag"))
        listed = ",".join(wanted)
        return listed.strip() == "*" or tag in _TAG.findall(listed)
    since = parse_date(single(asked, "if-modified-since"))
    if since is None:
        return False
    modified = parse_date(single(stored, "last-modified"))
    return (_date(stored, received) if modified is None else modified) <= since


def not_modified_fields(fields: Fields) -> Fields:
    """Return the fields of a 304 for a stored answer (RFC 9110 section 15.4.5)."""
    return drop(fields, _OF_CONTENT | {"content-language"})


# -- telling (RFC 9211) --------------------------------------------------------------


def cache_status(name: str, *parameters: str) -> str:
    """Return the member of Cache-Status for this cache.

    :param name: how it names itself, a token.
    :param parameters: e.g. ``'hit'``, ``'ttl=5'``, in order.
    """
    return "; ".join((name, *parameters))
