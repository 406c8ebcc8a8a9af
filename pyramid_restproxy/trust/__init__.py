"""Trust: who may pass, how often, and how that is known.

Each module is one way to know, and works alone: ``api_keys``, ``signing`` with its
``profiles``, ``sealing``, ``limits``. What a request is refused with is in
``refusals``.

``config.include('pyramid_restproxy.trust')`` works alone.
"""

from __future__ import annotations

from pyramid.config import PHASE0_CONFIG, Configurator

from pyramid_restproxy.trust.limits import rate_limited_view, use_limiter

__all__ = ["includeme"]


def includeme(config: Configurator) -> None:
    """Register the view options."""
    config.include("pyramid_restproxy.forwarding")
    config.add_view_deriver(
        rate_limited_view, name="rate_limit", under="secured_view", over="rendered_view"
    )
    config.action(
        ("restproxy", "limiter"), use_limiter, (config,), order=PHASE0_CONFIG + 1
    )
