"""What introspectors are told: of every directive, as the docs say, and no secret."""

from __future__ import annotations

import pathlib
import re

import pytest
from pyramid.config import Configurator

from pyramid_restproxy.trust.api_keys import MemoryKeyStore, new_key
from pyramid_restproxy.trust.profiles import BodyProfile

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "introspection.rst"

SECRET = b"this is a secret of 32 bytes ..."
_, HASHED = new_key("mobile")


class Posts:
    def __init__(self, request):
        pass

    def index(self):
        return {}


def add(a: int) -> int:
    """Add."""
    return a


def validator(request, token):
    return None


#: What each directive is given here, and the keys of what is told of it.
DIRECTIVES = {
    "add_representation": (
        ("toml", "application/toml"),
        "restproxy representations",
        {"name", "media_type", "extensions", "aliases", "renderer", "charset"},
    ),
    "add_rest_resource": (
        ("posts", "/posts", Posts),
        "restproxy resources",
        {"name", "pattern", "resource", "actions"},
    ),
    "add_backend": (
        ("b", "http://127.0.0.1:1"),
        "restproxy backends",
        {"name", "destinations", "balance", "read_timeout"},
    ),
    "add_proxy_route": (
        ("r", "/r/*path", "b"),
        "restproxy proxy routes",
        {"name", "pattern", "backend", "allowed_methods", "strip_prefix"},
    ),
    "add_service": (
        ("add", "/srv/add", add),
        "restproxy services",
        {"name", "pattern", "codecs", "service"},
    ),
    "add_service_exception": (
        (KeyError,),
        "restproxy service exceptions",
        {"kind", "name", "status"},
    ),
    "add_service_description": (
        ("/srv/describe",),
        "restproxy services",
        {"name", "pattern", "codecs", "service"},
    ),
    "add_openapi_view": ((), "restproxy openapi", {"path", "title", "version"}),
    "add_api_key": (
        ("mobile", HASHED),
        "restproxy api keys",
        {"name", "routes", "scopes"},
    ),
    "set_api_key_store": ((MemoryKeyStore(),), "restproxy trust", {"kind", "name"}),
    "add_signing_key": (("k", SECRET), "restproxy trust", {"kind", "name"}),
    "add_sealing_key": (("k", SECRET), "restproxy trust", {"kind", "name"}),
    "add_signing_profile": (
        ("own", BodyProfile()),
        "restproxy trust",
        {"kind", "name"},
    ),
    "sign_requests_to": (
        ("signed", "k", SECRET),
        "restproxy trust",
        {"kind", "name", "key", "profile"},
    ),
    "set_token_validator": ((validator,), "restproxy trust", {"kind", "name"}),
    "add_drain": ((), "restproxy operation", {"grace", "timeout"}),
    "add_health_views": ((), "restproxy operation", {"live", "ready_at"}),
    "add_metrics_view": ((), "restproxy operation", {"path"}),
    "add_tracing": ((), "restproxy operation", set()),
}


@pytest.fixture
def config():
    made = Configurator()
    made.include("pyramid_restproxy")
    made.add_backend("signed", "http://127.0.0.1:1")
    made.commit()
    return made


def told(config):
    """Return what is told now: the introspectables, by category and discriminator."""
    return {
        (
            entry["introspectable"].category_name,
            entry["introspectable"].discriminator,
        ): (
            entry["introspectable"],
            entry["related"],
        )
        for name in config.introspector.categories()
        if name.startswith("restproxy ")
        for entry in config.introspector.get_category(name)
    }


def test_no_directive_was_forgotten(config):
    own = {
        name
        for name, (directive, _) in config.registry._directives.items()
        if directive.__module__.startswith("pyramid_restproxy.")
    }
    assert own == DIRECTIVES.keys()


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_every_directive_is_told_of(config, directive, monkeypatch):
    """Most of trust and of operation was not."""
    monkeypatch.setattr("pyramid_restproxy.operation.views.drain_on_sigterm", id)
    arguments, category, keys = DIRECTIVES[directive]
    if directive == "add_proxy_route":
        config.add_backend("b", "http://127.0.0.1:1")
        config.commit()
    before = told(config)
    getattr(config, directive)(*arguments)
    config.commit()
    after = told(config)
    ((intr, related),) = [after[key] for key in after.keys() - before.keys()]
    assert intr.category_name == category
    assert keys <= intr.keys()
    assert "this is a secret" not in f"{intr!r} {intr.title} {dict(intr)!r}"
    kinds = {each.category_name for each in related}
    if directive == "sign_requests_to":
        assert kinds == {"restproxy backends"}
    elif category == "restproxy openapi":
        assert kinds == {"routes"}


def test_the_docs_name_each_category_and_what_is_told_in_it():
    text = PAGE.read_text("utf-8")
    categories = {category for _, category, _ in DIRECTIVES.values()}
    assert {*re.findall(r"``(restproxy [a-z ]+)``", text)} == categories
    for _, category, keys in DIRECTIVES.values():
        if category not in ("restproxy backends", "restproxy operation"):
            assert all(f"``{key}``" in text for key in keys), category
