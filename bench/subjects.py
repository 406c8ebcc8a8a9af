"""Who is asked by ``bench.forwarding``: applications, backends, and their processes.

Every subject and every backend is a process of its own on loopback. What they are asked
and how it is measured is in :mod:`bench.forwarding`.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import pathlib
import socket
import socketserver
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ANSWER",
    "BURST",
    "LONE",
    "SMALL",
    "SUBJECTS",
    "TEN_KIB",
    "Running",
    "Subject",
    "free_port",
    "nginx",
    "process",
    "start_backends",
    "start_subject",
    "wait_for",
    "why_left_out",
]

SMALL = b'{"users": [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]}'
TEN_KIB = b"x" * 10240
PIECE = 64 * 1024  # bytes

LONE = 20  #: events of a stream that come one by one
PAUSE = 0.01  #: seconds between them
BURST = 5000  #: events that follow at once


# -- applications ----------------------------------------------------------------------


def plain_app(backend: str, streams: str) -> Any:
    """Answer everything without asking anybody."""
    from pyramid.config import Configurator
    from pyramid.response import Response

    bodies = {"small": SMALL, "10k.bin": TEN_KIB}

    def small(request: Any) -> Response:
        body = bodies[request.matchdict["name"]]
        return Response(body, content_type="application/json")

    def large(request: Any) -> Response:
        size = int(request.params["mib"]) << 20
        pieces = (bytes(PIECE) for _ in range(size // PIECE))
        return Response(app_iter=pieces, content_length=size)

    def sink(request: Any) -> Response:
        while request.body_file.read(PIECE):
            pass
        return Response(b"done")

    def relay(request: Any) -> Response:
        return Response(app_iter=events(), content_type="text/event-stream")

    with Configurator() as config:
        for path, view in {
            "/api/large.bin": large,
            "/api/{name}": small,
            "/streams/sink": sink,
            "/streams/events": relay,
        }.items():
            config.add_route(path, path)
            config.add_view(view, route_name=path)
        return config.make_wsgi_app()


def gateway_app(backend: str, streams: str) -> Any:
    """Forward with this package."""
    from pyramid.config import Configurator

    with Configurator() as config:
        config.include("pyramid_restproxy")
        for name, url in (("api", backend), ("streams", streams)):
            config.add_backend(name, url)
            config.add_proxy_route(name, f"/{name}/*path", name)
        return config.make_wsgi_app()


def session_app(backend: str, streams: str) -> Any:
    """Forward as people write it: one session, the answer read whole."""
    import requests
    from pyramid.config import Configurator
    from pyramid.response import Response

    session = requests.Session()

    def view(request: Any) -> Response:
        url = f"{backend}/{'/'.join(request.matchdict['path'])}"
        answer = session.request(request.method, url, data=request.body)
        kind = answer.headers.get("Content-Type", "application/octet-stream")
        return Response(answer.content, status=answer.status_code, content_type=kind)

    with Configurator() as config:
        config.add_route("r", "/api/*path")
        config.add_view(view, route_name="r")
        return config.make_wsgi_app()


def stock_app(backend: str, streams: str) -> Any:
    """Forward with this package over the stock adapter of ``requests``."""
    from pyramid.config import Configurator
    from requests.adapters import HTTPAdapter

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend, adapter=HTTPAdapter(pool_maxsize=32))
        config.add_proxy_route("r", "/api/*path", "b")
        return config.make_wsgi_app()


def bare_app(backend: str, streams: str) -> Any:
    """Send fixed bytes on a kept socket of the thread, return what comes: the floor."""
    from pyramid.config import Configurator
    from pyramid.response import Response

    authority = backend.removeprefix("http://")
    host, _, port = authority.rpartition(":")
    raw = f"GET /small HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
    kept = threading.local()

    def view(request: Any) -> Response:
        if not hasattr(kept, "connection"):
            kept.connection = socket.create_connection((host, int(port)))
        kept.connection.sendall(raw)
        body = kept.connection.recv(PIECE).partition(b"\r\n\r\n")[2]
        return Response(body, content_type="application/json")

    with Configurator() as config:
        config.add_route("r", "/api/*path")
        config.add_view(view, route_name="r")
        return config.make_wsgi_app()


def revproxy_app(backend: str, streams: str) -> Any:
    """Forward with django-revproxy."""
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
        SECRET_KEY="bench",
        REVPROXY={"QUOTE_SPACES_AS_PLUS": True},
    )
    import django
    from django.core.wsgi import get_wsgi_application
    from django.urls import re_path
    from django.views.decorators.csrf import csrf_exempt
    from revproxy.views import ProxyView

    django.setup()
    view = csrf_exempt(ProxyView.as_view(upstream=backend))
    globals()["urlpatterns"] = [re_path(r"^api/(?P<path>.*)$", view)]
    return get_wsgi_application()


def application() -> Any:
    """Make the application that the environment names; the servers call this."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    make = globals()[f"{os.environ['BENCH_APP']}_app"]
    return make(os.environ["BENCH_BACKEND"], os.environ["BENCH_STREAMS"])


