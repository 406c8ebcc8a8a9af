"""Errors become responses that their client can read."""

from __future__ import annotations

import enum
import json
import logging
from datetime import date, datetime, time
from decimal import Decimal
from html.parser import HTMLParser
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import pytest
import webtest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import (
    HTTPBadRequest,
    HTTPConflict,
    HTTPForbidden,
    HTTPFound,
    HTTPNotFound,
    HTTPTooManyRequests,
    status_map,
)
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy import problems
from pyramid_restproxy.exceptions import NotAcceptable
from pyramid_restproxy.problems import Problem
from pyramid_restproxy.routing.state import RestState


def app(error=None, settings=None, view=None, configure=None):
    def raising(request):
        raise error

    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy.problems")
        if configure:
            configure(config)
        config.add_route("r", "/r")
        config.add_view(view or raising, route_name="r")
        return webtest.TestApp(config.make_wsgi_app())


def get(error, accept=None, status="*", **options):
    headers = {"Accept": accept} if accept else {}
    return app(error, **options).get("/r", headers=headers, status=status)


@pytest.mark.parametrize(
    "accept, content_type",
    [
        (None, "application/problem+json"),
        ("*/*", "application/problem+json"),
        ("application/json", "application/problem+json"),
        ("application/problem+json", "application/problem+json"),
        ("application/*+json", "application/problem+json"),
        ("image/png", "application/problem+json"),
        ("application/xml", "application/problem+xml"),
        ("text/xml", "application/problem+xml"),
        ("application/problem+xml", "application/problem+xml"),
        ("text/html", "text/html"),
        ("application/xhtml+xml", "text/html"),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html",
        ),
        ("nonsense", "application/problem+json"),
    ],
)
def test_formats(accept, content_type):
    answer = get(HTTPConflict("taken"), accept)
    assert answer.status_int == 409
    assert answer.content_type == content_type
    assert answer.headers["Vary"] == "Accept"
    sniffing = answer.headers.get("X-Content-Type-Options")
    assert sniffing == (None if content_type == "text/html" else "nosniff")
    assert "taken" in answer.text


def test_members():
    assert get(HTTPConflict("taken")).json == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "taken",
        "instance": "/r",
    }


def test_xml():
    members = {
        "allow": ["GET", "PUT"],
        "available": [{"type": "a/b", "href": "/x?a&b"}],
    }
    root = ElementTree.fromstring(
        problems.to_xml(Problem(405, "T", "<d>", "/x", members))
    )
    name = "{urn:ietf:rfc:7807}"
    assert root.tag == name + "problem"
    assert root.findtext(name + "detail") == "<d>"
    assert [each.text for each in root.find(name + "allow")] == ["GET", "PUT"]
    assert root.find(f"{name}available/{name}i/{name}href").text == "/x?a&b"


def test_own_members():
    error = HTTPConflict("taken")
    error.problem_members = {"field": "title"}
    assert get(error).json["field"] == "title"


@pytest.mark.parametrize("accept", ["text/html", "application/xml"])
def test_nothing_is_echoed_unescaped(accept):
    answer = get(HTTPBadRequest("<script>alert(1)</script>"), accept)
    assert "<script>" not in answer.text
    testapp = app(HTTPNotFound())
    page = testapp.get("/<script>?<script>", headers={"Accept": accept}, status=404)
    assert "<script>" not in page.text


def test_fields_of_the_error_are_kept():
    error = HTTPTooManyRequests(headers=[("Retry-After", "7"), ("Set-Cookie", "a=1")])
    answer = get(error)
    assert answer.headers["Retry-After"] == "7"
    assert answer.headers["Set-Cookie"] == "a=1"


def test_vary_of_the_error_is_kept():
    assert (
        get(HTTPConflict(headers=[("Vary", "Cookie")])).headers["Vary"]
        == "Cookie, Accept"
    )


@pytest.mark.parametrize(
    "error",
    [
        HTTPConflict(body=b"own", content_type="text/plain"),
        HTTPConflict(json={"own": 1}),
    ],
)
def test_an_error_with_a_body_of_its_own_is_untouched(error):
    assert "own" in get(error).text
    assert "instance" not in get(error).text


def test_a_redirect_is_untouched():
    assert get(HTTPFound("/x")).headers["Location"].endswith("/x")


