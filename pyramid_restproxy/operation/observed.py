"""The outermost tween: requests are named, counted, refused while draining, and told.

Each of these is off unless it is wanted, and without any the tween is not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pyramid.httpexceptions import HTTPServiceUnavailable
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.exceptions import RequestRefused
from pyramid_restproxy.forwarding.forwarded import TrustedProxies, client_address
from pyramid_restproxy.forwarding.forwarder import FORWARDED
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.operation.access import access_line, log, losses, write_line
from pyramid_restproxy.operation.drain import Drain, IDrain
from pyramid_restproxy.operation.metrics import IMetrics, Metrics
from pyramid_restproxy.operation.request_ids import name_request, trace_id
from pyramid_restproxy.problems import problem_of, problem_response
from pyramid_restproxy.settings import Settings, settings_of

__all__ = ["Draining", "Watched", "observed_tween_factory"]

Handler = Callable[[Request], Response]

OBSERVED = "pyramid_restproxy.operation.observed.observed_tween_factory"


class Draining(RequestRefused, HTTPServiceUnavailable):
    """The process is ending; another may answer (RFC 9110 section 15.6.4)."""


@dataclass(slots=True)
class Story:
    """What is to be told of one request when it is over."""

    request: Request
    started: float
    request_id: str | None
    status: int = 500
    broken: bool = False


class Watched:
    """An ``app_iter`` that says when it is over.

    :param pieces: the content.
    :param over: called once, however it ends; told whether the content broke off.
    :param lost: called in the place of that for one that nobody has closed: something
        has sent another answer, or none. It is called when it is collected, which is in
        the middle of anything, so it must not take a lock that the thread may have.
    """

    def __init__(
        self,
        pieces: Iterable[bytes],
        over: Callable[[bool], None],
        lost: Callable[[], None],
    ) -> None:
        self._pieces = pieces
        self._over: Callable[[bool], None] | None = over
        self._lost = lost
        self._broken = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._pieces:  # noqa: UP028 (that would close it as well)
                yield piece
        except Exception:  # the server sees it, and closes the connection
            self._broken = True
            raise

    def close(self) -> None:
        """Close the content (PEP 3333)."""
        over, self._over = self._over, None
        try:
            close = getattr(self._pieces, "close", None)
            if close is not None:
                close()
        finally:
            if over is not None:
                over(self._broken)

    def __del__(self) -> None:
        """Note that it is gone, where nobody has closed it."""
        if self._over is not None:
            self._lost()


def observed_tween_factory(handler: Handler, registry: Registry) -> Handler:
    """Make the tween, or none where nothing of it is wanted."""
    settings = settings_of(registry)
    field = settings.request_id
    drain: Drain | None = registry.queryUtility(IDrain)
    metrics: Metrics | None = registry.queryUtility(IMetrics)
    if not (field or drain or metrics or settings.access_log):
        return handler
    trusted = registry.getUtility(IGateway).trusted
    if settings.access_log:
        losses.watch(log)

    def over(story: Story) -> None:
        seconds = time.perf_counter() - story.started
        if drain is not None:
            drain.leave()
        if metrics is not None:
            metrics.request_over(story.request, story.status, seconds, story.broken)
        if settings.access_log:
            facts = _facts(story, trusted)
            write_line(access_line(story.request, story.status, seconds, facts))

    def lost() -> None:
        if drain is not None:
            drain.leave()

    def observed_tween(request: Request) -> Response:
        environ = request.environ
        request_id = None
        if field:
            believed = environ.get("REMOTE_ADDR", "") in trusted
            request_id = name_request(environ, field, believed)
        story = Story(request, time.perf_counter(), request_id)
        if drain is not None:
            drain.enter()
        try:
            if drain is not None and drain.refusing and not is_exempt(request):
                response = _refusal(request, settings)
            else:
                response = handler(request)
        except BaseException:
            over(story)
            raise
        story.status = response.status_int
        if metrics is not None:
            seconds = time.perf_counter() - story.started
            metrics.answered(request, response.headers, seconds)
        if request_id is not None:
            response.headers[field] = request_id  # a backend may have echoed its own
        _watch(response, story, over, lost)
        return response

    return observed_tween


def _watch(
    response: Response,
    story: Story,
    over: Callable[[Story], None],
    lost: Callable[[], None],
) -> None:
    """Say when an answer has been sent: at once where it is there whole."""

    def ended(broken: bool) -> None:
        story.broken = broken
        over(story)

    if isinstance(response.app_iter, list):
        ended(False)
    else:
        fields = response.headerlist
        response.app_iter = Watched(response.app_iter, ended, lost)
        response.headerlist = fields  # WebOb takes Content-Length away


def is_exempt(request: Request) -> bool:
    """Say whether a request is answered although the process ends: the health views."""
    path = request.environ.get("PATH_INFO", "")
    return path in request.registry.get(HEALTH_PATHS, ())


#: Registry key of the paths of the health views.
HEALTH_PATHS = "pyramid_restproxy.health_paths"


def _refusal(request: Request, settings: Settings) -> Response:
    refused = Draining("This process is ending. Please try again.")
    refused.headerlist.append(("Retry-After", "1"))
    problem = problem_of(refused, request)
    return problem_response(problem, request, settings, refused.headerlist)


def _facts(story: Story, trusted: TrustedProxies) -> dict[str, Any]:
    environ = story.request.environ
    forwarded = environ.get(FORWARDED, {})
    return {
        "client": client_address(environ, trusted) or None,
        "request_id": story.request_id,
        "trace_id": trace_id(environ),
        "broken": story.broken or None,
        **forwarded,
    }
