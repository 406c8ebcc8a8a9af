"""REST resources as paths of OpenAPI."""

from __future__ import annotations

import pytest
from openapi_spec_validator import validate
from pyramid.config import Configurator

from pyramid_restproxy.services.describe import openapi
from pyramid_restproxy.services.resource_paths import path_template


@pytest.mark.parametrize(
    "pattern, path, parameters",
    [
        ("/posts", "/posts", []),
        ("posts/{id}", "/posts/{id}", [("id", None)]),
        (r"/p/{id:[0-9]{1,9}}/{x}", "/p/{id}/{x}", [("id", r"^(?:[0-9]{1,9})$"), ("x", None)]),  # noqa: E501
    ],
)  # fmt: skip
def test_patterns(pattern, path, parameters):
    found, described = path_template(pattern)
    assert found == path
    told = [(each["name"], each["schema"].get("pattern")) for each in described]
    assert told == parameters
    assert all(each["required"] and each["in"] == "path" for each in described)


def test_a_tail_cannot_be_said():
    assert path_template("/api/*path") is None
    assert path_template("/{all:.*}") is not None


class Posts:
    def __init__(self, request):
        pass

    def index(self):
        """List the posts.

        All of them.
        """

    def create(self):
        pass

    def show(self):
        pass

    def delete(self):
        """Delete a post."""


def test_resources_stand_beside_services():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_rest_resource(
            "posts",
            "/posts",
            Posts,
            representations=("json", "csv"),
            views={"create": {"request_content_types": ("application/json",)}},
        )
        config.add_service("add", "/srv/add", lambda a: a)
        config.add_route("own", "/own")
        config.add_view(lambda request: None, route_name="own", renderer="json")
        config.make_wsgi_app()
    found = openapi(config.registry)
    validate(found)
    assert set(found["paths"]) == {"/posts", "/posts/{id}", "/srv/add"}
    listed = found["paths"]["/posts"]["get"]
    assert listed["summary"] == "List the posts."
    assert set(listed["responses"]["200"]["content"]) == {
        "application/json",
        "text/csv",
    }
    created = found["paths"]["/posts"]["post"]
    assert created["requestBody"] == {"content": {"application/json": {}}}
    assert "summary" not in created
    assert set(found["paths"]["/posts/{id}"]) == {"parameters", "get", "delete"}


def show(request):
    """Show it."""


def described(*routes, configure=None):
    """Describe an application of routes (name, pattern, options) with one view each."""
    with Configurator() as config:
        config.include("pyramid_restproxy")
        for name, pattern, options in routes:
            config.add_route(name, pattern, **options)
            config.add_view(
                show,
                route_name=name,
                renderer="negotiated",
                allowed_methods=("GET", "PUT"),
            )
        if configure:
            configure(config)
        config.make_wsgi_app()
    found = openapi(config.registry)
    validate(found)
    return found["paths"]


def test_routes_that_share_a_path_are_all_told():
    """The last one took the place of the others."""
    found = described(
        ("list", "/posts/{id}", {"request_method": "GET"}),
        ("change", "/posts/{id}", {"request_method": ("GET", "PUT")}),
    )
    told = found["/posts/{id}"]
    assert set(told) == {"parameters", "get", "put"}
    assert len(told["parameters"]) == 1
    assert told["get"]["operationId"] == "list.get"  # the route that answers
    assert told["put"]["operationId"] == "change.put"


def test_methods_that_the_route_does_not_take_are_not_told():
    """The view took them all, which it never sees."""
    found = described(("list", "/posts", {"request_method": "GET"}))
    assert set(found["/posts"]) == {"get"}


def test_a_service_and_a_route_that_share_a_path_are_both_told():
    """The service took the place of the route."""
    found = described(
        ("shown", "/p/{id}", {"request_method": "GET"}),
        configure=lambda config: config.add_service("put", "/p/{id}", lambda id: id),
    )
    told = found["/p/{id}"]
    assert set(told) == {"parameters", "get", "post"}
    assert told["post"]["operationId"] == "put"


def test_views_of_a_resource_without_a_representation_are_told():
    """They were left out."""

    def gone(request):
        """Delete it."""

    def more(config):
        add = config.add_view
        add(gone, route_name="post", request_method="DELETE", renderer="json")
        add(gone, route_name="post", allowed_methods=("PATCH", "GET"), renderer="json")
        config.add_route("other", "/other")
        add(gone, route_name="other", request_method="DELETE", renderer="json")

    found = described(("post", "/p/{id}", {}), configure=more)
    assert set(found) == {"/p/{id}"}
    told = found["/p/{id}"]
    assert set(told) == {"parameters", "get", "put", "patch", "delete"}
    assert told["get"]["summary"] == "Show it."  # what is negotiated comes first
    assert told["delete"]["summary"] == "Delete it."
    assert set(told["delete"]["responses"]) == {"2XX", "default"}
