"""What trust costs: ``python -m bench.trust``.

A POST of 10 KiB to a plain view, and to the same view behind an API key, a user token
(recognised before, so its answer is used again) and a signature over the body, each
alone and all together; in turn, in one process, without a server. Prints microseconds
of CPU time that each adds, the least of several rounds: what else the machine does
only adds to it. The first requests of a round are not counted: they find the caches
of the processor full of the case before.

The floor says what of it no program can save on this machine: a view that makes the
same hashes and does nothing with them.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.canonical import WireParts
from pyramid_restproxy.trust.identity import Identity
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import RequestProfile
from pyramid_restproxy.trust.signing import sign

BODY = b"x" * 10 * 1024
SECRET = b"s" * 32
WARM = 20
COUNT = 100
ROUNDS = 101

KEY, HASHED = new_key("bench")
SIGNING_KEY = Key("bench", SECRET)
RING = KeyRing([SIGNING_KEY])


def plain(request: Request) -> Response:
    """Answer."""
    return Response(b"ok")


def hashes(request: Request) -> Response:
    """Make the hashes of all three, and answer."""
    environ = request.environ
    hashlib.sha256(environ["wsgi.input"].read()).digest()
    inner = SIGNING_KEY.begin_hmac()
    inner.update(b"a text of a quarter of a KiB    " * 8)
    SIGNING_KEY.end_hmac(inner)
    for secret in (KEY, "token", environ["HTTP_X_SIGNATURE"]):
        hashlib.sha256(secret.encode()).hexdigest()
    return Response(b"ok")


ALL = {"api_key": True, "user_token": "required", "signed": True}

#: The view of each case, and its options.
CASES: dict[str, tuple[Callable[[Request], Response], dict[str, Any]]] = {
    "plain": (plain, {}),
    "floor": (hashes, {}),
    "API key": (plain, {"api_key": True}),
    "user token": (plain, {"user_token": "required"}),
    "signature": (plain, {"signed": True}),
    "all three": (plain, ALL),
}


def application(view: Callable[[Request], Response], options: dict[str, Any]) -> Any:
    """Make the application of a case."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_api_key("bench", HASHED)
        config.set_token_validator(lambda request, token: Identity("ann"))
        config.add_signing_key("bench", SECRET)
        config.add_route("bench", "/bench")
        config.add_view(view, route_name="bench", **options)
        return config.make_wsgi_app()


def environ() -> dict[str, Any]:
    """Make a request, with a signature of its own."""
    made = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/bench",
        "REQUEST_URI": "/bench",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(BODY)),
        "CONTENT_TYPE": "application/octet-stream",
        "HTTP_HOST": "localhost",
        "HTTP_API_KEY": KEY,
        "HTTP_USER_TOKEN": "token",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(BODY),
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    fields = sign(RequestProfile(), WireParts(made), [BODY], RING, time.time())
    for name, value in fields:
        made["HTTP_" + name.upper().replace("-", "_")] = value
    return made


def ask(app: Any, environs: list[dict[str, Any]]) -> float:
    """Ask for each; return CPU microseconds a request."""
    statuses = []
    started = time.thread_time()
    for each in environs:
        b"".join(app(each, lambda status, headers: statuses.append(status)))
    took = time.thread_time() - started
    assert set(statuses) == {"200 OK"}, set(statuses)
    return took / len(environs) * 1e6


def main() -> None:
    """Measure and print."""
    apps = {name: application(*case) for name, case in CASES.items()}
    least = dict.fromkeys(CASES, float("inf"))
    for _ in range(ROUNDS):
        for name, app in apps.items():
            environs = [environ() for _ in range(WARM + COUNT)]
            ask(app, environs[:WARM])
            least[name] = min(least[name], ask(app, environs[WARM:]))
    print(f"{'case':12} {'us':>7} {'added':>7}")
    for name, took in least.items():
        print(f"{name:12} {took:7.1f} {took - least['plain']:7.1f}")


if __name__ == "__main__":
    main()
