"""What is refused before anything is done, and what is not."""

from __future__ import annotations

import io
import logging
from urllib.parse import urljoin, urlsplit

import pytest
import webtest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.response import Response
from webob import Request

from pyramid_restproxy.forwarding.forwarded import TrustedProxies
from pyramid_restproxy.settings import parse_settings
from pyramid_restproxy.trust.guard import (
    CHECKS,
    GUARD,
    AllowedHosts,
    Policy,
    guard_tween_factory,
    refusal_of,
    restore_slashes,
    use_target_host,
)


def environ(**changed):
    """Make an environ as servers do; a change to None takes a key away."""
    made = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.com",
        "REMOTE_ADDR": "10.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        **{name.replace("wsgi_", "wsgi."): value for name, value in changed.items()},
    }
    return {name: value for name, value in made.items() if value is not None}


def refused(policy=None, **changed):
    found = refusal_of(environ(**changed), policy or Policy())
    return (found.status, found.reason) if found else None


def test_every_check_names_what_it_keeps():
    assert all(sections.startswith("RFC ") for _, sections in CHECKS)
    assert len({check for check, _ in CHECKS}) == len(CHECKS)
    assert GUARD.rpartition(".")[0] == guard_tween_factory.__module__


# -- protocol and method ---------------------------------------------------------


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/1.0", "HTTP/1"])
def test_versions_that_are_served(protocol):
    assert refused(SERVER_PROTOCOL=protocol) is None


@pytest.mark.parametrize("protocol", ["HTTP/2", "HTTP/2.0", "HTTP/1.2", "HTTP/0.9", ""])
def test_versions_that_are_not(protocol):
    assert refused(SERVER_PROTOCOL=protocol) == (505, "protocol")


def test_a_server_that_speaks_http_2_may():
    settings = parse_settings({"restproxy.http_versions": "1.1 2"})
    policy = Policy.from_settings(settings)
    for protocol in ("HTTP/1.1", "HTTP/2", "HTTP/2.0"):
        assert refused(policy, SERVER_PROTOCOL=protocol) is None
    assert refused(policy, SERVER_PROTOCOL="HTTP/1.0") == (505, "protocol")


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("GET", None),
        ("PROPFIND", None),
        ("get", None),
        ("CONNECT", (501, "method")),
        ("TRACE", (501, "method")),
        ("PRI", (400, "method")),
        ("FOO BAR", (400, "method")),
        ("GET\r\nX", (400, "method")),
        ("", (400, "method")),
    ],
)
def test_methods(method, expected):
    assert refused(REQUEST_METHOD=method) == expected


def test_trace_may_be_allowed_and_connect_never():
    policy = Policy(allow_trace=True)
    assert refused(policy, REQUEST_METHOD="TRACE") is None
    assert refused(policy, REQUEST_METHOD="CONNECT") == (501, "method")


# -- the target --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI", "PATH_INFO"])
def test_a_target_has_a_largest_size(name):
    policy = Policy(max_target=100)
    assert refused(policy, **{name: "/" + "a" * 99}) is None
    assert refused(policy, **{name: "/" + "a" * 100}) == (414, "target-size")


def test_the_query_is_a_part_of_the_target():
    policy = Policy(max_target=100)
    found = refused(policy, PATH_INFO="/" + "a" * 50, QUERY_STRING="b" * 50)
    assert found == (414, "target-size")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", None),
        (None, None),
        ("/", None),
        ("/a b/~c", None),
        ("/caf\u00c3\u00a9", None),  # UTF-8, as WSGI has it
        ("/\u00c2\u00a0", None),  # a space that does not break: odd, and no control
        ("/a\r\nb", (400, "control")),
        ("/a\0", (400, "control")),
        ("/a\x7f", (400, "control")),
        ("/caf\u00c3\u00a9\n", (400, "control")),
        ("/\u00ff", (400, "utf-8")),
        ("/\u0161", (400, "utf-8")),  # a server that does not keep PEP 3333
        ("a/b", (400, "path")),
        ("*", (400, "path")),
        ("http://evil/", (400, "path")),
    ],
)
def test_paths(path, expected):
    assert refused(PATH_INFO=path) == expected


def test_options_may_ask_for_the_server_as_a_whole():
    assert refused(REQUEST_METHOD="OPTIONS", PATH_INFO="*") is None


