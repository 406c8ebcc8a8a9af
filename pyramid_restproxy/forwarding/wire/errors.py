"""What can go wrong between two sockets, by the stage in which it did.

Every error is the ``requests`` exception that a caller of ``requests`` expects, so
the adapter can be mounted in any session; :class:`WireError` is common to all::

    WireError
      ResolveError              (ConnectionError)      the name has no address
      ConnectError              (ConnectionError)      nobody answers at the address
      NoResources               (ConnectionError)      we have no descriptor, memory
                                                       or disk left
      ConnectTimeout            (ConnectTimeout)
      TLSError                  (SSLError)             the handshake failed
        CertificateError                               the certificate is not trusted
      TunnelError               (ProxyError)           the second proxy refused
      SendError                 (ConnectionError)      not sent whole, and no answer,
                                                       on a new connection
      NoAnswer                  (ConnectionError)      closed before any answer
      MalformedAnswer           (ConnectionError)      the head is not HTTP/1
      ReadTimeout               (ReadTimeout)          silent for too long
      DeadlineExceeded          (ReadTimeout)          the whole exchange took too long
      TruncatedBody             (ChunkedEncodingError) the body ended before its end
"""

from __future__ import annotations

import errno

from requests import exceptions as base

from pyramid_restproxy.exceptions import RestProxyError

__all__ = [
    "OURS",
    "CertificateError",
    "ConnectError",
    "ConnectTimeout",
    "DeadlineExceeded",
    "MalformedAnswer",
    "NoAnswer",
    "NoResources",
    "ReadTimeout",
    "ResolveError",
    "SendError",
    "TLSError",
    "TruncatedBody",
    "TunnelError",
    "WireError",
]


#: Numbers of errors that are this process's own, and say nothing of a server.
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class WireError(RestProxyError, base.RequestException):
    """An exchange with a server failed.

    :ivar proxy_error: the RFC 9209 section 2.3 token that names the failure.
    """

    proxy_error = "proxy_internal_error"


class ResolveError(WireError, base.ConnectionError):
    """The host name could not be resolved."""

    proxy_error = "dns_error"


class ConnectError(WireError, base.ConnectionError):
    """No connection could be made."""

    proxy_error = "connection_refused"


class NoResources(WireError, base.ConnectionError):
    """This process has no descriptor, no memory or no disk left for an exchange."""


class ConnectTimeout(WireError, base.ConnectTimeout):
    """No connection was made in time; it is safe to try again."""

    proxy_error = "connection_timeout"


class TLSError(WireError, base.SSLError):
    """The TLS handshake failed."""

    proxy_error = "tls_protocol_error"


class CertificateError(TLSError):
    """The server's certificate is not trusted, or not for this name."""

    proxy_error = "tls_certificate_error"


class TunnelError(WireError, base.ProxyError):
    """The proxy on the way refused to connect."""

    proxy_error = "connection_refused"


class SendError(WireError, base.ConnectionError):
    """A new connection broke while the request was sent, without an answer."""

    proxy_error = "connection_terminated"


class NoAnswer(WireError, base.ConnectionError):
    """The connection was closed before any byte of an answer came.

    :ivar reused: whether the connection had served another request before; then
        it was most likely closed for idleness, before the request was read.
    """

    proxy_error = "connection_terminated"

    def __init__(self, message: str, reused: bool) -> None:
        super().__init__(message)
        self.reused = reused


class MalformedAnswer(WireError, base.ConnectionError):
    """The head of the answer breaks HTTP/1 (RFC 9112), or a limit."""

    proxy_error = "http_protocol_error"


class ReadTimeout(WireError, base.ReadTimeout):
    """The server was silent for longer than the read timeout."""

    proxy_error = "connection_read_timeout"


class DeadlineExceeded(WireError, base.ReadTimeout):
    """The exchange took longer than its total timeout, silence or not."""

    proxy_error = "http_response_timeout"


class TruncatedBody(WireError, base.ChunkedEncodingError):
    """The body of the answer ended before its end, or its framing broke."""

    proxy_error = "http_response_incomplete"
