from __future__ import annotations

import pytest


def test_204_without_a_content_type(render, request_):
    assert render("no_content", None) == ()
    assert request_.response.status == "204 No Content"
    assert "Content-Type" not in request_.response.headers


def test_without_a_request(render):
    assert render("no_content", None, request=None) == ()


@pytest.mark.parametrize("value", [{}, "", 0])
def test_a_value_needs_another_renderer(render, value):
    with pytest.raises(TypeError, match="another renderer"):
        render("no_content", value)
