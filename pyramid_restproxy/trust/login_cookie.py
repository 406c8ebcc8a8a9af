"""The cookie of who is logged in: what it is called and how it is guarded."""

from __future__ import annotations

from dataclasses import dataclass

from pyramid.request import Request
from webob.cookies import make_cookie

from pyramid_restproxy.forwarding.fields import cookie_of
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.trust.guard import is_https

__all__ = ["LoginCookie"]


@dataclass(frozen=True, slots=True)
class LoginCookie:
    """A cookie for all paths and this host only, that no script can read.

    :ivar name: its name; over https ``__Host-`` comes before it, so that no other host
        can set it (RFC 6265bis section 4.1.3.2).
    :ivar secure: whether it is for https only; where None, as the client's connection
        is, see :func:`~pyramid_restproxy.trust.guard.is_https`.
    """

    name: str
    secure: bool | None = None

    @property
    def names(self) -> tuple[str, str]:
        """The names that it may have, over http and over https."""
        return self.name, f"__Host-{self.name}"

    def read(self, request: Request) -> str:
        """Return what a browser sent, which may be anything; empty for nothing."""
        return cookie_of(request.environ, self.names[self._is_secure(request)])

    def set(self, request: Request, value: str | None) -> tuple[str, str]:
        """Make the field that sets it, for as long as the browser runs.

        :param value: None to take it back.
        """
        secure = self._is_secure(request)
        cookie = make_cookie(
            self.names[secure],
            value,
            path="/",
            secure=secure,
            httponly=True,
            samesite=b"Lax",
        )
        return "Set-Cookie", cookie

    def _is_secure(self, request: Request) -> bool:
        if self.secure is not None:
            return self.secure
        trusted = request.registry.getUtility(IGateway).trusted
        return is_https(request.environ, trusted)
