"""What trust costs: ``python -m bench.trust``.

A POST of 10 KiB to a plain view, and to the same view behind an API key, a user token
(recognised before, so its answer is used again) and a signature over the body, each
alone and all together; in turn, in one process, without a server. Prints microseconds
of CPU time that each adds.
"""

from __future__ import annotations

import io
import statistics
import time
from typing import Any

from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.canonical import wire_parts
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import RequestProfile
from pyramid_restproxy.trust.signing import sign

BODY = b"x" * 10 * 1024
SECRET = b"s" * 32
COUNT = 500
ROUNDS = 9

#: Options of the view in each case.
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "API key": {"api_key": True},
    "user token": {"user_token": "required"},
    "signature": {"signed": True},
    "all three": {"api_key": True, "user_token": "required", "signed": True},
}


def application(hashed: str) -> Any:
    """Make an application with a route for each case."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_api_key("bench", hashed)
        config.set_token_validator(lambda request, token: Identity("ann"))
        config.add_signing_key("bench", SECRET)
        for number, options in enumerate(CASES.values()):
            config.add_route(str(number), f"/{number}")
            config.add_view(
                lambda request: Response(b"ok"), route_name=str(number), **options
            )
        return config.make_wsgi_app()


def environ_of(number: int, key: str, ring: KeyRing) -> dict[str, Any]:
    """Make a request for a case, with a signature of its own."""
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": f"/{number}",
        "REQUEST_URI": f"/{number}",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(BODY)),
        "CONTENT_TYPE": "application/octet-stream",
        "HTTP_HOST": "localhost",
        "HTTP_API_KEY": key,
        "HTTP_USER_TOKEN": "token",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(BODY),
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    fields = sign(RequestProfile(), wire_parts(environ), [BODY], ring, time.time())
    for name, value in fields:
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ


def ask(app: Any, environs: list[dict[str, Any]]) -> float:
    """Ask for each; return CPU microseconds a request."""
    statuses = []
    started = time.thread_time()
    for environ in environs:
        b"".join(app(environ, lambda status, headers: statuses.append(status)))
    took = time.thread_time() - started
    assert set(statuses) == {"200 OK"}, set(statuses)
    return took / len(environs) * 1e6


def main() -> None:
    """Measure and print."""
    key, hashed = new_key("bench")
    app, ring = application(hashed), KeyRing([Key("bench", SECRET)])
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for number, name in enumerate(CASES):
            environs = [environ_of(number, key, ring) for _ in range(COUNT)]
            times[name].append(ask(app, environs))
    plain = statistics.median(times["plain"])
    print(f"{'case':12} {'us':>7} {'added':>7}")
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:12} {middle:7.1f} {middle - plain:7.1f}")


if __name__ == "__main__":
    main()
