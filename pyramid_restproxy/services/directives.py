"""Declaring services: ``config.add_service``, ``@service_config``, their errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import venusian
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import status_map
from pyramid.registry import Registry
from pyramid.request import Request

from pyramid_restproxy.services.codecs import Codec, available, codecs_of
from pyramid_restproxy.services.signature import Contract
from pyramid_restproxy.services.view import (
    MAX_BODY,
    RemoteException,
    Service,
    ServiceView,
)

__all__ = [
    "add_service",
    "add_service_exception",
    "exceptions_of",
    "service_config",
    "services_of",
    "whole_pattern",
]

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_SERVICES = "pyramid_restproxy.services"
_EXCEPTIONS = "pyramid_restproxy.services.exceptions"


def services_of(registry: Registry) -> dict[str, Service]:
    """Return the services of an application by name, in the order of declaration."""
    found: dict[str, Service] = registry.setdefault(_SERVICES, {})
    return found


def exceptions_of(registry: Registry) -> dict[type, RemoteException]:
    """Return the exceptions that callers may see, by class."""
    found: dict[type, RemoteException] = registry.setdefault(_EXCEPTIONS, {})
    return found


def add_service(
    config: Configurator,
    name: str,
    pattern: str,
    function: Any,
    *,
    codecs: str | Codec | Sequence[str | Codec] | None = None,
    idempotent: bool = False,
    user_agent: str | None = None,
    require_https: bool = False,
    strict_404: bool = False,
    guard: Callable[[Request], None] | None = None,
    max_body: int = MAX_BODY,
    **options: Any,
) -> None:
    """Make a function callable over HTTP, by POST.

    :param name: the name of the service and of its route.
    :param pattern: the route pattern, e.g. ``/srv/add``. For a class, the folder of
        its public methods: ``/srv`` has ``/srv/add``, the service ``name.add``.
    :param function: a function or a class, or its dotted name. A first parameter
        named ``request`` is given the request; an object of the class is made for
        every call, with the request where it takes one. Nothing asynchronous.
    :param codecs: names, or codecs; JSON and what is installed where left out. Pickle
        is only there where it is named, and needs `guard` or ``signed=``.
    :param idempotent: whether clients may call again when they got no answer.
    :param user_agent: the User-Agent that callers must have.
    :param require_https: whether calls over plain HTTP are refused (403).
    :param strict_404: whether another method or User-Agent is answered 404, as if
        there were nothing; else 405 and 403.
    :param guard: called with the request before its body is decoded; raises an HTTP
        exception to refuse.
    :param max_body: how large a call may be, bytes; larger ones get 413.
    :param options: options of the view: ``permission=``, ``signed=``, ...
    :raises ConfigurationError: where an argument is not what it must be.
    :raises MissingExtra: where the library of a codec is not installed.

    Discriminator ``('restproxy service', name)``; introspectable category
    ``restproxy services``, related to its route.
    """
    function = config.maybe_dotted(function)
    for argument in (name, pattern):
        if not isinstance(argument, str) or not argument:
            raise ConfigurationError(
                f"add_service({name!r}, {pattern!r}): expected name and pattern"
            )
    wanted_by = f"the service {name!r}"
    found = codecs_of(available() if codecs is None else codecs, wanted_by)
    if any(c.trusted_only for c in found) and not (guard or options.get("signed")):
        raise ConfigurationError(
            f"{wanted_by} reads pickle, so it needs signed= or a guard: a pickle of "
            "somebody unknown is a program of somebody unknown"
        )
    guard = config.maybe_dotted(guard)
    for suffix, call, contract, declared in _calls(name, function):
        own = f"{pattern.rstrip('/')}/{suffix}" if suffix else pattern
        service = Service(
            name=f"{name}.{suffix}" if suffix else name,
            pattern=whole_pattern(config, own),
            call=call,
            contract=contract,
            doc=inspect.getdoc(declared[-1]) or "",
            codecs=found,
            idempotent=idempotent,
            user_agent=user_agent,
            require_https=require_https,
            strict_404=strict_404,
            guard=guard,
            max_body=max_body,
        )
        _add(config, service, own, declared, options)


def whole_pattern(config: Configurator, pattern: str) -> str:
    """Return the pattern that a route gets, with the prefix of its ``include``."""
    prefix = (config.route_prefix or "").strip("/")
    return f"/{prefix}/{pattern.lstrip('/')}" if prefix else f"/{pattern.lstrip('/')}"


Call = Callable[[Request], Callable[..., Any]]


def _calls(
    name: str, function: Any
) -> Iterator[tuple[str, Call, Contract, tuple[Any, ...]]]:
    """Yield suffix, call and contract of what becomes a service, and what declares it.

    The last is the function, or the class and its method.
    """
    if not inspect.isclass(function):
        if not callable(function):
            raise ConfigurationError(f"add_service({name!r}): {function!r} is no call")
        yield "", lambda request: function, Contract(function), (function,)
        return
    methods = [
        (each, member)
        for each, member in inspect.getmembers(function, inspect.isroutine)
        if not each.startswith("_") and _is_method(function, each)
    ]
    if not methods:
        raise ConfigurationError(
            f"add_service({name!r}): {function.__qualname__} has no public method"
        )
    make = _maker(function)
    for each, member in methods:
        own = inspect.isfunction(inspect.getattr_static(function, each))
        contract = Contract(member, skip=1 if own else 0)
        yield each, _method(make, each), contract, (function, member)


def _is_method(kind: type, name: str) -> bool:
    """Say whether it is one of the class's: written in Python, bound to it or not."""
    found = inspect.getattr_static(kind, name, None)
    return inspect.isfunction(found) or isinstance(found, (classmethod, staticmethod))


