"""Contents that transforms read or replace, and what is said of them in the head.

The filters are for ``transforms``, which hands them on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pyramid_restproxy.exceptions import needs
from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.charsets import (
    UTF_8,
    charset_of_page,
    charset_with_label,
)
from pyramid_restproxy.forwarding.fields import names_set, one_or_several
from pyramid_restproxy.forwarding.model import Answer, ProxyCall, ResponseTransform
from pyramid_restproxy.grammar import media_type_of

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

__all__ = ["charset_of", "html_filter", "json_filter", "reads_body", "settle"]

_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]+)', re.IGNORECASE)

#: A body that a filter reads whole must not be larger, bytes.
MAX_FILTERED = 2 * 1024 * 1024


def json_filter(drop: str | Iterable[str]) -> ResponseTransform:
    """Take members out of JSON answers, at any depth; they are sent on in UTF-8.

    A number that is too large for a float, as 1e400 is, makes the answer a 502: it
    could not be written again (RFC 8259 section 6).

    :param drop: names of members.
    """
    names = frozenset(one_or_several(drop))

    def change(content: bytes, label: str) -> tuple[bytes, str]:
        left = _without(_parsed(content, label), names)
        return json.dumps(left, allow_nan=False).encode("utf-8"), UTF_8.name

    return _filter(lambda name: name.endswith(("/json", "+json")), change)


def _parsed(content: bytes, label: str) -> Any:
    """Parse JSON, which is in UTF-8 (RFC 8259 section 8.1), or in the charset named.

    :raises ValueError: for what is no JSON.
    """
    try:
        return json.loads(content)
    except UnicodeDecodeError:
        charset = charset_with_label(label)
        if charset is None:
            raise
        return json.loads(content.decode(charset.codec))


def _without(value: Any, names: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {k: _without(v, names) for k, v in value.items() if k not in names}
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    return value


def html_filter(remove: str | Iterable[str]) -> ResponseTransform:
    """Take elements out of HTML answers.

    A page is read as browsers read it, and sent on in its own charset: in another one
    they would read its scripts and send its forms in that too.

    :param remove: CSS selectors.
    :raises MissingExtra: where selectolax is not installed.
    :raises ValueError: for what is no selector.
    """
    with needs("html", "selectolax", "html_filter"):
        from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    selectors = one_or_several(remove)
    for selector in selectors:
        try:
            LexborHTMLParser("").css(selector)
        except SelectolaxError as error:
            raise ValueError(f"{selector!r} is no CSS selector") from error

    def change(content: bytes, label: str) -> tuple[bytes, str]:
        charset = charset_of_page(content, label)
        text = charset.decode(content)
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        page = LexborHTMLParser(text[len(mark) :])
        return charset.encode(mark + _without_elements(page, selectors)), charset.name

    return _filter(lambda name: name == "text/html", change)


def _without_elements(page: LexborHTMLParser, selectors: Iterable[str]) -> str:
    root = page.root.mem_id if page.root else None
    for selector in selectors:
        for node in page.css(selector):
            if node.mem_id == root:  # the library refuses to take it out
                return ""
            node.decompose()
    return page.html or ""


def reads_body(transform: ResponseTransform) -> bool:
    """Say whether a transform reads the content, which then must not be compressed."""
    return getattr(transform, "reads_body", False)


def _filter(
    applies: Callable[[str], bool],
    change: Callable[[bytes, str], tuple[bytes, str]],
) -> ResponseTransform:
    """Make a transform that changes the content of answers of some media types.

    :param applies: whether it is for a media type.
    :param change: takes the content and the charset that Content-Type names, empty
        for none; gives the new content and its charset.
    """

    def transform(call: ProxyCall, answer: Answer) -> None:
        media_type = media_type_of(answer.headers.get("Content-Type"))
        part = answer.status == 206 and media_type == "multipart/byteranges"
        if not part and not applies(media_type):
            return
        if call.method == "HEAD" or answer.status in (204, 304):
            return _forget_content(answer)
        if answer.status == 206:  # RFC 9110 section 15.3.7: it may hide what must go
            raise ValueError("a part of a body cannot be filtered")
        content = _read_whole(answer)
        label = charset_of(answer)
        _replace(answer, *change(content, label) if content else (b"", UTF_8.name))

    transform.reads_body = True  # type: ignore[attr-defined]
    return transform


def settle(call: ProxyCall, answer: Answer, before: Answer) -> None:
    """Keep a body and what is said of it together, after a transform has run.

    A transform may put bytes in the place of the body: what described the old ones
    goes, unless the transform set it. Of a body that stays it cannot set the length.
    Another status has not the reason of the old one.

    :param before: a copy of the answer, made before the transform ran.
    :raises TypeError: for what is no body.
    """
    if answer.status != before.status and answer.reason == before.reason:
        answer.reason = ""
    content: object = answer.body
    chosen = names_set(before.headers.pairs, answer.headers.pairs)
    if isinstance(content, bytes):
        before.body.close()
        answer.headers.remove(*_OF_CONTENT - chosen | {"content-length"})
        bare = answer.status in (204, 304)
        answer.body = BytesBody(b"" if bare or call.method == "HEAD" else content)
        if not bare:
            answer.headers.set("Content-Length", str(len(content)))
    elif content is before.body:
        if "content-length" in chosen:
            answer.headers.remove("Content-Length")
            for length in before.headers.get_all("Content-Length"):
                answer.headers.add("Content-Length", length)
    elif not hasattr(content, "read_piece"):
        raise TypeError(f"the body of an answer is {type(content).__name__}, not bytes")


def charset_of(answer: Answer) -> str:
    """Return the charset that an answer names, in lower case; empty for none."""
    found = _CHARSET.search(answer.headers.get("Content-Type") or "")
    return found[1].lower() if found else ""


def _read_whole(answer: Answer) -> bytes:
    """Read a body that is to be changed.

    :raises ValueError: where it is compressed, or larger than the limit.
    """
    coding = answer.headers.get("Content-Encoding") or "identity"
    if coding.strip().lower() != "identity":
        raise ValueError(f"a body in {coding} cannot be filtered")
    pieces, size = [], 0
    while piece := answer.body.read_piece():
        pieces.append(piece)
        size += len(piece)
        if size > MAX_FILTERED:
            raise ValueError(f"a body over {MAX_FILTERED} bytes cannot be filtered")
    return b"".join(pieces)


#: Fields that describe the bytes of a content (lower case).
_OF_CONTENT = frozenset(
    {
        "accept-ranges",
        "content-digest",
        "content-length",
        "content-md5",
        "content-range",
        "digest",
        "etag",
        "repr-digest",
    }
)


def _forget_content(answer: Answer) -> None:
    """Take out what describes the bytes of the backend's content."""
    answer.headers.remove(*_OF_CONTENT)


def _replace(answer: Answer, content: bytes, charset: str) -> None:
    """Send other content: what described the old bytes goes.

    :param charset: of the content; named unless it goes without saying.
    """
    answer.body.close()
    answer.body = BytesBody(content)
    _forget_content(answer)
    answer.headers.set("Content-Length", str(len(content)))
    if charset_of(answer) or charset != UTF_8.name or not content.isascii():
        media_type = media_type_of(answer.headers.get("Content-Type"))
        answer.headers.set("Content-Type", f"{media_type}; charset={charset}")
