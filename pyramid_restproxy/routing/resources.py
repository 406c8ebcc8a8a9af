"""RESTful resources: one class, the routes and views of a collection and its items.

========  =======================  ======
method    pattern                  verb
========  =======================  ======
index     /posts                   GET
create    /posts                   POST
new       /posts/new               GET
show      /posts/{id}              GET
replace   /posts/{id}              PUT
update    /posts/{id}              PATCH
delete    /posts/{id}              DELETE
edit      /posts/{id}/edit         GET
========  =======================  ======

Only the methods that the class has become views, and only the routes that a
view needs are added.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import venusian
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.routing.predicates import split_options
from pyramid_restproxy.routing.representations import NEGOTIATED

__all__ = ["ACTIONS", "Action", "add_rest_resource", "rest_resource"]

Class = TypeVar("Class", bound=type)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done with a resource.

    :ivar name: the method of the class.
    :ivar verb: the HTTP method.
    :ivar route: which route of the resource: ``''`` collection, ``new``, ``item``
        or ``edit``.
    """

    name: str
    verb: str
    route: str


#: In the order in which the routes must be tried: `new` before `{id}`.
ACTIONS = (
    Action("index", "GET", ""),
    Action("create", "POST", ""),
    Action("new", "GET", "new"),
    Action("edit", "GET", "edit"),
    Action("show", "GET", "item"),
    Action("replace", "PUT", "item"),
    Action("update", "PATCH", "item"),
    Action("delete", "DELETE", "item"),
)

#: Actions that answer a form for people, and nothing else.
FORMS = ("new", "edit")

#: View options that follow from the action.
FIXED = ("view", "attr", "route_name", "allowed_methods")


def route_name(name: str, route: str) -> str:
    """Return the name of one route of a resource: ``posts``, ``posts.item``, ..."""
    return f"{name}.{route}" if route else name


def add_rest_resource(
    config: Configurator,
    name: str,
    pattern: str,
    resource: Any,
    *,
    item: str = "{id}",
    template: str | None = None,
    representations: Sequence[str] | None = None,
    views: Mapping[str, Mapping[str, Any]] | None = None,
    factory: Any = None,
    **options: Any,
) -> None:
    """Add the routes and views of a resource.

    :param name: the name of the collection's route; the others are ``name.item``,
        ``name.new`` and ``name.edit``.
    :param pattern: the collection, e.g. ``/posts``.
    :param resource: a class, or its dotted name; made with the request (or context
        and request) as any view class, its methods return data or a response.
    :param item: the pattern of an item below the collection.
    :param template: the template of pages, with ``{action}`` in its name, e.g.
        ``templates/posts_{action}.jinja2``; the actions that write use that of
        ``show``.
    :param representations: what the actions offer; the application's list where
        left out. ``new`` and ``edit`` offer HTML.
    :param views: view options of single actions, by action; one with another
        ``renderer`` than ``negotiated`` takes no part in `template` and
        `representations`.
    :param factory: the root factory of the routes.
    :param options: route predicates and the switches of the route (``extensions``,
        ``accept_negotiation``, ``method_override``) go to all routes, all else
        (``permission``, ``require_csrf``, ...) to the views of all actions.
    :raises ConfigurationError: where an argument is not what it must be, or the
        class has none of the methods.

    Discriminator ``('restproxy resource', name)``; introspectable category
    ``restproxy resources``, related to its routes.
    """
    resource = config.maybe_dotted(resource)
    actions = _actions(name, pattern, resource, views or {})
    for each in (options, *(views or {}).values()):
        _require_view_options(name, each)
    of_routes, of_views = split_options(options)
    intr = config.introspectable(
        "restproxy resources", name, f"{pattern} -> {resource.__qualname__}", "resource"
    )
    intr.update(
        {
            "name": name,
            "pattern": pattern,
            "resource": resource,
            "actions": tuple(action.name for action in actions),
        }
    )
    config.action(("restproxy resource", name), introspectables=(intr,))
    patterns = _patterns(pattern, item)
    for route in dict.fromkeys(action.route for action in actions):
        full = route_name(name, route)
        config.add_route(full, patterns[route], factory=factory, **of_routes)
        intr.relate("routes", full)
    for action in actions:
        own = dict((views or {}).get(action.name, {}))
        # An action with a renderer of its own offers nothing and needs no template.
        negotiated = own.get("renderer", NEGOTIATED) == NEGOTIATED
        usual = _view_options(action, template, representations) if negotiated else {}
        config.add_view(
            resource,
            attr=action.name,
            route_name=route_name(name, action.route),
            allowed_methods=action.verb,
            **(usual | of_views | own),
        )


def _actions(
    name: Any, pattern: Any, resource: Any, views: Mapping[str, Any]
) -> list[Action]:
    for argument in (name, pattern):
        if not isinstance(argument, str) or not argument:
            raise ConfigurationError(
                f"add_rest_resource({name!r}, {pattern!r}): expected name and pattern"
            )
    if not inspect.isclass(resource):
        raise ConfigurationError(
            f"add_rest_resource({name!r}): {resource!r} is not a class"
        )
    unknown = sorted(set(views) - {action.name for action in ACTIONS})
    if unknown:
        raise ConfigurationError(
            f"add_rest_resource({name!r}): views= names {', '.join(unknown)}; "
            f"there are {', '.join(action.name for action in ACTIONS)}"
        )
    found = [a for a in ACTIONS if callable(getattr(resource, a.name, None))]
    if not found:
        raise ConfigurationError(
            f"add_rest_resource({name!r}): {resource.__qualname__} has none of the "
            f"methods {', '.join(action.name for action in ACTIONS)}"
        )
    return found


def _require_view_options(name: str, options: Any) -> None:
    if not isinstance(options, Mapping):
        raise ConfigurationError(
            f"add_rest_resource({name!r}): {options!r} are no view options"
        )
    for option in FIXED:
        if option in options:
            raise ConfigurationError(
                f"add_rest_resource({name!r}): {option}= follows from the action"
            )


def _patterns(pattern: str, item: str) -> dict[str, str]:
    collection = pattern.rstrip("/")
    return {
        "": pattern,
        "new": f"{collection}/new",
        "item": f"{collection}/{item}",
        "edit": f"{collection}/{item}/edit",
    }


def _view_options(
    action: Action, template: str | None, representations: Sequence[str] | None
) -> dict[str, Any]:
    if action.name == "delete":
        return {"renderer": "no_content"}
    options: dict[str, Any] = {"renderer": NEGOTIATED}
    if representations:
        options["representations"] = representations
    if action.name in FORMS:
        options["representations"] = ("html",)
    if template:
        # A page that answers a write shows the item; mostly it is a redirect.
        page = action.name if action.verb == "GET" else "show"
        options["template"] = template.replace("{action}", page)
    return options


def rest_resource(
    name: str, pattern: str, **arguments: Any
) -> Callable[[Class], Class]:
    """Declare a resource on its class; found by ``config.scan()``.

    Takes the arguments of :func:`add_rest_resource` but the class.
    """

    def decorate(resource: Class) -> Class:
        def register(scanner: Any, _: str, found: Any) -> None:
            config = scanner.config.with_package(info.module)
            config.add_rest_resource(name, pattern, found, **arguments)

        info = venusian.attach(resource, register, category="pyramid")
        return resource

    return decorate