def _maker(kind: type) -> Callable[[Request], Any]:
    """Return how an object of a class is made: with the request, where it takes it."""
    if inspect.getattr_static(kind, "__init__") is object.__init__:
        return lambda request: kind()
    parameters = inspect.signature(kind).parameters
    if "request" in parameters:
        return lambda request: kind(request=request)
    takes_request = any(
        each.default is each.empty
        and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        for each in parameters.values()
    )
    return kind if takes_request else lambda request: kind()


def _method(make: Callable[[Request], Any], name: str) -> Call:
    return lambda request: getattr(make(request), name)


def _add(
    config: Configurator,
    service: Service,
    pattern: str,
    declared: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    name, registry = service.name, config.registry
    intr = config.introspectable(
        "restproxy services", name, f"{service.pattern} -> {name}", "service"
    )
    intr.update(
        {
            "name": name,
            "pattern": service.pattern,
            "codecs": tuple(codec.name for codec in service.codecs),
            "service": service,
        }
    )
    intr.relate("routes", name)

    def register() -> None:
        services_of(registry)[name] = service

    # the route first: where every statement is committed at once, what is related to
    # it must find it
    config.add_route(name, pattern)
    config.action(("restproxy service", name), register, introspectables=(intr,))
    # A page of another site cannot send bodies of these types without asking first
    # (the Fetch standard's preflight), so there is nothing for a token to protect.
    options = {"require_csrf": False} | options
    if not service.strict_404:
        options.setdefault("request_method", "POST")
    view = ServiceView(service, exceptions_of(registry), declared)
    config.add_view(view, route_name=name, **options)


def add_service_exception(
    config: Configurator, kind: Any, *, name: str | None = None, status: int = 422
) -> None:
    """Let callers of services see an exception: its name and its text.

    All other exceptions are a 500 that says nothing.

    :param kind: the class, or its dotted name; subclasses count.
    :param name: what it is called on the wire; the name of the class if left out.
    :param status: the HTTP status of the answer, 400 to 599.
    :raises ConfigurationError: where an argument is not what it must be.

    Discriminator ``('restproxy service exception', kind)``; introspectable category
    ``restproxy service exceptions``.
    """
    kind = config.maybe_dotted(kind)
    if not inspect.isclass(kind) or not issubclass(kind, Exception):
        raise ConfigurationError(f"add_service_exception({kind!r}): not an exception")
    if status not in status_map or status < 400:
        raise ConfigurationError(
            f"add_service_exception({kind.__name__}): {status!r} is no error status"
        )
    found = RemoteException(kind, name or kind.__name__, status)
    registry = config.registry

    def register() -> None:
        exceptions_of(registry)[kind] = found

    intr = config.introspectable(
        "restproxy service exceptions", kind, f"{kind.__name__} -> {status}", "error"
    )
    intr.update({"kind": kind, "name": found.name, "status": status})
    config.action(
        ("restproxy service exception", kind), register, introspectables=(intr,)
    )


def service_config(
    name: str, pattern: str, **arguments: Any
) -> Callable[[Decorated], Decorated]:
    """Declare a service on its function or class; found by ``config.scan()``.

    Takes the arguments of :func:`add_service` but the function.
    """

    def decorate(function: Decorated) -> Decorated:
        def register(scanner: Any, _: str, found: Any) -> None:
            config = scanner.config.with_package(info.module)
            config.add_service(name, pattern, found, **arguments)

        info = venusian.attach(function, register, category="pyramid")
        return function

    return decorate
