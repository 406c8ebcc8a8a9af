"""What a view offers, and which of it a request gets.

:class:`Offers` is made once a view; :func:`choose` runs once a request. The
extension of the path decides first, then the format parameter (where it is
switched on), then Accept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.negotiation import Score, best, scores
from pyramid_restproxy.remembered import remembered

__all__ = ["Choice", "Offers", "choose", "weigh"]


@dataclass(frozen=True, slots=True, eq=False)
class Offers:
    """The representations of a view, in server order. Compared by identity.

    :ivar representations: what there is; the first is the default.
    :ivar template: the template of those that are rendered from one.
    :ivar media_types: every media type on offer, aliases included.
    """

    representations: tuple[Representation, ...]
    template: str = ""
    media_types: tuple[str, ...] = field(init=False)
    owners: tuple[Representation, ...] = field(init=False)
    extensions: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        pairs = [
            (media_type, each)
            for each in self.representations
            for media_type in (each.media_type, *each.aliases)
        ]
        extensions = frozenset(e for r in self.representations for e in r.extensions)
        object.__setattr__(self, "media_types", tuple(name for name, _ in pairs))
        object.__setattr__(self, "owners", tuple(owner for _, owner in pairs))
        object.__setattr__(self, "extensions", extensions)

    def by_extension(self, extension: str) -> Representation | None:
        """Return the representation with this extension, if it is offered."""
        for each in self.representations:
            if extension in each.extensions:
                return each
        return None

    def by_name(self, name: str) -> Representation | None:
        """Return the representation with this name, if it is offered."""
        for each in self.representations:
            if each.name == name:
                return each
        return None


@dataclass(frozen=True, slots=True)
class Choice:
    """The representation that a request gets.

    :ivar media_type: the name it is sent under, e.g. an alias that was asked for.
    :ivar by: what chose it: ``extension``, ``format``, ``accept`` or ``default``.
    :ivar vary: whether the answer must say ``Vary: Accept``.
    """

    representation: Representation
    media_type: str
    by: str
    vary: bool
    content_type: str = field(init=False)

    def __post_init__(self) -> None:
        value = self.representation.content_type(self.media_type)
        object.__setattr__(self, "content_type", value)


def choose(
    offers: Offers,
    extension: str | None = None,
    format_name: str | None = None,
    accept: str | None = None,
    *,
    reads_accept: bool = True,
    strict: bool = True,
) -> Choice | None:
    """Choose the representation of an answer.

    :param extension: what was cut off the path, or None.
    :param format_name: the value of the format parameter, or None.
    :param accept: the Accept field, or None.
    :param reads_accept: whether Accept has a say; a route can switch it off.
    :param strict: whether nothing is better than what nobody asked for.
    :returns: the choice, or None where a strict choice finds nothing.
    """
    if extension:
        return _named(offers.by_extension(extension), "extension")
    if format_name is not None:
        return _named(offers.by_name(format_name), "format")
    if not reads_accept:
        return _named(offers.representations[0], "default")
    return _by_accept((offers, accept, strict))


def _named(found: Representation | None, by: str) -> Choice | None:
    return Choice(found, found.media_type, by, vary=False) if found else None


@remembered(1024)
def _by_accept(asked: tuple[Offers, str | None, bool]) -> Choice | None:
    offers, accept, strict = asked
    # Where one name is on offer there is nothing that could vary; an alias is another.
    vary = len(offers.media_types) > 1
    score = best(accept, offers.media_types)
    if score is not None:
        by = "accept" if score.specificity > 0 else "default"
        return Choice(offers.owners[score.offer], score.media_type, by, vary)
    if strict:
        return None
    first = offers.representations[0]
    return Choice(first, first.media_type, "default", vary)


def weigh(offers: Offers, accept: str | None) -> tuple[Score, ...]:
    """Return what the client thinks of every offer, for the decision record."""
    return scores(accept, offers.media_types)
