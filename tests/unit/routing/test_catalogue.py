from __future__ import annotations

import webtest
from pyramid.config import Configurator, not_
from pyramid.registry import Registry
from zope.interface import Interface, implementer

from pyramid_restproxy.routing.catalogue import catalogue_of


def view(request):
    raise NotImplementedError


class IThing(Interface):
    pass


@implementer(IThing)
class Thing:
    pass


def configured(configure):
    config = Configurator()
    config.include("pyramid_restproxy.routing")
    config.add_route("r", "/r")
    configure(config)
    config.commit()
    return catalogue_of(config.registry)


def test_a_row_tells_what_a_view_answers():
    def configure(config):
        config.add_view(
            view,
            route_name="r",
            allowed_methods="GET",
            extension=".rss",
            request_content_types="text/plain",
        )

    (row,) = configured(configure).of_route("r")
    assert row.methods.names == {"GET", "HEAD"} and row.says_method
    assert row.extensions == (".rss",) and row.cut_extensions() == {".rss"}
    assert row.content_types == ("text/plain",)
    assert row.view is view and row.offers is None
    assert row.is_for(".rss") and not row.is_for(None)


def test_an_overriding_view_takes_the_place_of_the_other():
    def configure(config):
        config.include(lambda c: c.add_view(view, route_name="r", renderer="json"))
        config.add_view(view, route_name="r")

    catalogue = configured(configure)
    assert len(catalogue.of_route("r")) == 1
    assert len(list(catalogue)) == catalogue.revision


def test_rows_of_a_request_fit_its_route_name_and_context():
    def configure(config):
        config.add_view(view, route_name="r", context=Thing, allowed_methods="PUT")
        config.add_view(view, route_name="r", context=IThing, allowed_methods="PATCH")
        config.add_view(view, route_name="r", name="x", allowed_methods="POST")
        config.add_view(view, route_name="r", allowed_methods="GET")

    catalogue = configured(configure)

    def methods(context, name=""):
        request = type("Request", (), {})()
        request.matched_route = type("Route", (), {"name": "r"})
        request.view_name, request.context = name, context
        return [sorted(row.methods.names)[-1] for row in catalogue.of_request(request)]

    assert methods(Thing()) == ["PUT", "PATCH", "HEAD"]
    assert methods(object()) == ["HEAD"]
    assert methods(object(), "x") == ["POST"]


def test_without_routing_there_are_no_rows():
    assert list(catalogue_of(Registry("empty"))) == []


def test_types_in_a_not_are_no_types_that_are_taken():
    def configure(config):
        options = {"allowed_methods": "POST", "request_content_types": not_("text/csv")}
        config.add_view(view, route_name="r", **options)

    (row,) = configured(configure).of_route("r")
    assert row.content_types == () and row.restful


def test_views_are_known_after_a_second_include():
    """Their 405, OPTIONS and extensions were lost."""
    config = Configurator()
    config.include("pyramid_restproxy.routing")
    config.add_route("a", "/a")
    config.add_view(
        lambda r: {}, route_name="a", allowed_methods="GET", renderer="negotiated"
    )
    config.commit()
    config.include("pyramid_restproxy.routing")
    testapp = webtest.TestApp(config.make_wsgi_app())
    assert testapp.put("/a", status=405).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert testapp.options("/a").headers["Allow"] == "GET, HEAD, OPTIONS"
    assert testapp.get("/a.json").json == {}
