"""Trust: who may pass, how often, and how that is known.

Each module is one way to know, and works alone: ``api_keys``, ``signing`` with its
``profiles``, ``sealing``, ``limits``. ``admission`` puts them before views,
``directives`` gives them keys, ``registry`` holds what an application has. ``guard``
stands before all of them. What a request is refused with is in ``refusals``.

``config.include('pyramid_restproxy.trust')`` works alone.
"""

from __future__ import annotations

from pyramid.config import PHASE0_CONFIG, Configurator

from pyramid_restproxy.forwarding.backends import CHECK_ORDER
from pyramid_restproxy.forwarding.client import RequestMethod
from pyramid_restproxy.interfaces import ICallerTokens, ISealer
from pyramid_restproxy.trust.admission import (
    allowed_from_view,
    api_key_view,
    signed_view,
)
from pyramid_restproxy.trust.caller_tokens import CallerTokens
from pyramid_restproxy.trust.complete import COMPLETE
from pyramid_restproxy.trust.directives import (
    add_api_key,
    add_sealing_key,
    add_signing_key,
    add_signing_profile,
    set_api_key_store,
    sign_requests_to,
    use_key_settings,
    use_sealing_settings,
    use_signing_settings,
    use_token_setting,
)
from pyramid_restproxy.trust.exposed import exposed_view, not_ambient_view
from pyramid_restproxy.trust.limits import rate_limited_view, use_limiter
from pyramid_restproxy.trust.registry import make_trust
from pyramid_restproxy.trust.sealed import sealed_params, sealed_path, sealed_view
from pyramid_restproxy.trust.tokens import set_token_validator, user_token_view
from pyramid_restproxy.trust.varying import varying_view

__all__ = ["includeme"]

#: Who is let in, from the outermost: cheap checks first, then what reads the body. All
#: of them before Pyramid asks for the permission, which may depend on the credential.
ADMISSION = (
    ("allow_from", allowed_from_view),
    ("varying", varying_view),
    ("api_key", api_key_view),
    ("user_token", user_token_view),
    ("signed", signed_view),
    ("sealed", sealed_view),
)


def includeme(config: Configurator) -> None:
    """Register the directives and the view options."""
    config.include("pyramid_restproxy.forwarding")
    config.include("pyramid_restproxy.trust.guard")
    # 405, 400, and then who asks: a path is made safe before it is decided about.
    config.add_view_deriver(
        exposed_view, name="exposed_methods", under="readable", over="safe_target"
    )
    before = "safe_target"
    for name, deriver in ADMISSION:
        config.add_view_deriver(deriver, name=name, under=before, over="secured_view")
        before = name
    config.add_view_deriver(
        rate_limited_view, name="rate_limit", under="secured_view", over="rendered_view"
    )
    config.add_view_deriver(not_ambient_view, name="not_ambient", under="csrf_view")
    config.add_directive("add_api_key", add_api_key)
    config.add_directive("set_api_key_store", set_api_key_store)
    config.add_directive("add_signing_key", add_signing_key)
    config.add_directive("add_signing_profile", add_signing_profile)
    config.add_directive("sign_requests_to", sign_requests_to)
    config.add_directive("add_sealing_key", add_sealing_key)
    config.add_directive("set_token_validator", set_token_validator)
    config.add_request_method(RequestMethod(sealed_path), "sealed_path")
    config.add_tween(COMPLETE)
    config.registry.registerUtility(sealed_params, ISealer)
    config.registry.registerUtility(CallerTokens(), ICallerTokens)
    order = PHASE0_CONFIG + 1
    config.action(("restproxy", "trust"), make_trust, (config,), order=order)
    config.action(("restproxy", "limiter"), use_limiter, (config,), order=order)
    config.action(
        ("restproxy", "token setting"), use_token_setting, (config,), order=CHECK_ORDER
    )
    config.action(
        ("restproxy", "key settings"), use_key_settings, (config,), order=CHECK_ORDER
    )
    config.action(
        ("restproxy", "signing settings"),
        use_signing_settings,
        (config,),
        order=CHECK_ORDER,
    )
    config.action(
        ("restproxy", "sealing settings"),
        use_sealing_settings,
        (config,),
        order=CHECK_ORDER,
    )
