"""Forwarding: requests to backends and their answers back.

In the order in which a request flows: ``routes`` (directives), ``view``, ``target``,
``fields``, ``own_cookies``, ``forwarded``, ``transforms``, ``attempts``, ``balance``,
``forwarder``, ``bodies``, ``transport`` and ``wire``; ``client`` serves ordinary views,
``failures`` names what can go wrong, ``model`` holds what they hand to each other.

``config.include('pyramid_restproxy.forwarding')`` works alone.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.viewderivers import INGRESS

from pyramid_restproxy.forwarding.backends import add_backend, use_gateway
from pyramid_restproxy.forwarding.client import (
    RequestMethod,
    backend,
    forward_request,
)
from pyramid_restproxy.forwarding.routes import add_proxy_route
from pyramid_restproxy.forwarding.view import readable_view, safe_target_view

__all__ = ["includeme"]


def includeme(config: Configurator) -> None:
    """Register the directives and the request methods."""
    config.include("pyramid_restproxy.settings")
    config.include("pyramid_restproxy.routing")
    config.add_directive("add_backend", add_backend)
    config.add_directive("add_proxy_route", add_proxy_route)
    config.add_request_method(RequestMethod(backend), "backend")
    config.add_request_method(RequestMethod(forward_request), "forward")
    config.add_view_deriver(
        readable_view, name="readable", under=INGRESS, over="secured_view"
    )
    config.add_view_deriver(
        safe_target_view, name="safe_target", under="readable", over="secured_view"
    )
    use_gateway(config)
