"""Calls to backends from views: `request.backend(name)`, `request.forward(...)`.

A call of the application's own carries nothing of the client's request but what the
view gives it. `Result` is an answer that has been read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote, urlencode
from weakref import ref

from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.forwarding.attempts import attempt
from pyramid_restproxy.forwarding.bodies import BoundedBody
from pyramid_restproxy.forwarding.charsets import decoded
from pyramid_restproxy.forwarding.contents import charset_of
from pyramid_restproxy.forwarding.failures import (
    TRANSPORT_ERRORS,
    ForwardingFailed,
    failed_by,
)
from pyramid_restproxy.forwarding.fields import HOP_BY_HOP, FieldList
from pyramid_restproxy.forwarding.model import (
    Answer,
    Backend,
    Gateway,
    IGateway,
    ProxyCall,
    RequestTransform,
    RoutePolicy,
)
from pyramid_restproxy.forwarding.routed import route_target
from pyramid_restproxy.forwarding.target import (
    Target,
    edit_query,
    join_query,
    split_target,
)
from pyramid_restproxy.forwarding.view import backend_named, forward
from pyramid_restproxy.grammar import media_type_of
from pyramid_restproxy.interfaces import ICallerTokens, ISealer

__all__ = [
    "BackendClient",
    "Result",
    "invoke_backend_service",
    "invoke_backend_service_as_proxy",
    "service_url",
]

Parameters = Mapping[str, Any] | Sequence[tuple[str, Any]]

#: A result is read whole; more than this (bytes), or than ``max_response_body`` of the
#: backend, is an error.
MAX_RESULT = 16 * 1024 * 1024

#: The field, or member, that carries a user token, as django-proxy-server has it.
USER_TOKEN = "user-token"
#: The one that says until when the token beside it is good.
EXPIRES = "expiration-date"

#: What is asked for unless the caller asks otherwise. Who does not speak of codings
#: gets any (RFC 9110 section 12.5.3), and results are not decoded.
_ASKED = {"Accept": "application/json", "Accept-Encoding": "identity"}


@dataclass(frozen=True, slots=True)
class Result:
    """An answer of a backend, read.

    :ivar status: the status code; 0 where there was no answer.
    :ivar data: JSON as Python values, text as str, all else as bytes; None where
        there is no content.
    :ivar headers: the fields, in order.
    :ivar error: what went wrong where there was no answer, else None.
    """

    status: int
    data: Any
    headers: FieldList
    error: ForwardingFailed | None = None

    @property
    def ok(self) -> bool:
        """Whether the backend answered with a 2xx."""
        return 200 <= self.status < 300


def service_url(path: str, params: Parameters | None = None) -> str:
    """Make the target of a service: the path, and parameters escaped.

    :param path: percent-encoded, begins with ``/``; may have a query.
    :param params: values are made str; a list gives the parameter several times.
    """
    if not params:
        return path
    query = urlencode(params, doseq=True)
    return f"{path}{'&' if '?' in path else '?'}{query}"


class BackendClient:
    """Calls to one backend, for one request.

    :param backend: the backend.
    :param request: whose registry and deadline they belong to.
    """

    def __init__(self, backend: Backend, request: Request) -> None:
        self._backend = backend
        self._request = request

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        json_data: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        sealed: bool = False,
        sealed_for: str | None = None,
    ) -> Result:
        """Call a service and read its answer.

        :param path: percent-encoded, begins with ``/``, below the destination's URL.
        :param params: query parameters; escaped here.
        :param json_data: sent as JSON.
        :param data: sent as it is, in the place of `json_data`.
        :param headers: fields to send.
        :param sealed: whether `params`, a mapping, go as one sealed parameter, which
            only the holder of a sealing key can read.
        :param sealed_for: the user that they are for, where the service asks for that.
        :returns: the result; a failure to reach the backend is in its ``error``.
        :raises MalformedRequest: for a path with dot segments or malformed escapes, and
            for a fragment.
        """
        if sealed:
            seal = self._request.registry.getUtility(ISealer)
            service = unquote(path.partition("?")[0])  # as it will be in PATH_INFO
            token = seal(self._request, service, params or {}, user=sealed_for)
            params = {"sealed": token}
        call = self._call(method, service_url(path, params), headers or {})
        call.body, call.length = data, len(data or b"")
        if json_data is not None and data is None:
            _set_json(call, json_data)
        try:
            return _read(attempt(call), call)
        except ForwardingFailed as error:
            return Result(0, None, FieldList([]), error)

    def _call(self, method: str, target: str, headers: Mapping[str, str]) -> ProxyCall:
        path, query = split_target(target)
        fields = FieldList([])
        for name, value in {**_ASKED, **headers}.items():
            fields.set(name, value)
        call = ProxyCall(self._request, self._backend, method, path, query, fields)
        call.host = fields.get("Host")
        fields.remove("Host", "Content-Length", *HOP_BY_HOP)  # made when it is sent
        return call

    def get(self, path: str, **options: Any) -> Result:
        """Call with GET, see :meth:`request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, json_data: Any = None, **options: Any) -> Result:
        """Call with POST, see :meth:`request`."""
        return self.request("POST", path, json_data=json_data, **options)

    def put(self, path: str, json_data: Any = None, **options: Any) -> Result:
        """Call with PUT, see :meth:`request`."""
        return self.request("PUT", path, json_data=json_data, **options)

    def patch(self, path: str, json_data: Any = None, **options: Any) -> Result:
        """Call with PATCH, see :meth:`request`."""
        return self.request("PATCH", path, json_data=json_data, **options)

    def delete(self, path: str, **options: Any) -> Result:
        """Call with DELETE, see :meth:`request`."""
        return self.request("DELETE", path, **options)


def _read(answer: Answer, call: ProxyCall) -> Result:
    content = _content(answer, call)
    return Result(answer.status, _decoded(answer, content), answer.headers)


def _content(answer: Answer, call: ProxyCall) -> bytes:
    pieces = []
    limit = min(call.backend.options.max_response_body or MAX_RESULT, MAX_RESULT)
    body = BoundedBody(answer.body, limit)
    try:
        while piece := body.read_piece():
            pieces.append(piece)
    except TRANSPORT_ERRORS as error:
        answer.broke()
        raise failed_by(error, call.backend.name) from error
    finally:
        answer.close()
    return b"".join(pieces)


def _decoded(answer: Answer, content: bytes) -> Any:
    if not content:
        return None
    media_type = media_type_of(answer.headers.get("Content-Type"))
    try:
        if media_type.endswith(("/json", "+json")):
            return json.loads(content)
        if media_type.startswith("text/"):
            return decoded(content, charset_of(answer) or "utf-8")
    except (ValueError, RecursionError):
        pass  # not what it says it is: the bytes are the honest answer
    return content


# -- request methods -------------------------------------------------------------------


class RequestMethod:
    """A function as a method of requests, bound without a reference cycle.

    Pyramid binds request methods to each request as it comes. A method bound in the
    ordinary way refers to its request, which refers to it: then nothing of a request,
    its body included, is freed before the garbage collector runs.

    :param function: takes the request first.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, request: Request, owner: type | None = None) -> Any:
        return partial(_call_bound, self.function, ref(request))


def _call_bound(
    function: Callable[..., Any], bound: ref[Request], *args: Any, **options: Any
) -> Any:
    request = bound()
    if request is None:
        raise ReferenceError("the request that this method was taken from is gone")
    return function(request, *args, **options)


def backend(request: Request, name: str) -> BackendClient:
    """Return calls to a backend (``request.backend('users')``).

    :raises LookupError: where there is no such backend.
    """
    gateway: Gateway = request.registry.getUtility(IGateway)
    return BackendClient(backend_named(gateway, name), request)


def forward_request(
    request: Request,
    name: str,
    path: str | None = None,
    params: Parameters | None = None,
    policy: RoutePolicy | None = None,
) -> Response:
    """Forward this request (``request.forward('users', '/x')``).

    :param path: where to, percent-encoded, below the destination's URL; what the
        route's pattern says where it is left out.
    :param params: query parameters to set, escaped here; the others stay.
    :param policy: how it is forwarded.
    :returns: the backend's answer.
    :raises MalformedRequest: as for :meth:`BackendClient.request`.
    """
    chosen = policy or RoutePolicy()
    target = route_target(request, chosen.path, chosen.strip_prefix)
    if path is not None:
        path, given = split_target(path)
        target = Target(path, join_query(given, target.query))
    if params:
        named = list(dict(params))
        query = join_query(
            edit_query(target.query, remove=named), urlencode(params, doseq=True)
        )
        target = target._replace(query=query)
    return forward(request, name, chosen, target)


# -- the functions of django-proxy-server, for people who port code ---------


def invoke_backend_service(
    method: str,
    path: str,
    json_data: Any = None,
    request: Request | None = None,
    response_token: bool = True,
    public: bool = False,
    secure: bool = False,
    *,
    backend_name: str = "default",
) -> tuple[int, Any]:
    """Call a service of a backend.

    The token of the user goes along in ``user-token``: the one that the client was let
    in with (view option ``user_token``), else that of who is logged in, to the backend
    where that was. A backend of somebody else gets none with `public`.

    :param request: the Pyramid request; it says which application and which user.
    :param response_token: whether a new token in the answer, ``{'user-token': ...,
        'expiration-date': ..., 'response' or 'error': ...}``, takes the place of the
        old one; a client that sent its own gets it with the answer.
    :param public: whether the user's token stays here.
    :param secure: taken for the sake of ported code; whether TLS is spoken is said by
        the backend's URL.
    :param backend_name: which backend.
    :returns: the status and the data, of an answer of that form what is in
        ``response``; ``{'error': {...}}`` where there is no 200 or 204.
    :raises StoreUnavailable: where it cannot be said who is logged in, or, after the
        call, a new token cannot be kept: the backend has done what it was asked then.
    """
    if request is None:
        raise TypeError("invoke_backend_service needs request=")
    tokens = request.registry.queryUtility(ICallerTokens)
    hidden = public or tokens is None
    headers = {} if hidden else tokens.fields(request, backend_name)
    result = backend(request, backend_name).request(
        method, path, json_data=json_data, headers=headers
    )
    if result.error is not None:
        error = result.error
        status = error.failure.status
        return status, _envelope(status, type(error).__name__, str(error))
    if response_token and tokens is not None:
        tokens.keep(request, backend_name, result)
    if result.status in (200, 204):
        return result.status, taken_apart(result)[0]
    return result.status, _envelope(result.status, "BackendError", _message(result))


def taken_apart(result: Result) -> tuple[Any, Any, Any]:
    """Return what an answer is about, the token around it, and until when it is good.

    :param result: an answer of the form ``{"user-token": ..., "expiration-date": ...,
        "response": ...}``, with ``error`` in the place of ``response`` where it is one.
    :returns: ``response``, or ``{"error": ...}``; the last two as they came. The data,
        None and None where they are of another form.
    """
    data = result.data
    content = "response" if result.ok else "error"
    if not isinstance(data, Mapping) or content not in data:
        return data, None, None
    rest = {name: data[name] for name in data if name not in (USER_TOKEN, EXPIRES)}
    about = rest["response"] if result.ok else rest
    return about, data.get(USER_TOKEN), data.get(EXPIRES)


def _message(result: Result) -> str:
    """Return what a backend says of an error: text, its envelope, or RFC 9457."""
    told = result.data
    if isinstance(told, dict):
        error = told.get("error")
        envelope = error if isinstance(error, dict) else {"message": error}
        told = envelope.get("message") or told.get("detail")
    return told if isinstance(told, str) and told else f"status {result.status}"


def _envelope(code: int, kind: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "type": kind, "message": message}}


def invoke_backend_service_as_proxy(
    request: Request,
    method: str | None = None,
    path: str | None = None,
    json_data: Any = None,
    response_token: bool = True,
    public: bool = False,
    secure: bool = False,
    *,
    backend_name: str = "default",
) -> Response:
    """Forward a request to a service of a backend and return its answer, as it is.

    The user token that the client was let in with (view option ``user_token``) goes
    along in ``user-token``. What the client says there goes away, unless only backends
    know whose a token is.

    :param method: the method to send, the request's own where it is left out.
    :param json_data: sent as JSON in the place of the request's body.
    :param response_token, secure: taken for the sake of ported code.
    :param public: whether the user token stays here.
    :param backend_name: which backend.
    """
    tokens = request.registry.queryUtility(ICallerTokens)
    hidden = public or tokens is None
    fields = {} if hidden else tokens.fields(request, backend_name, presented=True)
    if public or (tokens is not None and tokens.recognises(request)):
        fields = {USER_TOKEN: "", **fields}
    policy = RoutePolicy(request_transforms=(_sending(method, json_data, fields),))
    return forward_request(request, backend_name, path, policy=policy)


def _sending(
    method: str | None, json_data: Any, fields: Mapping[str, str]
) -> RequestTransform:
    """Make a transform; a field that has no value is taken out."""

    def transform(call: ProxyCall) -> None:
        call.method = method or call.method
        call.headers.remove(*fields)
        for name, value in fields.items():
            if value:
                call.headers.add(name, value)
        if json_data is not None:
            _set_json(call, json_data)

    return transform


def _set_json(call: ProxyCall, json_data: Any) -> None:
    call.body = json.dumps(json_data).encode("utf-8")
    call.length = len(call.body)
    call.headers.set("Content-Type", "application/json")
