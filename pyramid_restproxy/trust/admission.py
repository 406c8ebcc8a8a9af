"""Who is let in to a view: by API key, by signature, by address. View options.

``api_key=True`` or the scopes that a key needs; ``signed=True`` or the name of a
profile; ``allow_from='10.0.0.0/8'``. The rules are in ``api_keys`` and ``signing``;
here they are put before views.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.forwarding.forwarded import TrustedProxies, client_address
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.trust.api_keys import check
from pyramid_restproxy.trust.canonical import wire_parts
from pyramid_restproxy.trust.exposed import view_option
from pyramid_restproxy.trust.refusals import Forbidden
from pyramid_restproxy.trust.registry import DEFAULT_PROFILE, trust_of
from pyramid_restproxy.trust.signing import verify

__all__ = ["allowed_from_view", "api_key_view", "signed_view", "spooled"]

#: A signed body is kept in memory up to this size (bytes) while it is checked.
IN_MEMORY = 1024 * 1024
#: Environ key of the file in which it is kept.
KEPT = "pyramid_restproxy.kept_body"
#: How much of it is read at a time, bytes.
PIECE = 65536


# -- API keys --------------------------------------------------------------------


def api_key_view(view: Any, info: Any) -> Any:
    """Derive a view that asks for an API key, from ``api_key``.

    Sets ``request.api_key``.

    :raises ConfigurationError: where the option is not what it must be.
    """
    wanted = view_option(info, "api_key")
    if not wanted:
        return view
    scopes = _scopes(wanted)

    def with_key(context: Any, request: Request) -> Response:
        trust = trust_of(request.registry)
        presented = request.headers.get(trust.key_header)
        route = request.matched_route.name if request.matched_route else ""
        store = trust.store_of_keys()
        request.api_key = check(store, presented, route, scopes, now=time.time())
        return view(context, request)

    return with_key


api_key_view.options = ("api_key",)  # type: ignore[attr-defined]


def _scopes(wanted: Any) -> tuple[str, ...]:
    if wanted is True:
        return ()
    listed = (wanted,) if isinstance(wanted, str) else wanted
    if not isinstance(listed, (tuple, list)) or not all(
        isinstance(scope, str) and scope for scope in listed
    ):
        raise ConfigurationError(
            f"api_key={wanted!r}: expected True or names of scopes"
        )
    return tuple(listed)


# -- addresses -------------------------------------------------------------------


def allowed_from_view(view: Any, info: Any) -> Any:
    """Derive a view for some addresses only, from ``allow_from``.

    What counts is the address of the connection, or the one that a trusted proxy names.

    :raises ConfigurationError: for what is no address or network.
    """
    given = info.options.get("allow_from")
    if not given:
        return view
    words = given.split() if isinstance(given, str) else given
    networks = TrustedProxies(words, "allow_from")

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
    ``request.signed``.

    :raises ConfigurationError: where the option is not what it must be.
    """
    wanted = info.options.get("signed")
    if not wanted:
        return view
    if wanted is not True and not isinstance(wanted, str):
        raise ConfigurationError(
            f"signed={wanted!r}: expected True or a profile's name"
        )
    name = DEFAULT_PROFILE if wanted is True else wanted
    if name not in trust_of(info.registry).profiles:
        raise ConfigurationError(f"signed={wanted!r}: no signing profile {name!r}")

    def with_signature(context: Any, request: Request) -> Response:
        trust = trust_of(request.registry)
        request.add_finished_callback(_close_kept)
        request.signed = verify(
            trust.profiles[name],
            wire_parts(request.environ),
            spooled(request.environ),
            trust.signing_ring(),
            time.time(),
            nonces=trust.nonces,
        )
        return view(context, request)

    return with_signature


def _close_kept(request: Request) -> None:
    kept = request.environ.pop(KEPT, None)
    if kept is not None:
        kept.close()


signed_view.options = ("signed",)  # type: ignore[attr-defined]


def spooled(environ: dict[str, Any]) -> Iterator[bytes]:
    """Yield the body of a request, and leave it to be read again from its start.

    :param environ: the WSGI environ; ``wsgi.input`` is replaced where it cannot be
        rewound, and CONTENT_LENGTH set where only the server knew it.
    """
    stream, length = environ["wsgi.input"], environ.get("CONTENT_LENGTH")
    if not length and not environ.get("wsgi.input_terminated"):
        return
    if _is_seekable(stream):
        stream.seek(0)
        kept = None
    else:
        kept = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
    left = int(length) if length else None
    size = 0
    while left is None or left > 0:
        piece = stream.read(PIECE if left is None else min(PIECE, left))
        if not piece:
            break
        size += len(piece)
        left = None if left is None else left - len(piece)
        if kept is not None:
            kept.write(piece)
        yield piece
    again = stream if kept is None else kept
    again.seek(0)
    if kept is not None:
        environ["wsgi.input"] = environ[KEPT] = kept
        environ["webob.is_body_seekable"] = True
    if size or length:
        environ["CONTENT_LENGTH"] = str(size)
        environ.pop("HTTP_TRANSFER_ENCODING", None)


def _is_seekable(stream: Any) -> bool:
    seekable = getattr(stream, "seekable", None)
    return bool(seekable and seekable())
