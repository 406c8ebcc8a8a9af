"""One exchange of a client: a call out, its answer in.

A call goes straight over the keep-alive transport: what ``requests`` makes of a small
one (a prepared request, a response, headers in three forms) costs as much as the rest
of it. Where somebody else has a part in it, a session of the caller's or an ``auth``
object, it goes the way of ``requests``. What is sent and read is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict

from pyramid_restproxy.forwarding.wire.adapter import KeepAliveAdapter, origin_of
from pyramid_restproxy.forwarding.wire.answer import Body, Head
from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.opening import Origin
from pyramid_restproxy.forwarding.wire.request import encode_head

__all__ = ["Answer", "Exchange"]

#: What a call says of its client where nobody says more.
USUAL = {"User-Agent": "pyramid_restproxy"}
#: How much of an answer is read at a time where ``requests`` reads it, bytes.
BLOCK = 65536


class Answer:
    """An answer whose head has been read.

    :ivar status: the HTTP status.
    :ivar reason: the reason phrase.
    :ivar pieces: its content, as it comes.
    :ivar close: ends it, where it is not read to its end.
    """

    __slots__ = ("status", "reason", "pieces", "close", "_fields")

    def __init__(
        self,
        status: int,
        reason: str,
        fields: Iterable[tuple[str, str]],
        pieces: Iterator[bytes],
        close: Callable[[], None],
    ) -> None:
        self.status = status
        self.reason = reason
        self.pieces = pieces
        self.close = close
        self._fields = {name.lower(): value for name, value in fields}

    def field(self, name: str) -> str:
        """Return the value of a field, empty without one.

        :param name: in lower case.
        """
        return self._fields.get(name, "")

    @classmethod
    def of_wire(cls, head: Head, body: Body) -> Answer:
        """Make one of what the transport read."""
        pieces = iter(body.read_piece, b"")
        return cls(head.status, head.reason, head.fields, pieces, body.close)

    @classmethod
    def of_response(cls, found: requests.Response) -> Answer:
        """Make one of a response of ``requests``."""
        pieces = found.iter_content(BLOCK)
        fields = found.headers.items()
        return cls(found.status_code, found.reason, fields, pieces, found.close)


class Exchange:
    """Sends calls below a URL.

    :param url: without a slash at its end.
    :param headers: of every call.
    :param auth: as in ``requests``.
    :param timeout: seconds, for connecting and between two bytes, or a pair.
    :param session: one of the caller's; its own has no cookies. The environment is not
        asked in either case.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        auth: Any,
        timeout: float | tuple[float, float] | None,
        session: requests.Session | None,
    ) -> None:
        self._url = url
        self._headers = headers
        self._auth = HTTPBasicAuth(*auth) if isinstance(auth, tuple) else auth
        self._timeout = timeout
        self._adapter: KeepAliveAdapter | None = None
        if session is None:
            self._adapter = KeepAliveAdapter()
            session = _session(self._adapter)
        self._session = session

    def send(self, name: str, body: Any) -> Answer:
        """Call a service.

        :param name: of the service, as it is; may hold slashes.
        :param body: bytes, or an iterable of bytes with a length in bytes.
        :raises requests.RequestException: where there is no answer.
        """
        if self._adapter is not None and self._auth is None:
            return self._straight(self._adapter, quote(name), body)
        prepared = self._prepared(quote(name), body)
        if self._adapter is not None and not prepared.hooks["response"]:
            # nothing looks at the answer: no need of what a session does with it
            found = self._adapter.send(prepared, stream=True, timeout=self._timeout)
        else:
            found = self._session.send(
                prepared,
                stream=True,
                timeout=self._timeout,
                allow_redirects=False,
                proxies=self._session.proxies,  # and none of the environment's
            )
        return Answer.of_response(found)

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()

    # -- straight -------------------------------------------------------------

    def _straight(self, adapter: KeepAliveAdapter, path: str, body: Any) -> Answer:
        fields = [*self._fields, ("Content-Length", str(len(body)))]
        head, content = adapter.exchange(
            self._origin,
            encode_head("POST", f"{self._path}/{path}", fields),
            body,
            method="POST",
            connect_timeout=self._timeouts[0],
            deadline=Deadline(self._timeouts[1], None),
        )
        return Answer.of_wire(head, content)

    @cached_property
    def _origin(self) -> Origin:
        return origin_of(self._url)

    @cached_property
    def _path(self) -> str:
        return urlsplit(self._url).path

    @cached_property
    def _fields(self) -> list[tuple[str, str]]:
        given = CaseInsensitiveDict({"Host": self._origin.authority} | USUAL)
        given.update(self._headers)
        return list(given.items())

    @cached_property
    def _timeouts(self) -> tuple[float | None, float | None]:
        given = self._timeout
        return given if isinstance(given, tuple) else (given, given)

    # -- the way of requests --------------------------------------------------

    def _prepared(self, path: str, body: Any) -> requests.PreparedRequest:
        # requests' own preparation costs as much as all the rest of a small call
        prepared = requests.PreparedRequest()
        prepared.method = "POST"
        prepared.url = f"{self._url}/{path}"
        prepared.headers = CaseInsensitiveDict(USUAL)
        if self._adapter is None:
            prepared.headers.update(_headers_of(self._session))
        prepared.headers.update(self._headers)
        prepared.headers["Content-Length"] = str(len(body))
        prepared.body = body
        prepared.hooks = default_hooks()
        prepared.prepare_cookies(self._session.cookies)  # auth handlers expect a jar
        auth = self._session.auth if self._auth is None else self._auth
        if auth is not None:
            prepared.prepare_auth(auth)
        prepared.prepare_hooks(self._session.hooks)
        return prepared


def _headers_of(session: requests.Session) -> dict[str, Any]:
    """Return the headers that somebody gave a session, without those that all have."""
    usual = requests.utils.default_headers()
    return {
        name: value
        for name, value in session.headers.items()
        if value is not None and value != usual.get(name)
    }


def _session(adapter: KeepAliveAdapter) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no netrc, no proxy of the environment
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://", "http+unix://"):
        session.mount(scheme, adapter)
    return session
