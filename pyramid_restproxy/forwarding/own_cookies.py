"""Which cookies are the application's own, and stay here.

A browser sends the cookies of a host with every request. A backend that sees the
session of the application can use it, and one that sets it can log somebody in as
somebody else.
"""

from __future__ import annotations

from pyramid.interfaces import (
    IAuthenticationPolicy,
    ICSRFStoragePolicy,
    ISecurityPolicy,
    ISessionFactory,
)
from pyramid.registry import Registry

from pyramid_restproxy.forwarding.fields import one_or_several
from pyramid_restproxy.forwarding.model import Gateway
from pyramid_restproxy.settings import settings_of

__all__ = ["kept_cookies", "own_cookie_names"]


def own_cookie_names(registry: Registry) -> frozenset[str]:
    """Return the names of the cookies that parts of the application say are theirs.

    The session and the CSRF token, as Pyramid and what is built on it name them; the
    ticket of an authentication policy; ``cookie_names`` of a security policy, a name or
    several.
    """
    find = registry.queryUtility
    tickets = getattr(find(IAuthenticationPolicy), "cookie", None)
    listed = getattr(find(ISecurityPolicy), "cookie_names", None) or ()
    said = (
        getattr(find(ISessionFactory), "_cookie_name", None),
        getattr(find(ICSRFStoragePolicy), "cookie_name", None),
        getattr(tickets, "cookie_name", None),
        *one_or_several(listed),
    )
    return frozenset(name for name in said if isinstance(name, str))


def kept_cookies(gateway: Gateway, registry: Registry) -> frozenset[str]:
    """Return the names of all cookies that stay here.

    They are looked up with the first request: by then the application is configured,
    in however many commits.
    """
    if gateway.kept_cookies is None:
        settings = settings_of(registry)
        named = own_cookie_names(registry).union(settings.own_cookies)
        ours = gateway.own_cookies | named
        gateway.kept_cookies = ours.difference(settings.shared_cookies)
    return gateway.kept_cookies
