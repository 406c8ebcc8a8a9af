"""Representations: directive, options, negotiated views, alternates."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import (
    ConfigurationConflictError,
    ConfigurationError,
    ConfigurationExecutionError,
)
from pyramid.httpexceptions import HTTPConflict, HTTPNotModified, HTTPSeeOther
from pyramid.renderers import render
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_defaults

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.routing.representations import representations_of

GET = {"allowed_methods": "GET", "renderer": "negotiated"}


def show(request):
    return {"chosen": request.rest.representation.name}


def app(configure=None, settings=None, view=show, options=None, **route):
    config = Configurator(settings=settings or {})
    config.include("pyramid_jinja2")
    config.include("pyramid_restproxy")
    config.add_route("r", "/r", **route)
    if configure:
        configure(config)
    config.add_view(view, route_name="r", **{**GET, **(options or {})})
    return webtest.TestApp(config.make_wsgi_app())


def accept(value):
    return {"Accept": value}


def test_without_a_template_html_is_left_out():
    answer = app().get("/r")
    assert answer.content_type == "application/json"
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_template_makes_html_and_the_view_may_name_more():
    options = {"template": "tests:vectors/page.jinja2"}
    testapp = app(options=options)
    assert "<p>html</p>" in testapp.get("/r")
    assert "X-Content-Type-Options" not in testapp.get("/r").headers
    named = app(options={**options, "representations": ("csv", "pdf")})
    assert named.get("/r").content_type == "text/csv"
    pdf = named.get("/r.pdf")
    assert pdf.content_type == "application/pdf" and pdf.body.startswith(b"%PDF-")


def test_the_list_of_the_application_is_a_setting():
    testapp = app(settings={"restproxy.representations": "yaml json"})
    assert testapp.get("/r").content_type == "application/yaml"
    assert testapp.get("/r.xml", status=404)


def test_one_representation_may_be_named_alone():
    assert (
        app(options={"representations": "xml"}).get("/r").content_type
        == "application/xml"
    )


def test_a_new_representation():
    def configure(config):
        config.add_representation(
            "hal",
            "application/hal+json",
            extension=".hal",
            aliases=["application/vnd.acme+json"],
            renderer="json",
        )

    testapp = app(configure, options={"representations": ("hal", "xml")})
    assert testapp.get("/r").content_type == "application/hal+json"
    assert testapp.get("/r.hal").json == {"chosen": "hal"}
    alias = testapp.get("/r", headers=accept("application/vnd.acme+json"))
    assert alias.content_type == "application/vnd.acme+json"
    assert testapp.get("/r", headers=accept("application/*+json")).json


def test_the_same_name_replaces_a_built_in_one():
    def configure(config):
        config.add_representation("json", "application/vnd.own", renderer="rest_json")

    assert app(configure).get("/r").content_type == "application/vnd.own"


def test_introspectable_and_conflict():
    config = Configurator()
    config.include("pyramid_restproxy")
    config.add_representation("hal", "application/hal+json", extension=(".hal",))
    config.commit()
    found = config.introspector.get("restproxy representations", "hal")
    assert found.title == "hal (application/hal+json)"
    assert (found["extensions"], found["renderer"]) == ((".hal",), "hal")
    assert "hal" in representations_of(config.registry)
    config.add_representation("twice", "a/b")
    config.add_representation("twice", "a/c")
    with pytest.raises(ConfigurationConflictError):
        config.commit()


@pytest.mark.parametrize("kind", [list, set, frozenset])
def test_values_may_be_given_in_a_set(kind):
    def configure(config):
        config.add_representation(
            "hal",
            "application/hal+json",
            renderer="json",
            aliases=kind(["a/b"]),
            extension=kind([".hal"]),
        )

    testapp = app(configure, options={"representations": kind(["hal", "xml"])})
    assert testapp.get("/r", headers=accept("a/b")).content_type == "a/b"
    assert testapp.get("/r").content_type == "application/hal+json"
    assert testapp.get("/r.hal")


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"name": "no good"}, "expected a name"),
        ({"name": 7}, "expected a name"),
        ({"media_type": "json"}, "not a media type"),
        ({"media_type": 7}, "not a media type"),
        ({"media_type": "application/*"}, "not a media type"),
        ({"extension": "json"}, "extension="),
        ({"aliases": "a/b"}, "expected media types"),
        ({"aliases": ["x"]}, "not a media type"),
    ],
)
def test_what_is_no_representation(arguments, says):
    config = Configurator()
    config.include("pyramid_restproxy")
    with pytest.raises(ConfigurationError, match=says):
        config.add_representation(**{"name": "x", "media_type": "a/b", **arguments})


@pytest.mark.parametrize(
    "options, says",
    [
        (
            {"representations": ("nope",)},
            "there is no representation 'nope'. There are: html",
        ),
        ({"representations": ("html",)}, "has no template="),
        ({"representations": ()}, "offers no representation"),
        ({"template": 7}, "template=7"),
        ({"renderer": "json", "template": "x.jinja2"}, "template= is for views"),
        ({"renderer": "json", "representations": ("json",)}, "representations= is for"),
        ({"representations": ("lost",)}, "there is no renderer 'lost'"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_start_up(options, says):
    def configure(config):
        config.add_representation("lost", "a/b")

    with pytest.raises((ConfigurationError, ConfigurationExecutionError), match=says):
        app(configure, options=options)


def test_a_missing_extra_is_named_at_start_up(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigurationExecutionError) as caught:
        app(options={"representations": ("yaml",)})
    assert "pyramid_restproxy[yaml]" in str(caught.value)
    assert isinstance(caught.value.__cause__ or caught.value.evalue, MissingExtra)


def test_a_template_whose_language_is_not_there(monkeypatch):
    with pytest.raises(ConfigurationExecutionError, match="registered for '.mako'"):
        app(options={"template": "x.mako"})

    def start():
        config = Configurator()
        config.include("pyramid_restproxy")
        config.add_route("r", "/r")
        config.add_view(show, route_name="r", template="x.jinja2", **GET)
        config.commit()

    with pytest.raises(ConfigurationExecutionError, match="config.include"):
        start()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationExecutionError, match=r"restproxy\[jinja2\]"):
        start()


def test_406_lists_what_there_is_and_the_view_does_not_run():
    calls = []

    def view(request):
        calls.append(1)

    testapp = app(view=view)
    refused = testapp.get("/r?x=1", headers=accept("image/png"), status=406)
    assert refused.json["available"] == [
        {"type": "application/json", "href": "/r.json?x=1"},
        {"type": "application/xml", "href": "/r.xml?x=1"},
    ]
    page = testapp.get("/r", headers=accept("text/html"), status=406)
    assert '<a href="/r.json">application/json</a>' in page.text
    assert calls == []


def test_fallback():
    testapp = app(settings={"restproxy.not_acceptable": "fallback"})
    assert testapp.get("/r", headers=accept("image/png")).json


def test_a_format_parameter_where_it_is_switched_on():
    testapp = app(settings={"restproxy.format_parameter": "format"})
    answer = testapp.get("/r?format=xml", headers=accept("application/json"))
    assert answer.content_type == "application/xml"
    assert "Vary" not in answer.headers
    assert testapp.get("/r?format=nope", status=406)
    empty = testapp.get("/r?format=", headers=accept("application/xml"))
    assert empty.content_type == "application/xml"
    assert testapp.get("/r?format=%ff", status=400)
    assert app().get("/r?format=xml").content_type == "application/json"


def test_a_route_without_accept():
    answer = app(accept_negotiation=False).get("/r", headers=accept("application/xml"))
    assert answer.content_type == "application/json"
    assert "Vary" not in answer.headers


def test_alternates():
    testapp = app(settings={"restproxy.advertise_alternates": "true"})
    answer = testapp.get("/r?x=1", headers=accept("application/xml"))
    assert answer.headers["Content-Location"] == "/r.xml?x=1"
    assert answer.headers.getall("Link") == [
        '</r.json?x=1>; rel="alternate"; type="application/json"'
    ]


ADVERTISED = {"restproxy.advertise_alternates": "true"}


@pytest.mark.parametrize(
    "content_type, fields, location",
    [
        ("image/png", [], None),
        ("image/png", [("Content-Location", "/own.png")], "/own.png"),
        ("application/json", [("Content-Location", "/own")], "/own"),
        ("application/json", [], "/r.json"),
    ],
)
def test_a_response_of_the_views_own_is_where_it_says(content_type, fields, location):
    """An image of a view's own was said to be at ``/r.json``."""

    def own(request):
        response = Response(b"{}", content_type=content_type)
        response.headers.extend(fields)
        return response

    answer = app(settings=ADVERTISED, view=own).get("/r")
    assert answer.headers.get("Content-Location") == location


