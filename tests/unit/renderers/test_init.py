from __future__ import annotations

import subprocess
import sys

import pytest
from pyramid.interfaces import IRendererFactory

from pyramid_restproxy.renderers import BUILTIN

NAMES = [
    "rest_json",
    "xml",
    "csv",
    "yaml",
    "msgpack",
    "cbor",
    "xlsx",
    "pdf",
    "no_content",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_renderer_is_registered(config, name):
    assert config.registry.queryUtility(IRendererFactory, name=name)


def test_the_builtin_representations_in_server_order():
    assert [each.name for each in BUILTIN] == [
        "html",
        "json",
        "xml",
        "csv",
        "yaml",
        "msgpack",
        "cbor",
        "xlsx",
        "pdf",
    ]


def test_media_types_and_extensions_are_unambiguous():
    types = [t for each in BUILTIN for t in (each.media_type, *each.aliases)]
    extensions = [extension for each in BUILTIN for extension in each.extensions]
    assert len(set(types)) == len(types)
    assert len(set(extensions)) == len(extensions)


def test_what_is_rendered_from_a_template():
    assert [each.name for each in BUILTIN if each.template] == ["html", "pdf"]


@pytest.mark.parametrize("row", BUILTIN[1:], ids=lambda row: row.name)
def test_a_renderer_sends_the_content_type_of_its_row(row, render, request_):
    value = "<p>x" if row.template else [{"a": 1}]
    assert type(render(row.renderer, value)) is bytes
    sent = request_.response.headers["Content-Type"]
    assert sent == row.content_type(row.media_type)


@pytest.mark.parametrize("row", BUILTIN[1:], ids=lambda row: row.name)
def test_a_renderer_works_without_a_request(row, render):
    assert render(row.renderer, "<p>x" if row.template else [{"a": 1}], request=None)


def test_no_library_is_imported_with_the_package():
    libraries = {"yaml", "msgpack", "cbor2", "xlsxwriter", "plutoprint"}
    program = (
        "import sys, pyramid_restproxy.renderers; "
        f"print(sorted({libraries!r} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True
    )
    assert ran.stdout.strip() == b"[]"
