"""`ProxyView` and the view of forwarded routes: from a route match to a response."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, ClassVar

from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.forwarding.cors import Grants
from pyramid_restproxy.forwarding.failures import ForwardingFailed, name_teller
from pyramid_restproxy.forwarding.fields import (
    FieldList,
    canonical_name,
    one_or_several,
)
from pyramid_restproxy.forwarding.forwarder import (
    FORWARDED,
    exchange,
    make_call,
    refuse_early,
)
from pyramid_restproxy.forwarding.model import (
    Answer,
    Backend,
    Gateway,
    IGateway,
    ProxyCall,
    RequestTransform,
    ResponseTransform,
    RoutePolicy,
)
from pyramid_restproxy.forwarding.routed import route_target
from pyramid_restproxy.forwarding.target import Target, safe_target

__all__ = [
    "ForwardedRoute",
    "ProxyView",
    "backend_named",
    "forward",
    "readable_view",
    "safe_target_view",
]


def forward(
    request: Request,
    backend: str,
    policy: RoutePolicy,
    target: Target | tuple[str, ...],
) -> Response:
    """Forward a request.

    :param backend: the name of the backend.
    :param target: path, query, the prefix that was cut off and what is in its place.
    :returns: the backend's answer, or what the gateway answers itself.
    :raises LookupError: where there is no such backend.
    :raises ForwardingFailed: where there is no answer.
    """
    gateway: Gateway = request.registry.getUtility(IGateway)
    found = backend_named(gateway, backend)
    try:
        refused = refuse_early(request, backend, gateway)
        if refused is not None:
            return refused
        call = make_call(request, found, policy, gateway, target)
        return exchange(call, policy, gateway)
    except ForwardingFailed as error:
        name_teller(error, gateway.pseudonym)
        told = request.environ.setdefault(
            FORWARDED, {"backend": backend, "attempts": 0}
        )
        told["failure"] = error.failure.token
        raise


def backend_named(gateway: Gateway, name: str) -> Backend:
    """Return a backend.

    :raises LookupError: naming those that there are.
    """
    try:
        return gateway.backends[name]
    except KeyError as error:
        known = ", ".join(sorted(gateway.backends)) or "none"
        raise LookupError(
            f"there is no backend {name!r}; there are: {known}"
        ) from error


class ForwardedRoute:
    """The view of a forwarded route.

    :param backend: the name of the backend.
    :param policy: how the requests are forwarded.
    """

    def __init__(self, backend: str, policy: RoutePolicy) -> None:
        self.backend = backend
        self.policy = policy

    @property
    def response_transforms(self) -> tuple[ResponseTransform, ...]:
        """Those of its policy; a :class:`ProxyView` has them as an attribute."""
        return self.policy.response_transforms

    def __call__(self, context: Any, request: Request) -> Response:
        """Forward the request."""
        target = route_target(request, self.policy.path, self.policy.strip_prefix)
        return forward(request, self.backend, self.policy, target)


class ProxyView:
    """A view that forwards, for routes that need code of their own.

    Subclass it, name the `backend`, and use it as any view class. One instance a
    request.

    :param context: the context, or the request where it is the only argument.
    :param request: the request.
    """

    #: The name of the backend.
    backend: ClassVar[str]
    #: Whether only the tail of the route's pattern is sent.
    strip_prefix: ClassVar[bool] = True
    #: A pattern for the path to send, filled from the matchdict.
    path: ClassVar[str | None] = None
    #: Names that clients must not send.
    identity_headers: ClassVar[str | Iterable[str]] = ()
    #: Run before sending, in order.
    request_transforms: ClassVar[Iterable[RequestTransform]] = ()
    #: Run on the head of the answer, in order.
    response_transforms: ClassVar[Iterable[ResponseTransform]] = ()
    #: Whether Location leads back through the gateway.
    rewrite_location: ClassVar[bool] = True
    #: Bytes, None for no limit.
    max_request_body: ClassVar[int | None] = None

    def __init__(self, context: Any, request: Request | None = None) -> None:
        self.context = context
        self.request = context if request is None else request

    def __call__(self) -> Response:
        """Forward the request."""
        policy = self.policy()
        target = route_target(self.request, policy.path, policy.strip_prefix)
        return forward(self.request, self.backend, policy, target)

    def policy(self) -> RoutePolicy:
        """Return how this view forwards, from its attributes."""
        return RoutePolicy(
            strip_prefix=self.strip_prefix,
            path=self.path,
            identity_headers=frozenset(
                map(canonical_name, one_or_several(self.identity_headers))
            ),
            request_transforms=(self.prepare_request, *self.request_transforms),
            response_transforms=(*self.response_transforms, self.process_response),
            rewrite_location=self.rewrite_location,
            max_request_body=self.max_request_body,
        )

    def prepare_request(self, call: ProxyCall) -> Response | None:
        """Change what will be sent, or answer instead of the backend.

        :param call: to be changed in place.
        """
        return None

    def process_response(self, call: ProxyCall, response: Answer) -> None:
        """Change what was answered, before its content goes on.

        :param response: ``status``, ``headers``, ``body``; to be changed in place.
        """


def readable_view(view: Any, info: Any) -> Any:
    """Derive a view whose answers may be read by scripts of other origins.

    Only where it forwards with :func:`~.cors.cors_headers`: that is for the backend's
    answers; this for those that the gateway makes, whoever refuses (401, 429, 502).
    """
    own = info.original_view
    transforms = own.response_transforms if _forwards(own) else ()
    grants = [each for each in transforms if isinstance(each, Grants)]
    if not grants:
        return view

    def tell(request: Request, response: Response) -> None:
        grants[-1].put(request, FieldList(response.headerlist))

    def with_grants(context: Any, request: Request) -> Response:
        request.add_response_callback(tell)
        return view(context, request)

    return with_grants


def safe_target_view(view: Any, info: Any) -> Any:
    """Derive a view that forwards: its path is made safe before anything is asked.

    Who may pass is then decided for the path that is sent (401 and 403 come after 400).
    Other views are not derived; where they forward, that is checked as they do.
    """
    if not _forwards(info.original_view):
        return view

    def with_safe_target(context: Any, request: Request) -> Response:
        safe_target(request.environ)
        return view(context, request)

    return with_safe_target


def _forwards(own: Any) -> bool:
    """Say whether a view, as it was given, is one of these two."""
    is_class = inspect.isclass(own) and issubclass(own, ProxyView)
    return is_class or isinstance(own, ForwardedRoute)