def test_an_error_that_is_returned_is_treated_as_one_that_is_raised():
    answer = app(view=lambda request: HTTPConflict("taken")).get("/r", status=409)
    assert answer.json["detail"] == "taken"


def test_head():
    answer = app(HTTPConflict()).head("/r", status=409)
    assert answer.body == b"" and answer.content_type == "application/problem+json"


def test_the_routers_404_does_not_repeat_the_path():
    answer = app(HTTPNotFound()).get("/nope", status=404)
    assert answer.json["detail"] == "The resource could not be found."
    assert answer.json["instance"] == "/nope"


def test_internal_texts_are_not_told():
    def configure(config):
        from tests.vectors.rest_app import DenyAll

        config.set_security_policy(DenyAll())
        config.set_default_csrf_options(require_csrf=True)
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        config.add_route("p", "/p")
        config.add_view(
            lambda r: Response(""), route_name="p", permission="x", require_csrf=False
        )
        config.add_route("m", "/m")
        config.add_view(lambda r: Response(""), route_name="m", request_param="x")

    from pyramid.csrf import CookieCSRFStoragePolicy

    testapp = app(HTTPNotFound(), configure=configure)
    assert "permission" not in testapp.get("/p", status=403).text
    assert "check_csrf" not in testapp.post("/r", status=400).text
    assert "predicate" not in testapp.get("/m", status=404).text
    assert "request_param" not in testapp.get("/m", status=404).text


def test_a_text_of_the_applications_own_is_told():
    assert get(HTTPForbidden("Ask Ann.")).json["detail"] == "Ask Ann."


def test_an_unexpected_error_tells_nothing_and_is_logged(caplog):
    with caplog.at_level(logging.ERROR):
        answer = get(RuntimeError("secret"), "application/json")
    assert answer.status_int == 500
    assert "secret" not in answer.text and "RuntimeError" not in answer.text
    assert "secret" in caplog.text and "Traceback" in caplog.text


