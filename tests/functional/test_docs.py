"""The documentation builds without a warning, and README's examples work."""

from __future__ import annotations

import importlib
import pathlib
import re
import subprocess
import sys
import textwrap

import webtest
from pyramid.config import Configurator
from pyramid.paster import get_app

from pyramid_restproxy.testing import FakeBackend

ROOT = pathlib.Path(__file__).parents[2]


def test_the_docs_build_without_a_warning(tmp_path):
    command = [sys.executable, "-W", "ignore", "-m", "sphinx", "-W", "-E", "-q"]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "settings.html").exists()


def test_the_readme_is_valid_restructured_text():
    from docutils.core import publish_doctree

    text = (ROOT / "README.rst").read_text("utf-8")
    settings = {"report_level": 2, "halt_level": 2}
    publish_doctree(text, settings_overrides=settings)


# -- what README.rst shows, run -------------------------------------------------------


HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


def examples(language):
    """Return the code blocks of README.rst in this language."""
    text = (ROOT / "README.rst").read_text("utf-8")
    blocks = re.findall(rf"\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", text)
    return [textwrap.dedent(block) for block in blocks]


def test_the_routing_of_the_readme(monkeypatch, tmp_path):
    routing = examples("python")[0]
    (tmp_path / "post.jinja2").write_text("<p>{{ post }}</p>")
    monkeypatch.syspath_prepend(tmp_path)
    with FakeBackend(HELLO) as backend:
        routing = routing.replace("http://127.0.0.1:8001", backend.url)
        (tmp_path / "blog.py").write_text("POSTS = {'1': 'first'}\n" + routing)
        app = webtest.TestApp(importlib.import_module("blog").app)
        assert app.get("/posts/1", headers={"Accept": "text/html"}).text == (
            "<p>first</p>"
        )
        assert app.get("/posts/1.json").json == {"post": "first"}
        refused = app.put("/posts/1", status=405)
        assert refused.headers["Allow"] == "GET, HEAD, DELETE, OPTIONS"
        assert app.get("/posts/1", headers={"Accept": "image/png"}, status=406)
        assert app.get("/api/users/7").text == "hello"
    app.post("/posts/1", {"_method": "DELETE"}, status=204)


BEFORE = """
from pyramid.config import Configurator
from pyramid.view import view_config
from pyramid_restproxy.trust.api_keys import new_key
from pyramid_restproxy.trust.identity import Identity

hashed = new_key("mobile")[1]
config = Configurator()
config.include("pyramid_restproxy")
config.add_backend("users", "http://127.0.0.1:9")
config.add_route("report", "/report")
config.set_token_validator(lambda request, token: Identity("ann"))
"""
AFTER = """
config.scan(__name__)
app = config.make_wsgi_app()
"""


def test_the_trust_of_the_readme(monkeypatch, tmp_path):
    (tmp_path / "trusted.py").write_text(BEFORE + examples("python")[1] + AFTER)
    monkeypatch.syspath_prepend(tmp_path)
    app = webtest.TestApp(importlib.import_module("trusted").app)
    app.get("/api/orders/1", status=401)
    app.get("/report", status=401)
    assert app.get("/report", headers={"User-Token": "t"}).json == {"for": "ann"}


def test_the_gateway_of_the_readme(tmp_path):
    with FakeBackend(HELLO) as one, FakeBackend(HELLO) as two, FakeBackend(HELLO) as s:
        text = examples("ini")[0]
        for port, backend in ((8001, one), (8002, two), (8003, s)):
            text = text.replace(f"http://127.0.0.1:{port}", backend.url)
        (tmp_path / "gateway.ini").write_text(text)
        app = webtest.TestApp(get_app(str(tmp_path / "gateway.ini")))
        assert app.get("/api/users/1").text == "hello"
        assert app.get("/api/users/1").text == "hello"
        assert app.get("/cart").text == "hello"
        app.delete("/api/users/1", status=405)
        assert [len(each.requests) for each in (one, two, s)] == [1, 1, 1]


def test_the_service_of_the_readme():
    config = Configurator()
    config.include("pyramid_restproxy")
    exec(examples("python")[2], {"config": config})
    app = webtest.TestApp(config.make_wsgi_app())
    assert app.post_json("/srv/add", {"a": 1, "b": 2}).json == 3
