"""Who is let in to a view: by API key, by signature, by address. View options.

``api_key=True`` or the scopes that a key needs; ``signed=True`` or the name of a
profile; ``allow_from='10.0.0.0/8'``. The rules are in ``api_keys`` and ``signing``;
here they are put before views.
"""

from __future__ import annotations

import io
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.casts import several, words
from pyramid_restproxy.forwarding.fields import connection_named
from pyramid_restproxy.forwarding.forwarded import TrustedProxies, client_address
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.grammar import environ_key
from pyramid_restproxy.routing.override import (
    ORIGINAL,
    SOURCE,
    from_client,
    is_seekable,
)
from pyramid_restproxy.settings import settings_of
from pyramid_restproxy.trust.api_keys import WORD, check
from pyramid_restproxy.trust.canonical import WireParts
from pyramid_restproxy.trust.exposed import view_option
from pyramid_restproxy.trust.refusals import BodyTooLarge, Forbidden
from pyramid_restproxy.trust.registry import DEFAULT_PROFILE, trust_of
from pyramid_restproxy.trust.signing import MAX_BODY, Signed, refused, verify

__all__ = ["allowed_from_view", "api_key_view", "signed_view", "spooled"]

#: A signed body is kept in memory up to this size (bytes) while it is checked.
IN_MEMORY = 1024 * 1024
#: Environ key of the file in which it is kept.
KEPT = "pyramid_restproxy.kept_body"
#: How much of it is read at a time, bytes.
PIECE = 65536
#: Environ key of what a signature said when it was accepted: pyramid_retry asks a view
#: again with the same environ, and its second attempt is no replay.
ACCEPTED = "pyramid_restproxy.signed"
#: Environ key that pyramid_retry sets: how often it asks at most.
RETRIED = "retry.attempts"


# -- API keys --------------------------------------------------------------------


def api_key_view(view: Any, info: Any) -> Any:
    """Derive a view that asks for an API key, from ``api_key``.

    Sets ``request.api_key``.

    :raises ConfigurationError: where the option is not what it must be.
    """
    wanted = view_option(info, "api_key")
    if wanted is None or wanted is False:
        return view
    scopes, trust = _scopes(wanted), trust_of(info.registry)
    field = environ_key(trust.key_header)

    def with_key(context: Any, request: Request) -> Response:
        presented = request.environ.get(field)
        route = request.matched_route.name if request.matched_route else ""
        keys, now = trust.key_store, time.time()
        request.api_key = check(keys, presented, route, scopes, now=now)
        return view(context, request)

    return with_key


api_key_view.options = ("api_key",)  # type: ignore[attr-defined]


def _scopes(wanted: Any) -> tuple[str, ...]:
    if wanted is True:
        return ()
    scopes = several(wanted)
    if not scopes or not all(
        isinstance(scope, str) and WORD.fullmatch(scope) for scope in scopes
    ):
        raise ConfigurationError(
            f"api_key={wanted!r}: expected True or names of scopes, none with a blank, "
            "',', '=' or '#'"
        )
    return scopes


# -- addresses -------------------------------------------------------------------


def allowed_from_view(view: Any, info: Any) -> Any:
    """Derive a view for some addresses only, from ``allow_from``.

    What counts is the address of the connection, or the one that a trusted proxy names.

    :raises ConfigurationError: for what is no address or network.
    """
    given = info.options.get("allow_from")
    if given is None:
        return view
    listed = words(given) if isinstance(given, str) else given
    if not listed:  # an empty list is a mistake, and not everybody
        raise ConfigurationError(
            f"allow_from={given!r}: expected addresses or networks; None for everybody"
        )
    networks = TrustedProxies(listed, "allow_from")

    def from_there(context: Any, request: Request) -> Response:
        trusted = request.registry.getUtility(IGateway).trusted
        if client_address(request.environ, trusted) not in networks:
            raise Forbidden("address", "This resource is not for your address.")
        return view(context, request)

    return from_there


allowed_from_view.options = ("allow_from",)  # type: ignore[attr-defined]


# -- signatures --------------------------------------------------------------------