@pytest.mark.parametrize("method", ["GET", "G\x1b[31m"])
@pytest.mark.parametrize("path", ["/a%0d%0aERROR:root:x%1b[31m", "/%c2%9b31m%c2%85x"])
def test_an_unexpected_error_logs_no_lines_and_no_codes_of_strangers(
    caplog, method, path
):
    def configure(config):
        config.add_route("any", "/{path}")
        config.add_view(lambda request: 1 / 0, route_name="any")

    with caplog.at_level(logging.ERROR):
        asked = Request.blank(path, {"REQUEST_METHOD": method})
        assert asked.get_response(app(configure=configure).app).status_int == 500
    (record,) = caplog.records
    message = record.getMessage()
    assert message.isascii() and message.isprintable()
    assert message.startswith("'G")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a b/ł", "/a%20b/%C5%82"),
        ("//evil/x", "/.//evil/x"),
        ("///x", "/.///x"),
        ("/a//b", "/a//b"),
        ("/\\evil", "/%5Cevil"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_a_path_with_two_slashes_is_no_host(path, expected):
    reference = problems.path_reference(path.encode())
    assert reference == expected
    assert urlsplit(urljoin("http://a/b", reference)).netloc == "a"


def test_an_unexpected_error_may_be_raised():
    testapp = app(RuntimeError("secret"), {"restproxy.unexpected_errors": "raise"})
    with pytest.raises(RuntimeError, match="secret"):
        testapp.get("/r")


def test_exception_views_of_the_application_come_first():
    def configure(config):
        config.add_exception_view(
            lambda error, request: Response(f"own {error}", status=500),
            context=KeyError,
        )

    assert get(KeyError("x"), configure=configure).text == "own 'x'"


def test_the_envelope():
    settings = {"restproxy.errors": "envelope"}
    answer = get(HTTPConflict("taken"), "application/xml", settings=settings)
    assert answer.content_type == "application/json"
    expected = {"code": 409, "type": "Conflict", "message": "taken"}
    assert answer.json == {"error": expected}
    assert (
        get(HTTPConflict(), "text/html", settings=settings).content_type == "text/html"
    )


def test_the_code_of_the_envelope_is_the_status():
    """A member of the error's own took its place."""
    error = HTTPConflict("taken")
    error.problem_members = {"code": 7, "more": 1}
    answer = get(error, settings={"restproxy.errors": "envelope"})
    assert answer.json["error"] == {
        "code": 409,
        "type": "Conflict",
        "message": "taken",
        "more": 1,
    }


@pytest.mark.parametrize("script_name, instance", [("", None), ("/shop", "/shop")])
def test_a_server_may_leave_out_an_empty_path(script_name, instance):
    """PEP 3333 lets it; the error had an error then."""
    request = Request.blank("/")
    request.script_name = script_name
    del request.environ["PATH_INFO"]
    answer = request.get_response(app().app)
    assert (answer.status_int, answer.json.get("instance")) == (404, instance)


def test_a_page_of_the_applications_own(tmp_path):
    text = "own {{ status }} {{ title }} {{ detail }} {{ instance }}"
    (tmp_path / "error.jinja2").write_text(text)

    def configure(config):
        config.include("pyramid_jinja2")
        config.add_jinja2_search_path(str(tmp_path))

    settings = {"restproxy.error_template": "error.jinja2"}
    answer = get(
        HTTPConflict("<b>"), "text/html", settings=settings, configure=configure
    )
    assert answer.text == "own 409 Conflict &lt;b&gt; /r"


def test_a_broken_page_is_logged_and_the_packaged_one_sent(caplog):
    settings = {"restproxy.error_template": "nope.jinja2"}
    answer = get(
        HTTPConflict("taken"),
        "text/html",
        settings=settings,
        configure=lambda config: config.include("pyramid_jinja2"),
    )
    assert answer.status_int == 409 and "taken" in answer.text
    assert "restproxy.error_template" in caplog.text


@pytest.mark.parametrize(
    "template, says",
    [
        ("page.unknown", r"error_template = 'page.unknown': .* for '.unknown'"),
        ("page", "for 'page'"),
        ("page.jinja2", r"config.include\('pyramid_jinja2'\)"),
    ],
)
def test_a_page_in_a_language_that_is_not_there_is_refused_at_start_up(template, says):
    """Each error was logged as two, and the packaged page sent."""
    with pytest.raises(ConfigurationError, match=says):
        app(settings={"restproxy.error_template": template})


def test_a_page_may_be_written_by_a_renderer_of_any_name():
    def configure(config):
        config.add_renderer("own", lambda info: lambda value, system: value["title"])

    settings = {"restproxy.error_template": "own"}
    answer = get(HTTPConflict(), "text/html", settings=settings, configure=configure)
    assert answer.text == "Conflict"


def test_what_an_error_says_of_sniffing_is_said_once():
    error = HTTPConflict(headers={"X-Content-Type-Options": "nosniff"})
    assert get(error).headers.getall("X-Content-Type-Options") == ["nosniff"]


@pytest.mark.parametrize("path", ["/a%ff", "/r?a=%ff", "/r?%ff"])
def test_what_is_not_utf_8_is_400(path):
    answer = app(view=lambda request: Response(str(request.GET))).get(path, status=400)
    assert "UTF-8" in answer.json["detail"]


def test_an_applications_own_decoding_error_is_500():
    def view(request):
        return b"\xff".decode("utf-8")

    assert app(view=view).get("/r?a=%20b", status=500)


def test_a_form_in_another_charset_is_415():
    testapp = app(view=lambda request: Response(str(request.POST)))
    content_type = "application/x-www-form-urlencoded; charset=foo"
    answer = testapp.post("/r", b"a=1", {"Content-Type": content_type}, status=415)
    assert "UTF-8" in answer.json["detail"]


PART = b"--b\r\nContent-Disposition: form-data; name=a\r\n"


@pytest.mark.parametrize(
    "content_type, body",
    [
        ("multipart/form-data", b"null"),
        ("multipart/form-data; boundary=", b"null"),
        (
            "multipart/form-data; boundary=b",
            PART + b"Content-Type: multipart/mixed\r\n\r\n1\r\n--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            PART + b"Content-Type: text/plain; charset=foo\r\n\r\n1\r\n--b--\r\n",
        ),
        (
            "multipart/form-data; boundary=b",
            PART + b"Content-Transfer-Encoding: base64\r\n\r\n!!a\r\n--b--\r\n",
        ),
    ],
)
def test_a_form_that_nobody_can_read_is_400_not_500(content_type, body):
    testapp = app(view=lambda request: Response(str(request.POST)))
    answer = testapp.post("/r", body, {"Content-Type": content_type}, status=400)
    assert "form" in answer.json["detail"]


def test_cookies_that_are_not_utf_8_are_400_not_500():
    testapp = app(view=lambda request: Response(request.cookies.get("a", "")))
    cookie = 'b="\\200"; a=1'  # the escape that old cookies have for a byte
    answer = testapp.get("/r", headers={"Cookie": cookie}, status=400)
    assert "cookies" in answer.json["detail"]


@pytest.mark.parametrize("mistake", [ValueError, TypeError, KeyError])
def test_a_mistake_of_the_application_with_a_form_is_500(mistake):
    def view(request):
        raise mistake(request.POST["a"])

    assert app(view=view).post("/r", {"a": "1"}, status=500)


# -- writing an error never fails ---------------------------------------------

FORMATS = [
    ("application/json", {}),
    ("text/html", {}),
    ("application/xml", {}),
    ("application/json", {"restproxy.errors": "envelope"}),
    ("text/html", {"restproxy.errors": "envelope"}),
]

formats = pytest.mark.parametrize(("accept", "settings"), FORMATS)


def strict(text):
    """Read JSON as RFC 8259 has it: Python takes NaN, and lone surrogates, too."""

    def refuse(constant):
        raise ValueError(constant)

    found = json.loads(text, parse_constant=refuse)
    json.dumps(found, ensure_ascii=False).encode("utf-8")
    return found


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.hrefs, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)
        self.hrefs += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def assert_well_formed(answer):
    answer.body.decode("utf-8")
    if answer.content_type == "text/html":
        assert Page(answer.text).open == []
    elif answer.content_type == "application/problem+xml":
        ElementTree.fromstring(answer.body)
    else:
        strict(answer.text)


