"""The guard: malformed and ambiguous requests are refused before anything is done.

:data:`CHECKS` is the whole of it: each row is one pure function of the WSGI environ,
with the sections of the standards that it keeps. The tween asks them in order, and
answers the first refusal as a problem document. What only a server can see (both
Content-Length and Transfer-Encoding, bare line feeds, names with an underscore) is
not here: see SECURITY.rst. Chunks that a server checks only while the body is read are
the one thing that is found later; the tween sees to it that they are a 400 too.

``config.include('pyramid_restproxy.trust.guard')`` works alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Any, NamedTuple

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import INGRESS, MAIN

from pyramid_restproxy.forwarding.forwarded import TrustedProxies, is_https
from pyramid_restproxy.forwarding.target import decoded_path
from pyramid_restproxy.grammar import TOKEN
from pyramid_restproxy.operation.observed import OBSERVED, is_exempt
from pyramid_restproxy.problems import TWEEN as PROBLEMS
from pyramid_restproxy.problems import Problem, instance_of, problem_response
from pyramid_restproxy.remembered import remembered
from pyramid_restproxy.routing.override import PushedBack
from pyramid_restproxy.settings import Settings, settings_of

__all__ = [
    "CHECKS",
    "AllowedHosts",
    "Policy",
    "Refusal",
    "blame_client",
    "guard_tween_factory",
    "includeme",
    "is_https",
    "refusal_of",
    "restore_slashes",
    "use_target_host",
]

log = logging.getLogger(__name__)

GUARD = "pyramid_restproxy.trust.guard.guard_tween_factory"

Handler = Callable[[Request], Response]
Environ = Mapping[str, Any]

#: The labels of a name of a host, of the characters that they have: no comma (two Host
#: lines in one), ``@``, slash, or escape. None is empty, but that of the root at the
#: end (RFC 1034 section 3.1), which few write.
_NAME = r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*"
#: A host and maybe a port (RFC 3986 section 3.2.2).
_AUTHORITY = re.compile(rf"({_NAME}\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{{0,5}}))?")
_ABSOLUTE = re.compile(r"(https?)://([^/?#]+)", re.IGNORECASE | re.ASCII)
_ALLOWED_HOST = re.compile(rf"(?:\*\.)?{_NAME}|\[[0-9a-f:.]+\]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: What no raw URL has (RFC 3986 section 2).
_UNFIT = re.compile(r"[\x00-\x20\x7f]")

#: Blanks are spaces and tabs, and no others (RFC 9110 section 5.6.3).
_CHUNKED = re.compile(r"[ \t]*chunked[ \t]*", re.IGNORECASE | re.ASCII)
_CONTINUE = re.compile(r"[ \t]*100-continue[ \t]*", re.IGNORECASE | re.ASCII)

#: How targets begin whose path may: with ``//``, with an escape, or with a scheme.
_MAY_BE_FOLDED = ("//", "/%", "h", "H")

#: Methods that are met all the time.
_USUAL = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

#: A name of 253 characters (RFC 1035 section 2.3.4) and a port.
_MAX_HOST = 260

#: More digits than any length has, and fewer than any integer overflows at.
_MAX_DIGITS = 18

_TITLES = {
    400: "Bad Request",
    403: "Forbidden",
    414: "URI Too Long",
    417: "Expectation Failed",
    421: "Misdirected Request",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}


class Refusal(NamedTuple):
    """Why a request is not served.

    :ivar status: what it is answered with.
    :ivar reason: the name of what is wrong, for the log; nothing of the request.
    :ivar detail: one sentence for the client; nothing of the request.
    """

    status: int
    reason: str
    detail: str


class AllowedHosts:
    """The hosts that requests may be for.

    :param words: names, ``*.example.com`` for all names below one, or IPv6 addresses
        in brackets; without ports. None at all allows every host.
    :raises ConfigurationError: for a word that is none of these.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        found = [word.lower().removesuffix(".") for word in words]
        for word in found:
            if not _ALLOWED_HOST.fullmatch(word):
                raise ConfigurationError(
                    f"restproxy.allowed_hosts: {word!r} is not the name of a host"
                )
        self._names = frozenset(word for word in found if word[0] != "*")
        self._endings = tuple(word[1:] for word in found if word[0] == "*")

    def __bool__(self) -> bool:
        return bool(self._names or self._endings)

    def __contains__(self, host: str) -> bool:
        name = host.lower().removesuffix(".")
        return name in self._names or name.endswith(self._endings)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the checks measure by.

    :ivar protocols: values of SERVER_PROTOCOL that are served.
    :ivar allow_trace: whether TRACE reaches the routes.
    :ivar max_target: bytes.
    :ivar max_fields: header fields, as the environ has them: lines of one name are one.
    :ivar max_field_bytes: bytes of all their names and values.
    """

    protocols: frozenset[str] = frozenset({"HTTP/1", "HTTP/1.0", "HTTP/1.1"})
    hosts: AllowedHosts = AllowedHosts()
    allow_trace: bool = False
    max_target: int = 8192
    max_fields: int = 200
    max_field_bytes: int = 65536
    require_https: bool = False
    trusted: TrustedProxies = TrustedProxies(())

    @classmethod
    def from_settings(cls, settings: Settings) -> Policy:
        """Read the policy from ``restproxy.*``.

        :raises ConfigurationError: for a host that is none.
        """
        numbers = [each.removesuffix(".0") for each in settings.http_versions]
        # granian says HTTP/1 for HTTP/1.0
        protocols = {f"HTTP/{n}" for n in numbers} | {f"HTTP/{n}.0" for n in numbers}
        return cls(
            protocols=frozenset(protocols),
            hosts=AllowedHosts(settings.allowed_hosts),
            allow_trace=settings.allow_trace,
            max_target=settings.max_target_bytes,
            max_fields=settings.max_header_count,
            max_field_bytes=settings.max_header_bytes,
            require_https=settings.require_https,
            trusted=TrustedProxies(settings.trusted_proxies),
        )


# -- the checks ------------------------------------------------------------------


def check_protocol(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse versions of HTTP that nobody here speaks."""
    if environ["SERVER_PROTOCOL"] in policy.protocols:
        return None
    return Refusal(505, "protocol", "This version of HTTP is not served.")