def signed_view(view: Any, info: Any) -> Any:
    """Derive a view for signed requests, from ``signed``.

    The whole body is read and checked before the view runs; it can be read again. Sets
    ``request.signed``. Caches are told not to use the answer again: a signature is good
    for one request at one time, and they cannot check it.

    :raises ConfigurationError: where the option is not what it must be.
    """
    wanted = view_option(info, "signed")
    if wanted is None or wanted is False:
        return view
    if wanted is not True and not (isinstance(wanted, str) and wanted):
        raise ConfigurationError(
            f"signed={wanted!r}: expected True or a profile's name"
        )
    name = DEFAULT_PROFILE if wanted is True else wanted
    trust = trust_of(info.registry)
    headers = settings_of(info.registry).override_headers
    profile = trust.profile(name)
    if profile is None:
        raise ConfigurationError(f"signed={wanted!r}: no signing profile {name!r}")

    def with_signature(context: Any, request: Request) -> Response:
        environ = request.environ
        before = environ.get(ACCEPTED)
        try:
            signed = verify(
                profile,
                WireParts(environ),
                spooled(environ),
                trust.signing_keys,
                time.time(),
                nonces=trust.nonces if before is None else None,
                max_body=None,
            )
        finally:
            if KEPT in environ:
                request.add_finished_callback(_close_kept)
        if ORIGINAL in environ and not override_is_signed(environ, signed, headers):
            raise refused("malformed")
        if "HTTP_CONNECTION" in environ and takes_away(environ, signed):
            raise refused("malformed")
        if before not in (None, signed):
            raise refused("replay")
        if RETRIED in environ:
            environ[ACCEPTED] = signed
        request.signed = signed
        return view(context, request)

    return with_signature


signed_view.options = ("signed",)  # type: ignore[attr-defined]


def override_is_signed(
    environ: Mapping[str, Any], signed: Signed, headers: Iterable[str]
) -> bool:
    """Say whether the method that a request means is asked for by what is signed.

    Signed is at most the method on the request line. A form field is part of the body,
    which all profiles sign; where fields are signed too, the one that makes the body a
    form must be among them. A header must be signed itself.

    :param environ: of a request whose method was overridden.
    :param headers: names of the fields that ask for an override.
    """
    if environ.get(SOURCE) == "field":
        return not signed.covered or "content-type" in signed.covered
    keys = [environ_key(name) for name in headers if name.lower() in signed.covered]
    asked = [environ.get(key, "").strip().upper() for key in keys]
    return environ["REQUEST_METHOD"] in asked


def takes_away(environ: Mapping[str, Any], signed: Signed) -> bool:
    """Say whether Connection, which nobody signs, names a field that is signed.

    Forwarding would take that field away (RFC 9110 section 7.6.1), so the backend would
    get another request than the one that was signed.
    """
    return not signed.covered.isdisjoint(connection_named(environ["HTTP_CONNECTION"]))


def _close_kept(request: Request) -> None:
    request.environ.pop(KEPT).close()


def spooled(environ: dict[str, Any], limit: int = MAX_BODY) -> Iterable[bytes]:
    """Return the body of a request, and leave it to be read again from its start.

    :param environ: the WSGI environ; ``wsgi.input`` is replaced where it cannot be
        rewound, and CONTENT_LENGTH set where only the server knew it. The file that
        takes its place is under :data:`KEPT`, to be closed.
    :param limit: bytes that are read.
    :returns: its pieces. Nothing is read from the client before one is asked for.
    :raises BodyTooLarge: with the piece that goes over it, which is not handed on.
    :raises UnreadableBody: where the server's reader raises anything.
    """
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    size = int(length) if length else 0
    if isinstance(stream, io.BytesIO) and 0 < size <= limit:
        piece = stream.getvalue()
        if len(piece) == size:  # nearly all: the server has it whole
            stream.seek(0)
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            return (piece,)
    return _spooled(environ, limit)


def _spooled(environ: dict[str, Any], limit: int) -> Iterator[bytes]:
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    if not length and not environ.get("wsgi.input_terminated"):
        return
    whole, size = int(length) if length else math.inf, 0
    kept = None if is_seekable(stream) else _room(whole)
    if kept is None:
        stream.seek(0)
    else:
        environ[KEPT] = kept
    while size < whole:
        piece = from_client(stream.read, int(min(PIECE, whole - size)))
        if not piece:
            break
        size += len(piece)
        if size > limit:
            raise BodyTooLarge(limit)
        if kept is not None:
            kept.write(piece)
        yield piece
    if kept is not None:
        environ["wsgi.input"] = stream = kept
        environ["webob.is_body_seekable"] = True
    stream.seek(0)
    if size or length:
        environ["CONTENT_LENGTH"] = str(size)
        environ.pop("HTTP_TRANSFER_ENCODING", None)


def _room(size: float) -> IO[bytes]:
    """Return an empty file for a body of so many bytes."""
    if size <= IN_MEMORY:
        return io.BytesIO()
    return tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
