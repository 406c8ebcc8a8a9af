from __future__ import annotations

import pytest

from pyramid_restproxy.interfaces import Representation
from pyramid_restproxy.negotiation import MAX_HEADER
from pyramid_restproxy.routing import offers as o

HTML = Representation("html", "text/html", (".html",), charset="UTF-8")
JSON = Representation("json", "application/json", (".json",))
XML = Representation(
    "xml", "application/xml", (".xml",), ("text/xml",), charset="UTF-8"
)
ALL = o.Offers((HTML, JSON, XML))


@pytest.mark.parametrize(
    "arguments, name, media_type, by, vary",
    [
        ({}, "html", "text/html", "default", True),
        ({"accept": "application/json"}, "json", "application/json", "accept", True),
        ({"accept": "text/xml"}, "xml", "text/xml", "accept", True),
        ({"accept": "*/*"}, "html", "text/html", "default", True),
        ({"extension": ".xml", "accept": "text/html"}, "xml", "application/xml", "extension", False),  # noqa: E501
        ({"format_name": "json", "accept": "text/html"}, "json", "application/json", "format", False),  # noqa: E501
        ({"accept": "application/json", "reads_accept": False}, "html", "text/html", "default", False),  # noqa: E501
        ({"accept": "image/png", "strict": False}, "html", "text/html", "default", True),  # noqa: E501
    ],
)  # fmt: skip
def test_choices(arguments, name, media_type, by, vary):
    found = o.choose(ALL, **arguments)
    assert found.representation.name == name
    assert (found.media_type, found.by, found.vary) == (media_type, by, vary)


@pytest.mark.parametrize(
    "arguments",
    [{"accept": "image/png"}, {"extension": ".csv"}, {"format_name": "csv"}],
)
def test_nothing_fits(arguments):
    assert o.choose(ALL, **arguments) is None


def test_one_alone_never_varies():
    assert not o.choose(o.Offers((JSON,)), accept="application/json").vary


def test_content_types():
    assert o.choose(ALL, accept="text/xml").content_type == "text/xml; charset=UTF-8"
    assert o.choose(ALL, extension=".json").content_type == "application/json"


def test_offers_know_their_names():
    assert ALL.extensions == {".html", ".json", ".xml"}
    assert ALL.media_types == (
        "text/html",
        "application/json",
        "application/xml",
        "text/xml",
    )
    assert ALL.by_name("xml") is XML and ALL.by_name("nope") is None


def test_weighing_tells_of_every_offer():
    found = o.weigh(ALL, "application/json, text/*;q=0.5")
    assert [(score.media_type, score.q) for score in found] == [
        ("text/html", 0.5),
        ("application/json", 1.0),
        ("application/xml", 0.0),
        ("text/xml", 0.5),
    ]


def test_an_alias_alone_varies():
    found = o.choose(o.Offers((XML,)), accept="text/xml")
    assert (found.media_type, found.vary) == ("text/xml", True)
    assert o.choose(o.Offers((XML,))).vary


def test_an_accept_that_is_too_long_is_not_cached():
    accept = "application/json," + "x" * MAX_HEADER
    found = o.choose(ALL, accept=accept)
    assert found.media_type == "text/html"
    assert o.choose(ALL, accept=accept) is not found
