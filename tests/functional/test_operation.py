"""A process that ends, or has no room left, for real.

The rows of the fault table that concern the gateway's own process: SIGTERM, a worker
that is killed or told to read its configuration again (RESILIENCE-04, RESILIENCE-05),
a full disk, no descriptors, a log that nobody reads, a clock that jumps.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from pyramid_restproxy.testing import Answer, FakeBackend
from tests import wire
from tests.conftest import REQUIRED

INI = """
[app:main]
use = egg:pyramid_restproxy#gateway
restproxy.backends = b = {backend}
restproxy.routes = /*path -> b
restproxy.health_views = true
restproxy.metrics_path = /metrics
restproxy.access_log = true
{settings}

[server:main]
use = egg:waitress#main
listen = 127.0.0.1:{port}
{server}

[loggers]
keys = root, access
[handlers]
keys = access
[formatters]
keys =
[logger_root]
level = WARNING
handlers =
[logger_access]
level = INFO
qualname = pyramid_restproxy.access
handlers = access
[handler_access]
class = {handler}
args = ({arguments},)
"""


class Running:
    """A gateway in a process of its own, and how to ask it."""

    def __init__(self, process, port):
        self.process = process
        self.port = port
        self.authority = f"127.0.0.1:{port}"

    def get(self, path):
        """Return the status and the content of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def until(self, path, wanted):
        """Ask until the answer has a status."""

        def answered():
            with contextlib.suppress(OSError):
                return self.get(path)[0] == wanted

        until(answered, f"{path} is answered {wanted}")

    def metric(self, name):
        """Return the sum of the samples of a name that begins so."""
        lines = self.get("/metrics")[1].decode().splitlines()
        return sum(float(x.rpartition(" ")[2]) for x in lines if x.startswith(name))


def until(condition, what):
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"it never happens that {what}")


@contextmanager
def running(
    folder, backend, settings="", server="", handler="NullHandler", arguments="", **more
):
    """Run a gateway of settings alone with ``pserve``.

    :param handler: the class of the handler of the access log, and its arguments.
    :param more: for the process.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    path = folder / "gateway.ini"
    text = INI.format(
        backend=backend.url,
        port=port,
        settings=settings,
        server=server,
        handler=handler,
        arguments=arguments,
    )
    path.write_text(text.replace("(,)", "()"))
    command = [sys.executable, "-W", "ignore", "-m", "pyramid.scripts.pserve"]
    process = subprocess.Popen(
        [*command, str(path)], **{"stderr": subprocess.DEVNULL, **more}
    )
    found = Running(process, port)
    try:
        found.until("/health/ready", 200)
        yield found
    finally:
        process.kill()
        process.wait(10)
        if process.stderr:
            process.stderr.close()


# -- ending ------------------------------------------------------------------------

DRAIN = "restproxy.drain.grace = 0.5\nrestproxy.drain.timeout = 20"


def test_sigterm_breaks_nothing(tmp_path):
    go_on = threading.Event()
    slow = Answer(pieces=[b"begun ", lambda: go_on.wait(30), b"done"])
    with (
        FakeBackend(slow, Answer(body=b"ok")) as backend,
        running(tmp_path, backend, DRAIN) as gateway,
    ):
        answers = []
        client = threading.Thread(target=lambda: answers.append(gateway.get("/slow")))
        client.start()
        until(lambda: backend.requests, "the backend is asked")
        gateway.process.send_signal(signal.SIGTERM)
        gateway.until("/health/ready", 503)
        gateway.until("/new", 503)  # after the grace time
        assert gateway.process.poll() is None
        go_on.set()
        client.join(30)
        assert answers == [(200, b"begun done")]
        gateway.process.wait(30)


def test_sigterm_under_load_breaks_no_request_that_came_in_time(tmp_path):
    """RESILIENCE-04. Whoever asks on although he is refused may find nobody at the end.

    waitress closes its port and its connections at the same time: what comes just then
    was never begun.
    """
    stories, asked = [[] for _ in range(4)], threading.Event()

    def ask(story):
        while not story or story[-1] in ("200", "503"):
            story.append(outcome(gateway.port))
            if len(story) > 25:
                asked.set()

    with (
        FakeBackend(Answer(body=b"ok")) as backend,
        running(tmp_path, backend, DRAIN) as gateway,
    ):
        clients = [threading.Thread(target=ask, args=(each,)) for each in stories]
        for client in clients:
            client.start()
        assert asked.wait(30)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(30)
        for client in clients:
            client.join(30)
    for story in stories:
        assert re.fullmatch(
            "(200 )+(503 )+(broken|refused) ", "".join(f"{each} " for each in story)
        ), story


def outcome(port, path="/x"):
    """Ask over a connection of its own; return the status, or how it ended."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), 30)
    except ConnectionRefusedError:
        return "refused"
    with connection, connection.makefile("rb") as reader:
        try:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            return str(wire.read_reply(reader).status or "broken")
        except OSError:
            return "broken"


# -- workers that are killed, or read their configuration again ---------------------

WORKERS = """
import json, os, time

workers, worker_class, threads, preload_app = 2, "gthread", 32, {preload}

def note(what, pid):
    with open({events!r}, "a") as events:
        print(json.dumps([what, pid, time.monotonic()]), file=events)

def child_exit(server, worker):
    note("exit", worker.pid)

def post_worker_init(worker):
    note("ready", worker.pid)
"""

APPLICATION = """
import os, pathlib
from pyramid.config import Configurator
from pyramid.events import NewResponse

#: A version, and the backend that goes with it.
version, backend = pathlib.Path("configuration").read_text().split()

def tell(event):
    event.response.headerlist.append(("X-Version", version))
    event.response.headerlist.append(("X-Process", str(os.getpid())))

with Configurator() as config:
    config.include("pyramid_restproxy")
    config.add_subscriber(tell, NewResponse)
    config.add_backend("b", backend)
    config.add_proxy_route("b", "/*path", "b")
    app = config.make_wsgi_app()
"""


class Workers:
    """A gateway on gunicorn, and what its workers noted."""

    def __init__(self, process, port, folder):
        self.process = process
        self.port = port
        self.folder = folder

    def noted(self, what):
        """Return the workers of which that was noted, with when (monotonic seconds)."""
        path = self.folder / "events"
        lines = path.read_text().splitlines(True) if path.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return {pid: at for name, pid, at in events if name == what}

    def configure(self, version, url):
        (self.folder / "configuration").write_text(f"{version} {url}")

    def get(self, path="/x"):
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        return wire.exchange(f"127.0.0.1:{self.port}", request.encode())


@contextmanager
def on_gunicorn(folder, url, preload):
    if importlib.util.find_spec("gunicorn") is None:
        if "gunicorn" in REQUIRED:
            pytest.fail("gunicorn is required (RESTPROXY_REQUIRE) and missing")
        pytest.skip("gunicorn is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "served.py").write_text(APPLICATION)
    text = WORKERS.format(preload=preload, events=str(folder / "events"))
    (folder / "gunicorn.conf.py").write_text(text)
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn"]
    found = Workers(None, port, folder)
    found.configure("one", url)
    found.process = subprocess.Popen(
        [*command, "-b", f"127.0.0.1:{port}", "served:app"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: len(found.noted("ready")) == 2, "two workers are ready")
        yield found
    finally:
        found.process.terminate()
        found.process.wait(30)


def test_resilience_05_a_killed_worker_takes_only_its_own_requests_along(tmp_path):
    go_on = threading.Event()
    held = Answer(pieces=[b"begun ", lambda: go_on.wait(30), b"done"])
    ask = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with (
        FakeBackend(held) as backend,
        on_gunicorn(tmp_path, backend.url, True) as found,
        contextlib.ExitStack() as stack,
    ):
        clients, heads = [], set()
        while len(heads) < 2:  # a request in each worker
            client = socket.create_connection(("127.0.0.1", found.port), 30)
            clients.append(stack.enter_context(client))
            client.sendall(ask)
            until(lambda c=client: b"begun" in peek(c), "it begins")
            heads.add(re.search(rb"X-Process: (\d+)", peek(client))[1])
        killed, stays = found.noted("ready")
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(found.noted("ready")) == 3, "it is replaced")
        (gone,) = found.noted("exit").items()
        assert gone[0] == killed
        (ready,) = found.noted("ready").keys() - {killed, stays}
        # The bound of the vector; the time between the two is some milliseconds.
        assert found.noted("ready")[ready] - gone[1] < 2
        go_on.set()
        ends = Counter()
        for client in clients:
            with client.makefile("rb") as reader:
                reply = wire.read_reply(reader)
            ends[int(reply.get("X-Process")), reply.truncated] += 1
        assert set(ends) == {(killed, True), (stays, False)}
        assert found.get().body == b"begun done"


def peek(client):
    """Return what has come, and leave it there."""
    return client.recv(4096, socket.MSG_PEEK)


def test_resilience_05_a_reload_is_the_old_or_the_new_configuration(tmp_path):
    go_on = threading.Event()
    held = Answer(pieces=[b"o", lambda: go_on.wait(30), b"ne"])
    replies, over = [], threading.Event()

    def ask():
        while not over.is_set():
            replies.append(found.get())

    with (
        FakeBackend(held, Answer(body=b"one")) as one,
        FakeBackend(Answer(body=b"two")) as two,
        on_gunicorn(tmp_path, one.url, False) as found,
    ):
        slow = []
        first = threading.Thread(target=lambda: slow.append(found.get()))
        first.start()
        until(lambda: one.requests, "it is in flight")
        clients = [threading.Thread(target=ask) for _ in range(2)]
        for client in clients:
            client.start()
        found.configure("two", two.url)
        found.process.send_signal(signal.SIGHUP)
        until(lambda: len(found.noted("ready")) == 4, "there are new workers")
        go_on.set()
        until(lambda: len(found.noted("exit")) == 2, "the old workers are gone")
        over.set()
        for client in [first, *clients]:
            client.join(30)
        assert (slow[0].body, slow[0].truncated) == (b"one", False)
        assert {each.status for each in replies} == {200}
        assert all(x.body.decode() == x.get("X-Version") for x in replies)
        assert found.get().body == b"two"


# -- no room -----------------------------------------------------------------------

OK = Answer(headers=[("Connection", "close")], body=b"ok")


def test_a_log_on_a_full_disk_is_not_written_and_nothing_else_happens(tmp_path):
    with (
        FakeBackend(OK) as backend,
        running(
            tmp_path,
            backend,
            handler="FileHandler",
            arguments="'/dev/full'",
            stderr=subprocess.PIPE,
        ) as gateway,
    ):
        before = gateway.metric("restproxy_access_lines_lost_total")
        assert [gateway.get("/x") for _ in range(20)] == [(200, b"ok")] * 20
        lost = gateway.metric("restproxy_access_lines_lost_total") - before
        assert lost >= 20
        gateway.process.kill()
        said = gateway.process.stderr.read().decode()
        assert said.count("No space left on device") == 1  # and not for each line


def test_a_log_whose_reader_is_gone_stops_nobody(tmp_path):
    with (
        FakeBackend(OK) as backend,
        running(
            tmp_path,
            backend,
            handler="StreamHandler",
            arguments="sys.stderr",
            stderr=subprocess.PIPE,
        ) as gateway,
    ):
        gateway.process.stderr.close()
        assert [gateway.get("/x") for _ in range(20)] == [(200, b"ok")] * 20
        assert gateway.metric("restproxy_access_lines_lost_total") >= 20


def test_a_disk_without_room_for_a_body_costs_that_request(tmp_path):
    """What is larger than ``inbuf_overflow`` waitress puts into a file."""
    size = 2 * 1024 * 1024
    head = f"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
    with (
        FakeBackend(OK) as backend,
        running(tmp_path, backend, server="inbuf_overflow = 65536") as gateway,
    ):
        limit(gateway.process, resource.RLIMIT_FSIZE, size // 2)
        with contextlib.suppress(ConnectionResetError):
            reply = wire.exchange(gateway.authority, head.encode() + b"x" * size)
            assert reply.status is None or reply.status >= 500
        assert backend.requests == []
        assert gateway.get("/x") == (200, b"ok")


def limit(process, which, wanted):
    """Change a limit of a process that runs."""
    _, most = resource.prlimit(process.pid, which)
    resource.prlimit(process.pid, which, (wanted, most))


def test_without_descriptors_requests_fail_until_there_are_some(tmp_path):
    """The backend is not blamed: one failure would take it out of the rotation."""
    with (
        FakeBackend(OK) as backend,
        running(tmp_path, backend, "restproxy.backend.b.max_fails = 1") as gateway,
        contextlib.ExitStack() as clients,
    ):
        assert gateway.get("/x") == (200, b"ok")
        taken = len(os.listdir(f"/proc/{gateway.process.pid}/fd"))
        limit(gateway.process, resource.RLIMIT_NOFILE, taken + 4)
        replies = []
        while not replies or replies[-1].status == 200:
            each = socket.create_connection(("127.0.0.1", gateway.port), 30)
            reader = clients.enter_context(clients.enter_context(each).makefile("rb"))
            each.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            replies.append(wire.read_reply(reader))
        assert replies[-1].status == 502
        assert replies[-1].get("Proxy-Status").endswith("error=proxy_internal_error")
        assert len(replies) > 1
        clients.close()
        until(lambda: gateway.get("/x") == (200, b"ok"), "it goes on")
        assert gateway.metric("restproxy_refusals_total") == 1
        assert gateway.metric("restproxy_destination_up") == 1


# -- clocks ------------------------------------------------------------------------

CLOCKED = """
import sys, time

shift, told = [0.0], time.time
time.time = lambda: told() + shift[0]  # before anybody has taken a reference to it

import waitress
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid_restproxy.trust.identity import Identity

asked = []

def whose(request, token):
    asked.append(token)
    return Identity("ann")

def jump(request):
    shift[0] = float(request.GET["seconds"])
    return Response(str(len(asked)))

with Configurator() as config:
    config.include("pyramid_restproxy")
    config.add_health_views()
    config.set_token_validator(whose)
    config.add_route("jump", "/jump")
    config.add_view(jump, route_name="jump")
    config.add_backend("b", sys.argv[2], max_fails=1, cool_down=1)
    config.add_proxy_route("b", "/*path", "b", cache=True, user_token="required")
    app = config.make_wsgi_app()
waitress.serve(app, listen="127.0.0.1:" + sys.argv[1], _quiet=True)
"""


def test_a_clock_that_jumps_sends_nobody_away(tmp_path):
    """Deadlines and lives are counted by clocks that nobody sets (STORE-04)."""
    (tmp_path / "clocked.py").write_text(CLOCKED)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with FakeBackend(Answer(body=b"ok")) as backend:
        command = [sys.executable, "-W", "ignore", str(tmp_path / "clocked.py")]
        process = subprocess.Popen([*command, str(port), backend.url])
        gateway = Running(process, port)
        try:
            gateway.until("/health/ready", 200)
            ask = b"GET /x HTTP/1.1\r\nHost: a\r\nuser-token: t\r\n\r\n"
            for hours in (0, 1, -1, 0):
                said = gateway.get(f"/jump?seconds={3600 * hours}")
                for _ in range(3):
                    reply = wire.exchange(gateway.authority, ask)
                    assert (reply.status, reply.body) == (200, b"ok")
            assert said == (200, b"1")  # who it is was asked once
        finally:
            process.kill()
            process.wait(10)
