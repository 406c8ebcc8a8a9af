"""The gateway of an application, and the directive that adds backends to it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields as fields_of
from typing import Any

from pyramid.config import PHASE0_CONFIG, Configurator
from pyramid.exceptions import ConfigurationError
from requests.adapters import BaseAdapter

from pyramid_restproxy.forwarding.affinity import cookie_name
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.endpoint import Endpoint
from pyramid_restproxy.forwarding.failures import PSEUDONYM
from pyramid_restproxy.forwarding.forwarded import TrustedProxies
from pyramid_restproxy.forwarding.health import HealthPolicy
from pyramid_restproxy.forwarding.load import Gate
from pyramid_restproxy.forwarding.model import Backend, Gateway, IGateway
from pyramid_restproxy.forwarding.probes import Prober
from pyramid_restproxy.forwarding.sources import Provider, Source, make_endpoints
from pyramid_restproxy.forwarding.wire import KeepAliveAdapter
from pyramid_restproxy.forwarding.wire.opening import make_context
from pyramid_restproxy.settings import (
    BACKEND_NAME,
    BACKEND_OPTIONS,
    BackendSettings,
    read,
    settings_of,
)

__all__ = ["CHECK_ORDER", "add_backend", "make_gateway", "use_gateway"]

#: Order of the check that every route's backend exists: after all directives.
CHECK_ORDER = 900

_OPTIONS = {row.name: row for row in BACKEND_OPTIONS}


def make_gateway(config: Configurator) -> Gateway:
    """Return the gateway of an application, made when it is first wanted."""
    gateway = config.registry.queryUtility(IGateway)
    if gateway is None:
        settings = settings_of(config.registry)
        gateway = Gateway(
            backends={},
            trusted=TrustedProxies(settings.trusted_proxies),
            # The backend must not override once more what was overridden here.
            without=frozenset(name.lower() for name in settings.override_headers),
            streams=Gate(settings.max_streams),
            secret=settings.secret.encode() or secrets.token_bytes(32),
            pseudonym=settings.pseudonym or PSEUDONYM,
        )
        config.registry.registerUtility(gateway, IGateway)
    return gateway


def use_gateway(config: Configurator) -> None:
    """Make the gateway when the configuration is committed, after the settings."""
    config.action(
        ("restproxy", "gateway"), make_gateway, (config,), order=PHASE0_CONFIG + 1
    )


def add_backend(
    config: Configurator,
    name: str,
    urls: str | Sequence[str | tuple[str, float]] | Provider,
    *,
    adapter: BaseAdapter | None = None,
    **options: Any,
) -> None:
    """Add a backend.

    :param name: its name in routes, settings and logs.
    :param urls: one destination or several, ``http://``, ``https://`` or
        ``http+unix://`` with the socket's path percent-encoded; a (URL, weight) pair
        gives one a share of its own. Or a provider, see ``sources``: a callable that
        returns them, asked every ``refresh`` seconds.
    :param adapter: a ``requests`` transport adapter to send with, in the place of
        :class:`KeepAliveAdapter`; what it returns passes the same checks.
    :param options: what :class:`~pyramid_restproxy.settings.BackendSettings` lists;
        they win over ``restproxy.backend.<name>.*``.
    :raises ConfigurationError: where an argument is not what it must be.

    Discriminator ``('restproxy backend', name)``; introspectable category
    ``restproxy backends``.
    """
    _check_name(name)
    destinations = () if callable(urls) else _destinations(name, urls)
    given = _options(name, options)
    if adapter is not None and not isinstance(adapter, BaseAdapter):
        raise ConfigurationError(
            f"backend {name!r}: adapter={adapter!r} is not a requests transport adapter"
        )
    shown = ", ".join(e.url for e in destinations) or "from a provider"
    intr = config.introspectable(
        "restproxy backends", name, f"{name} -> {shown}", "backend"
    )

    def register() -> None:
        settings = settings_of(config.registry)
        chosen = BackendSettings(**{**settings.backend.get(name, {}), **given})
        made = adapter or KeepAliveAdapter(chosen.pool_size, chosen.idle_timeout)
        gateway = make_gateway(config)
        backend = make_backend(name, urls, chosen, made, gateway.secret)
        if adapter is None:
            _check_certificates(name, chosen)
        if chosen.affinity == "cookie":  # for this gateway, not for other backends
            gateway.own_cookies |= {cookie_name(name)}
        gateway.add(backend)
        intr.update(_introspected(backend))

    config.action(("restproxy backend", name), register, introspectables=(intr,))


def _check_certificates(name: str, options: BackendSettings) -> None:
    """Read the files that ``verify`` and ``cert`` name, rather now than for a client.

    :raises ConfigurationError: where one is not there, or is not what it must be.
    """
    verify, cert = options.verify, options.cert
    for option, value, arguments in (
        ("verify", verify, (verify, None)),
        ("cert", cert, (False, cert)),
    ):
        if value is None or isinstance(value, bool):
            continue
        try:
            make_context(*arguments)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(
                f"backend {name!r}: {option}={value!r}: {error.strerror or error}"
            ) from error


def make_backend(
    name: str,
    urls: Any,
    options: BackendSettings,
    adapter: BaseAdapter,
    secret: bytes,
) -> Backend:
    """Make a backend, with what is to happen when it is used."""
    policy = _health_policy(options, several=callable(urls) or len(_listed(urls)) > 1)
    backend = Backend(name, (), options, adapter, secret=secret)
    on_use: list[Callable[[], None]] = []

    def use(given: Iterable[Any]) -> None:
        backend.endpoints = make_endpoints(name, given, policy, backend.endpoints)

    if callable(urls):
        on_use.append(Source(urls, options.refresh, use, backend=name))
    else:
        use(_listed(urls))
    if options.probe_path:
        on_use.append(Prober(backend))
    if on_use:
        backend.on_use = on_use[0] if len(on_use) == 1 else _in_turn(*on_use)
    return backend


def _in_turn(*functions: Callable[[], None]) -> Callable[[], None]:
    def call_all() -> None:
        for function in functions:
            function()

    return call_all


def _health_policy(options: BackendSettings, several: bool) -> HealthPolicy:
    fails = options.max_fails
    return HealthPolicy(
        max_fails=(3 if several else 0) if fails is None else fails,
        window=options.fail_window,
        cool_down=options.cool_down,
        error_rate=options.error_rate,
        min_volume=options.min_volume,
    )


def _introspected(backend: Backend) -> dict[str, Any]:
    options = {
        each.name: getattr(backend.options, each.name)
        for each in fields_of(BackendSettings)
        if each.repr  # what may hold a secret is not shown
    }
    urls = [endpoint.url for endpoint in backend.endpoints]
    return {"name": backend.name, "destinations": urls, **options}


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not BACKEND_NAME.fullmatch(name):
        raise ConfigurationError(
            f"add_backend({name!r}): a name is letters, digits, '-' and '_'"
        )


def _listed(urls: Any) -> Sequence[Any]:
    return [urls] if isinstance(urls, (str, Destination)) else urls


def _destinations(name: str, urls: Any) -> tuple[Endpoint, ...]:
    """Check what is given, before anything is registered."""
    listed = _listed(urls)
    if not isinstance(listed, (list, tuple)) or not listed:
        raise ConfigurationError(
            f"backend {name!r}: {urls!r}: expected a URL or several, or a callable"
        )
    return make_endpoints(name, listed, HealthPolicy())


def _options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(options) - set(_OPTIONS))
    if unknown:
        raise ConfigurationError(
            f"backend {name!r}: unknown options {', '.join(unknown)}; "
            f"there are {', '.join(_OPTIONS)}"
        )
    return {
        option: read(_OPTIONS[option], f"backend {name!r}: {option}", value)
        for option, value in options.items()
        if value is not None
    }
