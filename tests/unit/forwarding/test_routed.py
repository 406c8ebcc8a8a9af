"""Targets of routed requests: what is cut off, what stands in its place."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pyramid.request import Request

from pyramid_restproxy.exceptions import MalformedRequest
from pyramid_restproxy.forwarding.routed import prefix_of, route_target


def request(pattern, raw, mount="", matchdict=None):
    """A request whose route matched, as a server with REQUEST_URI makes it."""
    made = Request.blank(raw)
    made.environ["REQUEST_URI"] = raw
    made.environ["SCRIPT_NAME"] = mount
    made.environ["PATH_INFO"] = made.environ["PATH_INFO"].removeprefix(mount)
    made.matched_route = pattern and SimpleNamespace(pattern=pattern)
    made.matchdict = matchdict
    return made


@pytest.mark.parametrize(
    "pattern, prefix",
    [("/api/*path", "/api/"), ("api/*path", "/api/"), ("/*x", "/"), ("/x", None)],
)
def test_prefixes(pattern, prefix):
    assert prefix_of(pattern) == prefix


@pytest.mark.parametrize("raw", ["/app%2Fapi/x", "/app%2fapi%2Fx"])
@pytest.mark.parametrize("strip", [True, False])
def test_an_escaped_slash_in_the_mount_point_moves_no_cut(raw, strip):
    made = request("/api/*path", raw, "/app")
    with pytest.raises(MalformedRequest):
        route_target(made, strip_prefix=strip)


@pytest.mark.parametrize("raw", ["/app/api/a%2Fb", "/%61pp/api/a%2Fb"])
def test_below_a_mount_point_the_rest_is_sent_as_it_came(raw):
    made = request("/api/*path", raw, "/app")
    assert route_target(made) == ("/a%2Fb", "", "/app/api", "")
    assert route_target(made, strip_prefix=False) == ("/api/a%2Fb", "", "/app", "")


def test_the_prefix_is_percent_encoded_as_paths_are():
    assert route_target(request("/api/*path", "/my%20app/api/x", "/my app")) == (
        "/x",
        "",
        "/my%20app/api",
        "",
    )


def test_a_proxy_in_front_may_take_the_mount_point_away():
    made = request("/api/*path", "/api/a%2Fb?c")
    made.environ["SCRIPT_NAME"] = "/app"
    assert route_target(made) == ("/a%2Fb", "c", "/app/api", "")


def test_a_path_to_send_that_ends_in_the_tail_of_the_route_has_a_prefix():
    made = request("/{t}/api/*rest", "/x/api/a%2Fb//c/", matchdict={"t": "x"})
    found = route_target(made, "/v2/{t}/*rest")
    assert found == ("/v2/x/a%2Fb//c/", "", "/x/api", "/v2/x")
    assert route_target(made, "/*rest") == ("/a%2Fb//c/", "", "/x/api", "")


@pytest.mark.parametrize("pattern", ["/u/{id}", None])
def test_a_path_to_send_without_the_tail_of_the_route_has_none(pattern):
    made = request(pattern, "/u/7", matchdict={"id": "7", "x": ("a", "b")})
    assert route_target(made, "/v2/{id}") == ("/v2/7", "", "", "")
    assert route_target(made, "/v2/*x") == ("/v2/a/b", "", "", "")


def test_a_view_found_by_traversal_has_no_prefix():
    made = request(None, "/a/b")
    assert route_target(made) == ("/a/b", "", "", "")
    with pytest.raises(KeyError, match="needs 'id'"):
        route_target(made, "/v2/{id}")


@pytest.mark.parametrize("mount, raw", [("", "http://a"), ("/app", "/app")])
def test_an_empty_path_is_sent_as_one_slash(mount, raw):
    """It was sent as two, to where there is nothing."""
    made = Request.blank("/")
    made.environ.update(SCRIPT_NAME=mount, PATH_INFO="", REQUEST_URI=raw)
    made.matched_route, made.matchdict = SimpleNamespace(pattern="/*path"), {"path": ()}
    assert route_target(made) == ("/", "", mount, "")
    assert route_target(made, "/v2/*path") == ("/v2/", "", mount, "/v2")
