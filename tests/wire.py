"""A client of bare sockets, and a real server, for tests in which bytes matter."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress

import waitress.server
from waitress import wasyncore

from pyramid_restproxy.testing import exchange
from pyramid_restproxy.testing.client import Reply, read_reply

__all__ = ["Reply", "exchange", "read_reply", "served"]


@contextmanager
def served(app, **options):
    """Serve a WSGI application with waitress on a free port; give its authority."""
    server = waitress.server.create_server(
        app,
        listen="127.0.0.1:0",
        threads=4,
        clear_untrusted_proxy_headers=False,
        **options,
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.effective_port}"
    finally:
        server.trigger.pull_trigger(lambda: _close_connections(server))
        server.task_dispatcher.shutdown(cancel_pending=True, timeout=5)
        with suppress(OSError):  # the loop may have come to it before the wake-up
            server.trigger.pull_trigger(server.trigger.close)
        thread.join(5)


def _close_connections(server):
    """Close the listener and what clients left open, in the server's own thread.

    The trigger stays: tasks that still run write to it.
    """
    wasyncore.dispatcher.close(server)  # its own close() would close the trigger too
    for each in list(server._map.values()):
        if each is not server.trigger:
            each.close()
