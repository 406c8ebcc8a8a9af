"""A name for each request."""

from __future__ import annotations

import re

import pytest

from pyramid_restproxy.operation.request_ids import name_request, trace_id

KEY = "HTTP_X_REQUEST_ID"


def test_a_request_gets_a_name():
    environ = {}
    name = name_request(environ, "X-Request-ID", believed=False)
    assert re.fullmatch(r"[0-9a-f]{32}", name)
    assert environ == {KEY: name}


@pytest.mark.parametrize(
    "said, believed, kept",
    [
        ("abc-1", True, True),
        ("abc-1", False, False),
        ("a b", True, False),
        ("a\nb", True, False),
        ("x" * 129, True, False),
        ("", True, False),
    ],
)
def test_a_name_that_came_along(said, believed, kept):
    found = name_request({KEY: said}, "X-Request-ID", believed)
    assert (found == said) is kept


@pytest.mark.parametrize(
    "value, trace",
    [
        (f"00-{'a' * 32}-{'b' * 16}-01", "a" * 32),
        (f"00-{'0' * 32}-{'b' * 16}-01", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_traces(value, trace):
    assert trace_id({"HTTP_TRACEPARENT": value}) == trace
