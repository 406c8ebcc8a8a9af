"""Every vector of gateway.json, by its id, over real sockets."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import re
import time
from unittest import mock

import pytest

from pyramid_restproxy import service_url
from tests import wire
from tests.vectors.backends import behaving
from tests.vectors.gateway_app import make_app

#: Vectors whose part is not built yet, by id, with the part. Nothing else is here.
NOT_YET = {
    "C01": "rate limits",
    "C05": "response cache",
    "C06": "response cache",
    "C07": "request id",
    "C09": "CORS of the gateway",
    "E16": "passive health",
    "E18": "circuit breaker",
    "E21": "retries by status",
    "H31": "API keys",
    "R59": "prelude of event streams",
    "S02": "API keys",
    "S03": "user tokens",
    "S04": "user tokens",
    "S06": "user tokens",
    "S13": "signed requests",
    "S14": "signed requests",
    "S15": "API keys",
    "S16": "session login",
    "S17": "address allow-lists",
    "S21": "sealed parameters",
}

#: Vectors believed wrong, by id, with the reason in one line.
DISPUTED: dict[str, str] = {}


def pytest_generate_tests(metafunc):
    folder = pathlib.Path(metafunc.config.getoption("--vectors"))
    found = json.loads((folder / "gateway.json").read_text("utf-8"))["vectors"]
    built = [v for v in found if v["id"] not in NOT_YET | DISPUTED]
    metafunc.parametrize("vector", built, ids=[v["id"] for v in built])


@pytest.mark.gateway
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up")
def test_gateway_vector(vector, tmp_path):
    if "call" in vector["client_request"]:
        return check_call(vector)
    setup = dict(vector.get("setup") or {})
    environment = {}
    if "env" in setup:
        (tmp_path / "netrc").write_text(setup["env"]["NETRC"])
        environment["NETRC"] = str(tmp_path / "netrc")
    options = {"url_prefix": setup["script_name"]} if "script_name" in setup else {}
    with behaving(vector["backend_behaviour"]) as (authority, seen, all_of_them):
        destination = setup.get("destination", "http://$BACKEND")
        if vector["backend_behaviour"]["kind"] == "tls_self_signed":
            destination = "https://$BACKEND"
        urls = [destination.replace("$BACKEND", a) for a in all_of_them or [authority]]
        app = with_peer(make_app(urls, setup), setup.get("peer"))
        with (
            mock.patch.dict(os.environ, environment),
            wire.served(app, **options) as own,
        ):
            names = {"$BACKEND": authority, "$GATEWAY": own, "$PEER": "127.0.0.1"}
            started = time.monotonic()
            replies = [send(own, spec) for spec in requests_of(vector)]
            elapsed = time.monotonic() - started
    check_client(vector, replies, names, seen, elapsed)
    check_backend(vector, list(seen), names)


def with_peer(app, peer):
    """Let the application see another peer's address."""
    if peer is None:
        return app

    def from_peer(environ, start_response):
        return app({**environ, "REMOTE_ADDR": peer}, start_response)

    return from_peer


def check_call(vector):
    """A vector that is a call of a function."""
    found = re.fullmatch(
        r"service_url\('(.*?)', params=(\{.*\})\)", vector["client_request"]["call"]
    )
    params = json.loads(found[2].replace("'", '"'))
    allowed = vector["expect_client_gets"]["value"].split(" or ")
    value = service_url(found[1], params)
    assert value in (allowed[0], allowed[0].replace("+", "%20"))


# -- the client ------------------------------------------------------------------


def requests_of(vector):
    request = vector["client_request"]
    if "sequence" in request:
        return request["sequence"]
    behaviour = vector["backend_behaviour"]
    if behaviour["kind"] == "sequence":
        # the step before the last is what the vector is about
        return [request] * (len(behaviour["steps"]) - 1)
    return [request] * request.get("repeat", 1)


