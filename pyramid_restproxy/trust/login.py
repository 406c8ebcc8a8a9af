"""Logging in at a backend: a security policy whose users are in the shared store.

The backend's login service says who somebody is (see ``identity``). The identity stays
in the store; the browser gets a cookie of its own with a random id, not a place in the
application's session: sessions that live in a cookie cannot be ended by us, and their
ids cannot be changed. Each login and logout changes the id, and the CSRF token.

The cookie is HttpOnly, SameSite=Lax, for all paths and this host only; over https (a
trusted proxy may say so) it is Secure, and its name begins with ``__Host-`` so that no
other host can set it.
"""

from __future__ import annotations

import logging
import re
import time
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyramid.authorization import ACLHelper, Authenticated, Everyone
from pyramid.csrf import (
    LegacySessionCSRFStoragePolicy,
    SessionCSRFStoragePolicy,
    new_csrf_token,
)
from pyramid.interfaces import ICSRFStoragePolicy, ISecurityPolicy, ISessionFactory
from pyramid.location import lineage
from pyramid.registry import Registry
from pyramid.request import Request, RequestLocalCache
from pyramid.response import Response
from pyramid.security import Allowed, Denied, PermitsResult
from zope.interface import implementer

from pyramid_restproxy.trust.identity import Identity, active_user
from pyramid_restproxy.trust.limits import (
    IRateLimiter,
    RateLimited,
    by_address,
    limit_fields,
    parse_limits,
)
from pyramid_restproxy.trust.login_cookie import LoginCookie
from pyramid_restproxy.trust.sessions import LoginSession, LoginSessions
from pyramid_restproxy.trust.store import Store, store_of
from pyramid_restproxy.trust.stored import hashed
from pyramid_restproxy.trust.validators import IdentityUnavailable, read_answer

if TYPE_CHECKING:
    from limits import RateLimitItem

__all__ = [
    "BackendLoginPolicy",
    "local_path",
    "login",
    "logout",
    "logout_everywhere",
    "policy_of",
]

log = logging.getLogger(__name__)

#: The name of the cookie; ``__Host-`` comes before it over https.
COOKIE = "restproxy_login"
#: Seconds without a request after which somebody is logged out.
IDLE = 30 * 60.0
#: Seconds after which everybody is.
LIFETIME = 12 * 3600.0
#: How often somebody may try to log in as one user.
ATTEMPTS = "10/15 minutes"
#: How often one address may, as whoever; many people can be behind one.
ADDRESS_ATTEMPTS = "300/15 minutes"

#: Where CSRF tokens are in the session.
_IN_SESSION = (LegacySessionCSRFStoragePolicy, SessionCSRFStoragePolicy)

#: Letters and marks that nobody sees: Default_Ignorable_Code_Point of the Unicode
#: Character Database, which unicodedata does not have.
_IGNORABLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

Headers = list[tuple[str, str]]


