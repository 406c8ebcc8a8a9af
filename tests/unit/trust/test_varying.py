"""What caches are told."""

from __future__ import annotations

import pytest
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.trust.varying import vary


@pytest.mark.parametrize(
    "fields, there, told",
    [
        (["api-key"], [], ["api-key"]),
        (["api_key", "User-Token"], [], ["api-key, user-token"]),
        (["api-key", "Api-Key"], ["Accept"], ["Accept, api-key"]),
        (["api-key", "*", "user-token"], [], ["*"]),
        (["api-key"], ["*"], ["*"]),
    ],
)
def test_each_name_is_told_once(fields, there, told):
    request, response = Request.blank("/"), Response()
    response.headerlist.extend(("Vary", value) for value in there)
    for field in fields:
        vary(request, field)
    request._process_response_callbacks(response)
    assert response.headers.getall("Vary") == told
    request._process_response_callbacks(response)  # nothing is left to tell
