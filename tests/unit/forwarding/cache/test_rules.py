"""The rules of a shared cache; the numbers are sections of RFC 9111."""

from __future__ import annotations

import pytest

from pyramid_restproxy.forwarding.cache import rules
from pyramid_restproxy.forwarding.cache.directives import FOREVER, cache_control
from pyramid_restproxy.forwarding.cache.rules import Freshness, Reuse
from tests.unit.forwarding.cache.calls import DATE, NOW

LATER = "Sun, 06 Nov 1994 08:50:37 GMT"
TAG = ("ETag", '"1"')
AUTHORIZATION = ("Authorization", "Bearer a")
COOKIE = ("Cookie", "a=1")


def said(text):
    return cache_control([("Cache-Control", text)])


def cc(text, *more):
    return [("Cache-Control", text), *more]


# -- storing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expected, case",
    [
        pytest.param(True, {}, id="3-explicit"),
        pytest.param(True, {"fields": [("Expires", LATER)]}, id="3-expires"),
        pytest.param(True, {"fields": [TAG]}, id="3-validator"),
        pytest.param(True, {"fields": [("Last-Modified", DATE)]}, id="3-modified"),
        pytest.param(True, {"fields": cc("no-cache", TAG)}, id="5.2.2.4-no-cache"),
        pytest.param(False, {"fields": []}, id="3-nothing"),
        pytest.param(False, {"fields": cc("public")}, id="3-no-lifetime"),
        pytest.param(False, {"fields": cc("max-age=0")}, id="3-never-fresh"),
        pytest.param(False, {"fields": cc("max-age=x")}, id="4.2.1-malformed"),
        pytest.param(
            False, {"fields": cc("s-maxage=0, max-age=9")}, id="5.2.2.10-first"
        ),
        pytest.param(False, {"method": "HEAD"}, id="3-head"),
        pytest.param(False, {"method": "POST"}, id="3-post"),
        pytest.param(False, {"asked": cc("no-store")}, id="5.2.1.5-no-store"),
        pytest.param(False, {"fields": cc("max-age=9, no-store")}, id="5.2.2.5"),
        pytest.param(
            False,
            {"fields": cc("max-age=9, no-store, must-understand")},
            id="5.2.2.3-must-understand",
        ),
        pytest.param(False, {"fields": cc("max-age=9, private")}, id="5.2.2.7"),
        pytest.param(
            False, {"fields": cc('max-age=9, private="x"')}, id="5.2.2.7-named"
        ),
        pytest.param(False, {"fields": cc("max-age=9", ("Vary", "*"))}, id="4.1-star"),
        pytest.param(
            False, {"fields": cc("max-age=9", ("Vary", "a, *"))}, id="4.1-star-listed"
        ),
        pytest.param(
            False, {"fields": cc("max-age=9", ("Vary", "a b"))}, id="4.1-unreadable"
        ),
        pytest.param(True, {"fields": cc("max-age=9", ("Vary", "a"))}, id="4.1-vary"),
        pytest.param(
            False, {"fields": cc("max-age=9", ("Set-Cookie", "a=1"))}, id="set-cookie"
        ),
        pytest.param(
            False,
            {"fields": cc("public, max-age=9", ("set-cookie", "a=1"))},
            id="set-cookie-public",
        ),
        pytest.param(False, {"asked": [("Range", "bytes=0-1")]}, id="3.3-range"),
        pytest.param(
            False,
            {"fields": cc("max-age=9", ("Content-Range", "bytes 0-1/2"))},
            id="3.3-content-range",
        ),
        *(
            pytest.param(False, {"status": status}, id=f"3-{status}")
            for status in (206, 304, 401, 407, 500, 502, 503, 504, 299)
        ),
        *(
            pytest.param(True, {"status": status}, id=f"3-{status}")
            for status in (203, 204, 301, 302, 308, 404, 410)
        ),
        pytest.param(False, {"asked": [AUTHORIZATION]}, id="3.5-authorization"),
        *(
            pytest.param(
                True,
                {"asked": [AUTHORIZATION], "fields": cc(f"max-age=9, {allowing}")},
                id=f"3.5-{allowing}",
            )
            for allowing in ("public", "s-maxage=9", "must-revalidate")
        ),
        pytest.param(
            False,
            {"asked": [("X-User", "a")], "credentials": frozenset({"x-user"})},
            id="3.5-identity",
        ),
        *(
            pytest.param(
                stored, {"fields": cc(f"max-age=0, {text}")}, id=f"5861-{text}"
            )
            for stored, text in (
                (True, "stale-while-revalidate=60"),
                (True, "stale-if-error=60"),
                (False, "stale-while-revalidate=0"),
                (False, "stale-if-error=60, must-revalidate"),
            )
        ),
        pytest.param(
            False, {"fields": cc("stale-if-error=60")}, id="5861-says-no-lifetime"
        ),
        pytest.param(True, {"asked": [COOKIE]}, id="cookie-explicit"),
        pytest.param(
            False, {"asked": [COOKIE], "fields": [TAG]}, id="cookie-validator"
        ),
        pytest.param(
            False,
            {"asked": [COOKIE], "fields": cc("max-age=0", TAG)},
            id="cookie-never-fresh",
        ),
        pytest.param(
            True,
            {"asked": [COOKIE], "fields": cc("public, no-cache", TAG)},
            id="cookie-public",
        ),
    ],
)
def test_may_store(expected, case):
    found = rules.may_store(
        case.get("method", "GET"),
        case.get("asked", []),
        case.get("status", 200),
        case.get("fields", cc("max-age=9")),
        case.get("credentials", rules.CREDENTIALS),
    )
    assert found is expected