def error_with(detail, members):
    error = HTTPConflict(detail)
    error.problem_members = members
    return error


@formats
def test_a_lone_surrogate_in_a_detail_is_replaced(accept, settings):
    answer = get(HTTPConflict("\ud800 is taken"), accept, settings=settings)
    assert answer.status_int == 409
    assert "\ufffd is taken" in answer.text or "\\ufffd is taken" in answer.text
    assert_well_formed(answer)


@formats
@pytest.mark.parametrize("title", ["\ud800", "a\r\nb: c", "<b>", None, 7])
def test_a_title_of_any_kind_can_be_written(accept, settings, title):
    error = HTTPConflict("taken")
    error.title = title
    answer = get(error, accept, settings=settings)
    assert answer.status == "409 Conflict"
    assert_well_formed(answer)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-A", "\ud800"),
        ("X-A", "\u0142"),
        ("X-A", "a\r\nX-B: c"),
        ("X-A", "\0"),
        ("X A", "a"),
    ],
)
def test_a_field_that_cannot_be_sent_is_left_out(caplog, name, value):
    answer = get(HTTPConflict("taken", headers=[(name, value), ("X-C", "\xe9")]))
    assert answer.status_int == 409 and answer.json["detail"] == "taken"
    assert name not in answer.headers and "X-B" not in answer.headers
    assert answer.headers["X-C"] == "\xe9"
    assert f"field '{name}'" in caplog.text


def test_a_field_that_is_a_number_is_sent():
    error = HTTPTooManyRequests(headers=[("Retry-After", 7)])
    assert get(error).headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    "available",
    [
        3,
        None,
        "abc",
        ["abc"],
        {"href": "/x", "type": "a/b"},
        [{"href": "/x"}],
        [{"type": "a/b"}],
        [{"href": 1, "type": "a/b"}],
        [{"href": "/x", "type": None}],
    ],
)
def test_a_member_named_available_that_is_no_links_is_not_written_as_links(available):
    answer = get(error_with("taken", {"available": available}), "text/html")
    assert answer.status_int == 409
    assert Page(answer.text).hrefs == []
    assert get(error_with("taken", {"available": available})).json["available"] == (
        available
    )


def test_what_is_available_is_linked():
    available = [{"type": "a/b", "href": '/x?"&'}, {"type": "c/d"}]
    answer = get(NotAcceptable(available), "text/html")
    assert Page(answer.text).hrefs == ['/x?"&']


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Word(str, enum.Enum):
    ONE = "one"


class Thing:
    def __str__(self):
        return "thing"


