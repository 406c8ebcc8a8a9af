"""The directive for backends."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import (
    ConfigurationConflictError,
    ConfigurationError,
    ConfigurationExecutionError,
)
from requests.adapters import HTTPAdapter

from pyramid_restproxy.forwarding.model import IGateway
from pyramid_restproxy.forwarding.wire import KeepAliveAdapter


def backends(config):
    return config.registry.getUtility(IGateway).backends


def test_a_backend(config):
    config.add_backend("users", ["http://a:1", "http://b:2"], read_timeout=7)
    config.commit()
    found = backends(config)["users"]
    assert [each.url for each in found.endpoints] == ["http://a:1", "http://b:2"]
    assert found.options.read_timeout == 7
    assert isinstance(found.adapter, KeepAliveAdapter)


def test_settings_are_defaults_and_arguments_win():
    settings = {
        "restproxy.backend.users.read_timeout": "3",
        "restproxy.backend.users.connect_timeout": "2",
    }
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy.forwarding")
        config.add_backend("users", "http://a", read_timeout=9)
    options = backends(config)["users"].options
    assert (options.connect_timeout, options.read_timeout) == (2, 9)


def test_another_adapter(config):
    adapter = HTTPAdapter()
    config.add_backend("users", "http://a", adapter=adapter)
    config.commit()
    assert backends(config)["users"].adapter is adapter


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("", "http://a"), "a name is letters"),
        (("a b", "http://a"), "a name is letters"),
        ((None, "http://a"), "a name is letters"),
        (("users", []), "expected a URL"),
        (("users", 7), "expected a URL"),
        (("users", ["ftp://a"]), "must begin"),
    ],
)
def test_what_is_no_backend(config, arguments, says):
    with pytest.raises(ConfigurationError, match=says):
        config.add_backend(*arguments)


@pytest.mark.parametrize(
    "options, says",
    [
        ({"read_timout": 3}, "unknown options read_timout"),
        ({"read_timeout": -1}, "read_timeout"),
        ({"verify": False}, "insecure"),
        ({"adapter": object()}, "not a requests transport adapter"),
        ({"via_proxy": "ftp://u:secret@p"}, "via_proxy"),
    ],
)
def test_options_that_make_no_sense(config, options, says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        config.add_backend("users", "http://a", **options)
    assert "secret" not in str(caught.value)


def test_the_same_backend_twice_is_a_conflict(config):
    config.add_backend("users", "http://a")
    config.add_backend("users", "http://b")
    with pytest.raises(ConfigurationConflictError):
        config.commit()


def test_the_application_overrides_what_an_include_adds(config):
    config.include(lambda inner: inner.add_backend("users", "http://included"))
    config.add_backend("users", "http://own")
    config.commit()
    assert backends(config)["users"].endpoints[0].url == "http://own"


def test_introspectables_tell_everything_but_secrets(config):
    config.add_backend("users", "http://a", via_proxy="http://u:secret@proxy:1")
    config.add_proxy_route("u", "/u/*path", "users", allowed_methods="GET")
    config.commit()
    introspector = config.introspector
    backend = introspector.get("restproxy backends", "users")
    assert backend["destinations"] == ["http://a"]
    assert backend.title == "users -> http://a"
    assert "secret" not in repr(dict(backend))
    route = introspector.get("restproxy proxy routes", "u")
    assert (route["backend"], route["allowed_methods"]) == ("users", "GET")
    related = {
        (each.category_name, each.discriminator) for each in introspector.related(route)
    }
    assert related == {("routes", "u"), ("restproxy backends", "users")}


@pytest.mark.parametrize("option", ["verify", "cert"])
def test_a_certificate_is_read_when_the_application_is_made(config, option, tmp_path):
    config.add_backend("users", "https://a", **{option: str(tmp_path / "none.pem")})
    with pytest.raises(ConfigurationExecutionError, match=f"{option}=.*No such file"):
        config.commit()


def test_what_another_adapter_does_with_certificates_is_its_own(config):
    config.add_backend("users", "https://a", adapter=HTTPAdapter(), verify="/none")
    config.commit()


def test_a_network_that_is_none_is_refused():
    with Configurator(settings={"restproxy.trusted_proxies": "x"}) as config:
        config.include("pyramid_restproxy.forwarding")
        with pytest.raises(ConfigurationExecutionError, match="trusted_proxies"):
            config.commit()