@pytest.mark.parametrize(
    "values, expected",
    [
        ([], ()),
        (["B, a", "a,,"], ("a", "b")),
        (["*"], None),
        (["a;b"], None),
    ],
)
def test_varies_by_4_1(values, expected):
    assert rules.varies_by([("Vary", value) for value in values]) == expected


def test_selecting_fields_are_normalised_4_1():
    fields = [("Accept", "a ,b"), ("ACCEPT", " c")]
    assert rules.selecting(["accept", "x"], fields) == (
        ("accept", "a, b, c"),
        ("x", None),
    )


@pytest.mark.parametrize(
    "fields, known, length",
    [
        ([("Content-Length", "5")], True, 5),
        ([("Transfer-Encoding", "chunked")], True, None),
        ([], False, None),
    ],
)
def test_framing(fields, known, length):
    assert rules.has_known_end(fields) is known
    assert rules.content_length(fields) == length


@pytest.mark.parametrize(
    "text, ttl, validator, expected",
    [
        ("max-age=9", 9, False, 9),
        ("max-age=9", 9, True, 109),
        ("max-age=9", -1, False, 0),
        ("max-age=9, stale-if-error=50", 9, False, 59),
        ("max-age=9, stale-while-revalidate=50", 9, False, 59),
        ("s-maxage=9, stale-if-error=50", 9, False, 9),
        ("no-cache, max-age=9", 9, True, 100),
        ("no-cache, max-age=9", 9, False, 0),
    ],
)
def test_store_time(text, ttl, validator, expected):
    assert rules.store_time(said(text), ttl, validator, 100) == expected


# -- what is left to the backend -----------------------------------------------------


@pytest.mark.parametrize(
    "method, fields, body, expected",
    [
        ("GET", [], False, None),
        ("HEAD", [], False, None),
        ("GET", [], True, "bypass"),
        ("POST", [], False, "method"),
        *(
            ("GET", [(name, "x")], False, "bypass")
            for name in (
                "Range",
                "If-Range",
                "If-Match",
                "If-Unmodified-Since",
                "X-Original-URL",
                "X-Rewrite-URL",
                "X-HTTP-Method-Override",
            )
        ),
    ],
)
def test_bypass(method, fields, body, expected):
    assert rules.bypass(method, fields, body) == expected


