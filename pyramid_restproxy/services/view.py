"""The view of a service: from a request to a call, and from its result to an answer.

In this order: scheme, method, User-Agent, guard, codec of the body, codec of the
answer, size, decoding, signature; then the call. What is wrong before the call is
a refusal and the function has not run.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from pyramid.httpexceptions import (
    HTTPError,
    HTTPException,
    HTTPForbidden,
    HTTPInternalServerError,
    HTTPNotFound,
    HTTPRequestEntityTooLarge,
    status_map,
)
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.exceptions import (
    MalformedRequest,
    MethodNotAllowed,
    NotAcceptable,
    RestProxyError,
    UnsupportedMediaType,
)
from pyramid_restproxy.forwarding.forwarded import TrustedProxies, is_https
from pyramid_restproxy.grammar import media_type_of
from pyramid_restproxy.negotiation import add_vary, best
from pyramid_restproxy.problems import (
    fields_of,
    forbid_sniffing,
    problem_of,
    to_envelope,
)
from pyramid_restproxy.routing.override import from_client, is_seekable
from pyramid_restproxy.services.codecs import Codec
from pyramid_restproxy.services.codecs.pieces import Buffer, size_of
from pyramid_restproxy.services.signature import Contract
from pyramid_restproxy.services.values import Failed, Finished, Progress, Undecodable
from pyramid_restproxy.settings import settings_of

__all__ = [
    "MAX_BATCH",
    "MAX_BODY",
    "RemoteException",
    "Service",
    "ServiceFailed",
    "ServiceView",
]

log = logging.getLogger(__name__)

#: How large the body of a call may be where nothing else is said, bytes.
MAX_BODY = 64 << 20
#: How many calls one batch may hold.
MAX_BATCH = 1000
#: How much of an answer is handed to the server at a time, bytes.
BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class RemoteException:
    """An exception that callers may see.

    :ivar kind: the class; subclasses count.
    :ivar name: what it is called on the wire.
    :ivar status: the HTTP status of its answer.
    """

    kind: type[Exception]
    name: str
    status: int = 422


@dataclass(frozen=True, slots=True)
class Service:
    """One service, as it was declared.

    :ivar name: its name.
    :ivar pattern: its route pattern, whole, with the slash at its beginning.
    :ivar call: makes a function to call from the request.
    :ivar contract: what it may be called with.
    :ivar doc: its docstring.
    :ivar codecs: what it reads and writes, in server order.
    :ivar idempotent: whether a call may be made twice.
    :ivar user_agent: the User-Agent that callers must have, or None.
    :ivar require_https: whether it answers over HTTPS only.
    :ivar strict_404: whether a wrong method or User-Agent is 404.
    :ivar guard: called with the request before anything is decoded; raises.
    :ivar max_body: bytes.
    """

    name: str
    pattern: str
    call: Callable[[Request], Callable[..., Any]]
    contract: Contract
    doc: str
    codecs: tuple[Codec, ...]
    idempotent: bool = False
    user_agent: str | None = None
    require_https: bool = False
    strict_404: bool = False
    guard: Callable[[Request], None] | None = field(default=None, repr=False)
    max_body: int = MAX_BODY


class ServiceView:
    """A Pyramid view that calls a service.

    :param service: the service.
    :param exceptions: the exceptions that callers may see; looked at when one is
        raised, so that later directives count.
    :param declared: the function, or the class and its method: what decorators note
        there of the view (``require_signature``) is read from here.
    """

    def __init__(
        self,
        service: Service,
        exceptions: Mapping[type, RemoteException],
        declared: tuple[Any, ...] = (),
    ) -> None:
        self.service = service
        self.exceptions = exceptions
        self.__restproxy_declared__ = declared
        self._readers = {
            media_type: codec
            for codec in service.codecs
            for media_type in codec.media_types
        }
        self.__doc__ = service.doc
        self.__name__ = self.__qualname__ = service.name

    def __call__(self, request: Request) -> Response:
        """Answer a call."""
        check_caller(self.service, request)
        if self.service.guard is not None:
            self.service.guard(request)
        reader = self.reader_of(request.environ)
        writer = self.writer_of(request.environ, reader)
        try:
            return self._answer(request, reader, writer)
        except Exception as error:  # the boundary of the service: nothing is hidden
            if self._is_for_tweens(error, request):
                raise
            raise self.failure(error, request, writer) from error

    # -- codecs ---------------------------------------------------------------

    def reader_of(self, environ: Mapping[str, Any]) -> Codec:
        """Return the codec of the body.

        :raises UnsupportedMediaType: where there is none, or the body is encoded: a
            megabyte could become a thousand.
        """
        coding = environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
        name = media_type_of(environ.get("CONTENT_TYPE"))
        codec = self._readers.get(name)
        if codec is None or coding not in ("", "identity"):
            raise UnsupportedMediaType("POST", list(self._readers))
        return codec

    def writer_of(self, environ: Mapping[str, Any], reader: Codec) -> Codec:
        """Return the codec of the answer: by Accept, else that of the body.

        :raises NotAcceptable: where none fits.
        """
        accept = environ.get("HTTP_ACCEPT")
        if accept in (None, "", "*/*", reader.media_type):
            return reader
        ordered = [reader, *(c for c in self.service.codecs if c is not reader)]
        offers = [(name, codec) for codec in ordered for name in codec.media_types]
        score = best(accept, [name for name, _ in offers])
        if score is None:
            raise NotAcceptable([{"type": c.media_type} for c in self.service.codecs])
        return offers[score.offer][1]

    # -- the call -------------------------------------------------------------

    def _answer(self, request: Request, reader: Codec, writer: Codec) -> Response:
        arguments = decoded(request, reader, self.service.max_body)
        if isinstance(arguments, list):
            return self._batch(arguments, request, writer)
        result = self._call(arguments, request)
        if inspect.isgenerator(result):
            return self._stream(result, request, writer)
        return respond(writer, result)

    def _call(self, arguments: Any, request: Request) -> Any:
        bound = self.service.contract.bind(arguments)
        function = self.service.call(request)
        if self.service.contract.wants_request:
            return function(request, **bound)
        return function(**bound)

    def _batch(self, calls: Sequence[Any], request: Request, writer: Codec) -> Response:
        if len(calls) > MAX_BATCH:
            raise HTTPRequestEntityTooLarge(f"A batch holds at most {MAX_BATCH} calls.")
        answers = [self._one_of_batch(each, request) for each in calls]
        try:
            return respond(writer, answers)
        except Exception:  # at least one cannot be written: which one?
            sendable = [self._sendable(each, request, writer) for each in answers]
            return respond(writer, sendable)

    def _one_of_batch(self, arguments: Any, request: Request) -> dict[str, Any]:
        try:
            result = self._call(arguments, request)
            if inspect.isgenerator(result):
                result = [item for item in result if not isinstance(item, Progress)]
            return {"result": result}
        except Exception as error:  # one call of a batch does not end the others
            if self._is_for_tweens(error, request):
                raise
            return {"error": self.document(error, request)[1]}

    def _sendable(
        self, answer: dict[str, Any], request: Request, writer: Codec
    ) -> dict[str, Any]:
        """Return one answer of a batch, or the error that it cannot be written."""
        try:
            writer.encode([answer])
            return answer
        except Exception as error:  # nor does one result
            return {"error": self.document(error, request)[1]}

    def _stream(
        self, items: Iterator[Any], request: Request, writer: Codec
    ) -> Response:
        response = Response(status=200, content_type=writer.stream_type)
        response.app_iter = Records(items, writer, self, request)
        add_vary(response.headerlist, "Accept")
        forbid_sniffing(response.headerlist)
        response.headers["X-Accel-Buffering"] = "no"  # nginx would hold items back
        return response

    # -- errors ---------------------------------------------------------------

    def document(self, error: Exception, request: Request) -> tuple[int, Any]:
        """Say what became of a call: status and problem document.

        :raises Exception: `error` itself where ``restproxy.unexpected_errors`` says
            so and nobody expected it.
        """
        settings = settings_of(request.registry)
        http = self._http_error(error)
        if http is None:
            if settings.unexpected_errors == "raise":
                raise error
            log.error("service %s", self.service.name, exc_info=error)
            http = HTTPInternalServerError()
        problem = problem_of(http, request)
        if settings.errors == "envelope":
            return problem.status, json.loads(to_envelope(problem))
        return problem.status, problem.document()

    def _http_error(self, error: Exception) -> HTTPException | None:
        if isinstance(error, HTTPException):
            return error
        if isinstance(error, Undecodable):
            refused = MalformedRequest(str(error))
            refused.problem_members = {"reason": error.code}
            return refused
        for kind in type(error).__mro__:
            known = self.exceptions.get(kind)
            if known is not None:
                return remote_error(known, error)
        return None

    def _is_for_tweens(self, error: Exception, request: Request) -> bool:
        """Say whether a tween is to see an error as it is.

        pyramid_retry calls again after some errors, and pyramid_tm says which; after
        the last attempt the caller is told.
        """
        return self._http_error(error) is None and has_attempt_left(request.environ)

    def failure(self, error: Exception, request: Request, writer: Codec) -> HTTPError:
        """Make the HTTP exception that carries the problem in the caller's codec."""
        status, document = self.document(error, request)
        made = ServiceFailed(status)
        if isinstance(error, HTTPException):
            made.headerlist = list(fields_of(error.headerlist))
            made.empty_body = error.empty_body
        add_vary(made.headerlist, "Accept")
        if made.empty_body:  # 204, 205, 304: RFC 9110 section 6.4.1
            return made
        forbid_sniffing(made.headerlist)
        made.body = b"".join(writer.encode(document))
        made.content_type = writer.problem_type
        return made


