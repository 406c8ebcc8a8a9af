"""Raw values of settings. That each setting uses the right one: test_settings."""

from __future__ import annotations

from os.path import join

import pytest

from pyramid_restproxy import casts


@pytest.mark.parametrize(
    "cast, raw, value",
    [
        (casts.words, "a, b\n c", ("a", "b", "c")),
        (casts.words, ["b", "a"], ("b", "a")),
        (casts.words, {"b", "a"}, ("a", "b")),
        (casts.words, frozenset(), ()),
        (casts.override_methods, {"put", "DELETE"}, ("DELETE", "PUT")),
        (casts.several, "a b", ("a b",)),
        (casts.several, ["b", "a"], ("b", "a")),
        (casts.several, frozenset("cab"), ("a", "b", "c")),
        (casts.several, {"a": 1}, ()),
        (casts.several, None, ()),
        (casts.called, " os.path.join ", join),
        (casts.called, "os.path:join", join),
        (casts.certificate, ["c", "k"], ("c", "k")),
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
        (casts.words, {"a", 7}),
        (casts.certificate, {"c", "k"}),  # which is the key?
        (casts.called, ".relative"),
        (casts.tokens, "a b(c"),
        (casts.seconds, "-1"),
        (casts.number, "-1"),
        (casts.size, "1.5"),
        (casts.share, "1.5"),
        (casts.store_url, "http://h"),
        (casts.weighted_urls, ["weight=2"]),
        (casts.weighted_urls, ["a", "weight=0"]),
        (casts.fields, "no colon here"),
        (casts.fields, "A: 1\nnocolon"),
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
        (casts.called, "os.path.sep", "cannot be called"),
        (casts.called, "nowhere.at_all", "cannot be imported: .*nowhere"),
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


def test_a_field_without_a_colon_is_not_repeated():
    """Who forgot the name had a field of that name; it may be a secret."""
    with pytest.raises(ValueError, match="one a line") as caught:
        casts.fields("thesecret")
    assert "thesecret" not in str(caught.value)


@pytest.mark.parametrize("password", ["s3cret/x", "s3cret#x", "s3cret?x"])
def test_a_password_that_is_not_escaped_is_not_repeated(password):
    """Bug: it stood in the message, as a port."""
    with pytest.raises(ValueError, match="percent-encoded") as caught:
        casts.store_url(f"redis://:{password}@host:6379/0")
    assert "s3cret" not in str(caught.value) and caught.value.__suppress_context__


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection"])
def test_what_frames_a_message_is_no_field_to_be_set(name):
    """Bug: the body of a client became a second request."""
    with pytest.raises(ValueError, match="made anew"):
        casts.fields(f"{name}: 3")
