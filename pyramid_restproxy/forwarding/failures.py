"""What can go wrong between the client and a backend, as values and as exceptions.

:class:`Failure` names each case once: whose fault it is, the status of the answer,
and the Proxy-Status token (RFC 9209 section 2.3). :class:`ForwardingFailed` carries
one; it is a Pyramid HTTP exception too, so exception views can replace the answer.
"""

from __future__ import annotations

import http.client
from enum import Enum

import requests
import urllib3
from pyramid.httpexceptions import (
    HTTPBadGateway,
    HTTPException,
    HTTPGatewayTimeout,
    HTTPNotImplemented,
    HTTPServerError,
    HTTPServiceUnavailable,
)

from pyramid_restproxy.exceptions import RestProxyError
from pyramid_restproxy.forwarding.wire.errors import OURS, WireError

__all__ = [
    "TRANSPORT_ERRORS",
    "AnswerTooLarge",
    "BackendFault",
    "BackendTimeout",
    "BackendUnavailable",
    "Blame",
    "Failure",
    "ForwardingFailed",
    "LoopDetected",
    "UpgradeNotSupported",
    "failed",
    "failed_by",
    "name_teller",
]


class Blame(Enum):
    """Whose fault a failure is."""

    CLIENT = "client"
    GATEWAY = "gateway"
    BACKEND = "backend"


class Failure(Enum):
    """A way to fail: Proxy-Status token, status, blame, and what to tell the client."""

    DNS_ERROR = ("dns_error", 502, Blame.BACKEND, "has no address")
    CONNECTION_REFUSED = ("connection_refused", 502, Blame.BACKEND, "is not reachable")
    CONNECTION_TIMEOUT = (
        "connection_timeout",
        504,
        Blame.BACKEND,
        "did not accept a connection in time",
    )
    TLS_PROTOCOL = ("tls_protocol_error", 502, Blame.BACKEND, "does not speak TLS")
    TLS_CERTIFICATE = (
        "tls_certificate_error",
        502,
        Blame.BACKEND,
        "has a certificate that is not trusted",
    )
    TERMINATED = (
        "connection_terminated",
        502,
        Blame.BACKEND,
        "closed the connection before it answered",
    )
    READ_TIMEOUT = (
        "connection_read_timeout",
        504,
        Blame.BACKEND,
        "did not answer in time",
    )
    RESPONSE_TIMEOUT = (
        "http_response_timeout",
        504,
        Blame.BACKEND,
        "did not finish in time",
    )
    PROTOCOL = (
        "http_protocol_error",
        502,
        Blame.BACKEND,
        "gave an answer that breaks HTTP",
    )
    INCOMPLETE = (
        "http_response_incomplete",
        502,
        Blame.BACKEND,
        "broke its answer off",
    )
    PROXY_AUTHENTICATION = (
        "http_protocol_error",
        502,
        Blame.GATEWAY,
        "asks the gateway for credentials it does not have",
    )
    TRANSFORM = (
        "http_response_transform_error",
        502,
        Blame.GATEWAY,
        "gave an answer that the gateway could not process",
    )
    UNAVAILABLE = (
        "destination_unavailable",
        503,
        Blame.GATEWAY,
        "is not available at the moment",
    )
    OVERLOADED = (
        "connection_limit_reached",
        503,
        Blame.GATEWAY,
        "is asked by too many at the moment",
    )
    TOO_LARGE = (
        "http_response_body_size",
        502,
        Blame.BACKEND,
        "gave an answer that is too large",
    )
    LOOP = ("proxy_loop_detected", 508, Blame.CLIENT, "would be asked by itself")
    UPGRADE = (
        "http_upgrade_failed",
        501,
        Blame.GATEWAY,
        "cannot be reached by a websocket: WSGI carries requests and answers only",
    )
    INTERNAL = ("proxy_internal_error", 502, Blame.GATEWAY, "could not be asked")

    def __init__(self, token: str, status: int, blame: Blame, text: str) -> None:
        self.token = token
        self.status = status
        self.blame = blame
        self.text = text


class ForwardingFailed(RestProxyError):
    """A request could not be forwarded, or its answer not be returned.

    :ivar failure: which way.
    :ivar backend: the name of the backend.
    """

    failure: Failure
    backend: str


class BackendFault(ForwardingFailed, HTTPBadGateway):
    """The backend cannot be reached or breaks the protocol (RFC 9110 15.6.3)."""


class BackendTimeout(ForwardingFailed, HTTPGatewayTimeout):
    """The backend took too long (RFC 9110 section 15.6.5)."""


class BackendUnavailable(ForwardingFailed, HTTPServiceUnavailable):
    """No destination may be asked at the moment (RFC 9110 section 15.6.4)."""