# -- the backend of streams: ``python -m bench.subjects PORT`` -------------------------


def events() -> Iterator[bytes]:
    """Yield server-sent events with the time they were made, in ns; each ends in !."""
    for _ in range(LONE):
        yield event()
        time.sleep(PAUSE)
    for _ in range(BURST):
        yield event()


def event() -> bytes:
    return b"data: %d !\n\n" % time.monotonic_ns()


class Streams(socketserver.StreamRequestHandler):
    """Send events in chunks, or read a body to its end and answer."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        while line := self.rfile.readline():
            fields = dict(self.fields())
            if b"/events" in line:
                self.send_events()
            else:
                self.read_body(fields)
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    def fields(self) -> Iterator[tuple[bytes, bytes]]:
        while (line := self.rfile.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            yield name.lower(), value.strip()

    def send_events(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        self.wfile.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for each in events():
            self.wfile.write(b"%x\r\n%s\r\n" % (len(each), each))
        self.wfile.write(b"0\r\n\r\n")

    def read_body(self, fields: dict[bytes, bytes]) -> None:
        if b"transfer-encoding" not in fields:
            return self.skip(int(fields.get(b"content-length", 0)))
        while size := int(self.rfile.readline(), 16):
            self.skip(size + 2)
        self.rfile.readline()

    def skip(self, size: int) -> None:
        while size:
            piece = self.rfile.read1(min(size, 4 * PIECE))
            if not piece:
                raise ConnectionError(f"{size} bytes of the body are missing")
            size -= len(piece)


class StreamServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


# -- processes -------------------------------------------------------------------------

NGINX = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 10000000; client_max_body_size 0; sendfile on;
  client_body_temp_path {folder}/{name}.body; proxy_temp_path {folder}/{name}.proxy;
  fastcgi_temp_path {folder}/x; uwsgi_temp_path {folder}/y; scgi_temp_path {folder}/z;
  {upstream}
  server {{ listen 127.0.0.1:{port}; root {folder}; {locations} }}
}}
"""

#: The backend: the small answer at once, files by their names.
ANSWER = f"""
  location = /small {{ default_type application/json; return 200 '{SMALL.decode()}'; }}
"""

#: The front: as documented for kept connections; streams and uploads not buffered.
FRONT = """
  proxy_http_version 1.1; proxy_set_header Connection "";
  location /api/ { proxy_pass http://api/; }
  location /streams/ {
    proxy_pass http://streams/; proxy_buffering off; proxy_request_buffering off;
  }
"""

#: How servers are started: what Python is given, each with 4 threads in one process.
SERVERS = {
    "waitress": "-m waitress --listen=127.0.0.1:{port} --threads=4 "
    "--max-request-body-size=1000000000000 --call bench.subjects:application",
    # By default waitress keeps up to 16 MiB of an answer in memory for each thread.
    "waitress 1 MiB": "-m waitress --listen=127.0.0.1:{port} --threads=4 "
    "--outbuf-high-watermark=1048576 --call bench.subjects:application",
    "granian": "-m granian --port={port} --interface=wsgi --workers=1 --no-ws "
    "--blocking-threads=4 --factory bench.subjects:application",
    "gunicorn": "-m gunicorn --bind=127.0.0.1:{port} --worker-class=gthread "
    "--workers=1 --threads=4 bench.subjects:application()",
}

#: What subjects are asked: cases of small messages, of what is streamed, or both.
MESSAGES = frozenset({"get", "get10k", "post10k"})
STREAMED = frozenset({"download", "upload", "events"})
ALL = MESSAGES | STREAMED