@pytest.mark.parametrize("name", ["QUERY_STRING", "REQUEST_URI", "RAW_URI"])
@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("%0d%0a%ff%20%23", None),
        ("\u00ff", None),
        ("\u0085", None),  # a byte of UTF-8, as servers have it
        ("\u00a0", None),
        ("\n", (400, "character")),
        ("\0", (400, "character")),
        ("\x7f", (400, "character")),
        (" ", (400, "character")),
    ],
)
def test_what_is_raw_has_no_controls_and_no_spaces(name, character, expected):
    for text in (f"/a?b={character}c", f"/a?b={character}"):
        assert refused(**{name: text}) == expected


def test_a_fragment_that_the_server_left_in_the_query_would_be_sent_on():
    assert refused(QUERY_STRING="a=b#c") == (400, "character")
    assert refused(QUERY_STRING="a=b", REQUEST_URI="/a?a=b#c") is None


@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", None),
        ("//a/b", None),
        ("/a?b", None),
        ("/a:b", None),
        ("http://b/x", None),
        ("HTTP://b", None),
        ("http://b?x", None),
        (None, None),
        ("", None),
        ("*", (400, "target")),
        ("**", (400, "target")),
        ("?q", (400, "target")),
        ("x/y", (400, "target")),
        ("b:80", (400, "target")),
        ("http:", (400, "target")),
        ("http:/x", (400, "target")),
        ("http:///x", (400, "target")),
        ("http://?x", (400, "target")),
        ("ftp://evil/x", (400, "target")),
        ("ws://evil/x", (400, "target")),
        ("http\u017f://evil/x", (400, "target")),
        ("\\\\evil/x", (400, "target")),
        ("#f", (400, "target")),
        ("http://#f", (400, "target")),
    ],
)
def test_targets_that_are_no_url_of_http(name, target, expected):
    assert refused(**{name: target}) == expected
    if target == "http:///x":
        old = {name: target, "SERVER_PROTOCOL": "HTTP/1.0"}
        assert refused(**old, HTTP_HOST=None) == expected


@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
def test_the_raw_target_may_be_the_server_as_a_whole(name):
    asked = {name: "*", "PATH_INFO": "*"}
    assert refused(REQUEST_METHOD="OPTIONS", **asked) is None
    assert refused(**asked) == (400, "target")


# -- framing ---------------------------------------------------------------------


@pytest.mark.parametrize("length", ["", "0", "5", "007", "9" * 18, None])
def test_lengths(length):
    assert refused(CONTENT_LENGTH=length) is None


@pytest.mark.parametrize(
    "length", ["+2", "-1", "0x2", "1_0", "2 3", "2, 2", "\u0662", " 2", "9" * 19]
)
def test_lengths_that_are_none(length):
    assert refused(CONTENT_LENGTH=length) == (400, "length")


@pytest.mark.parametrize("length", ["", None])
def test_a_chunked_body_that_the_server_left_to_the_application(length):
    assert refused(HTTP_TRANSFER_ENCODING="Chunked ", CONTENT_LENGTH=length) is None


def test_both_framings_are_refused():
    found = refused(HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="5")
    assert found == (400, "framing")


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1"])
def test_http_1_0_has_no_transfer_coding(protocol):
    found = refused(HTTP_TRANSFER_ENCODING="chunked", SERVER_PROTOCOL=protocol)
    assert found == (400, "framing")


@pytest.mark.parametrize(
    "coding",
    ["gzip, chunked", "identity, chunked", "chunked,chunked", "xchunked", "gzip", ""],
)
def test_other_codings_are_refused(coding):
    assert refused(HTTP_TRANSFER_ENCODING=coding) == (400, "coding")


BLANKS = ["\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u2003", "\n"]


@pytest.mark.parametrize("blank", BLANKS)
def test_only_spaces_and_tabs_are_blanks(blank):
    for value in (f"{blank}chunked", f"chunked{blank}"):
        assert refused(HTTP_TRANSFER_ENCODING=value) == (400, "coding")
    for value in (f"{blank}100-continue", f"100-continue{blank}"):
        assert refused(HTTP_EXPECT=value) == (417, "expectation")
    assert refused(HTTP_TRANSFER_ENCODING="\t chunked \t") is None
    assert refused(HTTP_EXPECT=" \t100-continue\t ") is None


def test_letters_are_those_of_ascii():
    assert refused(HTTP_TRANSFER_ENCODING="chun\u212aed") == (400, "coding")


@pytest.mark.parametrize(
    ("expect", "expected"),
    [
        ("100-continue", None),
        ("100-Continue", None),
        ("", None),
        ("magic", (417, "expectation")),
        ("100-continue, magic", (417, "expectation")),
    ],
)
def test_expectations(expect, expected):
    assert refused(HTTP_EXPECT=expect) == expected


