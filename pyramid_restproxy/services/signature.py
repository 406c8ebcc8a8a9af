"""Checking the arguments of a call against the signature of the function.

With ``msgspec`` installed, values are converted to what the type hints say: text to
dates, mappings to dataclasses, lists to sets. Without it, the types of plain values
are checked and nothing is converted.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.exceptions import MalformedRequest
from pyramid_restproxy.services.values import Undecodable, check_number, parts_of

__all__ = ["ArgumentError", "Contract", "Parameter"]

_AT = re.compile(r"(?P<what>.*) - at `(?P<path>\$[^`]*)`", re.DOTALL)
_FIELD = re.compile(
    r"Object (?:missing required|contains unknown) field `(?P<name>.*)`"
)


class ArgumentError(MalformedRequest):
    """The arguments of a call do not fit the function.

    :ivar path: where, as a JSON path: ``$.points[0].x``.
    """

    def __init__(self, path: str, detail: str) -> None:
        self.path = path
        self.problem_members = {
            "reason": "arguments",
            "errors": [{"path": path, "detail": detail}],
        }
        super().__init__(f"{path}: {detail}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a service.

    :ivar name: its name.
    :ivar hint: its type hint, Any without one.
    :ivar default: its default, ``inspect.Parameter.empty`` without one.
    """

    name: str
    hint: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is inspect.Parameter.empty


class Contract:
    """What a function may be called with.

    :param function: a function, or a method with its first parameter.
    :param skip: how many leading parameters the caller does not give (``self``).
    :raises ConfigurationError: where the function cannot be called by name.

    :ivar wants_request: whether its first parameter is the request (named so).
    :ivar parameters: the parameters that a caller gives.
    :ivar returns: the type hint of the answer, Any without one.
    :ivar streams: whether the function is a generator, so that its answer is a stream.
    """

    def __init__(self, function: Callable[..., Any], skip: int = 0) -> None:
        _refuse_async(function)
        hints = _hints(function)
        found = list(_signature(function).parameters.values())[skip:]
        self.wants_request = bool(found) and found[0].name == "request"
        self.parameters = tuple(
            _parameter(function, each, hints) for each in found[self.wants_request :]
        )
        self.returns = hints.get("return", Any)
        self.streams = inspect.isgeneratorfunction(function)
        self._names = frozenset(each.name for each in self.parameters)
        self._convert = _converter(self.parameters)

    def bind(self, arguments: Any) -> dict[str, Any]:
        """Check the arguments of one call.

        :param arguments: what the caller sent.
        :returns: the arguments to call with, defaults left out.
        :raises ArgumentError: naming the place of the first one that does not fit.
        """
        if not isinstance(arguments, Mapping):
            raise ArgumentError("$", "expected a mapping of arguments by name")
        for name in arguments:
            if name not in self._names:
                raise ArgumentError(f"$.{str(name)[:60]}", "there is no such argument")
        for each in self.parameters:
            if each.required and each.name not in arguments:
                raise ArgumentError(f"$.{each.name}", "this argument is missing")
        return self._convert(arguments)


def _named(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _refuse_async(function: Callable[..., Any]) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"{_named(function)} cannot be a service: it is async, and nobody awaits "
            "what it returns"
        )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"the type hints of {_named(function)} cannot be read: {error}"
        ) from error
    except TypeError as error:  # functools.partial, an object with __call__
        raise _no_function(function) from error


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError as error:  # some that are written in C
        raise _no_function(function) from error


def _no_function(function: Callable[..., Any]) -> ConfigurationError:
    return ConfigurationError(
        f"{_named(function)} cannot be a service: it does not say what it takes; call "
        "it from a function of your own"
    )


def _parameter(
    function: Callable[..., Any], found: inspect.Parameter, hints: Mapping[str, Any]
) -> Parameter:
    if found.kind in (found.POSITIONAL_ONLY, found.VAR_POSITIONAL, found.VAR_KEYWORD):
        raise ConfigurationError(
            f"{_named(function)} cannot be a service: its parameter "
            f"{found.name!r} cannot be given by name"
        )
    return Parameter(found.name, hints.get(found.name, Any), found.default)


# -- with msgspec -------------------------------------------------------------

Convert = Callable[[Mapping[str, Any]], dict[str, Any]]


def _converter(parameters: tuple[Parameter, ...]) -> Convert:
    try:
        import msgspec
    except ImportError:
        return _plain_converter(parameters)
    hints = {each.name: each.hint for each in parameters if each.hint is not Any}
    decimals = set()
    for name, hint in hints.items():
        try:
            msgspec.json.Decoder(hint, dec_hook=_as_is)  # now, not in the first call
            if _has_decimals(hint):
                decimals.add(name)
        except TypeError as error:
            raise ConfigurationError(
                f"the type hint of {name!r} cannot be checked: {error}"
            ) from error

    def convert(arguments: Mapping[str, Any]) -> dict[str, Any]:
        made = dict(arguments)
        for name in hints.keys() & made.keys():
            try:
                if name in decimals:
                    _check_decimals(made[name])
                made[name] = msgspec.convert(made[name], hints[name], dec_hook=_as_is)
            except msgspec.ValidationError as error:
                raise _located(name, str(error)) from error
            except Undecodable as error:
                raise ArgumentError(f"$.{name}", str(error)) from error
            except RecursionError as error:
                raise ArgumentError(f"$.{name}", "nested too deep") from error
        return made

    return convert


def _has_decimals(hint: Any) -> bool:
    """Say whether text may become a decimal, wherever it lies in a type hint."""
    import msgspec.inspect

    # a type that contains itself has an end here, and so has the text of it only
    return "DecimalType()" in repr(msgspec.inspect.type_info(hint))


def _check_decimals(value: Any) -> None:
    for each in parts_of(value):
        if type(each) is str:
            check_number(each)


def _as_is(hint: Any, value: Any) -> Any:
    """Leave a value whose type msgspec does not know; it checks the type itself."""
    return value


def _located(name: str, message: str) -> ArgumentError:
    """Make the error for a message of msgspec, which ends with a path."""
    found = _AT.fullmatch(message)
    what, path = (found["what"], found["path"][1:]) if found else (message, "")
    field = _FIELD.fullmatch(what)
    if field:
        path += f".{field['name']}"
    return ArgumentError(f"$.{name}{path}", what)


# -- without it ---------------------------------------------------------------


def _plain_converter(parameters: tuple[Parameter, ...]) -> Convert:
    hints = {each.name: each.hint for each in parameters}

    def convert(arguments: Mapping[str, Any]) -> dict[str, Any]:
        for name, value in arguments.items():
            if not fits(value, hints[name]):
                raise ArgumentError(
                    f"$.{name}",
                    f"expected {_name(hints[name])}, got {type(value).__name__}",
                )
        return dict(arguments)

    return convert


def fits(value: Any, hint: Any) -> bool:
    """Say whether a value has the type that a hint names; only plain hints count."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return fits(value, typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, each) for each in typing.get_args(hint))
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if hint is None or hint is Any:
        return value is None or hint is Any
    wanted = origin or hint
    if not isinstance(wanted, type):
        return True
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted) or wanted is object


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
