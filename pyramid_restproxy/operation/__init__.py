"""Operation: what those who run an application want of it.

``observed`` is the tween, ``request_ids``, ``access``, ``drain`` and ``metrics`` are
what it does, ``views`` holds the directives, ``tracing`` stands for itself.

``config.include('pyramid_restproxy.operation')`` works alone.
"""

from __future__ import annotations

from pyramid.config import Configurator
from pyramid.tweens import INGRESS, MAIN

from pyramid_restproxy.operation.observed import OBSERVED
from pyramid_restproxy.operation.tracing import TRACED, add_tracing
from pyramid_restproxy.operation.views import (
    add_drain,
    add_health_views,
    add_metrics_view,
)
from pyramid_restproxy.problems import TWEEN as PROBLEMS

__all__ = ["includeme"]


def includeme(config: Configurator) -> None:
    """Register the directives and the tween."""
    config.include("pyramid_restproxy.forwarding")
    config.add_directive("add_health_views", add_health_views)
    config.add_directive("add_metrics_view", add_metrics_view)
    config.add_directive("add_drain", add_drain)
    config.add_directive("add_tracing", add_tracing)
    config.add_tween(TRACED, under=INGRESS, over=(OBSERVED, PROBLEMS, MAIN))
    config.add_tween(OBSERVED, under=INGRESS, over=(PROBLEMS, MAIN))
