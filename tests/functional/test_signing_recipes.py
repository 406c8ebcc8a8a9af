"""What docs/trust.rst shows for clients in other languages, run against a gateway."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import textwrap

import pytest
from pyramid.config import Configurator

from pyramid_restproxy.testing import Answer, FakeBackend
from tests import wire

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "trust.rst"
SECRET = bytes(range(32))
BODY = json.dumps({"item": "caf\u00e9 \u2615"}, ensure_ascii=False)


def recipe(language):
    """Return the code block of the page in this language."""
    text = PAGE.read_text("utf-8")
    (block,) = re.findall(rf"\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", text)
    return textwrap.dedent(block)


@pytest.fixture
def served():
    """A gateway that takes signed requests only, and its backend."""
    with FakeBackend(Answer(body=b"taken")) as backend, Configurator() as config:
        config.include("pyramid_restproxy")
        config.add_backend("shop", backend.url)
        config.add_signing_key("team-a", SECRET)
        config.add_proxy_route("orders", "/orders", "shop", signed=True)
        with wire.served(config.make_wsgi_app()) as authority:
            yield authority, backend


def run(command, **environment):
    done = subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(backend):
    (seen,) = backend.requests
    assert (seen.method, seen.target) == ("POST", "/orders?dry=1")
    assert seen.body.decode() == BODY


def test_curl_and_openssl(served, need):
    authority, backend = served
    for program in ("bash", "curl", "openssl", "base64"):
        need(program)
    answer = run(
        ["bash", "-eu", "-c", recipe("bash")],
        key="team-a",
        secret=SECRET.hex(),
        host=authority,
        target="/orders?dry=1",
        type="application/json",
        body=BODY,
    )
    assert answer == "taken"
    check(backend)


CALL = """
const secret = Uint8Array.from(Buffer.from(process.env.secret, 'hex'))
const { url, body } = process.env
signedPost(url, body, 'application/json', 'team-a', secret)
  .then((answer) => answer.text())
  .then((text) => process.stdout.write(text))
"""

#: Node 18 has it as a module only.
PLATFORM = "globalThis.crypto ??= require('node:crypto').webcrypto\n"


def test_javascript(served, need):
    authority, backend = served
    answer = run(
        [need("node"), "-e", PLATFORM + recipe("javascript") + CALL],
        secret=SECRET.hex(),
        url=f"http://{authority}/orders?dry=1",
        body=BODY,
    )
    assert answer == "taken"
    check(backend)
