"""`HMACAuth`: sign what a `requests` session sends.

The body is sent as it is: bytes stay bytes, files are read once for the signature and
put back where they were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from pyramid.exceptions import ConfigurationError
from requests import PreparedRequest, Response
from requests.auth import AuthBase
from requests.exceptions import InvalidURL, UnrewindableBodyError
from requests.sessions import SessionRedirectMixin

from pyramid_restproxy.forwarding.fields import Fields
from pyramid_restproxy.trust.canonical import RequestParts
from pyramid_restproxy.trust.key_lines import FORMS, read_secret
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import RequestProfile
from pyramid_restproxy.trust.signing import Profile, sign

__all__ = ["HMACAuth", "body_pieces", "prepared_parts"]

#: How much of a file is read at once (bytes).
PIECE = 65536


class HMACAuth(AuthBase):
    """Sign requests, as ``auth=`` of a call or of a session.

    A signature is for one target: where a redirect is followed, it does not hold there.
    To another host it is not sent, as ``Authorization`` is not: one that is over the
    body alone could be used again.

    :param key_id: the id of the key.
    :param secret: the shared secret; str as settings have it (``base64:...``,
        ``hex:...``, ``whsec_...``, ``env:VARIABLE``, ``file:PATH``), other as UTF-8.
    :param profile: how; :class:`~.profiles.RequestProfile` where it is left out.
    :param clock: returns seconds since the epoch.
    :raises ConfigurationError: where the id or the secret cannot be one.
    """

    def __init__(
        self,
        key_id: str,
        secret: bytes | str,
        profile: Profile | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = KeyRing([Key(key_id, _secret(secret))])
        self._profile = profile or RequestProfile()
        self._clock = clock

    def __repr__(self) -> str:
        return f"HMACAuth({self._keys!r}, profile={self._profile.name!r})"

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        """Set the fields that carry the signature.

        :raises UnrewindableBodyError: where the body can be read only once.
        """
        fields = sign(
            self._profile,
            prepared_parts(r),
            body_pieces(r.body),
            self._keys,
            self._clock(),
        )
        for name, value in fields:
            r.headers[name] = value
        r.register_hook("response", _kept_from_others([name for name, _ in fields]))
        return r


def _kept_from_others(names: Sequence[str]) -> Callable[..., None]:
    """Return a hook that takes fields off before a redirect leads to another host."""
    redirects = SessionRedirectMixin()

    def hook(response: Response, **options: Any) -> None:
        location = redirects.get_redirect_target(response)
        if location is None:
            return
        leads_to = urljoin(response.url, location)
        if redirects.should_strip_auth(response.url, leads_to):
            for name in names:
                response.request.headers.pop(name, None)

    return hook


def _secret(given: bytes | str) -> bytes:
    """Read a secret; what is malformed is not repeated."""
    if isinstance(given, bytes):
        return given
    if not given.startswith(FORMS):
        return given.encode("utf-8")
    try:
        return read_secret(given)
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(f"HMACAuth: {problem}")


def prepared_parts(prepared: PreparedRequest) -> RequestParts:
    """Read the parts of a request that is about to be sent.

    :raises InvalidURL: where it has no URL or method.
    """
    if not prepared.url or not prepared.method:
        raise InvalidURL("a request without URL or method cannot be signed")
    url = urlsplit(prepared.url)
    path, _, query = prepared.path_url.partition("?")
    fields = [(_text(name), _text(value)) for name, value in prepared.headers.items()]
    return RequestParts(
        method=prepared.method,
        scheme=url.scheme.lower(),
        authority=_host(fields) or _authority(url),
        path=path,
        query=query,
        fields=fields,
    )


def _authority(url: SplitResult) -> str:
    # What KeepAliveAdapter sends as Host over a unix socket; its path is no host.
    return "localhost" if url.scheme == "http+unix" else url.netloc.rpartition("@")[2]


def _host(fields: Fields) -> str:
    return next((value for name, value in fields if name.lower() == "host"), "")


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def body_pieces(body: Any) -> Iterator[bytes]:
    """Read a body for its signature, and leave it as it was.

    :param body: bytes, str, a file that can be rewound, an iterable that can be gone
        through again, or None.
    :returns: its bytes; text as UTF-8, as `requests` sends it.
    :raises UnrewindableBodyError: for a body that can be read only once.
    """
    if body is None:
        return iter(())
    if isinstance(body, str):
        return iter([body.encode("utf-8")])
    if isinstance(body, (bytes, bytearray, memoryview)):
        return iter([bytes(body)])
    if hasattr(body, "read"):
        return _file_pieces(body)
    return map(_encoded, _iterated(body))


def _iterated(body: Iterable[bytes | str]) -> Iterator[bytes | str]:
    pieces = iter(body)
    if pieces is body:
        raise UnrewindableBodyError(
            "a generator can be read only once, so it cannot be signed and then sent; "
            "give bytes or a file"
        )
    return pieces


def _file_pieces(file: Any) -> Iterator[bytes]:
    try:
        start = file.tell()
        file.seek(start)
    except (AttributeError, OSError) as error:
        raise UnrewindableBodyError(
            "a file that cannot be rewound cannot be signed and then sent"
        ) from error
    while piece := file.read(PIECE):
        yield _encoded(piece)
    file.seek(start)


def _encoded(piece: bytes | str) -> bytes:
    return piece.encode("utf-8") if isinstance(piece, str) else piece
