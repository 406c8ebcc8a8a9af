"""What clients notice of bad days: ``python -m bench.faults [--seconds 60]``.

Three backends, a gateway in front of them, and eight clients, all on loopback, each
backend and the gateway a process of its own. While the clients ask without a pause
(GET, and now and then PUT and POST), a backend is killed, started again, stopped so
that it hangs, let go, slowed down, and restarted in an orderly way.

Then the overload: first as many clients as the backends can serve at a time, then four
times as many, who ask for four times as much as was served, each at a steady pace; in
front of a gateway whose ``max_in_flight`` is the first number.

Prints for each phase the requests, the errors by method and kind, p50 and p99 (also
without the phase's first second) beside those of the quiet phase, and how long it took
until a backend that came back was asked again; then the exchanges by what came of them,
as the gateway's own metrics tell them. Writes JSON to ``bench/results/``.
"""

from __future__ import annotations

import argparse
import http.client
import json
import pathlib
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from bench.subjects import free_port, wait_for

RESULTS = pathlib.Path(__file__).parent / "results"
CLIENTS = 8
OVERLOAD = 4  #: times as many clients and requests
WORK = 0.05  #: seconds that each request takes a backend in the overload
#: Of ten requests: eight GET, a PUT, a POST.
METHODS = ["GET"] * 4 + ["PUT"] + ["GET"] * 4 + ["POST"]


# -- processes ------------------------------------------------------------------------


def serve_backend(port: int) -> None:
    """Answer; ``/delay/0.3`` makes every later answer take that many seconds."""
    import waitress

    delay = [0.0]

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith("/delay/"):
            delay[0] = float(path.rpartition("/")[2])
        time.sleep(delay[0])
        environ["wsgi.input"].read()
        body = b'{"ok": true}'
        headers = [("Content-Length", str(len(body))), ("X-Port", str(port))]
        start_response("200 OK", headers)
        return [body]

    waitress.serve(application, listen=f"127.0.0.1:{port}", threads=16, _quiet=True)


def serve_gateway(port: int, urls: list[str], max_in_flight: int = 0) -> None:
    """Forward to all of them, as one would for a service that must not fail."""
    import waitress
    from pyramid.config import Configurator

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_metrics_view()
        config.add_backend(
            "b",
            urls,
            retries=2,
            connect_timeout=0.5,
            read_timeout=1,
            max_fails=3,
            cool_down=1,
            balance="least_requests",
            max_in_flight=max_in_flight,
        )
        config.add_proxy_route("r", "/api/*path", "b")
        app = config.make_wsgi_app()
    threads = 2 * CLIENTS * OVERLOAD
    waitress.serve(app, listen=f"127.0.0.1:{port}", threads=threads, _quiet=True)


class Process:
    """A backend or the gateway, which can be killed, stopped and started again."""

    def __init__(self, *words: str) -> None:
        self._command = [sys.executable, "-m", "bench.faults", *words]
        self.port = int(words[1])
        self.start()

    def start(self) -> None:
        self._running = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._running, self.port)

    def send(self, number: signal.Signals) -> None:
        self._running.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._running.wait(10)

    def end(self) -> None:
        self._running.kill()
        self._running.wait(10)


# -- clients --------------------------------------------------------------------------


@dataclass(slots=True)
class Seen:
    """One request: when it began and how long it took (seconds), and what came."""

    at: float
    took: float
    method: str
    outcome: str
    port: str = ""


def ask(port: int, until: threading.Event, seen: list[Seen], every: float) -> None:
    """Ask over one connection as long as it lives.

    :param every: seconds from one request to the next, 0 for without a pause.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    number = 0
    while not until.is_set():
        method = METHODS[number % len(METHODS)]
        number += 1
        started = time.monotonic()
        body = b"x" * 100 if method != "GET" else None
        try:
            connection.request(method, "/api/x", body)
            answer = connection.getresponse()
            answer.read()
            outcome = "ok" if answer.status == 200 else str(answer.status)
            backend = answer.getheader("X-Port", "")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            outcome, backend = type(error).__name__, ""
        took = time.monotonic() - started
        seen.append(Seen(started, took, method, outcome, backend))
        if took < every:
            until.wait(every - took)
    connection.close()


@contextmanager
def asking(
    port: int, seen: list[Seen], clients: int = CLIENTS, every: float = 0.0
) -> Iterator[None]:
    """Let clients ask until the block ends."""
    over = threading.Event()
    threads = [
        threading.Thread(target=ask, args=(port, over, seen, every))
        for _ in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


# -- the bad day ----------------------------------------------------------------------


def slow(backend: Process, seconds: float) -> None:
    url = f"http://127.0.0.1:{backend.port}/delay/{seconds}"
    urllib.request.urlopen(url, timeout=10).close()


def phases(one: Process, two: Process) -> list[tuple[str, Callable[[], Any]]]:
    """Name what happens, and do it."""
    return [
        ("quiet", lambda: None),
        ("one killed", lambda: one.send(signal.SIGKILL)),
        ("one back", one.start),
        ("two hangs", lambda: two.send(signal.SIGSTOP)),
        ("two goes on", lambda: two.send(signal.SIGCONT)),
        ("one slow, 0.3 s", lambda: slow(one, 0.3)),
        ("one fast again", lambda: slow(one, 0)),
        ("one restarted", lambda: (one.send(signal.SIGTERM), one.start())),
    ]


def bad_day(seconds: float) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Run all phases, each for a part of the time."""
    seen: list[Seen] = []
    marks: list[tuple[str, float]] = []
    with ExitStack() as stack:
        backends = [Process("backend", str(free_port())) for _ in range(3)]
        for each in backends:
            stack.callback(each.end)
        urls = [f"http://127.0.0.1:{each.port}" for each in backends]
        gateway = Process("gateway", str(free_port()), *urls)
        stack.callback(gateway.end)
        one, two, _ = backends
        plan = phases(one, two)
        with asking(gateway.port, seen):
            time.sleep(1)  # all is warm
            for name, happen in plan:
                marks.append((name, time.monotonic()))
                happen()
                rest = marks[-1][1] + seconds / len(plan) - time.monotonic()
                time.sleep(max(rest, 1.5))
        marks.append(("end", time.monotonic()))
        outcomes = exchanges(gateway.port)
    back = {"one back": one, "two goes on": two, "one restarted": one}
    return list(rows(seen, marks, back)), outcomes


