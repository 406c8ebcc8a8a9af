"""What a call costs: ``python -m bench.services``, ``... small`` for small calls only.

A server process (waitress) and this one, over loopback. The same function is called
through ``ServiceClient`` in every codec, by a pickle posted with a fresh
``requests.post`` (how it is often done), by the same over a kept session, by XML-RPC
of the standard library, and by JSON posted to a plain Pyramid view. Figures are
medians, the cases in turn. Then an array of 64 MB goes there and back, and the memory
of both processes at its peak is compared with before.

Goals: a small call at least 3 times as fast as the fresh pickle; the array in at most
1.3 times the time of pickle protocol 5, with at most 2.2 times the array on either
side.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import statistics
import subprocess
import sys
import threading
import time
import xmlrpc.client
import xmlrpc.server
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import requests
import waitress.server
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.services.client import ServiceClient

ROUNDS = 12
CALLS = 60
ARRAY_ROUNDS = 5
MEGABYTES = 64
GOAL_SMALL = 3.0  # times as fast as the fresh pickle
GOAL_ARRAY = 1.3  # times the time of pickle protocol 5
GOAL_MEMORY = 2.2  # times the array

Call = Callable[[], Any]


# -- the server ---------------------------------------------------------------


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def echo(array: numpy.ndarray) -> numpy.ndarray:
    """Return an array."""
    return array


def peak(reset: bool = False) -> int:
    """Return the most memory that this process has had, bytes."""
    if reset:
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")
    with open("/proc/self/status") as status:
        (line,) = (line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def pickled_view(request: Request) -> Response:
    """Answer a pickle with a pickle."""
    arguments = pickle.loads(request.body)
    function = {"add": add, "echo": echo}[request.matchdict["name"]]
    return Response(body=pickle.dumps(function(**arguments), 5))


def json_view(request: Request) -> int:
    """Answer JSON with JSON, as views do."""
    return add(**request.json_body)


def serve() -> None:
    """Serve until the input ends; say first where."""
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        for function in (add, echo, peak):
            config.add_service(
                function.__name__,
                f"/srv/{function.__name__}",
                function,
                codecs=("json", "msgpack", "cbor", "pickle"),
                guard=lambda request: None,
                max_body=1 << 30,
            )
        config.add_route("pickled", "/pickled/{name}")
        config.add_view(pickled_view, route_name="pickled", request_method="POST")
        config.add_route("json", "/json")
        config.add_view(
            json_view, route_name="json", request_method="POST", renderer="json"
        )
        app = config.make_wsgi_app()
    server = waitress.server.create_server(app, listen="127.0.0.1:0", threads=4)
    remote = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False)
    remote.register_function(add)
    for run in (server.run, remote.serve_forever):
        threading.Thread(target=run, daemon=True).start()
    print(json.dumps([server.effective_port, remote.server_address[1]]), flush=True)
    sys.stdin.read()


@contextlib.contextmanager
def served() -> Iterator[tuple[int, int]]:
    """Run the server in a process of its own; give its two ports."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "bench.services", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        http, remote = json.loads(process.stdout.readline())
        yield http, remote
    finally:
        process.communicate()


# -- the measurements ---------------------------------------------------------


def small_calls(http: int, remote: int) -> dict[str, Call]:
    """Return the small call in every way."""
    url = f"http://127.0.0.1:{http}"
    body = {"a": 1, "b": 2}
    session = requests.Session()
    xml = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{remote}")
    calls: dict[str, Call] = {}
    for codec in ("json", "msgpack", "cbor", "pickle"):
        client = ServiceClient(f"{url}/srv", codec)
        calls[f"ServiceClient, {codec}"] = lambda c=client: c.add(a=1, b=2)
    calls["pickle, fresh requests.post"] = lambda: pickle.loads(
        requests.post(f"{url}/pickled/add", data=pickle.dumps(body, 5)).content
    )
    calls["pickle, requests.Session"] = lambda: pickle.loads(
        session.post(f"{url}/pickled/add", data=pickle.dumps(body, 5)).content
    )
    calls["XML-RPC"] = lambda: xml.add(1, 2)
    calls["JSON view, requests.Session"] = lambda: session.post(
        f"{url}/json", json=body
    ).json()
    return calls


def array_calls(http: int, array: numpy.ndarray) -> dict[str, Call]:
    """Return the call with a large array in every way."""
    url = f"http://127.0.0.1:{http}"
    calls: dict[str, Call] = {}
    for codec in ("msgpack", "cbor", "pickle"):
        client = ServiceClient(f"{url}/srv", codec)
        calls[f"ServiceClient, {codec}"] = lambda c=client: c.echo(array=array)
    calls["pickle 5, fresh requests.post"] = lambda: pickle.loads(
        requests.post(
            f"{url}/pickled/echo", data=pickle.dumps({"array": array}, 5)
        ).content
    )
    return calls


def timed(calls: dict[str, Call], rounds: int, times: int) -> dict[str, float]:
    """Return the median time of each call, seconds; the calls in turn."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            for _ in range(times):
                started = time.perf_counter()
                call()
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in taken.items()}


def memory(
    calls: dict[str, Call], http: int, size: int
) -> dict[str, tuple[float, float]]:
    """Return what each call takes on both sides, as multiples of the array.

    The array that the caller holds counts on its side.
    """
    client = ServiceClient(f"http://127.0.0.1:{http}/srv", "json")
    found = {}
    for name, call in calls.items():
        before = peak(reset=True), client.peak(reset=True)
        call()
        after = peak(), client.peak()
        there, here = after[1] - before[1], after[0] - before[0]
        found[name] = (here / size + 1, there / size)
    return found


def main(small_only: bool = False) -> None:
    """Measure and print."""
    with served() as (http, remote):
        measure_small(http, remote)
        if not small_only:
            measure_array(http)
    print(
        f"\ngoals: at least {GOAL_SMALL} times as fast; at most {GOAL_ARRAY} times "
        f"the time; at most {GOAL_MEMORY} times the array"
    )


def measure_small(http: int, remote: int) -> None:
    """Measure the small call and print."""
    small = timed(small_calls(http, remote), ROUNDS, CALLS)
    fresh = small["pickle, fresh requests.post"]
    print(f"{'small call':<32}{'us':>8}{'times as fast as the fresh pickle':>36}")
    for name, seconds in small.items():
        print(f"{name:<32}{seconds * 1e6:>8.0f}{fresh / seconds:>36.2f}")


def measure_array(http: int) -> None:
    """Measure the call with an array and print."""
    array = numpy.random.default_rng(1).random(MEGABYTES * 1_000_000 // 8)
    calls = array_calls(http, array)
    large = timed(calls, ARRAY_ROUNDS, 1)
    used = memory(calls, http, array.nbytes)
    reference = large["pickle 5, fresh requests.post"]
    print(f"\n{f'{MEGABYTES} MB there and back':<32}{'ms':>8}{'times pickle 5':>16}")
    for name, seconds in large.items():
        here, there = used[name]
        print(
            f"{name:<32}{seconds * 1e3:>8.0f}{seconds / reference:>16.2f}"
            f"   memory: client {here:.2f}, server {there:.2f} times the array"
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        main(small_only=sys.argv[1:] == ["small"])
