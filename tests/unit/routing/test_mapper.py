"""Path extensions and the routes mapper."""

from __future__ import annotations

import pytest
import webtest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.config import Configurator
from pyramid.exceptions import URLDecodeError
from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request
from pyramid.response import Response

from pyramid_restproxy.routing.mapper import PLAIN, path_of, split_extension

pytestmark = pytest.mark.filterwarnings(
    "ignore::pyramid_restproxy.routing.lint.RestLintWarning"
)

KNOWN = frozenset({".json", ".xml"})


@pytest.mark.parametrize(
    "path, stem, extension",
    [
        ("/posts/1.json", "/posts/1", ".json"),
        ("/posts.json", "/posts", ".json"),
        ("/posts/archive.tar.gz", "/posts/archive.tar.gz", ""),
        ("/posts/archive.tar.gz.json", "/posts/archive.tar.gz", ".json"),
        ("/posts/bob@example.com", "/posts/bob@example.com", ""),
        ("/posts/1.JSON", "/posts/1.JSON", ""),
        ("/posts/1.", "/posts/1.", ""),
        ("/posts/.json", "/posts/.json", ""),
        ("/.json", "/.json", ""),
        ("/posts/1.json/", "/posts/1.json/", ""),
        ("/posts.json/1", "/posts.json/1", ""),
        ("/posts/1.json;x=1", "/posts/1.json;x=1", ""),
        ("/", "/", ""),
        ("", "", ""),
    ],
)
def test_splitting(path, stem, extension):
    assert split_extension(path, KNOWN) == (stem, extension)


@given(st.text(alphabet="a./jsonxml", max_size=20))
def test_splitting_loses_nothing_and_leaves_a_segment(path):
    stem, extension = split_extension(path, KNOWN)
    assert stem + extension == path
    assert extension in KNOWN | {""}
    if extension:
        assert stem.rpartition("/")[2]


def test_a_path_that_is_not_utf_8():
    with pytest.raises(URLDecodeError):
        path_of(Request.blank("/", environ={"PATH_INFO": "/\xff"}))


def echo(request):
    return Response(f"{request.matchdict.get('id')} {request.path_extension}")


def data(request):
    return {"id": request.matchdict.get("id"), "ext": request.path_extension}


def make(configure, **kw):
    config = Configurator(**kw)
    config.include("pyramid_restproxy")
    configure(config)
    return webtest.TestApp(config.make_wsgi_app())


def test_only_routes_whose_views_offer_it_lose_an_extension():
    def configure(config):
        config.add_route("plain", "/plain/{id}")
        config.add_view(echo, route_name="plain")
        config.add_route("post", "/posts/{id}")
        config.add_view(data, route_name="post", renderer="negotiated")

    testapp = make(configure)
    assert testapp.get("/plain/1.json").text == "1.json None"
    assert testapp.get("/posts/1.json").json == {"id": "1", "ext": ".json"}
    assert testapp.get("/posts/1.csv").json == {"id": "1.csv", "ext": None}


def test_an_encoded_dot_is_a_dot():
    def configure(config):
        config.add_route("post", "/posts/{id}")
        config.add_view(data, route_name="post", renderer="negotiated")

    assert make(configure).get("/posts/1%2Ejson").json["id"] == "1"


def test_the_order_of_routes_counts():
    def configure(config):
        config.add_route("literal", "/posts/new.json")
        config.add_view(lambda r: Response("literal"), route_name="literal")
        config.add_route("post", "/posts/{id}")
        config.add_view(data, route_name="post", renderer="negotiated")

    testapp = make(configure)
    assert testapp.get("/posts/new.json").text == "literal"
    assert testapp.get("/posts/1.json").json["id"] == "1"


def test_a_pattern_that_matches_only_whole_is_matched_whole():
    def configure(config):
        config.add_route("feed", "/feed.json", extensions=False)
        config.add_view(data, route_name="feed", renderer="negotiated")
        config.add_route("other", "/other.json")
        config.add_view(data, route_name="other", renderer="negotiated")
        config.add_route("post", "/posts/{id}")
        config.add_view(data, route_name="post", renderer="negotiated")

    testapp = make(configure)
    assert testapp.get("/feed.json").json["ext"] is None
    assert testapp.get("/other.json").json["ext"] is None