# -- fields ------------------------------------------------------------------------


def test_too_many_fields():
    policy = Policy(max_fields=11)
    ten = {f"HTTP_X_{n}": "1" for n in range(10)}
    assert refused(policy, **ten) is None  # and Host
    assert refused(policy, **ten, HTTP_X_10="1") == (431, "fields")


def test_too_large_fields():
    policy = Policy(max_field_bytes=200)
    name, host = len("HTTP_X"), len("HTTP_HOST" + "example.com")
    assert refused(policy, HTTP_X="a" * (200 - name - host)) is None
    assert refused(policy, HTTP_X="a" * (201 - name - host)) == (431, "fields")
    assert refused(policy, CONTENT_TYPE="a" * 200) == (431, "fields")
    assert refused(policy, HTTP_X="a", **{"HTTP_" + "N" * 200: ""}) == (431, "fields")


def test_what_is_no_field_does_not_count():
    own = {f"OWN_{n}": "a" * 100 for n in range(50)}
    assert refused(Policy(max_fields=10, max_field_bytes=500), **own) is None


# -- the host ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "a",
        "a:",
        "a:80",
        "A.example-1.com:65535",
        "a_b",
        "[::1]",
        "[::1]:80",
        "[2001:DB8::1]",
        "[::ffff:1.2.3.4]",
        "1.2.3.4",
        "a.",
        "a.example.:80",
    ],
)
def test_hosts(host):
    assert refused(HTTP_HOST=host) is None


@pytest.mark.parametrize(
    "host",
    [
        "a, b",
        "a,b",
        "a/../b",
        "a/../b@c",
        "u@a",
        "a b",
        "a\tb",
        "a\0",
        "a\n",
        "a?b",
        "a#b",
        "a%2fb",
        "a:x",
        "a:-1",
        "a:65536",
        "a:123456",
        ":80",
        "[::1",
        "::1",
        "[g]",
        "[]",
        "[:]",
        "[....]",
        "[1.2.3.4]",
        "[:::1]",
        "[1]",
        "[::1%251]",
        "a:80:80",
        "\u00e4",
        "a" * 300,
        # a label that is empty
        ".",
        ".a",
        "..a",
        "a..b",
        "a..",
        ".:80",
    ],
)
def test_hosts_that_are_none(host):
    assert refused(HTTP_HOST=host) == (400, "host")


@pytest.mark.parametrize("host", [None, ""])
def test_a_host_must_be_named_since_http_1_1(host):
    assert refused(HTTP_HOST=host) == (400, "no-host")
    assert refused(HTTP_HOST=host, SERVER_PROTOCOL="HTTP/1.0") is None


@given(st.text(st.characters(max_codepoint=255), max_size=20))
def test_a_host_that_passes_is_read_in_one_way(host):
    if refused(HTTP_HOST=host) is None:
        assert not set(host) & set("@/\\?#, \t\r\n\0%")


ALLOWED = Policy(hosts=AllowedHosts(["Example.com", "*.example.org", "[::1]"]))


@pytest.mark.parametrize(
    "host", ["example.com", "EXAMPLE.com.:80", "a.example.org", "a.b.example.org"]
)
def test_hosts_that_are_allowed(host):
    assert refused(ALLOWED, HTTP_HOST=host) is None


@pytest.mark.parametrize(
    "host", ["example.org", "notexample.com", "evilexample.org", "a.example.com", "a"]
)
def test_hosts_that_are_not(host):
    assert refused(ALLOWED, HTTP_HOST=host) == (421, "host-unknown")


@pytest.mark.parametrize("host", [".example.org", "..example.org", "a..example.org"])
def test_an_empty_label_is_no_name_below_another(host):
    """``*.example.org`` let them in."""
    assert refused(ALLOWED, HTTP_HOST=host) == (400, "host")


def test_an_allowed_host_may_be_written_with_the_dot_of_the_root():
    hosts = AllowedHosts(["example.com.", "*.example.org."])
    assert "example.com" in hosts and "example.com." in hosts
    assert "a.example.org" in hosts and "example.org" not in hosts


def test_an_address_may_be_allowed_and_no_host_is_not():
    assert refused(ALLOWED, HTTP_HOST="[::1]:8080") is None
    found = refused(ALLOWED, HTTP_HOST=None, SERVER_PROTOCOL="HTTP/1.0")
    assert found == (421, "host-unknown")


