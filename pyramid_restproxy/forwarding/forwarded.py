"""Who asked, and through whom: X-Forwarded-*, Forwarded, Via, Max-Forwards. Pure.

What a client claims about itself counts only where it is one of the trusted proxies
(by the address of the connection, never by a field). RFC 7239; RFC 9110 sections
7.6.2 and 7.6.3.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.forwarding.fields import Fields
from pyramid_restproxy.grammar import TOKEN
from pyramid_restproxy.remembered import remembered

__all__ = [
    "CLAIMS",
    "Client",
    "TrustedProxies",
    "client_address",
    "forwarded_element",
    "forwarding_fields",
    "is_https",
    "is_loop",
    "is_node",
    "via",
]

#: Fields in which a client could claim to be another (lower case).
CLAIMS = frozenset(
    {
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-real-ip",
    }
)


#: The most that Max-Forwards counts from.
MAX_FORWARDS = 999_999_999

# A comment in Via (RFC 9110 section 5.6.5); those within comments are not looked for.
_COMMENT = re.compile(r"\([^()]*\)")


class TrustedProxies:
    """The networks whose claims are believed.

    :param words: addresses and networks in CIDR notation.
    :param setting: where they come from, for the message.
    :raises ConfigurationError: for a word that is neither.
    """

    def __init__(
        self, words: Iterable[str], setting: str = "restproxy.trusted_proxies"
    ) -> None:
        self._networks = [_network(word, setting) for word in words]
        self._cached = remembered(1024)(self._contains)

    def __contains__(self, address: str) -> bool:
        return bool(self._networks) and self._cached(address)

    def _contains(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False  # a unix socket, or a name: nobody to trust
        mapped = getattr(found, "ipv4_mapped", None) or found
        return any(found in each or mapped in each for each in self._networks)


def _network(word: str, setting: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError as error:
        raise ConfigurationError(
            f"{setting}: {word!r} is not an address or a network"
        ) from error


def client_address(environ: Mapping[str, Any], trusted: TrustedProxies) -> str:
    """Return the address of the client, as far as it can be believed.

    The last address of X-Forwarded-For that is no trusted proxy, where the peer is one;
    what stands before it, anybody can have written.

    :param environ: the WSGI environ.
    """
    peer: str = environ.get("REMOTE_ADDR", "")
    said = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while peer in trusted and said and said[-1].strip():
        peer = _without_port(said.pop().strip())
    return peer


def is_https(environ: Mapping[str, Any], trusted: TrustedProxies) -> bool:
    """Say whether the client's own connection is protected.

    A trusted proxy says so in X-Forwarded-Proto; where it names several, all of them
    must be https, for the first may be the client's own word.

    :param environ: the WSGI environ.
    """
    said = environ.get("HTTP_X_FORWARDED_PROTO")
    if said and environ.get("REMOTE_ADDR", "") in trusted:
        return all(word.strip(" \t").lower() == "https" for word in said.split(","))
    return bool(environ["wsgi.url_scheme"] == "https")


def _without_port(said: str) -> str:
    """Return the address of ``192.0.2.1:80`` and ``[2001:db8::1]:80``."""
    if said.startswith("["):
        return said[1:].partition("]")[0]
    return said.partition(":")[0] if said.count(":") == 1 else said


class Client(NamedTuple):
    """The peer of this connection, and what it asked.

    :ivar address: REMOTE_ADDR.
    :ivar scheme: ``http`` or ``https``.
    :ivar host: the Host field.
    :ivar prefix: the path prefix that is cut off before forwarding.
    """

    address: str
    scheme: str
    host: str
    prefix: str


def forwarding_fields(
    client: Client,
    claims: dict[str, str] | None,
    *,
    rfc7239: bool = False,
    by: str = "",
) -> Fields:
    """Make the fields that tell the backend who asked.

    :param claims: what a trusted peer says (names in lower case), to be added to;
        None where the peer is not trusted, so that nothing of it counts.
    :param rfc7239: whether to send ``Forwarded`` besides.
    :param by: how this gateway names itself there, e.g. ``_gateway``.
    """
    if claims is None:
        return list(_unclaimed((client, rfc7239, by)))
    return _fields(client, claims, rfc7239, by)


@remembered(1024)
def _unclaimed(said: tuple[Client, bool, str]) -> Fields:
    """Make the fields where nothing is claimed: the same for each request of a peer."""
    client, rfc7239, by = said
    return _fields(client, {}, rfc7239, by)


def _fields(client: Client, said: dict[str, str], rfc7239: bool, by: str) -> Fields:
    prefix = said.get("x-forwarded-prefix", "").rstrip("/") + client.prefix
    found = [
        ("X-Forwarded-For", _appended(said.get("x-forwarded-for"), client.address)),
        ("X-Forwarded-Proto", said.get("x-forwarded-proto") or client.scheme),
        ("X-Forwarded-Host", said.get("x-forwarded-host") or client.host),
    ]
    if "x-forwarded-port" in said:
        found.append(("X-Forwarded-Port", said["x-forwarded-port"]))
    if prefix:
        found.append(("X-Forwarded-Prefix", prefix))
    if rfc7239:
        element = forwarded_element(client, by)
        found.append(("Forwarded", _appended(said.get("forwarded"), element)))
    elif "forwarded" in said:
        found.append(("Forwarded", said["forwarded"]))
    return [(name, value) for name, value in found if value]


def _appended(before: str | None, value: str) -> str:
    return f"{before}, {value}" if before else value


def forwarded_element(client: Client, by: str = "") -> str:
    """Make one element of Forwarded (RFC 7239 section 4)."""
    pairs = [("for", _node(client.address)), ("host", client.host)]
    pairs += [("proto", client.scheme), ("by", by)]
    return ";".join(f"{name}={_quoted(value)}" for name, value in pairs if value)


def _node(address: str) -> str:
    """Return an address as RFC 7239 section 6 names it: zones and sockets have none."""
    bare = address.partition("%")[0]
    try:
        version = ipaddress.ip_address(bare).version
    except ValueError:
        return "unknown"
    return f"[{bare}]" if version == 6 else bare


#: A node that names no address, and a port (RFC 7239 section 6).
_OBFUSCATED = r"_[A-Za-z0-9._-]+"
_NODE = re.compile(rf"(\[.*\]|[^:]*)(?::(?:[0-9]{{1,5}}|{_OBFUSCATED}))?")


def is_node(text: str) -> bool:
    """Say whether a text names a node in Forwarded (RFC 7239 section 6).

    That is an address (of IPv6 in brackets), ``unknown``, or a name of its own that
    begins with ``_``; a port may follow each of them.
    """
    found = _NODE.fullmatch(text)
    if found is None:
        return False
    name = found[1]
    if name.lower() == "unknown" or re.fullmatch(_OBFUSCATED, name):
        return True
    try:
        if name.startswith("["):
            return ipaddress.IPv6Address(name[1:-1]).scope_id is None
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _quoted(value: str) -> str:
    if TOKEN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def via(before: str | None, protocol: str, pseudonym: str) -> str:
    """Return the Via value with this gateway added (RFC 9110 section 7.6.3).

    :param before: the value that came, or None.
    :param protocol: SERVER_PROTOCOL, e.g. ``HTTP/1.1``.
    :param pseudonym: how this gateway names itself.
    """
    own = _via((protocol, pseudonym))
    return f"{before}, {own}" if before else own


@remembered(256)
def _via(own: tuple[str, str]) -> str:
    protocol, pseudonym = own
    return f"{protocol.rpartition('/')[2]} {pseudonym}"


def is_loop(value: str | None, pseudonym: str) -> bool:
    """Say whether a Via value shows that the request was here before."""
    if not value or pseudonym not in value:
        return False
    entries = _COMMENT.sub(" ", value).split(",")
    return any(entry.split()[1:2] == [pseudonym] for entry in entries)


def max_forwards(value: str | None) -> int | None:
    """Read Max-Forwards (RFC 9110 section 7.6.2); None where it is no number.

    What is larger than :data:`MAX_FORWARDS` counts as that.
    """
    if not value or not re.fullmatch(r"[0-9]+", value):
        return None
    digits = value.lstrip("0") or "0"
    return int(digits) if len(digits) < 10 else MAX_FORWARDS
