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

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from webob.acceptparse import Accept

from pyramid_restproxy.remembered import remembered

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

#: A quoted string, closed or not, which is kept; or a semicolon that nothing follows.
_EMPTY_PARAMETER = re.compile(r'("(?:[^"\\]|\\.?)*"?)|;[ \t]*(?=[;,]|\Z)', re.DOTALL)

#: How closely a range names an offer: ``*/*``, ``type/*``, ``type/*+suffix``, exact.
ANY, TYPE, SUFFIX, EXACT = 0, 1, 2, 3

Parameters = frozenset[tuple[str, str]]
#: An offer taken apart: type and subtype, lower case, and parameters.
Offer = tuple[str, str, Parameters]


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


def parse(accept: str | None) -> tuple[MediaRange, ...] | None:
    """Read an Accept field.

    :param accept: the field value, or None where the field is absent.
    :returns: its ranges, or None where it expresses no wish: absent, empty,
        not well-formed, or over :data:`MAX_HEADER` or :data:`MAX_RANGES`.
    """
    return None if accept and len(accept) > MAX_HEADER else _parse(accept)


@remembered(256)
def _parse(accept: str | None) -> tuple[MediaRange, ...] | None:
    if not accept or accept.count(",") >= MAX_RANGES:
        return None
    # RFC 9110 section 5.6.1.2: empty list elements count for nothing; section 5.5: nor
    # does white space around a value, which not every server takes away.
    stripped = accept.strip(" \t,")
    try:
        return _ranges(stripped) or None
    except ValueError:
        pass  # rare: WebOb reads all of the grammar but empty parameters
    try:
        return _ranges(_without_empty_parameters(stripped)) or None
    except ValueError:
        return None


def _without_empty_parameters(accept: str) -> str:
    """Take out what counts for nothing (RFC 9110 section 5.6.6): ``a/b;;q=1;``."""
    return _EMPTY_PARAMETER.sub(lambda match: match[1] or "", accept).rstrip(" \t")


def _ranges(accept: str) -> tuple[MediaRange, ...]:
    return tuple(
        _media_range(name, q, parameters)
        for name, q, parameters, _ in Accept.parse(accept)
    )


def _media_range(
    name: str, q: float, parameters: Iterable[tuple[str, str]]
) -> MediaRange:
    # WebOb leaves the parameters in the name of the range as well.
    major, _, minor = name.partition(";")[0].strip().lower().partition("/")
    return MediaRange(major, minor, _normal(parameters), q)


def _normal(parameters: Iterable[tuple[str, str]]) -> Parameters:
    return frozenset((name.lower(), value) for name, value in parameters)


@remembered(1024)
def _offer(media_type: str) -> Offer:
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
    return tuple(
        _score(n, offers[n], offer, ranges, _distinguished(offer, parsed))
        for n, offer in enumerate(parsed)
    )


def _distinguished(offer: Offer, offers: Iterable[Offer]) -> frozenset[str]:
    """Return the names of the parameters by which offers of one type differ.

    Others mean nothing in a range: ``application/json;charset=utf-8`` is a plain wish
    for JSON, also where there is a version 1 and a version 2 of it.
    """
    return frozenset(
        name for each in offers if each[:2] == offer[:2] for name, _ in each[2]
    )


def _score(
    position: int,
    media_type: str,
    offer: Offer,
    ranges: tuple[MediaRange, ...],
    names: frozenset[str],
) -> Score:
    best_match, q = (-1, -1), 0.0
    for wanted in ranges:
        match = _match(wanted, offer, names)
        if match > best_match or (match == best_match and wanted.q > q):
            best_match, q = match, wanted.q
    specificity = best_match[0]
    return Score(position, media_type, q if specificity >= 0 else 0.0, specificity)


def _match(wanted: MediaRange, offer: Offer, names: frozenset[str]) -> tuple[int, int]:
    """Return how closely a range names an offer: (specificity, by its parameters).

    :param names: the parameters that count.
    """
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
    counting = frozenset(each for each in wanted.parameters if each[0] in names)
    if not counting <= parameters:
        return -1, -1
    # A range whose parameters all count speaks of this offer, another one nearly.
    return EXACT, 2 * len(counting) + (counting == wanted.parameters)


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
    for name, _ in headers:
        if name.lower() == "vary":
            break
    else:  # most answers
        headers.append(("Vary", field))
        return
    lines = [value for name, value in headers if name.lower() == "vary"]
    named = [item.strip() for value in lines for item in value.split(",")]
    if "*" in named or field.lower() in (item.lower() for item in named):
        return
    headers[:] = [pair for pair in headers if pair[0].lower() != "vary"]
    headers.append(("Vary", ", ".join([item for item in named if item] + [field])))
