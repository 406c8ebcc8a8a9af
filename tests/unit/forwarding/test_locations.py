"""URLs that lead back through the gateway."""

from __future__ import annotations

import pytest

from pyramid_restproxy.forwarding import locations as t
from pyramid_restproxy.forwarding.destination import Destination

from .calls import call

BASE = Destination.parse("b", "http://10.0.0.1:8000/app")


ROOT = Destination.parse("b", "http://10.0.0.1:8000")


NAMED = Destination.parse("b", "http://in.example")


PUBLIC = ("https", "public.example")


@pytest.mark.parametrize(
    "value, destination, expected",
    [
        ("/next?x=1#f", ROOT, "/api/next?x=1#f"),
        ("/app/next", BASE, "/api/next"),
        ("/app", BASE, "/api"),
        ("/application", BASE, "/application"),
        ("http://10.0.0.1:8000/next", ROOT, "https://public.example/api/next"),
        ("http://10.0.0.1:8000", ROOT, "https://public.example/api/"),
        ("http://public.example/next", ROOT, "https://public.example/api/next"),
        (
            "http://10.0.0.1:8000.evil.example/x",
            ROOT,
            "http://10.0.0.1:8000.evil.example/x",
        ),
        (
            "http://10.0.0.1:8000@evil.example/x",
            ROOT,
            "http://10.0.0.1:8000@evil.example/x",
        ),
        ("//cdn.example/x", ROOT, "//cdn.example/x"),
        ("//10.0.0.1:8000/x", ROOT, "//10.0.0.1:8000/x"),
        ("next", ROOT, "next"),
        ("?x=1", ROOT, "?x=1"),
        ("", ROOT, ""),
        ("ftp://10.0.0.1:8000/x", ROOT, "ftp://10.0.0.1:8000/x"),
        ("http://[", ROOT, "http://["),
        # byte by byte, whatever stands in it
        ("/next?#", ROOT, "/api/next?#"),
        (" /next", ROOT, " /next"),
        ("/ne\txt", ROOT, "/api/ne\txt"),
        ("http:/next", ROOT, "http:/next"),
        ("http:///next", ROOT, "http:///next"),
        ("/a?\nb", ROOT, "/a?\nb"),
        # the port that goes without saying
        ("http://in.example:80/x", NAMED, "https://public.example/api/x"),
        ("https://in.example/x", NAMED, "https://public.example/api/x"),
        ("http://in.example:8080/x", NAMED, "http://in.example:8080/x"),
        ("https://public.example:443/x", ROOT, "https://public.example/api/x"),
        # a backend that knows where the client is
        ("https://public.example/api/x", ROOT, "https://public.example/api/x"),
        ("https://public.example/api", ROOT, "https://public.example/api"),
        ("https://public.example/apix", ROOT, "https://public.example/api/apix"),
    ],
)
def test_location_leads_back_through_the_gateway(value, destination, expected):
    assert t.public_location(value, destination, "/api", PUBLIC) == expected


def test_nobody_is_sent_back_from_https():
    location = "https://public.example/next"
    public = ("http", "public.example")
    found = t.public_location(location, ROOT, "/api", public)
    assert found == "https://public.example/api/next"


def test_the_name_that_the_backend_was_called_by_is_the_backend():
    location = "http://Name.example/next"
    assert t.location_for_client(call(), location) == location
    named = call(host="name.example")
    found = t.location_for_client(named, location)
    assert found == f"https://{named.request.host}/api/next"
    literal = "http://destination/x"
    assert t.location_for_client(call(), literal) == literal


def test_location_leads_to_where_the_backend_was_told_that_the_client_is():
    made = call(
        ("X-Forwarded-Proto", "https, http"),
        ("X-Forwarded-Host", "outer.example, inner"),
        ("X-Forwarded-Prefix", "/outer/api"),
    )
    for location in ("http://10.0.0.1:8000/next", "http://outer.example/next"):
        found = t.location_for_client(made, location)
        assert found == "https://outer.example/outer/api/next"
    assert t.location_for_client(made, "/next") == "/outer/api/next"
    odd = call(("X-Forwarded-Proto", "gopher"))
    found = t.location_for_client(odd, "http://10.0.0.1:8000/")
    assert found == f"https://{odd.request.host}/api/"
    odd.destination = None
    assert t.location_for_client(odd, "/next") == "/next"


def test_location_leads_back_where_another_path_stands_in_place_of_the_prefix():
    asked = call()
    asked.base = "/v2"
    assert t.location_for_client(asked, "/v2/next") == "/api/next"
    assert t.location_for_client(asked, "/elsewhere") == "/elsewhere"
    there = "http://10.0.0.1:8000/v2/next"
    assert t.location_for_client(asked, there) == "https://public.example:443/api/next"


def test_location_is_never_empty():
    asked = call(prefix="", base="http://10.0.0.1:8000/base")
    assert t.location_for_client(asked, "/base") == "/"


def test_the_name_that_a_transform_called_the_backend_by_is_the_backend():
    asked = call()
    asked.host = "tenant.internal"
    found = t.location_for_client(asked, "http://tenant.internal/n")
    assert found == "https://public.example:443/api/n"
