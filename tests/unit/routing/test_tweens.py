"""The two tweens in applications."""

from __future__ import annotations

import io

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.httpexceptions import HTTPNotFound, status_map
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.interfaces import IMethodOverridden


def seen(request):
    return Response(f"{request.method} from {request.original_method}")


def app(settings=None, configure=None, view=seen, **route):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy")
        config.add_route("r", "/r", **route)
        for method in ("GET", "POST", "PUT", "DELETE"):
            config.add_view(view, route_name="r", allowed_methods=method)
        if configure:
            configure(config)
        return webtest.TestApp(config.make_wsgi_app())


def test_routing_sees_the_effective_method():
    testapp = app()
    assert testapp.post("/r", {"_method": "delete"}).text == "DELETE from POST"
    assert testapp.put("/r").text == "PUT from PUT"


def test_route_predicates_see_it_too():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_route("r", "/r", request_method="PUT")
        config.add_view(seen, route_name="r")
        testapp = webtest.TestApp(config.make_wsgi_app())
    assert testapp.post("/r", {"_method": "PUT"}).text == "PUT from POST"


def test_an_event_tells_of_an_override_and_of_nothing_else():
    events = []

    def configure(config):
        config.add_subscriber(events.append, IMethodOverridden)

    testapp = app(configure=configure)
    testapp.post("/r", {"_method": "GET"})
    testapp.put("/r")
    testapp.post("/r", headers={"X-HTTP-Method-Override": "PUT"})
    (event,) = events
    assert (event.original, event.effective, event.source) == ("POST", "PUT", "header")
    assert event.request.method == "PUT"


class Broken(io.BytesIO):
    def read(self, size):
        raise RuntimeError("InvalidChunkSize")

    def seekable(self):
        return False


def test_a_form_that_cannot_be_read_is_a_400_with_a_body():
    form = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": "3"}
    request = webtest.TestRequest.blank("/r", form, method="POST")
    request.environ["wsgi.input"] = Broken()
    refused = app().do_request(request, status=400)
    assert "cannot be read" in refused.json["detail"]


def test_reject_mode_is_a_400_with_a_body():
    testapp = app({"restproxy.override.on_invalid": "reject"})
    refused = testapp.post("/r", {"_method": "GET"}, status=400)
    assert refused.content_type == "application/problem+json"


SCRIPTED = {"X-Rest-Form": "1"}  # as static/forms.js marks its requests


@pytest.mark.parametrize("enabled", ["true", "false"])
@pytest.mark.parametrize("raised", [True, False])
@pytest.mark.parametrize(
    ("status", "scripted"),
    [(301, 200), (302, 200), (303, 200), (307, 307), (308, 308)],
)
def test_the_script_is_told_where_a_redirect_leads(status, scripted, raised, enabled):
    def lead(request):
        answer = status_map[status]("/list")
        if raised:
            raise answer
        return answer

    testapp = app({"restproxy.override.enabled": enabled}, view=lead)
    answer = testapp.delete("/r", headers=SCRIPTED)
    assert answer.status_int == scripted
    assert answer.location == "http://localhost/list"
    assert testapp.delete("/r").status_int == status
    for ask in (testapp.get, testapp.head):  # caches keep these, whoever asked
        assert ask("/r", headers=SCRIPTED).status_int == status


@pytest.mark.parametrize("status", [200, 302, 304, 422])
def test_other_answers_for_the_script_are_left_alone(status):
    testapp = app(view=lambda request: Response(status=status))
    assert testapp.put("/r", headers=SCRIPTED, status=status)


def test_switched_off():
    testapp = app({"restproxy.override.enabled": "false"})
    assert testapp.post("/r", {"_method": "PUT"}).text == "POST from POST"


def test_switched_off_for_one_route():
    def configure(config):
        config.add_route("other", "/{other}")
        config.add_view(seen, route_name="other")

    testapp = app(configure=configure, method_override=False)
    assert testapp.post("/r", {"_method": "PUT"}).text == "POST from POST"
    assert testapp.post("/x", {"_method": "PUT"}).text == "PUT from POST"


def test_a_route_without_override_that_does_not_hold_gives_it_back():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_route("a", "/r", request_method="PUT", method_override=False)
        config.add_view(lambda r: Response("wrong"), route_name="a")
        config.add_route("b", "/r", request_method="PUT")
        config.add_view(seen, route_name="b")
        testapp = webtest.TestApp(config.make_wsgi_app())
    assert testapp.post("/r", {"_method": "PUT"}).text == "PUT from POST"
    assert testapp.post("/nope", {"_method": "PUT"}, status=404)


def test_a_subrequest_without_tweens_has_no_override():
    def outer(request):
        inner = Request.blank("/r", POST={"_method": "PUT"})
        return request.invoke_subrequest(inner, use_tweens=request.GET.get("t") == "1")

    def configure(config):
        config.add_route("outer", "/outer")
        config.add_view(outer, route_name="outer")

    testapp = app(configure=configure)
    assert testapp.get("/outer").text == "POST from POST"
    assert testapp.get("/outer?t=1").text == "PUT from POST"


def test_a_retry_keeps_the_original_method():
    calls = []

    def view(request):
        calls.append((request.method, request.original_method))
        if len(calls) == 1:
            from pyramid_retry import RetryableException

            raise RetryableException
        return Response("ok")

    testapp = app(
        {"restproxy.unexpected_errors": "raise"},
        lambda config: config.include("pyramid_retry"),
        view,
    )
    assert testapp.post("/r", {"_method": "PUT"}).text == "ok"
    assert calls == [("PUT", "POST")] * 2


def test_the_csrf_check_sees_the_effective_method():
    def configure(config):
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        config.set_default_csrf_options(require_csrf=True)

    testapp = app(configure=configure)
    testapp.set_cookie("csrf_token", "tok")
    assert testapp.post("/r", {"_method": "DELETE", "csrf_token": "tok"})
    assert testapp.post("/r", {"_method": "DELETE"}, status=400)
    assert testapp.post("/r", {"_method": "GET"}, status=400)


def test_a_404_of_the_application_stays_one():
    def missing(request):
        raise HTTPNotFound("no such thing")

    answer = app(view=missing).get("/r", status=404)
    assert "Allow" not in answer.headers
    assert answer.json["detail"] == "no such thing"


@pytest.mark.parametrize("path", ["/nope", "/r/"])
def test_what_has_no_route_is_404(path):
    assert "Allow" not in app().delete(path, status=404).headers
