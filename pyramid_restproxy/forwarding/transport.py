"""Sending through an adapter: ours directly, any other of ``requests`` with checks.

Both ways give an :class:`Answer` of the same quality: fields on lines of their own,
content undecoded and in pieces as they come, framing and field values checked.
"""

from __future__ import annotations

import re
from functools import lru_cache
from http.client import HTTPException
from types import NoneType
from typing import Any

import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import SKIP_HEADER

from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.fields import FieldList, Fields
from pyramid_restproxy.forwarding.model import Answer, AnswerBody
from pyramid_restproxy.forwarding.wire import KeepAliveAdapter
from pyramid_restproxy.forwarding.wire.adapter import origin_of
from pyramid_restproxy.forwarding.wire.deadlines import Deadline
from pyramid_restproxy.forwarding.wire.errors import MalformedAnswer, TruncatedBody
from pyramid_restproxy.forwarding.wire.opening import proxy_credentials
from pyramid_restproxy.forwarding.wire.request import blocks, encode_head
from pyramid_restproxy.settings import BackendSettings

__all__ = ["Outgoing", "send"]

#: How much is read of another adapter's answer at a time, bytes.
PIECE = 65536

#: What no value has, and no reason phrase (RFC 9110 section 5.5, RFC 9112 section 4).
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_origin_of = lru_cache(maxsize=1024)(origin_of)


class Outgoing:
    """A request as it goes over the wire to one destination.

    :ivar target: path and query, percent-encoded.
    :ivar fields: everything, Host and framing included.
    :ivar deadline: the limits of the exchange; shared by the attempts of a call.
    """

    __slots__ = ("method", "target", "fields", "body", "length", "deadline")

    def __init__(
        self,
        method: str,
        target: str,
        fields: Fields,
        body: Any,
        length: int | None,
        deadline: Deadline,
    ) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
        self.length = length
        self.deadline = deadline


def send(
    adapter: BaseAdapter,
    outgoing: Outgoing,
    destination: Destination,
    options: BackendSettings,
) -> Answer:
    """Send a request and read the head of its answer.

    :raises requests.RequestException, OSError, ValueError, http.client.HTTPException:
        whatever the adapter raises; see ``failures``.
    """
    deadline = outgoing.deadline
    has_total = deadline.at is not None
    if has_total and not isinstance(outgoing.body, (bytes, NoneType)):
        outgoing.body = deadline.without(blocks(outgoing.body))
    if isinstance(adapter, KeepAliveAdapter):
        answer = _send_wire(adapter, outgoing, destination, options)
    else:
        answer = _send_foreign(adapter, outgoing, destination, options)
    if has_total:
        answer.body = TimedBody(answer.body, deadline)
    return answer


class TimedBody:
    """The content of an answer that has a total time, which is the backend's.

    It stands still between two pieces: how fast the client takes them is not the
    backend's fault.

    :param body: the content.
    :param deadline: of the exchange.
    """

    __slots__ = ("_body", "_deadline")

    def __init__(self, body: AnswerBody, deadline: Deadline) -> None:
        self._body = body
        self._deadline = deadline
        deadline.pause()

    @property
    def at_end(self) -> bool:
        """Whether all of it has been read."""
        return self._body.at_end

    def read_piece(self) -> bytes:
        """Return the next piece, none at the end.

        :raises DeadlineExceeded: where the time is over.
        """
        self._deadline.resume()
        try:
            if not self._body.at_end:
                self._deadline.wait()  # adapters of others do not look
            return self._body.read_piece()
        finally:
            self._deadline.pause()

    def close(self) -> None:
        """Give up what is left."""
        self._body.close()


def _send_wire(
    adapter: KeepAliveAdapter,
    outgoing: Outgoing,
    destination: Destination,
    options: BackendSettings,
) -> Answer:
    origin = _origin_of(
        destination.url, options.via_proxy, options.verify, options.cert
    )
    target, fields = outgoing.target, outgoing.fields
    if origin.proxy and origin.scheme == "http":  # RFC 9112 section 3.2.2
        target = f"http://{destination.authority}{target}"
        credentials = proxy_credentials(origin.proxy)
        if credentials:
            fields = [*fields, ("Proxy-Authorization", credentials)]
    head, body = adapter.exchange(
        origin,
        encode_head(outgoing.method, target, fields),
        outgoing.body,
        method=outgoing.method,
        chunked=outgoing.length is None,
        connect_timeout=options.connect_timeout,
        deadline=outgoing.deadline,
    )
    return Answer(head.status, head.reason, FieldList(head.fields), body)


