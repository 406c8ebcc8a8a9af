"""RESTful routing: which view answers, and in which representation.

``config.include('pyramid_restproxy.routing')`` works alone. The modules, in the
order in which a request meets them: ``override`` (with ``tweens`` and, for other
WSGI applications, ``middleware``), ``mapper``, ``predicates``, ``refusals``,
``representations`` (with ``offers``). ``catalogue`` holds what the views answer;
``resources``, ``forms``, ``lint`` and ``explain`` serve the programmer.
"""

from __future__ import annotations

from pyramid.config import PHASE0_CONFIG, Configurator
from pyramid.interfaces import IRoutesMapper
from pyramid.tweens import EXCVIEW, INGRESS, MAIN

from pyramid_restproxy.interfaces import IViewCatalogue
from pyramid_restproxy.problems import TWEEN as PROBLEMS
from pyramid_restproxy.routing import (
    catalogue,
    forms,
    mapper,
    predicates,
    representations,
    resources,
    state,
    tweens,
)

__all__ = ["includeme"]


def includeme(config: Configurator) -> None:
    """Register predicates, directives, the negotiated renderer and the two tweens."""
    config.include("pyramid_restproxy.settings")
    config.include("pyramid_restproxy.renderers")
    config.include("pyramid_restproxy.routing.lint")
    config.add_view_predicate("allowed_methods", predicates.AllowedMethods)
    config.add_view_predicate("extension", predicates.Extension)
    config.add_view_predicate("request_content_types", predicates.RequestContentTypes)
    config.add_route_predicate("extension", predicates.Extension)
    for switch in predicates.SWITCHES:
        config.add_route_predicate(switch.name, switch)
    config.add_renderer(
        representations.NEGOTIATED, representations.NegotiatedRenderer()
    )
    config.add_view_deriver(
        representations.negotiated_view, under=INGRESS, over="secured_view"
    )
    state.add_request_attributes(config)
    config.add_directive("add_representation", representations.add_representation)
    config.add_directive("add_rest_resource", resources.add_rest_resource)
    config.add_tween(tweens.OVERRIDE, under=(PROBLEMS, INGRESS), over=EXCVIEW)
    config.add_tween(tweens.REFUSALS, under=EXCVIEW, over=MAIN)
    config.action(("restproxy", "mapper"), _use_mapper, (config,), order=PHASE0_CONFIG)
    # After pyramid_jinja2 has made its environments, whichever was included first. Not
    # by a subscriber: where there is any, Pyramid sends four events with each request.
    config.action(("restproxy", "forms"), _add_form_helpers, (config,), order=1)


def _use_mapper(config: Configurator) -> None:
    registry = config.registry
    if registry.queryUtility(IViewCatalogue) is not None:
        return  # included again after a commit: the views so far are in it
    views = catalogue.Catalogue()
    registry.registerUtility(views, IViewCatalogue)
    registry.registerUtility(
        mapper.RestRoutesMapper(config.get_routes_mapper(), views), IRoutesMapper
    )


def _add_form_helpers(config: Configurator) -> None:
    """Make the form helpers known to Jinja2 templates, where pyramid_jinja2 is used."""
    if not hasattr(config, "get_jinja2_environment"):
        return
    from pyramid_jinja2 import IJinja2Environment

    names = {"method_field": forms.method_field, "delete_form": forms.delete_form}
    for _, environment in config.registry.getUtilitiesFor(IJinja2Environment):
        environment.globals.update(names)
