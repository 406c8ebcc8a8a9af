"""Pieces of HTTP's grammar, and of WSGI's names for it, that several parts read by."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pyramid_restproxy.remembered import remembered

__all__ = ["TOKEN", "environ_key", "has_valid_port", "media_type_of"]

#: A token: methods, field names, parameter names (RFC 9110 section 5.6.2).
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def media_type_of(content_type: str | None) -> str:
    """Return the media type of a Content-Type, without its parameters.

    :param content_type: the value of the field, or None.
    :returns: in lower case, as it compares (RFC 9110 section 8.3.1); empty for none.
    """
    return (content_type or "").partition(";")[0].strip().lower()


def has_valid_port(url: str) -> bool:
    """Say whether the port of a URL is one, or left out (RFC 3986 section 3.2.3)."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


@remembered(256)
def environ_key(name: str) -> str:
    """Return the WSGI name of a field (PEP 3333).

    :param name: the name of a field, in any case.
    """
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