@implementer(ISecurityPolicy)
class BackendLoginPolicy:
    """A security policy for users of a backend.

    :param backend: the name of the backend; an attribute as well.
    :param path: its login service: it is sent the credentials as a JSON object by POST;
        a 2xx says who it is, 400, 401, 403 and 422 that they are not good.
    :param read: how the data of a 2xx are read, where they have a form of their own:
        gives an identity, None where these credentials are no good; raises ValueError
        where they say nothing of a user. ``user_by_email`` of ``trust.identity`` reads
        the form of django-proxy-server.
    :param account: the credential that names the user.
    :param attempts: how often an account may be tried, e.g. ``10/15 minutes``; empty
        for no limit. Names that differ in case, in blanks, in what is not seen, or in
        the width of letters only are one account.
    :param address_attempts: the same for an address, as whichever users; see
        ``restproxy.trusted_proxies`` for whose that is.
    :param cookie: the name of the cookie.
    :param secure: whether the cookie is for https only; where None, as the client's
        connection is.
    :param idle: seconds without a request after which a login ends.
    :param lifetime: seconds after which each login ends.
    :param store: where identities are; the application's store where it is None.
    :param clock: seconds since the epoch.
    :raises ConfigurationError: where one of the two is not a limit.
    """

    def __init__(
        self,
        backend: str,
        path: str = "/login",
        *,
        read: Callable[[Any], Identity | None] = active_user,
        account: str = "username",
        attempts: str = ATTEMPTS,
        address_attempts: str = ADDRESS_ATTEMPTS,
        cookie: str = COOKIE,
        secure: bool | None = None,
        idle: float = IDLE,
        lifetime: float = LIFETIME,
        store: Store | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.backend = backend
        self._path = path
        self._read = read
        self._account = account
        self._attempts = _limits("attempts", attempts)
        self._address_attempts = _limits("address_attempts", address_attempts)
        self._cookie = LoginCookie(cookie, secure)
        self._idle = idle
        self._lifetime = lifetime
        self._store = store
        self._clock = clock
        self._touched: dict[str, float] = {}
        self._found = RequestLocalCache(self._find)
        self._acl = ACLHelper()

    @property
    def cookie_names(self) -> tuple[str, str]:
        """The names that the cookie may have; no backend needs to see it."""
        return self._cookie.names

    # -- a security policy -----------------------------------------------------------

    def identity(self, request: Request) -> Identity | None:
        """Return who is logged in.

        :raises StoreUnavailable: where that cannot be said.
        """
        session = self._session(request)
        return None if session is None else session.identity

    def authenticated_userid(self, request: Request) -> str | None:
        """Return the id of who is logged in."""
        identity = self.identity(request)
        return None if identity is None else identity.user_id

    def permits(self, request: Request, context: Any, permission: str) -> PermitsResult:
        """Say whether the user may do something.

        Where the context or one above it has an ACL, it decides; its principals are
        ``Everyone``, ``Authenticated``, ``user:<id>`` and ``permission:<word>``. Else
        the user must have the permission by name.
        """
        identity = self.identity(request)
        if any(hasattr(place, "__acl__") for place in lineage(context)):
            return self._acl.permits(context, _principals(identity), permission)
        if identity is not None and permission in identity.permissions:
            return Allowed("the user has the permission %r", permission)
        return Denied("the user does not have the permission %r", permission)

    def remember(self, request: Request, userid: str, **known: Any) -> Headers:
        """Log somebody in who is known already.

        :param known: ``permissions``, ``claims``, ``expires``, ``token``, see
            :class:`~pyramid_restproxy.trust.identity.Identity`.
        :returns: fields for the response.
        :raises StoreUnavailable: where the store cannot be asked.
        """
        return self._begin(request, Identity(userid, **known))

    def forget(self, request: Request, **options: Any) -> Headers:
        """Log the user out, everywhere this login is used.

        :returns: fields for the response.
        :raises StoreUnavailable: where that cannot be done.
        """
        self._end(request)
        self._found.set(request, None)
        _renew_csrf_token(request)
        return [self._cookie.set(request, None)]

    def forget_all(self, request: Request, userid: str) -> Headers:
        """Log a user out in all browsers, e.g. after the password was changed.

        Who logs in afterwards stays, also in the same request. What else the backend
        gave out, its own tokens, is for the backend to take back.

        :param userid: the id that the backend gives the user.
        :returns: fields for the response: where this user asks, the cookie is taken
            back.
        :raises StoreUnavailable: where that cannot be done.
        """
        asks = self.authenticated_userid(request) == userid
        self._sessions(request).end_all(userid)
        return self.forget(request) if asks else []

    # -- logging in ------------------------------------------------------------------

    def login(self, request: Request, **credentials: Any) -> Identity | None:
        """Log somebody in at the backend; the cookie goes out with the response.

        :param credentials: sent to the backend as they are.
        :returns: who it is, None where the credentials are not good.
        :raises TypeError: where the credential that names the user is not there.
        :raises RateLimited: where the account was tried too often, or the address did.
        :raises IdentityUnavailable: where the backend does not say.
        :raises StoreUnavailable: where the store cannot be asked.
        """
        self._count(request, credentials)
        sent = request.backend(self.backend).post(self._path, json_data=credentials)
        if sent.status == 429:
            raise _too_often(sent.headers.get("Retry-After") or "60")
        identity = read_answer(sent, self._read)
        if identity is None or not identity.is_valid(self._clock()):
            return None
        _send(request, self._begin(request, identity))
        return identity

    def logout(self, request: Request) -> None:
        """Log the user out; the cookie is taken back with the response.

        :raises StoreUnavailable: where that cannot be done.
        """
        _send(request, self.forget(request))

    def logout_everywhere(self, request: Request, userid: str) -> None:
        """Log a user out in all browsers, see :meth:`forget_all`.

        :raises StoreUnavailable: where that cannot be done.
        """
        headers = self.forget_all(request, userid)
        if headers:
            _send(request, headers)

    def renew(self, request: Request, token: str, expires: float | None = None) -> bool:
        """Put the new token of a backend's answer in the place of the old one.

        :param expires: until when the identity is good now, seconds since the epoch;
            None for as before.
        :returns: whether anybody is logged in.
        :raises StoreUnavailable: where the store cannot be asked.
        """
        session = self._session(request)
        if session is None:
            return False
        known = session.identity
        until = known.expires if expires is None else expires
        identity = replace(known, token=token, expires=until)
        changed = self._sessions(request).update(session, identity)
        self._found.set(request, changed)
        return changed is not None

    def _count(self, request: Request, credentials: dict[str, Any]) -> None:
        """Count an attempt; by address first, so that one flood locks few accounts."""
        if self._attempts and self._account not in credentials:
            raise TypeError(  # or all users would share one count
                f"login() needs {self._account}=, see account= and attempts="
            )
        if self._address_attempts:
            who = hashed("login-address", by_address(request))
            _take(request, self._address_attempts, who)
        if self._attempts:
            account = _one_account(str(credentials[self._account]))
            _take(request, self._attempts, hashed("login", account))

    # -- sessions --------------------------------------------------------------------

    def _sessions(self, request: Request) -> LoginSessions:
        store = self._store  # an empty one is false
        if store is None:
            store = store_of(request.registry)
        return LoginSessions(
            store, self._idle, self._lifetime, self._clock, self._touched
        )

    def _session(self, request: Request) -> LoginSession | None:
        found: LoginSession | None = self._found.get_or_create(request)
        return found

    def _find(self, request: Request) -> LoginSession | None:
        session_id = self._cookie.read(request)
        return self._sessions(request).find(session_id) if session_id else None

    def _begin(self, request: Request, identity: Identity) -> Headers:
        try:
            session = self._sessions(request).begin(identity)
        except (TypeError, ValueError) as error:
            log.error("an identity cannot be stored: %s", type(error).__name__)
            raise IdentityUnavailable() from error
        self._end(request)
        self._found.set(request, session)
        _renew_csrf_token(request)
        return [self._cookie.set(request, session.id)]

    def _end(self, request: Request) -> None:
        """End the session of the cookie that came, and one begun in this request."""
        known = self._found.get(request, None)
        for session_id in {self._cookie.read(request), known.id if known else ""}:
            if session_id:
                self._sessions(request).end(session_id)


def _principals(identity: Identity | None) -> list[str]:
    if identity is None:
        return [Everyone]
    permissions = [f"permission:{each}" for each in identity.permissions]
    return [Everyone, Authenticated, f"user:{identity.user_id}", *permissions]


def _one_account(name: str) -> str:
    """Return what is the same for all names that a backend may take for one account.

    Those that are a compatibility caseless match (Unicode section 3.13, D146), without
    what NFKC_Casefold drops, and without any blanks.
    """
    text = unicodedata.normalize("NFD", name)  # or an iota below is not folded
    for _ in range(2):
        text = unicodedata.normalize("NFKD", text.casefold())
    seen = [each for each in text if unicodedata.category(each)[0] not in "CZ"]
    return unicodedata.normalize("NFKC", _IGNORABLE.sub("", "".join(seen)))


def _limits(name: str, text: str) -> list[RateLimitItem]:
    return parse_limits(text, f"BackendLoginPolicy: {name}") if text else []


def _take(request: Request, limits: list[RateLimitItem], who: str) -> None:
    found = request.registry.getUtility(IRateLimiter).take(limits, who)
    if not found.allowed:
        raise _too_often(str(found.reset), limit_fields(found))


def _too_often(retry_after: str, fields: Iterable[tuple[str, str]] = ()) -> RateLimited:
    refused = RateLimited("Too many attempts to log in.")
    refused.headerlist.append(("Retry-After", retry_after))
    refused.headerlist.extend(fields)
    return refused


def _renew_csrf_token(request: Request) -> None:
    """Change the CSRF token, so that one from before is worth nothing."""
    registry = request.registry
    in_session = isinstance(registry.queryUtility(ICSRFStoragePolicy), _IN_SESSION)
    if in_session and registry.queryUtility(ISessionFactory) is None:
        return  # there is none: it would be in a session, and there are no sessions
    new_csrf_token(request)


def _send(request: Request, headers: Headers) -> None:
    """Send cookies with the answer, whatever that will be, each name once.

    What was said before in this request does not count any more (RFC 6265 section
    4.1.1: a name comes once).
    """
    names = tuple(value.partition("=")[0] + "=" for _, value in headers)

    def add(request: Request, response: Response) -> None:
        response.headerlist[:] = [
            (name, value)
            for name, value in response.headerlist
            if name.lower() != "set-cookie" or not value.startswith(names)
        ]
        response.headerlist.extend(headers)
        response.headers["Cache-Control"] = "no-store"

    request.add_response_callback(add)


# -- for views -----------------------------------------------------------------------


def policy_of(registry: Registry) -> BackendLoginPolicy:
    """Return the policy of an application.

    :raises LookupError: where it has another.
    """
    policy = registry.queryUtility(ISecurityPolicy)
    if not isinstance(policy, BackendLoginPolicy):
        raise LookupError("the security policy is not a BackendLoginPolicy")
    return policy


def login(request: Request, **credentials: Any) -> Identity | None:
    """Log somebody in, see :meth:`BackendLoginPolicy.login`."""
    return policy_of(request.registry).login(request, **credentials)


def logout(request: Request) -> None:
    """Log the user out, see :meth:`BackendLoginPolicy.logout`."""
    policy_of(request.registry).logout(request)


def logout_everywhere(request: Request, userid: str) -> None:
    """Log a user out in all browsers, see :meth:`BackendLoginPolicy.forget_all`."""
    policy_of(request.registry).logout_everywhere(request, userid)


_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def local_path(value: Any, default: str = "/") -> str:
    """Return where to go after the login, where that is on this site.

    :param value: what a client says, e.g. the parameter ``next``.
    :returns: it, where it is a path and nothing that a browser reads as another host;
        else `default`.
    """
    is_local = isinstance(value, str) and _LOCAL.fullmatch(value) is not None
    return value if is_local else default
