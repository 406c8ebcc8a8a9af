"""The runner of vectors: it sends what they say, and notices every difference."""

from __future__ import annotations

import json

import pytest

from pyramid_restproxy.testing import (
    Answer,
    FakeBackend,
    RecordedRequest,
    Reply,
    check,
    load_vectors,
    send,
)
from pyramid_restproxy.testing.vectors import content_of, requests_of, value_fits

RESPOND = {"kind": "respond", "body": "ok"}
REPLY = Reply(
    status=200,
    reason="OK",
    headers=[("X-A", "one"), ("X-B", "1"), ("X-B", "2"), ("X-Host", "b:1")],
    body=b"ok",
    pieces=[b"o", b"k"],
    interim=[100],
    waited=0.1,
    took=0.2,
)
SEEN = RecordedRequest("POST", "/t", (("Host", "b:1"), ("X-A", "one")), b"sent")
NAMES = {"$BACKEND": "b:1"}


def vector(gets=None, sees=None, **more):
    return {
        "id": "V1",
        "title": "a title",
        "client_request": {"method": "POST", "target": "/", "body": "sent"},
        "backend_behaviour": RESPOND,
        "expect_client_gets": gets,
        "expect_backend_sees": sees,
        **more,
    }


def test_vectors_are_loaded_from_a_list_or_an_object(tmp_path):
    path = tmp_path / "v.json"
    for text in ([{"id": "a"}], {"vectors": [{"id": "a"}]}):
        path.write_text(json.dumps(text))
        assert load_vectors(path) == [{"id": "a"}]
    for wrong in ([{"id": "a"}, {"id": "a"}], [{}]):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match="no id, or not unique"):
            load_vectors(str(path))


GETS_RIGHT = [
    {"status": 200},
    {"status": [204, 200]},
    {"status": None},
    {"headers": {"X-A": ["two", "one"], "X-Host": "$BACKEND", "X-C": None}},
    {"header_lines": {"X-B": ["1", "2"]}},
    {"headers_absent": ["X-C"]},
    {"headers_present": ["X-A"]},
    {"headers_not": {"X-A": "two"}},
    {"headers_match": {"X-A": "^o"}},
    {"headers_if_200": {"X-A": "one"}},
    {"body": "ok"},
    {"body": None},
    {"body": ["no", "ok"]},
    {"body_same": True},
    {"reason": "OK"},
    {"reason": ["Fine", "OK"]},
    {"reason": None},
    {"interim": [100]},
    {"first_chunk": "o"},
    {"within_ms": 300},
    {"first_byte_within_ms": 300},
    {"same_as_backend_saw": "X-A"},
    {"truncated": False},
    {"proxy_status_error": None},
    {"proxy_status_error": ["dns_error", None]},
    {"status_note": "for people"},
    {"own": 1},
]
GETS_WRONG = [
    {"status": 404},
    {"status": [404, 500]},
    {"headers": {"X-A": "two"}},
    {"header_lines": {"X-B": ["1, 2"]}},
    {"headers_absent": ["X-A"]},
    {"headers_present": ["X-C"]},
    {"headers_not": {"X-A": "one"}},
    {"headers_match": {"X-A": "^e"}},
    {"headers_if_200": {"X-A": "two"}},
    {"body": "no"},
    {"body": ["no", ""]},
    {"body": []},
    {"reason": "No"},
    {"reason": ["No"]},
    {"interim": []},
    {"first_chunk": "ok"},
    {"within_ms": 150},
    {"first_byte_within_ms": 50},
    {"same_as_backend_saw": "X-B"},
    {"truncated": True},
    {"truncated": 0},
    {"body_same": False},
    {"proxy_status_error": "dns_error"},
    {"own": 2},
]
SEES_RIGHT = [
    {"calls": 2, "calls_max": 2},
    {"method": "POST", "target": ["/t", "/u"], "host": "$BACKEND"},
    {"body": "sent", "body_same": True},
    {"method": ["GET", "POST"], "body": ["", "sent"]},
    {"method": None, "body": None},
    {"headers": {"X-A": "one"}, "headers_absent": ["X-B"], "headers_present": ["X-A"]},
    {"second": {"method": "POST"}},
    {"same_header": "X-A"},
    {"calls": [1, 2]},
    {"calls": 1, "calls_max": 2},
    {"body_same": True},
    {"last": {"method": "POST"}},
    {"own": 1, "calls_note": "for people"},
    {},
    None,
]
SEES_WRONG = [
    {"calls": 1},
    {"calls": [0, 1]},
    {"calls": 3, "calls_max": 3},
    {"calls": 0, "calls_max": 2},
    {"calls_max": 1},
    {"body_same": False},
    {"third": {"method": "POST"}},
    {"last": {"body": "other"}},
    {"method": "GET"},
    {"method": ["GET", "PUT"]},
    {"target": "/u"},
    {"host": "c:1"},
    {"body": "other"},
    {"headers": {"X-A": None}},
    {"headers_absent": ["X-A"]},
    {"headers_present": ["X-B"]},
    {"second": {"method": "GET"}},
    {"own": 2},
]
ALSO = {"own": lambda wanted, replies, seen: wanted == 1}