@dataclass(frozen=True)
class Subject:
    """What can be asked.

    :ivar app: the name of a function above, without ``_app``; empty for nginx.
    :ivar needs: the module without which it is left out.
    """

    name: str
    server: str
    app: str
    cases: frozenset[str]
    needs: str = "pyramid"


SUBJECTS = [
    Subject("plain Pyramid view", "waitress", "plain", ALL),
    Subject("plain view on granian", "granian", "plain", STREAMED, "granian"),
    Subject("plain view on gunicorn", "gunicorn", "plain", STREAMED, "gunicorn"),
    Subject("pyramid_restproxy", "waitress", "gateway", ALL),
    Subject("ours, 1 MiB outbuf", "waitress 1 MiB", "gateway", frozenset({"download"})),
    Subject("ours on granian", "granian", "gateway", ALL, "granian"),
    Subject("ours on gunicorn", "gunicorn", "gateway", ALL, "gunicorn"),
    Subject("bare socket view", "waitress", "bare", frozenset({"get"})),
    Subject("stock HTTPAdapter", "waitress", "stock", MESSAGES),
    Subject("requests.Session view", "waitress", "session", MESSAGES),
    Subject("django-revproxy", "waitress", "revproxy", MESSAGES, "revproxy"),
    Subject("nginx proxy_pass", "nginx", "", ALL),
]


@dataclass(frozen=True)
class Running:
    """A subject that was started.

    :ivar idle: its memory before it was asked anything large, in MiB.
    """

    subject: Subject
    port: int
    process: subprocess.Popen[bytes]
    idle: float = 0.0

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def pid(self) -> int:
        return self.process.pid


def why_left_out(subject: Subject) -> str:
    """Say what is missing for a subject; empty where it can be asked."""
    if importlib.util.find_spec(subject.needs):
        return ""
    return f"{subject.name}: left out, {subject.needs} is not installed"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def process(
    command: list[str], environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends."""
    quiet = subprocess.DEVNULL
    environ = {**os.environ, **(environ or {})}
    started = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environ)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def wait_for(started: subprocess.Popen[bytes], port: int, seconds: float = 20) -> None:
    """Wait until a process listens.

    :raises RuntimeError: when it ends, or does not listen in time.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until and started.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{started.args!r} does not listen")


def nginx(
    folder: str, name: str, port: int, locations: str, upstream: str = ""
) -> list[str]:
    """Write a configuration; give the command that uses it."""
    path = pathlib.Path(folder, f"{name}.conf")
    values = {"folder": folder, "name": name, "port": port}
    path.write_text(NGINX.format(**values, locations=locations, upstream=upstream))
    return ["nginx", "-c", str(path)]


def start_backends(stack: ExitStack, folder: str, size: int) -> tuple[str, str]:
    """Start nginx, which answers at once and sends files, and the backend of streams.

    :param size: of the large file, in MiB.
    :returns: the URLs of both.
    """
    pathlib.Path(folder, "10k.bin").write_bytes(TEN_KIB)
    with open(pathlib.Path(folder, "large.bin"), "wb") as large:
        large.truncate(size << 20)
    first, second = free_port(), free_port()
    commands = {
        first: nginx(folder, "backend", first, ANSWER),
        second: [sys.executable, "-m", "bench.subjects", str(second)],
    }
    for port, command in commands.items():
        wait_for(stack.enter_context(process(command)), port)
    return f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}"


def start_subject(
    stack: ExitStack, folder: str, subject: Subject, backends: tuple[str, str]
) -> Running:
    """Start a subject in front of the backends; do not wait until it listens."""
    port = free_port()
    environ = {
        "BENCH_APP": subject.app,
        "BENCH_BACKEND": backends[0],
        "BENCH_STREAMS": backends[1],
    }
    if subject.server == "nginx":
        command = nginx(folder, "front", port, FRONT, upstream(*backends))
    else:
        arguments = SERVERS[subject.server].format(port=port).split()
        command = [sys.executable, *arguments]
    return Running(subject, port, stack.enter_context(process(command, environ)))


def upstream(*backends: str) -> str:
    """Write the upstreams of the front."""
    return "\n".join(
        f"upstream {name} {{ server {url.removeprefix('http://')}; keepalive 32; }}"
        for name, url in zip(("api", "streams"), backends, strict=True)
    )


if __name__ == "__main__":
    with StreamServer(("127.0.0.1", int(sys.argv[1])), Streams) as server:
        server.serve_forever()
