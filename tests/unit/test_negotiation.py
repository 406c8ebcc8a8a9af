"""Negotiation by Accept, case by case and against an oracle."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_restproxy import negotiation as n

HTML, JSON, XML = "text/html", "application/json", "application/xml"
OFFERS = (HTML, JSON, XML)


@pytest.mark.parametrize(
    "accept, chosen",
    [
        (None, HTML),
        ("", HTML),
        ("*/*", HTML),
        (JSON, JSON),
        ("APPLICATION/JSON", JSON),
        ("application/*", JSON),
        ("text/*", HTML),
        ("application/json;q=0.1, text/html;q=0.9", HTML),
        ("application/xml;q=0.5, application/json;q=0.5", JSON),
        ("application/json, */*", JSON),
        ("application/*, */*", JSON),
        ("text/html;q=0, */*", JSON),
        ("*/*;q=0.1, application/xml", XML),
        ("text/*;q=0.3, text/html;q=0.7, application/json;q=0.5", HTML),
        ("text/*, text/html;q=0.1, application/json;q=0.5", JSON),
        ("application/json;charset=utf-8", JSON),
        ("application/json;version=2;q=0.5, text/html;q=0.4", JSON),
        ("application/json;v=1;q=0.2, application/json;q=0.9, text/html;q=0.5", JSON),
        ("application/json;q=0.9, application/json;q=0.1, text/html;q=0.5", JSON),
        ("application/json,", JSON),
        (", ,application/json", JSON),
        # RFC 9110 sections 5.6.1.2, 5.6.6: what is empty counts for nothing
        (",application/json", JSON),
        (" , application/json ,", JSON),
        ("application/json;", JSON),
        ("application/json ; ,", JSON),
        ("application/json;;q=0.5, text/html;q=0.2", JSON),
        ("text/html;q=0.2;, application/json ; ;q=0.5", JSON),
        ("application/json; ;charset=utf-8", JSON),
        ('image/png;x=";;\\";", application/json;', JSON),
        (";", HTML),
        (";,;", HTML),
        ("application/json;;x", HTML),
        ('application/json;x=";;', HTML),
        (" application/json\t", JSON),
        ("image/png, application/json;q=0.001", JSON),
        # no wish at all, because it cannot be read
        ("application/json;q=1.5", HTML),
        ("application/json;q=x", HTML),
        ("text/html, *;q=.2", HTML),
        ("nonsense", HTML),
        ("\x00", HTML),
        # nothing fits
        ("image/png", None),
        ("application/*+json", None),
        ("text/html;q=0", None),
        ("*/*;q=0", None),
        ("*/json", None),
    ],
)
def test_choices(accept, chosen):
    score = n.best(accept, OFFERS)
    assert (score.media_type if score else None) == chosen


def test_suffixes_are_ranges_of_their_own():
    offers = ("application/hal+json", JSON)
    assert n.best("application/*+json", offers).media_type == "application/hal+json"
    assert (
        n.best("application/*+json;q=0.1, application/json", offers).media_type == JSON
    )
    assert n.best("text/*+json", offers) is None


def test_parameters_count_where_the_server_distinguishes_by_them():
    offers = ("application/json;version=1", "application/json;version=2", HTML)
    assert n.best("application/json;version=2", offers).offer == 1
    assert n.best("application/json", offers).offer == 0
    assert n.best("application/json;version=3", offers) is None
    assert n.best("application/json;version=3, */*;q=0.1", offers).offer == 0
    assert (
        n.best("application/json, application/json;version=2;q=0.5", offers).offer == 0
    )
    assert n.best("text/html;level=1", offers).media_type == HTML


def test_the_cost_of_a_header_is_bounded():
    assert n.parse("a/b, " * 20_000) is None
    assert n.parse("a/" + "b" * n.MAX_HEADER) is None
    many = ", ".join(f"a/x{i}" for i in range(n.MAX_RANGES))
    assert len(n.parse(many)) == n.MAX_RANGES
    assert n.parse(many + ", a/b") is None


@pytest.mark.parametrize(
    "accept, parameters",
    [
        ("a/b;;x=1;", {("x", "1")}),
        ("a/b; ;\tx=1 ;q=0.5;", {("x", "1")}),
        ('a/b;x=";";;', {("x", ";")}),
        ('a/b;;x=",;;,";', {("x", ",;;,")}),
        (r'a/b;;x="\";;";', {("x", '";;')}),
        (r'a/b;;x="\\";;y=";"', {("x", "\\"), ("y", ";")}),
    ],
)
def test_empty_parameters_are_taken_out_and_quoted_strings_stay(accept, parameters):
    """The whole field was thrown away."""
    (found,) = n.parse(accept)
    assert found.parameters == parameters


RANGES = ["*/*", "text/*", "application/*", HTML, JSON, XML, "image/png"]
WEIGHTS = ["", ";q=0", ";q=0.2", ";q=0.5", ";q=1"]
accepts = st.lists(
    st.tuples(st.sampled_from(RANGES), st.sampled_from(WEIGHTS)), max_size=6
)


def oracle(ranges, offers):
    """The same rules, by brute force over plain tuples."""

    def weigh(offer):
        major = offer.split("/")[0]
        for level, name in ((3, offer), (1, f"{major}/*"), (0, "*/*")):
            found = [float(w[3:] or 1) for r, w in ranges if r == name]
            if found:
                return max(found), level
        return 0.0, -1

    weighed = [(*weigh(offer), -place) for place, offer in enumerate(offers)]
    best = max(weighed)
    return offers[-best[2]] if best[0] > 0 else None


@given(accepts, st.permutations(OFFERS))
def test_it_agrees_with_an_oracle(ranges, offers):
    accept = ", ".join(name + weight for name, weight in ranges)
    score = n.best(accept, offers)
    if ranges:
        assert (score.media_type if score else None) == oracle(ranges, offers)
    else:
        assert score.offer == 0


@given(st.text(max_size=60))
def test_no_header_makes_it_raise(accept):
    score = n.best(accept, OFFERS)
    assert score is None or score.q > 0


def test_every_offer_has_a_score():
    for accept in itertools.chain([None], RANGES):
        assert [score.offer for score in n.scores(accept, OFFERS)] == [0, 1, 2]


@pytest.mark.parametrize(
    "before, after",
    [
        ([], [("Vary", "Accept")]),
        ([("A", "1")], [("A", "1"), ("Vary", "Accept")]),
        ([("A", "1"), ("vary", "Cookie")], [("A", "1"), ("Vary", "Cookie, Accept")]),
        ([("Vary", "a"), ("Vary", "b")], [("Vary", "a, b, Accept")]),
        ([("Vary", "Cookie, accept")], [("Vary", "Cookie, accept")]),
        ([("Vary", "*")], [("Vary", "*")]),
        ([("Vary", "")], [("Vary", "Accept")]),
    ],
)
def test_vary_is_merged(before, after):
    headers = list(before)
    n.add_vary(headers, "Accept")
    assert headers == after


def test_parameters_by_which_no_offer_differs_do_not_count():
    offers = ("application/json;version=1", "application/json;version=2", HTML)
    assert n.best("application/json;charset=utf-8", offers).offer == 0
    assert n.best("application/json;charset=utf-8;version=2", offers).offer == 1
    assert n.best("application/json;charset=utf-8;version=3", offers) is None
    # of another type
    assert n.best("text/html;version=3", offers).media_type == HTML
    # the plain range speaks of version 1, the other one nearly
    accept = "application/json;charset=utf-8;q=0.1, application/json;q=0.9, text/html"
    assert n.scores(accept, offers)[0].q == 0.9
    # the parameter that counts says more than the plain range
    accept = "application/json;charset=utf-8;version=2;q=0.1, application/json"
    assert n.scores(accept, offers)[1].q == 0.1


def test_what_is_too_long_to_be_read_expresses_no_wish():
    assert n.parse("a/" + "b" * (n.MAX_HEADER - 2)) is not None
    assert n.parse("a/" + "b" * (n.MAX_HEADER - 1)) is None
