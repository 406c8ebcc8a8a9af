"""Every vector of gateway.json, by its id, over real sockets."""

from __future__ import annotations

import ast
import functools
import json
import os
import pathlib
import re
import time

import pytest
from webob import Request

from pyramid_restproxy import service_url
from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.testing import check, load_vectors, send
from pyramid_restproxy.testing.behaviours import check_keys, filled
from pyramid_restproxy.trust.canonical import WireParts
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import RequestProfile
from pyramid_restproxy.trust.refusals import InvalidToken, Refused
from pyramid_restproxy.trust.sealing import seal, unseal
from pyramid_restproxy.trust.signing import verify
from tests import wire
from tests.vectors.backends import behaving
from tests.vectors.gateway_app import DEFAULT, make_app

#: Vectors whose part is not built yet, by id, with the part. Nothing else is here.
NOT_YET: dict[str, str] = {}

#: Vectors believed wrong, by id, with the reason in one line.
DISPUTED: dict[str, str] = {}


#: What a vector is made of, besides what ends in ``_note``.
PARTS = """id area level title client_request backend_behaviour expect_backend_sees
expect_client_gets source setup""".split()


def pytest_generate_tests(metafunc):
    if "vector" in metafunc.fixturenames:
        path = pathlib.Path(metafunc.config.getoption("--vectors")) / "gateway.json"
        found = load_vectors(path)
        built = [v for v in found if v["id"] not in NOT_YET | DISPUTED]
        metafunc.parametrize("vector", built, ids=[v["id"] for v in built])


@functools.cache
def default_setup(path):
    """Return what holds for all vectors of a file that say nothing else."""
    whole = json.loads(path.read_text("utf-8"))
    if isinstance(whole, list):
        return {}
    if whole.get("format", 1) != 1:
        raise ValueError(f"{path}: format {whole['format']!r} is not known")
    check_keys(whole, ["format", "about", "default_setup", "keys", "vectors"], path)
    return whole.get("default_setup", {})


@pytest.mark.gateway
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up")
def test_gateway_vector(vector, tmp_path, monkeypatch, request):
    path = pathlib.Path(request.config.getoption("--vectors")) / "gateway.json"
    run(vector, default_setup(path), tmp_path, monkeypatch)


def run(vector, default, folder, monkeypatch):
    """Run a vector.

    :param default: the set-up, as far as the vector says nothing else.
    :param folder: for files that it needs.
    :raises AssertionError: where anything is not as it should be.
    :raises ValueError: for what is not understood.
    """
    check_keys(vector, PARTS, vector["id"])
    if "call" in vector["client_request"]:
        return check_call(vector)
    setup = {**DEFAULT, **default, **(vector.get("setup") or {})}
    behaviour = vector["backend_behaviour"]
    with behaving(behaviour) as (authority, seen, all_of_them):
        port = authority.rpartition(":")[2]
        names = {"$BACKEND": authority, "$BACKEND_PORT": port, "$PEER": "127.0.0.1"}
        urls = [
            in_place(setup["destination"], {**names, "$BACKEND": each})
            for each in all_of_them or [authority]
        ]
        if behaviour["kind"].startswith("tls_"):
            urls = [re.sub("^http:", "https:", url) for url in urls]
        setup = in_place(setup, names)
        for name, value in environment(setup.get("env", {}), folder):
            monkeypatch.setenv(name, value)
        made = make_app(urls, setup)
        if behaviour["kind"] == "circuit_open":
            for endpoint in (
                made.registry.getUtility(IGateway).backends["api"].endpoints
            ):
                endpoint.health.take_out()
        if "peer" in setup:
            names["$PEER"] = setup["peer"]
        with wire.served(
            with_peer(made, setup.get("peer")), url_prefix=setup.get("script_name", "")
        ) as own:
            names["$GATEWAY"] = own
            replies = send(vector, own, names)
    secret = setup.get("sign_outbound", "")
    check(
        vector,
        replies,
        list(seen),
        names,
        also={
            "signature_verifies": lambda wanted, replies, seen: (
                verifies(seen[0], secret) is wanted
            ),
        },
    )


def in_place(given, names):
    """Fill placeholders, however deep."""
    if isinstance(given, dict):
        return {key: in_place(value, names) for key, value in given.items()}
    if isinstance(given, list):
        return [in_place(each, names) for each in given]
    return filled(given, names) if isinstance(given, str) else given


def environment(variables, folder):
    """Yield the variables; the content of a file is written to one."""
    for name, value in variables.items():
        if name == "NETRC" and not os.path.isabs(value):
            (folder / "netrc").write_text(value)
            value = str(folder / "netrc")
        yield name, value


def verifies(seen, secret):
    """Say whether a request that a backend saw is signed with a secret."""
    if not secret:
        return False
    environ = Request.blank(seen.target, method=seen.method).environ
    environ["REQUEST_URI"] = seen.target
    for name, value in seen.headers:
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ["CONTENT_TYPE"] = seen.header("Content-Type") or ""
    ring = KeyRing([Key("k", secret.encode())])
    try:
        found = verify(
            RequestProfile(), WireParts(environ), [seen.body], ring, time.time()
        )
    except Refused:
        return False
    return found.key_id == "k"


def with_peer(app, peer):
    """Let the application see another peer's address."""
    if peer is None:
        return app

    def from_peer(environ, start_response):
        return app({**environ, "REMOTE_ADDR": peer}, start_response)

    return from_peer


def check_call(vector):
    """A vector that is a call of a function, which asks no backend."""
    assert vector["backend_behaviour"] == "not called"
    assert vector["expect_backend_sees"] == {"calls": 0}
    check_keys(vector["client_request"], ["call"], vector["id"])
    check_keys(vector["expect_client_gets"], ["value"], vector["id"])
    path, params, sealed = read_call(vector["client_request"]["call"])
    if sealed:
        return check_sealed(path, params)
    wanted, *others = vector["expect_client_gets"]["value"].split(" or ")
    allowed = [wanted]
    for other in others:  # a whole value, or what may stand for each +
        allowed.append(wanted.replace("+", other) if other[0] == "%" else other)
    assert service_url(path, params) in allowed


def read_call(text):
    """Read ``service_url('/path', params={...}, sealed=True)``: path, params, sealed.

    :raises ValueError: for any other call.
    """
    call = ast.parse(text, mode="eval").body
    named = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
    path, *more = [ast.literal_eval(each) for each in call.args]
    if call.func.id != "service_url" or more or set(named) - {"params", "sealed"}:
        raise ValueError(f"{text!r}: this call is not known")
    return path, named.get("params"), named.get("sealed", False)


def check_sealed(path, params):
    """Sealed parameters can neither be read nor altered."""
    ring = KeyRing([Key("k", b"s" * 32)])
    now = time.time()
    token = seal(params, ring, path, now + 60, now=now)
    assert unseal(token, ring, path, now=now) == params
    for at in range(len(token)):
        altered = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        with pytest.raises(InvalidToken) as refused:
            unseal(altered, ring, path, now=now)
        assert refused.value.status_int == 400
