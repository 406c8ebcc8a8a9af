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
    assert set(found["paths"]["/posts/{id}"]) == {"parameters", "get"}
