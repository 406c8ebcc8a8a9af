"""What must be there when an application is made: who knows its users.

It cannot be looked for earlier: directives come in any order, and a commit may be
between them. That a route's backend is there is checked by ``forwarding.routes``.
"""

from __future__ import annotations

from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import ISecurityPolicy
from pyramid.registry import Registry

from pyramid_restproxy.forwarding.model import Gateway, IGateway
from pyramid_restproxy.forwarding.view import backend_named
from pyramid_restproxy.trust.login import BackendLoginPolicy
from pyramid_restproxy.trust.registry import Trust, trust_of

__all__ = ["complete_tween_factory"]

#: Where it is, for ``add_tween``.
COMPLETE = "pyramid_restproxy.trust.complete.complete_tween_factory"


def complete_tween_factory(handler: Any, registry: Registry) -> Any:
    """Refuse to start where nobody knows the users, or who knows them is not there.

    A tween that stands before nothing: factories are called when the application is
    made, which is after all directives.

    :returns: the handler itself.
    :raises ConfigurationError: naming what is missing.
    """
    trust = trust_of(registry)
    check_validator_is_there(trust)
    policy = registry.queryUtility(ISecurityPolicy)
    gateway = registry.getUtility(IGateway)
    if isinstance(policy, BackendLoginPolicy):
        check_backend("BackendLoginPolicy", policy.backend, gateway)
    if trust.validator is not None and trust.validator.backend is not None:
        check_backend("backend_validator", trust.validator.backend, gateway)
    return handler


def check_validator_is_there(trust: Trust) -> None:
    """Refuse views for users only where nobody says whose a token is.

    :raises ConfigurationError: naming them.
    """
    if trust.need_users and trust.validator is None:
        names = ", ".join(sorted(set(trust.need_users)))
        raise ConfigurationError(
            f"user_token='required' for {names}: nobody says whose a token is. Add "
            "config.set_token_validator(...), or set restproxy.token_validator"
        )


def check_backend(asking: str, backend: str, gateway: Gateway) -> None:
    """Refuse the name of a backend that is not there.

    :raises ConfigurationError: naming those that are.
    """
    try:
        backend_named(gateway, backend)
    except LookupError as error:
        raise ConfigurationError(f"{asking}: {error}") from None