def checked(given):
    check(given, [Reply(), REPLY], [SEEN, SEEN], NAMES, ALSO)


@pytest.mark.parametrize("gets", GETS_RIGHT, ids=str)
def test_what_the_client_gets(gets):
    checked(vector(gets))


@pytest.mark.parametrize("gets", GETS_WRONG, ids=str)
def test_what_the_client_should_not_get(gets):
    with pytest.raises(AssertionError, match=f"V1 a title\n- client, {list(gets)[0]}"):
        checked(vector(gets))


@pytest.mark.parametrize("sees", SEES_RIGHT, ids=str)
def test_what_the_backend_sees(sees):
    checked(vector(sees=sees))


@pytest.mark.parametrize("sees", SEES_WRONG, ids=str)
def test_what_the_backend_should_not_see(sees):
    with pytest.raises(AssertionError, match=f"V1 a title\n- backend, {list(sees)[0]}"):
        checked(vector(sees=sees))


def test_contents_that_are_not_the_same():
    with pytest.raises(AssertionError, match="client, body_same"):
        checked(vector({"body_same": True}, backend_behaviour={**RESPOND, "body": ""}))
    request = {"method": "POST", "target": "/", "body": "other"}
    with pytest.raises(AssertionError, match="backend, body_same"):
        checked(vector(sees={"body_same": True}, client_request=request))
    other = RecordedRequest("GET", "/", (), b"")
    with pytest.raises(AssertionError, match="same_header"):
        check(vector(sees={"same_header": "X-A"}), [REPLY], [SEEN, other])


def test_what_holds_only_sometimes():
    failed = Reply(status=502, headers=[("Proxy-Status", "gateway; error=dns_error")])
    gets = {
        "headers_if_200": {"X-A": "two"},
        "truncated": True,
        "proxy_status_error": "dns_error",
    }
    check(vector(gets, {"calls": 0}), [failed])
    with pytest.raises(AssertionError, match="proxy_status_error"):
        check(vector({"proxy_status_error": "dns"}), [failed])


@pytest.mark.parametrize(
    "sees", [{"method": "GET"}, {"body_same": True}, {"last": {"method": "GET"}}]
)
def test_what_is_said_of_a_request_that_did_not_come(sees):
    with pytest.raises(AssertionError, match=f"backend, {list(sees)[0]}"):
        check(vector(sees=sees), [REPLY])


def test_a_sequence_of_several_requests_says_how_often_the_last_one_came():
    several = {"kind": "sequence", "steps": ["respond", "respond"]}
    check(vector(sees={"calls": 1}, backend_behaviour=several), [REPLY], [SEEN, SEEN])
    one = {"kind": "sequence", "steps": ["503", "respond"]}
    check(vector(sees={"calls": 2}, backend_behaviour=one), [REPLY], [SEEN, SEEN])
    for behaviour, calls in ((several, 3), (one, 1)):
        with pytest.raises(AssertionError, match="calls: 2 is not"):
            told = vector(sees={"calls": calls}, backend_behaviour=behaviour)
            check(told, [REPLY], [SEEN, SEEN])


def test_what_is_said_in_no_form_that_there_is():
    with pytest.raises(ValueError, match="'nothing much' is not known"):
        checked(vector(sees="nothing much"))
    for wanted in (True, 7, {"X-A": "one"}):
        with pytest.raises(ValueError, match="expected text, a list, or null"):
            checked(vector({"headers": {"X-A": wanted}}))
    for wanted in (True, 7, {"a": "b"}, ["ok", None]):
        with pytest.raises(ValueError, match="expected text, a list of texts, or null"):
            checked(vector({"body": wanted}))


def test_the_longer_placeholder_comes_first():
    reply = Reply(status=200, headers=[("X-Port", "1"), ("X-At", "b:1")])
    names = {"$BACKEND": "b:1", "$BACKEND_PORT": "1"}
    wanted = {"X-Port": "$BACKEND_PORT", "X-At": "$BACKEND"}
    check(vector({"headers": wanted}), [reply], names=names)


