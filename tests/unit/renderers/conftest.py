"""Fixtures of the renderers' tests: a configured registry, and rendering by name."""

from __future__ import annotations

import pytest
from pyramid import testing
from pyramid.renderers import RendererHelper


@pytest.fixture
def config():
    with testing.testConfig() as config:
        config.add_renderer("json", "pyramid.renderers.json_renderer_factory")
        config.include("pyramid_restproxy.renderers")
        yield config


@pytest.fixture
def request_(config):
    return testing.DummyRequest()


@pytest.fixture
def render(config, request_):
    """Render a value by the renderer of that name, for ``request_``."""

    def render(name, value, request=request_):
        helper = RendererHelper(name, registry=config.registry)
        return helper.renderer(value, {"request": request})

    return render
