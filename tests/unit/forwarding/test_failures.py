"""Failures: one answer each, and nothing of the inside in it."""

from __future__ import annotations

import errno
import http.client
import ssl

import pytest
import requests
import urllib3
from pyramid.httpexceptions import HTTPServerError

from pyramid_restproxy.exceptions import RestProxyError
from pyramid_restproxy.forwarding import failures
from pyramid_restproxy.forwarding.failures import Failure
from pyramid_restproxy.forwarding.wire import errors as wire


@pytest.mark.parametrize("failure", Failure)
def test_every_failure_is_an_answer_with_proxy_status(failure):
    error = failures.failed(failure, "users")
    assert isinstance(error, RestProxyError) and isinstance(error, HTTPServerError)
    assert error.status_int == failure.status
    assert error.headers["Proxy-Status"] == f"pyramid_restproxy; error={failure.token}"
    assert (error.failure, error.backend) == (failure, "users")


def from_urllib3(reason):
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", reason))


POOL = urllib3.HTTPConnectionPool("h")


@pytest.mark.parametrize(
    "error, failure",
    [
        (wire.ResolveError("x"), Failure.DNS_ERROR),
        (wire.ConnectError("x"), Failure.CONNECTION_REFUSED),
        (wire.ConnectTimeout("x"), Failure.CONNECTION_TIMEOUT),
        (wire.CertificateError("x"), Failure.TLS_CERTIFICATE),
        (wire.TLSError("x"), Failure.TLS_PROTOCOL),
        (wire.NoAnswer("x", False), Failure.TERMINATED),
        (wire.MalformedAnswer("x"), Failure.PROTOCOL),
        (wire.ReadTimeout("x"), Failure.READ_TIMEOUT),
        (wire.DeadlineExceeded("x"), Failure.RESPONSE_TIMEOUT),
        (wire.TruncatedBody("x"), Failure.INCOMPLETE),
        (requests.exceptions.ConnectTimeout(), Failure.CONNECTION_TIMEOUT),
        (requests.exceptions.ReadTimeout(), Failure.READ_TIMEOUT),
        (requests.exceptions.ChunkedEncodingError(), Failure.INCOMPLETE),
        (requests.exceptions.InvalidHeader(), Failure.INTERNAL),
        (requests.exceptions.InvalidURL(), Failure.INTERNAL),
        (
            from_urllib3(urllib3.exceptions.NameResolutionError("h", POOL, OSError())),
            Failure.DNS_ERROR,
        ),  # noqa: E501
        (
            from_urllib3(urllib3.exceptions.NewConnectionError(POOL, "refused")),
            Failure.CONNECTION_REFUSED,
        ),  # noqa: E501
        (
            requests.ConnectionError(urllib3.exceptions.ProtocolError("x")),
            Failure.TERMINATED,
        ),
        (
            requests.exceptions.SSLError(
                urllib3.exceptions.MaxRetryError(
                    None,
                    "/",
                    urllib3.exceptions.SSLError(ssl.SSLCertVerificationError()),
                )
            ),
            Failure.TLS_CERTIFICATE,
        ),
        (requests.exceptions.SSLError("x"), Failure.TLS_PROTOCOL),
        (urllib3.exceptions.ReadTimeoutError(POOL, "/", "x"), Failure.READ_TIMEOUT),
        (http.client.BadStatusLine("x"), Failure.PROTOCOL),
        (TimeoutError(), Failure.READ_TIMEOUT),
        (ConnectionResetError(), Failure.TERMINATED),
        (OSError(), Failure.TERMINATED),
        (ValueError("chunk size"), Failure.PROTOCOL),
        (KeyError(), Failure.INTERNAL),
    ],
)
def test_errors_of_transports_are_told_apart(error, failure):
    assert failures.failure_of(error) is failure


def test_what_a_transport_raised_is_not_told_to_the_client():
    error = failures.failed_by(ConnectionResetError("10.0.0.5:8000 secret"), "users")
    assert isinstance(error, failures.BackendFault)
    assert "10.0.0.5" not in str(error)


def test_a_programming_error_is_no_error_of_a_transport():
    assert not issubclass(KeyError, failures.TRANSPORT_ERRORS)


def test_a_process_without_descriptors_does_not_blame_the_backend():
    """By another adapter too."""
    refused = urllib3.exceptions.NewConnectionError(POOL, "x")
    refused.__cause__ = OSError(errno.EMFILE, "Too many open files")
    assert failures.failure_of(from_urllib3(refused)) is Failure.INTERNAL
