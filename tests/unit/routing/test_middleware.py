from __future__ import annotations

import pytest
import webtest
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy import MethodOverrideMiddleware
from pyramid_restproxy.routing.middleware import filter_app_factory


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["REQUEST_METHOD"].encode()]


def test_any_wsgi_application():
    testapp = webtest.TestApp(MethodOverrideMiddleware(application))
    assert testapp.post("/", {"_method": "DELETE"}).text == "DELETE"
    assert testapp.post("/", {"_method": "GET"}).text == "POST"


def test_the_filter_of_an_ini_file():
    made = filter_app_factory(
        application, {}, methods="PURGE", on_invalid="reject", field="do"
    )
    testapp = webtest.TestApp(made)
    assert testapp.post("/", {"do": "purge"}).text == "PURGE"
    assert "not allowed" in testapp.post("/", {"do": "PUT"}, status=400).text


def test_a_filter_that_is_switched_off_is_the_application():
    assert filter_app_factory(application, {}, enabled="false") is application


def test_bad_settings_are_refused():
    with pytest.raises(ConfigurationError, match="GET can never be"):
        filter_app_factory(application, {}, methods="GET")


class Broken:
    def read(self, size):
        raise RuntimeError("InvalidChunkSize")


def test_a_body_that_cannot_be_read_is_400():
    testapp = webtest.TestApp(MethodOverrideMiddleware(application), lint=False)
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": "3"}
    request = webtest.TestRequest.blank("/", form, method="POST")
    request.environ["wsgi.input"] = Broken()
    assert "cannot be read" in testapp.do_request(request, status=400).text


@pytest.mark.parametrize(
    "status, fields, answered",
    [
        ("302 Found", [("location", "/list")], 200),
        ("303 See Other", [("Location", "/list")], 200),
        ("302 Found", [], 302),
        ("307 Temporary Redirect", [("Location", "/list")], 307),
        ("201 Created", [("Location", "/list")], 201),
    ],
)
def test_the_script_is_told_where_a_redirect_leads(status, fields, answered):
    """``fetch`` repeated DELETE at the target: only the tween had this rule."""

    def leading(environ, start_response):
        start_response(status, [("Content-Type", "text/plain"), *fields])
        return [b"there"]

    testapp = webtest.TestApp(MethodOverrideMiddleware(leading))
    told = testapp.delete("/", headers={"X-Rest-Form": "1"}, status="*")
    assert (told.status_int, told.text) == (answered, "there")
    assert told.headers.get("Location") == ("/list" if fields else None)
    assert testapp.delete("/", status="*").status == status
    # what caches keep must not be one thing for the script and another for all
    assert testapp.get("/", headers={"X-Rest-Form": "1"}, status="*").status == status
