"""Transforms, one by one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.forwarding import transforms as t
from pyramid_restproxy.forwarding.fields import is_field

from .calls import answer, call


@pytest.mark.parametrize(
    "transform, before, after",
    [
        (t.set_request_header("A", "2"), [("a", "1"), ("a", "3")], [("A", "2")]),
        (t.add_request_header("A", "2"), [("A", "1")], [("A", "1"), ("A", "2")]),
        (t.remove_request_headers("A", "B"), [("a", "1"), ("b", "1"), ("c", "1")], [("c", "1")]),  # noqa: E501
        (t.rename_request_header("A", "B"), [("a", "1")], [("B", "1")]),
        (t.allow_request_headers("B"), [("a", "1"), ("b", "1")], [("b", "1")]),
        (t.drop_cookies("s"), [("Cookie", "s=1; app=2"), ("Cookie", "x=3")], [("Cookie", "app=2; x=3")]),  # noqa: E501
        (t.drop_cookies("s"), [("Cookie", "s=1")], []),
        (t.drop_cookies("s"), [("A", "1")], [("A", "1")]),
        (t.cookie_filter(["app"]), [("Cookie", "s=1;app=2")], [("Cookie", "app=2")]),
    ],
)  # fmt: skip
def test_request_headers(transform, before, after):
    made = call(*before)
    assert transform(made) is None
    assert made.headers.pairs == after


@pytest.mark.parametrize(
    "transform, before, after",
    [
        (t.set_response_header("A", "2"), [("a", "1")], [("A", "2")]),
        (t.add_response_header("A", "2"), [("A", "1")], [("A", "1"), ("A", "2")]),
        (t.remove_response_headers("A"), [("a", "1"), ("c", "1")], [("c", "1")]),
        (t.rename_response_header("A", "B"), [("a", "1")], [("B", "1")]),
        (t.allow_response_headers("B"), [("a", "1"), ("b", "1")], [("b", "1")]),
        (
            t.set_cookie_filter(["app"]),
            [("set-cookie", "app=1; Path=/"), ("Set-Cookie", "ad=app"), ("b", "1")],
            [("set-cookie", "app=1; Path=/"), ("b", "1")],
        ),
    ],
)
def test_response_headers(transform, before, after):
    made = answer(*before)
    transform(call(), made)
    assert made.headers.pairs == after


def test_only_when_the_answer_is_good():
    failed = answer(status=404)
    t.set_response_header("A", "1", when="ok")(call(), failed)
    assert failed.headers.pairs == []
    with pytest.raises(ValueError, match="when"):
        t.set_response_header("A", "1", when="never")


def test_path_and_query():
    made = call(query="a=1&b=2")
    t.set_path("/v2/{id}")(made)
    t.edit_query_parameters(set_={"a": "9"}, add=[("c", "3")], remove=["b"])(made)
    assert (made.path, made.query) == ("/v2/a%2Fb", "a=9&c=3")


def test_content_location():
    made = answer(("Content-Location", "/things/1"))
    t.rewrite_content_location()(call(), made)
    assert made.headers["Content-Location"] == "/api/things/1"
    other = answer()
    t.rewrite_content_location()(call(), other)
    assert other.headers.pairs == []


@pytest.mark.parametrize(
    "options, line, expected",
    [
        ({"domain": "drop"}, "s=1; Domain=in.example; Secure", "s=1; Secure"),
        ({"domain": "out.example"}, "s=1;domain=in", "s=1; Domain=out.example"),
        ({"path": "prefix"}, "s=1; Path=/app", "s=1; Path=/api/app"),
        ({"path": "/"}, "s=1; path=/app; Partitioned", "s=1; Path=/; Partitioned"),
        ({}, 's="a;Domain=x"', 's="a;Domain=x"'),
        ({"domain": "drop"}, "s=1; Domain =in.example", "s=1"),
        ({"path": "prefix"}, "s=1; Path = /app", "s=1; Path=/api/app"),
        # no path at all (RFC 6265 section 5.2.4)
        ({"path": "prefix"}, "s=1; Path=; Secure", "s=1; Path=; Secure"),
        ({"path": "prefix"}, "s=1; Path=app", "s=1; Path=app"),
        ({"path": "prefix"}, 's=1; Path="/app"', 's=1; Path="/app"'),
        ({"path": "prefix"}, "__Host-s=1; Path=/", "__Host-s=1; Path=/"),
        ({"path": "drop"}, "s=1; Path=/app; Secure", "s=1; Secure"),
        ({"path": "drop"}, "s=1; PATH", "s=1"),
        ({"path": "drop"}, "__Host-s=1; Path=/", "__Host-s=1; Path=/"),
        ({"domain": "drop", "path": "drop"}, "s=1; Domain=a; Path=/", "s=1"),
        ({"domain": ".localhost"}, "s=1; Domain=a", "s=1; Domain=.localhost"),
        ({"path": "/a b,c"}, "s=1; Path=/", "s=1; Path=/a b,c"),
    ],
)
def test_cookie_attributes(options, line, expected):
    made = answer(("Set-Cookie", line), ("X", "Domain=y"))
    t.cookie_attributes(**options)(call(), made)
    assert made.headers.pairs == [("Set-Cookie", expected), ("X", "Domain=y")]


@given(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0")))
def test_a_cookie_is_kept_from_backends_however_it_is_written(value):
    made = call(("Cookie", value), ("A", "1"))
    t.drop_cookies("sid")(made)
    left = made.headers.get("Cookie") or ""
    names = [pair.partition("=")[0].strip() for pair in left.split(";")]
    assert "sid" not in names and made.headers.get("A") == "1"
    assert is_field("Cookie", left)
    others = [p.strip() for p in value.split(";")]
    kept = [p for p in others if p and p.partition("=")[0].strip() != "sid"]
    assert [p.strip() for p in left.split(";") if p.strip()] == kept


@pytest.mark.parametrize(
    "make",
    [
        lambda: t.set_request_header("X-Team", "日本"),
        lambda: t.add_request_header("X-Team", "a\nb"),
        lambda: t.set_response_header("X Team", "a"),
        lambda: t.add_response_header("", "a"),
        lambda: t.rename_request_header("A", "B C"),
        lambda: t.rename_response_header("A", "é"),
    ],
)
def test_what_cannot_stand_in_a_field_is_refused_when_the_transform_is_made(make):
    with pytest.raises(ValueError, match="expected a field's name"):
        make()


@pytest.mark.parametrize(
    "options, says",
    [({"domain": each}, "expected 'drop' or a domain") for each in (
        "", " ", ".", "a b", "a;Secure", "a\nb", "a..b", "a.", "bücher.example",
        "a.example:80", "https://a.example")]
    + [({"path": each}, "expected 'prefix', 'drop' or a path") for each in (
        "", "keep", "app", " /", "/a;Secure", "/a\r\nX: y", "/é", "/\x7f")],
)  # fmt: skip
def test_what_cannot_stand_in_a_cookie_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        t.cookie_attributes(**options)


def test_cookie_paths_are_those_of_the_client():
    change = t.cookie_attributes(path="prefix")

    def path(value, *headers, place="", **options):
        made = answer(("Set-Cookie", f"a=1; Path={value}"))
        asked = call(*headers, **options)
        asked.base = place
        change(asked, made)
        return made.headers.get("Set-Cookie").partition("Path=")[2]

    base = "http://10.0.0.1:8000/base"
    assert path("/app", ("X-Forwarded-Prefix", "/outer/api")) == "/outer/api/app"
    assert path("/base/app", base=base) == "/api/app"
    assert path("/base", base=base, prefix="") == "/"
    assert path("/", base=base) == "/api/"  # outside: for all of the route
    assert path("/base/v2/app", base=base, place="/v2") == "/api/app"


@pytest.mark.parametrize("names", ["sid", ["sid"]])
def test_one_name_is_a_name_and_not_its_letters(names):
    made = call(("Cookie", "s=1; sid=2"))
    t.cookie_filter(names)(made)
    assert made.headers.get("Cookie") == "sid=2"
    found = answer(("Content-Type", "application/json"), body=b'{"sid": 1, "s": 2}')
    t.json_filter(names)(made, found)
    assert json.loads(found.body.read_piece()) == {"s": 2}
    cookies = answer(("Set-Cookie", "s=1"), ("Set-Cookie", "sid=2"))
    t.set_cookie_filter(names)(made, cookies)
    assert cookies.headers.get_all("Set-Cookie") == ["sid=2"]
