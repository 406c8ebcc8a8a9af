"""A redis-server of the test's own."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager


@contextmanager
def redis_server(folder, port=0):
    """Run a redis-server that keeps nothing; give its URL."""
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--dir", str(folder)]
    server = subprocess.Popen(
        [*command, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait(10)


def wait_for(port):
    """Wait until somebody listens."""
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise AssertionError("redis-server did not start")
