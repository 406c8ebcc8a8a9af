"""Which method a POST really means: a form field or a header may say so.

Pure rules over values and one bounded look at the body of a form; the tween
(``tweens``) and the WSGI filter (``middleware``) both call :func:`apply`.

The rules: only POST is looked at; the query never is. The form field comes
first, then the header. GET, HEAD, TRACE and CONNECT can never be asked for (they
would skip the CSRF check, reflect credentials, or ask for a tunnel).

:func:`from_client` is how this package reads ``wsgi.input``, here and when forwarding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes

from pyramid_restproxy.exceptions import MalformedRequest, OverrideRejected
from pyramid_restproxy.grammar import environ_key, media_type_of
from pyramid_restproxy.settings import Settings

__all__ = [
    "ORIGINAL",
    "SCRIPTED",
    "Override",
    "OverridePolicy",
    "PushedBack",
    "UnreadableBody",
    "apply",
    "decide",
    "form_values",
    "from_client",
    "is_led_away",
    "is_seekable",
    "read_up_to",
]

#: Environ key of the method on the request line, set when an override is applied.
ORIGINAL = "http_method_override.original_method"
#: Environ key of where an override came from, ``field`` or ``header``.
SOURCE = "http_method_override.source"
#: Environ key of the field by which ``static/forms.js`` marks its requests.
SCRIPTED = "HTTP_X_REST_FORM"

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"

# RFC 2046 section 5.1.1, as a bare or a quoted parameter.
_BOUNDARY = re.compile(
    r';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE
)
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s;"]*)', re.IGNORECASE)
# A field of a part that goes on in the next line (RFC 5322 section 2.2.3).
_FOLD = re.compile(rb"\r\n(?=[ \t])")
# What may stand around a method, in a field and in a header.
_BLANKS = " \t\r\n"
_DISPOSITION = re.compile(rb"^content-disposition:\s*form-data\s*;(.*)$", re.I | re.M)
_PARAMETER = re.compile(rb';?\s*([a-z*]+)\s*=\s*(?:"([^"]*)"|([^\s;]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OverridePolicy:
    """What may be overridden, and how it is asked for.

    :ivar targets: the methods that may be asked for.
    :ivar field: name of the form field, empty for none.
    :ivar headers: environ keys of the header fields.
    :ivar reject: whether a request with a bad override is refused; else it stays POST.
    :ivar peek: how many bytes of a form are looked at.
    """

    targets: frozenset[str] = frozenset({"PUT", "PATCH", "DELETE"})
    field: str = "_method"
    headers: tuple[str, ...] = ("HTTP_X_HTTP_METHOD_OVERRIDE",)
    reject: bool = False
    peek: int = 65536

    @classmethod
    def from_settings(cls, settings: Settings) -> OverridePolicy:
        """Read the policy from ``restproxy.override.*``."""
        return cls(
            targets=frozenset(settings.override_methods),
            field=settings.override_field,
            headers=tuple(environ_key(name) for name in settings.override_headers),
            reject=settings.override_on_invalid == "reject",
            peek=settings.override_peek,
        )


@dataclass(frozen=True, slots=True)
class Override:
    """An override that is to be applied.

    :ivar method: the method that the request means.
    :ivar source: ``'field'`` or ``'header'``.
    """

    method: str
    source: str


# -- the rule -----------------------------------------------------------------


def decide(
    fields: list[str], headers: list[str], policy: OverridePolicy
) -> Override | None:
    """Decide what a POST request means.

    :param fields: values of the form field, in order.
    :param headers: values of the header fields, in order.
    :returns: the override, or None where the request stays POST.
    :raises OverrideRejected: only where the policy rejects.
    """
    asked_field = _asked(fields)
    asked_header = _asked(headers)
    if policy.reject and len({*asked_field, *asked_header}) > 1:
        raise OverrideRejected(
            "ambiguous", "The request asks for more than one method override."
        )
    if asked_field:
        found = Override(asked_field[-1], "field")  # the last one, as form parsers do
    elif asked_header:
        found = Override(asked_header[0], "header")
    else:
        return None
    if found.method in policy.targets:
        return found
    if policy.reject:
        raise OverrideRejected(
            "target", "The request asks for a method override that is not allowed."
        )
    return None


def _asked(values: list[str]) -> list[str]:
    stripped = [value.strip(_BLANKS) for value in values]
    return [value.upper() for value in stripped if value]


def apply(environ: MutableMapping[str, Any], policy: OverridePolicy) -> Override | None:
    """Give a request the method that it means.

    :param environ: the WSGI environ; ``REQUEST_METHOD`` is changed, the original
        is kept under :data:`ORIGINAL`, the body stays readable from its start.
    :returns: what was applied, or None.
    :raises OverrideRejected: only where the policy rejects.
    """
    if environ["REQUEST_METHOD"] != "POST":
        return None
    headers = [environ[key] for key in policy.headers if key in environ]
    found = decide(peek_fields(environ, policy), headers, policy)
    if found:
        environ[ORIGINAL], environ[SOURCE] = "POST", found.source
        environ["REQUEST_METHOD"] = found.method
    return found


# -- the look at the form -----------------------------------------------------


def peek_fields(environ: MutableMapping[str, Any], policy: OverridePolicy) -> list[str]:
    """Return the values of the override field in the first bytes of a form.

    Anything but a form, by its Content-Type, is not read at all; nor is a form in
    another charset than UTF-8, of which the application could read nothing (WebOb
    refuses it), nor a body of unknown length that the server does not end.
    """
    content_type = environ.get("CONTENT_TYPE") or ""
    if not policy.field or media_type_of(content_type) not in (URLENCODED, MULTIPART):
        return []
    if not _is_utf8(content_type):
        return []
    prefix, complete = _peek(environ, policy.peek)
    name = policy.field.encode("utf-8")
    if name not in prefix and b"%" not in prefix:
        return []  # most forms: nothing to take apart
    return form_values(content_type, prefix, complete, name)


def _is_utf8(content_type: str) -> bool:
    found = _CHARSET.search(content_type)
    return found is None or found[1].lower() in ("", "utf-8", "utf8")


def _peek(environ: MutableMapping[str, Any], limit: int) -> tuple[bytes, bool]:
    """Read at most `limit` bytes of the body and put them back."""
    length = _body_length(environ)
    if length == 0:
        return b"", True
    stream = environ["wsgi.input"]
    wanted = limit if length is None else min(length, limit)
    if is_seekable(stream):
        start = stream.tell()
        prefix = read_up_to(stream, wanted)
        stream.seek(start)
    else:
        prefix = read_up_to(stream, wanted)
        environ["wsgi.input"] = PushedBack(prefix, stream)
    return prefix, len(prefix) < wanted or length == len(prefix)


def is_seekable(stream: Any) -> bool:
    """Say whether a body is a file of the server's own, as waitress makes it."""
    try:
        return bool(stream.seekable())
    except AttributeError:  # nearly all others
        return False


