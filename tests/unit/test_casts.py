"""Raw values of settings. That each setting uses the right one: test_settings."""

from __future__ import annotations

import pytest

from pyramid_restproxy import casts


@pytest.mark.parametrize(
    "cast, raw, value",
    [
        (casts.words, "a, b\n c", ("a", "b", "c")),
        (casts.words, ["a", "b"], ("a", "b")),
        (casts.lines, "\n a b \n\n c", ("a b", "c")),
        (casts.lines, ("a b",), ("a b",)),
        (casts.boolean, "On", True),
        (casts.boolean, "", False),
        (casts.optional_seconds, None, None),
        (casts.share, "0.5", 0.5),
        (casts.store_url, "memory", ""),
        (casts.store_url, "rediss://h:1/0", "rediss://h:1/0"),
        (casts.weighted_urls, ["a", "b", "weight=2"], [("a", 1), ("b", 2)]),
        (casts.fields, "A: 1\nB: x: y", (("A", "1"), ("B", "x: y"))),
        (casts.fields, {"A": 1}, (("A", "1"),)),
        (casts.tokens_or_nothing, " X-A ", "X-A"),
        (casts.one_of("a", "b"), "b", "b"),
        (casts.statuses, ("503",), (503,)),
    ],
)
def test_what_it_means(cast, raw, value):
    assert cast(raw) == value


@pytest.mark.parametrize(
    "cast, raw",
    [
        (casts.words, 7),
        (casts.tokens, "a b(c"),
        (casts.seconds, "-1"),
        (casts.number, "-1"),
        (casts.size, "1.5"),
        (casts.share, "1.5"),
        (casts.store_url, "http://h"),
        (casts.weighted_urls, ["weight=2"]),
        (casts.weighted_urls, ["a", "weight=0"]),
        (casts.fields, "no colon here"),
        (casts.fields, {"A": "1\r\nB: 2"}),
        (casts.fields, {"A B": "1"}),
        (casts.tokens_or_nothing, "a b"),
        (casts.one_of("a"), "b"),
        (casts.statuses, "399"),
        (casts.path, "x"),
        (casts.affinity, "ip"),
    ],
)
def test_what_it_is_not(cast, raw):
    with pytest.raises((ValueError, TypeError)):
        cast(raw)


@pytest.mark.parametrize(
    "cast, value, says",
    [
        (casts.seconds, "30s", "without a unit"),
        (casts.seconds, "1e12", "without a unit"),
        (casts.size, "1MB", "without a unit"),
        (casts.number, "many", "whole number"),
        (casts.share, "half", "between 0 and 1"),
        (casts.statuses, "5xx", "400 to 599"),
        (casts.token, "", "a name"),
        (casts.http_versions, "", "1.1"),
        (casts.http_versions, "nonsense", "1.1"),
    ],
)
def test_errors_say_what_is_expected(cast, value, says):
    with pytest.raises(ValueError, match=says) as caught:
        cast(value)
    assert "could not convert" not in str(caught.value)


def test_versions_of_http():
    assert casts.http_versions("1.1 2") == ("1.1", "2")
