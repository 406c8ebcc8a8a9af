"""The harness itself: what a vector says counts, whatever value it has.

Each row of :data:`COUNTS` passes only where the value of its set-up was understood; it
fails with another value, which :data:`OTHERS` has.
"""

from __future__ import annotations

import pytest
from pyramid.exceptions import ConfigurationError

from tests.vectors.gateway_app import validator_saying
from tests.vectors.test_gateway import check_call, run
from tests.vectors.test_security import DATA, vectors_of

OK = {"kind": "respond", "status": 200, "headers": [["Content-Length", "2"]],
      "body": "ok"}  # fmt: skip
ONE, NONE = {"calls": 1}, {"calls": 0}
WITH_KEY = [["api-key", "k"], ["user-token", "t"]]


def vector(setup=None, request=None, sees=ONE, gets=200, backend=OK):
    return {
        "id": "V1",
        "client_request": {"method": "GET", "target": "/api/x", **(request or {})},
        "backend_behaviour": backend,
        "expect_backend_sees": sees,
        "expect_client_gets": gets if isinstance(gets, dict) else {"status": gets},
        "setup": setup or {},
    }


def seeing(**fields):
    return {"calls": 1, "headers": {k.replace("_", "-"): v for k, v in fields.items()}}


def with_headers(*pairs, **more):
    return {"headers": [list(pair) for pair in pairs], **more}


def playing(*steps):
    return {"kind": "sequence", "steps": list(steps)}


def answering(*fields):
    pairs = [list(field) for field in fields]
    return {**OK, "headers": [["Content-Length", "2"], *pairs]}


def preflight(origin):
    asked = ("Access-Control-Request-Method", "PUT")
    return with_headers(("Origin", origin), asked, method="OPTIONS")


def allowing(origin):
    wanted = {"Access-Control-Allow-Origin": origin}
    return {"status": 204, "headers": wanted}


POST = {"method": "POST", "body": "hi"}
SESSION = {
    "auth": "session",
    "pyramid": "set_default_csrf_options(require_csrf=True)",
}
A, B = "https://a.example", "https://b.example"
XFF = ("X-Forwarded-For", "6.6.6.6")
STREAM = {"kind": "stream", "headers": [], "chunks": ["part"]}

