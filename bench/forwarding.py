"""What forwarding costs: ``python -m bench.forwarding``.

Every subject (:mod:`bench.subjects`) is a process of its own in front of the same
backends. All are asked in turn, round after round, so that a slow moment of the machine
meets all of them, and ratios are taken within a round before the median. Cases:

``get``, ``get10k``, ``post10k``
    wrk with 8 connections, for ``--seconds`` in each of ``--rounds``.
``download``, ``upload``
    one body of ``--size`` MiB over a bare socket.
``events``
    one stream of server-sent events: some alone, then many at once.
``exchange``
    no server in front: ``KeepAliveAdapter.send`` against ``HTTPAdapter.send``.

Prints a table for each case; writes ``forwarding.json`` and, with matplotlib,
``forwarding.png`` to ``bench/results/``. Ratios are of speed: 2.00 is twice as fast.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.subjects import (
    ANSWER,
    BURST,
    LONE,
    SMALL,
    SUBJECTS,
    TEN_KIB,
    Running,
    free_port,
    nginx,
    process,
    start_backends,
    start_subject,
    wait_for,
    why_left_out,
)

RESULTS = pathlib.Path(__file__).parent / "results"
MIB = 1 << 20
PLAIN, OURS = "plain Pyramid view", ("pyramid_restproxy", "ours")
REVPROXY, NGINX = "django-revproxy", "nginx proxy_pass"

Numbers = dict[str, float]


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    seconds: int
    rounds: int
    size: int
    only: list[str]


@dataclass(frozen=True)
class Case:
    """One thing that subjects are asked.

    :ivar ask: asks one subject once.
    :ivar columns: what is printed: key, heading and format of each. The first is the
        speed, of which ratios are taken.
    :ivar repeats: how often it is asked in a round.
    :ivar against: the subject that the plot compares with.
    """

    title: str
    ask: Callable[[Running, Options], Numbers]
    columns: tuple[tuple[str, str, str], ...]
    repeats: int
    against: str

    @property
    def speed(self) -> str:
        return self.columns[0][0]


# -- the processes of a subject --------------------------------------------------------


def family(pid: int) -> list[int]:
    """Return a process and all that come from it."""
    lists = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for each in lists for child in each.read_text().split()]
    return [pid, *(one for child in children for one in family(child))]


def cpu_seconds(pid: int) -> float:
    """Return what a family has used, by its clocks (clock_getcpuclockid(3))."""
    return sum(time.clock_gettime((~each << 3) | 2) for each in family(pid))


def memory(pid: int, field: str) -> float:
    """Return a field of /proc/PID/status of a family: VmRSS, or VmHWM; in MiB."""
    total = 0
    for each in family(pid):
        status = pathlib.Path(f"/proc/{each}/status").read_text()
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        total += int(found[1]) if found else 0
    return total / 1024


def forget_peak(pid: int) -> None:
    """Set VmHWM of a family to VmRSS (proc(5), clear_refs)."""
    for each in family(pid):
        pathlib.Path(f"/proc/{each}/clear_refs").write_text("5")


# -- small messages --------------------------------------------------------------------

LUA = """
wrk.method = "{method}"; wrk.body = {body}
done = function(s, l, r)
  io.write(string.format("RESULT %d %d %d %d %d\\n", s.requests, s.duration,
    l:percentile(50), l:percentile(99), s.errors.connect + s.errors.read +
    s.errors.write + s.errors.status + s.errors.timeout))
end
"""


def message(path: str, upload: int = 0) -> Callable[[Running, Options], Numbers]:
    """Make the case of one path.

    :param upload: the size of the body sent, in bytes.
    """
    body = f'string.rep("x", {upload})' if upload else "nil"
    script = LUA.format(method="POST" if upload else "GET", body=body)

    def ask(running: Running, options: Options) -> Numbers:
        before = cpu_seconds(running.pid)
        found = wrk(f"http://127.0.0.1:{running.port}{path}", script, options.seconds)
        used = cpu_seconds(running.pid) - before
        found["cpu_us"] = used / max(found["requests"], 1) * 1e6
        return found | {"rss": memory(running.pid, "VmRSS")}

    return ask


def wrk(url: str, script: str, seconds: int) -> Numbers:
    """Ask from 8 connections for a while; times in microseconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", file.name, url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    assert found, done.stdout
    count, duration, p50, p99, errors = map(int, found.groups())
    speed = count / duration * 1e6
    return dict(rps=speed, requests=count, p50=p50, p99=p99, errors=errors)


# -- large bodies ----------------------------------------------------------------------


def download(running: Running, options: Options) -> Numbers:
    """Read one large answer and throw it away."""
    return transfer(running, options, receive_large)


