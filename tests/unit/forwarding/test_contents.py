"""Contents: filtered, replaced, and what is said of them."""

from __future__ import annotations

import json
import sys

import pytest

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.forwarding import contents as t
from pyramid_restproxy.forwarding.bodies import BytesBody
from pyramid_restproxy.forwarding.fields import FieldList
from pyramid_restproxy.forwarding.model import Answer

from .calls import answer, call

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


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_content_is_not_filtered_and_described_no_more(
    method, status
):
    made = answer(JSON, ("ETag", '"x"'), ("Content-Length", "9"), status=status)
    t.json_filter(["secret"])(call(method=method), made)
    assert made.headers.pairs == [JSON]
    assert content(made) == b""


def test_empty_content_stays_empty():
    made = answer(JSON, status=201)
    t.json_filter(["secret"])(call(), made)
    assert content(made) == b""
    assert made.headers["Content-Length"] == "0"


@pytest.mark.parametrize("kind", ["application/json", "multipart/byteranges; b=x"])
def test_a_part_of_a_body_is_not_filtered_but_an_error(kind):
    made = answer(("Content-Type", kind), status=206, body=b'"secret": 1')
    with pytest.raises(ValueError, match="part"):
        t.json_filter(["secret"])(call(), made)
    other = answer(("Content-Type", "video/mp4"), status=206, body=b"x")
    t.json_filter(["secret"])(call(), other)
    assert content(other) == b"x"


@pytest.mark.parametrize(
    "kind, coding, text",
    [
        ("; charset=iso-8859-1", "latin-1", "caf\xe9"),
        ("; charset=windows-1252", "windows-1252", "\u20ac"),
        ("; charset=Shift_JIS", "shift_jis", "日本"),
        ("; charset=shift_jis", "utf-8", "日本"),
        ("", "utf-8-sig", "日本"),
        ("", "utf-16", "日本"),
        ("", "utf-32", "日本"),
        ("; charset=utf-16", "utf-16", "日本"),
    ],
)
def test_json_is_read_in_utf_8_or_the_charset_named_and_sent_in_utf_8(
    kind, coding, text
):
    body = json.dumps({"a": text, "secret": 1}, ensure_ascii=False).encode(coding)
    made = answer(("Content-Type", f"application/json{kind}"), body=body)
    t.json_filter(["secret"])(call(), made)
    assert json.loads(content(made).decode("utf-8")) == {"a": text}
    sent = "; charset=utf-8" if kind else ""
    assert made.headers["Content-Type"] == f"application/json{sent}"


@pytest.mark.parametrize(
    "kind, body",
    [("", b'"\xe9"'), ("; charset=x", b'"\xe9"'), ("; charset=euc-kr", b'"\xff"')],
)
def test_json_that_is_no_text_is_an_error(kind, body):
    made = answer(("Content-Type", f"application/json{kind}"), body=body)
    with pytest.raises(UnicodeDecodeError):
        t.json_filter(["secret"])(call(), made)


@pytest.mark.parametrize(
    "kind, page, coding, sent",
    [
        ("; charset=iso-8859-1", "caf\xe9", "latin-1", "; charset=windows-1252"),
        ("; charset=x-sjis", "日本", "shift_jis", "; charset=shift_jis"),
        ("; charset=utf-16", "日本", "utf-16-le", "; charset=utf-16le"),
        ("", "\ufeff日本", "utf-16-be", "; charset=utf-16be"),
        ("", "\ufeffcaf\xe9", "utf-8", "; charset=utf-8"),
        ("", "<meta charset=koi8-r>мир", "koi8-r", "; charset=koi8-r"),
        ("", "<meta charset=koi8-r>", "koi8-r", "; charset=koi8-r"),
        ("", "caf\xe9", "latin-1", "; charset=windows-1252"),
        ("", "caf\xe9", "utf-8", "; charset=utf-8"),
        ("", "cafe", "utf-8", ""),
        ("; charset=nonsense", "cafe", "utf-8", "; charset=utf-8"),
    ],
)
def test_a_page_is_read_as_browsers_do_and_sent_in_its_charset(
    kind, page, coding, sent
):
    body = f"{page}<p class=ad>buy</p>".encode(coding)
    made = answer(("Content-Type", f"text/html{kind}"), body=body)
    t.html_filter([".ad"])(call(), made)
    found = content(made).decode(coding)
    assert page.rpartition(">")[2].lstrip("\ufeff") in found
    assert found.startswith("\ufeff") == page.startswith("\ufeff")
    assert "buy" not in found
    assert made.headers["Content-Type"] == f"text/html{sent}"
    assert made.headers["Content-Length"] == str(len(found.encode(coding)))


