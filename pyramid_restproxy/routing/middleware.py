"""Method override as a WSGI filter, for applications that are not Pyramid's.

In an ini file::

    [filter:method_override]
    use = egg:pyramid_restproxy#method_override
    methods = PUT PATCH DELETE
    on_invalid = reject

Takes the settings of ``restproxy.override.*`` without that prefix. The rules are
those of the tween (``override``), also for the script of forms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyramid_restproxy.exceptions import MalformedRequest
from pyramid_restproxy.routing.override import (
    SCRIPTED,
    OverridePolicy,
    apply,
    is_led_away,
)
from pyramid_restproxy.settings import parse_settings

__all__ = ["MethodOverrideMiddleware", "filter_app_factory"]

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class MethodOverrideMiddleware:
    """Give POST requests the method they mean before `application` sees them.

    :param application: a WSGI application.
    :param policy: what may be overridden, and how it is asked for.
    """

    def __init__(
        self,
        application: Application,
        policy: OverridePolicy | None = None,
    ) -> None:
        self.application = application
        self.policy = policy or OverridePolicy()

    def __call__(
        self, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        try:
            apply(environ, self.policy)
        except MalformedRequest as refused:
            return refused(environ, start_response)
        if SCRIPTED in environ:
            start_response = _telling(start_response, environ["REQUEST_METHOD"])
        return self.application(environ, start_response)


def _telling(start_response: StartResponse, method: str) -> StartResponse:
    """Tell the script of forms where a redirect leads, as the tween does."""

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        fields = {name.lower(): value for name, value in headers}
        if is_led_away(method, int(status[:3]), fields.get("location")):
            status = "200 OK"
        return start_response(status, headers, *error)

    return start


def filter_app_factory(
    application: Application, global_config: Mapping[str, str], **local: str
) -> Application:
    """Wrap an application (entry point of ``paste.filter_app_factory``).

    :param local: the filter's settings, e.g. ``methods``, ``field``, ``headers``.
    :raises ConfigurationError: for an unknown name or a bad value.
    """
    settings = parse_settings(
        {f"restproxy.override.{name}": value for name, value in local.items()}
    )
    if not settings.override_enabled:
        return application
    policy = OverridePolicy.from_settings(settings)
    return MethodOverrideMiddleware(application, policy)