def upload(running: Running, options: Options) -> Numbers:
    """Send one large body."""
    return transfer(running, options, send_large)


def transfer(
    running: Running,
    options: Options,
    move: Callable[[socket.socket, int], None],
) -> Numbers:
    """Measure one large body: MB/s, CPU seconds for 64 MiB, growth of memory in MiB.

    Memory is compared with what it was before the first large body.
    """
    before, started = cpu_seconds(running.pid), time.monotonic()
    with connect(running.port) as connection:
        move(connection, options.size)
    elapsed = time.monotonic() - started
    return {
        "mb_s": options.size * MIB / 1e6 / elapsed,
        "cpu_s": (cpu_seconds(running.pid) - before) / options.size * 64,
        "rss": memory(running.pid, "VmRSS"),
        "growth": memory(running.pid, "VmHWM") - running.idle,
    }


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def receive_large(connection: socket.socket, mib: int) -> None:
    """Ask for the large file and count what comes."""
    target = f"/api/large.bin?mib={mib}"
    connection.sendall(request("GET", target))
    buffer = memoryview(bytearray(MIB))
    read = connection.recv_into(buffer)
    head, _, start = bytes(buffer[:read]).partition(b"\r\n\r\n")
    check_status(head)
    left = mib * MIB - len(start)
    while left > 0 and (read := connection.recv_into(buffer)):
        left -= read
    assert left <= 0, f"{left} bytes are missing"


def send_large(connection: socket.socket, mib: int) -> None:
    """Send a large body and wait for the answer."""
    connection.sendall(request("POST", "/streams/sink", mib * MIB))
    piece = bytes(MIB)
    for _ in range(mib):
        connection.sendall(piece)
    answer = b""
    while not answer.endswith(b"done") and (more := connection.recv(65536)):
        answer += more
    check_status(answer)


def request(method: str, target: str, length: int | None = None) -> bytes:
    """Write the head of a request."""
    size = "" if length is None else f"Content-Length: {length}\r\n"
    lines = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    return f"{lines}{size}\r\n".encode()


def check_status(answer: bytes) -> None:
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]


# -- streams ---------------------------------------------------------------------------


def stream(running: Running, options: Options) -> Numbers:
    """Read one stream: how late events are that come alone, and how fast many pass."""
    before = cpu_seconds(running.pid)
    with connect(running.port) as connection:
        connection.sendall(request("GET", "/streams/events"))
        delays = [delay(receive_events(connection, 1)) for _ in range(LONE)]
        elapsed = delay(receive_events(connection, BURST))
    used = cpu_seconds(running.pid) - before
    return {
        "events_s": BURST / elapsed * 1e6,
        "first": delays[0],
        "p50": statistics.median(delays),
        "max": max(delays),
        "cpu_us": used / (LONE + BURST) * 1e6,
        "rss": memory(running.pid, "VmRSS"),
    }


def receive_events(connection: socket.socket, count: int) -> bytes:
    """Read until so many events have come; each ends in an exclamation mark."""
    pieces = []
    while count > 0:
        pieces.append(connection.recv(65536))
        assert pieces[-1], f"{count} events are missing"
        count -= pieces[-1].count(b"!")
    return b"".join(pieces)


def delay(received: bytes) -> float:
    """Return how long ago the first of the events was made, in microseconds."""
    made = re.search(rb"data: (\d+) ", received)
    assert made, received[:200]
    return (time.monotonic_ns() - int(made[1])) / 1000


# -- the cases -------------------------------------------------------------------------

MESSAGE = (
    ("rps", "req/s", ".0f"),
    ("cpu_us", "cpu us", ".0f"),
    ("p50", "p50 us", ".0f"),
    ("p99", "p99 us", ".0f"),
    ("rss", "MiB", ".0f"),
    ("errors", "errors", ".0f"),
)
LARGE = (
    ("mb_s", "MB/s", ".0f"),
    ("cpu_s", "cpu s/64M", ".3f"),
    ("rss", "MiB", ".0f"),
    ("growth", "growth MiB", ".1f"),
)
STREAM = (
    ("events_s", "events/s", ".0f"),
    ("cpu_us", "cpu us", ".1f"),
    ("first", "first us", ".0f"),
    ("p50", "p50 us", ".0f"),
    ("max", "max us", ".0f"),
    ("rss", "MiB", ".0f"),
)

CASES = {
    "get": Case("GET 63 B", message("/api/small"), MESSAGE, 1, PLAIN),
    "get10k": Case("GET 10 KiB", message("/api/10k.bin"), MESSAGE, 1, PLAIN),
    "post10k": Case("POST 10 KiB", message("/api/small", 10240), MESSAGE, 1, PLAIN),
    "download": Case("download", download, LARGE, 3, NGINX),
    "upload": Case("upload", upload, LARGE, 3, NGINX),
    "events": Case("server-sent events", stream, STREAM, 3, NGINX),
}