def test_what_is_not_in_the_charset_of_a_page_is_a_reference_again():
    kind = ("Content-Type", "text/html; charset=koi8-r")
    made = answer(kind, body=b"<p title=&euro;>&#26085;&nbsp;\xcd</p>")
    t.html_filter([".ad"])(call(), made)
    assert b'<p title="&#8364;">&#26085;&nbsp;\xcd</p>' in content(made)


@pytest.mark.parametrize("coding", ["utf-8", "shift_jis", "euc-kr", "gb2312", "big5"])
def test_bytes_that_are_no_text_are_replaced_and_the_rest_is_filtered(coding):
    kind = ("Content-Type", f"text/html; charset={coding}")
    made = answer(kind, body=b"<p>x\x81 </p><p class=ad>buy</p>")
    t.html_filter([".ad"])(call(), made)
    found = content(made)
    assert found.startswith(b"<html>") and b"<p>x" in found
    assert b"buy" not in found and b"\x81" not in found


@pytest.mark.parametrize("selector", ["html", ":root", "*"])
def test_without_its_root_a_page_is_empty(selector):
    made = answer(
        ("Content-Type", "text/html"), body=b"<!doctype html><p>x<svg><html></svg>"
    )
    t.html_filter(["p", selector, "body"])(call(), made)
    assert content(made) == b""
    assert made.headers["Content-Length"] == "0"


def test_a_page_is_measured_in_bytes():
    kind = ("Content-Type", "text/html; charset=utf-16")
    body = ("x" * (t.MAX_FILTERED // 2)).encode("utf-16-le")
    t.html_filter([".ad"])(call(), answer(kind, body=body))
    with pytest.raises(ValueError, match="over"):
        t.html_filter([".ad"])(call(), answer(kind, body=body + b"x\0"))


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


def test_what_is_no_selector_is_refused_when_the_transform_is_made():
    with pytest.raises(ValueError, match="'\\[\\[' is no CSS selector"):
        t.html_filter(["script", "[["])


def test_a_number_that_cannot_be_written_again_is_an_error():
    made = answer(("Content-Type", "application/json"), body=b'{"a": 1e400}')
    with pytest.raises(ValueError):
        t.json_filter(["b"])(call(), made)


def copied(made):
    return Answer(made.status, made.reason, FieldList(list(made.headers)), made.body)


def test_bytes_are_taken_for_a_body():
    made = answer(("ETag", '"old"'), ("Content-Length", "3"), body=b"old")
    before = copied(made)
    made.body = b"other"
    t.settle(call(), made, before)
    assert made.headers.pairs == [("Content-Length", "5")]
    assert made.body.read_piece() == b"other"


def test_what_a_transform_says_of_its_bytes_stays():
    made = answer(("ETag", '"old"'), body=b"old")
    before = copied(made)
    made.body = b"new"
    made.headers.set("ETag", '"old"')  # the very same, and set all the same
    t.settle(call(), made, before)
    assert made.headers.get("ETag") == '"old"'


@pytest.mark.parametrize(
    "method, status, length",
    [("HEAD", 200, "3"), ("GET", 204, None), ("GET", 304, None)],
)
def test_bytes_for_an_answer_without_content_are_not_sent(method, status, length):
    made = answer(status=status)
    before = copied(made)
    made.body = b"new"
    t.settle(call(method=method), made, before)
    assert made.body.read_piece() == b""
    assert made.headers.get("Content-Length") == length


@pytest.mark.parametrize("lengths", [[], ["3"], ["3", "3"]])
def test_the_length_of_a_body_that_stays_is_not_the_transforms_to_say(lengths):
    made = answer(*[("Content-Length", length) for length in lengths], body=b"abc")
    before = copied(made)
    made.headers.set("content-length", "1")
    t.settle(call(), made, before)
    assert made.headers.get_all("Content-Length") == lengths


def test_a_length_may_be_taken_away_and_another_body_be_put_there():
    made = answer(("Content-Length", "3"), body=b"abc")
    before = copied(made)
    made.headers.remove("Content-Length")
    t.settle(call(), made, before)
    assert "Content-Length" not in made.headers
    made.body = BytesBody(b"abcd")
    made.headers.set("Content-Length", "4")
    t.settle(call(), made, before)
    assert made.headers.get("Content-Length") == "4"


def test_another_status_loses_the_reason_unless_it_has_one():
    made = answer(status=200)
    made.reason = "Fine By Me"
    before = copied(made)
    t.settle(call(), made, before)
    assert made.reason == "Fine By Me"
    made.status = 404
    t.settle(call(), made, before)
    assert made.reason == ""
    made.reason = "Gone Fishing"
    t.settle(call(), made, before)
    assert made.reason == "Gone Fishing"


def test_what_is_no_body_is_an_error():
    made = answer()
    before = copied(made)
    made.body = "text"
    with pytest.raises(TypeError, match="is str, not bytes"):
        t.settle(call(), made, before)
