"""The directives of operation: health views, metrics, drain."""

from __future__ import annotations

from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_restproxy.forwarding.backends import CHECK_ORDER, make_gateway
from pyramid_restproxy.operation.drain import Drain, IDrain, drain_on_sigterm
from pyramid_restproxy.operation.metrics import IMetrics, Metrics
from pyramid_restproxy.operation.observed import HEALTH_PATHS

__all__ = ["add_drain", "add_health_views", "add_metrics_view", "alive", "ready"]


def _plain(text: str, status: int = 200) -> Response:
    response = Response(text, status=status, content_type="text/plain")
    response.cache_control = "no-store"
    return response


def alive(request: Request) -> Response:
    """Say that the process runs."""
    return _plain("alive\n")


def ready(request: Request) -> Response:
    """Say whether requests should be sent here: not while the process ends."""
    drain = request.registry.queryUtility(IDrain)
    if drain is not None and drain.draining:
        return _plain("draining\n", 503)
    return _plain("ready\n")


def add_health_views(
    config: Configurator, live: str = "/health/live", ready_at: str = "/health/ready"
) -> None:
    """Add a view that says whether the process runs, and one whether to send requests.

    They need no permission.

    :param live: the path of the first: always 200.
    :param ready_at: the path of the second: 503 while the process drains.

    Discriminators: those of their routes, ``restproxy.live`` and ``restproxy.ready``,
    and ``('restproxy', 'health paths')``; introspectable category
    ``restproxy operation``.
    """
    for name, path, view in (("live", live, alive), ("ready", ready_at, ready)):
        _check_path(path)
        _add_view(config, f"restproxy.{name}", path, view)
    prefix = f"/{config.route_prefix.strip('/')}" if config.route_prefix else ""
    paths = frozenset({prefix + live, prefix + ready_at})

    def register() -> None:
        config.registry[HEALTH_PATHS] = paths

    intr = _told(config, "health views", {"live": live, "ready_at": ready_at})
    config.action(("restproxy", "health paths"), register, introspectables=(intr,))


def add_metrics_view(
    config: Configurator, path: str = "/metrics", permission: Any = None
) -> None:
    """Add a view that tells Prometheus what goes on (extra ``metrics``).

    :param permission: who may see it; everybody where it is None, so keep the path
        from the world where the proxy in front does not.
    :raises MissingExtra: where prometheus_client is not installed.

    Discriminators ``('restproxy', 'metrics')`` and that of its route,
    ``restproxy.metrics``; introspectable category ``restproxy operation``.
    """
    _check_path(path)

    def register() -> None:
        gateway = make_gateway(config)
        metrics = Metrics(gateway, config.registry)
        config.registry.registerUtility(metrics, IMetrics)
        gateway.watch(metrics.watch)

    intr = _told(config, "metrics", {"path": path})
    config.action(
        ("restproxy", "metrics"), register, introspectables=(intr,), order=CHECK_ORDER
    )
    _add_view(config, "restproxy.metrics", path, _show_metrics, permission)


def _show_metrics(request: Request) -> Response:
    text, content_type = request.registry.getUtility(IMetrics).exposition()
    response = Response(text)
    response.headers["Content-Type"] = content_type
    return response


def add_drain(config: Configurator, grace: float = 5.0, timeout: float = 30.0) -> None:
    """End without breaking what goes on: on SIGTERM, for servers that leave it alone.

    :param grace: seconds in which requests are still taken while the readiness view
        says 503.
    :param timeout: seconds after them in which those in flight may finish.
    :raises ConfigurationError: where one of them is negative.

    Discriminator ``('restproxy', 'drain')``; introspectable category
    ``restproxy operation``.
    """
    for option, value in (("grace", grace), ("timeout", timeout)):
        if not isinstance(value, (int, float)) or value < 0:
            raise ConfigurationError(
                f"add_drain: {option}={value!r}: expected zero or more seconds"
            )

    def register() -> None:
        drain = Drain(grace, timeout)
        config.registry.registerUtility(drain, IDrain)
        drain_on_sigterm(drain)

    intr = _told(config, "drain", {"grace": grace, "timeout": timeout})
    config.action(("restproxy", "drain"), register, introspectables=(intr,))


def _told(config: Configurator, kind: str, told: dict[str, Any]) -> Any:
    intr = config.introspectable("restproxy operation", kind, kind, kind)
    intr.update(told)
    return intr


def _check_path(path: Any) -> None:
    if not isinstance(path, str) or not path.startswith("/"):
        raise ConfigurationError(f"{path!r}: expected a path that begins with '/'")


def _add_view(
    config: Configurator, name: str, path: str, view: Any, permission: Any = None
) -> None:
    config.add_route(name, path)
    config.add_view(
        view,
        route_name=name,
        allowed_methods="GET",
        permission=permission or NO_PERMISSION_REQUIRED,
    )