COUNTS = {
    "route": (vector({"route": "/svc/*path"}, {"target": "/svc/x"}, {"target": "/x"})),
    "prefix kept": vector(
        {"route": "/svc/*path, prefix kept"}, {"target": "/svc/x"}, {"target": "/svc/x"}
    ),
    "strip_prefix": vector({"strip_prefix": False}, sees={"target": "/api/x"}),
    "path": vector({"path": "/v2/*path"}, sees={"target": "/v2/x"}),
    "prefix": vector({"prefix": "/v2"}, sees={"target": "/v2/x"}),
    "destination": vector(
        {"destination": "http://$BACKEND/b"}, sees={"target": "/b/x"}
    ),
    "methods": vector({"methods": ["PUT"]}, sees=NONE, gets=405),
    "trusted_proxies": vector(
        {"trusted_proxies": ["127.0.0.1"]},
        with_headers(XFF),
        seeing(X_Forwarded_For="6.6.6.6, $PEER"),
    ),
    "methods in text": vector({"methods": "PUT"}, sees=NONE, gets=405),
    "trusted_proxies in text": vector(
        {"trusted_proxies": "127.0.0.1"},
        with_headers(XFF),
        seeing(X_Forwarded_For="6.6.6.6, $PEER"),
    ),
    "hide_response_headers in text": vector(
        {"hide_response_headers": "X-A"},
        backend=answering(("X-A", "1")),
        gets={"status": 200, "headers_absent": ["X-A"]},
    ),
    "drop_cookies in text": vector(
        {"drop_cookies": "ab"},
        with_headers(("Cookie", "a=1; ab=2; b=3")),
        seeing(Cookie="a=1; b=3"),
    ),
    "x_forwarded": vector(
        {"x_forwarded": "append"},
        with_headers(XFF),
        seeing(X_Forwarded_For="6.6.6.6, $PEER"),
    ),
    "peer": vector({"peer": "10.0.0.7"}, sees=seeing(X_Forwarded_For="$PEER")),
    "by": vector({"forwarded": "rfc7239", "by": "_a"}, sees=seeing(Forwarded="~by=_a")),
    "host": vector({"host": "b.example"}, sees=seeing(Host="b.example")),
    "via": vector(
        {"via": "edge-1"}, with_headers(("Via", "1.1 edge-1")), NONE, gets=508
    ),
    "via is sent": vector({"via": "edge-1"}, sees=seeing(Via="1.1 edge-1")),
    "request_transform": vector(
        {"request_transform": "returns Response(status=403)"}, sees=NONE, gets=403
    ),
    "request_transform answers": vector(
        {"request_transform": "returns Response(status=200, body=b'x')"},
        sees=NONE,
        gets={"status": 200, "body": "x"},
    ),
    "request_transform raises one that is made": vector(
        {"request_transform": "raises HTTPForbidden()"}, sees=NONE, gets=403
    ),
    "request_transform raises": vector(
        {"request_transform": "raises HTTPConflict"}, sees=NONE, gets=409
    ),
    "request_transform sets": vector(
        {"request_transform": "sets X-A: 1"}, sees=seeing(X_A="1")
    ),
    "response_transform": vector(
        {"response_transform": "sets X-A: 1"},
        gets={"status": 200, "headers": {"X-A": "1"}},
    ),
    "response_transform removes": vector(
        {"response_transform": "removes X-A"},
        backend=answering(("X-A", "1")),
        gets={"status": 200, "headers_absent": ["X-A"]},
    ),
    "cookie_domain": vector(
        {"cookie_domain": "a.example", "cookie_path": "/p"},
        backend=answering(("Set-Cookie", "s=1; Domain=b; Path=/")),
        gets={"header_lines": {"Set-Cookie": ["s=1; Domain=a.example; Path=/p"]}},
    ),
    "sign_outbound": vector(
        {"sign_outbound": "another"}, POST, {"calls": 1, "signature_verifies": True}
    ),
    "not signed": vector({}, POST, {"calls": 1, "signature_verifies": False}),
    "env": vector(
        {"env": {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://[::1]:9"}}
    ),
    "cors": vector({"cors": "gateway"}, preflight(B), NONE, allowing(["*", B])),
    "cors of one": vector({"cors": A}, preflight(A), NONE, allowing(A)),
    "cors of others": vector({"cors": [A]}, preflight(B), NONE, allowing(None)),
    "cors of the backend": vector({"cors": "backend"}, preflight(A), ONE, gets=200),
    "request_id": vector(
        {"request_id": "X-Correlation-ID"},
        sees={"calls": 1, "headers_present": ["X-Correlation-ID"]},
    ),
    "no request_id": vector(
        {"request_id": False}, sees={"calls": 1, "headers_absent": ["X-Request-ID"]}
    ),
    "token_validator": vector(
        {"api_keys": ["k"], "token_validator": "accepts"}, with_headers(*WITH_KEY)
    ),
    "token_validator refuses": vector(
        {"api_keys": ["k"], "token_validator": "refuses"},
        with_headers(*WITH_KEY),
        NONE,
        gets=403,
    ),
    "token_validator raises": vector(
        {"token_validator": "raises"}, with_headers(*WITH_KEY), NONE, gets=503
    ),
    "token_validator knows": vector(
        {"token_validator": {"t": "ann"}, "identity": {"X-User": "token"}},
        with_headers(*WITH_KEY),
        seeing(X_User="ann"),
    ),
    "token_validator and public": vector(
        {"token_validator": "accepts", "public": False}, with_headers(*WITH_KEY)
    ),
    "public and token_validator": vector(
        {"public": True, "token_validator": "denies"}, with_headers(*WITH_KEY)
    ),
    "auth": vector(SESSION, POST, NONE, gets=400),
    "rate": vector(
        {"rate": "2/minute"}, {"repeat": 3}, {"calls": 2}, gets={"status": 429}
    ),
    "allow_ips": vector({"allow_ips": ["127.0.0.0/8"]}),
    "max_request_body": vector({"max_request_body": 1}, POST, NONE, gets=413),
    "before_forward": vector(
        {"before_forward": "request.json_body", "max_request_body": 9},
        {**POST, "body": "[1234567]"},
        {"calls": 1, "body": "[1234567]"},
    ),
    "before_forward reads": vector(
        {"before_forward": "request.body_file.read()"}, POST, {"calls": 1, "body": "hi"}
    ),
    "before_forward reads a part": vector(
        {"before_forward": "request.body_file.read(1)"},
        POST,
        {"calls": 1, "body": "hi"},
    ),
    "before_forward of no JSON": vector(
        {"before_forward": "request.json_body"}, POST, NONE, gets=500
    ),
    "errors": vector(
        {"errors": "envelope"},
        sees=NONE,
        gets={"status": 502, "headers": {"Content-Type": "~application/json"}},
        backend={"kind": "refuse"},
    ),
    "verify": vector({"verify": "insecure"}, backend={"kind": "tls_self_signed"}),
    "no verify": vector(
        sees=NONE,
        gets={"status": 502, "proxy_status_error": "tls_certificate_error"},
        backend={"kind": "tls_expired"},
    ),
    "retries": vector(
        {"retries": 2},
        POST,
        {"calls": 1, "body": "hi"},
        backend={"kind": "cluster", "destinations": ["refuse", "refuse", "respond"]},
    ),
    "retry_statuses": vector(
        {"retries": 1, "retry_statuses": [500], "retry_methods": ["GET"]},
        sees={"calls": 2},
        backend=playing("500", "respond 200"),
    ),
    "balance": vector(
        {"balance": "first"},
        {"repeat": 2},
        {"calls": 2},
        gets=201,
        backend={"kind": "cluster", "destinations": ["respond 201", "respond 202"]},
    ),
    "affinity": vector(
        {"affinity": "cookie"},
        gets={"status": 200, "headers_present": ["Set-Cookie"]},
        backend={"kind": "cluster", "destinations": ["respond", "respond"]},
    ),
    "a late answer": vector(
        {"read_timeout": 0.3}, gets=504, backend={**OK, "delay_ms": 60_000}
    ),
    "silence": vector(
        {"read_timeout": 0.3, "retries": 1},
        sees={"calls": 2},
        backend=playing("silence", "respond"),
    ),
    "reset": vector(
        sees={"calls": 2, "calls_max": 3},
        backend=playing("respond keep-alive", "reset", "respond"),
    ),
    "a POST that lost its connection": vector(
        {},
        POST,
        {"calls": 2, "calls_max": 2},
        gets=502,
        backend=playing("respond keep-alive", "read request then close"),
    ),
    "then close": vector(
        backend={**STREAM, "then": "close"}, gets={"status": 200, "truncated": True}
    ),
    "then reset": vector(
        backend={**STREAM, "then": "reset"}, gets={"status": 200, "truncated": True}
    ),
    "then end": vector(backend=STREAM, gets={"status": 200, "truncated": False}),
    "status of a stream": vector(backend={**STREAM, "status": 203}, gets=203),
    "reset at once": vector(backend={"kind": "reset"}, gets=502),
    "$BACKEND with the public Host": vector(
        {"host": "preserve"},
        gets={"header_lines": {"X-At": ["http://$BACKEND/a", "$GATEWAY"]}},
        backend=answering(("X-At", "http://$BACKEND/a"), ("X-At", "$GATEWAY")),
    ),
    "$BACKEND_PORT": vector(
        {"add_request_headers": {"X-Port": "$BACKEND_PORT"}},
        with_headers(("X-Sent", "$BACKEND_PORT")),
        seeing(X_Port="$BACKEND_PORT", X_Sent="$BACKEND_PORT"),
    ),
}


@pytest.mark.parametrize("name", COUNTS)
def test_each_value_counts(name, tmp_path, monkeypatch):
    run(COUNTS[name], {}, tmp_path, monkeypatch)


#: The same with another value, which is not what the vector expects.
OTHERS = {
    "via": "edge-2",
    "request_transform": "returns Response(status=404)",
    "request_transform answers": "returns Response(status=200, body=b'y')",
    "response_transform": "sets X-A: 2",
    "sign_outbound": None,
    "cors of one": B,
    "token_validator": "denies",
    "rate": "3/minute",
    "allow_ips": ["10.0.0.1"],
    "route": "/other/*path",
    "prefix": "/v3",
    "methods": ["GET"],
    "x_forwarded": "replace",
    "errors": "problem",
    "balance": "round_robin",
    "strip_prefix": True,
    "host": "destination",
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_value_is_another_set_up(name, tmp_path, monkeypatch):
    found = COUNTS[name]
    key = name.partition(" ")[0]
    assert key in found["setup"]
    setup = {**found["setup"], key: OTHERS[name]}
    if OTHERS[name] is None:
        del setup[key]
    with pytest.raises(AssertionError):
        run({**found, "setup": setup}, {}, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "setup",
    [
        {"ratee": "1/minute"},
        {"request_transform": "returns nothing"},
        {"request_transform": "returns Response(status=200, body='x')"},
        {"response_transform": "returns Response(status=418)"},
        {"token_validator": "ponders"},
        {"x_forwarded": "off"},
        {"forwarded": "sometimes"},
        {"auth": "kerberos"},
        {"public": "strict"},
        {"pyramid": "set_something()"},
        {"before_forward": "sleep(1)"},
        {"before_forward": "request.body_file.read(x)"},
        {"before_forward": "request.body_file.close()"},
        {"retry_methods": ["POST"]},
        {"retry_methods": "POST"},
        {"route": "/api/*path, prefix doubled"},
        {"methods": "some"},
        {"cors": "nobody"},
        {"verify": "perhaps"},
        {"via": "two words"},
        {"errors": "none"},
        {"request_id": "no name"},
    ],
    ids=str,
)
def test_a_set_up_that_is_not_understood_is_an_error(setup, tmp_path, monkeypatch):
    with pytest.raises((ValueError, ConfigurationError)):
        run(vector(setup), {}, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "changed",
    [
        {"expect_gateway": 1},
        {"client_request": {"method": "GET", "target": "/api/x", "bdoy": "x"}},
        {"expect_backend_sees": "not much"},
        {"expect_client_gets": {"statsu": 200}},
        {"expect_client_gets": {"headers": {"X-A": True}}},
        {"backend_behaviour": {**OK, "delay": 5}},
        {"backend_behaviour": {"kind": "blackhole", "seconds": 5}},
        {"backend_behaviour": {**STREAM, "then": "explode"}},
    ],
    ids=str,
)
def test_a_vector_that_is_not_understood_is_an_error(changed, tmp_path, monkeypatch):
    with pytest.raises(ValueError):
        run({**vector(), **changed}, {}, tmp_path, monkeypatch)


def calling(text, value):
    return {
        **vector(backend="not called", sees=NONE, gets={"value": value}),
        "client_request": {"call": text},
    }


def test_calls_are_made_with_what_they_say():
    check_call(calling("service_url('/f', params={'q': 'a b'})", "/f?q=a+b or %20"))
    check_call(calling("service_url('/f?x=1', params={'q': 2})", "/f?x=1&q=2"))
    with pytest.raises(AssertionError):
        check_call(calling("service_url('/f', params={'q': 'c'})", "/f?q=d"))
    for text in ("service_url('/f', 1)", "other('/f')", "service_url('/f', x=1)"):
        with pytest.raises(ValueError, match="not known"):
            check_call(calling(text, "/f"))
    with pytest.raises(ValueError, match="not known"):
        sealed = calling("service_url('/f', params={'q': 'c'})", "/f?q=c")
        check_call({**sealed, "expect_client_gets": {"values": []}})


def test_what_validators_say():
    assert validator_saying(["t"])(None, "t").user_id == "t"
    assert validator_saying(["t"])(None, "u") is None
    assert validator_saying(403)(None, "t") is None
    assert validator_saying(200)(None, "t").user_id == "u1"


def test_a_file_of_another_form_is_an_error(tmp_path):
    text = (DATA / "security.json").read_text("utf-8")
    for old, new in (
        ('"version": 1', '"version": 2'),
        ('"count": 1', '"count": 2'),
        ('"layer"', '"lyaer"'),
    ):
        assert old in text
        (tmp_path / "security.json").write_text(text.replace(old, new, 1), "utf-8")
        with pytest.raises(ValueError, match="not"):
            vectors_of(tmp_path)
