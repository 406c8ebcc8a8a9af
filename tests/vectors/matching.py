"""How a vector of rest.json is sent and how its expectations are read.

Header matchers are those of the test kit, and ``=GET``: the same as for GET.
"""

from __future__ import annotations

import io
import json
from typing import Any
from xml.etree import ElementTree

from webob import Request

from pyramid_restproxy.testing.behaviours import check_keys
from pyramid_restproxy.testing.vectors import value_fits
from tests.vectors.rest_app import Probe


class CountingInput:
    """A body that cannot be rewound and counts what is read of it."""

    def __init__(self, body: bytes) -> None:
        self._body = io.BytesIO(body)
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        piece = self._body.read(size)
        self.count += len(piece)
        return piece

    def readline(self, size: int = -1) -> bytes:
        line = self._body.readline(size)
        self.count += len(line)
        return line

    def __iter__(self):
        return iter(self.readline, b"")


def body_bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, dict):
        check_keys(body, ["repeat", "times"], "body")
        return body["repeat"].encode("utf-8") * body["times"]
    return body.encode("utf-8")


def send(app, spec: dict[str, Any]):
    """Send a vector's request; return the response and what was seen inside.

    :raises ValueError: for a key that is not known.
    """
    check_keys(spec, ["method", "path", "headers", "body"], "request")
    body = body_bytes(spec.get("body"))
    environ = Request.blank(spec["path"], method=spec["method"]).environ
    environ.pop("CONTENT_LENGTH", None)
    for name, value in (spec.get("headers") or {}).items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    environ["webob.is_body_seekable"] = False
    environ["wsgi.input"] = environ["counting.input"] = CountingInput(body)
    environ["probe"] = Probe()
    return Request(environ).get_response(app), environ["probe"]


def check_headers(response, expected: dict[str, Any], same_as) -> None:
    for name, wanted in expected.items():
        if wanted == "=GET":
            wanted = same_as().headers.get(name)
        value = response.headers.get(name)
        assert value_fits(value, wanted), f"{name}: {value!r}, expected {wanted!r}"


def check_body(response, body_class: str) -> None:
    if body_class == "empty":
        assert response.body == b""
    elif body_class == "html":
        assert b"<!doctype html>" in response.body.lower()
    elif body_class == "json":
        json.loads(response.body)
    elif body_class == "xml":
        ElementTree.fromstring(response.body)
    elif body_class == "problem":
        document = json.loads(response.body)
        assert document["status"] == response.status_int
        assert {"type", "title", "instance"} <= set(document)
        assert "secret" not in response.text and "Traceback" not in response.text
    elif body_class == "problem-xml":
        root = ElementTree.fromstring(response.body)
        assert root.tag == "{urn:ietf:rfc:7807}problem"
    else:
        raise ValueError(f"unknown body_class {body_class!r}")
