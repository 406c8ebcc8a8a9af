"""Services: functions that other Python programs call over HTTP.

``config.include('pyramid_restproxy.services')`` works alone. ``directives`` declare,
``view`` answers, ``signature`` checks arguments, ``codecs`` write values (``values``
is what they have in common), ``client`` calls, ``describe`` tells what there is.
"""

from __future__ import annotations

from pyramid.config import Configurator

from pyramid_restproxy.services.describe import (
    add_openapi_view,
    add_service_description,
)
from pyramid_restproxy.services.directives import add_service, add_service_exception

__all__ = ["includeme"]


def includeme(config: Configurator) -> None:
    """Add the directives."""
    config.include("pyramid_restproxy.settings")
    config.include("pyramid_restproxy.problems")
    config.include("pyramid_restproxy.routing")
    config.add_directive("add_service", add_service)
    config.add_directive("add_service_exception", add_service_exception)
    config.add_directive("add_service_description", add_service_description)
    config.add_directive("add_openapi_view", add_openapi_view)
