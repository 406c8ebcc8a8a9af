from __future__ import annotations

import json
from datetime import date

import pytest
from pyramid.interfaces import IRendererFactory
from pyramid.renderers import JSON


class Adapted:
    pass


class Endless:
    def __json__(self, request):
        return [Endless()]


def test_json_in_utf_8(render):
    assert json.loads(render("rest_json", {"a": "é"})) == {"a": "é"}


def test_dates_need_no_adapter(render):
    assert render("rest_json", [date(2026, 1, 2)]) == b'["2026-01-02"]'


def test_options_serializer_and_adapters_of_the_application(config, render):
    def serializer(value, default, **kw):
        return "serialized " + json.dumps(value, default=default, **kw)

    renderer = JSON(serializer, indent=1, ensure_ascii=False)
    renderer.add_adapter(Adapted, lambda obj, request: request.method)
    config.add_renderer("json", renderer)
    found = render("rest_json", [Adapted(), "é"])
    assert found.decode() == 'serialized [\n "GET",\n "é"\n]'


def test_a_serializer_that_returns_bytes(config, render):
    config.add_renderer("json", JSON(lambda value, default: b"bytes"))
    assert render("rest_json", 1) == b"bytes"


def test_another_renderer_is_asked_instead(config, render, request_):
    def factory(info):
        def renderer(value, system):
            system["request"].response.content_type = "application/json"
            return f"{info.name} {value}"

        return renderer

    config.add_renderer("json", factory)
    assert render("rest_json", 1) == b"rest_json 1"


def test_an_application_without_a_json_renderer(config, render):
    registry = config.registry
    ours = registry.getUtility(IRendererFactory, name="json")
    registry.unregisterUtility(ours, IRendererFactory, name="json")
    assert render("rest_json", {"a": date(2026, 1, 2)}) == b'{"a": "2026-01-02"}'


def test_an_object_that_never_ends(render):
    with pytest.raises(ValueError, match="levels deep"):
        render("rest_json", Endless())
