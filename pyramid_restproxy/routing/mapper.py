"""A routes mapper that knows path extensions.

``/posts/1.json`` is the route ``/posts/{id}`` with the id ``1`` where the views of
that route offer ``.json``; where they do not, the id is ``1.json``. Only the last
extension of the last segment counts, and only exactly as it was registered. Every
other path and every other route is matched as Pyramid's own mapper does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyramid.exceptions import URLDecodeError
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request
from pyramid.urldispatch import Route, RoutesMapper
from zope.interface import implementer

from pyramid_restproxy.routing.catalogue import Catalogue
from pyramid_restproxy.routing.override import ORIGINAL, SOURCE
from pyramid_restproxy.routing.predicates import (
    AcceptSwitch,
    Extension,
    ExtensionsSwitch,
    OverrideSwitch,
    RouteSwitch,
)
from pyramid_restproxy.routing.state import rest_of

__all__ = ["RestRoutesMapper", "RoutePlan", "path_of", "split_extension"]


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """What is special about matching one route.

    :ivar extensions: the extensions that are cut off its paths.
    :ivar override: whether it sees the overridden method.
    :ivar accept: whether Accept has a say in its answers.
    """

    extensions: frozenset[str] = frozenset()
    override: bool = True
    accept: bool = True

    def candidates(
        self, path: str, stem: str, extension: str
    ) -> Iterator[tuple[str, str]]:
        """Yield the paths to match, each with what was cut off it."""
        if extension in self.extensions:
            yield stem, extension
        yield path, ""


PLAIN = RoutePlan()


def split_extension(path: str, known: frozenset[str]) -> tuple[str, str]:
    """Split the last extension off a path, where it is known.

    :param path: the decoded path.
    :param known: extensions, each with its dot.
    :returns: the path without it and the extension; the path and ``''`` where the
        last segment has none, has an unknown one, or would be empty without it.
    """
    dot = path.rfind(".")
    slash = path.rfind("/")
    # `dot - 1 == slash` is a segment that is nothing but an extension.
    if dot <= slash + 1 or path[dot:] not in known:
        return path, ""
    return path[:dot], path[dot:]


def path_of(request: Request) -> str:
    """Return the decoded path that routes are matched against.

    :raises URLDecodeError: where it is not UTF-8.
    """
    path: str = request.environ.get("PATH_INFO", "")
    if path.isascii():
        return path or "/"  # most paths: WebOb would decode it to the same
    try:
        return request.path_info or "/"
    except UnicodeDecodeError as error:
        raise URLDecodeError(
            error.encoding, error.object, error.start, error.end, error.reason
        ) from error


@implementer(IRoutesMapper)
class RestRoutesMapper(RoutesMapper):
    """Pyramid's mapper with extensions cut off where a route offers them.

    Shares its routes with the mapper it takes the place of, so routes added
    through either are seen by both. Thread-safe once the application is made.

    :param inner: the mapper that the application has.
    :param catalogue: what the views answer.
    """

    def __init__(self, inner: RoutesMapper, catalogue: Catalogue) -> None:
        self.routelist = inner.routelist
        self.static_routes = inner.static_routes
        self.routes = inner.routes
        self._catalogue = catalogue
        self._revision = -1
        self._plans: dict[str | None, RoutePlan] = {}
        self._known: frozenset[str] = frozenset()
        self._some_refuse_override = False

    def __call__(self, request: Request) -> dict[str, Any]:
        """Match a request, and note on it what was found.

        Sets ``request.rest``, ``request.path_extension`` and
        ``request.original_method``.

        :returns: ``{'route': ..., 'match': ...}`` as Pyramid's mapper does.
        :raises URLDecodeError: where the path is not UTF-8.
        """
        if self._revision != self._catalogue.revision:
            self._make_plans()
        path = path_of(request)
        environ = request.environ
        stem, extension = split_extension(path, self._known)
        overridden = environ.get(ORIGINAL)
        attrs = request.__dict__
        attrs["path_extension"] = None
        attrs["original_method"] = overridden or environ["REQUEST_METHOD"]
        if extension or (overridden and self._some_refuse_override):
            info = self._special(request, path, stem, extension)
        else:
            info = self._plain(request, path)
        name = info["route"].name if info["route"] else None
        plan = self._plans.get(name, PLAIN)
        rest_of(request).routed(
            name, attrs["path_extension"], plan.accept, plan.extensions
        )
        return info

    def plan(self, route_name: str) -> RoutePlan:
        """Return the plan of a route."""
        if self._revision != self._catalogue.revision:
            self._make_plans()
        return self._plans.get(route_name, PLAIN)

    def matching(self, path: str) -> Iterator[tuple[Route, dict[str, Any], str]]:
        """Yield the routes whose pattern fits, predicates aside.

        :param path: the decoded path.
        :returns: each route, its match, and the extension that was cut off.
        """
        stem, extension = split_extension(path, self._known)
        for route in self.routelist:
            for candidate, cut in self.plan(route.name).candidates(
                path, stem, extension
            ):
                match = route.match(candidate)
                if match is not None:
                    yield route, match, cut
                    break

    def _plain(self, request: Request, path: str) -> dict[str, Any]:
        for route in self.routelist:
            match = route.match(path)
            if match is not None and holds(route, match, request):
                return {"route": route, "match": match}
        return {"route": None, "match": None}

    def _special(
        self, request: Request, path: str, stem: str, extension: str
    ) -> dict[str, Any]:
        """Match with an extension to cut, or an override that a route may refuse."""
        environ, attrs = request.environ, request.__dict__
        effective, original = environ["REQUEST_METHOD"], attrs["original_method"]
        for route in self.routelist:
            plan = self._plans.get(route.name, PLAIN)
            environ["REQUEST_METHOD"] = effective if plan.override else original
            for candidate, cut in plan.candidates(path, stem, extension):
                match = route.match(candidate)
                attrs["path_extension"] = cut or None
                if match is not None and holds(route, match, request):
                    if not plan.override:
                        for key in (ORIGINAL, SOURCE):
                            environ.pop(key, None)
                    return {"route": route, "match": match}
        environ["REQUEST_METHOD"] = effective
        attrs["path_extension"] = None
        return {"route": None, "match": None}

    def _make_plans(self) -> None:
        revision = self._catalogue.revision
        plans = {
            route.name: plan
            for route in self.routelist
            if (plan := self._plan_of(route)) != PLAIN
        }
        self._plans = plans
        self._known = frozenset[str]().union(*(p.extensions for p in plans.values()))
        self._some_refuse_override = not all(p.override for p in plans.values())
        self._revision = revision

    def _plan_of(self, route: Route) -> RoutePlan:
        switched_off = {
            each.name
            for each in route.predicates
            if isinstance(each, RouteSwitch) and not each.value
        }
        wanted = [row.cut_extensions() for row in self._catalogue.of_route(route.name)]
        wanted += [
            frozenset(e for e in each.extensions if e)
            for each in map(_unwrapped, route.predicates)
            if isinstance(each, Extension)
        ]
        extensions = frozenset[str]().union(*wanted)
        return RoutePlan(
            frozenset() if ExtensionsSwitch.name in switched_off else extensions,
            OverrideSwitch.name not in switched_off,
            AcceptSwitch.name not in switched_off,
        )


def _unwrapped(predicate: Any) -> Any:
    """Return the callable in a ``custom_predicates=`` predicate, or the predicate."""
    return getattr(predicate, "func", predicate)


def holds(route: Route, match: Mapping[str, Any], request: Request) -> bool:
    """Say whether all predicates of a route hold."""
    if not route.predicates:
        return True
    info = {"match": match, "route": route}
    return all(predicate(info, request) for predicate in route.predicates)