@pytest.mark.parametrize(
    ("member", "told"),
    [
        (Decimal("1.50"), "1.50"),
        (datetime(2024, 2, 3, 4, 5), "2024-02-03T04:05:00"),
        (date(2024, 2, 3), "2024-02-03"),
        (time(4, 5), "04:05:00"),
        (Thing(), "thing"),
        (Colour.RED, "Colour.RED"),
        (Number.ONE, 1),
        (Word.ONE, "one"),
        (b"a\xff", "a\ufffd"),
        (bytearray(b"a"), "a"),
        (memoryview(b"a"), "a"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (-float("inf"), "-inf"),
        (1.5, 1.5),
        (2**100, 2**100),
        (2**2048, str(2**2048)),
        ([10**5000], ["..."]),
        (None, None),
        (True, True),
        ("\ud800\x01", "\ufffd\ufffd"),
        ({1}, [1]),
        ((1, (2,)), [1, [2]]),
        (MappingProxyType({"a": {Thing(): Thing()}}), {"a": {"thing": "thing"}}),
        (
            {1: 1, b"a": 2, (3,): 3, "\ud800": 4},
            {"1": 1, "a": 2, "(3,)": 3, "\ufffd": 4},
        ),
    ],
)
def test_a_member_that_is_not_json_is_text(member, told):
    answer = get(error_with("taken", {"member": member}))
    assert answer.status_int == 409
    assert strict(answer.text)["member"] == told


class Broken:
    """Fails at whatever is asked of it."""

    def __str__(self):
        raise RuntimeError("broken")


class BrokenMapping(dict):
    def keys(self):
        raise RuntimeError("broken")

    __iter__ = items = keys


@formats
@pytest.mark.parametrize("broken", [Broken(), BrokenMapping(a=1), {Broken(): 1}])
def test_an_object_that_cannot_be_read_is_left_out_and_logged(
    caplog, accept, settings, broken
):
    error = error_with("taken", {"member": broken, "field": "title"})
    answer = get(error, accept, settings=settings)
    assert answer.status_int == 409 and "taken" in answer.text
    assert_well_formed(answer)
    assert "Broken" in caplog.text and "Traceback" in caplog.text


def test_a_detail_that_cannot_be_read_keeps_the_status(caplog):
    answer = get(HTTPConflict(Broken()))
    assert answer.status_int == 409
    assert "Broken" in caplog.text


@pytest.mark.parametrize(
    "members", [None, 3, "abc", [("a", 1)], BrokenMapping(a=1), Broken()]
)
def test_members_that_are_no_mapping_are_none(members):
    assert set(get(error_with("taken", members)).json) == {
        "type",
        "title",
        "status",
        "detail",
        "instance",
    }


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def cycle():
    value = {}
    value["a"] = [value, value]
    return value


@formats
@pytest.mark.parametrize("member", [cycle(), nested(100), nested(100_000)])
def test_a_member_without_an_end_is_cut(accept, settings, member):
    answer = get(error_with("taken", {"member": member}), accept, settings=settings)
    assert answer.status_int == 409
    assert_well_formed(answer)


def test_a_member_that_is_there_twice_is_written_twice():
    both = [1]
    answer = get(error_with("taken", {"a": both, "b": [both, both]}))
    assert answer.json["a"] == [1] and answer.json["b"] == [[1], [1]]


def test_the_status_is_that_of_the_answer():
    answer = get(error_with("taken", {"status": 3, "type": "urn:x"}))
    assert answer.json["status"] == 409 and answer.json["type"] == "urn:x"


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.builds(object)
    | st.builds(Broken)
)
KEYS = (
    st.text(st.characters(exclude_categories=()))
    | st.sampled_from(["available", "status", "title", "type", "href", "xml", "a b"])
    | st.integers()
    | st.none()
    | st.binary()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)


@given(
    detail=SCALARS,
    members=st.dictionaries(KEYS, VALUES, max_size=5),
    status=st.sampled_from([code for code in status_map if code >= 400]),
    chosen=st.sampled_from(FORMATS),
)
def test_every_error_can_be_written(detail, members, status, chosen):
    accept, settings = chosen
    error = status_map[status](detail)
    error.problem_members = members
    answer = get(error, accept, settings=settings)
    assert answer.status_int == status
    assert_well_formed(answer)
    if answer.content_type == "application/problem+json":
        assert answer.json["status"] == status


