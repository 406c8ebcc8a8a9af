"""A gateway made of settings alone: ``use = egg:pyramid_restproxy#gateway``.

``restproxy.backends`` and ``restproxy.routes`` become directives; the lines are read
by pure functions. All other settings work as in any application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.router import Router

from pyramid_restproxy.casts import (
    boolean,
    number,
    size,
    tokens,
    weighted_urls,
    words,
)
from pyramid_restproxy.forwarding.transform_lines import TransformList, parse_transforms
from pyramid_restproxy.settings import (
    PREFIX,
    TRANSFORMS,
    Settings,
    parse_settings,
)
from pyramid_restproxy.trust.api_keys import WORD
from pyramid_restproxy.trust.key_lines import PROFILES

__all__ = ["BackendLine", "RouteLine", "main", "parse_backends", "parse_routes"]


def key_option(value: str) -> bool | tuple[str, ...]:
    """Read ``true`` or ``false``, or the scopes that a key needs."""
    try:
        return boolean(value)
    except ValueError:
        return tokens(value)


def signed_option(value: str) -> bool | str:
    """Read ``true``, or the name of a profile."""
    if value in PROFILES:
        return value
    try:
        return boolean(value)
    except ValueError as error:
        raise ValueError(f"expected true, or {', '.join(PROFILES)}") from error


def identity_option(value: str) -> dict[str, str]:
    """Read ``X-User:user,X-Key:key``."""
    pairs = [word.partition(":") for word in words(value)]
    if not all(colon for _, colon, _ in pairs):
        raise ValueError("expected Name:user or Name:key")
    return {name: by for name, _, by in pairs}


def name_option(value: str) -> str:
    """Read the name of a route, as API keys can name it."""
    if not WORD.fullmatch(value):
        raise ValueError("expected a name without ',', '=' or '#'")
    return value


#: Options of a route line: the argument of ``add_proxy_route``, and how it is read.
ROUTE_OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "methods": ("allowed_methods", tokens),
    "strip_prefix": ("strip_prefix", boolean),
    "rewrite_location": ("rewrite_location", boolean),
    "max_request_body": ("max_request_body", size),
    "forwarded": ("forwarded", boolean),
    "by": ("by", str),
    "max_in_flight": ("max_in_flight", number),
    "cache": ("cache", boolean),
    "sse_prelude": ("sse_prelude", boolean),
    "path": ("path", str),
    "method_override": ("method_override", boolean),
    "identity_headers": ("identity_headers", tokens),
    "identity": ("identity", identity_option),
    "transforms": ("transforms", tokens),
    "api_key": ("api_key", key_option),
    "allow_from": ("allow_from", words),
    "user_token": ("user_token", str),
    "signed": ("signed", signed_option),
    "rate_limit": ("rate_limit", str),
    "rate_limit_by": ("rate_limit_by", str),
    "name": ("name", name_option),
}


@dataclass(frozen=True, slots=True)
class BackendLine:
    """One line of ``restproxy.backends``: a name and its destinations."""

    name: str
    urls: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class RouteLine:
    """One line of ``restproxy.routes``: a pattern, a backend, and options."""

    pattern: str
    backend: str
    options: Mapping[str, Any]


def parse_backends(lines: Iterable[str]) -> list[BackendLine]:
    """Read ``name = url [weight=n] [url ...]``, one a line.

    :raises ConfigurationError: naming the line and what is expected.
    """
    found: dict[str, BackendLine] = {}
    for line in lines:
        name, equals, urls = line.partition("=")
        name = name.strip()
        if not equals or not name or not urls.split():
            raise ConfigurationError(
                f"{PREFIX}backends: {line!r}: expected 'name = url [url ...]'"
            )
        if name in found:
            raise ConfigurationError(f"{PREFIX}backends: {name!r} is there twice")
        try:
            found[name] = BackendLine(name, tuple(weighted_urls(urls.split())))
        except ValueError as error:
            raise ConfigurationError(f"{PREFIX}backends: {name!r}: {error}") from error
    return list(found.values())


def parse_routes(lines: Iterable[str]) -> list[RouteLine]:
    """Read ``pattern -> backend [option=value ...]``, one a line.

    :raises ConfigurationError: naming the line and what is expected.
    """
    return [_route_line(line) for line in lines]


def _route_line(line: str) -> RouteLine:
    pattern, arrow, rest = line.partition("->")
    pattern, parts = pattern.strip(), rest.split()
    if not arrow or not pattern.startswith("/") or not parts:
        raise ConfigurationError(
            f"{PREFIX}routes: {line!r}: expected "
            "'/pattern -> backend [option=value ...]'"
        )
    options = [_option(line, part) for part in parts[1:]]
    _check_together(line, [name for name, _ in options], dict(options))
    return RouteLine(pattern, parts[0], dict(options))


def _check_together(line: str, names: list[str], options: dict[str, Any]) -> None:
    """Refuse what contradicts itself: one of two options would have no effect."""
    problem = ""
    if len(names) > len(options):
        problem = "an option is there twice"
    elif "path" in options and options.get("strip_prefix") is False:
        problem = "path= says what is sent, and strip_prefix=false says it too"
    elif "rate_limit_by" in options and "rate_limit" not in options:
        problem = "rate_limit_by= needs rate_limit="
    if problem:
        raise ConfigurationError(f"{PREFIX}routes: {line!r}: {problem}")


def _option(line: str, part: str) -> tuple[str, Any]:
    name, equals, value = part.partition("=")
    if not equals or name not in ROUTE_OPTIONS:
        raise ConfigurationError(
            f"{PREFIX}routes: {line!r}: {part!r} is not an option; "
            f"there are {', '.join(ROUTE_OPTIONS)}"
        )
    argument, cast = ROUTE_OPTIONS[name]
    try:
        if not value.strip(","):  # an empty list of who may pass is not everybody
            raise ValueError("expected a value")
        return argument, cast(value)
    except ValueError as error:
        raise ConfigurationError(
            f"{PREFIX}routes: {line!r}: {part!r}: {error}"
        ) from error


def configure(config: Configurator, settings: Settings) -> None:
    """Add the backends and routes that the settings name.

    :raises ConfigurationError: for a line that cannot be read, and for options of a
        backend that is not there.
    """
    backends = parse_backends(settings.backends)
    for backend in backends:
        config.add_backend(backend.name, list(backend.urls))
    strangers = set(settings.backend) - {backend.name for backend in backends}
    if strangers:
        raise ConfigurationError(
            f"{PREFIX}backend.{min(strangers)}.*: there is no such backend in "
            f"{PREFIX}backends"
        )
    transforms = {
        name: parse_transforms(f"{PREFIX}{TRANSFORMS}{name}", lines)
        for name, lines in settings.transforms.items()
    }
    for position, route in enumerate(parse_routes(settings.routes), 1):
        options = dict(route.options)
        name = options.pop("name", f"{position} {route.pattern}")
        chosen = [_named(transforms, each) for each in options.pop("transforms", ())]
        config.add_proxy_route(
            name,
            route.pattern,
            route.backend,
            request_transforms=[each for found in chosen for each in found.request],
            response_transforms=[each for found in chosen for each in found.response],
            **options,
        )


def _named(transforms: Mapping[str, TransformList], name: str) -> TransformList:
    if name not in transforms:
        raise ConfigurationError(
            f"{PREFIX}routes: transforms={name}: there is no "
            f"{PREFIX}{TRANSFORMS}{name}; there are: {', '.join(transforms) or 'none'}"
        )
    return transforms[name]


def operate(config: Configurator, settings: Settings) -> None:
    """Add what those who run the gateway want; before its routes, maybe ``/*path``."""
    if settings.health_views:
        config.add_health_views()
    if settings.metrics_path:
        config.add_metrics_view(settings.metrics_path)
    if settings.drain_grace is not None:
        config.add_drain(settings.drain_grace, settings.drain_timeout)


def main(global_config: Mapping[str, str], **settings: str) -> Router:
    """Make the gateway (entry point of ``paste.app_factory``).

    :param settings: the settings of the ini file's section.
    :raises ConfigurationError: where a setting is not what it must be.
    """
    general = {n: v for n, v in global_config.items() if n.startswith(PREFIX)}
    settings = {**general, **settings}  # those of [DEFAULT]
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")
        parsed = parse_settings(settings)
        operate(config, parsed)
        configure(config, parsed)
        return config.make_wsgi_app()
