"""Pyramid's own ways, and cornice, beside ours in one application."""

from __future__ import annotations

import pytest
import webtest
from cornice import Service
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response


def negotiated(request):
    return {"ours": request.matchdict["id"]}


def make_cornice(order):
    service = Service(name="users", path="/users")

    @service.get()
    def get_users(request):
        return {"users": []}

    @service.post(content_type="application/json")
    def post_users(request):
        request.errors.add("body", "name", "missing")

    with Configurator() as config:
        for name in order:
            config.include(name)
        config.add_cornice_service(service)
        config.add_route("post", "/posts/{id}")
        config.add_view(
            negotiated, route_name="post", allowed_methods="GET", renderer="negotiated"
        )
        return webtest.TestApp(config.make_wsgi_app())


@pytest.fixture(
    params=[("cornice", "pyramid_restproxy"), ("pyramid_restproxy", "cornice")],
    ids=["cornice first", "cornice last"],
)
def cornice(request):
    return make_cornice(request.param)


def test_a_cornice_service_answers_as_without_us(cornice):
    assert cornice.get("/users").json == {"users": []}
    refused = cornice.put("/users", status=405)
    assert set(refused.headers["Allow"].split(", ")) >= {"GET", "POST"}
    invalid = cornice.post_json("/users", {}, status=400)
    assert invalid.json["errors"][0]["name"] == "name"
    assert cornice.post("/users", b"x", {"Content-Type": "text/csv"}, status=415)


def test_our_routes_answer_beside_cornice(cornice):
    assert cornice.get("/posts/1.json").json == {"ours": "1"}
    assert (
        cornice.delete("/posts/1", status=405).headers["Allow"] == "GET, HEAD, OPTIONS"
    )
    assert cornice.get("/posts/1", headers={"Accept": "image/png"}, status=406)
    assert cornice.get("/nope", status=404)


class Root(dict):
    def __init__(self, request):
        super().__init__(page=Page())


class Page(dict):
    pass


@pytest.fixture
def plain(tmp_path):
    (tmp_path / "a.json").write_text("static")
    with Configurator(root_factory=Root) as config:
        config.include("pyramid_jinja2")
        config.include("pyramid_restproxy")
        config.add_static_view("static", str(tmp_path))
        config.add_view(lambda request: Response("page"), context=Page)
        config.add_view(lambda request: Response("edit"), context=Page, name="edit")
        config.add_route("accept", "/accept")
        for media_type in ("text/plain", "application/json"):
            config.add_view(
                lambda request, m=media_type: Response(m),
                route_name="accept",
                accept=media_type,
            )
        config.add_route("predicates", "/predicates/{id}")
        config.add_view(
            lambda request: Response("param"),
            route_name="predicates",
            match_param="id=1",
        )
        config.add_view(
            lambda request: Response("xhr"), route_name="predicates", xhr=True
        )
        config.add_route("json", "/json")
        config.add_view(lambda request: {"a": 1}, route_name="json", renderer="json")
        config.add_route("string", "/string")
        config.add_view(lambda request: "text", route_name="string", renderer="string")
        config.add_route("raises", "/raises")
        config.add_view(raises, route_name="raises")
        config.add_exception_view(
            lambda error, request: Response("caught"), context=KeyError
        )
        return webtest.TestApp(config.make_wsgi_app())


def raises(request):
    raise KeyError("x")


@pytest.mark.parametrize(
    "path, headers, text",
    [
        ("/page", {}, "page"),
        ("/page/edit", {}, "edit"),
        ("/static/a.json", {}, "static"),
        ("/accept", {"Accept": "application/json"}, "application/json"),
        ("/accept", {"Accept": "text/plain"}, "text/plain"),
        ("/predicates/1", {}, "param"),
        ("/predicates/2", {"X-Requested-With": "XMLHttpRequest"}, "xhr"),
        ("/json", {}, '{"a": 1}'),
        ("/string", {}, "text"),
        ("/raises", {}, "caught"),
    ],
)
def test_pyramids_own_ways(plain, path, headers, text):
    assert plain.get(path, headers=headers).text == text


@pytest.mark.parametrize(
    "path", ["/predicates/2", "/page/nope", "/nope", "/static/b.json"]
)
def test_pyramids_own_404s(plain, path):
    assert plain.get(path, status=404).json["title"] == HTTPNotFound.title
