"""The request target: raw, safe, cut, joined."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.exceptions import MalformedRequest
from pyramid_restproxy.forwarding import target


def environ(path, query="", script_name="", **more):
    decoded = unquote_to_bytes(path).decode("latin-1")
    return {
        "SCRIPT_NAME": script_name,
        "PATH_INFO": decoded,
        "QUERY_STRING": query,
        **more,
    }


@pytest.mark.parametrize(
    "key, raw, path, query",
    [
        ("REQUEST_URI", "/a%2Fb?x", "/a%2Fb", "x"),
        ("RAW_URI", "/a%2fb", "/a%2fb", ""),
        ("REQUEST_URI", "http://evil.example/a%2Fb?q", "/a%2Fb", "q"),
        ("REQUEST_URI", "/a%2Fb#frag", "/a%2Fb", ""),
    ],
)
def test_the_raw_path_is_used_where_there_is_one(key, raw, path, query):
    given = environ(path, query, **{key: raw})
    assert target.raw_target(given) == (path, query)


@pytest.mark.parametrize(
    "raw", ["", "//evil.example/a/b", "/other", "*", "host:443", "/a/b%20"]
)
def test_a_raw_path_that_says_something_else_is_not_used(raw):
    given = environ("/a/b", REQUEST_URI=raw)
    assert target.raw_target(given) == ("/a/b", "")


def test_without_a_raw_path_the_decoded_one_is_escaped():
    assert target.raw_target(environ("/caf%C3%A9%20x%25")) == ("/caf%C3%A9%20x%25", "")


def test_raw_bytes_outside_ascii_are_escaped():
    given = environ("/caf%C3%A9", "q=\xe9", REQUEST_URI="/caf\xc3\xa9?q=\xe9")
    assert target.raw_target(given) == ("/caf%C3%A9", "q=%E9")


def test_script_name_is_part_of_the_path():
    assert target.raw_target(environ("/x", script_name="/app"))[0] == "/app/x"


SAFE = [
    "/",
    "/a/b",
    "/a%2Fb",
    "/a%2520b",
    "/a//b",
    "/...",
    "/.hidden/x.y",
    "/a;v=1/b",
    "/caf%C3%A9",
    "/~x/!$&'()*+,;=:@",
]


@pytest.mark.parametrize("path", SAFE)
def test_safe_paths(path):
    target.check_path(path)


UNSAFE = [
    "/a/../b",
    "/a/./b",
    "/..",
    "/%2e%2e/a",
    "/%2E./a",
    "/a/..%2fb",
    "/a%2f..%2fb",
    "/a/%252e%252e/b",
    "/a/%25252e%25252e/b",
    "/a/..;/b",
    "/a/..;x=1/b",
    "/a/..%5cb",
    "/a\\..\\b",
    "/a%5c..%5cb",
    "/a%zz",
    "/a%",
    "/a%2",
    "/a%00b",
    "/a%2500b",
    "/a%0d%0aX:1",
    "/a%7f",
    "/a%ff",
    "/%" + "25" * 20 + "41",
]


@pytest.mark.parametrize("path", UNSAFE)
def test_paths_that_could_be_read_in_two_ways(path):
    with pytest.raises(MalformedRequest):
        target.check_path(path)


@given(st.text(alphabet="/.%25cCfF;\\eEa", max_size=24))
def test_no_dot_segment_survives_any_number_of_decodings(text):
    path = "/" + text
    try:
        target.check_path(path)
    except MalformedRequest:
        return
    found = path.encode()
    for _ in range(30):
        for part in found.replace(b"\\", b"/").split(b"/"):
            assert part.partition(b";")[0] not in (b".", b"..")
        found = unquote_to_bytes(found)


@pytest.mark.parametrize(
    "path, prefix, decoded, tail",
    [
        ("/api/x", "/api/", "/api/x", "/x"),
        ("/api/", "/api/", "/api/", "/"),
        ("/api/a%2Fb", "/api/", "/api/a/b", "/a%2Fb"),
        ("/api//x", "/api/", "/api//x", "//x"),
        ("/x/y", "/", "/x/y", "/x/y"),
        ("/u/7/x", "/u/{id}/", "/u/7/x", "/x"),
        ("/api@evil.example/", "/api", "/api@evil.example/", "/@evil.example/"),
        ("/apix", "/api", "/apix", "/x"),
        ("/%61pi/x", "/api/", "/api/x", "/x"),
        ("/api/x", "/api", "/api/x", "/x"),
        ("/api/a%2Fb", "/api", "/api/a/b", "/a%2Fb"),
        ("/api", "/api", "/api", "/"),
        ("/apia%2Fb", "/api", "/apia/b", "/a%2Fb"),
        ("/caf%C3%A9x%20y", "/caf\xe9", "/caf\xe9x y", "/x%20y"),
        # values whose patterns have slashes, or that have some themselves
        ("/u/7/x", "/u/{id:[^/]+}/", "/u/7/x", "/x"),
        ("/u/7/x%2Fy", "/u/{id:[^/]{1,3}}/", "/u/7/x/y", "/x%2Fy"),
        ("/a/b/in/x", "/{where:.*}/in/", "/a/b/in/x", "/x"),
        ("/u7/x", "/u{id}/", "/u7/x", "/x"),
        ("/s/5/x", "/s/:id/", "/s/5/x", "/x"),
        ("/s/5,x", "/s/{id:[0-9]}", "/s/5,x", "/,x"),
        # the path was exchanged after it had been matched
        ("/other/x/y", "/api/", "/other/x/y", "/x/y"),
    ],
)
def test_tails(path, prefix, decoded, tail):
    assert target.tail_of(path, prefix, decoded) == tail


def test_an_escaped_slash_in_the_prefix_is_refused():
    with pytest.raises(MalformedRequest):
        target.tail_of("/u/a%2Fb/c", "/u/{id}/", "/u/a/b/c")
    with pytest.raises(MalformedRequest):
        target.tail_of("/a%2Fb/in/x", "/{where:.*}/in/", "/a/b/in/x")


@pytest.mark.parametrize(
    "path", ["/api../x", "/api..", "/api.", "/api..;a/x", "/api%2e./x", "/api%252e./x"]
)
def test_a_dot_segment_that_the_cut_would_make_is_refused(path):
    target.check_path(path)
    decoded = unquote_to_bytes(path).decode()
    with pytest.raises(MalformedRequest):
        target.tail_of(path, "/api", decoded)


def test_the_target_of_a_view_is_split():
    assert target.split_target("/a%23?b?c=1") == ("/a%23", "b?c=1")
    assert target.split_target("/a") == ("/a", "")
    for wrong in ("/a#", "/a?b#c", "/a/../b", "a", ""):
        with pytest.raises(MalformedRequest):
            target.split_target(wrong)


@pytest.mark.parametrize("value", ["..", ".", "..;x"])
def test_a_dot_segment_that_a_value_would_make_is_refused(value):
    with pytest.raises(MalformedRequest):
        target.fill_pattern("/v2/{id}/x", {"id": value})
    with pytest.raises(MalformedRequest):
        target.fill_pattern("/v2/*path", {"path": ("a", value)})


@given(st.text(alphabet="abc/%2F@:.", max_size=20))
def test_a_tail_always_begins_with_a_slash(rest):
    path = "/api/" + rest
    decoded = unquote_to_bytes(path).decode("utf-8", "replace")
    try:
        assert target.tail_of(path, "/api/", decoded).startswith("/")
    except MalformedRequest:
        pass


@pytest.mark.parametrize(
    "base, path, joined",
    [
        ("", "/x", "/x"),
        ("/base", "/x", "/base/x"),
        ("/base/", "/x", "/base/x"),
        ("/base", "//x", "/base//x"),
        ("", "/", "/"),
    ],
)
def test_one_slash_between_base_and_path(base, path, joined):
    assert target.join_path(base, path) == joined


@pytest.mark.parametrize(
    "first, second, joined",
    [("a=1", "b=2", "a=1&b=2"), ("", "b", "b"), ("a", "", "a"), ("", "", "")],
)
def test_queries_are_joined(first, second, joined):
    assert target.join_query(first, second) == joined


def test_patterns_are_filled_one_value_one_segment():
    values = {"id": "a/b ?#", "path": ("x y", "z")}
    assert target.fill_pattern("/v2/{id}/*path", values) == "/v2/a%2Fb%20%3F%23/x%20y/z"
    assert target.fill_pattern(r"/v2/{id:\d+}", {"id": 7}) == "/v2/7"
    assert target.fill_pattern("/x/*path", {"path": "one"}) == "/x/one"
    with pytest.raises(KeyError):
        target.fill_pattern("/{nope}", {})


@pytest.mark.parametrize("pattern", ["/v2/*path", "/v2/{path}", "/v2/{path:.*}"])
@pytest.mark.parametrize("tail", [("a", "b c"), ["a", "b c"]])
def test_a_tail_becomes_several_segments_in_either_form(pattern, tail):
    """``{path}`` wrote the tuple as Python does: ``/v2/('a',%20'b c')``."""
    assert target.fill_pattern(pattern, {"path": tail}) == "/v2/a/b%20c"
    assert target.fill_pattern(pattern, {"path": "a/b"}) == "/v2/a%2Fb"
    assert target.fill_pattern(pattern, {"path": ()}) == "/v2/"


def test_a_tail_before_the_end():
    values = {"path": ("a", "b"), "id": "1"}
    assert target.fill_pattern("/{path}/x/{id}", values) == "/a/b/x/1"
    with pytest.raises(MalformedRequest):
        target.fill_pattern("/{path}/x", {"path": ("a", "..")})


@pytest.mark.parametrize("value", ["*nope", "{nope}", "*id"])
def test_a_value_that_looks_like_a_place_is_no_place(value):
    """``/v2/{id}`` for ``/p/*nope`` was a KeyError."""
    filled = target.fill_pattern("/v2/{id}", {"id": value})
    assert unquote_to_bytes(filled).decode() == f"/v2/{value}"


def test_a_place_with_a_number_of_digits():
    assert target.fill_pattern(r"/v2/{id:\d{2}}/x", {"id": "12"}) == "/v2/12/x"


def test_a_query_is_edited_and_the_rest_stays_byte_by_byte():
    query = "a=1&b=%7e+x&a=2&c;d&&=e"
    edited = target.edit_query(query, set_={"a": "3&4"}, add=[("z", "é")], remove=["q"])
    assert edited == "b=%7e+x&c;d&&=e&a=3%264&z=%C3%A9"
    assert target.edit_query("a%20b=1&c=2", remove=["a b"]) == "c=2"


@pytest.mark.parametrize("query", ["a=1&&b=2", "a=1&", "&a=1", "&", "", "&&c"])
def test_empty_pairs_of_a_query_stay(query):
    assert target.edit_query(query, remove=["q"]) == query
    added = target.edit_query(query, add=[("z", "1")])
    assert added == (f"{query}&z=1" if query else "z=1")


@pytest.mark.parametrize(
    "raw, query, empty",
    [
        ("/x?", "", True),
        ("/%78?#top", "", True),
        ("http://h/x?", "", True),
        ("/other?", "", False),  # a view forwards another path
        ("/x?a=?", "", False),  # a tween has taken the query away
        ("/x", "", False),
        ("/x#?", "", False),
        ("/x??", "?", False),
        ("/x?a=?", "a=?", False),
        ("", "", False),
    ],
)
@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
def test_a_question_mark_that_nothing_follows(name, raw, query, empty):
    environ = {name: raw, "PATH_INFO": "/x", "QUERY_STRING": query}
    assert target.has_empty_query(environ) is empty


def test_without_a_raw_target_nobody_knows_of_a_question_mark():
    assert not target.has_empty_query({"PATH_INFO": "/x", "QUERY_STRING": ""})


@pytest.mark.parametrize(
    "pattern, names",
    [
        ("/a", set()),
        (r"/{id:\d{2}}/{b}/*rest", {"id", "b", "rest"}),
        ("/:id/x", {"id"}),
        ("/{id}/users:batch", {"id"}),
        ("/*rest/x", set()),
    ],
)
def test_the_names_in_a_pattern(pattern, names):
    assert target.names_in(pattern) == names


def test_a_name_that_the_route_does_not_have_is_told():
    with pytest.raises(KeyError, match="'/v2/{nope}' needs 'nope'"):
        target.fill_pattern("/v2/{nope}", {"id": "1"})


@pytest.mark.parametrize(
    "path, mount, split",
    [
        ("/app/x", "/app", ("/app", "/x")),
        ("/app", "/app", ("/app", "/")),
        ("/%61pp/x", "/app", ("/app", "/x")),
        ("/a%20b/x%2Fy", "/a b", ("/a%20b", "/x%2Fy")),
        ("/caf%C3%A9/x", "/caf\xc3\xa9", ("/caf%C3%A9", "/x")),
    ],
)
def test_a_mount_point_is_split_off(path, mount, split):
    assert target.split_mount(path, mount) == split


@pytest.mark.parametrize("path", ["/app%2Fx", "/a%2Fb/x", "/apps/x"])
def test_a_mount_point_with_an_escaped_slash_is_refused(path):
    mount = "/a/b" if path.startswith("/a%2F") else "/app"
    with pytest.raises(MalformedRequest):
        target.split_mount(path, mount)


@pytest.mark.parametrize("key", ["REQUEST_URI", "RAW_URI"])
def test_a_safe_target_is_found_once_a_request(monkeypatch, key):
    asked = []
    real = target.raw_target
    monkeypatch.setattr(target, "raw_target", lambda e: asked.append(e) or real(e))
    given = environ("/a%2Fb", "c", **{key: "/a%2Fb?c"})
    assert target.safe_target(given) == ("/a%2Fb", "c")
    assert target.safe_target(given) == ("/a%2Fb", "c")
    assert len(asked) == 1


@pytest.mark.parametrize(
    "changed, found",
    [
        ({"PATH_INFO": "/b"}, ("/b", "c")),
        ({"QUERY_STRING": "d"}, ("/a", "d")),
        ({"SCRIPT_NAME": "/m"}, ("/m/a", "c")),
    ],
)
def test_a_safe_target_is_found_anew_where_the_environ_was_changed(changed, found):
    given = environ("/a", "c", REQUEST_URI="/a?c")
    assert target.safe_target(given) == ("/a", "c")
    copied = {**given, **changed}
    assert target.safe_target(copied) == found
    assert target.safe_target(given) == ("/a", "c")


def test_a_target_that_is_not_safe_is_refused_each_time():
    given = environ("/a", REQUEST_URI="/a")
    target.safe_target(given)
    given["PATH_INFO"] = "/../a"
    for _ in range(2):
        with pytest.raises(MalformedRequest):
            target.safe_target(given)


@pytest.mark.parametrize(
    "raw, decoded",
    [
        ("/a%2Fb?c#d", "/a/b"),
        ("//a", "//a"),
        ("http://h//a%zz", "//a%zz"),
        ("http://h", ""),
        ("/caf\xc3\xa9/caf%C3%A9", "/caf\xc3\xa9/caf\xc3\xa9"),
    ],
)
def test_paths_are_decoded_as_servers_do(raw, decoded):
    assert target.decoded_path(raw) == decoded