@pytest.mark.parametrize(
    "method, status, expected",
    [
        ("POST", 200, True),
        ("DELETE", 303, True),
        ("X-NEW", 204, True),
        ("POST", 404, False),
        ("PUT", 500, False),
        ("GET", 200, False),
        ("HEAD", 200, False),
        ("OPTIONS", 200, False),
        ("TRACE", 200, False),
    ],
)
def test_unsafe_4_4(method, status, expected):
    assert rules.is_unsafe(method, status) is expected


@pytest.mark.parametrize(
    "value, expected",
    [
        ("/y?z=1", ("/y", "z=1")),
        ("z", ("/a/z", "")),
        ("http://b:80/y#f", ("/y", "")),
        ("https://PUBLIC/y", ("/y", "")),
        ("//public", ("/", "")),
        ("http://other/y", None),
        ("http://[", None),
    ],
)
def test_named_target_4_4(value, expected):
    hosts = frozenset({"b:80", "public"})
    assert rules.named_target(value, "http://b:80/a/x", hosts) == expected


# -- freshness -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "expected, fields",
    [
        pytest.param(0, [], id="4.2.2-no-heuristics"),
        pytest.param(5, cc("max-age=5"), id="4.2.1-max-age"),
        pytest.param(9, cc("max-age=5, s-maxage=9"), id="4.2.1-s-maxage"),
        pytest.param(
            5, cc("max-age=5", ("Expires", LATER), ("Date", DATE)), id="5.3-max-age"
        ),
        pytest.param(60, [("Expires", LATER), ("Date", DATE)], id="4.2.1-expires"),
        pytest.param(50, [("Expires", LATER)], id="4.2.1-no-date"),
        pytest.param(0, [("Expires", DATE), ("Date", LATER)], id="5.3-past"),
        pytest.param(0, [("Expires", "0")], id="5.3-invalid"),
        pytest.param(0, [("Expires", LATER), ("Expires", DATE)], id="5.3-two"),
        pytest.param(
            FOREVER, [("Expires", "Fri, 31 Dec 9999 23:59:59 GMT")], id="5.3-far"
        ),
        pytest.param(0, cc("max-age=-5"), id="4.2.1-malformed"),
        pytest.param(0, cc("s-maxage=x, max-age=5"), id="4.2.1-malformed-s-maxage"),
    ],
)
def test_lifetime(expected, fields):
    assert rules.freshness_lifetime(fields, NOW + 10) == expected


@pytest.mark.parametrize(
    "expected, fields, times",
    [
        pytest.param(0, [], (0, 0, 0), id="4.2.3-new"),
        pytest.param(7, [], (0, 0, 7), id="4.2.3-resident"),
        pytest.param(2, [], (0, 2, 2), id="4.2.3-delay"),
        pytest.param(30, [("Age", "30")], (0, 0, 0), id="4.2.3-age"),
        pytest.param(37, [("Age", "30")], (0, 2, 7), id="4.2.3-age-delay-resident"),
        pytest.param(30, [("Age", "30, 90")], (0, 0, 0), id="5.1-first"),
        pytest.param(30, [("Age", "30"), ("Age", "90")], (0, 0, 0), id="5.1-lines"),
        pytest.param(0, [("Age", "x")], (0, 0, 0), id="5.1-malformed"),
        pytest.param(20, [("Date", DATE)], (20, 20, 20), id="4.2.3-apparent"),
        pytest.param(0, [("Date", LATER)], (0, 0, 0), id="4.2.3-date-ahead"),
        pytest.param(0, [], (0, 0, -5), id="skew"),
        pytest.param(2 * FOREVER, [], (0, 0, -6), id="clock-turned-back"),
    ],
)
def test_age(expected, fields, times):
    asked, received, now = (NOW + each for each in times)
    assert rules.current_age(fields, asked, received, now) == expected