def test_an_alias_is_where_its_representation_is():
    answer = app(settings=ADVERTISED).get("/r", headers=accept("text/xml"))
    assert answer.content_type == "text/xml"
    assert answer.headers["Content-Location"] == "/r.xml"


def test_a_server_may_leave_out_an_empty_path():
    """PEP 3333 lets it; a 406 and alternates were a 500 then."""

    def ask(wanted):
        request = Request.blank("/", headers=accept(wanted))
        del request.environ["PATH_INFO"]
        return request.get_response(anywhere(ADVERTISED))

    assert ask("*/*").status_int == 200
    assert ask("image/png").status_int == 406


def test_no_alternates_for_what_has_no_url_and_for_writes():
    def configure(config):
        config.add_route("slash", "/s/")
        config.add_view(show, route_name="slash", **GET)
        config.add_route("write", "/w")
        config.add_view(
            show, route_name="write", allowed_methods="POST", renderer="negotiated"
        )

    testapp = app(configure, {"restproxy.advertise_alternates": "true"})
    for answer in (testapp.get("/s/"), testapp.post("/w")):
        assert "Content-Location" not in answer.headers and "Link" not in answer.headers


def anywhere(settings=None):
    """Make an application with a negotiated view on every path."""
    config = Configurator(settings=settings or {})
    config.include("pyramid_restproxy")
    config.add_route("r", "/*path")
    config.add_view(show, route_name="r", **GET)
    return config.make_wsgi_app()


