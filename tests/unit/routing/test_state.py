from __future__ import annotations

import gc
from weakref import ref

import webtest
from pyramid.config import Configurator
from pyramid.events import NewRequest, NewResponse
from pyramid.request import Request, apply_request_extensions
from pyramid.response import Response

from pyramid_restproxy.interfaces import IMethodOverridden
from pyramid_restproxy.routing.middleware import MethodOverrideMiddleware
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


def again_tween_factory(handler, registry):
    """Make a tween that answers a request, and then with what is at /plain."""

    def again_tween(request):
        handler(request)
        request.path_info = "/plain"
        return handler(request)

    return again_tween


def facts(request):
    decision = request.rest.decision
    return (
        request.original_method,
        request.path_extension,
        request.rest.representation,
        (decision.effective_method, decision.method_source, decision.route),
    )


def test_what_subscribers_read_of_a_request_that_is_not_routed_yet():
    seen = {}

    def note(event):
        seen[type(event).__name__] = facts(event.request)

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_route("r", "/r")
        config.add_view(lambda r: Response("x"), route_name="r", allowed_methods="PUT")
        for event in (IMethodOverridden, NewRequest):
            config.add_subscriber(note, event)
        testapp = webtest.TestApp(config.make_wsgi_app())
    testapp.post("/r", {"_method": "PUT"})
    expected = ("POST", None, None, ("PUT", "field", None))
    assert seen == {"MethodOverridden": expected, "NewRequest": expected}


def test_what_subscribers_read_of_a_request_that_is_never_routed():
    seen = []
    settings = {"restproxy.override.on_invalid": "reject"}
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")
        config.add_subscriber(
            lambda event: seen.append(facts(event.request)), NewResponse
        )  # noqa: E501
        testapp = webtest.TestApp(config.make_wsgi_app())
    testapp.post("/r", {"_method": "GET"}, status=400)
    assert seen == [("POST", None, None, ("POST", "request", None))]


def test_the_method_on_the_request_line_where_a_filter_has_overridden_it():
    seen = []
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_subscriber(
            lambda e: seen.append(e.request.original_method), NewRequest
        )  # noqa: E501
        inner = config.make_wsgi_app()
    testapp = webtest.TestApp(MethodOverrideMiddleware(inner))
    testapp.post("/r", {"_method": "PUT"}, status=404)
    assert seen == ["POST"]


def test_a_request_that_the_mapper_saw_is_not_kept_by_its_attributes():
    with Configurator() as config:
        config.include("pyramid_restproxy.routing")
        router = config.make_wsgi_app()
    request = Request.blank("/")
    request.registry = router.registry
    apply_request_extensions(request)
    gone = ref(request)
    gc.disable()
    try:
        del request
        assert gone() is None
    finally:
        gc.enable()


def test_what_was_decided_is_void_when_a_request_is_routed_again():
    def view(request):
        kept.append(request.rest)
        return {}

    kept = []
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_tween("tests.unit.routing.test_state.again_tween_factory")
        config.add_route("r", "/r")
        config.add_view(
            view, route_name="r", allowed_methods="GET", renderer="negotiated"
        )
        config.add_route("plain", "/plain")
        config.add_view(view, route_name="plain", renderer="json")
        testapp = webtest.TestApp(config.make_wsgi_app())
    testapp.get("/r.json")
    first, second = kept
    assert first is second
    assert (second.route, second.extension, second.choice) == ("plain", None, None)