# -- using ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expected, control, asked, lifetime, age",
    [
        pytest.param(Reuse.AS_IS, "", "", 10, 9, id="4.2-fresh"),
        pytest.param(Reuse.STALE, "", "", 10, 10, id="4.2-stale"),
        pytest.param(Reuse.STALE, "no-cache", "", 10, 1, id="5.2.2.4"),
        pytest.param(Reuse.STALE, 'no-cache="a"', "", 10, 1, id="5.2.2.4-named"),
        pytest.param(Reuse.ASKED, "", "no-cache", 10, 1, id="5.2.1.4"),
        pytest.param(Reuse.ASKED, "", "max-age=5", 10, 6, id="5.2.1.1"),
        pytest.param(Reuse.AS_IS, "", "max-age=5", 10, 5, id="5.2.1.1-young"),
        pytest.param(Reuse.STALE, "", "max-age=5", 10, 11, id="5.2.1.1-stale"),
        pytest.param(Reuse.ASKED, "", "max-age=x", 10, 1, id="5.2.1.1-malformed"),
        pytest.param(Reuse.AS_IS, "", "min-fresh=4", 10, 6, id="5.2.1.3"),
        pytest.param(Reuse.ASKED, "", "min-fresh=5", 10, 6, id="5.2.1.3-less"),
        pytest.param(Reuse.AS_IS, "", "max-stale", 10, 99, id="5.2.1.2-any"),
        pytest.param(Reuse.AS_IS, "", "max-stale=5", 10, 15, id="5.2.1.2"),
        pytest.param(Reuse.STALE, "", "max-stale=5", 10, 16, id="5.2.1.2-more"),
        pytest.param(
            Reuse.STALE, "", "max-stale, min-fresh=1", 10, 11, id="5.2.1.3-stale"
        ),
        *(
            pytest.param(
                Reuse.STALE,
                f"{never}, stale-while-revalidate=9",
                "max-stale",
                10,
                11,
                id=f"4.2.4-{never}",
            )
            for never in ("must-revalidate", "proxy-revalidate", "s-maxage=10")
        ),
        pytest.param(
            Reuse.WHILE_REVALIDATING,
            "stale-while-revalidate=5",
            "",
            10,
            15,
            id="5861-3",
        ),
        pytest.param(
            Reuse.STALE, "stale-while-revalidate=5", "", 10, 16, id="5861-3-more"
        ),
        pytest.param(Reuse.STALE, "", "", 0, 0, id="5861-3-none"),
    ],
)
def test_reuse(expected, control, asked, lifetime, age):
    found = rules.reuse(said(control), said(asked), Freshness(lifetime, age))
    assert found is expected


@pytest.mark.parametrize(
    "expected, control, asked, age",
    [
        pytest.param(True, "stale-if-error=5", "", 15, id="5861-4"),
        pytest.param(False, "stale-if-error=5", "", 16, id="5861-4-more"),
        pytest.param(True, "", "stale-if-error=5", 15, id="5861-4-request"),
        pytest.param(False, "", "", 10, id="4.2.4-not-allowed"),
        pytest.param(True, "stale-if-error=0", "max-age=0", 9, id="still-fresh"),
        pytest.param(False, "stale-if-error=5", "no-cache", 11, id="5.2.1.4"),
        pytest.param(False, "stale-if-error=5, must-revalidate", "", 11, id="5.2.2.2"),
    ],
)
def test_use_on_error(expected, control, asked, age):
    found = Freshness(10, age)
    assert rules.may_use_on_error(said(control), said(asked), found) is expected


# -- validation ----------------------------------------------------------------------


def test_validators_4_3_1():
    fields = [("ETag", 'W/"1"'), ("Last-Modified", DATE)]
    assert rules.validators(fields) == [
        ("If-None-Match", 'W/"1"'),
        ("If-Modified-Since", DATE),
    ]
    assert rules.validators([("ETag", '"1"'), ("ETag", '"2"')]) == []
    assert rules.validators([]) == []