@pytest.mark.parametrize("script_name, path", [("", "//evil/x"), ("/", "/evil/x")])
def test_links_of_a_path_with_two_slashes_lead_to_no_other_host(script_name, path):
    def ask(application, wanted):
        request = Request.blank("/", headers=accept(wanted))
        request.script_name, request.path_info = script_name, path
        return request.get_response(application)

    refused = ask(anywhere(), "image/png")
    assert [each["href"] for each in refused.json["available"]] == [
        "/.//evil/x.json",
        "/.//evil/x.xml",
    ]
    assert refused.json["instance"] == "/.//evil/x"
    assert '<a href="/.//evil/x.json">' in ask(anywhere(), "text/html").text
    answer = ask(anywhere({"restproxy.advertise_alternates": "true"}), "*/*")
    assert answer.headers["Content-Location"] == "/.//evil/x.json"
    assert answer.headers["Link"].startswith("</.//evil/x.xml>;")
    at_us = urljoin("http://a/", answer.headers["Content-Location"])
    assert urlsplit(at_us)[1:3] == ("a", "//evil/x.json")


@pytest.mark.parametrize("path", ["", "/"])
def test_there_are_no_links_out_of_a_mounted_application(path):
    """The alternates of ``/app`` were ``/app.json``, which is another's."""

    def ask(application, wanted):
        request = Request.blank("/", headers=accept(wanted))
        request.script_name, request.path_info = "/app", path
        return request.get_response(application)

    answer = ask(anywhere({"restproxy.advertise_alternates": "true"}), "*/*")
    assert "Content-Location" not in answer.headers and "Link" not in answer.headers
    refused = ask(anywhere(), "image/png")
    assert not [each for each in refused.json["available"] if "href" in each]


