"""Paths that servers read in different ways, and what is asked before what.

On waitress and on gunicorn: the bytes are the same, what each makes of them is not.
"""

from __future__ import annotations

import pytest

from pyramid_restproxy.testing import Answer, FakeBackend, exchange
from tests.functional.test_servers import serving

APPLICATION = """
import os
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid_restproxy import ProxyView
from pyramid_restproxy.forwarding.cors import cors_preflight
from pyramid_restproxy.trust.exposed import expose_service


class Own(ProxyView):
    backend = "b"


@expose_service("GET")
class Exposed(ProxyView):
    backend = "b"


with Configurator() as config:
    config.include("pyramid_restproxy")
    config.add_backend("b", os.environ["BACKEND"])
    config.set_token_validator(lambda request, token: None)
    config.add_signing_key("k", b"s" * 32)
    for name, options in {
        "api": {},
        "key": {"api_key": True},
        "token": {"user_token": "required"},
        "signed": {"signed": True},
        "inside": {"allow_from": "10.0.0.1"},
        "got": {"allowed_methods": "GET", "api_key": True},
        "cors": {"request_transforms": cors_preflight("*"), "allow_from": "10.0.0.1"},
    }.items():
        config.add_proxy_route(name, f"/{name}/*path", "b", **options)
    config.add_route("own", "/own/*path")
    config.add_view(Own, route_name="own", api_key=True)
    config.add_route("exposed", "/exposed/*path")
    config.add_view(Exposed, route_name="exposed")
    config.add_route("plain", "/plain/*path")
    config.add_view(lambda r: r.forward("b"), route_name="plain", api_key=True)
    config.add_route("free", "/free/*path")
    config.add_view(lambda request: request.forward("b"), route_name="free")
    config.add_route("local", "/local")
    config.add_view(lambda request: Response("here"), route_name="local")
    config.add_proxy_route("all", "/*path", "b", header="X-All")
    app = config.make_wsgi_app()
"""


@pytest.fixture(scope="module", params=["waitress", "gunicorn"])
def served(request, tmp_path_factory):
    """A gateway on a server, and its backend."""
    folder = tmp_path_factory.mktemp(request.param)
    with (
        FakeBackend(Answer(body=b"ok")) as backend,
        serving(request.param, folder, backend.url, application=APPLICATION) as port,
    ):
        yield f"127.0.0.1:{port}", backend


def ask(served, target, *fields, method="GET"):
    """Return the status, and the targets that the backend was asked for."""
    own, backend = served
    before = len(backend.requests)
    lines = [f"{method} {target} HTTP/1.1", "Host: a", "Connection: close", *fields]
    raw = "\r\n".join([*lines, "", ""]).encode("latin-1")
    reply = exchange(own, raw, method)
    return reply.status, [seen.target for seen in backend.requests[before:]]


# -- slashes at the start ----------------------------------------------------------


@pytest.mark.parametrize("start", ["//", "///", "/%2F", "/%2f", "/%2f/", "http://h//"])
@pytest.mark.parametrize("path", ["api/x", "%61pi/x", "key/x", "local"])
def test_a_path_of_several_slashes_is_another_path(served, start, path):
    """waitress made ``/api/x`` of it, which a rule for ``/api/`` in front lets pass."""
    assert ask(served, start + path) == (404, [])


@pytest.mark.parametrize(
    "target, sent",
    [
        ("//evil.example/x", "//evil.example/x"),
        ("///x", "///x"),
        ("//", "//"),
        ("/%2Fevil.example/x?a=//b", "/%2Fevil.example/x?a=//b"),
        ("http://h//api/x", "//api/x"),
        ("/%C3%A9//", "/%C3%A9//"),
        ("/", "/"),
        ("http://h", "/"),
    ],
)
def test_slashes_at_the_start_stay_slashes(served, target, sent):
    assert ask(served, target, "X-All: 1") == (200, [sent])


def test_one_slash_is_as_ever(served):
    assert ask(served, "/api//x") == (200, ["//x"])
    assert ask(served, "/%61pi/x") == (200, ["/x"])
    assert ask(served, "http://h/api/x") == (200, ["/x"])
    assert ask(served, "/local") == (200, [])


# -- what is malformed, and who asks -------------------------------------------------

MALFORMED = ["../x", "%2e%2e/x", "a%zz", "..%2fx", "..;/x"]


@pytest.mark.parametrize("rest", MALFORMED)
@pytest.mark.parametrize("route", ["key", "token", "signed", "inside", "own", "cors"])
def test_a_malformed_path_is_400_before_it_is_401_or_403(served, route, rest):
    assert ask(served, f"/{route}/x")[0] in (401, 403)
    assert ask(served, f"/{route}/{rest}") == (400, [])


def test_a_malformed_path_of_a_preflight_is_400(served):
    fields = "Origin: https://a", "Access-Control-Request-Method: PUT"
    assert ask(served, "/cors/x", *fields, method="OPTIONS") == (204, [])
    assert ask(served, "/cors/../x", *fields, method="OPTIONS") == (400, [])


def test_what_routing_refuses_comes_first(served):
    assert ask(served, "/nowhere/../x") == (404, [])
    assert ask(served, "/got/../x", method="PUT") == (405, [])
    assert ask(served, "/exposed/../x", method="PUT") == (405, [])
    assert ask(served, "/exposed/../x") == (400, [])


@pytest.mark.parametrize("rest", MALFORMED)
def test_a_view_that_forwards_itself_checks_as_it_does(served, rest):
    assert ask(served, "/free/a%2Fb") == (200, ["/a%2Fb"])
    assert ask(served, f"/free/{rest}") == (400, [])
    assert ask(served, f"/plain/{rest}") == (401, [])