@pytest.mark.parametrize("side", ["expect_client_gets", "expect_backend_sees"])
def test_an_expectation_that_is_misspelt(side):
    with pytest.raises(ValueError, match="V1: the expectation 'statsu' is not known"):
        check(vector(**{side: {"statsu": 200}}), [REPLY], [SEEN])


@pytest.mark.parametrize(
    "value,wanted,fits",
    [
        ("a", "a", True), ("a", "b", False), (None, "a", False), (None, None, True),
        ("a", None, False), ("a", ["b", "a"], True), ("a", [], False),
        ("Text/HTML", "~html", True), (None, "~html", False), ("json", "~html", False),
        ("json", "!html", True), (None, "!html", True), ("HTML", "!html", False),
    ],
)  # fmt: skip
def test_values_of_fields(value, wanted, fits):
    assert value_fits(value, wanted) is fits


def test_requests_are_one_or_several():
    assert len(requests_of(vector())) == 1
    twice = {"method": "GET", "target": "/", "repeat": 2}
    assert requests_of(vector(client_request=twice)) == [twice] * 2
    once = {"method": "GET", "target": "/"}
    both = {"sequence": [twice, once]}
    assert requests_of(vector(client_request=both)) == [twice, twice, once]
    with pytest.raises(ValueError, match="repeat"):
        requests_of(vector(client_request={**both, "repeat": 2}))


@pytest.mark.parametrize(
    "steps, count",
    [
        (["respond"], 1),
        (["503 Retry-After: 0", "respond 200"], 1),
        (["503 x2", "close", "respond"], 1),
        (["close"], 1),
        (["respond keep-alive", "read request then close", "respond"], 2),
        (["respond keep-alive", "read request then close"], 2),
        (["respond", "404"], 2),
        (["close x3 then respond", {"kind": "reset"}], 2),
    ],
)
def test_a_sequence_takes_a_request_for_each_good_answer(steps, count):
    given = vector(backend_behaviour={"kind": "sequence", "steps": steps})
    assert len(requests_of(given)) == count
    given["client_request"] = {**given["client_request"], "repeat": 5}
    assert len(requests_of(given)) == 5


def test_contents_of_requests():
    assert content_of({}) == b""
    assert content_of({"body": "é"}) == "é".encode()
    assert content_of({"body_b64": "AAE="}) == b"\0\1"
    assert content_of({"body_size": 3}) == b"xxx"


def sent(**spec):
    request = {"method": "PUT", "target": "http://$GATEWAY/a", **spec}
    with FakeBackend(Answer()) as backend:
        (reply,) = send(vector(client_request=request), backend.authority)
        assert reply.status == 200
        return backend.requests[0], backend.authority


def test_what_is_sent():
    request, authority = sent(body="ab", headers=[["X-Own", "$GATEWAY"]])
    assert (request.method, request.target) == ("PUT", f"http://{authority}/a")
    assert request.headers == (
        ("Host", authority),
        ("X-Own", authority),
        ("Content-Length", "2"),
    )
    assert request.body == b"ab"
    request, _ = sent(body="ab", chunked=True)
    assert request.header("Transfer-Encoding") == "chunked" and request.body == b"ab"
    headers = [["Transfer-Encoding", "chunked"], ["Host", "other"]]
    request, _ = sent(body="ab", chunked=True, headers=headers)
    assert request.headers == (("Transfer-Encoding", "chunked"), ("Host", "other"))
    request, _ = sent(no_host=True, body="ab", headers=[["Content-Length", "1"]])
    assert request.headers == (("Content-Length", "1"),) and request.body == b"a"


def test_chunks_of_no_content_are_the_last_one_only():
    request, _ = sent(chunked=True)
    assert request.header("Transfer-Encoding") == "chunked" and request.body == b""


def test_other_placeholders_are_sent():
    request = {"method": "GET", "target": "/?$OTHER", "headers": [["X-A", "$GATEWAY"]]}
    with FakeBackend(Answer()) as backend:
        told = vector(client_request=request)
        send(told, backend.authority, {"$OTHER": "o", "$GATEWAY": "not this"})
        (seen,) = backend.requests
    assert (seen.target, seen.header("X-A")) == ("/?o", backend.authority)


def test_a_key_of_a_request_that_is_misspelt():
    for request in ({"boddy": "x"}, {"sequence": [{"boddy": "x"}]}):
        with pytest.raises(ValueError, match="client_request: not known: boddy"):
            send(vector(client_request=request), "127.0.0.1:9")
