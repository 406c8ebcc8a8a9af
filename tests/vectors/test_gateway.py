"""Every vector of gateway.json, by its id, over real sockets."""

from __future__ import annotations

import json
import os
import pathlib
import re
from unittest import mock

import pytest

from pyramid_restproxy import service_url
from pyramid_restproxy.testing import check, load_vectors, send
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
    found = load_vectors(folder / "gateway.json")
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
            replies = send(vector, own)
    check(vector, replies, list(seen), names)


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