@pytest.mark.parametrize(
    "word", ["http://a", "a:80", "*", "*.", "a.*.b", "a/b", ".a", "*..a", "a.."]
)
def test_an_allow_list_of_what_is_no_host_is_a_mistake(word):
    with pytest.raises(ConfigurationError, match="allowed_hosts"):
        AllowedHosts([word])


@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/x", "a"),
        ("//evil/x", "a"),
        ("http://b:80/x", "b:80"),
        ("HTTPS://b", "b"),
        ("http://b?x", "b"),
        ("http://u@b/x", "u@b"),  # which is refused then
        ("http:///x", "a"),  # which is refused, as is the next
        ("ftp://b/x", "a"),
        ("*", "a"),
    ],
)
def test_the_host_of_the_target_counts(name, target, host):
    found = environ(HTTP_HOST="a", **{name: target})
    use_target_host(found)
    assert found["HTTP_HOST"] == host


@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
@pytest.mark.parametrize(
    ("target", "mount", "info", "found"),
    [
        ("//api/x?a=//b", "", "/api/x", "//api/x"),
        ("///api/x", "", "/api/x", "///api/x"),
        ("/%2Fapi/x", "", "/api/x", "//api/x"),
        ("http://h//api/x#y", "", "/api/x", "//api/x"),
        ("//caf\xc3\xa9", "", "/caf\xc3\xa9", "//caf\xc3\xa9"),
        ("//", "", "/", "//"),
        ("//app/x", "/app", "/x", "//app/x"),  # as for any path that is not below
        ("//x", "/app", "/x", "//x"),  # a proxy in front took the mount point away
        ("//api/x", "", "//api/x", "//api/x"),  # gunicorn has taken nothing
        ("/app//x", "/app", "//x", "//x"),
        ("/%61pi/x", "", "/api/x", "/api/x"),
        ("/api//x", "", "/api//x", "/api//x"),
        ("/", "", "/", "/"),
        ("http://h", "", "", ""),
        ("*", "", "*", "*"),
        ("", "", "/x", "/x"),
        ("//a/x", "", "/rewritten", "/rewritten"),  # by somebody else
    ],
)
def test_slashes_that_the_server_took_come_back(name, target, mount, info, found):
    """waitress folds them, so that ``//api/x`` was served as ``/api/x``."""
    made = environ(SCRIPT_NAME=mount, PATH_INFO=info, **{name: target})
    restore_slashes(made)
    assert (made["SCRIPT_NAME"], made["PATH_INFO"]) == (mount, found)


@pytest.mark.parametrize("host", ["a, b", "a/../b", "u@b", "[:]", "", None])
def test_the_host_of_the_target_makes_no_bad_host_good(host):
    found = environ(REQUEST_URI="http://a/x", HTTP_HOST=host)
    use_target_host(found)
    assert found.get("HTTP_HOST") == host
    assert refusal_of(found, ALLOWED).status == 400


def test_the_host_of_the_target_takes_the_place_of_one_that_is_not_served():
    found = environ(REQUEST_URI="http://example.com/x", HTTP_HOST="evil.example")
    use_target_host(found)
    assert refusal_of(found, ALLOWED) is None


def test_http_1_0_needs_no_host_besides_that_of_the_target():
    old = {"SERVER_PROTOCOL": "HTTP/1.0", "HTTP_HOST": None}
    found = environ(REQUEST_URI="http://example.com/x", **old)
    use_target_host(found)
    assert found["HTTP_HOST"] == "example.com"
    assert refusal_of(found, ALLOWED) is None


# -- https -------------------------------------------------------------------------

PROXY = TrustedProxies(["10.0.0.0/8"])


@pytest.mark.parametrize(
    ("scheme", "peer", "said", "expected"),
    [
        ("https", "192.0.2.1", None, None),
        ("http", "192.0.2.1", "https", (403, "https")),
        ("http", "10.0.0.1", "https", None),
        ("https", "10.0.0.1", "http", (403, "https")),
    ],
)
def test_who_must_come_over_https(scheme, peer, said, expected):
    policy = Policy(require_https=True, trusted=PROXY)
    asked = {"wsgi_url_scheme": scheme, "HTTP_X_FORWARDED_PROTO": said}
    assert refused(policy, **asked, REMOTE_ADDR=peer) == expected