def test_static_files_are_untouched(tmp_path):
    (tmp_path / "a.json").write_text('"static"')

    def configure(config):
        config.add_static_view("static", str(tmp_path))
        config.add_route("post", "/{id}")
        config.add_view(data, route_name="post", renderer="negotiated")

    assert make(configure).get("/static/a.json").json == "static"


def test_extension_as_a_view_predicate():
    def configure(config):
        config.add_route("feed", "/feed/{id}")
        config.add_view(echo, route_name="feed", extension=(".rss", ".atom"))
        config.add_view(lambda r: Response("page"), route_name="feed", extension="")

    testapp = make(configure)
    assert testapp.get("/feed/1.rss").text == "1 .rss"
    assert testapp.get("/feed/1").text == "page"
    assert testapp.get("/feed/1.json").text == "page"


def test_extension_as_a_route_predicate():
    def configure(config):
        config.add_route("a", "/x/{id}", extension=".json")
        config.add_view(echo, route_name="a")
        config.add_route("b", "/x/{id}")
        config.add_view(lambda r: Response("b " + r.matchdict["id"]), route_name="b")

    testapp = make(configure)
    assert testapp.get("/x/1.json").text == "1 .json"
    assert testapp.get("/x/1").text == "b 1"
    assert testapp.get("/x/1.xml").text == "b 1.xml"


def test_a_route_that_matched_without_its_extension_leaves_no_trace():
    def configure(config):
        config.add_route("a", "/a/{id}", header="X-Wanted")
        config.add_view(data, route_name="a", renderer="negotiated")
        config.add_route("b", "/{all:.*}")
        config.add_view(echo, route_name="b")

    assert make(configure).get("/a/1.json").text == "None None"


def test_routes_added_before_and_after_the_include():
    config = Configurator()
    config.add_route("before", "/before/{id}")
    config.add_view(echo, route_name="before")
    config.include("pyramid_restproxy")
    config.add_route("after", "/after/{id}")
    config.add_view(data, route_name="after", renderer="negotiated")
    config.commit()
    config.add_route("late", "/late/{id}")
    config.add_view(data, route_name="late", renderer="negotiated")
    testapp = webtest.TestApp(config.make_wsgi_app())
    assert testapp.get("/before/1.json").text == "1.json None"
    for name in ("after", "late"):
        assert testapp.get(f"/{name}/1.json").json["id"] == "1"


def test_it_works_with_introspection_switched_off():
    def configure(config):
        config.add_route("post", "/posts/{id}")
        config.add_view(
            data, route_name="post", renderer="negotiated", allowed_methods="GET"
        )

    testapp = make(configure, introspection=False)
    assert testapp.get("/posts/1.json").json["id"] == "1"
    assert (
        testapp.delete("/posts/1", status=405).headers["Allow"] == "GET, HEAD, OPTIONS"
    )


def test_plans():
    def configure(config):
        config.add_route("post", "/posts/{id}")
        config.add_view(data, route_name="post", renderer="negotiated")
        config.add_route("off", "/off", accept_negotiation=False, method_override=False)

    app = make(configure).app
    mapper = app.registry.getUtility(IRoutesMapper)
    assert mapper.plan("post").extensions == {".json", ".xml"}
    assert (mapper.plan("off").accept, mapper.plan("off").override) == (False, False)
    assert mapper.plan("nope") == PLAIN


def test_ext_in_a_pattern_dispatched_by_hand_works_as_it_did():
    def configure(config):
        config.add_route("hand", "/hand/{id}.{ext}")
        config.add_view(
            lambda r: Response(repr(sorted(r.matchdict.items()))), route_name="hand"
        )

    assert make(configure).get("/hand/1.json").text == "[('ext', 'json'), ('id', '1')]"


def test_a_route_without_override_has_no_source_of_its_method():
    seen = []
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_route("r", "/r", method_override=False)
        config.add_view(
            lambda request: seen.append(request.rest.decision) or Response("ok"),
            route_name="r",
            allowed_methods="POST",
        )
        testapp = webtest.TestApp(config.make_wsgi_app())
    testapp.post("/r", {"_method": "DELETE"})
    assert (seen[0].original_method, seen[0].effective_method) == ("POST", "POST")
    assert seen[0].method_source == "request"