def _body_length(environ: MutableMapping[str, Any]) -> int | None:
    """Return the length in bytes; 0 for none to read, None for unknown but ended."""
    value = environ.get("CONTENT_LENGTH")
    if value:
        fits = value.isascii() and value.isdigit() and len(value) < 19
        return int(value) if fits else 0
    return None if environ.get("wsgi.input_terminated") else 0


class UnreadableBody(MalformedRequest):
    """The body of a request breaks off, or its chunks are none (RFC 9112 section 7.1).

    What the server's reader raised, where it did, is its ``__cause__``.
    """

    def __init__(self) -> None:
        super().__init__("The body of the request cannot be read to its end.")


def from_client(read: Callable[[int], bytes], size: int) -> bytes:
    """Read some bytes of what a client sends.

    The only place where what a server's reader raises becomes ours. PEP 3333 does not
    say what that is (gunicorn has plain exceptions of its own, others raise OSError),
    and whatever it is, the bytes of the client are the cause, not the application.

    :param read: a method of ``wsgi.input``.
    :param size: bytes, as the method takes it.
    :raises UnreadableBody: where it raises anything.
    """
    try:
        return read(size)
    except UnreadableBody:
        raise
    except Exception as error:
        raise UnreadableBody() from error


def read_up_to(stream: BinaryIO, wanted: int) -> bytes:
    """Read `wanted` bytes, or up to the end; a socket may give fewer at a time.

    :raises UnreadableBody: where the server's reader raises anything.
    """
    pieces = []
    while wanted > 0:
        piece = from_client(stream.read, wanted)
        if not piece:
            break
        pieces.append(piece)
        wanted -= len(piece)
    return b"".join(pieces)


