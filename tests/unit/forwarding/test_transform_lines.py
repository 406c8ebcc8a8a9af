"""Transforms as lines of text."""

from __future__ import annotations

import pytest
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.model import Answer, ProxyCall
from pyramid_restproxy.forwarding.transform_lines import parse_transforms


def applied(*lines, status=200, body=b"", kind="text/plain"):
    """Run transforms; give the call and the answer they leave."""
    found = parse_transforms("restproxy.transforms.x", lines)
    request = Request.blank("/")
    request.matchdict = {"id": "7"}
    fields = [("Cookie", "a=1; b=2"), ("X-Old", "o"), ("X-Debug", "d")]
    call = ProxyCall(request, None, "GET", "/p", "a=1&b=2", FieldList(fields))
    call.prefix = "/api"
    for transform in found.request:
        transform(call)
    headers = [
        ("Content-Type", kind),
        ("X-Powered-By", "php"),
        ("Set-Cookie", "s=1; Domain=internal; Path=/"),
    ]
    answer = Answer(status, "OK", FieldList(headers), BytesBody(body))
    for transform in found.response:
        transform(call, answer)
    return call, answer


@pytest.mark.parametrize(
    "line, name, values",
    [
        ("set_request_header X-Old: new: value", "X-Old", ["new: value"]),
        ("add_request_header X-Old: p", "X-Old", ["o", "p"]),
        ("remove_request_headers X-Debug, X-Old", "X-Old", []),
        ("rename_request_header X-Old X-New", "X-New", ["o"]),
        ("allow_request_headers cookie", "X-Debug", []),
        ("drop_cookies a", "Cookie", ["b=2"]),
        ("cookie_filter a c", "Cookie", ["a=1"]),
        (f"request_transform {__name__}.stamp_request", "X-Stamp", ["s"]),
    ],
)
def test_fields_of_the_request(line, name, values):
    call, _ = applied(line)
    assert call.headers.get_all(name) == values


@pytest.mark.parametrize(
    "line, query",
    [
        ("edit_query set a=9", "b=2&a=9"),
        ("edit_query add a=9 8", "a=1&b=2&a=9+8"),
        ("edit_query remove b", "a=1"),
    ],
)
def test_the_query(line, query):
    assert applied(line)[0].query == query


def test_the_path():
    assert applied("set_path /v2/{id}")[0].path == "/v2/7"


@pytest.mark.parametrize(
    "line, status, name, values",
    [
        ("set_response_header X-Powered-By: me", 200, "X-Powered-By", ["me"]),
        ("set_response_header when=ok X-A: 1", 404, "X-A", []),
        ("set_response_header when=ok X-A: 1", 200, "X-A", ["1"]),
        ("add_response_header when=always X-A: 1", 404, "X-A", ["1"]),
        ("remove_response_headers X-Powered-By", 200, "X-Powered-By", []),
        ("rename_response_header X-Powered-By X-By", 200, "X-By", ["php"]),
        ("allow_response_headers Content-Type", 200, "Set-Cookie", []),
        ("set_cookie_filter other", 200, "Set-Cookie", []),
        (
            "cookie_attributes domain=drop path=prefix",
            200,
            "Set-Cookie",
            ["s=1; Path=/api/"],
        ),
        ("cookie_attributes path=drop", 200, "Set-Cookie", ["s=1; Domain=internal"]),
        (f"response_transform {__name__}.stamp_response", 200, "X-Stamp", ["s"]),
        ("cors_headers *", 200, "Access-Control-Allow-Origin", ["*"]),
        ("rewrite_content_location", 200, "Content-Location", []),
    ],
)
def test_fields_of_the_answer(line, status, name, values):
    _, answer = applied(line, status=status)
    assert answer.headers.get_all(name) == values


def test_contents():
    _, answer = applied(
        "json_filter password", body=b'{"a": 1, "password": 2}', kind="application/json"
    )
    assert answer.body.read_piece() == b'{"a": 1}'
    page = b"<p>x</p><script>1</script><i class=ad>y</i>"
    _, answer = applied("html_filter script, .ad", body=page, kind="text/html")
    assert b"<p>x</p>" in (content := answer.body.read_piece())
    assert b"script" not in content and b"ad" not in content.replace(b"head", b"")


def test_the_order_of_lines_is_the_order_of_transforms():
    lines = ["set_request_header X-A: 1", "rename_request_header X-A X-B"]
    assert applied(*lines)[0].headers.get("X-B") == "1"
    assert applied(*reversed(lines))[0].headers.get("X-A") == "1"


@pytest.mark.parametrize(
    "line, says",
    [
        ("set_header X: 1", "no such transform; there are set_request_header"),
        ("set_request_header X", "expected 'Name: value'"),
        ("set_request_header X Y: 1", "expected 'Name: value'"),
        ("set_request_header X: a\0b", "line break or NUL"),
        ("remove_request_headers", "expected names"),
        ("remove_request_headers a:b", "expected names"),
        ("rename_request_header a", "the old and the new"),
        ("set_path v2", "begins with '/'"),
        ("edit_query drop a", "expected 'set name=value'"),
        ("edit_query set a", "expected 'set name=value'"),
        ("cookie_attributes", "expected domain"),
        ("cookie_attributes secure=1", "expected domain"),
        ("cookie_attributes domain= path=/", "expected 'drop' or a domain"),
        ("cookie_attributes path=keep", "expected 'prefix', 'drop' or a path"),
        ("cookie_attributes path=/;Secure", "expected 'prefix', 'drop' or a path"),
        ("rewrite_content_location yes", "expected nothing more"),
        ("html_filter ,", "expected CSS selectors"),
        ("cors_preflight", "expected origins"),
        ("cors_headers * credentials", "by name"),
        ("set_response_header when=never X: 1", "'ok' or 'always'"),
        ("request_transform nowhere.to.be.found", "nowhere"),
        (f"request_transform {__name__}.NOT_CALLABLE", "cannot be called"),
    ],
)
def test_lines_that_are_refused(line, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        parse_transforms("restproxy.transforms.x", [line])
    assert "restproxy.transforms.x" in str(caught.value)


def test_a_refusal_does_not_show_what_may_be_a_credential():
    with pytest.raises(ConfigurationError) as caught:
        parse_transforms("s", ["set_request_header Authorization Bearer hunter2"])
    assert "hunter2" not in str(caught.value)


NOT_CALLABLE = 1


def stamp_request(call):
    call.headers.set("X-Stamp", "s")


def stamp_response(call, answer):
    answer.headers.set("X-Stamp", "s")


def test_any_white_space_ends_the_name_and_what_is_no_name_is_not_repeated():
    assert parse_transforms("s", ["set_request_header\tX-Key: v"]).request
    with pytest.raises(ConfigurationError) as caught:
        parse_transforms("s", ["set_request_header:X-Key:s3cret"])
    assert "s3cret" not in str(caught.value)
