"""Proactive negotiation by Accept (RFC 9110 section 12.5.1), as pure functions.

Media types in, a choice out: no request, no response, nothing of ours imported.
Who offers what, and what a refusal looks like, is decided elsewhere.

The rules, in the order in which they decide:

1. an absent, empty or unreadable Accept is no wish at all: the first offer;
2. the most specific range that matches an offer gives it its q; q=0 excludes;
3. the highest q wins; among equals the more specific range (``application/json,
   */*`` means JSON); among equals again, the order of the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from webob.acceptparse import Accept

__all__ = [
    "MAX_HEADER",
    "MAX_RANGES",
    "MediaRange",
    "Score",
    "add_vary",
    "best",
    "parse",
    "scores",
]

#: A longer Accept (characters), or one of more ranges, is treated as absent: the
#: cost of reading it must stay bounded.
MAX_HEADER = 8192
MAX_RANGES = 100

#: How closely a range names an offer: ``*/*``, ``type/*``, ``type/*+suffix``, exact.
ANY, TYPE, SUFFIX, EXACT = 0, 1, 2, 3

Parameters = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of an Accept field.

    :ivar type: major type, lower case, or ``*``.
    :ivar subtype: subtype, lower case, ``*``, or ``*+suffix``.
    :ivar parameters: media type parameters, without q.
    :ivar q: the weight, 0 to 1.
    """

    type: str
    subtype: str
    parameters: Parameters
    q: float


@dataclass(frozen=True, slots=True)
class Score:
    """What a client thinks of one offer.

    :ivar offer: the position of the offer in the sequence that was given.
    :ivar media_type: the offer.
    :ivar q: its weight, 0 for unwanted.
    :ivar specificity: 0 for ``*/*`` up to 3 for an exact name; -1 for no match.
    """

    offer: int
    media_type: str
    q: float
    specificity: int


@lru_cache(maxsize=256)
def parse(accept: str | None) -> tuple[MediaRange, ...] | None:
    """Read an Accept field.

    :param accept: the field value, or None where the field is absent.
    :returns: its ranges, or None where it expresses no wish: absent, empty,
        not well-formed, or over :data:`MAX_HEADER` or :data:`MAX_RANGES`.
    """
    if not accept or len(accept) > MAX_HEADER or accept.count(",") >= MAX_RANGES:
        return None
    try:
        # RFC 9110 section 5.6.1: empty list elements count for nothing; section 5.5:
        # nor does white space around a value, which not every server takes away.
        found = tuple(
            _media_range(name, q, parameters)
            for name, q, parameters, _ in Accept.parse(accept.strip(" \t"))
        )
    except ValueError:
        return None
    return found or None


def _media_range(
    name: str, q: float, parameters: Iterable[tuple[str, str]]
) -> MediaRange:
    # WebOb leaves the parameters in the name of the range as well.
    major, _, minor = name.partition(";")[0].strip().lower().partition("/")
    return MediaRange(major, minor, _normal(parameters), q)


def _normal(parameters: Iterable[tuple[str, str]]) -> Parameters:
    return frozenset((name.lower(), value) for name, value in parameters)


@lru_cache(maxsize=1024)
def _offer(media_type: str) -> tuple[str, str, Parameters]:
    major, minor, parameters = Accept.parse_offer(media_type)
    return major.lower(), minor.lower(), _normal(parameters)


def scores(accept: str | None, offers: Sequence[str]) -> tuple[Score, ...]:
    """Weigh every offer.

    :param accept: the Accept field, or None.
    :param offers: media types in the order of the server, with parameters where
        they have some.
    :returns: a score for each offer, in the order of the offers.
    """
    ranges = parse(accept)
    if ranges is None:
        return tuple(Score(n, offer, 1.0, ANY) for n, offer in enumerate(offers))
    parsed = [_offer(offer) for offer in offers]
    # Parameters of a range mean something only where the server distinguishes by
    # them; `application/json;charset=utf-8` is a plain wish for JSON.
    by_parameters = {offer[:2] for offer in parsed if offer[2]}
    return tuple(
        _score(n, offers[n], offer, ranges, offer[:2] in by_parameters)
        for n, offer in enumerate(parsed)
    )


def _score(
    position: int,
    media_type: str,
    offer: tuple[str, str, Parameters],
    ranges: tuple[MediaRange, ...],
    by_parameters: bool,
) -> Score:
    best_match, q = (-1, -1), 0.0
    for wanted in ranges:
        match = _match(wanted, offer, by_parameters)
        if match > best_match or (match == best_match and wanted.q > q):
            best_match, q = match, wanted.q
    specificity = best_match[0]
    return Score(position, media_type, q if specificity >= 0 else 0.0, specificity)


def _match(
    wanted: MediaRange, offer: tuple[str, str, Parameters], by_parameters: bool
) -> tuple[int, int]:
    """Return how closely a range names an offer: (specificity, parameters agreed)."""
    major, minor, parameters = offer
    if wanted.type == wanted.subtype == "*":
        return ANY, 0
    if wanted.type != major:
        return -1, -1
    if wanted.subtype == "*":
        return TYPE, 0
    if wanted.subtype.startswith("*+"):
        # RFC 6838 section 4.2.8: `*+json` names the suffix, not application/json.
        return (SUFFIX, 0) if minor.endswith(wanted.subtype[1:]) else (-1, -1)
    if wanted.subtype != minor:
        return -1, -1
    if not by_parameters:
        # A range without parameters speaks of this offer, one with parameters nearly.
        return EXACT, 0 if wanted.parameters else 1
    if wanted.parameters <= parameters:
        return EXACT, len(wanted.parameters)
    return -1, -1


def best(accept: str | None, offers: Sequence[str]) -> Score | None:
    """Choose among offers.

    :param accept: the Accept field, or None.
    :param offers: media types in the order of the server; at least one.
    :returns: the score of the chosen offer, or None where none is acceptable.
    """
    wanted = [score for score in scores(accept, offers) if score.q > 0]
    return max(wanted, key=lambda s: (s.q, s.specificity, -s.offer), default=None)


def add_vary(headers: list[tuple[str, str]], field: str) -> None:
    """Add a field name to the Vary of a header list (RFC 9110 section 12.5.5).

    :param headers: (name, value) pairs, changed in place; several Vary lines
        become one, names that are there already are not repeated.
    :param field: the field name to add, e.g. ``Accept``.
    """
    lines = [value for name, value in headers if name.lower() == "vary"]
    if not lines:  # most answers
        headers.append(("Vary", field))
        return
    named = [item.strip() for value in lines for item in value.split(",")]
    if "*" in named or field.lower() in (item.lower() for item in named):
        return
    headers[:] = [pair for pair in headers if pair[0].lower() != "vary"]
    headers.append(("Vary", ", ".join([item for item in named if item] + [field])))