def exchanges(port: int) -> dict[str, float]:
    """Return the exchanges by what came of them."""
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    found: Counter[str] = Counter()
    for line in text.splitlines():
        if line.startswith("restproxy_attempts_total"):
            labels, _, count = line.rpartition(" ")
            found[labels.partition('outcome="')[2].rstrip('"}')] += int(float(count))
    return dict(found)


def overload(seconds: float) -> dict[str, float]:
    """Compare what is served at capacity and at a multiple of it."""
    with ExitStack() as stack:
        backend = Process("backend", str(free_port()))
        stack.callback(backend.end)
        url = f"http://127.0.0.1:{backend.port}"
        gateway = Process("bounded", str(free_port()), url)
        stack.callback(gateway.end)
        slow(backend, WORK)
        found: dict[str, float] = {}
        for name, clients in (("peak", CLIENTS), ("over", CLIENTS * OVERLOAD)):
            seen: list[Seen] = []
            # As each client asks for what one of the first was served, all of them ask
            # for so many times as much.
            every = CLIENTS / found["peak served/s"] if found else 0.0
            with asking(gateway.port, seen, clients, every):
                time.sleep(seconds)
            served = [each for each in seen if each.outcome == "ok"]
            shed = [each.took for each in seen if each.outcome == "503"]
            found[f"{name} served/s"] = len(served) / seconds
            found[f"{name} shed/s"] = len(shed) / seconds
            found[f"{name} other"] = len(seen) - len(served) - len(shed)
            found[f"{name} shed p99 ms"] = percentile(shed, 0.99) if shed else 0.0
    found["goodput"] = found["over served/s"] / found["peak served/s"]
    return found


# -- telling --------------------------------------------------------------------------


def percentile(values: list[float], share: float) -> float:
    """Return a percentile in milliseconds."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000


def rows(
    seen: list[Seen], marks: list[tuple[str, float]], back: dict[str, Process]
) -> Iterator[dict[str, Any]]:
    """Yield what is to be told of each phase."""
    for (name, begin), (_, end) in zip(marks, marks[1:], strict=False):
        here = [each for each in seen if begin <= each.at < end]
        later = [each.took for each in here if each.at >= begin + 1]
        errors = Counter(f"{e.method} {e.outcome}" for e in here if e.outcome != "ok")
        row: dict[str, Any] = {
            "phase": name,
            "requests": len(here),
            "errors": dict(errors),
            "p50": statistics.median(each.took for each in here) * 1000,
            "p99": percentile([each.took for each in here], 0.99),
            "p99_later": percentile(later, 0.99),
        }
        if name in back:
            port = str(back[name].port)
            first = [e.at + e.took for e in here if e.port == port]
            row["back_after"] = min(first) - begin if first else None
        yield row


def main() -> None:
    """Run, print, write."""
    if sys.argv[1:2] == ["backend"]:
        return serve_backend(int(sys.argv[2]))
    if sys.argv[1:2] == ["bounded"]:
        return serve_gateway(int(sys.argv[2]), sys.argv[3:], CLIENTS)
    if sys.argv[1:2] == ["gateway"]:
        return serve_gateway(int(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="of all phases")
    found, outcomes = bad_day(parser.parse_args().seconds)
    quiet = found[0]["p99_later"]
    print(
        f"{'phase':16} {'requests':>8} {'p50 ms':>7} {'p99 ms':>7} {'after 1 s':>9}  "
    )
    for row in found:
        errors = ", ".join(f"{k}: {n}" for k, n in row["errors"].items()) or "none"
        ratio = row["p99_later"] / quiet
        back = row.get("back_after")
        told = f"; asked again after {back:.2f} s" if back is not None else ""
        print(
            f"{row['phase']:16} {row['requests']:8} {row['p50']:7.1f} "
            f"{row['p99']:7.1f} {row['p99_later']:7.1f} ({ratio:.1f}x)  "
            f"errors {errors}{told}"
        )
    print("exchanges:", ", ".join(f"{name} {n}" for name, n in outcomes.items()))
    load = overload(5)
    print("overload:", ", ".join(f"{name} {value:.2f}" for name, value in load.items()))
    RESULTS.mkdir(exist_ok=True)
    data = {"phases": found, "exchanges": outcomes, "overload": load}
    (RESULTS / "faults.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
