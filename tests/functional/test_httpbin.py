"""httpbin asked directly and through the gateway of settings alone: the same answers.

httpbin is a process of its own, out of an environment of its own, because it pins
versions that other tests' packages do not like. RESTPROXY_HTTPBIN_PYTHON names the
Python of that environment, in which httpbin and waitress are installed.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from contextlib import contextmanager

import pytest

from pyramid_restproxy import gateway
from tests import wire
from tests.conftest import REQUIRED

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore"),  # the peer's own
]

#: Serve httpbin on a free port and print the port.
SERVE = """
import httpbin, waitress.server
server = waitress.server.create_server(
    httpbin.app, listen="127.0.0.1:0", threads=4, clear_untrusted_proxy_headers=False)
print(server.effective_port, flush=True)
server.run()
"""

#: What a server says of itself and of its own connection, and the time of day.
OWN = {"connection", "date", "server", "transfer-encoding", "via"}

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=edge"
PARTS = (
    b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="f"; filename="\xc3\xa9.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n\r\n--edge--\r\n"
)


@pytest.fixture(scope="module")
def python():
    """Return the Python that has httpbin; skip without, or fail where it must be."""
    found = os.environ.get("RESTPROXY_HTTPBIN_PYTHON")
    if not found:
        reason = "RESTPROXY_HTTPBIN_PYTHON names no Python with httpbin and waitress"
        if "httpbin" in REQUIRED:
            pytest.fail(f"httpbin is required (RESTPROXY_REQUIRE): {reason}")
        pytest.skip(reason)
    return found


@contextmanager
def httpbin(python):
    """Run httpbin; give its authority."""
    command = [python, "-W", "ignore", "-c", SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip()
            assert port, "httpbin did not start"
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def peers(python):
    """Serve httpbin and the gateway in front of it; give both authorities."""
    with httpbin(python) as direct:
        settings = {
            "restproxy.backends": f"httpbin = http://{direct}",
            "restproxy.backend.httpbin.host": "preserve",
            "restproxy.routes": "/*path -> httpbin",
        }
        with wire.served(gateway.main({}, **settings)) as through:
            yield direct, through


def added(authority):
    """Return what the gateway adds; httpbin shows the fields that it is sent."""
    return {
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Host": authority,
        "X-Forwarded-Proto": "http",
        "Via": "1.1 pyramid_restproxy",
    }


def both(peers, method, target, body=None, **fields):
    """Ask httpbin directly, with what the gateway adds, and through the gateway.

    Host is httpbin's for both, so that the addresses in the answers are the same.
    """
    direct, through = peers
    fields = {name.replace("_", "-"): value for name, value in fields.items()}
    raw = request(method, target, {"Host": direct, **fields, **added(direct)}, body)
    expected = wire.exchange(direct, raw, method)
    raw = request(method, target, {"Host": direct, **fields}, body)
    return expected, wire.exchange(through, raw, method)


def request(method, target, fields, body):
    """Write a request; a body of None has no Content-Length."""
    if body is not None:
        fields["Content-Length"] = str(len(body))
    lines = [f"{name}: {value}" for name, value in fields.items()]
    head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""])
    return head.encode("latin-1") + (body or b"")


def said(reply, aside=OWN):
    """Return what an answer says: status, fields, content, and whether it is whole."""
    fields = [(k.lower(), v) for k, v in reply.headers if k.lower() not in aside]
    return reply.status, reply.reason, fields, reply.body, reply.truncated


def same(peers, method, target, body=None, **fields):
    """Check that both answers say the same; give the one of the gateway.

    Content-Length must stay; content in chunks may have got a length on the way.
    """
    expected, reply = both(peers, method, target, body, **fields)
    chunked = expected.lines("Transfer-Encoding") == ["chunked"]
    aside = OWN | {"content-length"} if chunked else OWN
    assert said(reply, aside) == said(expected, aside)
    return reply


# -- requests ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/get?a=1&a=2",
        "/headers",
        "/anything/a%2Fb%20c//d",
        "/anything?q=%C3%A9+%26=&empty=&=nameless&flag",
        "/anything/%7Euser;v=1/caf%C3%A9",
    ],
)
def test_targets_and_fields_arrive_as_they_were_sent(peers, target):
    reply = same(peers, "GET", target, Accept=JSON, X_Two_Words="a, b")
    assert json.loads(reply.body)["headers"]["X-Two-Words"] == "a, b"


def test_repeated_parameters_stay_in_order(peers):
    reply = same(peers, "GET", "/get?a=1&a=2")
    assert json.loads(reply.body)["args"] == {"a": ["1", "2"]}


def test_the_forwarding_fields_name_the_client(peers):
    reply = same(peers, "GET", "/headers?show_env=1")
    shown = json.loads(reply.body)["headers"]
    assert added(peers[0]).items() <= shown.items()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (JSON, b'{"name": "Ann", "tags": [1, 2]}'),
        (FORM, b"a=1&a=2&b=caf%C3%A9+%26"),
        (MULTIPART, PARTS),
        ("application/octet-stream", bytes(range(256)) * 300),
    ],
)
def test_bodies_arrive_as_they_were_sent(peers, method, kind, body):
    reply = same(peers, method, f"/{method.lower()}", body, Content_Type=kind)
    content = json.loads(reply.body)
    assert any(content[part] for part in ("data", "form", "json"))
    assert bool(content["files"]) == (kind == MULTIPART)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_empty_bodies_keep_their_length(peers, method):
    reply = same(peers, method, f"/{method.lower()}", b"")
    assert json.loads(reply.body)["headers"]["Content-Length"] == "0"


# -- answers -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [200, 204, 304, 404, 418, 500])
def test_every_status(peers, method, status):
    body = b"" if method == "POST" else None
    assert same(peers, method, f"/status/{status}", body).status == status


@pytest.mark.parametrize(
    "target",
    [
        "/bytes/1024?seed=1",
        "/stream-bytes/65536?seed=1&chunk_size=1000",
        "/drip?numbytes=5&duration=0",
        "/encoding/utf8",
        "/image/png",
        "/links/3/0",
        "/html",
        "/robots.txt",
        "/xml",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_content(peers, method, target):
    reply = same(peers, method, target)
    assert reply.status == 200 and bool(reply.body) == (method == "GET")


@pytest.mark.parametrize(
    ("path", "coding"), [("/deflate", "deflate"), ("/brotli", "br")]
)
def test_compressed_content_is_not_touched(peers, path, coding):
    reply = same(peers, "GET", path, Accept_Encoding=coding)
    assert reply.lines("Content-Encoding") == [coding]


def test_gzip_content_is_not_touched(peers):
    expected, reply = both(peers, "GET", "/gzip", Accept_Encoding="gzip")
    for each in (expected, reply):
        each.body = gzip.decompress(each.body)  # the time of day is in its head
    assert said(reply) == said(expected)
    assert json.loads(reply.body)["gzipped"] is True


def test_a_stream_of_lines(peers):
    reply = same(peers, "GET", "/stream/3")
    assert [json.loads(line)["id"] for line in reply.body.splitlines()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("asked", "status"),
    [("bytes=100-199", 206), ("bytes=-24", 206), ("bytes=9-2", 416)],
)
def test_ranges(peers, asked, status):
    assert same(peers, "GET", "/range/1024", Range=asked).status == status


# -- redirects, cookies, users, caches ---------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/redirect-to?url=/get",
        "/redirect-to?url=https://elsewhere.example/x%3Fa=1&status_code=307",
        "/absolute-redirect/1",
        "/relative-redirect/1",
        "/redirect/2",
    ],
)
def test_redirects_are_handed_on(peers, target):
    reply = same(peers, "GET", target)
    assert reply.status in (302, 307) and len(reply.lines("Location")) == 1


def test_cookies_stay_lines_of_their_own(peers):
    reply = same(peers, "GET", "/cookies/set?a=1&b=2")
    assert len(reply.lines("Set-Cookie")) == 2
    reply = same(peers, "GET", "/cookies", Cookie='a=1; b="x y"; c=%20')
    assert set(json.loads(reply.body)["cookies"]) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("fields", "status"), [({}, 401), ({"Authorization": "Basic dTpw"}, 200)]
)
def test_basic_authentication(peers, fields, status):
    reply = same(peers, "GET", "/basic-auth/u/p", **fields)
    assert reply.status == status
    assert bool(reply.lines("WWW-Authenticate")) == (status == 401)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("If_None_Match", '"x"', 304),
        ("If_None_Match", 'W/"x", "y"', 304),
        ("If_Match", '"y"', 412),
    ],
)
def test_conditions_on_a_tag(peers, name, value, status):
    assert same(peers, "GET", "/etag/x", **{name: value}).status == status


def test_conditions_on_a_date(peers):
    since = "Sat, 29 Oct 1994 19:43:31 GMT"
    assert same(peers, "GET", "/cache", If_Modified_Since=since).status == 304
