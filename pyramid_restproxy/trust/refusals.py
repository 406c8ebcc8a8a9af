"""How trust says no: one class for each status, one word for each reason.

The client learns the status and one sentence that is the same for all reasons; the
reason is for the log and for tests. No secret is ever part of either::

    RequestRefused
      Refused
        InvalidToken       400    (HTTPBadRequest)
        Unauthenticated    401    (HTTPUnauthorized, with WWW-Authenticate)
        Forbidden          403    (HTTPForbidden)
        BodyTooLarge       413    (HTTPRequestEntityTooLarge)
        StoreUnavailable   503    (HTTPServiceUnavailable)
"""

from __future__ import annotations

from typing import Literal

from pyramid.httpexceptions import (
    HTTPBadRequest,
    HTTPForbidden,
    HTTPRequestEntityTooLarge,
    HTTPServiceUnavailable,
    HTTPUnauthorized,
)

from pyramid_restproxy.exceptions import RequestRefused

__all__ = [
    "BodyTooLarge",
    "Forbidden",
    "InvalidToken",
    "Reason",
    "Refused",
    "StoreUnavailable",
    "Unauthenticated",
]

#: Why something was refused.
Reason = Literal[
    "missing",  # there is no credential
    "malformed",  # it cannot be read, or lacks a part that it must have
    "unknown-key",
    "expired",  # the key or the credential was good once
    "skew",  # its date is too far from now
    "replay",  # it was used before
    "digest",  # the body is not the one that was signed
    "signature",  # it was not made with this key for this request
    "address",  # not from an address that may
    "sealing",  # altered, or made for another route or user
    "route",  # not good for this route
    "scope",  # not good for what the route asks
    "too-large",
    "store",  # what must be asked cannot be asked
]


class Refused(RequestRefused):
    """A request without a credential that lets it pass.

    :ivar reason: why, in one word, for logs.
    """

    reason: Reason


class InvalidToken(Refused, HTTPBadRequest):
    """A parameter that cannot be opened (RFC 9110 section 15.5.1)."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


class Unauthenticated(Refused, HTTPUnauthorized):
    """No valid credential (RFC 9110 section 15.5.2).

    :param challenge: the value of WWW-Authenticate.
    """

    def __init__(self, reason: Reason, detail: str, challenge: str) -> None:
        self.reason = reason
        HTTPUnauthorized.__init__(
            self, detail, headers=[("WWW-Authenticate", challenge)]
        )


class Forbidden(Refused, HTTPForbidden):
    """A credential that is not good enough here (RFC 9110 section 15.5.4)."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


class BodyTooLarge(Refused, HTTPRequestEntityTooLarge):
    """A body over the size up to which it is checked (RFC 9110 section 15.5.14).

    :param limit: bytes.
    """

    reason: Reason = "too-large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"A signed request may have a body of up to {limit} bytes.")


class StoreUnavailable(Refused, HTTPServiceUnavailable):
    """A store that decides cannot be asked, so nobody passes."""

    reason: Reason = "store"

    def __init__(self) -> None:
        super().__init__("The credentials cannot be checked at the moment.")
