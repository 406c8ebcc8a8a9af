"""The access line."""

from __future__ import annotations

import json

from pyramid.request import Request

from pyramid_restproxy.operation.access import access_line


class Route:
    name = "users"


def test_a_line_says_what_happened_and_no_secrets():
    request = Request.blank("/api/users/1?token=hunter2", method="POST")
    request.headers["Authorization"] = "Bearer hunter2"
    request.matched_route = Route
    text = access_line(request, 201, 0.25, {"backend": "b", "trace_id": None})
    assert json.loads(text) == {
        "method": "POST",
        "path": "/api/users/1",
        "status": 201,
        "seconds": 0.25,
        "route": "users",
        "backend": "b",
    }
    assert "hunter2" not in text


def test_a_line_is_one_line_whatever_the_path():
    request = Request.blank("/a%0Ab")
    assert "\n" not in access_line(request, 404, 0.0, {})
