"""Keys of who makes tokens."""

from __future__ import annotations

import json
import logging
import sys
import threading

import pytest
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from pyramid.exceptions import ConfigurationError

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.testing import Answer, FakeBackend, FaultBackend
from pyramid_restproxy.trust.jwks import (
    MAX_KEYS,
    MAX_SIZE,
    FromURL,
    KeySource,
    KeysUnavailable,
    from_file,
    parse_keys,
    pick,
)


def ec(kid, **more):
    return ECKey.generate_key("P-256", {"kid": kid, **more})


FIRST, SECOND = ec("first"), ec("second")
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
SECRET = OctKey.import_key("s" * 32, {"kid": "oct"})


def written(*keys):
    return json.dumps(KeySet(list(keys)).as_dict()).encode()


def kids(keys):
    return [key.kid for key in keys]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class Loads:
    """What gives key sets, or fails; it counts."""

    def __init__(self, *found):
        self.found = list(found)
        self.count = 0

    def __call__(self):
        self.count += 1
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, BaseException):
            raise found
        return found


@pytest.fixture
def clock():
    return Clock()


# -- reading -------------------------------------------------------------------------


def test_a_set():
    assert kids(parse_keys(written(FIRST, RSA))) == ["first", "rsa"]


def test_keys_that_cannot_be_used_are_left_out(caplog):
    good = FIRST.as_dict()
    others = [
        7,
        {},
        {"kty": "PQ"},
        {"kty": "RSA", "n": "!", "e": "AQAB", "kid": "s3cret"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC"},
        ec("enc", use="enc").as_dict(),
    ]
    content = json.dumps({"keys": [*others, good]}).encode()
    assert kids(parse_keys(content)) == ["first"]
    assert "cannot be read" in caplog.text and "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [{"kty": "PQ"}]}',
        b"[" * 100_000,
        b" " * (MAX_SIZE + 1),
    ],
)
def test_what_is_no_set(content):
    with pytest.raises(ValueError):
        parse_keys(content)


def test_a_set_of_very_many_keys():
    data = FIRST.as_dict()
    found = parse_keys(json.dumps({"keys": [data] * (MAX_KEYS + 1)}).encode())
    assert len(found) == MAX_KEYS


# -- picking -------------------------------------------------------------------------


def test_the_key_with_the_id():
    keys = [FIRST, SECOND, RSA]
    assert pick(keys, "second", "ES256") is SECOND
    assert pick(keys, "third", "ES256") is None


@pytest.mark.parametrize(
    "kid, algorithm, found",
    [
        ("rsa", "RS256", RSA),
        ("rsa", "PS512", RSA),
        ("rsa", "HS256", None),
        ("rsa", "ES256", None),
        ("oct", "HS256", SECRET),
        ("oct", "RS256", None),
        ("rsa", "none", None),
    ],
)
def test_the_type_of_the_key_must_fit(kid, algorithm, found):
    assert pick([RSA, SECRET], kid, algorithm) is found


def test_a_key_for_one_algorithm():
    key = RSAKey.generate_key(2048, {"kid": "k", "alg": "RS512"})
    assert pick([key], "k", "RS256") is None
    assert pick([key], "k", "RS512") is key


def test_without_an_id_there_must_be_no_choice():
    assert pick([RSA, FIRST], None, "ES256") is FIRST
    assert pick([FIRST, SECOND], None, "ES256") is None
    assert pick([], None, "ES256") is None


# -- keeping -------------------------------------------------------------------------


def test_keys_are_loaded_when_they_are_wanted(clock):
    loads = Loads(written(FIRST))
    source = KeySource(loads, clock=clock)
    assert loads.count == 0
    for _ in range(3):
        assert source.find("first", "ES256").kid == "first"
    assert loads.count == 1


def test_new_keys_are_seen_after_a_time(clock):
    loads = Loads(written(FIRST), written(SECOND))
    source = KeySource(loads, refresh=300, clock=clock)
    source.find("first", "ES256")
    clock.now = 301
    assert source.find("first", "ES256") is None  # it was taken away
    assert source.find("second", "ES256")


def test_a_key_that_is_not_there_is_looked_for_now_and_then(clock):
    loads = Loads(written(FIRST), written(FIRST), written(FIRST, SECOND))
    source = KeySource(loads, min_interval=30, clock=clock)
    source.find("first", "ES256")
    for number in range(100):
        assert source.find(f"made up {number}", "ES256") is None
    assert loads.count == 1
    clock.now = 30
    for number in range(100):
        assert source.find(f"made up {number}", "ES256") is None
    assert loads.count == 2
    clock.now = 60
    assert source.find("second", "ES256")
    assert loads.count == 3


def test_keys_are_used_for_a_while_where_new_ones_cannot_be_had(clock, caplog):
    loads = Loads(written(FIRST), OSError("away"))
    source = KeySource(loads, refresh=300, max_age=3600, min_interval=30, clock=clock)
    source.find("first", "ES256")
    clock.now = 301
    with caplog.at_level(logging.WARNING):
        assert source.find("first", "ES256")
    assert "cannot be loaded" in caplog.text
    assert source.find("first", "ES256")
    assert loads.count == 2  # not for each request
    clock.now = 3601
    with pytest.raises(KeysUnavailable):
        source.find("first", "ES256")
    assert loads.count == 3


