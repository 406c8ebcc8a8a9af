"""Every vector of gateway.json, by its id, over real sockets."""

from __future__ import annotations

import json
import os
import pathlib
import re
import time
from unittest import mock

import pytest
from webob import Request

from pyramid_restproxy import service_url
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.testing import check, load_vectors, send
from pyramid_restproxy.trust.canonical import wire_parts
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import RequestProfile
from pyramid_restproxy.trust.refusals import InvalidToken
from pyramid_restproxy.trust.sealing import seal, unseal
from pyramid_restproxy.trust.signing import verify
from tests import wire
from tests.vectors.backends import behaving
from tests.vectors.gateway_app import make_app

#: Vectors whose part is not built yet, by id, with the part. Nothing else is here.
NOT_YET: dict[str, str] = {}

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
        made = make_app(urls, setup)
        if vector["backend_behaviour"]["kind"] == "circuit_open":
            for endpoint in (
                made.registry.getUtility(IGateway).backends["api"].endpoints
            ):
                endpoint.health.take_out()
        app = with_peer(made, setup.get("peer"))
        with (
            mock.patch.dict(os.environ, environment),
            wire.served(app, **options) as own,
        ):
            names = {"$BACKEND": authority, "$GATEWAY": own, "$PEER": "127.0.0.1"}
            replies = send(vector, own)
    check(
        vector,
        replies,
        list(seen),
        names,
        also={
            "signature_verifies": lambda wanted, replies, seen: verifies(seen[0]),
            "calls_note": lambda wanted, replies, seen: True,  # test_attempts has it
        },
    )


def verifies(seen):
    """Say whether a request that a backend saw is signed as it should be."""
    environ = Request.blank(seen.target, method=seen.method).environ
    environ["REQUEST_URI"] = seen.target
    for name, value in seen.headers:
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ["CONTENT_TYPE"] = seen.header("Content-Type") or ""
    ring = KeyRing([Key("k", b"secret")])
    found = verify(
        RequestProfile(), wire_parts(environ), [seen.body], ring, time.time()
    )
    return found.key_id == "k"


def with_peer(app, peer):
    """Let the application see another peer's address."""
    if peer is None:
        return app

    def from_peer(environ, start_response):
        return app({**environ, "REMOTE_ADDR": peer}, start_response)

    return from_peer


def check_call(vector):
    """A vector that is a call of a function."""
    if "sealed=True" in vector["client_request"]["call"]:
        return check_sealed()
    found = re.fullmatch(
        r"service_url\('(.*?)', params=(\{.*\})\)", vector["client_request"]["call"]
    )
    params = json.loads(found[2].replace("'", '"'))
    allowed = vector["expect_client_gets"]["value"].split(" or ")
    value = service_url(found[1], params)
    assert value in (allowed[0], allowed[0].replace("+", "%20"))


def check_sealed():
    """Sealed parameters can neither be read nor altered."""
    ring = KeyRing([Key("k", b"s" * 32)])
    now = time.time()
    token = seal({"name": "x"}, ring, "/get_user", now + 60, now=now)
    assert unseal(token, ring, "/get_user", now=now) == {"name": "x"}
    for at in range(len(token)):
        altered = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(InvalidToken) as refused:
            unseal(altered, ring, "/get_user", now=now)
        assert refused.value.status_int == 400
