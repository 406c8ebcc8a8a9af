"""Sending through an adapter: ours directly, any other of ``requests`` with checks.

Both ways give an :class:`Answer` of the same quality: fields on lines of their own,
content undecoded and in pieces as they come, framing and field values checked.
"""

from __future__ import annotations

import re
from functools import lru_cache
from http.client import HTTPException
from typing import Any

import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import SKIP_HEADER

from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.fields import FieldList, Fields
from pyramid_restproxy.forwarding.model import Answer
from pyramid_restproxy.forwarding.wire import KeepAliveAdapter
from pyramid_restproxy.forwarding.wire.adapter import origin_of
from pyramid_restproxy.forwarding.wire.connections import Deadline, proxy_credentials
from pyramid_restproxy.forwarding.wire.errors import MalformedAnswer, TruncatedBody
from pyramid_restproxy.forwarding.wire.request import encode_head
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
    if isinstance(adapter, KeepAliveAdapter):
        return _send_wire(adapter, outgoing, destination, options)
    return _send_foreign(adapter, outgoing, destination, options)


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


def _prepared(outgoing: Outgoing, destination: Destination) -> requests.PreparedRequest:
    """Make a prepared request that says what we say, and nothing more."""
    prepared = requests.PreparedRequest()
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