#: What is to be answered before anything is measured.
EXPECTED = {"get": ("/api/small", SMALL), "get10k": ("/api/10k.bin", TEN_KIB)}


# -- measuring -------------------------------------------------------------------------


def measure(options: Options) -> list[dict[str, Any]]:
    """Measure every case that is wanted."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)  # nginx may work as another user
        backends = start_backends(stack, folder, options.size)
        wanted = [name for name in CASES if name in options.only]
        return [
            row
            for name in wanted
            for row in measure_case(name, folder, backends, options)
        ]


def measure_case(
    name: str, folder: str, backends: tuple[str, str], options: Options
) -> list[dict[str, Any]]:
    """Start the subjects of a case, ask them in turn; give a row for each."""
    subjects = [each for each in SUBJECTS if name in each.cases]
    subjects = [each for each in subjects if not why_left_out(each)]
    with ExitStack() as stack:
        started = [start_subject(stack, folder, each, backends) for each in subjects]
        running = [ready(each, name) for each in started]
        runs = ask_in_turn(CASES[name], running, options)
    return [summary(name, subject, runs) for subject in runs]


def ready(running: Running, case: str) -> Running:
    """Wait for a subject, check what it answers, note its memory."""
    wait_for(running.process, running.port)
    check_answer(running, *EXPECTED.get(case, EXPECTED["get"]))
    forget_peak(running.pid)
    return replace(running, idle=memory(running.pid, "VmRSS"))


def check_answer(running: Running, path: str, body: bytes) -> None:
    """Check that a subject answers what the others answer."""
    with connect(running.port) as connection:
        connection.sendall(request("GET", path))
        with connection.makefile("rb") as reader:
            answer = reader.read()
    check_status(answer)
    assert answer.endswith(b"\r\n\r\n" + body), (running.name, path)


def ask_in_turn(
    case: Case, running: list[Running], options: Options
) -> dict[str, list[Numbers]]:
    """Ask every subject once to warm up, then round after round."""
    for each in running:
        case.ask(each, replace(options, seconds=1))
    runs: dict[str, list[Numbers]] = {each.name: [] for each in running}
    for _ in range(options.rounds * case.repeats):
        for each in running:
            runs[each.name].append(case.ask(each, options))
    return runs


def summary(case: str, subject: str, runs: dict[str, list[Numbers]]) -> dict[str, Any]:
    """Take the medians of a subject's runs, and of its ratios to others.

    Of errors and of the growth of memory the worst is taken.
    """
    own = runs[subject]
    row: dict[str, Any] = {"case": case, "subject": subject}
    for key in own[0]:
        take = max if key in ("errors", "growth") else statistics.median
        row[key] = take([run[key] for run in own])
    for key, other in (("plain", PLAIN), ("revproxy", REVPROXY), ("nginx", NGINX)):
        if key != "revproxy" or subject.startswith(OURS):
            row[f"to_{key}"] = ratio(CASES[case].speed, own, runs.get(other))
    return row


def ratio(key: str, runs: list[Numbers], others: list[Numbers] | None) -> float | None:
    """Pair the runs of each round; give the median ratio."""
    if others is None:
        return None
    pairs = zip(runs, others, strict=True)
    return statistics.median(run[key] / other[key] for run, other in pairs)


def exchanges(count: int = 1500, rounds: int = 12) -> Numbers:
    """Compare one exchange of the adapters, in CPU microseconds of one thread.

    Of each adapter the least: what else runs on the machine only adds.
    """
    import requests
    from requests.adapters import HTTPAdapter

    from pyramid_restproxy import KeepAliveAdapter

    adapters = {"KeepAliveAdapter": KeepAliveAdapter(), "HTTPAdapter": HTTPAdapter()}
    times: dict[str, list[float]] = {name: [] for name in adapters}
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        asked = requests.Request("GET", f"http://127.0.0.1:{port}/small").prepare()
        with process(nginx(folder, "only", port, ANSWER)) as started:
            wait_for(started, port)
            for _ in range(rounds):
                for name, adapter in adapters.items():
                    times[name].append(exchange_us(adapter, asked, count))
    found = {name: min(values) for name, values in times.items()}
    return found | {"ratio": found["KeepAliveAdapter"] / found["HTTPAdapter"]}


def exchange_us(adapter: Any, asked: Any, count: int) -> float:
    """Send a request many times; give the CPU microseconds of one exchange."""
    started = time.thread_time()
    for _ in range(count):
        assert adapter.send(asked, stream=True, timeout=(5, 30)).content == SMALL
    return (time.thread_time() - started) / count * 1e6


# -- telling ---------------------------------------------------------------------------

RATIOS = (
    ("to_plain", "to plain", ".2f"),
    ("to_revproxy", "to revproxy", ".2f"),
    ("to_nginx", "to nginx", ".2f"),
)


def print_case(case: Case, rows: list[dict[str, Any]], options: Options) -> None:
    """Print the table of a case."""
    columns = (*case.columns, *RATIOS)
    print(f"\n{title(case, options):24}" + "".join(f"{c[1]:>12}" for c in columns))
    for row in rows:
        cells = [cell(row.get(key), form) for key, _, form in columns]
        print(f"{row['subject']:24}" + "".join(f"{each:>12}" for each in cells))


def print_exchange(one: Numbers) -> None:
    """Print the table of the adapters."""
    print(f"\n{'one exchange':24}{'cpu us':>12}{'ratio':>12}")
    print(f"{'KeepAliveAdapter.send':24}{one['KeepAliveAdapter']:12.0f}", end="")
    print(f"{one['ratio']:12.2f}")
    print(f"{'HTTPAdapter.send':24}{one['HTTPAdapter']:12.0f}{1:12.2f}")


def title(case: Case, options: Options) -> str:
    return f"{case.title} {options.size} MiB" if case.columns is LARGE else case.title


def cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def plot(rows: list[dict[str, Any]], options: Options) -> None:
    """Draw the ratios of every case, as bars."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("\nno plot: matplotlib is not installed")
        return
    names = [name for name in CASES if any(row["case"] == name for row in rows)]
    heights = [2 + sum(row["case"] == name for row in rows) for name in names]
    figure = Figure(figsize=(8, 0.32 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(names), 1, squeeze=False, height_ratios=heights)
    for axis, name in zip(axes[:, 0], names, strict=True):
        draw(axis, CASES[name], [r for r in rows if r["case"] == name], options)
    figure.savefig(RESULTS / "forwarding.png", dpi=120)


def draw(axis: Any, case: Case, rows: list[dict[str, Any]], options: Options) -> None:
    """Draw the bars of a case; a bar that is much longer is cut, its number is not."""
    key = "to_nginx" if case.against == NGINX else "to_plain"
    rows = [row for row in rows if row.get(key) is not None][::-1]
    names, values = [row["subject"] for row in rows], [row[key] for row in rows]
    limit = 1.5 * max([1.0, *(row[key] for row in rows if row["subject"] != NGINX)])
    colours = ["#c4501b" if name.startswith(OURS) else "#8a97a6" for name in names]
    lengths = [min(value, limit) for value in values]
    cut = ["  (bar cut)" if value > limit else "" for value in values]
    labels = [f"{value:.2f}{note}" for value, note in zip(values, cut, strict=True)]
    axis.axvline(1, color="black", linewidth=0.8, zorder=0)
    axis.bar_label(axis.barh(names, lengths, color=colours), labels, padding=3)
    axis.set_xlim(0, max(lengths) * 1.25)
    axis.set_title(f"{title(case, options)}: speed, {case.against} = 1", loc="left")
    axis.spines[["top", "right"]].set_visible(False)


def read_options() -> Options:
    """Read the command line."""
    known = [*CASES, "exchange"]
    parser = argparse.ArgumentParser(
        prog="python -m bench.forwarding",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=int, default=3, help="of each run of wrk (3)")
    parser.add_argument("--rounds", type=int, default=3, help="of every case (3)")
    parser.add_argument(
        "--size", type=int, default=64, help="of large bodies, MiB (64)"
    )
    parser.add_argument("--only", default=",".join(known), help="CASE,CASE,...")
    found = parser.parse_args()
    only = found.only.split(",")
    if strangers := set(only) - set(known):
        parser.error(f"no such case: {', '.join(sorted(strangers))}")
    return Options(found.seconds, found.rounds, found.size, only)


def main() -> None:
    """Measure, print, write."""
    options = read_options()
    missing = [name for name in ("wrk", "nginx") if not shutil.which(name)]
    if missing:
        sys.exit(f"this benchmark needs {' and '.join(missing)}")
    for line in filter(None, map(why_left_out, SUBJECTS)):
        print(line)
    RESULTS.mkdir(exist_ok=True)
    data: dict[str, Any] = {
        "options": asdict(options),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "rows": measure(options),
    }
    for name, case in CASES.items():
        if rows := [row for row in data["rows"] if row["case"] == name]:
            print_case(case, rows, options)
    if "exchange" in options.only:
        data["exchange"] = one = exchanges()
        print_exchange(one)
    if data["rows"]:
        plot(data["rows"], options)
    (RESULTS / "forwarding.json").write_text(json.dumps(data, indent=1) + "\n")


if __name__ == "__main__":
    main()