def test_a_page_of_the_applications_own_may_write_a_surrogate(tmp_path):
    (tmp_path / "error.jinja2").write_text("own {{ request.surrogate }}")

    def configure(config):
        config.include("pyramid_jinja2")
        config.add_jinja2_search_path(str(tmp_path))
        config.add_request_method(lambda r: "\ud800", "surrogate", property=True)

    settings = {"restproxy.error_template": "error.jinja2"}
    answer = get(HTTPConflict(), "text/html", settings=settings, configure=configure)
    assert answer.status_int == 409 and answer.text == "own ?"


# -- application/problem+xml is XML -------------------------------------------

NAMESPACE = "{urn:ietf:rfc:7807}"


def xml_of(members, detail="taken"):
    answer = get(error_with(detail, members), "application/xml")
    assert answer.content_type == "application/problem+xml"
    return ElementTree.fromstring(answer.body)


def test_control_characters_of_a_query_are_not_written_into_xml():
    def view(request):
        raise HTTPConflict(request.GET["q"])

    answer = app(view=view).get(
        "/r?q=a%01%00%0Db", headers={"Accept": "application/xml"}, status=409
    )
    root = ElementTree.fromstring(answer.body)
    assert root.findtext(NAMESPACE + "detail") == "a\ufffd\ufffd\rb"


@pytest.mark.parametrize("name", ["a b", "1", "a:b", "a><b", "xmlns", "", '"'])
def test_a_member_whose_name_is_no_xml_name_is_an_entry(name):
    entry = xml_of({name: "x"}).find(f"{NAMESPACE}entry")
    assert entry.attrib == {"name": name} and entry.text == "x"


def test_a_truth_value_and_nothing_are_written_as_the_xml_renderer_does():
    root = xml_of({"yes": True, "no": False, "none": None})
    assert root.findtext(NAMESPACE + "yes") == "true"
    assert root.findtext(NAMESPACE + "no") == "false"
    assert root.find(NAMESPACE + "none").attrib == {"nil": "true"}


@given(members=st.dictionaries(KEYS, VALUES), detail=st.text())
def test_every_xml_document_can_be_parsed(members, detail):
    document = problems.to_xml(Problem(409, "T", detail, "/x", members))
    assert ElementTree.fromstring(document).tag == NAMESPACE + "problem"


# -- a route on which Accept is not read --------------------------------------


@pytest.mark.parametrize(
    ("route", "method", "status"),
    [("/quiet", "GET", 404), ("/quiet", "DELETE", 405), ("/quiet", "OPTIONS", 200)],
)
def test_accept_is_not_read_for_errors_of_a_route_that_does_not_read_it(
    route, method, status
):
    def configure(config):
        config.include("pyramid_restproxy.routing")
        config.add_route("quiet", route, accept_negotiation=False)
        config.add_view(
            lambda request: HTTPNotFound("gone"),
            route_name="quiet",
            request_method="GET",
        )

    answer = app(HTTPNotFound(), configure=configure).request(
        route, method=method, headers={"Accept": "text/html"}, status=status
    )
    assert "Vary" not in answer.headers
    if status >= 400:
        assert answer.content_type == "application/problem+json"


def not_reading_accept():
    state = RestState({})
    state.routed("r", None, False, frozenset())
    return state


@pytest.mark.parametrize(
    ("rest", "content_type", "vary"),
    [
        (not_reading_accept(), "application/problem+json", None),
        (RestState({}), "text/html", "Accept"),
        ("the application's own", "text/html", "Accept"),
    ],
)
def test_who_reads_accept_is_asked(rest, content_type, vary):
    def view(request):
        request.rest = rest
        return HTTPConflict()

    answer = app(view=view).get("/r", headers={"Accept": "text/html"}, status=409)
    assert answer.content_type == content_type
    assert answer.headers.get("Vary") == vary


# -- a 406 that Accept did not decide -----------------------------------------


def test_a_406_by_extension_does_not_say_that_it_varies_by_accept():
    def view(request):
        request.path_extension = ".xml"
        raise NotAcceptable([{"type": "a/b"}], by_accept=False)

    answer = app(view=view).get("/r", headers={"Accept": "text/html"}, status=406)
    assert answer.content_type == "application/problem+xml"
    assert "Vary" not in answer.headers


def test_a_406_by_extension_varies_where_its_body_does():
    def view(request):
        request.path_extension = ".pdf"
        raise NotAcceptable([{"type": "a/b"}], by_accept=False)

    answer = app(view=view).get("/r", headers={"Accept": "text/html"}, status=406)
    assert answer.content_type == "text/html"
    assert answer.headers["Vary"] == "Accept"
