"""What forwarding costs: ``python -m bench.forwarding [--seconds 4] [--rounds 3]``.

Every subject is a process of its own on loopback, in front of one nginx that answers
at once; wrk asks each in turn, round after round, so that a slow moment of the machine
meets all of them. Subjects: a plain Pyramid view with the same body (what Pyramid on
waitress can do at best), our gateway, a view with ``requests.Session`` as people write
it, a view over the stock ``HTTPAdapter``, django-revproxy, each on waitress with 4
threads, and nginx ``proxy_pass``. What is not installed is left out and said so.

Prints requests/s, CPU microseconds a request of the subject's process, p50 and p99,
resident memory and the ratio to the plain view; writes JSON to
``bench/results/``. A second table compares one exchange, without a server in front:
``KeepAliveAdapter`` against ``HTTPAdapter``.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

RESULTS = pathlib.Path(__file__).parent / "results"
SMALL = b'{"users": [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]}'
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

#: name of a case: the path, and for an upload the size of the body
CASES = {
    "GET 63 B": ("/api/small", 0),
    "GET 10 KiB": ("/api/10k.bin", 0),
    "POST 10 KiB": ("/api/small", 10 * 1024),
}

NGINX = """
worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.err;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 10000000; client_max_body_size 0;
  client_body_temp_path {folder}/{name}.body; proxy_temp_path {folder}/{name}.proxy;
  fastcgi_temp_path {folder}/x; uwsgi_temp_path {folder}/y; scgi_temp_path {folder}/z;
  {upstream}
  server {{ listen 127.0.0.1:{port}; root {folder}; {locations} }}
}}
"""


# -- the subjects: ``python -m bench.forwarding serve NAME PORT BACKEND`` -------


def plain_app(backend: str) -> Any:
    """Answer the small body without asking anybody."""
    from pyramid.config import Configurator
    from pyramid.response import Response

    bodies = {"small": SMALL, "10k.bin": b"x" * 10240}

    def view(request: Any) -> Response:
        body = bodies[request.matchdict["path"][0]]
        return Response(body, content_type="application/json")

    with Configurator() as config:
        config.add_route("r", "/api/*path")
        config.add_view(view, route_name="r")
        return config.make_wsgi_app()


def gateway_app(backend: str) -> Any:
    """Forward with this package."""
    from pyramid.config import Configurator

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend)
        config.add_proxy_route("r", "/api/*path", "b")
        return config.make_wsgi_app()


def session_app(backend: str) -> Any:
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


def stock_app(backend: str) -> Any:
    """Forward with this package over the stock adapter of ``requests``."""
    from pyramid.config import Configurator
    from requests.adapters import HTTPAdapter

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("b", backend, adapter=HTTPAdapter(pool_maxsize=32))
        config.add_proxy_route("r", "/api/*path", "b")
        return config.make_wsgi_app()


def revproxy_app(backend: str) -> Any:
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


WAITRESS = {
    "plain Pyramid view": plain_app,
    "pyramid_restproxy": gateway_app,
    "requests.Session view": session_app,
    "stock HTTPAdapter": stock_app,
    "django-revproxy": revproxy_app,
}


def serve(name: str, port: int, backend: str) -> None:
    """Serve a subject until it is stopped."""
    import logging
    import warnings

    import waitress

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    app = WAITRESS[name](backend)
    waitress.serve(app, listen=f"127.0.0.1:{port}", threads=4, _quiet=True)


# -- starting and stopping ------------------------------------------------------------


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def process(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends."""
    started = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if started.poll() is not None:
                    raise RuntimeError(f"{command[0]} ended") from None
                time.sleep(0.05)
        yield started
    finally:
        started.terminate()
        started.wait(10)


def nginx(folder: str, name: str, port: int, locations: str, upstream: str = "") -> str:
    path = pathlib.Path(folder, f"{name}.conf")
    values = {"folder": folder, "name": name, "port": port}
    path.write_text(NGINX.format(**values, locations=locations, upstream=upstream))
    return str(path)


def subjects(stack: ExitStack, folder: str) -> dict[str, tuple[int, int]]:
    """Start the backend and all subjects; give port and pid of each."""
    backend = free_port()
    answer = f"default_type application/json; return 200 '{SMALL.decode()}';"
    small = f"location = /small {{ {answer} }}"
    conf = nginx(folder, "backend", backend, small)
    stack.enter_context(process(["nginx", "-c", conf], backend))
    found = {}
    for name in WAITRESS:
        if name == "django-revproxy" and not installed("revproxy"):
            print("django-revproxy is not installed: left out")
            continue
        port = free_port()
        command = [sys.executable, "-m", "bench.forwarding", "serve", name, str(port)]
        server = process([*command, f"http://127.0.0.1:{backend}"], port)
        found[name] = port, stack.enter_context(server).pid
    port = free_port()
    upstream = f"upstream b {{ server 127.0.0.1:{backend}; keepalive 32; }}"
    location = (
        "location /api/ { proxy_pass http://b/; proxy_http_version 1.1; "
        'proxy_set_header Connection ""; }'
    )
    conf = nginx(folder, "front", port, location, upstream)
    found["nginx proxy_pass"] = (
        port,
        stack.enter_context(process(["nginx", "-c", conf], port)).pid,
    )
    return found