class ServiceFailed(RestProxyError, HTTPError):
    """The answer of a service that failed, complete.

    No :class:`HTTPNotFound` or :class:`HTTPForbidden`, whatever its status: those have
    views in most applications, which answer pages for people.

    :param status: the HTTP status.
    """

    def __init__(self, status: int) -> None:
        self.code = status
        self.title = getattr(status_map.get(status), "title", "")
        super().__init__()


def has_attempt_left(environ: Mapping[str, Any]) -> bool:
    """Say whether pyramid_retry may make this request again."""
    attempt, attempts = environ.get("retry.attempt"), environ.get("retry.attempts")
    return attempt is not None and attempts is not None and attempt + 1 < attempts


def check_caller(service: Service, request: Request) -> None:
    """Check scheme, method and User-Agent.

    :raises HTTPForbidden: where a caller may not call like this.
    :raises MethodNotAllowed: for anything but POST.
    :raises HTTPNotFound: instead of both, for a strict service.
    """
    wrong: HTTPException | None = None
    if service.require_https and not _is_https(request):
        raise HTTPForbidden("This service answers over HTTPS only.")
    if request.method != "POST":
        wrong = MethodNotAllowed(["POST"])
    elif service.user_agent is not None and request.user_agent != service.user_agent:
        wrong = HTTPForbidden("This service is for other clients.")
    if wrong is not None:
        raise HTTPNotFound() if service.strict_404 else wrong