def test_a_query_adds_no_link():
    request = Request.blank("/x", accept="application/json")
    request.environ["QUERY_STRING"] = 'a[]=%20&b="\xe9>;a,<//evil/y'
    app = anywhere({"restproxy.advertise_alternates": "true"})
    answer = request.get_response(app)
    query = "?a[]=%20&b=%22%E9%3E;a,%3C//evil/y"
    assert answer.headers["Content-Location"] == "/x.json" + query
    assert answer.headers["Link"].startswith(f"</x.xml{query}>; rel=")


def test_alternates_of_a_path_with_an_extension():
    testapp = app(settings={"restproxy.advertise_alternates": "true"})
    answer = testapp.get("/r.xml")
    assert answer.headers["Content-Location"] == "/r.xml"
    assert answer.headers["Link"].startswith("</r.json>;")


def test_no_alternates_on_a_route_that_cuts_no_extensions():
    settings = {"restproxy.advertise_alternates": "true"}
    testapp = app(settings=settings, extensions=False)
    answer = testapp.get("/r")
    assert "Content-Location" not in answer.headers and "Link" not in answer.headers
    refused = testapp.get("/r", headers=accept("image/png"), status=406)
    assert refused.json["available"] == [
        {"type": "application/json"},
        {"type": "application/xml"},
    ]


def test_a_response_of_the_views_own_gets_vary_too():
    testapp = app(view=lambda request: HTTPSeeOther("/x"))
    assert testapp.get("/r").headers["Vary"] == "Accept"


def test_vary_is_merged():
    def view(request):
        request.response.headers["vary"] = "Cookie, accept"
        return {}

    assert app(view=view).get("/r").headers.getall("Vary") == ["Cookie, accept"]


def test_what_a_view_says_of_sniffing_is_said_once():
    """Two fields of that name are read as ``nosniff, nosniff``."""

    def view(request):
        request.response.headers["x-content-type-options"] = "nosniff"
        return {}

    answer = app(view=view).get("/r")
    assert answer.headers.getall("X-Content-Type-Options") == ["nosniff"]


def test_a_view_that_says_nothing_is_204():
    answer = app(view=lambda request: None).get("/r", status=204)
    assert "Content-Type" not in answer.headers
    assert "Content-Length" not in answer.headers


def test_a_status_of_the_views_own_stays():
    def view(request):
        request.response.status_int = 202

    assert app(view=view).get("/r").status_int == 202


def test_a_content_type_of_the_views_own_stays():
    def view(request):
        request.response.content_type = "application/vnd.own+json"
        return {}

    assert app(view=view).get("/r").content_type == "application/vnd.own+json"


def test_an_exception_view_never_becomes_406():
    def conflict(error, request):
        request.response.status_int = 409
        return {"chosen": request.rest.representation.name}

    def view(request):
        raise HTTPConflict

    def configure(config):
        config.add_exception_view(conflict, context=HTTPConflict, renderer="negotiated")

    testapp = app(configure, view=view)
    assert testapp.get("/r.xml", status=409).content_type == "application/xml"
    answer = testapp.get("/r", headers=accept("application/*"), status=409)
    assert answer.json == {"chosen": "json"} and answer.headers["Vary"] == "Accept"


def test_a_permission_is_asked_after_the_representation():
    def configure(config):
        from tests.vectors.rest_app import DenyAll

        config.set_security_policy(DenyAll())

    testapp = app(configure, options={"permission": "see"})
    assert testapp.get("/r", headers=accept("image/png"), status=406)
    assert testapp.get("/r", status=403)


def test_the_renderer_is_for_views():
    config = Configurator()
    config.include("pyramid_restproxy")
    config.commit()
    config.begin()
    request = type("Request", (), {})()
    request.registry, request.environ = config.registry, {}
    with pytest.raises(ValueError, match="is for views"):
        render("negotiated", {}, request)
    config.end()