@pytest.mark.parametrize(
    "expected, stored, new",
    [
        pytest.param(True, [TAG], [], id="4.3.4-none"),
        pytest.param(True, [TAG], [TAG], id="4.3.4-same"),
        pytest.param(True, [TAG], [("ETag", 'W/"1"')], id="4.3.4-weak"),
        pytest.param(False, [TAG], [("ETag", '"2"')], id="4.3.4-other"),
        pytest.param(False, [], [TAG], id="4.3.4-new"),
        pytest.param(
            True, [("Last-Modified", DATE)], [("Last-Modified", DATE)], id="4.3.4-date"
        ),
        pytest.param(
            False,
            [("Last-Modified", DATE)],
            [("Last-Modified", LATER)],
            id="4.3.4-other-date",
        ),
    ],
)
def test_confirms(expected, stored, new):
    assert rules.confirms(stored, new) is expected


def test_freshen_3_2():
    stored = [
        TAG,
        ("Content-Type", "text/plain"),
        ("Content-Length", "5"),
        ("Age", "40"),
        ("Date", DATE),
        ("Cache-Status", "far; hit"),
        ("X-A", "old"),
        ("X-B", "kept"),
    ]
    new = [("Date", LATER), ("x-a", "new"), ("Content-Length", "0"), ("X-C", "added")]
    assert rules.freshen(stored, new) == [
        TAG,
        ("Content-Type", "text/plain"),
        ("Content-Length", "5"),
        ("X-B", "kept"),
        ("Date", LATER),
        ("x-a", "new"),
        ("X-C", "added"),
    ]


@pytest.mark.parametrize(
    "expected, asked, stored",
    [
        pytest.param(False, [], [TAG], id="unconditional"),
        pytest.param(True, [("If-None-Match", '"1"')], [TAG], id="4.3.2-tag"),
        pytest.param(True, [("If-None-Match", 'W/"1"')], [TAG], id="4.3.2-weak"),
        pytest.param(True, [("If-None-Match", '"0", "1"')], [TAG], id="4.3.2-list"),
        pytest.param(True, [("If-None-Match", " * ")], [TAG], id="4.3.2-star"),
        pytest.param(False, [("If-None-Match", '"0"')], [TAG], id="4.3.2-other"),
        pytest.param(False, [("If-None-Match", '"1"')], [], id="4.3.2-no-tag"),
        pytest.param(
            False,
            [("If-None-Match", '"0"'), ("If-Modified-Since", LATER)],
            [TAG, ("Last-Modified", DATE)],
            id="9110-13.1.3-tag-first",
        ),
        pytest.param(
            True,
            [("If-Modified-Since", DATE)],
            [("Last-Modified", DATE)],
            id="4.3.2-date",
        ),
        pytest.param(
            False,
            [("If-Modified-Since", DATE)],
            [("Last-Modified", LATER)],
            id="4.3.2-later",
        ),
        pytest.param(
            True, [("If-Modified-Since", DATE)], [("Date", DATE)], id="4.3.2-made"
        ),
        pytest.param(False, [("If-Modified-Since", DATE)], [], id="4.3.2-received"),
        pytest.param(False, [("If-Modified-Since", "0")], [], id="9110-13.1.3"),
    ],
)
def test_not_modified(expected, asked, stored):
    assert rules.not_modified(asked, stored, NOW + 10) is expected


def test_fields_of_a_304_9110_15_4_5():
    fields = [TAG, ("Content-Type", "a"), ("Content-Location", "/"), ("Vary", "a")]
    assert rules.not_modified_fields(fields) == [
        TAG,
        ("Content-Location", "/"),
        ("Vary", "a"),
    ]


def test_cache_status_9211():
    assert rules.cache_status("c", "hit", "ttl=5") == "c; hit; ttl=5"
    assert rules.cache_status("c") == "c"