def send(authority, spec):
    headers = [tuple(pair) for pair in spec.get("headers", [])]
    names = {name.lower() for name, _ in headers}
    target = spec["target"].replace("$GATEWAY", authority)
    body = body_of(spec)
    if "host" not in names and not spec.get("no_host"):
        headers.insert(0, ("Host", authority))
    if spec.get("chunked"):
        if "transfer-encoding" not in names:
            headers.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    elif body and "content-length" not in names:
        headers.append(("Content-Length", str(len(body))))
    lines = [f"{spec['method']} {target} HTTP/1.1"]
    lines += [f"{n}: {v.replace('$GATEWAY', authority)}" for n, v in headers]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return wire.exchange(authority, head + body, spec["method"])


def body_of(spec):
    if spec.get("body_b64"):
        return base64.b64decode(spec["body_b64"])
    if spec.get("body_size"):
        return b"x" * spec["body_size"]
    return (spec.get("body") or "").encode("utf-8")


# -- what the client must get ---------------------------------------------------------


def check_client(vector, replies, names, seen, elapsed):
    expect, reply = vector["expect_client_gets"], replies[-1]
    statuses = expect.get("status")
    if statuses is not None:
        wanted = statuses if isinstance(statuses, list) else [statuses]
        assert reply.status in wanted, (reply, vector["title"])
    for name, value in expect.get("headers", {}).items():
        assert reply.get(name) in alternatives(value, names), (name, reply)
    for name, lines in expect.get("header_lines", {}).items():
        assert reply.lines(name) == [filled(line, names) for line in lines]
    for name in expect.get("headers_absent", ()):
        assert reply.get(name) is None, (name, reply)
    for name in expect.get("headers_present", ()):
        assert reply.get(name) is not None, (name, reply)
    for name, value in expect.get("headers_not", {}).items():
        assert reply.get(name) != value
    for name, pattern in expect.get("headers_match", {}).items():
        assert re.search(pattern, reply.get(name) or ""), reply
    if reply.status == 200:
        for name, value in expect.get("headers_if_200", {}).items():
            assert reply.get(name) == value
    check_content(vector, expect, reply)
    if "proxy_status_error" in expect:
        assert f"error={expect['proxy_status_error']}" in reply.get("Proxy-Status")
    if "reason" in expect:
        assert reply.reason == expect["reason"]
    if "interim" in expect:
        assert reply.interim == expect["interim"]
    if "within_ms" in expect:
        assert elapsed * 1000 < expect["within_ms"]


def check_content(vector, expect, reply):
    if "body" in expect:
        assert reply.body == expect["body"].encode("utf-8")
    if expect.get("body_same"):
        sent = vector["backend_behaviour"]
        assert reply.body == base64.b64decode(sent["body_b64"])
    if expect.get("truncated") and reply.status == 200:
        assert reply.truncated, reply


def filled(text, names):
    for name, value in names.items():
        text = text.replace(name, value)
    return text


def alternatives(value, names):
    return [
        filled(each, names) for each in (value if isinstance(value, list) else [value])
    ]


# -- what the backend must see --------------------------------------------------------


def check_backend(vector, seen, names):
    expect = vector["expect_backend_sees"] or {}
    if not isinstance(expect, dict):
        return
    many = vector["backend_behaviour"]["kind"] == "sequence"
    if "calls" in expect and not many:
        assert len(seen) == expect["calls"], seen
    if "calls_max" in expect:
        assert len(seen) <= expect["calls_max"]
    if not seen:
        return
    check_request(expect, seen[0], names)
    sent = body_of(vector["client_request"])
    if expect.get("body_same"):
        assert seen[0].body == sent
    if "second" in expect:
        check_request(expect["second"], seen[1], names)


def check_request(expect, request, names):
    if "method" in expect:
        assert request.method == expect["method"]
    if "target" in expect:
        assert request.target in alternatives(expect["target"], names)
    if "host" in expect:
        assert request.header("Host") == filled(expect["host"], names)
    if "body" in expect:
        assert request.body == expect["body"].encode("utf-8")
    for name, value in expect.get("headers", {}).items():
        assert request.header(name) in alternatives(value, names), (name, request)
    for name in expect.get("headers_absent", ()):
        assert request.header(name) is None, (name, request)
    for name in expect.get("headers_present", ()):
        assert request.header(name) is not None, (name, request)