def check_method(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse what is no method, and those that are for no resource of ours.

    501 and not 405: a 405 tells which methods the resource has, and none was looked
    for; there is no CONNECT and no TRACE for any.
    """
    method = environ["REQUEST_METHOD"]
    if method in _USUAL:
        return None
    if method == "PRI" or not TOKEN.fullmatch(method):
        return Refusal(400, "method", "The request has no valid method.")
    if method == "CONNECT" or (method == "TRACE" and not policy.allow_trace):
        return Refusal(501, "method", "This method is not served.")
    return None


def check_target_size(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse a target that is too long."""
    target = _raw_target(environ)
    size = len(target)
    if not target:
        size = len(environ.get("PATH_INFO", "")) + len(environ.get("QUERY_STRING", ""))
    if size <= policy.max_target:
        return None
    return Refusal(414, "target-size", "The URL of the request is too long.")


def _raw_target(environ: Environ) -> str:
    """Return the target as it came, or nothing where the server keeps it to itself.

    waitress and uWSGI give REQUEST_URI, gunicorn RAW_URI, granian neither.
    """
    return environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""


def check_target(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse a target of no form that there is, and a character that none has.

    A fragment in the target is let be: servers take it from path and query, and it
    is not sent on. In a query that still has it, it would be.
    """
    target, query = _raw_target(environ), environ.get("QUERY_STRING", "")
    if _has_unfit(target) or _has_unfit(query) or "#" in query:
        return Refusal(
            400, "character", "The URL has a character that no URL may have."
        )
    if not target or target[0] == "/" or _asks_for_server(target, environ):
        return None
    if _ABSOLUTE.match(target):
        return None
    return Refusal(400, "target", "The target of the request is no URL of http.")


def _has_unfit(raw: str) -> bool:
    if raw.isprintable() and " " not in raw:
        return False  # nearly all; faster than to look at each character
    return _UNFIT.search(raw) is not None


def check_path(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse a path that is none, and bytes that nobody means in a URL."""
    path = environ.get("PATH_INFO", "")
    if path and path[0] != "/" and not _asks_for_server(path, environ):
        return Refusal(400, "path", "The target of the request is not a path.")
    if path.isascii() and path.isprintable():
        return None  # most paths
    if _CONTROL.search(path):
        return Refusal(400, "control", "The URL has a control character.")
    try:
        path.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return Refusal(400, "utf-8", "The path of the URL is not UTF-8.")
    return None


def _asks_for_server(path: str, environ: Environ) -> bool:
    return path == "*" and environ["REQUEST_METHOD"] == "OPTIONS"


def check_framing(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse a body whose end two parsers could see in two places."""
    length = environ.get("CONTENT_LENGTH")
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if length and not (
        length.isascii() and length.isdigit() and len(length) <= _MAX_DIGITS
    ):
        return Refusal(400, "length", "The length of the body is not a number.")
    if coding is None:
        return None
    if length or environ["SERVER_PROTOCOL"] in ("HTTP/1.0", "HTTP/1"):
        return Refusal(400, "framing", "It is not clear where the body ends.")
    if not _CHUNKED.fullmatch(coding):
        return Refusal(400, "coding", "The body has a transfer coding besides chunked.")
    return None


def check_expectation(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse an expectation that cannot be met."""
    expected = environ.get("HTTP_EXPECT")
    if not expected or _CONTINUE.fullmatch(expected):
        return None
    return Refusal(417, "expectation", "What the request expects cannot be met.")


def check_fields(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse too many header fields, or too large ones."""
    size = len("".join(environ))
    for value in environ.values():
        if type(value) is str:
            size += len(value)
    if len(environ) <= policy.max_fields and size <= policy.max_field_bytes:
        return None  # even with all that is no field: most requests
    fields = {n: v for n, v in environ.items() if n.startswith("HTTP_")}
    size = sum(map(len, fields)) + sum(map(len, fields.values()))
    size += len(environ.get("CONTENT_TYPE") or "")
    if len(fields) <= policy.max_fields and size <= policy.max_field_bytes:
        return None
    return Refusal(431, "fields", "The request has too many or too large fields.")


def check_host(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse a host that is none, is missing, or is not ours."""
    fault = _fault_of_host(environ)
    if fault is not None or not policy.hosts:
        return fault
    if (_name_of(environ.get("HTTP_HOST") or "") or "") in policy.hosts:
        return None
    return Refusal(421, "host-unknown", "This host is not served here.")


def _fault_of_host(environ: Environ) -> Refusal | None:
    host = environ.get("HTTP_HOST")
    if not host:  # granian gives an empty one for none
        if environ["SERVER_PROTOCOL"] in ("HTTP/1.0", "HTTP/1"):
            return None
        return Refusal(400, "no-host", "The request does not name its host.")
    if len(host) <= _MAX_HOST and _name_of(host):
        return None
    return Refusal(400, "host", "The request does not name one valid host.")


@remembered(256)
def _name_of(authority: str) -> str | None:
    """Return the name in a host with or without a port, or None where it is none."""
    found = _AUTHORITY.fullmatch(authority)
    if not found or int(found[2] or 0) > 65535:
        return None
    name = found[1]
    if name[0] == "[":
        try:
            IPv6Address(name[1:-1])
        except AddressValueError:
            return None
    return name


def check_https(environ: Environ, policy: Policy) -> Refusal | None:
    """Refuse what came unprotected, and a target that says wrongly that it did not.

    Neither is a redirect: the secrets were sent already. 421 for ``GET https://a/x``
    over http, as it is well-formed, and came to where no https is spoken.
    """
    says_https = _raw_target(environ)[:6].lower() == "https:"
    if not (policy.require_https or says_https):
        return None
    if is_https(environ, policy.trusted):
        return None
    if says_https:
        return Refusal(421, "scheme", "This URL is of https, and came over http.")
    return Refusal(403, "https", "This service must be asked over https.")


Check = Callable[[Environ, Policy], "Refusal | None"]

#: Every check, in the order in which they are asked, and what it keeps.
CHECKS: tuple[tuple[Check, str], ...] = (
    (check_protocol, "RFC 9112 section 2.3; RFC 9110 section 15.6.6"),
    (check_method, "RFC 9110 sections 9.1, 9.3.6, 9.3.8, 15.6.2; RFC 9113 section 3.4"),
    (check_target_size, "RFC 9112 section 3; RFC 9110 section 15.5.15"),
    (check_target, "RFC 9112 section 3.2; RFC 3986 section 2; RFC 9110 section 7.1"),
    (check_path, "RFC 9112 section 3.2; RFC 3986 sections 2.1, 3.3; RFC 9110 9.3.7"),
    (check_framing, "RFC 9112 sections 6.1, 6.2, 6.3"),
    (check_expectation, "RFC 9110 sections 10.1.1, 15.5.18"),
    (check_fields, "RFC 9110 section 5.4; RFC 6585 section 5"),
    (check_host, "RFC 9112 section 3.2; RFC 9110 sections 7.2, 7.4, 15.5.20"),
    (check_https, "RFC 9110 sections 4.2.2, 7.4, 15.5.20"),
)

_ORDER = tuple(check for check, _ in CHECKS)


def refusal_of(environ: Environ, policy: Policy) -> Refusal | None:
    """Return why a request is refused, or None for one that is in order."""
    for check in _ORDER:
        found = check(environ, policy)
        if found is not None:
            return found
    return None


# -- besides -----------------------------------------------------------------------


def use_target_host(environ: MutableMapping[str, Any]) -> None:
    """Take the host from the target where it names one, whatever Host says.

    RFC 9112 section 3.2.2: for ``GET http://a/x`` with ``Host: b`` the host is ``a``,
    for us as for everybody that is told of it. waitress and gunicorn leave both.
    That makes no good request of one whose own Host is missing, or is none (section
    3.2): it is left, to be refused.

    :param environ: the WSGI environ; HTTP_HOST is changed.
    """
    target = _raw_target(environ)
    if target and target[0] != "/":
        found = _ABSOLUTE.match(target)
        if found and _fault_of_host(environ) is None:
            environ["HTTP_HOST"] = found[2]


def restore_slashes(environ: MutableMapping[str, Any]) -> None:
    """Give a path the slashes at its start back that the server has taken.

    waitress makes ``/api/x`` of ``//api/x`` and of ``/%2Fapi/x``. These are other
    paths (RFC 3986 section 3.3), which a rule for ``/api/`` in a proxy in front is not
    about: what they find is what they find with other servers, and backends get them
    as they came. Below a mount point the path is what it would be with nothing taken.

    :param environ: the WSGI environ; PATH_INFO is changed.
    """
    target = _raw_target(environ)
    if not target.startswith(_MAY_BE_FOLDED):
        return  # nearly all
    path = decoded_path(target)
    if path.startswith("//"):
        folded, info = "/" + path.lstrip("/"), environ.get("PATH_INFO", "")
        if folded in (info, environ.get("SCRIPT_NAME", "") + info):
            environ["PATH_INFO"] = path


# -- the tween ---------------------------------------------------------------------


def blame_client(environ: dict[str, Any]) -> None:
    """Make chunks that are none a 400, whoever reads them, and not an error of ours.

    gunicorn checks them while the body is read, in the middle of a view maybe, and
    raises what is its own; see :func:`~pyramid_restproxy.routing.override.from_client`.
    """
    environ["wsgi.input"] = PushedBack(b"", environ["wsgi.input"])


def guard_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """Make the tween that lets nothing malformed through."""
    settings = settings_of(registry)
    policy = Policy.from_settings(settings)
    hsts = f"max-age={settings.hsts}" if settings.hsts else ""

    def guard_tween(request: Request) -> Response:
        environ = request.environ
        use_target_host(environ)
        restore_slashes(environ)
        if "HTTP_TRANSFER_ENCODING" in environ:
            blame_client(environ)
        found = refusal_of(environ, policy)
        if found is None or _is_let_through(found, request):
            response = handler(request)
        else:
            response = _answer(found, request, policy, settings)
        if hsts and is_https(environ, policy.trusted):
            # RFC 6797 section 7.2: over https only; 7.1: once. The application's own
            # stays, it may say more.
            response.headers.setdefault("Strict-Transport-Security", hsts)
        return response

    return guard_tween


def _is_let_through(found: Refusal, request: Request) -> bool:
    """Say whether a health view is asked: probes name an address, and use http."""
    return found.reason in ("https", "host-unknown") and is_exempt(request)


def _answer(
    found: Refusal, request: Request, policy: Policy, settings: Settings
) -> Response:
    log.info("refused with %d: %s", found.status, found.reason)
    title, environ = _TITLES[found.status], request.environ
    # Whatever it is refused for: a URL that is too long is not repeated.
    is_long = check_target_size(environ, policy) is not None
    instance = "" if is_long else instance_of(environ)
    problem = Problem(found.status, title, found.detail, instance)
    response = problem_response(problem, request, settings)
    response.status = f"{found.status} {title}"  # WebOb has no words for 421
    return response


def includeme(config: Configurator) -> None:
    """Put the guard before everything but what counts and names requests."""
    config.include("pyramid_restproxy.settings")
    config.add_tween(GUARD, under=(OBSERVED, INGRESS), over=(PROBLEMS, MAIN))