class PushedBack:
    """A body with its first bytes read and put back; as ``wsgi.input`` (PEP 3333).

    :param prefix: the bytes that were read.
    :param rest: the stream that they were read from.
    """

    def __init__(self, prefix: bytes, rest: BinaryIO) -> None:
        self._prefix = prefix
        self._rest = rest

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, all where it is negative or None."""
        if size is None or size < 0:
            prefix, self._prefix = self._prefix, b""
            return prefix + from_client(self._rest.read, -1)
        piece, self._prefix = self._prefix[:size], self._prefix[size:]
        # One short read is allowed, an empty one before the end is not.
        return piece or from_client(self._rest.read, size)

    def readline(self, size: int | None = -1) -> bytes:
        """Read one line, of up to `size` bytes where it is not negative."""
        limit = -1 if size is None else size
        end = self._prefix.find(b"\n") + 1
        if end or 0 <= limit <= len(self._prefix):
            cut = end or limit
            return self.read(cut if limit < 0 else min(cut, limit))
        piece, self._prefix = self._prefix, b""
        left = limit - len(piece) if limit >= 0 else -1
        return piece + from_client(self._rest.readline, left)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """Read the lines that are left."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")


# -- the forms ----------------------------------------------------------------


def form_values(
    content_type: str, prefix: bytes, complete: bool, name: bytes
) -> list[str]:
    """Find the values of one field in the first bytes of a form.

    Never raises: what is not well-formed has no value.

    :param content_type: the Content-Type field, with its parameters.
    :param prefix: the first bytes of the body.
    :param complete: whether they are the whole body.
    :param name: the field, as bytes.
    :returns: the values, in order, bytes that are not ASCII as escapes, so that such
        a value counts and is no method; one that the prefix cuts off, and a file part,
        do not count.
    """
    if media_type_of(content_type) == URLENCODED:
        found = _urlencoded(prefix, complete, name)
    else:
        found = _multipart(content_type, prefix, name)
    return [value.decode("ascii", "backslashreplace") for value in found]


def _urlencoded(prefix: bytes, complete: bool, name: bytes) -> Iterator[bytes]:
    pairs = prefix.split(b"&")
    for pair in pairs if complete else pairs[:-1]:
        key, _, value = pair.partition(b"=")
        if key == name or (b"%" in key and _decoded(key) == name):
            yield _decoded(value)


def _decoded(quoted: bytes) -> bytes:
    if b"%" not in quoted and b"+" not in quoted:
        return quoted  # nearly every value that is a method
    return unquote_to_bytes(quoted.replace(b"+", b" "))


def _multipart(content_type: str, prefix: bytes, name: bytes) -> Iterator[bytes]:
    """Yield the values of plain parts that end within the prefix (RFC 7578)."""
    match = _BOUNDARY.search(content_type)
    if not match:
        return
    delimiter = b"\r\n--" + cast(str, match[1] or match[2]).encode("latin-1", "replace")
    # The last piece is cut off, or is what follows the closing delimiter.
    for part in (b"\r\n" + prefix).split(delimiter)[1:-1]:
        part = part.lstrip(b" \t")  # RFC 2046 section 5.1.1: transport padding
        head, separator, value = part.partition(b"\r\n\r\n")
        if separator and part.startswith(b"\r\n") and _plain_field(head) == name:
            yield value


def _plain_field(head: bytes) -> bytes | None:
    """Return the name of a part; None for a file or where there is none."""
    disposition = _DISPOSITION.search(_FOLD.sub(b"", head))
    if not disposition:
        return None
    found = {
        key.lower(): quoted or bare
        for key, quoted, bare in _PARAMETER.findall(disposition[1].rstrip(b"\r"))
    }
    if b"filename" in found or b"filename*" in found:
        return None
    return found.get(b"name")


def is_led_away(method: str, status: int, location: str | None) -> bool:
    """Say whether an answer is a redirect that forms follow with GET.

    The script of forms is told so in a 200, beside Location, and the browser goes
    there. By itself ``fetch`` repeats PUT, PATCH and DELETE at the target of a 301 or
    302, where DELETE would do harm, and reads a page that the browser asks for once
    more. 307 and 308 mean that the method is repeated (RFC 9110 section 15.4).

    Not after GET and HEAD, which the script does not send: a cache on the way would
    keep the 200, and give it to others in the place of the redirect.
    """
    is_redirect = status in (301, 302, 303) and bool(location)
    return is_redirect and method not in ("GET", "HEAD")
