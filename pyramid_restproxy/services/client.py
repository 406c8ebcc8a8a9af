"""Calling services: ``ServiceClient('http://host/srv').add(a=1, b=2)``.

Errors of the service come back as exceptions: those that both sides have registered
as themselves, the others as :class:`ServiceError`. Errors of the connection are those
of ``requests``.
"""

from __future__ import annotations

import importlib
import itertools
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import requests
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.exceptions import RestProxyError, needs
from pyramid_restproxy.forwarding.wire.errors import (
    ConnectError,
    ConnectTimeout,
    ResolveError,
)
from pyramid_restproxy.grammar import media_type_of
from pyramid_restproxy.services.codecs import NAMES, Codec, available, codec_of
from pyramid_restproxy.services.codecs.pieces import LARGE, Body, Buffer
from pyramid_restproxy.services.exchange import Answer, Exchange
from pyramid_restproxy.services.values import Failed, Finished, Progress, Undecodable

__all__ = ["Items", "RemoteFunction", "ServiceClient", "ServiceError", "progress_bar"]

#: How large an answer may be where nothing else is said, bytes.
MAX_ANSWER = 1 << 30
#: How long to wait before the first retry, seconds; doubled for each further one.
BACKOFF = 0.1
#: Answers that say that a call was not made, or may be made again.
RETRY_STATUSES = frozenset({502, 503, 504})

#: Where a client can go by itself.
SCHEMES = frozenset({"http", "https", "http+unix"})

#: The request did not leave: any call may be made again.
NOT_SENT = (ConnectError, ConnectTimeout, ResolveError)

ShowProgress = Callable[[Progress], None]
Item = TypeVar("Item")


class ServiceError(RestProxyError):
    """A service answered that it cannot do what was asked.

    :ivar status: the HTTP status; 0 where a stream failed before it said one.
    :ivar problem: the problem document (RFC 9457), as far as there was one.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        title = problem.get("title") or "the service failed"
        detail = problem.get("detail") or ""
        super().__init__(
            f"{status} {title}: {detail}" if detail else f"{status} {title}"
        )


class Items(Iterator[Item]):
    """The items of a stream, as they come.

    Must be read to the end or closed, as a context manager or by :meth:`close`.

    :ivar value: what the service returned in the end.
    """

    def __init__(
        self,
        records: Iterator[Any],
        close: Callable[[], None],
        failed: Callable[[int, Mapping[str, Any]], Exception],
        show: ShowProgress | None,
    ) -> None:
        self._records = records
        self._close = close
        self._failed = failed
        self._show = show
        self._done = False
        self.value: Any = None

    def __iter__(self) -> Items[Item]:
        return self

    def __next__(self) -> Item:
        """Return the next item.

        :raises Exception: what the service raised meanwhile.
        :raises ServiceError: where the stream ends without an end.
        """
        while not self._done:
            record = self._next()
            if isinstance(record, Progress):
                if self._show is not None:
                    self._show(record)
            elif isinstance(record, Finished):
                self.value = record.value
                self.close()
            elif isinstance(record, Failed):
                self.close()
                raise self._failed(_status_of(record.problem), record.problem)
            else:
                item: Item = record
                return item
        raise StopIteration

    def _next(self) -> Any:
        try:
            return next(self._records)
        except StopIteration:
            self.close()
            raise ServiceError(0, {"title": "the stream ended early"}) from None
        except BaseException:
            self.close()
            raise

    def result(self) -> Any:
        """Read the rest, and return what the service returned."""
        for _ in self:
            pass
        return self.value

    def close(self) -> None:
        """Read no more; gives the connection back or closes it."""
        if not self._done:
            self._done = True
            self._close()

    def __enter__(self) -> Items[Item]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RemoteFunction:
    """One service, as a function.

    :param client: the client.
    :param name: the name of the service below the client's URL.
    """

    __slots__ = ("_client", "_name")

    def __init__(self, client: ServiceClient, name: str) -> None:
        self._client = client
        self._name = name

    def __call__(self, **arguments: Any) -> Any:
        """Call it; returns its result, or :class:`Items` where it is a stream."""
        return self._client.call(self._name, arguments)

    def batch(self, calls: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Call it several times in one request.

        :param calls: the arguments of each call.
        :returns: the result of each, or the exception that it raised.
        """
        return self._client.batch(self._name, calls)

    def __getattr__(self, name: str) -> RemoteFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        return RemoteFunction(self._client, f"{self._name}/{name}")

    def __repr__(self) -> str:
        return f"<service {self._name}>"