def _is_https(request: Request) -> bool:
    """Say whether the caller's own connection is protected, to a proxy of ours maybe.

    By the setting: there are services without a gateway.
    """
    trusted = _trusted(settings_of(request.registry).trusted_proxies)
    return is_https(request.environ, trusted)


_trusted = lru_cache(maxsize=8)(TrustedProxies)


def remote_error(known: RemoteException, error: Exception) -> HTTPException:
    """Make the HTTP exception of an exception that callers may see."""
    http = status_map[known.status](str(error))
    http.problem_members = {"exception": known.name, "message": str(error)}
    return http


def decoded(request: Request, reader: Codec, limit: int) -> Any:
    """Read the body of a call.

    :raises HTTPRequestEntityTooLarge: where it is over the limit, in bytes.
    :raises Undecodable: where it is not one value.
    """
    body = read_body(request.environ, limit)
    if body is None:
        raise HTTPRequestEntityTooLarge(
            f"The body of a call may have {limit} bytes at most."
        )
    return reader.decode(body)


def read_body(environ: Mapping[str, Any], limit: int) -> bytearray | None:
    """Read a request's body, into one piece of memory.

    :returns: the body, or None where it is over the limit, in bytes.
    :raises Undecodable: ``truncated`` where it is shorter than its length says.
    :raises UnreadableBody: where the server's reader raises anything.
    """
    stream = environ["wsgi.input"]
    if is_seekable(stream):
        from_client(stream.seek, 0)  # a tween, or an earlier attempt, may have read it
    length = environ.get("CONTENT_LENGTH")
    if length:
        if not (length.isascii() and length.isdigit()):
            raise Undecodable("truncated", "the length of the body is not a number")
        # no body has a length of 19 digits, and int() refuses one of 5000
        size = int(length) if len(length) < 19 else limit + 1
        return None if size > limit else _read_into(stream, size)
    if not environ.get("wsgi.input_terminated"):
        return bytearray()
    body = bytearray()
    while piece := from_client(stream.read, BLOCK):
        body += piece
        if len(body) > limit:
            return None
    return body


