"""RESTful resources."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import (
    ConfigurationConflictError,
    ConfigurationError,
    ConfigurationExecutionError,
)
from pyramid.view import view_defaults


class Posts:
    def __init__(self, request):
        self.request = request

    def answer(self):
        return {
            "action": self.request.matched_route.name,
            "method": self.request.method,
        }

    index = create = show = replace = update = answer

    def new(self):
        return {}

    edit = new

    def delete(self):
        return None


class ReadOnly:
    def __init__(self, context, request):
        self.context = context

    def show(self):
        return {"context": self.context}


class ReadWrite:
    def __init__(self, request):
        self.request = request

    def create(self):
        return {"made": True}

    show = create

    def delete(self):
        return "gone"


@view_defaults(renderer="negotiated", template="tests:vectors/page.jinja2")
class Pages(ReadWrite):
    pass


def make(*arguments, **options):
    config = Configurator()
    config.include("pyramid_jinja2")
    config.include("pyramid_restproxy")
    config.add_rest_resource(*arguments, **options)
    config.commit()
    return config, webtest.TestApp(config.make_wsgi_app())


@pytest.fixture(scope="module")
def posts():
    template = "tests:vectors/page.jinja2"
    return make("posts", "/posts", Posts, template=template)[1]


JSON = {"Accept": "application/json"}


@pytest.mark.parametrize(
    "method, path, name",
    [
        ("GET", "/posts", "posts"),
        ("POST", "/posts", "posts"),
        ("GET", "/posts/1", "posts.item"),
        ("PUT", "/posts/1", "posts.item"),
        ("PATCH", "/posts/1", "posts.item"),
    ],
)
def test_every_action(posts, method, path, name):
    answer = posts.request(path, method=method, headers=JSON)
    assert answer.json == {"action": name, "method": method}


def test_new_and_edit_are_pages(posts):
    for path in ("/posts/new", "/posts/1/edit"):
        assert "<p>html</p>" in posts.get(path)
        assert posts.get(path, headers=JSON, status=406)


def test_delete_says_nothing(posts):
    assert posts.delete("/posts/1", status=204).body == b""


def test_what_is_not_there(posts):
    assert (
        posts.put("/posts", status=405).headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    )
    assert posts.get("/posts/new.json", headers=JSON).json["action"] == "posts.item"


def test_only_what_the_class_has():
    config, testapp = make("r", "/r/", ReadOnly, item="{name}", factory=lambda r: "ctx")
    assert testapp.get("/r/x").json == {"context": "ctx"}
    assert testapp.get("/r/", status=404)
    assert testapp.delete("/r/x", status=405).headers["Allow"] == "GET, HEAD, OPTIONS"
    found = config.introspector.get("restproxy resources", "r")
    assert found["actions"] == ("show",)
    assert found.title == "/r/ -> ReadOnly"
    (route,) = config.introspector.related(found)
    assert (route.category_name, route["name"]) == ("routes", "r.item")


def test_options_for_one_and_for_all():
    _, testapp = make(
        "r",
        "/r",
        Posts,
        representations=("json", "xml"),
        views={"show": {"request_param": "x"}, "new": {"renderer": "json", "representations": None},  # noqa: E501
               "edit": {"renderer": "json", "representations": None}},
        header="X-All",
    )  # fmt: skip
    headers = {"X-All": "1"}
    assert testapp.get("/r/1", headers=headers, status=404)
    assert testapp.get("/r/1?x", headers=headers).json
    assert testapp.get("/r", status=404)
    assert testapp.get("/r.xml", headers=headers).content_type == "application/xml"


@pytest.mark.parametrize(
    "switch, path, seen",
    [
        (None, "/r/report.json", ("report", "Accept", "PATCH")),
        ("extensions", "/r/report.json", ("report.json", "Accept", "PATCH")),
        ("accept_negotiation", "/r/report", ("report", None, "PATCH")),
        ("method_override", "/r/report", ("report", "Accept", "POST")),
    ],
)
def test_the_switches_of_a_route(switch, path, seen):
    """They were unknown view options."""

    class Reports(ReadWrite):
        def show(self):
            return {"id": self.request.matchdict["id"]}

        def update(self):
            return {"made": True}

    switched = {} if switch is None else {switch: False}
    _, testapp = make("r", "/r", Reports, representations=("json", "xml"), **switched)
    shown = testapp.get(path, headers=JSON)
    varies = testapp.get("/r/report").headers.get("Vary")
    override = testapp.post("/r/1", {"_method": "PATCH"}, status="*")
    method = "PATCH" if override.status_int == 200 else "POST"
    assert (shown.json["id"], varies, method) == seen


def test_where_the_route_of_a_resource_does_not_fit_another_may():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_rest_resource("new", "/r", ReadWrite, request_param="v=2")
        config.add_rest_resource("old", "/r", ReadOnly, factory=lambda r: "old")
        testapp = webtest.TestApp(config.make_wsgi_app())
    assert testapp.get("/r/1?v=2").json == {"made": True}
    assert testapp.get("/r/1").json == {"context": "old"}


def test_who_is_logged_in_is_asked_of_the_route():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_rest_resource("own", "/r", ReadWrite, is_authenticated=True)
        config.add_rest_resource("all", "/r", ReadOnly, factory=lambda r: "all")
        testapp = webtest.TestApp(config.make_wsgi_app())
    assert testapp.get("/r/1").json == {"context": "all"}


class Tenant:
    """A predicate that an application adds."""

    def __init__(self, value, config):
        self.value = value

    def text(self):
        return f"tenant = {self.value}"

    phash = text

    def __call__(self, context, request):
        return request.params.get("tenant") == self.value


def test_predicates_of_the_application_are_those_of_views():
    def configure(**options):
        config = Configurator()
        config.include("pyramid_restproxy")
        config.add_rest_resource("r", "/r", ReadOnly, factory=lambda r: "x", **options)
        return config

    for options in ({"tenant": "a"}, {"views": {"show": {"tenant": "a"}}}):
        config = configure(**options)
        config.add_view_predicate("tenant", Tenant)
        testapp = webtest.TestApp(config.make_wsgi_app())
        assert testapp.get("/r/1?tenant=a").json == {"context": "x"}
        assert testapp.get("/r/1?tenant=b", status=404)
    config = configure(tenant="a")
    config.add_route_predicate("tenant", Tenant)
    with pytest.raises(ConfigurationError, match="Unknown view options"):
        config.commit()


def test_the_decorator_is_found_by_scan():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.scan("tests.unit.routing.scanned")
        testapp = webtest.TestApp(config.make_wsgi_app())
    assert testapp.get("/things").json == {"things": []}
    assert testapp.get("/things/1?x").json == {"id": "1"}
    assert testapp.get("/things/1", status=404)


def test_the_same_resource_twice_is_a_conflict():
    config = Configurator()
    config.include("pyramid_restproxy")
    config.add_rest_resource("r", "/r", ReadOnly)
    config.add_rest_resource("r", "/r", ReadOnly)
    with pytest.raises(ConfigurationConflictError):
        config.commit()


@pytest.mark.parametrize(
    "arguments, options, says",
    [
        (("", "/r", Posts), {}, "expected name and pattern"),
        (("r", None, Posts), {}, "expected name and pattern"),
        (("r", "/r", Posts(None)), {}, "is not a class"),
        (("r", "/r", object), {}, "has none of the methods index"),
        (("r", "/r", Posts), {"views": {"list": {}}}, "names list; there are index"),
    ],
)
def test_what_is_no_resource(arguments, options, says):
    config = Configurator()
    config.include("pyramid_restproxy")
    with pytest.raises(ConfigurationError, match=says):
        config.add_rest_resource(*arguments, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"template": "tests:vectors/page.jinja2"},
        {"representations": ("json", "xml")},
    ],
)
def test_an_action_with_a_renderer_of_its_own_needs_no_template(options):
    views = {"create": {"renderer": "json"}, "delete": {"renderer": "string"}}
    _, testapp = make("r", "/r", ReadWrite, views=views, **options)
    created = testapp.post("/r", headers={"Accept": "application/xml"})
    assert created.content_type == "application/json"
    assert testapp.delete("/r/1").text == "gone"
    assert testapp.get("/r/1", headers={"Accept": "application/xml"}).status_int == 200


def test_an_action_with_a_renderer_of_its_own_has_no_template_of_its_class():
    views = {"create": {"renderer": "json"}}
    _, testapp = make("r", "/r", Pages, views=views)
    assert testapp.post("/r").content_type == "application/json"
    assert "<p>html</p>" in testapp.get("/r/1")


def test_a_template_for_an_action_that_takes_none_is_refused():
    views = {"create": {"renderer": "json", "template": "own.jinja2"}}
    with pytest.raises(ConfigurationExecutionError, match="template= is for views"):
        make("r", "/r", ReadWrite, views=views)


@pytest.mark.parametrize(
    "options, says",
    [
        ({"views": {"show": {"route_name": "x"}}}, "route_name= follows from"),
        ({"views": {"show": {"attr": "x"}}}, "attr= follows from"),
        ({"allowed_methods": "GET"}, "allowed_methods= follows from"),
        ({"views": {"show": "json"}}, "'json' are no view options"),
    ],
)
def test_options_that_follow_from_the_action_are_refused(options, says):
    config = Configurator()
    config.include("pyramid_restproxy")
    with pytest.raises(ConfigurationError, match=says):
        config.add_rest_resource("r", "/r", Posts, **options)