# -- other adapters -----------------------------------------------------------------


def _send_foreign(
    adapter: BaseAdapter,
    outgoing: Outgoing,
    destination: Destination,
    options: BackendSettings,
) -> Answer:
    proxies = {"http": options.via_proxy, "https": options.via_proxy}
    response = adapter.send(
        _prepared(outgoing, destination),
        stream=True,
        timeout=(options.connect_timeout, outgoing.deadline.wait()),  # type: ignore
        verify=options.verify,
        cert=options.cert,
        proxies={k: v for k, v in proxies.items() if v},
    )
    try:
        return _checked(response)
    except BaseException:
        response.close()
        raise


class _Prepared(requests.PreparedRequest):
    """A prepared request whose target is the one that was signed.

    Made of the URL it would be another one: without a ``?`` that nothing follows.
    """

    target = ""

    @property
    def path_url(self) -> str:
        """The target, path and query."""
        return self.target


def _prepared(outgoing: Outgoing, destination: Destination) -> requests.PreparedRequest:
    """Make a prepared request that says what we say, and nothing more."""
    prepared = _Prepared()
    prepared.target = outgoing.target
    prepared.method = outgoing.method
    root = destination.url[: len(destination.url) - len(destination.base_path)]
    prepared.url = root.rstrip("/") + outgoing.target
    headers = requests.structures.CaseInsensitiveDict[Any]()
    for name, value in outgoing.fields:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    for name in ("User-Agent", "Accept-Encoding"):
        headers.setdefault(name, SKIP_HEADER)  # else urllib3 invents them
    prepared.headers = headers
    prepared.body = outgoing.body
    return prepared


def _checked(response: requests.Response) -> Answer:
    """Check what http.client lets through.

    :raises MalformedAnswer: for lost fields, control characters in values and in the
        reason, framing that two parsers read in two ways, and answers that are none.
    """
    raw = response.raw
    fields = list(raw.headers.items())
    original = getattr(getattr(raw, "_original_response", None), "msg", None)
    if getattr(original, "defects", None):
        raise MalformedAnswer("the head is not well-formed")
    if not 200 <= response.status_code <= 599:
        raise MalformedAnswer(f"status {response.status_code}")
    reason = response.reason or ""
    if any(map(_CONTROL.search, [reason, *(value for _, value in fields)])):
        raise MalformedAnswer("a field or the reason has a control character")
    _check_framing(fields)
    return Answer(
        response.status_code, reason, FieldList(fields), ForeignBody(response)
    )


def _check_framing(fields: Fields) -> None:
    lengths = {
        value.strip() for name, value in fields if name.lower() == "content-length"
    }
    codings = [
        value.strip().lower()
        for name, value in fields
        if name.lower() == "transfer-encoding"
    ]
    if len(lengths) > 1 or not all(v.isascii() and v.isdigit() for v in lengths):
        raise MalformedAnswer("Content-Length is not one number")
    if codings and (lengths or codings != ["chunked"]):
        raise MalformedAnswer("Transfer-Encoding is not chunked alone")


class ForeignBody:
    """The content of another adapter's answer, undecoded."""

    at_end = False  # known when a piece is asked for and none comes

    def __init__(self, response: requests.Response) -> None:
        self._response = response

    def read_piece(self) -> bytes:
        """Return the next piece as it comes, none at the end."""
        raw = self._response.raw
        read = getattr(raw, "read1", raw.read)
        try:
            piece: bytes = read(PIECE, decode_content=False)
        except (OSError, ValueError, HTTPException, HTTPError) as error:
            raise TruncatedBody(f"the body was cut off: {error}") from error
        return piece

    def close(self) -> None:
        """Give the connection back, or up."""
        self._response.close()
