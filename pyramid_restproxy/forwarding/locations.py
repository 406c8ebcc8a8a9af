"""URLs of a backend's answer, turned into ones that lead back through the gateway.

For Location, for Content-Location, and for the paths of cookies.
"""

from __future__ import annotations

import re

from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.model import ProxyCall

__all__ = [
    "location_for_client",
    "prefix_for_client",
    "public_location",
    "public_path",
]

#: A URL reference: scheme, authority, path, and the rest (RFC 3986 appendix B). Taken
#: apart by hand because urlsplit drops white space and what is empty.
_REFERENCE = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(.*)")


def public_location(
    value: str,
    destination: Destination,
    prefix: str,
    public: tuple[str, str],
    host: str = "",
    place: str = "",
) -> str:
    """Turn a Location of the backend into one that leads back through the gateway.

    :param value: the URL reference, as the backend gave it.
    :param destination: who gave it.
    :param prefix: what was cut off the path of the request, e.g. ``/api``.
    :param public: scheme and host under which the client reached the gateway.
    :param host: the name that the backend was called by, where it is another one.
    :param place: what was sent in the place of the prefix, e.g. ``/v2``.
    :returns: the reference for the client. Relative ones, ``//other`` ones and those
        that lead elsewhere stay as they are, and so does a public one that has the
        prefix already; hosts are compared, not texts.
    """
    parts = _REFERENCE.fullmatch(value)
    if parts is None:
        return value
    scheme, authority, path, rest = parts.groups()
    base = destination.base_path + place
    if scheme is None and authority is None:
        new = public_path(path, base, prefix) if path.startswith("/") else None
        if new is None:
            return value
        if new.startswith(("//", "/\\")):  # what is left could be read as a host
            return f"{public[0]}://{public[1]}{new}{rest}"
        return new + rest
    scheme = (scheme or "").lower()
    if not authority or scheme not in ("http", "https"):
        return value
    named = _bare(authority)
    if named == _bare(public[1]):
        # Somebody who knows the public host may know more: the prefix, or that it
        # must be https; nobody is sent back from https to http.
        scheme = "https" if scheme == "https" else public[0]
        known = path == prefix or path.startswith(prefix + "/")
        new = path if prefix and known else public_path(path or "/", base, prefix)
    elif named in (_bare(destination.authority), _bare(host)):
        scheme, new = public[0], public_path(path or "/", base, prefix)
    else:
        return value
    return value if new is None else f"{scheme}://{public[1]}{new}{rest}"


def _bare(authority: str) -> str:
    """Return an authority without the port that goes without saying."""
    lowered = authority.lower()
    name, _, port = lowered.rpartition(":")
    return name if port in ("", "80", "443") and name else lowered


def public_path(path: str, base: str, prefix: str) -> str | None:
    """Exchange the backend's base path for the prefix; None where it is outside."""
    if base and path != base and not path.startswith(base + "/"):
        return None
    return prefix + path[len(base) :] or "/"


def location_for_client(call: ProxyCall, value: str) -> str:
    """Turn a URL reference of an answer into one for the client of a call.

    Where the client is, is what the backend was told of it: X-Forwarded-Proto, -Host
    and -Prefix, which begin with what a trusted proxy in front of us says.
    """
    if call.destination is None:
        return value
    told = call.headers
    scheme = _first(told.get("X-Forwarded-Proto")).lower()
    public = (
        scheme if scheme in ("http", "https") else call.request.scheme,
        _first(told.get("X-Forwarded-Host")) or call.request.host,
    )
    host = call.host or call.backend.options.host
    named = "" if host in ("destination", "preserve") else host
    prefix = prefix_for_client(call)
    return public_location(value, call.destination, prefix, public, named, call.base)


def prefix_for_client(call: ProxyCall) -> str:
    """Return what the client has before the paths of the backend."""
    return call.headers.get("X-Forwarded-Prefix") or call.prefix


def _first(value: str | None) -> str:
    """Return the first of a list, or nothing."""
    return (value or "").partition(",")[0].strip()
