"""What routing adds to a request: ``python -m bench.routing``.

One process, no server: the WSGI application is called with a ready environ. Each
case is measured on a plain Pyramid application and on the same one with
pyramid_restproxy.routing, in turn, many times; the figures are medians of the rounds,
so that a slow moment of the machine counts little. Prints added microseconds and the
ratio; the goal is less than 25 us added. Also prints what including the package
adds to start-up (the whole package, its modules compiled before).
"""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request

ROUNDS = 25
CALLS = 400
GOAL_ADDED = 25.0  # microseconds
GOAL_STARTUP = 150.0  # milliseconds

POST = {"id": 1, "title": "A post", "body": "text " * 20, "tags": ["a", "b"]}
AXIOS = "application/json, text/plain, */*"
FORM = b"title=Hello&body=" + b"text+" * 40

Environ = dict[str, Any]
Application = Callable[..., Any]


def show(request: Request) -> dict[str, Any]:
    """Answer a post."""
    return {"post": POST}


def write(request: Request) -> dict[str, Any]:
    """Answer a write that has read its form."""
    return {"title": request.POST["title"]}


def plain_app() -> Application:
    """Make the application as Pyramid alone does it."""
    with Configurator() as config:
        config.add_route("posts", "/posts")
        config.add_route("post", "/posts/{id}")
        for route in ("posts", "post"):
            config.add_view(
                show, route_name=route, request_method="GET", renderer="json"
            )
        config.add_view(
            write, route_name="post", request_method="POST", renderer="json"
        )
        config.add_view(write, route_name="post", request_method="PUT", renderer="json")
        return config.make_wsgi_app()


def restful_app() -> Application:
    """Make the same with predicates, override and negotiation."""
    with Configurator() as config:
        config.include("pyramid_restproxy.routing")
        config.add_route("posts", "/posts")
        config.add_route("post", "/posts/{id}")
        options = {"renderer": "negotiated", "representations": ("json", "xml", "csv")}
        for route in ("posts", "post"):
            config.add_view(show, route_name=route, allowed_methods="GET", **options)
        for method in ("POST", "PUT"):
            config.add_view(write, route_name="post", allowed_methods=method, **options)
        return config.make_wsgi_app()


def environ(method: str, path: str, body: bytes = b"", **headers: str) -> Environ:
    """Make a WSGI environ."""
    made = Request.blank(path, method=method).environ
    made.update(headers)
    if body:
        made["CONTENT_LENGTH"] = str(len(body))
        made["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
    return made


#: name, the request of the plain application, the request of the other one
CASES: list[tuple[str, Environ, Environ, bytes]] = [
    ("GET, no Accept", environ("GET", "/posts/1"), environ("GET", "/posts/1"), b""),
    (
        "GET, Accept: application/json",
        environ("GET", "/posts/1", HTTP_ACCEPT="application/json"),
        environ("GET", "/posts/1", HTTP_ACCEPT="application/json"),
        b"",
    ),
    (
        "GET, a script's Accept",
        environ("GET", "/posts", HTTP_ACCEPT=AXIOS),
        environ("GET", "/posts", HTTP_ACCEPT=AXIOS),
        b"",
    ),
    (
        "GET, /posts/1.json",
        environ("GET", "/posts/1"),
        environ("GET", "/posts/1.json"),
        b"",
    ),
    (
        "POST a form",
        environ("POST", "/posts/1", FORM),
        environ("POST", "/posts/1", FORM),
        FORM,
    ),
    (
        "PUT against POST + header",
        environ("PUT", "/posts/1", FORM),
        environ("POST", "/posts/1", FORM, HTTP_X_HTTP_METHOD_OVERRIDE="PUT"),
        FORM,
    ),
    (
        "PUT against POST + _method",
        environ("PUT", "/posts/1", b"_method=PUT&" + FORM),
        environ("POST", "/posts/1", b"_method=PUT&" + FORM),
        b"_method=PUT&" + FORM,
    ),
]


def microseconds(app: Application, base: Environ, body: bytes) -> float:
    """Time one call, as the mean of many."""

    def start_response(status: str, headers: Any, exc_info: Any = None) -> None:
        if not status.startswith("200"):
            raise RuntimeError(status)

    environs = [{**base, "wsgi.input": io.BytesIO(body)} for _ in range(CALLS)]
    started = time.perf_counter()
    for each in environs:
        b"".join(app(each, start_response))
    return (time.perf_counter() - started) / CALLS * 1e6


def measure() -> list[dict[str, Any]]:
    """Measure all cases, the two applications in turn."""
    plain, restful = plain_app(), restful_app()
    rows = []
    for name, plain_environ, rest_environ, body in CASES:
        pairs = [
            (
                microseconds(plain, plain_environ, body),
                microseconds(restful, rest_environ, body),
            )
            for _ in range(ROUNDS)
        ]
        rows.append(
            {
                "case": name,
                "plain_us": statistics.median(p for p, _ in pairs),
                "restful_us": statistics.median(r for _, r in pairs),
                "added_us": statistics.median(r - p for p, r in pairs),
                "ratio": statistics.median(r / p for p, r in pairs),
            }
        )
    return rows


def startup() -> float:
    """Return what including the package adds to start-up, in milliseconds."""
    program = (
        "import time; from pyramid.config import Configurator; "
        "t = time.perf_counter(); c = Configurator(); {} c.make_wsgi_app(); "
        "print(time.perf_counter() - t)"
    )
    include = "c.include('pyramid_restproxy');"
    # As an installed package starts: its modules compiled before.
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times = {}
    for name, what in (("plain", ""), ("with", include)):
        command = [sys.executable, "-W", "ignore", "-c", program.format(what)]
        runs = [float(subprocess.check_output(command, env=clean)) for _ in range(8)]
        times[name] = statistics.median(runs[1:]) * 1000
    return times["with"] - times["plain"]


def main() -> None:
    """Print the table; with ``--json`` as data."""
    rows, start = measure(), startup()
    if "--json" in sys.argv:
        print(json.dumps({"routing": rows, "startup_added_ms": start}, indent=1))
        return
    print(f"{'request':32} {'plain us':>9} {'ours us':>9} {'added us':>9} {'ratio':>6}")
    for row in rows:
        print(
            f"{row['case']:32} {row['plain_us']:9.1f} {row['restful_us']:9.1f} "
            f"{row['added_us']:9.1f} {row['ratio']:6.2f}"
        )
    print(f"goal: less than {GOAL_ADDED:.0f} us added")
    print(f"start-up: {start:.0f} ms added (goal: less than {GOAL_STARTUP:.0f} ms)")


if __name__ == "__main__":
    main()