@pytest.mark.parametrize("error", [OSError("away"), ValueError("no set")])
def test_no_keys_at_all(clock, error):
    source = KeySource(Loads(error, written(FIRST)), clock=clock)
    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            source.find("first", "ES256")
    clock.now = 30
    assert source.find("first", "ES256")


def test_a_set_that_became_bad_does_not_take_keys_away(clock):
    source = KeySource(Loads(written(FIRST), b"<html>"), refresh=300, clock=clock)
    source.find("first", "ES256")
    clock.now = 301
    assert source.find("first", "ES256")


def test_one_loads_the_others_use_what_is_there(clock):
    begun, go_on = threading.Event(), threading.Event()
    sets = [written(FIRST), written(SECOND)]

    def load():
        if len(sets) == 1:
            begun.set()
            assert go_on.wait(10)
        return sets.pop(0)

    source = KeySource(load, refresh=300, clock=clock)
    source.find("first", "ES256")
    clock.now = 301
    loading = threading.Thread(target=source.find, args=("second", "ES256"))
    loading.start()
    assert begun.wait(10)
    assert source.find("first", "ES256")  # while another loads
    assert source.find("unknown", "ES256") is None
    go_on.set()
    loading.join(10)
    assert source.find("second", "ES256")


def test_where_nothing_is_there_they_wait():
    begun, go_on = threading.Event(), threading.Event()
    found, count = [], []

    def load():
        count.append(1)
        begun.set()
        assert go_on.wait(10)
        return written(FIRST)

    source = KeySource(load)

    def find():
        found.append(source.find("first", "ES256").kid)

    threads = [threading.Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert found == ["first"] * 8 and len(count) == 1


def test_they_do_not_wait_for_ever():
    begun, go_on = threading.Event(), threading.Event()

    def load():
        begun.set()
        assert go_on.wait(10)
        return written(FIRST)

    source = KeySource(load, wait=0.01)
    loading = threading.Thread(target=source.find, args=("first", "ES256"))
    loading.start()
    assert begun.wait(10)
    with pytest.raises(KeysUnavailable):
        source.find("first", "ES256")
    go_on.set()
    loading.join(10)


def test_joserfc_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(MissingExtra, match=r"\[jwt\]"):
        KeySource(Loads(b""))


# -- files and URLs ------------------------------------------------------------------


def test_a_file(tmp_path, clock):
    path = tmp_path / "keys.json"
    path.write_bytes(written(FIRST))
    source = KeySource(from_file(path), clock=clock)
    assert source.find("first", "ES256")
    path.write_bytes(written(SECOND))
    clock.now = 301
    assert source.find("second", "ES256")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(KeysUnavailable):
        KeySource(from_file(tmp_path / "none")).find("first", "ES256")


def test_a_file_without_an_end():
    assert len(from_file("/dev/zero")()) == MAX_SIZE + 1


def of(status=200, fields=(), body=b"", **more):
    return Answer(
        status, [("Content-Type", "application/jwk-set+json"), *fields], body, **more
    )


def test_a_url():
    with FakeBackend(of(body=written(FIRST))) as server:
        source = KeySource(FromURL(f"{server.url}/keys?a=1", allow_http=True))
        assert source.find("first", "ES256")
        (seen,) = server.requests
    assert (seen.method, seen.target) == ("GET", "/keys?a=1")
    assert seen.header("Accept-Encoding") == "identity"


@pytest.mark.parametrize(
    "answer",
    [
        of(404),
        of(302, [("Location", "/other")]),
        of(200, [("Content-Encoding", "gzip")], b"x"),
        of(body=b"{}"),
        of(body=b" " * (MAX_SIZE + 10)),
        of(pieces=[b" " * 65536] * 100),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
        b"not http\r\n\r\n",
        None,
    ],
)
def test_a_url_that_gives_no_keys(answer):
    with FakeBackend(answer) as server:
        source = KeySource(FromURL(server.url, allow_http=True))
        with pytest.raises(KeysUnavailable):
            source.find("first", "ES256")
        assert len(server.requests) == 1


def test_nobody_there():
    with pytest.raises(KeysUnavailable):
        KeySource(FromURL("http://127.0.0.1:1", allow_http=True)).find("k", "ES256")


def test_a_certificate_of_nobody_we_know():
    with FaultBackend(of(body=written(FIRST)), tls=True) as server:
        with pytest.raises(KeysUnavailable):
            KeySource(FromURL(server.url)).find("first", "ES256")
        assert server.seen == []
        known = FromURL(server.url, verify=server.ca_file)
        assert KeySource(known).find("first", "ES256")


@pytest.mark.parametrize("url", ["http://a.example", "file:///etc/passwd", "a", ""])
def test_keys_come_by_https(url):
    with pytest.raises(ConfigurationError, match="https"):
        FromURL(url)
    assert FromURL("https://a.example")


def test_no_proxy_of_the_environment(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with FakeBackend(of(body=written(FIRST))) as server:
        assert FromURL(server.url, allow_http=True)()
