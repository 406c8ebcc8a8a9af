"""TLS contexts for a backend under test: a good one, and the ones that must fail.

Made by ``trustme``, anew for each backend; nothing here is a secret.
"""

from __future__ import annotations

import ssl
import warnings
from datetime import datetime, timedelta, timezone
from typing import Any

from pyramid_restproxy.exceptions import needs

__all__ = ["contexts"]


def contexts(ca_file: str) -> dict[str, ssl.SSLContext]:
    """Make the contexts of a backend at 127.0.0.1, alias localhost.

    :param ca_file: where to write the certificate of the authority that signed all
        but the self-signed one; PEM.
    :returns: ``good``, ``expired``, ``wrong-host``, ``self-signed``, ``old`` (TLS 1.0
        only) and ``named`` (refuses clients that do not name the host).
    :raises MissingExtra: where ``trustme`` is not installed.
    """
    with needs("test", "trustme", "FaultBackend(tls=True)"):
        import trustme
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    own = authority.issue_cert("127.0.0.1", "localhost")
    now = datetime.now(timezone.utc)
    expired = authority.issue_cert(
        "127.0.0.1",
        "localhost",
        not_before=now - timedelta(days=2),
        not_after=now - timedelta(days=1),
    )
    return {
        "good": _showing(own),
        "expired": _showing(expired),
        "wrong-host": _showing(authority.issue_cert("elsewhere.example")),
        "self-signed": _self_signed(trustme.CA()),
        "old": _old(_showing(own)),
        "named": _named(_showing(own)),
    }


def _showing(certificate: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _self_signed(authority: Any) -> ssl.SSLContext:
    """Make a context whose certificate is an authority's own, signed by itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with authority.private_key_pem.tempfile() as key:
        with authority.cert_pem.tempfile() as certificate:
            context.load_cert_chain(certificate, key)
    return context


def _old(context: ssl.SSLContext) -> ssl.SSLContext:
    # OpenSSL has TLS 1.0 at its lowest level of security only.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # which is the point
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    return context


def _named(context: ssl.SSLContext) -> ssl.SSLContext:
    def check(connection: Any, name: str | None, context: ssl.SSLContext) -> int | None:
        return None if name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = check
    return context