class UpgradeNotSupported(ForwardingFailed, HTTPNotImplemented):
    """The request asks for what WSGI cannot carry (RFC 9110 section 15.6.2)."""


class LoopDetected(ForwardingFailed, HTTPServerError):
    """The request has been here before (RFC 5842 section 7.2)."""

    code = 508
    title = "Loop Detected"
    explanation = "The request would be forwarded in a circle."


_CLASSES: dict[int, type[HTTPException]] = {
    501: UpgradeNotSupported,
    502: BackendFault,
    503: BackendUnavailable,
    504: BackendTimeout,
    508: LoopDetected,
}

#: How this gateway names itself in Proxy-Status and Via, unless told otherwise.
PSEUDONYM = "pyramid_restproxy"


def failed(
    failure: Failure, backend: str, retry_after: int | None = None
) -> ForwardingFailed:
    """Make the exception for a failure.

    :param backend: the name of the backend, which is all the client learns of it.
    :param retry_after: seconds after which it may be better (RFC 9110 10.2.3).
    """
    headers = [("Proxy-Status", f"{PSEUDONYM}; error={failure.token}")]
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    error = _CLASSES[failure.status](
        f"The backend {backend!r} {failure.text}.", headers=headers
    )
    error.failure, error.backend = failure, backend
    return error


def name_teller(error: ForwardingFailed, pseudonym: str) -> None:
    """Say in Proxy-Status who tells of a failure (RFC 9209 section 2)."""
    assert isinstance(error, HTTPException)  # each of the classes above is one
    error.headers["Proxy-Status"] = f"{pseudonym}; error={error.failure.token}"


_BY_TOKEN = {each.token: each for each in reversed(Failure)}

#: What other adapters raise, the more special first.
_FOREIGN: tuple[tuple[type[BaseException], Failure], ...] = (
    (requests.exceptions.ConnectTimeout, Failure.CONNECTION_TIMEOUT),
    (requests.exceptions.Timeout, Failure.READ_TIMEOUT),
    (requests.exceptions.SSLError, Failure.TLS_PROTOCOL),
    (requests.exceptions.ChunkedEncodingError, Failure.INCOMPLETE),
    (requests.exceptions.ContentDecodingError, Failure.PROTOCOL),
    (requests.exceptions.InvalidHeader, Failure.INTERNAL),
    (requests.exceptions.ConnectionError, Failure.CONNECTION_REFUSED),
    (urllib3.exceptions.TimeoutError, Failure.READ_TIMEOUT),
    (urllib3.exceptions.HTTPError, Failure.INCOMPLETE),
    (http.client.HTTPException, Failure.PROTOCOL),
    (TimeoutError, Failure.READ_TIMEOUT),
    (ConnectionError, Failure.TERMINATED),
    (requests.exceptions.RequestException, Failure.INTERNAL),
    (OSError, Failure.TERMINATED),
    # urllib3 lets the ValueError of a bad chunk size through
    (ValueError, Failure.PROTOCOL),
)


class AnswerTooLarge(ValueError):
    """An answer has more bytes than the backend's limit."""


def failure_of(error: BaseException) -> Failure:
    """Say which failure an error of the transport is."""
    if isinstance(error, AnswerTooLarge):
        return Failure.TOO_LARGE
    if isinstance(error, WireError):
        return _BY_TOKEN.get(error.proxy_error, Failure.INTERNAL)
    for kind, failure in _FOREIGN:
        if isinstance(error, kind):
            return _refined(error, failure)
    return Failure.INTERNAL


def _refined(error: BaseException, failure: Failure) -> Failure:
    """Tell apart what requests puts into one class, by what urllib3 says below it."""
    below: BaseException | None = error
    while below is not None:
        reason = getattr(below, "reason", None)
        if isinstance(below, urllib3.exceptions.NameResolutionError):
            return Failure.DNS_ERROR
        if isinstance(below, urllib3.exceptions.ProtocolError):
            return Failure.TERMINATED
        if type(below).__name__ == "SSLCertVerificationError":
            return Failure.TLS_CERTIFICATE
        if isinstance(below, OSError) and below.errno in OURS:
            return Failure.INTERNAL
        below = reason if isinstance(reason, BaseException) else _inner(below)
    return failure


def _inner(error: BaseException) -> BaseException | None:
    first = error.args[0] if error.args else None
    return first if isinstance(first, BaseException) else error.__cause__


#: What transports raise, ours and others.
TRANSPORT_ERRORS = (
    OSError,
    ValueError,
    http.client.HTTPException,
    urllib3.exceptions.HTTPError,
)


def failed_by(error: BaseException, backend: str) -> ForwardingFailed:
    """Make the exception for what a transport raised; to be raised ``from`` it."""
    return failed(failure_of(error), backend)
