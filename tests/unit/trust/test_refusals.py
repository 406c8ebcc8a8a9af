"""How trust says no."""

from __future__ import annotations

import pytest

from pyramid_restproxy.exceptions import RequestRefused
from pyramid_restproxy.trust import refusals


@pytest.mark.parametrize(
    "refusal, status, reason",
    [
        (refusals.InvalidToken("sealing", "No."), 400, "sealing"),
        (refusals.Unauthenticated("missing", "No.", "ApiKey"), 401, "missing"),
        (refusals.Forbidden("scope", "No."), 403, "scope"),
        (refusals.BodyTooLarge(10), 413, "too-large"),
        (refusals.StoreUnavailable(), 503, "store"),
    ],
)
def test_a_refusal_is_an_http_error_with_a_reason(refusal, status, reason):
    assert isinstance(refusal, RequestRefused)
    assert refusal.status_int == status
    assert refusal.reason == reason
    assert refusal.detail


def test_401_says_how_to_authenticate():
    refusal = refusals.Unauthenticated("missing", "No.", "ApiKey")
    assert refusal.headers["WWW-Authenticate"] == "ApiKey"
