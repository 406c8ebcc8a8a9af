"""Who may pass, said beside a view: `expose_service`, `require_signature`.

These decorators only note on the view what its options are; whoever derives views reads
them with :func:`view_option`. So they stand above or below ``view_config`` and each
other, on a function, a class or one of its methods, on a view or what a service calls,
and an option that is given to ``add_view`` itself comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.exceptions import MethodNotAllowed
from pyramid_restproxy.routing.methods import MethodSet, method_tokens
from pyramid_restproxy.routing.refusals import allowed, options_response
from pyramid_restproxy.settings import settings_of

__all__ = [
    "expose_service",
    "exposed_view",
    "needs_csrf",
    "not_ambient_view",
    "require_signature",
    "view_option",
]

_View = TypeVar("_View", bound=Callable[..., Any])

#: Attribute of a view: its options.
_MARK = "__restproxy_exposed__"

#: Attribute of the view of a service: what it calls, whose options are its own.
_DECLARED = "__restproxy_declared__"


def expose_service(
    methods: str | Sequence[str], public: bool = False, *, strict: bool = False
) -> Callable[[_View], _View]:
    """Make a view a service, for clients with an API key.

    Other methods are 405, no key is 401 and an unknown one 403. A private service wants
    a user token too, without one it is 401 (400 where ``restproxy.errors`` is
    ``envelope``).

    :param methods: a method or several; with GET there is HEAD.
    :param public: whether it has nothing to do with users: a token that comes all the
        same is dropped.
    :param strict: whether a public service refuses it, with 400, as
        django-proxy-server does.
    :returns: a decorator of views.
    :raises ConfigurationError: for what is no method.
    """
    token = ("refused" if strict else "dropped") if public else "required"
    return _marking(
        exposed_methods=method_tokens(methods, "expose_service"),
        api_key=True,
        user_token=token,
    )


def require_signature(profile: bool | str = True) -> Callable[[_View], _View]:
    """Make a view one for signed requests; without a valid signature it is 401.

    The same as the view option ``signed``.

    :param profile: True for the default profile, or the name of one.
    :returns: a decorator of views.
    :raises ConfigurationError: for what is no name, e.g. the view itself where the
        parentheses are missing.
    """
    if profile is not True and not (profile and isinstance(profile, str)):
        raise ConfigurationError(
            f"require_signature({profile!r}): expected True or a profile's name"
        )
    return _marking(signed=profile)


def _marking(**options: Any) -> Callable[[_View], _View]:
    """Make a decorator that notes options, beside those of others."""

    def mark(view: _View) -> _View:
        setattr(view, _MARK, {**getattr(view, _MARK, {}), **options})
        return view

    return mark


def view_option(info: Any, name: str) -> Any:
    """Return an option of a view: as it was registered, else what its decorator says.

    :param info: what Pyramid gives to view derivers.
    :returns: None where neither says anything.
    """
    given = info.options.get(name)
    return _marks(info).get(name) if given is None else given


def _marks(info: Any) -> Mapping[str, Any]:
    view = info.original_view
    method = getattr(view, info.options.get("attr") or "__call__", None)
    marked = (view, method, *getattr(view, _DECLARED, ()))
    return {
        name: of for each in marked for name, of in getattr(each, _MARK, {}).items()
    }


def exposed_view(view: Any, info: Any) -> Any:
    """Derive a view that answers the methods of :func:`expose_service` only.

    OPTIONS as for any other view, where ``restproxy.automatic_options`` is on.
    """
    methods = view_option(info, "exposed_methods")
    if methods is None:
        return view
    automatic = settings_of(info.registry).automatic_options
    allow = allowed([MethodSet(frozenset(methods))], automatic)

    def with_method(context: Any, request: Request) -> Response:
        if request.method in methods:
            return view(context, request)
        if request.method == "OPTIONS" and automatic:
            return options_response(allow, ())
        raise MethodNotAllowed(allow)

    return with_method


# -- forged requests -------------------------------------------------------------


def not_ambient_view(view: Any, info: Any) -> Any:
    """Derive a view that needs no CSRF token, where it demands another credential.

    An API key, a signature or a user token: no browser sends one by itself, so no other
    site can make it ask, and who asks has no session to have a CSRF token from. What
    the view itself says of ``require_csrf`` stands; Pyramid reads it after this.
    """
    demanded = view_option(info, "user_token") == "required" or any(
        view_option(info, name) for name in ("api_key", "signed")
    )
    if demanded and info.options.get("require_csrf") is None:
        info.options["require_csrf"] = False
    return view


def needs_csrf(request: Request) -> bool:
    """Say whether a request may be forged by another site.

    Not one that was let in by a credential that no browser sends by itself. For views
    that take a session or such a credential, e.g. with ``user_token='optional'``:
    ``config.set_default_csrf_options(require_csrf=True, callback=needs_csrf)``.
    """
    names = ("api_key", "signed", "user_token_identity")
    return all(getattr(request, name, None) is None for name in names)