class ServiceClient:
    """Calls the services below a URL. Thread-safe where its session is.

    :param url: the folder of the services: ``add`` is at ``url/add``.
    :param codec: the name of a codec, or one; MessagePack where it is installed, else
        JSON, which every service has that names none.
    :param auth: as in ``requests``: a pair, or an object that signs requests. A call
        with large arrays has a body that is iterated, with a length.
    :param timeout: seconds, for connecting and between two bytes, or a pair. In the
        main thread each signal that Python handles begins them anew (PEP 475).
    :param retries: how often a call is made again that was not answered: always where
        it was not sent, else only for idempotent services.
    :param idempotent: names of idempotent services, or True for all of them.
    :param exceptions: classes of exceptions that the server has registered, or a
        mapping of them by name; raised here with the text of the original. One that
        cannot be made of a text arrives as :class:`ServiceError`.
    :param progress: called with every :class:`Progress` of a stream.
    :param headers: sent with every call.
    :param session: a session to use, with its headers, cookies, ``auth``, hooks,
        proxies and certificates; its own has none. Neither asks the environment for
        proxies, nor ``.netrc`` for passwords.
    :param max_answer: bytes.
    :raises ConfigurationError: for a URL that is none, or holds a password, and for a
        codec that does not exist.
    :raises MissingExtra: where the library of the codec is not installed.
    """

    def __init__(
        self,
        url: str,
        codec: str | Codec | None = None,
        *,
        auth: Any = None,
        timeout: float | tuple[float, float] | None = 30.0,
        retries: int = 2,
        idempotent: bool | Iterable[str] = (),
        exceptions: Iterable[type[Exception]] | Mapping[str, type[Exception]] = (),
        progress: ShowProgress | None = None,
        headers: Mapping[str, str] | None = None,
        session: requests.Session | None = None,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        _check_url(url, session)
        self._codec = codec_of(codec or _usual_codec(), "ServiceClient")
        self._retries = retries
        self._idempotent = (
            idempotent if isinstance(idempotent, bool) else frozenset(idempotent)
        )
        self._exceptions = (
            dict(exceptions)
            if isinstance(exceptions, Mapping)
            else {kind.__name__: kind for kind in exceptions}
        )
        self._progress = progress
        self._max_answer = max_answer
        fields = {
            "Content-Type": self._codec.media_type,
            "Accept": self._codec.media_type,
        } | dict(headers or {})
        self._exchange = Exchange(url.rstrip("/"), fields, auth, timeout, session)

    def __getattr__(self, name: str) -> RemoteFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        return RemoteFunction(self, name)

    def __repr__(self) -> str:
        return f"<ServiceClient {self._codec.name}>"

    def call(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Call a service by its name, which may hold slashes.

        :param arguments: by name.
        :returns: its result, or :class:`Items` where it is a stream.
        :raises ServiceError: where it answers with an error nobody has registered.
        :raises requests.RequestException: where it does not answer.
        :raises Undecodable: where its answer is not what it says.
        """
        answer = self._send(name, dict(arguments or {}))
        if answer.field("content-type") == self._codec.stream_type:
            return self._items(answer)
        return self._result(answer)

    def batch(self, name: str, calls: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Call a service several times in one request.

        :param calls: the arguments of each call.
        :returns: the result of each, or the exception that it raised.
        """
        answers = self._result(self._send(name, [dict(each) for each in calls]))
        return [
            self._error(_status_of(each["error"]), each["error"])
            if "error" in each
            else each["result"]
            for each in answers
        ]

    def close(self) -> None:
        """Close the idle connections."""
        self._exchange.close()

    def __enter__(self) -> ServiceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- sending --------------------------------------------------------------

    def _send(self, name: str, value: Any) -> Answer:
        body = _body(self._codec.encode(value))
        again = self._idempotent is True or (
            self._idempotent is not False and name in self._idempotent
        )
        for attempt in itertools.count():
            last = attempt >= self._retries
            try:
                answer = self._exchange.send(name, body)
            except requests.RequestException as error:
                if last or not (again or isinstance(error, NOT_SENT)):
                    raise
            else:
                if last or not again or answer.status not in RETRY_STATUSES:
                    return answer
                answer.close()
            time.sleep(BACKOFF * 2**attempt)
        raise AssertionError  # pragma: no cover - it counts for ever

    # -- receiving ------------------------------------------------------------

    def _result(self, answer: Answer) -> Any:
        try:
            if answer.status != 200:
                raise self._refusal(answer)
            return _value(answer, self._codec, self._max_answer)
        except BaseException:
            answer.close()
            raise

    def _items(self, answer: Answer) -> Items[Any]:
        if _is_coded(answer):
            answer.close()
            raise _coded()
        records = self._codec.records(answer.pieces)
        return Items(records, answer.close, self._error, self._progress)

    def _refusal(self, answer: Answer) -> Exception:
        try:
            problem = _value(answer, self._codec, self._max_answer)
        except Undecodable:
            problem = None
        if not isinstance(problem, Mapping):
            problem = {"title": answer.reason}
        return self._error(answer.status, problem)

    def _error(self, status: int, problem: Mapping[str, Any]) -> Exception:
        """Make the exception of a problem."""
        if isinstance(problem.get("error"), Mapping):  # the envelope
            inner = problem["error"]
            problem = {"title": inner.get("type"), "detail": inner.get("message")} | {
                name: inner[name]
                for name in ("exception", "message", "accept")
                if name in inner
            }
        if status == 415:
            problem = _with_advice(problem)
        error = ServiceError(status, problem)
        name = problem.get("exception")
        kind = self._exceptions.get(name) if isinstance(name, str) else None
        if kind is None:
            return error
        try:
            made = kind(str(problem.get("message", "")))
        except (TypeError, ValueError):
            return error  # the class is made of other things than a text
        made.__cause__ = error
        return made


def _usual_codec() -> str:
    return "msgpack" if "msgpack" in available() else "json"


def _check_url(url: str, session: requests.Session | None) -> None:
    """Check the URL of a client; what it says may be secret, so no error repeats it.

    :param session: one of the caller's, which may know more schemes.
    :raises ConfigurationError: where it leads nowhere, or holds a password.
    """
    scheme, found, rest = url.partition("://")
    if not found or (session is None and scheme.lower() not in SCHEMES):
        raise ConfigurationError(
            "ServiceClient: the URL must begin with http:// or https://"
        )
    if "@" in re.split(r"[/?#\\]", rest, maxsplit=1)[0]:
        raise ConfigurationError(
            "ServiceClient: the URL must not hold a password: give it as auth=(user, "
            "password)"
        )


def _with_advice(problem: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say in the problem of a 415 how to make a client that the service understands."""
    accepted = problem.get("accept")
    names = [
        name
        for name, make in NAMES.items()
        if isinstance(accepted, list) and make().media_type in accepted
    ]
    if not names:
        return problem
    said = problem.get("detail") or "The codec is not one of the service's."
    return {**problem, "detail": f"{said} Use ServiceClient(url, {names[0]!r})."}


def _body(pieces: Sequence[Buffer]) -> Any:
    if len(pieces) == 1 and isinstance(pieces[0], bytes):
        return pieces[0]
    return Body(pieces)


def _status_of(problem: Mapping[str, Any]) -> int:
    inner = problem.get("error")  # the envelope
    code = inner.get("code") if isinstance(inner, Mapping) else None
    status = problem.get("status") or code
    return status if isinstance(status, int) else 0


def _value(answer: Answer, codec: Codec, limit: int) -> Any:
    """Read the value of an answer: in the codec, or JSON for what did not reach it."""
    if _is_coded(answer):
        raise _coded()
    body = _read(answer, limit)
    name = answer.field("content-type")
    if name == codec.media_type:
        return codec.decode(body)
    name = media_type_of(name)
    if name in codec.media_types or name == codec.problem_type:
        return codec.decode(body)
    if name in ("application/json", "application/problem+json"):
        try:
            return json.loads(bytes(body))
        except ValueError as error:
            raise Undecodable("syntax", "the answer is not JSON") from error
    raise Undecodable("type", f"an answer of the type {name[:60]!r}")


def _is_coded(answer: Answer) -> bool:
    return answer.field("content-encoding") not in ("", "identity")


def _coded() -> Undecodable:
    return Undecodable("type", "the answer is compressed, which nobody asked for")


def _read(answer: Answer, limit: int) -> Buffer:
    """Read an answer into one piece of memory.

    :raises Undecodable: ``size`` where it is over the limit, in bytes.
    """
    length = answer.field("content-length")
    size = int(length) if length.isdecimal() else 0
    if size > limit:
        raise _too_large(limit)
    if 0 < size <= LARGE:
        return b"".join(answer.pieces)
    body = bytearray(size)
    at = 0
    for piece in answer.pieces:
        end = at + len(piece)
        if end > limit:
            raise _too_large(limit)
        body[at:end] = piece
        at = end
    return body


def _too_large(limit: int) -> Undecodable:
    return Undecodable("size", f"the answer is larger than {limit} bytes")


# -- progress -----------------------------------------------------------------


def progress_bar(**options: Any) -> ShowProgress:
    """Return a function that shows progress as a bar of ``tqdm``.

    :param options: as for ``tqdm.tqdm``.
    :raises MissingExtra: where tqdm is not installed.
    """
    with needs("progress", "tqdm", "progress_bar"):
        bar = importlib.import_module("tqdm").tqdm(**options)

    def show(progress: Progress) -> None:
        bar.total = progress.total
        bar.set_description_str(progress.text, refresh=False)
        bar.update(progress.done - bar.n)
        if progress.total is not None and progress.done >= progress.total:
            bar.close()

    return show
