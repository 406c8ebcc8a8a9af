"""Request methods as values: tokens, sets of them, and the Allow field.

Pure, and at the bottom of routing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pyramid.config import not_
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.casts import several
from pyramid_restproxy.grammar import TOKEN

__all__ = ["ALLOW_ORDER", "ANY_METHOD", "MethodSet", "allow_order", "method_tokens"]

#: The order of Allow; others follow alphabetically (RFC 9110 section 10.2.1).
ALLOW_ORDER = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def method_tokens(value: Any, option: str = "allowed_methods") -> tuple[str, ...]:
    """Read the methods given to a predicate.

    :param value: a method, or several in a tuple, a list or a set, in any case.
    :param option: the name of the option, for the message.
    :returns: upper-cased, sorted, each once; with HEAD where GET is there.
    :raises ConfigurationError: where one of them is not a token
        (RFC 9110 section 5.6.2).
    """
    found = several(value)
    if not found:
        raise ConfigurationError(
            f"{option}={value!r}: expected a method or a tuple of methods"
        )
    for method in found:
        if not isinstance(method, str) or not TOKEN.fullmatch(method):
            raise ConfigurationError(f"{option}={value!r}: {method!r} is not a method")
    methods = {method.upper() for method in found}
    # RFC 9110 section 9.3.2: what GET answers, HEAD answers.
    return tuple(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


def allow_order(methods: Iterable[str]) -> tuple[str, ...]:
    """Sort methods as Allow lists them."""
    found = set(methods)
    known = tuple(method for method in ALLOW_ORDER if method in found)
    return known + tuple(sorted(found.difference(ALLOW_ORDER)))


@dataclass(frozen=True, slots=True)
class MethodSet:
    """The methods that a view or a route answers.

    :ivar names: methods, upper-cased.
    :ivar negated: whether it is all methods but these.
    """

    names: frozenset[str]
    negated: bool = False

    def __contains__(self, method: str) -> bool:
        return (method in self.names) is not self.negated

    def listed(self) -> frozenset[str]:
        """Return the methods to name in Allow; of a negated set, the usual ones."""
        usual = frozenset(ALLOW_ORDER)
        return usual - self.names if self.negated else self.names

    @classmethod
    def of(cls, value: Any) -> MethodSet:
        """Read a predicate's value, which may be wrapped in Pyramid's ``not_()``."""
        if isinstance(value, not_):
            return cls(frozenset(method_tokens(value.value)), negated=True)
        return cls(frozenset(method_tokens(value)))


ANY_METHOD = MethodSet(frozenset(), negated=True)