@pytest.mark.parametrize("target", ["https://a/x", "HTTPS://a"])
@pytest.mark.parametrize("required", [True, False])
def test_a_target_of_https_that_came_over_http_is_misdirected(target, required):
    policy = Policy(require_https=required, trusted=PROXY)
    assert refused(policy, REQUEST_URI=target) == (421, "scheme")
    assert refused(policy, REQUEST_URI=target, wsgi_url_scheme="https") is None
    said = {"REQUEST_URI": target, "HTTP_X_FORWARDED_PROTO": "https"}
    assert refused(policy, **said) is None
    assert refused(policy, **said, REMOTE_ADDR="192.0.2.1") == (421, "scheme")


def test_a_target_of_http_that_came_over_https_is_served():
    assert refused(RAW_URI="http://a/x", wsgi_url_scheme="https") is None


# -- the tween ---------------------------------------------------------------------


def application(view=None, **settings):
    """Make an application with the guard."""
    given = {f"restproxy.{name}": value for name, value in settings.items()}
    with Configurator(settings=given) as config:
        config.include("pyramid_restproxy")
        config.include("pyramid_restproxy.trust.guard")
        config.add_health_views()
        config.add_route("own", "/own")
        config.add_view(view or (lambda request: Response("own")), route_name="own")
        return config.make_wsgi_app()


def test_a_request_in_order_passes():
    assert webtest.TestApp(application()).get("/own").text == "own"


class Chunks(io.BytesIO):
    """A chunked body as gunicorn gives it, malformed after its first bytes."""

    def seekable(self):
        return False

    def read(self, size=-1):
        piece = super().read(size)
        if size < 0 or not piece:
            raise RuntimeError("InvalidChunkSize")
        return piece


def chunked(stream, content_type):
    """Make a request with a chunked body."""
    asked = Request.blank("/read", {"SERVER_PROTOCOL": "HTTP/1.1"}, method="POST")
    asked.environ.pop("CONTENT_LENGTH", None)
    asked.environ["wsgi.input_terminated"] = True
    asked.environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    asked.environ["wsgi.input"], asked.content_type = stream, content_type
    return asked


FORM = "application/x-www-form-urlencoded"
READERS = {
    "body": ("text/plain", b"hello", lambda request: request.body),
    "file": ("text/plain", b"hello", lambda request: request.body_file.read()),
    "form": (FORM, b"a=hello", lambda request: request.POST["a"].encode()),
    "json": (
        "application/json",
        b'"hello"',
        lambda request: request.json_body.encode(),
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_chunks_that_are_none_are_400_whoever_reads_them(reader):
    content_type, content, read = READERS[reader]
    with Configurator() as config:
        config.include("pyramid_restproxy.problems")
        config.include("pyramid_restproxy.trust.guard")
        config.add_route("read", "/read")
        config.add_view(lambda request: Response(read(request)), route_name="read")
        app = config.make_wsgi_app()
    good = chunked(io.BytesIO(content), content_type)
    assert good.get_response(app).body == b"hello"
    broken = chunked(Chunks(content), content_type).get_response(app)
    assert (broken.status_int, broken.content_type) == (400, "application/problem+json")
    assert "InvalidChunkSize" not in broken.text


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("Expect", "magic", "417 Expectation Failed"),
        ("Host", "a, b", "400 Bad Request"),
        ("Host", "evil.example", "421 Misdirected Request"),
        ("X-Large", "x" * 70000, "431 Request Header Fields Too Large"),
    ],
)
def test_a_refusal_is_a_problem_document(field, value, status):
    app = webtest.TestApp(application(allowed_hosts="a b"))
    answer = app.get("/own", headers={"Host": "a", field: value}, status="*")
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == answer.status_int
    assert answer.json["title"] == status.partition(" ")[2]
    assert answer.json["instance"] == "/own"
    assert value not in answer.text


@pytest.mark.parametrize(
    "path, quoted",
    [
        ("/a<b>\r\n\0\x1b[1m", "/a%3Cb%3E%0D%0A%00%1B%5B1m"),
        ("//evil.example/x", "//evil.example/x"),
        ("/\xff", "/%FF"),
        ("/\u20ac", "/%3F"),  # no server gives that: PEP 3333
    ],
)
@pytest.mark.parametrize("wanted", ["application/json", "text/html", "application/xml"])
def test_the_path_is_escaped_in_a_refusal(path, quoted, wanted):
    """There was none, other than in all other errors."""
    request = Request.blank("/", accept=wanted)
    request.environ.update(PATH_INFO=path, SERVER_PROTOCOL="HTTP/7")
    answer = request.get_response(application())
    assert answer.status_int == 505
    assert not set("\r\0\x1b") & set(answer.text) and "<b>" not in answer.text
    if wanted == "application/json":
        instance = urlsplit(urljoin("http://us/", answer.json["instance"]))
        assert (instance.netloc, instance.path) == ("us", quoted)


