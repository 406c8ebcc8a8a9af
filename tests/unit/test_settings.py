"""Settings: one table, refused with name and value."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError, ConfigurationExecutionError

from pyramid_restproxy import settings as s


@pytest.mark.parametrize("row", s.SETTINGS, ids=lambda row: row.name)
def test_every_row_has_an_attribute_with_its_default(row):
    assert getattr(s.Settings(), row.attribute) == row.default
    assert row.unit and row.effect


@pytest.mark.parametrize("row", s.BACKEND_OPTIONS, ids=lambda row: row.name)
def test_every_option_of_a_backend_has_an_attribute_with_its_default(row):
    assert getattr(s.BackendSettings(), row.name) == row.default


def test_there_are_no_attributes_without_a_row():
    rows = {row.attribute for row in s.SETTINGS} | {"backend", "transforms"}
    assert {each.name for each in fields(s.Settings)} == rows
    rows = {row.name for row in s.BACKEND_OPTIONS}
    assert {each.name for each in fields(s.BackendSettings)} == rows


@pytest.mark.parametrize(
    "name, raw, value",
    [
        ("representations", "json, xml\n csv", ("json", "xml", "csv")),
        ("representations", ["json"], ("json",)),
        ("advertise_alternates", "Yes", True),
        ("automatic_options", "off", False),
        ("lint", True, True),
        ("override.methods", "put,purge", ("PUT", "PURGE")),
        ("override.peek", "10", 10),
        ("override.headers", "", ()),
        ("backends", "\n a = b \n\n c = d\n", ("a = b", "c = d")),
        ("format_parameter", " format ", "format"),
        ("error_template", None, ""),
    ],
)
def test_values(name, raw, value):
    found = s.parse_settings({f"restproxy.{name}": raw, "pyramid.other": "x"})
    assert getattr(found, name.replace(".", "_")) == value


@pytest.mark.parametrize(
    "name, raw",
    [
        ("errors", "pretty"),
        ("representations", "js(on"),
        ("representations", 7),
        ("advertise_alternates", "perhaps"),
        ("override.methods", "GET"),
        ("override.methods", "POST"),
        ("override.peek", "-1"),
        ("override.peek", "many"),
    ],
)
def test_bad_values_are_named(name, raw):
    with pytest.raises(ConfigurationError) as caught:
        s.parse_settings({f"restproxy.{name}": raw})
    assert f"restproxy.{name} = {raw!r}" in str(caught.value)


@pytest.mark.parametrize("name", ["nope", "override", "backend", "backend.a", "backend.a.nope",  # noqa: E501
                                  "backend.a b.host", "backend..host"])  # fmt: skip
def test_unknown_names_are_refused(name):
    with pytest.raises(ConfigurationError, match="is not a setting"):
        s.parse_settings({f"restproxy.{name}": "x"})


@pytest.mark.parametrize(
    "option, raw, value",
    [
        ("connect_timeout", "0.5", 0.5),
        ("total_timeout", "", None),
        ("total_timeout", "9", 9.0),
        ("host", "own.example:8000", "own.example:8000"),
        ("verify", "true", True),
        ("verify", True, True),
        ("verify", "insecure", False),
        ("verify", "/etc/ca.pem", "/etc/ca.pem"),
        ("cert", "", None),
        ("cert", "a.pem", "a.pem"),
        ("cert", "a.pem key.pem", ("a.pem", "key.pem")),
        ("via_proxy", "http://proxy:3128", "http://proxy:3128"),
        ("via_proxy", "http://u:p@proxy:3128/", "http://u:p@proxy:3128/"),
        ("via_proxy", "http://[::1]:3128", "http://[::1]:3128"),
        ("via_proxy", "", None),
        ("pool_size", "0", 0),
        ("max_fails", "", None),
        ("max_fails", "5", 5),
        ("retry_budget", "0.5", 0.5),
        ("retry_statuses", "502, 503", (502, 503)),
        ("retry_statuses", 503, (503,)),
        ("retry_statuses", [502], (502,)),
        ("affinity", "header:X-Tenant", "header:X-Tenant"),
        ("affinity", "", ""),
        ("probe_path", "/health?deep=1", "/health?deep=1"),
    ],
)
def test_options_of_a_backend(option, raw, value):
    found = s.parse_settings({f"restproxy.backend.users.{option}": raw})
    assert found.backend["users"][option] == value


@pytest.mark.parametrize(
    "option, raw",
    [
        ("connect_timeout", "0"),
        ("connect_timeout", "inf"),
        ("connect_timeout", None),
        ("host", "a b"),
        ("host", ""),
        ("verify", "false"),
        ("verify", False),
        ("cert", "a b c"),
        ("via_proxy", "socks5://u:secret@p"),
        ("via_proxy", "http://p:65536"),
        ("via_proxy", "http://p:0"),
        ("via_proxy", "http://p:x"),
        ("via_proxy", "http://:3128"),
        ("via_proxy", "http://a:1:2"),
        ("via_proxy", "http://p:3128/path"),
        ("retries", "-1"),
        ("retry_budget", "2"),
        ("retry_statuses", "200"),
        ("affinity", "header:"),
        ("probe_path", "health"),
        ("balance", "fastest"),
    ],
)
def test_bad_options_are_named_without_secrets(option, raw):
    with pytest.raises(ConfigurationError, match=option) as caught:
        s.parse_settings({f"restproxy.backend.users.{option}": raw})
    assert "secret" not in str(caught.value)


def test_settings_changed_after_the_include_count():
    config = Configurator()
    config.include("pyramid_restproxy.settings")
    config.registry.settings["restproxy.errors"] = "envelope"
    assert s.settings_of(config.registry).errors == "envelope"
    config.commit()
    assert s.settings_of(config.registry).errors == "envelope"


def test_a_bad_setting_stops_the_start():
    config = Configurator(settings={"restproxy.errors": "pretty"})
    config.include("pyramid_restproxy.settings")
    with pytest.raises(
        ConfigurationExecutionError, match="restproxy.errors = 'pretty'"
    ):
        config.commit()


def test_a_repr_shows_no_password():
    made = s.BackendSettings(via_proxy="http://u:secret@p:1")
    assert "secret" not in repr(made)


@pytest.mark.parametrize("name", ["signing_keys", "sealing_keys"])
def test_a_repr_shows_no_key(name):
    made = s.parse_settings({f"restproxy.{name}": "a hex:5e5e\nb env:B"})
    assert getattr(made, name) == ("a hex:5e5e", "b env:B")
    assert "5e5e" not in repr(made)


@pytest.mark.parametrize(
    "name, meant",
    [
        ("erors", "restproxy.errors"),
        ("backend.users.conect_timeout", "restproxy.backend.NAME.connect_timeout"),
        ("transform.own", "restproxy.transforms.NAME"),
    ],
)
def test_a_name_with_a_mistake_is_told_the_one_that_was_meant(name, meant):
    with pytest.raises(ConfigurationError) as caught:
        s.parse_settings({f"restproxy.{name}": "x"})
    assert f"Did you mean {meant}" in str(caught.value)


@pytest.mark.parametrize(
    "row", [row for row in (*s.SETTINGS, *s.BACKEND_OPTIONS) if row.secret]
)
def test_what_may_hold_a_secret_is_repeated_by_no_error(row):
    refused = ValueError("what is wrong, without the value")

    def cast(value):
        raise refused

    with pytest.raises(ConfigurationError) as caught:
        s.read(replace(row, cast=cast), row.name, "S3CRET")
    assert "S3CRET" not in str(caught.value) and row.name in str(caught.value)


def test_lines_of_transforms_are_lines():
    with pytest.raises(ConfigurationError, match=r"restproxy\.transforms\.x"):
        s.parse_settings({"restproxy.transforms.x": 5})


def test_a_cookie_carries_no_api_key():
    """A browser sends it by itself, so another site could ask with the key."""
    with pytest.raises(ConfigurationError, match=r"api_keys\.header.*cookie"):
        s.parse_settings({"restproxy.api_keys.header": "Cookie"})