def _read_into(stream: Any, size: int) -> bytearray:
    """Read exactly `size` bytes; no memory is taken before there is something in it."""
    if size <= BLOCK or not hasattr(stream, "readinto"):
        return _read_growing(stream, size)
    body = bytearray(size)
    view = memoryview(body)
    at = 0
    while at < size and (n := _fill(stream, view[at:])):
        at += n
    if at < size:
        raise Undecodable("truncated", "the body is shorter than its length says")
    return body


def _fill(stream: Any, view: memoryview) -> int:
    """Read into a piece of memory, and return how many bytes."""
    return cast(int, from_client(lambda _: stream.readinto(view), len(view)))


def _read_growing(stream: Any, size: int) -> bytearray:
    body = bytearray()
    while len(body) < size:
        piece = from_client(stream.read, min(size - len(body), BLOCK))
        if not piece:
            break
        body += piece
    if len(body) < size:
        raise Undecodable("truncated", "the body is shorter than its length says")
    return body


def respond(writer: Codec, value: Any, status: int = 200) -> Response:
    """Make an answer."""
    pieces = writer.encode(value)
    headers = [
        ("Content-Type", writer.media_type),
        ("Content-Length", str(size_of(pieces))),
        ("Vary", "Accept"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    return Response(status=status, headerlist=headers, app_iter=blocks_of(pieces))


def blocks_of(pieces: Sequence[Buffer]) -> Any:
    """Return pieces as a WSGI body: bytes, large ones in blocks."""
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return [pieces[0]]
    return _blocks(pieces)


def _blocks(pieces: Sequence[Buffer]) -> Iterator[bytes]:
    for piece in pieces:
        view = memoryview(piece)
        for start in range(0, len(view), BLOCK):
            yield bytes(view[start : start + BLOCK])


class Records:
    """The body of a stream: one record an item, one for the end."""

    def __init__(
        self, items: Any, writer: Codec, view: ServiceView, request: Request
    ) -> None:
        self._items = items
        self._records = self._encoded(items, writer, view, request)

    def __iter__(self) -> Iterator[bytes]:
        return self._records

    def _encoded(
        self, items: Any, writer: Codec, view: ServiceView, request: Request
    ) -> Iterator[bytes]:
        try:
            for record in _records(items):
                yield b"".join(writer.record(record))
        except Exception as error:  # the status is gone: the stream says it
            yield b"".join(writer.record(Failed(view.document(error, request)[1])))

    def close(self) -> None:
        """End the generator, where the caller has gone."""
        self._records.close()  # type: ignore[attr-defined]
        self._items.close()


def _records(items: Generator[Any, Any, Any]) -> Iterator[Any]:
    """Yield the items of a generator, and what it returned."""
    yield Finished((yield from items))
