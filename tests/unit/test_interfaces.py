from __future__ import annotations

from pyramid_restproxy.interfaces import Representation


def test_content_types_carry_the_charset_where_there_is_one():
    html = Representation("html", "text/html", charset="UTF-8")
    assert html.content_type("text/html") == "text/html; charset=UTF-8"
    assert Representation("json", "application/json").content_type("a/b") == "a/b"
