from __future__ import annotations

import sys

import pytest
from pyramid.interfaces import IRendererFactory
from pyramid.response import Response

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.renderers.base import RendererFactory, set_content_type

LIBRARIES = [
    # renderer, module, package, extra
    ("yaml", "yaml", "PyYAML", "yaml"),
    ("msgpack", "msgpack", "msgpack", "msgpack"),
    ("cbor", "cbor2", "cbor2", "cbor"),
    ("xlsx", "xlsxwriter", "xlsxwriter", "xlsx"),
    ("pdf", "plutoprint", "plutoprint", "pdf"),
]


@pytest.mark.parametrize(("name", "module", "package", "extra"), LIBRARIES)
def test_a_missing_library_is_named_with_its_extra(
    config, monkeypatch, name, module, package, extra
):
    factory = config.registry.getUtility(IRendererFactory, name=name)
    factory.require("a view")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"^a view needs the package") as caught:
        factory.require("a view")
    assert (caught.value.package, caught.value.extra) == (package, extra)


def test_making_a_renderer_requires_the_library(render, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtra, match="renderer 'yaml' needs the package"):
        render("yaml", {})


@pytest.mark.parametrize("name", ["rest_json", "xml", "csv", "no_content"])
def test_formats_of_the_standard_library_require_nothing(config, name):
    config.registry.getUtility(IRendererFactory, name=name).require("a view")


def test_the_base_writes_nothing_itself():
    with pytest.raises(NotImplementedError):
        RendererFactory().encode(None, None, None)


def test_the_content_type_of_the_view_stays():
    response = Response(content_type="text/calendar")
    set_content_type(response, "text/csv; charset=UTF-8")
    assert response.headers["Content-Type"] == "text/calendar; charset=UTF-8"


def test_the_default_content_type_is_replaced():
    response = Response()
    set_content_type(response, "application/cbor")
    assert response.headers["Content-Type"] == "application/cbor"
