"""How values and their names look in a store. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pyramid_restproxy.exceptions import RestProxyError

__all__ = ["MAX_VALUE", "ValueTooLarge", "encoded", "hashed"]

#: A larger value (bytes of JSON) is not stored.
MAX_VALUE = 64 * 1024

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class ValueTooLarge(RestProxyError, ValueError):
    """A value over the size that a store takes."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"a value of {size} bytes; the store takes {limit}")


def encoded(value: Any) -> str:
    """Write a value, in ASCII.

    :raises ValueError, TypeError: where it is no JSON.
    :raises ValueTooLarge: where it is over 64 KiB.
    """
    text = _encode(value)
    if len(text) > MAX_VALUE:
        raise ValueTooLarge(len(text), MAX_VALUE)
    return text


def hashed(kind: str, secret: str) -> str:
    """Name something by a secret, so that the name does not give it away.

    :param kind: what it is, one word; it stays readable.
    :param secret: a token or the like; its SHA-256 is what the key has.
    """
    digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kind}:{digest}"
