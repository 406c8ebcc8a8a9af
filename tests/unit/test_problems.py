"""Errors become responses that their client can read."""

from __future__ import annotations

import logging
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.httpexceptions import (
    HTTPBadRequest,
    HTTPConflict,
    HTTPForbidden,
    HTTPFound,
    HTTPNotFound,
    HTTPTooManyRequests,
)
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy import problems
from pyramid_restproxy.problems import Problem


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
    settings = {"restproxy.error_template": "nope.unknown"}
    answer = get(HTTPConflict("taken"), "text/html", settings=settings)
    assert answer.status_int == 409 and "taken" in answer.text
    assert "restproxy.error_template" in caplog.text


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
