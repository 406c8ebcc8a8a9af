"""Who asked, and through whom."""

from __future__ import annotations

import pytest
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.forwarding import forwarded
from pyramid_restproxy.forwarding.forwarded import Client

CLIENT = Client("192.0.2.1", "http", "public.example", "/api")


@pytest.mark.parametrize(
    "words, address, trusted",
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.0.0.5"], "10.0.0.5", True),
        (["::1"], "::1", True),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", True),
        (["10.0.0.0/8"], "", False),
        (["10.0.0.0/8"], "unix:", False),
        ([], "10.1.2.3", False),
        (["::ffff:10.0.0.0/104"], "::ffff:10.1.2.3", True),
    ],
)
def test_trusted_proxies(words, address, trusted):
    assert (address in forwarded.TrustedProxies(words)) is trusted


def test_a_word_that_is_no_network():
    with pytest.raises(ConfigurationError, match="trusted_proxies.*'nope'"):
        forwarded.TrustedProxies(["nope"])


def test_an_untrusted_client_is_told_of_as_it_is():
    assert forwarded.forwarding_fields(CLIENT, None) == [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Host", "public.example"),
        ("X-Forwarded-Prefix", "/api"),
    ]


def test_the_claims_of_a_trusted_proxy_are_added_to():
    claims = {
        "x-forwarded-for": "6.6.6.6",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "outer.example",
        "x-forwarded-port": "443",
        "x-forwarded-prefix": "/outer/",
        "forwarded": "for=6.6.6.6",
    }
    assert dict(forwarded.forwarding_fields(CLIENT, claims)) == {
        "X-Forwarded-For": "6.6.6.6, 192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "outer.example",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Prefix": "/outer/api",
        "Forwarded": "for=6.6.6.6",
    }


def test_rfc_7239_is_added_to_what_a_trusted_proxy_says():
    found = forwarded.forwarding_fields(
        CLIENT, {"forwarded": "for=6.6.6.6"}, rfc7239=True, by="_gw"
    )
    assert dict(found)["Forwarded"] == (
        "for=6.6.6.6, for=192.0.2.1;host=public.example;proto=http;by=_gw"
    )


@pytest.mark.parametrize(
    "client, element",
    [
        (Client("::1", "https", "h:8443", ""), 'for="[::1]";host="h:8443";proto=https'),
        (Client("fe80::1%eth0", "http", "h", ""), 'for="[fe80::1]";host=h;proto=http'),
        (Client("unix:", "http", "h", ""), "for=unknown;host=h;proto=http"),
        (Client("localhost", "http", "h", ""), "for=unknown;host=h;proto=http"),
        (Client("", "http", 'a"b\\c', ""), 'for=unknown;host="a\\"b\\\\c";proto=http'),
    ],
)
def test_elements_are_quoted_where_they_must_be(client, element):
    assert forwarded.forwarded_element(client) == element


@pytest.mark.parametrize(
    "before, after", [(None, "1.1 gw"), ("1.0 fred", "1.0 fred, 1.1 gw")]
)
def test_via(before, after):
    assert forwarded.via(before, "HTTP/1.1", "gw") == after


@pytest.mark.parametrize(
    "value, loop",
    [
        (None, False),
        ("1.1 gw", True),
        ("1.0 fred, 1.1 gw (comment)", True),
        ("1.1 gw2", False),
        ("1.1 fred (a, 1.1 gw , b)", False),
        ("1.1 fred (x), 2 gw", True),
        ("1.1 other-gw", False),
        ("gw", False),
        ("", False),
    ],
)
def test_a_loop_is_seen_by_our_own_name(value, loop):
    assert forwarded.is_loop(value, "gw") is loop


@pytest.mark.parametrize(
    "value, number",
    [
        ("0", 0),
        ("00", 0),
        ("5", 5),
        ("0000000000005", 5),
        ("1000000000", 999_999_999),
        ("9" * 5000, 999_999_999),
        (None, None),
        ("", None),
        ("-1", None),
        ("x", None),
    ],
)
def test_max_forwards(value, number):
    assert forwarded.max_forwards(value) == number


@pytest.mark.parametrize(
    "said, address",
    [
        ("6.6.6.6:4711", "6.6.6.6"),
        ("[2001:db8::6]:4711", "2001:db8::6"),
        ("[2001:db8::6]", "2001:db8::6"),
        ("2001:db8::6", "2001:db8::6"),
        ("6.6.6.6, 10.0.0.7:80", "6.6.6.6"),
    ],
)
def test_the_port_of_a_client_is_no_part_of_its_address(said, address):
    trusted = forwarded.TrustedProxies(["10.0.0.0/8"])
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": said}
    assert forwarded.client_address(environ, trusted) == address


@pytest.mark.parametrize(
    ("scheme", "peer", "said", "expected"),
    [
        ("https", "192.0.2.1", None, True),
        ("http", "192.0.2.1", None, False),
        ("http", "192.0.2.1", "https", False),
        ("https", "192.0.2.1", "http", True),
        ("http", "10.0.0.1", "https", True),
        ("http", "10.0.0.1", "HTTPS , https", True),
        ("http", "10.0.0.1", "https, http", False),
        ("https", "10.0.0.1", "http", False),
        ("https", "10.0.0.1", "", True),
        ("http", "10.0.0.1", "\x0bhttps", False),
        ("http", "10.0.0.1", "https\xa0, https", False),
        ("http", None, "https", False),
    ],
)
def test_who_says_that_it_is_https(scheme, peer, said, expected):
    given = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_PROTO": said}
    environ = {name: value for name, value in given.items() if value is not None}
    environ["wsgi.url_scheme"] = scheme
    trusted = forwarded.TrustedProxies(["10.0.0.0/8"])
    assert forwarded.is_https(environ, trusted) is expected


@pytest.mark.parametrize(
    "text, is_one",
    [
        ("_gateway", True),
        ("_a.b-c_1:_p", True),
        ("unknown", True),
        ("unknown:8080", True),
        ("192.0.2.1", True),
        ("192.0.2.1:8080", True),
        ("[2001:db8::1]", True),
        ("[2001:db8::1]:_p", True),
        ("gateway", False),
        ("_", False),
        ("_a b", False),
        ("_a;for=evil", False),
        ("_a\n", False),
        ("192.0.2.256", False),
        ("192.0.2.1:808080", False),
        ("192.0.2.1:", False),
        ("2001:db8::1", False),
        ("[2001:db8::1", False),
        ("[192.0.2.1]", False),
        ("[fe80::1%eth0]", False),
        ("[]", False),
        ("", False),
    ],
)
def test_the_names_of_nodes(text, is_one):
    assert forwarded.is_node(text) is is_one
