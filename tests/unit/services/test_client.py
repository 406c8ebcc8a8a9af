"""The client, against scripted servers of one thread."""

from __future__ import annotations

import json
import sys

import pytest
import requests
from pyramid.exceptions import ConfigurationError
from pyramid.response import Response

from pyramid_restproxy.exceptions import MissingExtra
from pyramid_restproxy.services import client as module
from pyramid_restproxy.services import codecs
from pyramid_restproxy.services.client import ServiceClient, ServiceError, progress_bar
from pyramid_restproxy.services.codecs import JsonCodec
from pyramid_restproxy.services.values import Finished, Progress, Undecodable
from tests.wire import served


class OutOfStock(Exception):
    pass


class Scripted:
    """A WSGI application that gives its answers in turn, and keeps what it was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, environ, start_response):
        body = environ["wsgi.input"].read()
        self.requests.append((environ, body))
        return self.answers.pop(0)(environ, start_response)


def answer(value, status=200, content_type="application/json", **headers):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    made = Response(status=status, body=body, content_type=content_type)
    made.headers.update(headers)
    return made


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(module, "BACKOFF", 0)


@pytest.fixture
def client():
    made = []

    def make(*answers, **options):
        app = Scripted(*answers)
        context = served(app)
        authority = context.__enter__()
        found = ServiceClient(f"http://{authority}/srv/", "json", **options)
        made.append((found, context))
        return found, app

    yield make
    for found, context in made:
        found.close()
        context.__exit__(None, None, None)


def test_what_is_sent(client):
    found, app = client(answer(3), headers={"X-Key": "k"}, auth=("me", "pw"))
    assert found.maths.add(a=1, b=[2]) == 3
    environ, body = app.requests[0]
    assert (environ["PATH_INFO"], body) == ("/srv/maths/add", b'{"a":1,"b":[2]}')
    assert environ["HTTP_X_KEY"] == "k"
    assert environ["HTTP_AUTHORIZATION"].startswith("Basic ")
    assert environ["HTTP_ACCEPT"] == environ["CONTENT_TYPE"] == "application/json"


def test_names_with_odd_characters_are_quoted(client):
    found, app = client(answer(1))
    found.call("a b?c")
    assert app.requests[0][0]["PATH_INFO"] == "/srv/a b?c"


def test_errors_are_raised(client):
    problem = {"title": "Conflict", "detail": "taken", "status": 409}
    found, _ = client(
        answer(problem, 409, "application/problem+json"),
        answer(b"<html>", 502, "text/html"),
        answer([1], 500),
        answer({"error": {"code": 403, "type": "Forbidden", "message": "no"}}, 403),
        answer(b"", 302, Location="/elsewhere"),
        answer(b"{", 200),
        answer(b"1", 200, "text/plain"),
        retries=0,
    )
    expected = [
        (409, "409 Conflict: taken"),
        (502, "502 Bad Gateway"),
        (500, "500 Internal Server Error"),
        (403, "403 Forbidden: no"),
        (302, "302 Found"),
    ]
    for status, text in expected:
        with pytest.raises(ServiceError) as caught:
            found.add()
        assert (caught.value.status, str(caught.value)) == (status, text)
    for code in ("syntax", "type"):
        with pytest.raises(Undecodable) as refused:
            found.add()
        assert refused.value.code == code


@pytest.mark.parametrize(
    "exceptions", [[OutOfStock], {"OutOfStock": OutOfStock}, (OutOfStock,)]
)
def test_registered_exceptions_are_raised_again(client, exceptions):
    problem = {"exception": "OutOfStock", "message": "no 13", "status": 422}
    envelope = {"error": {"code": 422, "type": "x", **problem}}
    found, _ = client(
        answer(problem, 422), answer(envelope, 422), exceptions=exceptions
    )
    for _ in range(2):
        with pytest.raises(OutOfStock, match="no 13") as caught:
            found.add()
        assert caught.value.__cause__.status == 422


def test_problems_in_json_reach_other_codecs(client):
    problem = answer({"title": "Not Found"}, 404, "application/problem+json")
    with served(Scripted(problem, answer(b"{", 500))) as authority:
        with ServiceClient(f"http://{authority}", "cbor") as found:
            for status in (404, 500):
                with pytest.raises(ServiceError) as caught:
                    found.add()
                assert caught.value.status == status


def test_batches(client):
    found, app = client(
        answer([{"result": 2}, {"error": {"status": 400}}, {"error": {}}])
    )
    results = found.add.batch([{"a": 1}, {"a": "x"}])
    assert app.requests[0][1] == b'[{"a":1},{"a":"x"}]'
    assert results[0] == 2
    assert [each.status for each in results[1:]] == [400, 0]


def test_idempotent_calls_are_made_again(client):
    found, app = client(answer(b"", 503), answer(b"", 502), answer(7), idempotent=["a"])
    assert found.a() == 7
    found, app = client(answer(b"", 503), answer(7), idempotent=True, retries=1)
    assert found.b() == 7
    found, app = client(answer(b"", 503), idempotent=True, retries=0)
    with pytest.raises(ServiceError):
        found.b()
    found, app = client(answer(b"", 503), idempotent=["other"])
    with pytest.raises(ServiceError):
        found.b()
    assert len(app.requests) == 1


def test_calls_that_were_not_sent_are_made_again(monkeypatch):
    found = ServiceClient("http://127.0.0.1:9/srv", "json", retries=2)
    sent = []
    send = found._exchange.send
    monkeypatch.setattr(
        found._exchange, "send", lambda *call: sent.append(call) or send(*call)
    )
    with pytest.raises(requests.ConnectionError):
        found.add()
    assert len(sent) == 3


def broken(environ, start_response):
    start_response("200 OK", [("Content-Length", "100")])
    return [b"[1"]


@pytest.mark.filterwarnings("ignore")
def test_a_cut_answer_is_an_error_of_the_connection(client):
    found, _ = client(broken)
    with pytest.raises((requests.RequestException, Undecodable)):
        found.add()


@pytest.mark.parametrize("chunked", [False, True])
def test_answers_have_a_limit(client, chunked):
    whole = b'"' + b"x" * 100_000 + b'"'
    response = answer(whole)
    if chunked:
        response = Response(app_iter=iter([whole]), content_type="application/json")
        response.content_length = None
    found, _ = client(response, max_answer=1000)
    with pytest.raises(Undecodable) as caught:
        found.add()
    assert caught.value.code == "size"


def test_large_answers_and_answers_of_unknown_length(client):
    whole = b'"' + b"x" * 100_000 + b'"'
    unknown = Response(app_iter=iter([whole, b" "]), content_type="application/json")
    found, _ = client(answer(whole), unknown)
    assert found.add() == found.add() == "x" * 100_000


def test_compressed_answers_are_refused(client):
    for response in (answer(1), stream(1)):
        response.headers["Content-Encoding"] = "gzip"
        for auth in (None, ("me", "pw")):
            found, _ = client(response, auth=auth)
            with pytest.raises(Undecodable, match="compressed"):
                found.add()


def stream(*values, end=True):
    codec = JsonCodec()
    lines = [b"".join(codec.record(value)) for value in values]
    lines += [b"".join(codec.record(Finished("done")))] if end else []
    return Response(app_iter=lines, content_type="application/jsonl")


def test_streams(client):
    shown = []
    found, _ = client(
        stream(1, Progress(1.0, 2.0), 2), stream(1), progress=shown.append
    )
    items = found.count(n=2)
    assert list(items) == [1, 2] and items.value == "done"
    assert shown == [Progress(1.0, 2.0)]
    assert list(items) == []
    assert found.count().result() == "done"


def test_progress_may_be_ignored(client):
    found, _ = client(stream(Progress(1.0)))
    with found.count() as items:
        assert items.result() == "done"


def test_streams_that_end_early(client):
    found, _ = client(stream(1, end=False), answer(b"[1]\n[", 200, "application/jsonl"))
    items = found.count()
    assert next(items) == 1
    with pytest.raises(ServiceError, match="early"):
        next(items)
    items = found.count()
    assert next(items) == [1]
    with pytest.raises(Undecodable):
        next(items)
    with pytest.raises(StopIteration):
        next(items)


def test_streams_that_fail(client):
    def failed(problem):
        line = json.dumps({"$failed": problem}).encode() + b"\n"
        return Response(body=line, content_type="application/jsonl")

    found, _ = client(
        failed({"status": 409, "exception": "OutOfStock", "message": "x"}),
        failed({"title": "Oh"}),
        exceptions=[OutOfStock],
    )
    with pytest.raises(OutOfStock):
        list(found.count())
    with pytest.raises(ServiceError) as caught:
        list(found.count())
    assert caught.value.status == 0


def test_a_session_of_your_own(client):
    session = requests.Session()
    session.headers["X-Unused"] = "1"
    found, app = client(answer(1), session=session)
    assert found.add() == 1


def test_auth_that_answers_challenges(client):
    challenge = 'Digest realm="r", nonce="n", qop="auth"'
    found, app = client(
        answer(b"", 401, **{"WWW-Authenticate": challenge}),
        answer(5),
        auth=requests.auth.HTTPDigestAuth("me", "pw"),
    )
    assert found.add() == 5
    assert app.requests[1][0]["HTTP_AUTHORIZATION"].startswith("Digest ")


def test_names_and_secrets():
    found = ServiceClient("http://host/srv?key=secret", "json", auth=("me", "secret"))
    assert "secret" not in repr(found)
    assert repr(found.a.b) == "<service a/b>"
    for each in (found, found.a):
        with pytest.raises(AttributeError):
            each._private  # noqa: B018


def test_a_bar():
    import io

    into = io.StringIO()
    show = progress_bar(file=into, ascii=True)
    for done in (1, 2):
        show(Progress(done, 2, "working"))
    assert "working" in into.getvalue() and "2/2" in into.getvalue()
    progress_bar(file=into, disable=True)(Progress(1))


def test_a_bar_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(MissingExtra):
        progress_bar()


@pytest.mark.parametrize("errors", ["problem", "envelope"])
def test_an_error_in_a_stream_has_its_status(client, errors):
    """In the envelope it was 0."""
    problem = {"status": 409, "title": "Conflict", "detail": "taken"}
    if errors == "envelope":
        problem = {"error": {"code": 409, "type": "Conflict", "message": "taken"}}
    lines = b'1\n{"$failed":' + json.dumps(problem).encode() + b"}\n"
    found, _ = client(answer(lines, content_type="application/jsonl"))
    with pytest.raises(ServiceError) as caught:
        list(found.add())
    assert (caught.value.status, str(caught.value)) == (409, "409 Conflict: taken")


@pytest.mark.parametrize("error", ["text", {"code": "409"}, None])
def test_a_problem_may_be_odd(client, error):
    found, _ = client(answer([{"error": {"error": error}}]))
    (made,) = found.add.batch([{}])
    assert made.status == 0


class OfTwoThings(Exception):
    def __init__(self, number, name):
        super().__init__(f"{number} {name}")


def test_an_exception_that_is_not_made_of_a_text(client):
    """It was a TypeError of the client."""
    problem = {"exception": "OfTwoThings", "message": "1 a", "detail": "1 a"}
    found, _ = client(answer(problem, 422), exceptions=[OfTwoThings])
    with pytest.raises(ServiceError, match="1 a") as caught:
        found.add()
    assert caught.value.problem["exception"] == "OfTwoThings"


@pytest.mark.parametrize(
    "url", ["host/srv", "localhost:6543/srv", "ftp://host/srv", "//host", "", "http:/h"]
)
def test_a_url_that_leads_nowhere(url):
    with pytest.raises(ConfigurationError, match="begin with http:// or https://"):
        ServiceClient(url, "json")


@pytest.mark.parametrize("scheme", ["http", "HTTPS", "http+unix"])
def test_a_password_in_the_url_is_refused(scheme):
    """It was left out in silence."""
    for userinfo in ("user:secret", "secret", ":secret", "user:s@secret"):
        with pytest.raises(ConfigurationError, match="auth=") as caught:
            ServiceClient(f"{scheme}://{userinfo}@host/srv", "json")
        assert "secret" not in str(caught.value)
    ServiceClient(f"{scheme}://host/srv@home?a@b#c@d", "json").close()


def test_a_session_may_know_more_schemes():
    ServiceClient("mine://host/srv", "json", session=requests.Session()).close()
    with pytest.raises(ConfigurationError):
        ServiceClient("host/srv", "json", session=requests.Session())


@pytest.mark.parametrize("installed, name", [(True, "msgpack"), (False, "json")])
def test_the_codec_that_is_there(monkeypatch, installed, name):
    """MessagePack was asked for where its library was not installed."""
    if not installed:
        monkeypatch.setattr(codecs, "find_spec", lambda name: name == "json" or None)
    with ServiceClient("http://host") as found:
        assert repr(found) == f"<ServiceClient {name}>"


@pytest.mark.parametrize("errors", ["problem", "envelope"])
def test_a_codec_that_the_service_does_not_have(errors):
    """It said 415, and not what to do."""
    members = {"accept": ["application/json", "application/cbor"]}
    problem = {"title": "Unsupported Media Type", "detail": "No."} | members
    if errors == "envelope":
        problem = {"error": {"code": 415, "type": "x", "message": "No."} | members}
    with served(Scripted(answer(problem, 415))) as authority:
        with ServiceClient(f"http://{authority}", "msgpack") as found:
            with pytest.raises(ServiceError, match=r"No\. Use .*\(url, 'json'\)\."):
                found.add()


@pytest.mark.parametrize("accept", [None, "application/json", [], ["text/x", 1]])
def test_a_415_that_says_nothing_of_codecs(client, accept):
    found, _ = client(answer({"title": "No", "accept": accept}, 415))
    with pytest.raises(ServiceError) as caught:
        found.add()
    assert str(caught.value) == "415 No"


def test_headers_of_the_client_and_of_its_session(client):
    session = requests.Session()
    own = {"X-Key": "k", "Accept": "text/html", "User-Agent": "mine/1"}
    session.headers.update(own)
    session.auth = ("me", "pw")
    found, app = client(answer(1), session=session, headers={"X-More": "m"})
    assert found.add() == 1
    environ, _ = app.requests[0]
    assert (environ["HTTP_X_KEY"], environ["HTTP_X_MORE"]) == ("k", "m")
    assert environ["HTTP_USER_AGENT"] == "mine/1"
    assert environ["HTTP_ACCEPT"] == environ["CONTENT_TYPE"] == "application/json"
    assert environ["HTTP_AUTHORIZATION"].startswith("Basic ")
