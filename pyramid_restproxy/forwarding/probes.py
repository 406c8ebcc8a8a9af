"""Active health: a thread asks the destinations of a backend whether they work.

Off unless ``probe_path`` is set. The thread starts when the backend is first used in a
process, so never on include and anew after a fork, and ends with the backend.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import weakref

from pyramid_restproxy.forwarding.attempts import finish, host_for
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.endpoint import Endpoint
from pyramid_restproxy.forwarding.failures import TRANSPORT_ERRORS, Failure, failure_of
from pyramid_restproxy.forwarding.model import Backend
from pyramid_restproxy.forwarding.target import join_path
from pyramid_restproxy.forwarding.transport import Outgoing, send
from pyramid_restproxy.forwarding.wire.deadlines import Deadline

__all__ = ["Prober", "probe"]

log = logging.getLogger(__name__)


def probe(backend: Backend, destination: Destination, path: str) -> str:
    """Ask one destination for a path, with the backend's own fields and signature.

    :param path: below the destination's URL.
    :returns: what is wrong: ``''`` for an answer of 2xx or 3xx, else the status or the
        Proxy-Status token of the failure.
    """
    options = backend.options
    outgoing = Outgoing(
        "GET",
        join_path(destination.base_path, path),
        [("Host", host_for(backend, destination))],
        None,
        0,
        Deadline(options.probe_timeout, options.probe_timeout),
    )
    finish(outgoing, backend, destination)
    try:
        answer = send(backend.adapter, outgoing, destination, options)
    except TRANSPORT_ERRORS as error:
        return failure_of(error).token
    answer.close()
    return "" if 200 <= answer.status < 400 else str(answer.status)


class Prober:
    """Asks the endpoints of a backend again and again. Thread-safe.

    :param backend: a weak reference is kept.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = weakref.ref(backend)
        self._lock = threading.Lock()
        self._pid = 0
        self._stopped = threading.Event()
        self._streaks: dict[str, int] = {}

    def __call__(self) -> None:
        """Start the thread where it does not run in this process yet."""
        if self._pid != os.getpid():
            with self._lock:
                if self._pid != os.getpid():
                    self._start()

    def _start(self) -> None:
        name = f"probes {id(self)}"
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError:  # no more threads: the next request tries again
            log.warning("the thread of the probes cannot be started")
        else:
            self._pid = os.getpid()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            backend = self._backend()
            if backend is None:
                return
            try:
                self.look(backend)
            except Exception:  # an adapter or a signer of the application's
                log.exception("backend %r: its probes failed", backend.name)
            pause = backend.options.probe_interval * random.uniform(0.9, 1.1)
            del backend  # it may go while this waits
            self._stopped.wait(pause)

    def look(self, backend: Backend) -> None:
        """Ask all endpoints once, and note what that says of them."""
        endpoints = backend.endpoints
        known = {endpoint.url for endpoint in endpoints}
        self._streaks = {u: n for u, n in self._streaks.items() if u in known}
        for endpoint in endpoints:
            wrong = probe(backend, endpoint.destination, backend.options.probe_path)
            if wrong != Failure.INTERNAL.token:  # ours, e.g. no descriptor left
                self._note(backend, endpoint, wrong)

    def _note(self, backend: Backend, endpoint: Endpoint, wrong: str) -> None:
        """Count probes in a row: up those that pass, down those that fail."""
        streak = self._streaks.get(endpoint.url, 0)
        streak = min(streak, 0) - 1 if wrong else max(streak, 0) + 1
        self._streaks[endpoint.url] = streak
        if streak == -backend.options.probe_fails:
            endpoint.health.take_out()
            log.warning("backend %r: %s fails: %s", backend.name, endpoint.url, wrong)
        elif streak >= backend.options.probe_passes and not endpoint.health.is_closed:
            endpoint.health.bring_back()
            log.info("backend %r: %s works again", backend.name, endpoint.url)