@pytest.mark.parametrize("method", ["GET", "BAD METHOD"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/7"])
def test_a_path_that_is_too_long_is_not_repeated_whatever_is_wrong(method, version):
    request = Request.blank("/" + "x" * 9000, method=method)
    request.environ["SERVER_PROTOCOL"] = version
    answer = request.get_response(application())
    assert answer.status_int in (400, 414, 505) and "instance" not in answer.json


def test_what_is_no_path_is_no_instance():
    request = Request.blank("/", environ={"PATH_INFO": "evil"})
    answer = request.get_response(application())
    assert answer.status_int == 400 and "instance" not in answer.json


def test_a_refusal_is_small_however_large_the_request(caplog):
    caplog.set_level(logging.INFO)
    app = webtest.TestApp(application())
    answer = app.get("/" + "secret" * 50000, status=414)
    assert len(answer.body) < 300
    own = [r for r in caplog.records if r.name == "pyramid_restproxy.trust.guard"]
    assert [record.getMessage() for record in own] == ["refused with 414: target-size"]


def test_the_application_sees_the_host_of_the_target():
    def view(request):
        return Response(request.host_url)

    request = Request.blank("/own", environ={"REQUEST_URI": "http://b.example/own"})
    assert request.get_response(application(view)).text == "http://b.example"
    assert request.get_response(application(allowed_hosts="a")).status_int == 421


def test_a_path_that_is_not_utf_8_is_answered():
    request = Request.blank("/own")
    request.environ["PATH_INFO"] = "/\xff"
    assert request.get_response(application()).status_int == 400


def test_health_views_are_asked_by_address_and_over_http():
    app = application(allowed_hosts="a", require_https="true", health_views="true")
    for path, status in [("/health/live", 200), ("/own", 421)]:
        assert Request.blank(path).get_response(app).status_int == status
    at_a = Request.blank("/own", base_url="http://a")
    assert at_a.get_response(app).status_int == 403
    malformed = Request.blank("/health/live", headers={"Expect": "magic"})
    assert malformed.get_response(app).status_int == 417
    target = {"REQUEST_URI": "https://a/health/live"}
    misdirected = Request.blank("/health/live", target)
    assert misdirected.get_response(app).status_int == 421


def test_refusals_are_counted_and_named():
    app = application(request_id="X-Request-ID")
    answer = Request.blank("/own", headers={"Expect": "magic"}).get_response(app)
    assert answer.status_int == 417
    assert answer.headers["X-Request-ID"]


@pytest.mark.parametrize(("hsts", "expected"), [("0", None), ("60", "max-age=60")])
def test_hsts_is_sent_over_https_only(hsts, expected):
    app = application(hsts=hsts)
    for base, wanted in [("http://a", None), ("https://a", expected)]:
        for path in ("/own", "/missing"):
            answer = Request.blank(path, base_url=base).get_response(app)
            assert answer.headers.get("Strict-Transport-Security") == wanted


def test_hsts_of_a_refusal_and_behind_a_trusted_proxy():
    app = application(hsts="60", trusted_proxies="10.0.0.1")
    request = Request.blank(
        "/own",
        headers={"X-Forwarded-Proto": "https", "Expect": "magic"},
        environ={"REMOTE_ADDR": "10.0.0.1"},
    )
    answer = request.get_response(app)
    assert answer.status_int == 417
    assert answer.headers["Strict-Transport-Security"] == "max-age=60"


def test_hsts_of_the_application_stays():
    def view(request):
        own = "max-age=1; includeSubDomains"
        return Response(headerlist=[("Strict-Transport-Security", own)])

    answer = Request.blank("/own", base_url="https://a").get_response(
        application(view, hsts="60")
    )
    own = answer.headers.getall("Strict-Transport-Security")
    assert own == ["max-age=1; includeSubDomains"]


def test_the_guard_works_alone():
    config = Configurator(settings={"restproxy.max_target_bytes": "5"})
    config.include("pyramid_restproxy.trust.guard")
    config.include("pyramid_restproxy.trust.guard")
    config.add_route("own", "/own/{n}")
    config.add_view(lambda request: Response("own"), route_name="own")
    app = config.make_wsgi_app()
    assert Request.blank("/own/1").get_response(app).status_int == 414
    assert Request.blank("/own").get_response(app).status_int == 404
