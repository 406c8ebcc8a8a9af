"""Signing what requests sends."""

from __future__ import annotations

import io
import os
from typing import NamedTuple

import pytest
import requests
from pyramid.exceptions import ConfigurationError
from requests.adapters import BaseAdapter
from requests.exceptions import InvalidURL, UnrewindableBodyError

from pyramid_restproxy.testing import Answer, FakeBackend
from pyramid_restproxy.trust.hmac_auth import HMACAuth, body_pieces, prepared_parts
from pyramid_restproxy.trust.keys import Key, KeyRing
from pyramid_restproxy.trust.profiles import (
    BodyProfile,
    RequestProfile,
    WebhookProfile,
)
from pyramid_restproxy.trust.rfc9421 import MessageProfile
from pyramid_restproxy.trust.signing import verify

from .conftest import NOW

SECRET = "a shared secret of some length"
RING = KeyRing([Key("app", SECRET.encode())])


@pytest.mark.parametrize(
    "secret",
    ["hex:" + SECRET.encode().hex(), "env:HMAC_SECRET", "file:secret", SECRET.encode()],
)
def test_a_secret_is_read_as_settings_read_it(secret, monkeypatch, tmp_path):
    """It was taken for the secret itself, and every request was a 401."""
    monkeypatch.setenv("HMAC_SECRET", "hex:" + SECRET.encode().hex())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("hex:" + SECRET.encode().hex())
    sent = send(HMACAuth("app", secret, clock=lambda: NOW), data=b"x")
    assert check(sent, RequestProfile()).key_id == "app"


@pytest.mark.parametrize("secret", ["base64:s3cr*t", "hex:00", "env:NOT_THERE"])
def test_a_secret_that_cannot_be_read(secret):
    with pytest.raises(ConfigurationError, match="HMACAuth: ") as caught:
        HMACAuth("app", secret)
    assert "s3cr*t" not in str(caught.value)


class Sent(NamedTuple):
    """What the transport was given, and the body that it read."""

    prepared: requests.PreparedRequest
    body: bytes


class Recorder(BaseAdapter):
    """A transport that answers nothing and remembers."""

    def send(self, request, **options):
        body = request.body or b""
        if hasattr(body, "read"):
            body = body.read()
        self.sent = Sent(request, body.encode() if isinstance(body, str) else body)
        response = requests.Response()
        response.status_code, response.request = 204, request
        response.raw, response.url = io.BytesIO(), request.url
        return response

    def close(self):
        pass


def send(auth, method="POST", url="http://User:pw@Host.example:80/a%20b?x=1", **body):
    with requests.Session() as session:
        session.trust_env = False
        recorder = Recorder()
        session.mount("http://", recorder)
        session.mount("http+unix://", recorder)
        session.request(method, url, auth=auth, **body)
    return recorder.sent


def check(sent, profile):
    return verify(profile, prepared_parts(sent.prepared), [sent.body], RING, NOW)


@pytest.mark.parametrize(
    "profile",
    [BodyProfile(), RequestProfile(), WebhookProfile(), MessageProfile()],
    ids=lambda profile: profile.name,
)
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"data": b"bytes"},
        {"data": "text \u20ac"},
        {"data": bytearray(b"array")},
        {"data": {"a": "form"}},
        {"json": {"a": 1}},
        {"files": {"f": ("f.txt", b"file")}},
    ],
    ids=str,
)
def test_what_a_session_sends_verifies(profile, body):
    sent = send(HMACAuth("app", SECRET, profile, lambda: NOW), **body)
    assert check(sent, profile).key_id == "app"


def test_the_default_profile_covers_the_request():
    sent = send(HMACAuth("app", SECRET.encode(), clock=lambda: NOW), data=b"x")
    parts = prepared_parts(sent.prepared)
    assert (parts.target, parts.host) == ("/a%20b?x=1", "host.example")
    assert check(sent, RequestProfile()).created == NOW


def test_the_clock_is_that_of_the_machine_unless_another_is_given():
    sent = send(HMACAuth("app", SECRET))
    created = int(sent.prepared.headers["X-Signature"].split("created=")[1][:10])
    assert created > NOW - 10**9


def test_a_file_is_sent_from_where_it_was(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b"skipped" + b"x" * 100_000)
    with path.open("rb") as file:
        file.seek(7)
        sent = send(HMACAuth("app", SECRET, clock=lambda: NOW), data=file)
    assert sent.body == b"x" * 100_000
    assert sent.prepared.headers["Content-Length"] == "100000"
    assert check(sent, RequestProfile())


def test_text_files_and_lists_are_read_as_they_are_sent():
    assert b"".join(body_pieces(io.StringIO("\u20ac"))) == "\u20ac".encode()
    assert list(body_pieces([b"a", "b"])) == [b"a", b"b"]
    assert list(body_pieces(memoryview(b"a"))) == [b"a"]
    assert list(body_pieces(None)) == []


def test_a_body_that_is_read_only_once_is_not_signed():
    auth = HMACAuth("app", SECRET)
    with pytest.raises(UnrewindableBodyError, match="generator"):
        send(auth, data=(piece for piece in [b"a"]))
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read, "rb") as pipe, pytest.raises(UnrewindableBodyError):
        list(body_pieces(pipe))


def test_the_host_is_the_one_that_is_sent():
    def parts(url, **headers):
        return prepared_parts(requests.Request("GET", url, headers=headers).prepare())

    assert parts("http://h/x", Host="other").authority == "other"
    assert parts("http+unix://%2Fsocket/x").authority == "localhost"
    assert parts("http://h/x", X=b"\xe9").value("x") == "\xe9"


def test_an_empty_request_cannot_be_signed():
    with pytest.raises(InvalidURL):
        HMACAuth("app", SECRET)(requests.PreparedRequest())


def test_the_secret_is_not_shown():
    assert SECRET not in repr(HMACAuth("app", SECRET))
    assert "app" in repr(HMACAuth("app", SECRET))


@pytest.mark.parametrize("elsewhere", [True, False])
def test_another_host_does_not_get_the_signature(elsewhere):
    """One that is over the body alone could be used again."""

    def first(request):
        if request.target != "/first":
            return Answer(200)
        at = second.url if elsewhere else ""
        return Answer(307, [("Location", f"{at}/next")])

    with FakeBackend(first) as server, FakeBackend(Answer(200)) as second:
        auth = HMACAuth("app", SECRET, BodyProfile())
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(f"{server.url}/first", data=b"x", auth=auth)
        last = second.requests[-1] if elsewhere else server.requests[-1]
    assert answer.status_code == 200
    assert (last.target, last.body) == ("/next", b"x")
    assert bool(last.header("X-MY-APP-HMAC")) is not elsewhere
