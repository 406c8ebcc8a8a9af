"""A process that ends, for real."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import threading
import time

from pyramid_restproxy.testing import Answer, FakeBackend

INI = """
[app:main]
use = egg:pyramid_restproxy#gateway
restproxy.backends = b = {backend}
restproxy.routes = /*path -> b
restproxy.health_views = true
restproxy.drain.grace = 0.5
restproxy.drain.timeout = 20

[server:main]
use = egg:waitress#main
listen = 127.0.0.1:{port}
"""


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def until(port, path, wanted):
    """Ask until the answer has a status."""
    for _ in range(600):
        try:
            if get(port, path)[0] == wanted:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise AssertionError(f"{path} is never answered {wanted}")


def test_sigterm_breaks_nothing(tmp_path):
    go_on = threading.Event()
    slow = Answer(pieces=[b"begun ", lambda: go_on.wait(30), b"done"])
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with FakeBackend(slow, Answer(body=b"ok")) as backend:
        path = tmp_path / "gateway.ini"
        path.write_text(INI.format(backend=backend.url, port=port))
        command = [sys.executable, "-m", "pyramid.scripts.pserve", str(path)]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            until(port, "/health/ready", 200)
            answers = []
            client = threading.Thread(target=lambda: answers.append(get(port, "/slow")))
            client.start()
            while not backend.requests:
                time.sleep(0.01)
            server.send_signal(signal.SIGTERM)
            until(port, "/health/ready", 503)
            until(port, "/new", 503)  # after the grace time
            assert server.poll() is None
            go_on.set()
            client.join(30)
            assert answers == [(200, b"begun done")]
            server.wait(30)
        finally:
            server.kill()
            server.wait(10)
