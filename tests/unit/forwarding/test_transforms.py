"""Transforms, one by one."""

from __future__ import annotations

import json
import sys

import pytest
from pyramid.request import Request

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.forwarding import transforms as t
from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.destination import Destination
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.model import Answer, ProxyCall


def call(*headers, path="/x", query="", prefix="/api", base="http://10.0.0.1:8000"):
    request = Request.blank("/api/x", base_url="https://public.example")
    request.matchdict = {"id": "a/b"}
    return ProxyCall(
        request=request,
        backend=None,
        method="GET",
        path=path,
        query=query,
        headers=FieldList(list(headers)),
        prefix=prefix,
        destination=Destination.parse("b", base),
    )


def answer(*headers, status=200, body=b""):
    return Answer(status, "OK", FieldList(list(headers)), BytesBody(body))


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


BASE = Destination.parse("b", "http://10.0.0.1:8000/app")
ROOT = Destination.parse("b", "http://10.0.0.1:8000")
PUBLIC = ("https", "public.example")


@pytest.mark.parametrize(
    "value, destination, expected",
    [
        ("/next?x=1#f", ROOT, "/api/next?x=1#f"),
        ("/app/next", BASE, "/api/next"),
        ("/app", BASE, "/api"),
        ("/application", BASE, "/application"),
        ("http://10.0.0.1:8000/next", ROOT, "https://public.example/api/next"),
        ("http://10.0.0.1:8000", ROOT, "https://public.example/api/"),
        ("http://public.example/next", ROOT, "https://public.example/api/next"),
        (
            "http://10.0.0.1:8000.evil.example/x",
            ROOT,
            "http://10.0.0.1:8000.evil.example/x",
        ),
        (
            "http://10.0.0.1:8000@evil.example/x",
            ROOT,
            "http://10.0.0.1:8000@evil.example/x",
        ),
        ("//cdn.example/x", ROOT, "//cdn.example/x"),
        ("//10.0.0.1:8000/x", ROOT, "//10.0.0.1:8000/x"),
        ("next", ROOT, "next"),
        ("?x=1", ROOT, "?x=1"),
        ("", ROOT, ""),
        ("ftp://10.0.0.1:8000/x", ROOT, "ftp://10.0.0.1:8000/x"),
        ("http://[", ROOT, "http://["),
    ],
)
def test_location_leads_back_through_the_gateway(value, destination, expected):
    assert t.public_location(value, destination, "/api", PUBLIC) == expected


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
    ],
)
def test_cookie_attributes(options, line, expected):
    made = answer(("Set-Cookie", line), ("X", "Domain=y"))
    t.cookie_attributes(**options)(call(), made)
    assert made.headers.pairs == [("Set-Cookie", expected), ("X", "Domain=y")]


JSON = ("Content-Type", "application/json; charset=latin-1")


def content(made):
    return made.body.read_piece()


def test_json_members_are_taken_out_at_any_depth():
    body = json.dumps({"a": 1, "secret": 2, "b": [{"secret": 3, "c": 4}]}).encode()
    made = answer(JSON, ("ETag", '"x"'), ("Content-Length", "99"), body=body)
    transform = t.json_filter(["secret"])
    assert t.reads_body(transform)
    transform(call(), made)
    found = content(made)
    assert json.loads(found) == {"a": 1, "b": [{"c": 4}]}
    assert made.headers.get("ETag") is None
    assert made.headers["Content-Length"] == str(len(found))
    assert made.headers["Content-Type"] == "application/json; charset=utf-8"


def test_other_types_are_not_read():
    made = answer(("Content-Type", "text/plain"), body=b"secret")
    t.json_filter(["secret"])(call(), made)
    assert content(made) == b"secret"


def test_a_compressed_or_huge_body_is_not_filtered_but_an_error():
    with pytest.raises(ValueError, match="gzip"):
        t.json_filter(["x"])(call(), answer(JSON, ("Content-Encoding", "gzip")))
    with pytest.raises(ValueError, match="over"):
        t.json_filter(["x"])(call(), answer(JSON, body=b"1" * (t.MAX_FILTERED + 1)))


def test_html_elements_are_taken_out():
    page = b"<!doctype html><body><div class=ad>buy</div><p>text</p>"
    made = answer(("Content-Type", "text/html"), body=page)
    t.html_filter([".ad"])(call(), made)
    found = content(made)
    assert b"buy" not in found and b"<p>text</p>" in found
    assert made.headers["Content-Type"] == "text/html"


def test_html_filter_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "selectolax.lexbor", None)
    with pytest.raises(MissingExtra, match=r"pyramid_restproxy\[html\]"):
        t.html_filter([".ad"])