def test_views_found_by_traversal_are_negotiated_too():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_view(show, name="t", **GET)
        testapp = webtest.TestApp(config.make_wsgi_app())
    assert (
        testapp.get("/t", headers=accept("application/xml")).content_type
        == "application/xml"
    )
    assert testapp.delete("/t", status=405).headers["Allow"] == "GET, HEAD, OPTIONS"


def test_pyramids_own_renderers_work_beside():
    def configure(config):
        config.add_route("s", "/s")
        config.add_view(lambda r: "text", route_name="s", renderer="string")
        config.add_route("j", "/j")
        config.add_view(lambda r: {"a": 1}, route_name="j", renderer="json")
        config.add_route("o", "/o")
        config.add_view(lambda r: Response("own"), route_name="o")

    testapp = app(configure)
    assert testapp.get("/s").text == "text"
    assert testapp.get("/j").json == {"a": 1}
    assert "Vary" not in testapp.get("/o").headers


@pytest.mark.parametrize(
    "representation, aliases",
    [
        ("xml", ["text/xml"]),
        ("yaml", ["text/yaml", "application/x-yaml"]),
        ("msgpack", ["application/vnd.msgpack", "application/x-msgpack"]),
    ],
)
def test_one_representation_with_aliases_varies(representation, aliases):
    testapp = app(options={"representations": (representation,)})
    for media_type in (None, *aliases):
        answer = testapp.get("/r", headers=accept(media_type) if media_type else {})
        assert media_type in (None, answer.content_type)
        assert answer.headers["Vary"] == "Accept"
    assert "Vary" not in testapp.get(f"/r.{representation}").headers


def test_one_representation_without_aliases_does_not_vary():
    testapp = app(options={"representations": ("json",)})
    assert "Vary" not in testapp.get("/r").headers


@pytest.mark.parametrize(
    "make",
    [
        HTTPNotModified,
        lambda: HTTPSeeOther("/x"),
        lambda: HTTPConflict(json_body={"taken": True}),
    ],
)
def test_http_exceptions_vary_raised_as_returned(make):
    def raising(request):
        raise make()

    for view in (raising, lambda request: make()):
        testapp = app(view=view)
        assert testapp.get("/r", expect_errors=True).headers["Vary"] == "Accept"
        assert "Vary" not in testapp.get("/r.json", expect_errors=True).headers


def test_an_exception_view_on_a_route_without_accept_does_not_read_it():
    def conflict(error, request):
        request.response.status_int = 409
        return {"chosen": request.rest.representation.name}

    def configure(config):
        config.add_exception_view(conflict, context=HTTPConflict, renderer="negotiated")

    def view(request):
        raise HTTPConflict

    testapp = app(configure, view=view, accept_negotiation=False)
    answer = testapp.get("/r", headers=accept("application/xml"), status=409)
    assert answer.content_type == "application/json"
    assert "Vary" not in answer.headers


def test_options_of_the_class_are_no_options_of_its_other_views():
    @view_defaults(
        route_name="v",
        renderer="negotiated",
        template="tests:vectors/page.jinja2",
        representations=("html", "json"),
    )
    class Views:
        def __init__(self, request):
            self.request = request

        def plain(self):
            return {"plain": True}

    def configure(config):
        config.add_route("v", "/v")
        config.add_view(Views, attr="plain", allowed_methods="GET")
        config.add_view(Views, attr="plain", allowed_methods="POST", renderer="json")

    testapp = app(configure)
    assert "<p>html</p>" in testapp.get("/v")
    assert testapp.post("/v").json == {"plain": True}
    with pytest.raises(ConfigurationExecutionError, match="template= is for views"):
        app(lambda config: config.add_view(
            Views, attr="plain", route_name="r", renderer="json", template="own.jinja2"
        ))  # fmt: skip
