from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator

from pyramid_restproxy import delete_form, method_field


def test_a_hidden_field():
    assert method_field("put") == '<input type="hidden" name="_method" value="PUT">'
    assert 'name="do"' in method_field("PUT", "do")


def test_everything_is_escaped():
    made = delete_form(
        '/a"><script>', "<b>", csrf_token='"', confirm="'\"", fields={"<": ">"}
    )
    assert "<script>" not in made and "<b>" not in made and 'value=">' not in made


def test_a_form_that_deletes():
    made = delete_form(
        "/posts/1",
        csrf_token="tok",
        confirm="Sure?",
        remove="article",
        describe="Delete One",
        fields={"a": "b"},
    )
    assert made == (
        '<form method="post" action="/posts/1" class="rest-delete" data-rest'
        ' data-rest-confirm="Sure?" data-rest-remove="article">'
        '<input type="hidden" name="_method" value="DELETE">'
        '<input type="hidden" name="csrf_token" value="tok">'
        '<input type="hidden" name="a" value="b">'
        '<button type="submit" aria-label="Delete One">Delete</button></form>'
    )


def test_jinja2_knows_the_helpers_and_does_not_escape_them(tmp_path):
    (tmp_path / "t.jinja2").write_text(
        "{{ method_field('PUT') }}{{ delete_form('/x') }}"
    )
    with Configurator() as config:
        config.include("pyramid_jinja2")
        config.include("pyramid_restproxy")
        config.add_jinja2_search_path(str(tmp_path))
        config.add_route("r", "/r")
        config.add_view(lambda r: {}, route_name="r", renderer="t.jinja2")
        testapp = webtest.TestApp(config.make_wsgi_app())
    assert testapp.get("/r").text.startswith('<input type="hidden"')
    assert "<form" in testapp.get("/r").text


@pytest.mark.parametrize(
    "parts",
    [("pyramid_jinja2", "pyramid_restproxy"), ("pyramid_restproxy", "pyramid_jinja2")],
    ids=["jinja2 first", "jinja2 last"],
)
@pytest.mark.parametrize("kind", ["jinja2", "html"])
def test_jinja2_may_be_included_before_and_after(tmp_path, parts, kind):
    """With jinja2 last, the application did not start."""
    (tmp_path / f"t.{kind}").write_text("{{ delete_form('/x') }}")
    config = Configurator()
    for part in parts:
        config.include(part)
    config.add_jinja2_renderer(".html")
    config.add_jinja2_search_path(str(tmp_path), name=f".{kind}")
    config.add_route("r", "/r")
    config.add_view(lambda r: {}, route_name="r", renderer=f"t.{kind}")
    testapp = webtest.TestApp(config.make_wsgi_app())
    assert testapp.get("/r").text.startswith("<form method")


@pytest.mark.parametrize(
    "parts",
    [("pyramid_jinja2", "pyramid_restproxy"), ("pyramid_restproxy", "pyramid_jinja2")],
    ids=["jinja2 first", "jinja2 last"],
)
def test_templates_know_the_helpers_without_an_application(parts):
    config = Configurator()
    for part in parts:
        config.include(part)
    config.commit()
    assert config.get_jinja2_environment().globals["method_field"] is method_field