def installed(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


# -- measuring ------------------------------------------------------------------------


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_seconds(pid: int) -> float:
    total = 0
    for each in family(pid):
        fields = (
            pathlib.Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        )
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def resident(pid: int) -> float:
    """Return resident memory in MiB."""
    pages = sum(
        int(pathlib.Path(f"/proc/{each}/statm").read_text().split()[1])
        for each in family(pid)
    )
    return pages * PAGE / 1024 / 1024


def wrk(
    port: int, path: str, upload: int, seconds: float, folder: str
) -> dict[str, float]:
    """Ask one subject for a while, from 8 connections."""
    script = pathlib.Path(folder, "wrk.lua")
    lines = ["done = function(s, l, r)"]
    lines += [
        'io.write(string.format("RESULT %d %d %d %d %d\\n", s.requests, s.duration,'
    ]
    lines += [
        "l:percentile(50), l:percentile(99), s.errors.status + s.errors.read))",
        "end",
    ]
    if upload:
        lines.append(f'wrk.method = "POST"; wrk.body = string.rep("x", {upload})')
    script.write_text("\n".join(lines))
    url = f"http://127.0.0.1:{port}{path}"
    command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", output)
    assert numbers, output
    count, duration, p50, p99, errors = map(int, numbers.groups())
    return {
        "rps": count / duration * 1e6,
        "n": count,
        "p50": p50,
        "p99": p99,
        "errors": errors,
    }


def measure(seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Ask all subjects in turn, in every case."""
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)
        pathlib.Path(folder, "10k.bin").write_bytes(b"x" * 10240)
        found = subjects(stack, folder)
        for case, (path, upload) in CASES.items():
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in found}
            for port, _ in found.values():
                wrk(port, path, upload, 1, folder)  # warm up
            for _ in range(rounds):
                for name, (port, pid) in found.items():
                    before = cpu_seconds(pid)
                    run = wrk(port, path, upload, seconds, folder)
                    run["cpu_us"] = (cpu_seconds(pid) - before) / max(run["n"], 1) * 1e6
                    run["rss"] = resident(pid)
                    runs[name].append(run)
            rows += [summary(case, name, each, runs) for name, each in runs.items()]
    return rows


def summary(
    case: str, name: str, runs: list[dict[str, float]], all_runs: Any
) -> dict[str, Any]:
    """Take medians; ratios pair by pair with the plain view of the same round."""
    plain = all_runs["plain Pyramid view"]
    row: dict[str, Any] = {"case": case, "subject": name}
    for key in ("rps", "cpu_us", "p50", "p99", "rss", "errors"):
        row[key] = statistics.median(run[key] for run in runs)
    ratios = [run["rps"] / other["rps"] for run, other in zip(runs, plain, strict=True)]
    row["to_plain"] = statistics.median(ratios)
    return row


def exchanges(count: int = 3000, rounds: int = 5) -> dict[str, float]:
    """Compare one exchange of the adapters, in CPU microseconds of one thread."""
    import requests
    from requests.adapters import HTTPAdapter

    from pyramid_restproxy import KeepAliveAdapter

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        port = free_port()
        conf = nginx(
            folder, "only", port, f"location / {{ return 200 '{SMALL.decode()}'; }}"
        )
        stack.enter_context(process(["nginx", "-c", conf], port))
        request = requests.Request("GET", f"http://127.0.0.1:{port}/x").prepare()
        adapters = {
            "KeepAliveAdapter": KeepAliveAdapter(),
            "HTTPAdapter": HTTPAdapter(),
        }
        times: dict[str, list[float]] = {name: [] for name in adapters}
        for _ in range(rounds):
            for name, adapter in adapters.items():
                started = time.thread_time()
                for _ in range(count):
                    adapter.send(request, stream=True, timeout=(5, 30)).content  # noqa: B018
                times[name].append((time.thread_time() - started) / count * 1e6)
    found = {name: statistics.median(values) for name, values in times.items()}
    found["ratio"] = found["KeepAliveAdapter"] / found["HTTPAdapter"]
    return found


# -- telling ---------------------------------------------------------------------------


def main() -> None:
    """Measure, print, write."""
    if sys.argv[1:2] == ["serve"]:
        return serve(sys.argv[2], int(sys.argv[3]), sys.argv[4])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="of each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each subject")
    options = parser.parse_args()
    missing = [name for name in ("wrk", "nginx") if not shutil.which(name)]
    if missing:
        sys.exit(f"this benchmark needs {' and '.join(missing)}")
    rows, one = measure(options.seconds, options.rounds), exchanges()
    head = "    req/s   cpu us   p50 us   p99 us    MiB  to plain"
    for case in CASES:
        print(f"\n{case:22}{head}")
        for row in (row for row in rows if row["case"] == case):
            numbers = (row[key] for key in ("rps", "cpu_us", "p50", "p99"))
            cells = " ".join(f"{number:8.0f}" for number in numbers)
            errors = f"  ({row['errors']:.0f} errors)" if row["errors"] else ""
            last = f"{row['rss']:6.0f} {row['to_plain']:9.2f}{errors}"
            print(f"{row['subject']:22} {cells} {last}")
    print(
        f"\none exchange, CPU us: KeepAliveAdapter {one['KeepAliveAdapter']:.0f}, "
        f"HTTPAdapter {one['HTTPAdapter']:.0f}, ratio {one['ratio']:.2f}"
    )
    RESULTS.mkdir(exist_ok=True)
    data = {"rows": rows, "exchange": one}
    (RESULTS / "forwarding.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
