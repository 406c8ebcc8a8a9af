"""The bytes that are signed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy.routing.override import ORIGINAL
from pyramid_restproxy.trust.canonical import (
    RequestParts,
    WireParts,
    request_string,
    webhook_prefix,
)


def environ(**more):
    return {
        "REQUEST_METHOD": "POST",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "API.example.com:443",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b/c",
        "REQUEST_URI": "/a%20b/c?x=%2F",
        "QUERY_STRING": "x=%2F",
        **more,
    }


def test_the_canonical_string(parts):
    made = request_string(
        parts,
        key_id="k",
        created="5",
        nonce="n",
        covered=("host", "content-type", "x-none"),
    )
    assert made == (
        b"restproxy-hmac-v1\nkey: k\ncreated: 5\nnonce: n\nmethod: POST\n"
        b"target: /api/orders?dry=1\ncovered: host content-type x-none\n"
        b"host: api.example.com\ncontent-type: application/json\nx-none: "
    )


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "\u20ac"])
def test_what_cannot_be_one_line_of_bytes_is_not_signed(parts, text):
    with pytest.raises(ValueError):
        request_string(
            replace(parts, method=text), key_id="k", created="5", nonce="n", covered=()
        )


def test_names_that_could_be_taken_for_others_are_not_signed(parts):
    said = {"key_id": "k", "created": "5", "nonce": "n"}
    for names in (("a b",), ("a\nb",), ("",), ("host", "a:")):
        with pytest.raises(ValueError):
            request_string(parts, **said, covered=names)
    assert request_string(parts, **said, covered=("x-%s",)).endswith(b"\nx-%s: ")


@given(st.tuples(*[st.text("ab: \n", max_size=6)] * 4), st.data())
def test_two_requests_never_have_the_same_string(values, data):
    others = data.draw(st.tuples(*[st.text("ab: \n", max_size=6)] * 4))

    def made(method, path, nonce, value):
        parts = RequestParts(method, "http", "h", path, "", [("a", value)])
        said = {"key_id": "k", "created": "1", "nonce": nonce}
        return request_string(parts, **said, covered=("a",))

    try:
        same = made(*values) == made(*others)
    except ValueError:
        return
    stripped = [(*each[:3], each[3].strip(" \t")) for each in (values, others)]
    assert same == (stripped[0] == stripped[1])


def test_the_prefix_of_a_webhook():
    assert webhook_prefix("msg_1", "5") == b"msg_1.5."


def test_repeated_fields_are_joined(parts):
    double = replace(parts, fields=[("X-A", " 1\t"), ("x-a", "2")])
    assert double.value("X-a") == "1, 2"
    assert double.value("x-b") is None


def test_a_field_takes_the_place_of_its_namesakes(parts):
    assert parts.having(("date", "now")).value("Date") == "now"


@pytest.mark.parametrize(
    "scheme, authority, host",
    [
        ("https", "Example.com:443", "example.com"),
        ("http", "example.com:80", "example.com"),
        ("http", "example.com:443", "example.com:443"),
        ("http", "[::1]:80", "[::1]"),
        ("http+unix", "localhost", "localhost"),
    ],
)
def test_the_host_without_its_default_port(parts, scheme, authority, host):
    assert replace(parts, scheme=scheme, authority=authority).value("Host") == host


def test_the_parts_of_a_request_as_it_came():
    came = environ(
        CONTENT_TYPE="text/plain",
        CONTENT_LENGTH="2",
        HTTP_X_ROLE="admin",
        HTTP_CONNECTION="x-role",
    )
    parts = WireParts(came)
    assert parts.target == "/a%20b/c?x=%2F"
    assert (parts.method, parts.host) == ("POST", "api.example.com")
    assert parts.value("content-type") == "text/plain"
    assert parts.value("content-length") == "2"
    # make sure that Connection cannot hide a field which the view will see
    assert parts.value("x-role") == "admin"
    assert came["HTTP_CONNECTION"] == "x-role"


def test_the_fields_of_a_request_as_it_came():
    came = environ(CONTENT_TYPE="text/plain", CONTENT_LENGTH="2", HTTP_X_A=" 1, 2\t")
    parts = WireParts(came)
    assert set(parts.fields) == {
        ("Host", "API.example.com:443"),
        ("Content-Type", "text/plain"),
        ("Content-Length", "2"),
        ("X-A", " 1, 2\t"),
    }
    listed = RequestParts(
        parts.method, "https", parts.authority, parts.path, parts.query, parts.fields
    )
    for name in ("Host", "content-type", "Content-Length", "x-a", "x-none"):
        assert parts.value(name) == listed.value(name)
    assert parts.having(("x-a", "3")).value("X-A") == "3"


def test_connection_hides_no_field():
    came = environ(HTTP_X_ROLE="admin", HTTP_CONNECTION="x-role")
    assert ("X-Role", "admin") in WireParts(came).fields


def test_a_field_that_came_empty_and_one_that_did_not_come():
    parts = WireParts(environ(CONTENT_TYPE="", CONTENT_LENGTH="", HTTP_X_ROLE=""))
    assert parts.value("content-type") is parts.value("content-length") is None
    assert (parts.value("x-role"), parts.value("x-none")) == ("", None)


def test_the_method_is_the_one_on_the_request_line():
    parts = WireParts(environ(**{ORIGINAL: "POST", "REQUEST_METHOD": "DELETE"}))
    assert parts.method == "POST"


def test_a_request_without_host_and_query():
    came = environ(REQUEST_URI="/x", PATH_INFO="/x", QUERY_STRING="")
    del came["HTTP_HOST"]
    parts = WireParts(came)
    assert (parts.target, parts.host) == ("/x", "")
    assert parts.value("content-length") is None


@pytest.mark.parametrize("target", ["/x?", "/x", "/x??"])
def test_a_question_mark_that_nothing_follows_is_in_the_target(target):
    query = target.partition("?")[2]
    came = environ(REQUEST_URI=target, PATH_INFO="/x", QUERY_STRING=query)
    parts = WireParts(came)
    assert parts.target == target
    assert parts.having(("x-a", "1")).target == target
