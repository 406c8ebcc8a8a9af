"""The directives of operation, and the gateway of settings that uses them."""

from __future__ import annotations

import pytest
import webtest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.response import Response

from pyramid_restproxy import gateway
from pyramid_restproxy.operation import views
from pyramid_restproxy.operation.drain import IDrain


def test_health_views_need_no_permission():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_health_views("/up", "/go")
        config.set_default_permission("nobody")
        app = webtest.TestApp(config.make_wsgi_app())
    assert app.get("/up").text == "alive\n"
    assert app.get("/go").text == "ready\n"
    assert app.get("/go").headers["Cache-Control"] == "no-store"
    app.post("/go", status=405)


@pytest.mark.parametrize("directive", ["add_health_views", "add_metrics_view"])
def test_paths_are_checked(directive):
    config = Configurator()
    config.include("pyramid_restproxy")
    with pytest.raises(ConfigurationError, match="begins with"):
        getattr(config, directive)("up")


@pytest.mark.parametrize("options", [{"grace": -1}, {"timeout": "5"}])
def test_times_are_checked(options):
    config = Configurator()
    config.include("pyramid_restproxy")
    with pytest.raises(ConfigurationError, match="zero or more seconds"):
        config.add_drain(**options)


def test_metrics_may_need_a_permission():
    class Nobody:
        def permits(self, request, context, permission):
            return permission != "operate"

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.set_security_policy(Nobody())
        config.add_metrics_view("/m", permission="operate")
        app = webtest.TestApp(config.make_wsgi_app())
    app.get("/m", status=403)


def test_the_gateway_of_settings(monkeypatch):
    monkeypatch.setattr(views, "drain_on_sigterm", lambda drain: None)
    wsgi = gateway.main(
        {},
        **{
            "restproxy.backends": "b = http://127.0.0.1:9",
            "restproxy.routes": "/*path -> b rate_limit=1/minute",
            "restproxy.health_views": "true",
            "restproxy.metrics_path": "/metrics",
            "restproxy.drain.grace": "2",
        },
    )
    app = webtest.TestApp(wsgi)
    app.get("/health/ready")
    app.get("/metrics")
    app.get("/x", status=502)
    app.get("/x", status=429)
    assert wsgi.registry.getUtility(IDrain).grace == 2


def test_health_views_below_a_prefix_are_the_ones_that_are_exempt():
    settings = {"restproxy.allowed_hosts": "good.example"}
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")
        config.include(lambda inner: inner.add_health_views(), route_prefix="/ops")
        config.add_route("own", "/health/live")
        config.add_view(lambda request: Response("own"), route_name="own")
        client = webtest.TestApp(config.make_wsgi_app())
    probe = {"HTTP_HOST": "10.0.0.1"}
    assert client.get("/ops/health/live", extra_environ=probe).text == "alive\n"
    client.get("/health/live", extra_environ=probe, status=421)


def test_what_operation_was_given_can_be_looked_at():
    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_metrics_view("/m")
    told = config.introspector.get("restproxy operation", "metrics")
    assert dict(told) == {"path": "/m"}
