"""An answer as a ``requests.Response``, for those who call through a session.

What is rarely looked at (urllib3's reader, the folded headers, the cookie jar) is
made when it is first asked for.
"""

from __future__ import annotations

import http.client
import io
from collections.abc import Generator
from datetime import timedelta
from functools import cached_property
from typing import Any

from requests import PreparedRequest, Response
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPHeaderDict, HTTPResponse

from pyramid_restproxy.forwarding.wire.answer import Body, Head

__all__ = ["BodyFile", "WireResponse"]


class BodyFile(io.RawIOBase):
    """A body as a file.

    :param body: where the pieces come from.
    """

    def __init__(self, body: Body) -> None:
        super().__init__()
        self._body = body
        self._left = b""

    def readable(self) -> bool:
        """Say that this is read from."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is, up to the size of `buffer`."""
        piece = self.read1(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def read1(self, size: int = -1) -> bytes:
        """Return the next piece, or its first `size` bytes."""
        piece = self._left or self._body.read_piece()
        cut = len(piece) if size is None or size < 0 else size
        self._left = piece[cut:]
        return piece[:cut]

    def close(self) -> None:
        """Give up what is left."""
        if not self.closed:
            self._body.close()
        super().close()


class _OriginalResponse:
    """What the cookie code of ``requests`` asks of an ``http.client`` response."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self.msg = http.client.HTTPMessage()
        for name, value in fields:
            if name.lower() == "set-cookie":
                self.msg[name] = value

    def isclosed(self) -> bool:
        """Say that urllib3 has nothing to close here."""
        return True

    def close(self) -> None:
        """Do nothing: the body closes the connection."""


class _Reader(HTTPResponse):
    """urllib3's decoding reader, which hands out pieces as they come."""

    def stream(
        self, amt: int | None = 65536, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """Yield pieces of at most `amt` bytes, none held back until there are more."""
        decode = decode_content and "content-encoding" in self.headers
        while (
            piece := self.read1(amt, decode_content=True) if decode else self._next(amt)
        ):
            yield piece

    def _next(self, amt: int | None) -> bytes:
        """Return what came, as it came, without the bookkeeping of decoding."""
        return self._fp.read1(  # type: ignore[union-attr]
            -1 if amt is None else amt
        )


class WireResponse(Response):
    """A response whose parts are made when they are first asked for.

    :param request: what was sent.
    :param head: the head of the answer.
    :param body: its content.
    :param connection: the adapter, where auth handlers send again.
    """

    def __init__(
        self, request: PreparedRequest, head: Head, body: Body, connection: Any
    ) -> None:
        # Response.__init__ makes a cookie jar and a dictionary for every answer; the
        # attributes below are all that it sets.
        self._content: Any = False
        self._content_consumed = False
        self._next: PreparedRequest | None = None
        self.status_code = head.status
        self.reason = head.reason
        self.url = request.url or ""
        self.history = []
        self.elapsed = timedelta(0)
        self.request = request
        self.connection = connection
        self._head = head
        self._body = body

    @cached_property
    def _fields(self) -> HTTPHeaderDict:
        fields = HTTPHeaderDict()
        for name, value in self._head.fields:
            fields.add(name, value)
        return fields

    @cached_property
    def headers(self) -> CaseInsensitiveDict[str]:  # type: ignore[override]
        """The fields, repeated ones joined by commas."""
        return CaseInsensitiveDict(self._fields)

    @cached_property
    def encoding(self) -> str | None:  # type: ignore[override]
        """The charset that Content-Type names."""
        return get_encoding_from_headers(self.headers)

    @property
    def content(self) -> Any:
        """The content, decoded; as bytes."""
        if self._content is not False:
            return self._content
        if self._content_consumed or self._is_encoded:
            return super().content
        # The bytes are the content: no need of urllib3's reader.
        begun = "_file" in vars(self)
        read = self._file.read1 if begun else self._body.read_piece
        self._content = b"".join(iter(read, b""))
        self._content_consumed = True
        return self._content

    @property
    def _is_encoded(self) -> bool:
        return "content-encoding" in [name.lower() for name, _ in self._head.fields]

    @cached_property
    def _file(self) -> BodyFile:
        return BodyFile(self._body)

    @cached_property
    def cookies(self) -> RequestsCookieJar:  # type: ignore[override]
        """The cookies that this answer sets."""
        jar = RequestsCookieJar()
        extract_cookies_to_jar(jar, self.request, self.raw)
        return jar

    @cached_property
    def raw(self) -> HTTPResponse:  # type: ignore[override]
        """urllib3's view of the answer, its fields on lines of their own."""
        return _Reader(
            body=self._file,
            headers=self._fields,
            status=self.status_code,
            reason=self.reason,
            preload_content=False,
            decode_content=False,
            request_method=self.request.method,
            original_response=_OriginalResponse(self._head.fields),  # type: ignore
        )
