"""A destination: the address of a backend, read from a URL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.exceptions import MalformedRequest
from pyramid_restproxy.forwarding.target import check_path
from pyramid_restproxy.grammar import has_valid_port

__all__ = ["Destination"]


@dataclass(frozen=True, slots=True)
class Destination:
    """One address of a backend.

    :ivar url: as it was given, without query.
    :ivar authority: host and port for Host.
    :ivar base_path: percent-encoded, without a slash at its end.
    :ivar query: goes before the query of each request.
    """

    url: str
    scheme: str
    authority: str
    base_path: str
    query: str

    @classmethod
    def parse(cls, backend: str, url: Any) -> Destination:
        """Read the URL of a destination.

        :raises ConfigurationError: where it is not a plain http(s) or unix URL.
        """
        if not isinstance(url, str):
            raise ConfigurationError(f"backend {backend!r}: {url!r} is not a URL")
        try:
            parts = urlsplit(url)
        except ValueError:  # its words may repeat a password
            raise ConfigurationError(
                f"backend {backend!r}: the host of a URL is not valid"
            ) from None
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(
                f"backend {backend!r}: a URL must not hold a user or a password; "
                "send credentials as header fields"
            )
        _check_url(backend, url)
        return cls(
            url=urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
            scheme=parts.scheme.lower(),
            authority="localhost" if parts.scheme == "http+unix" else parts.netloc,
            base_path=parts.path.rstrip("/"),
            query=parts.query,
        )


def _check_url(backend: str, url: str) -> None:
    parts = urlsplit(url)
    problem = ""
    if parts.scheme.lower() not in ("http", "https", "http+unix"):
        problem = "it must begin with http://, https:// or http+unix://"
    elif not parts.hostname:
        problem = "it has no host"
    elif "," in parts.netloc or url.endswith(","):
        problem = "it has a comma; blanks separate URLs"
    elif parts.fragment or "#" in url:
        problem = "it must not have a fragment"
    elif any(not "!" <= character <= "~" for character in url):
        problem = "it has characters that must be percent-encoded"
    elif parts.scheme.lower() != "http+unix" and not has_valid_port(url):
        problem = "its port is not valid"
    else:
        problem = _problem_of(parts.path)
    if problem:
        raise ConfigurationError(f"backend {backend!r}: {url!r}: {problem}")


def _problem_of(path: str) -> str:
    """Say what is wrong with a base path, which is sent as clients' paths are."""
    try:
        check_path(path or "/")
    except MalformedRequest as error:
        return str(error)
    return ""
