from __future__ import annotations

import webtest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.routing.state import rest_of


def test_the_record_of_a_decision():
    seen = []

    def view(request):
        seen.append((request.rest.decision, request.rest.is_html()))
        return {}

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_route("r", "/r")
        config.add_view(
            view, route_name="r", allowed_methods="PUT", renderer="negotiated"
        )
        testapp = webtest.TestApp(config.make_wsgi_app())
    testapp.post("/r.xml", {"_method": "PUT"}, {"Accept": "application/json"})
    decision, is_html = seen[0]
    assert not is_html
    assert decision.as_dict() == {
        "original_method": "POST",
        "effective_method": "PUT",
        "method_source": "field",
        "route": "r",
        "extension": ".xml",
        "accept": "application/json",
        "offers": decision.as_dict()["offers"],
        "chosen": "application/xml",
        "chosen_by": "extension",
        "refusal": None,
    }
    assert [offer.q for offer in decision.offers] == [1.0, 0.0, 0.0]


def test_a_view_that_is_not_negotiated_has_nothing_chosen():
    seen = []
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_route("r", "/r")
        config.add_view(lambda r: seen.append(r.rest) or Response("x"), route_name="r")
        webtest.TestApp(config.make_wsgi_app()).get("/r")
    assert seen[0].representation is None and not seen[0].is_html()
    assert seen[0].decision.chosen is None


def test_a_request_that_was_not_routed_gets_a_record_too():
    request = Request.blank("/")
    assert rest_of(request) is rest_of(request)
    assert rest_of(request).decision.route is None
