"""From requests to calls and back, over WSGI."""

from __future__ import annotations

import io
import json
import pickle
from collections import namedtuple
from datetime import date

import msgpack
import numpy
import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import (
    HTTPClientError,
    HTTPConflict,
    HTTPError,
    HTTPForbidden,
    HTTPNoContent,
    HTTPNotFound,
    HTTPNotModified,
)
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import EXCVIEW
from pyramid_retry import RetryableException

from pyramid_restproxy.routing.override import UnreadableBody
from pyramid_restproxy.services import view as module
from pyramid_restproxy.services.codecs import CborCodec, JsonCodec, MessagePackCodec
from pyramid_restproxy.services.values import Progress, Undecodable, Unencodable
from pyramid_restproxy.services.view import ServiceFailed, read_body


class OutOfStock(Exception):
    pass


class Closed(OutOfStock):
    pass


def add(a: int, b: int = 1) -> int:
    if a == 13:
        raise Closed("no 13")
    if a == 14:
        raise RuntimeError("the password is 1234")
    if a == 15:
        raise HTTPConflict("taken", headers=[("Retry-After", "5")])
    return a + b


def unsendable():
    return object()


def when(request) -> str:
    return request.method


def count(n: int):
    for number in range(n):
        yield number
        yield Progress(number + 1, n)
        if number == 7:
            raise OutOfStock("seven")
        if number == 8:
            yield object()
    return "done"


def app_of(settings=None, **options):
    with Configurator(settings=settings or {}) as config:
        config.include("pyramid_restproxy.services")
        for function in (add, unsendable, when, count):
            name = function.__name__
            config.add_service(name, f"/srv/{name}", function, **options)
        config.add_service_exception(OutOfStock, status=409)
        return config.make_wsgi_app()


def call(app, name, body=b"{}", method="POST", **headers):
    fields = {"Content-Type": "application/json"}
    fields |= {key.replace("_", "-"): value for key, value in headers.items()}
    request = Request.blank(f"/srv/{name}", method=method, headers=fields)
    request.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request.get_response(app)


def test_a_call():
    answer = call(app_of(), "add", {"a": 1, "b": 2})
    assert (answer.status_int, answer.json) == (200, 3)
    assert answer.content_type == "application/json"
    assert answer.headers["Vary"] == "Accept"
    assert call(app_of(), "when").json == "POST"


@pytest.mark.parametrize(
    "accept, content_type",
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/msgpack", "application/msgpack"),
        ("application/x-msgpack", "application/msgpack"),
        ("application/cbor, application/msgpack;q=0.5", "application/cbor"),
    ],
)
def test_the_answer_is_in_the_codec_of_the_caller(accept, content_type):
    assert call(app_of(), "add", {"a": 1}, Accept=accept).content_type == content_type


def test_msgpack_in_msgpack_out():
    body = msgpack.packb({"a": 1})
    answer = call(app_of(), "add", body, Content_Type="application/x-msgpack")
    assert msgpack.unpackb(answer.body) == 2


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Content_Type": "application/xml"}, 415),
        ({"Content_Type": "application/x-pickle"}, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content_Type": ""}, 415),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Encoding": "identity"}, 200),
        ({"Content_Type": "Application/JSON; charset=utf-8"}, 200),
        ({"Accept": "text/html"}, 406),
        ({"method": "GET"}, 405),
        ({"method": "PUT"}, 405),
    ],
)
def test_refusals_before_the_body(headers, status):
    answer = call(app_of(), "add", {"a": 1}, **headers)
    assert answer.status_int == status
    if status == 405:
        assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("errors", ["problem", "envelope"])
@pytest.mark.parametrize(
    "arguments, status, inside",
    [
        ({"a": "x"}, 400, "$.a"),
        ({}, 400, "$.a"),
        ({"a": 13}, 409, "no 13"),
        ({"a": 14}, 500, ""),
        ({"a": 15}, 409, "taken"),
        (1, 400, "$"),
    ],
)
def test_errors_in_the_codec_of_the_caller(arguments, status, inside, errors):
    app = app_of({"restproxy.errors": errors})
    answer = call(app, "add", arguments, Accept="application/msgpack")
    assert answer.status_int == status
    document = msgpack.unpackb(answer.body)
    if errors == "envelope":
        assert document["error"]["code"] == status
        assert inside in document["error"]["message"]
    else:
        assert document["status"] == status
        assert inside in document["detail"]
    assert b"1234" not in answer.body and b"Traceback" not in answer.body


def test_headers_of_an_error_are_kept():
    answer = call(app_of(), "add", {"a": 15})
    assert answer.headers["Retry-After"] == "5"
    assert answer.content_type == "application/problem+json"


def test_what_callers_may_see_of_an_exception():
    document = call(app_of(), "add", {"a": 13}).json
    assert (document["exception"], document["message"]) == ("OutOfStock", "no 13")


def test_a_body_that_is_none_has_a_code():
    document = call(app_of(), "add", b'{"a": NaN}').json
    assert (document["status"], document["reason"]) == (400, "number")


def test_a_result_that_cannot_be_sent_is_our_mistake():
    assert call(app_of(), "unsendable").status_int == 500


def test_unexpected_errors_can_be_raised():
    app = app_of({"restproxy.unexpected_errors": "raise"})
    with pytest.raises(RuntimeError):
        call(app, "add", {"a": 14})


def test_bodies_have_a_limit():
    app = app_of(max_body=10)
    assert call(app, "add", {"a": 1}).status_int == 200
    assert call(app, "add", b" " * 11).status_int == 413


def test_batches(monkeypatch):
    found = call(app_of(), "add", [{"a": 1}, {"a": 13}, {"b": 1}]).json
    assert found[0] == {"result": 2}
    assert found[1]["error"]["exception"] == "OutOfStock"
    assert found[2]["error"]["status"] == 400
    assert call(app_of(), "count", [{"n": 2}]).json == [{"result": [0, 1]}]
    monkeypatch.setattr(module, "MAX_BATCH", 2)
    assert call(app_of(), "add", [{}, {}, {}]).status_int == 413


def test_streams():
    answer = call(app_of(), "count", {"n": 2})
    assert answer.content_type == "application/jsonl"
    assert [json.loads(line) for line in answer.body.splitlines()] == [
        0,
        {"$progress": [1, 2, ""]},
        1,
        {"$progress": [2, 2, ""]},
        {"$finished": "done"},
    ]


@pytest.mark.parametrize("failing, status", [(8, 409), (9, 409)])
def test_a_stream_that_fails_says_so(failing, status):
    last = call(app_of(), "count", {"n": failing}).body.splitlines()[-1]
    assert json.loads(last)["$failed"]["status"] == status


def test_an_item_that_cannot_be_sent_ends_the_stream():
    def odd():
        yield object()

    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("odd", "/srv/odd", odd)
        app = config.make_wsgi_app()
    assert json.loads(call(app, "odd").body)["$failed"]["status"] == 500


def test_a_stream_that_nobody_reads_is_closed():
    closed = []

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("endless", "/srv/endless", endless)
        app = config.make_wsgi_app()
    answer = call(app, "endless")
    stream = iter(answer.app_iter)
    assert next(stream) == b"1\n"
    answer.app_iter.close()
    assert closed == [True]


def refuse(request):
    if request.headers.get("X-Key") != "k":
        raise HTTPForbidden("who are you?")


def test_a_guard_comes_before_the_body():
    app = app_of(guard=refuse, codecs=("json", "pickle"))
    evil = b"cos\nsystem\n(S'exit 1'\ntR."
    pickled = {"Content_Type": "application/x-pickle"}
    assert call(app, "add", evil, **pickled).status_int == 403
    assert call(app, "add", evil, X_Key="k", **pickled).status_int == 400
    body = pickle.dumps({"a": 1})
    assert call(app, "add", body, X_Key="k", **pickled).status_int == 200


def test_the_old_contract():
    app = app_of(strict_404=True, user_agent="script/1")
    assert call(app, "add", {"a": 1}, User_Agent="script/1").status_int == 200
    assert call(app, "add", {"a": 1}, User_Agent="curl").status_int == 404
    for method in ("GET", "PUT", "DELETE"):
        answer = call(app, "add", {"a": 1}, method=method, User_Agent="script/1")
        assert answer.status_int == 404


def test_the_same_said_openly():
    app = app_of(user_agent="script/1")
    assert call(app, "add", {"a": 1}, User_Agent="curl").status_int == 403
    assert call(app, "add", {"a": 1}, method="GET").status_int == 405


def test_https_only():
    app = app_of(require_https=True)
    assert call(app, "add", {"a": 1}).status_int == 403
    request = Request.blank("https://localhost/srv/add", method="POST")
    request.content_type, request.body = "application/json", b'{"a": 1}'
    assert request.get_response(app).status_int == 200


@pytest.mark.parametrize(
    "peer, said, status",
    [
        ("10.0.0.1", "https", 200),
        ("10.0.0.1", "http", 403),
        ("10.0.0.1", "http, https", 403),
        ("6.6.6.6", "https", 403),
    ],
)
def test_https_only_behind_a_trusted_proxy(peer, said, status):
    settings = {"restproxy.trusted_proxies": "10.0.0.0/8"}
    app = app_of(settings, require_https=True)
    request = Request.blank("/srv/add", {"REMOTE_ADDR": peer}, method="POST")
    request.headers["X-Forwarded-Proto"] = said
    request.content_type, request.body = "application/json", b'{"a": 1}'
    assert request.get_response(app).status_int == status


class Reader:
    """A stream without readinto, in small pieces."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def read(self, size):
        return self.data.read(min(size, 1000))


@pytest.mark.parametrize("stream", [io.BytesIO, Reader])
@pytest.mark.parametrize("size", [10, module.BLOCK + 10])
def test_reading_bodies(stream, size):
    environ = {"wsgi.input": stream(b"x" * size), "CONTENT_LENGTH": str(size)}
    assert read_body(environ, size) == b"x" * size
    environ["wsgi.input"] = stream(b"x" * size)
    assert read_body(environ, size - 1) is None
    short = environ | {"wsgi.input": stream(b"x" * (size - 1))}
    with pytest.raises(Undecodable) as caught:
        read_body(short, size)
    assert caught.value.code == "truncated"


def test_reading_bodies_of_unknown_length():
    environ = {"wsgi.input": Reader(b"x" * 5000)}
    assert read_body(environ, 10) == b""
    environ["wsgi.input_terminated"] = True
    assert read_body(environ, 5000) == b"x" * 5000
    environ["wsgi.input"] = Reader(b"x" * 5000)
    assert read_body(environ, 4999) is None
    with pytest.raises(Undecodable):
        read_body({"wsgi.input": Reader(b""), "CONTENT_LENGTH": "-5"}, 10)


def test_dates_travel_by_their_hints():
    def year(on: date) -> int:
        return on.year

    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service(
            "year", "/srv/year", year, codecs=[MessagePackCodec(), "json"]
        )
        app = config.make_wsgi_app()
    assert call(app, "year", {"on": "2026-01-01"}).json == 2026
    (typed,) = JsonCodec().encode({"on": date(2025, 1, 1)})
    assert call(app, "year", typed).json == 2025


def test_large_answers_come_in_blocks():
    array = numpy.arange(100_000.0)

    def large():
        return array

    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("large", "/srv/large", large)
        app = config.make_wsgi_app()
    answer = call(app, "large", Accept="application/cbor")
    pieces = list(answer.app_iter)
    assert max(map(len, pieces)) == module.BLOCK
    assert set(map(type, pieces)) == {bytes}
    assert sum(map(len, pieces)) == answer.content_length


class BadChunk(Exception):
    """What a server raises at a chunk that is none; gunicorn's is no OSError."""


class Broken:
    def __init__(self, *pieces):
        self.pieces = list(pieces)

    def read(self, size):
        if not self.pieces:
            raise BadChunk("not a chunk")
        return self.pieces.pop(0)


class BrokenFile(Broken):
    def readinto(self, view):
        piece = self.read(len(view))
        view[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("length", [None, "10", str(module.BLOCK + 10)])
@pytest.mark.parametrize("stream", [Broken, BrokenFile])
@pytest.mark.parametrize("pieces", [[], [b'{"a":']])
def test_a_body_that_the_server_cannot_read_is_the_client_s_fault(
    stream, pieces, length
):
    environ = {
        "wsgi.input": stream(*pieces),
        "CONTENT_TYPE": "application/json",
        "REQUEST_METHOD": "POST",
    }
    if length is None:
        environ["wsgi.input_terminated"] = True
    else:
        environ["CONTENT_LENGTH"] = length
    with pytest.raises(UnreadableBody) as caught:
        read_body(environ, 10_000_000)
    assert isinstance(caught.value.__cause__, BadChunk)
    environ["wsgi.input"] = stream(*pieces)
    answer = Request.blank("/srv/add", environ).get_response(app_of())
    assert answer.status_int == 400
    assert answer.json["status"] == 400


@pytest.mark.parametrize("length", ["9" * 19, "9" * 5000])
def test_a_length_beyond_all_bodies(length):
    environ = {"wsgi.input": io.BytesIO(b"x"), "CONTENT_LENGTH": length}
    assert read_body(environ, 10) is None


@pytest.mark.parametrize("length", ["-5", "1_0", "\u0661", "+1"])
def test_a_length_that_is_none(length):
    with pytest.raises(Undecodable):
        read_body({"wsgi.input": io.BytesIO(b"x"), "CONTENT_LENGTH": length}, 10)


def test_large_numbers_in_one_codec_are_answered_in_another():
    """A number was read from CBOR that JSON cannot write, and that was a 500."""
    too_large = {"a": 10**4000, "b": 1}
    just_not = {"a": 10**4000 - 1, "b": 10**4000 - 1}
    for codec in (MessagePackCodec(), CborCodec()):
        kinds = {"Content_Type": codec.media_type, "Accept": "application/json"}
        body = b"".join(codec.encode(too_large))
        assert call(app_of(), "add", body, **kinds).status_int == 400
        answer = call(app_of(), "add", b"".join(codec.encode(just_not)), **kinds)
        assert answer.json == 2 * just_not["a"]


# -- pyramid_retry, and others that read the body -----------------------------


def retried(*functions, tween=None, **settings):
    with Configurator(settings={"retry.attempts": "3"} | settings) as config:
        config.include("pyramid_retry")
        config.include("pyramid_restproxy.services")
        if tween is not None:
            config.add_tween(f"{__name__}.{tween}", under=EXCVIEW)
        for function in functions:
            name = function.__name__
            config.add_service(name, f"/srv/{name}", function)
        config.add_service_exception(OutOfStock, status=409)
        return config.make_wsgi_app()


class Busy(RetryableException):
    """Two clients wrote the same row."""


def failing(error, times):
    """Return a service that fails some times, and the arguments of its calls."""
    calls = []

    def service(a: int) -> int:
        calls.append(a)
        if len(calls) <= times:
            raise error
        return a

    return service, calls


@pytest.mark.parametrize("body, answer", [({"a": 5}, 5), ([{"a": 5}], [{"result": 5}])])
def test_pyramid_retry_calls_again(body, answer):
    """It saw a 500, which is nothing to try again; and the body was read already."""
    service, calls = failing(Busy(), 2)
    found = call(retried(service), "service", body)
    assert (found.status_int, found.json, calls) == (200, answer, [5, 5, 5])


def test_after_the_last_attempt_the_caller_is_told():
    service, calls = failing(Busy(), 3)
    found = call(retried(service), "service", {"a": 5}, Accept="application/msgpack")
    assert msgpack.unpackb(found.body)["status"] == 500 and len(calls) == 3


@pytest.mark.parametrize(
    "error, status", [(OutOfStock(), 409), (HTTPConflict(), 409), (RuntimeError(), 500)]
)
def test_what_is_not_tried_again_is_answered_at_once(error, status):
    service, calls = failing(error, 1)
    found = call(retried(service), "service", {"a": 5})
    assert (found.status_int, found.json["status"], calls) == (status, status, [5])


SEEN = []


def fails_at_the_end(handler, registry):
    """Make a tween that fails as a transaction does that cannot be committed."""

    def tween(request):
        response = handler(request)
        if request.environ["retry.attempt"] < 2:
            raise Busy()
        return response

    return tween


def test_a_call_can_be_made_again_after_its_answer():
    service, calls = failing(None, 0)
    found = call(retried(service, tween="fails_at_the_end"), "service", {"a": 5})
    assert (found.json, calls) == (5, [5, 5, 5])


def reads_the_body(handler, registry):
    def tween(request):
        request.make_body_seekable()
        assert request.body_file.read()
        return handler(request)

    return tween


def test_somebody_has_read_the_body():
    service, _ = failing(None, 0)
    app = retried(service, tween="reads_the_body")
    assert call(app, "service", {"a": 5}).json == 5


def keeps_what_was_raised(handler, registry):
    def tween(request):
        try:
            return handler(request)
        except Exception as error:
            SEEN.append(type(error))
            raise

    return tween


def test_a_tween_sees_that_a_service_failed():
    """So pyramid_tm takes back what the service has written."""
    SEEN.clear()
    app = retried(add, tween="keeps_what_was_raised")
    for a in (13, 14):
        call(app, "add", {"a": a})
    assert SEEN == [ServiceFailed, RuntimeError]


# -- views of the application -------------------------------------------------


def test_pages_of_the_application_are_not_for_services():
    """A 404 of a service was the page of ``add_notfound_view``."""

    def missing():
        raise HTTPNotFound("no such item")

    def denied():
        raise HTTPForbidden("not this one")

    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("missing", "/srv/missing", missing)
        config.add_service("denied", "/srv/denied", denied)
        config.add_notfound_view(lambda e, r: Response("<h1>?</h1>", status=404))
        config.add_forbidden_view(lambda e, r: Response("log in", status=303))
        app = config.make_wsgi_app()
    for name, status in (("missing", 404), ("denied", 403)):
        found = call(app, name, Accept="application/cbor")
        assert found.status_int == status
        assert found.content_type == CborCodec().problem_type
    assert call(app, "nowhere").text == "<h1>?</h1>"


def test_views_of_all_exceptions_still_are():
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("add", "/srv/add", add)
        config.add_exception_view(
            lambda e, r: Response(f"{e.status} {e.title}"), context=HTTPError
        )
        app = config.make_wsgi_app()
    assert call(app, "add", {"a": 15}).text == "409 Conflict Conflict"


def test_a_status_of_your_own():
    class HTTPPageExpired(HTTPClientError):
        code, title = 419, "Page Expired"

    def old():
        raise HTTPPageExpired("too old", headers=[("X-A", "1")])

    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("old", "/srv/old", old)
        app = config.make_wsgi_app()
    found = call(app, "old")
    assert (found.status_int, found.headers["X-A"]) == (419, "1")
    assert (found.json["title"], found.json["detail"]) == ("Page Expired", "too old")


# -- one value that cannot be written -----------------------------------------


def unsendable_in_the_end():
    yield 1
    return object()


def sometimes(a: int):
    if a == 2:
        return object()
    return a


class Breaks:
    def __json__(self, request):
        raise ValueError("no")


def breaks():
    return Breaks()


Pair = namedtuple("Pair", "a b")


class Listed(list):
    pass


def pairs():
    return {"pair": Pair(1, Listed([2, Pair(3, 4)]))}


def writing(*functions):
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        for function in functions:
            config.add_service(function.__name__, f"/srv/{function.__name__}", function)
        return config.make_wsgi_app()


def test_a_stream_ends_though_its_result_cannot_be_written():
    """It broke off."""
    lines = call(writing(unsendable_in_the_end), "unsendable_in_the_end").body
    first, last = map(json.loads, lines.splitlines())
    assert first == 1 and last["$failed"]["status"] == 500


def test_one_result_without_a_form_does_not_end_the_batch():
    """All of it was a 500."""
    app = writing(sometimes, breaks)
    found = call(app, "sometimes", [{"a": 1}, {"a": 2}, {"a": 3}]).json
    assert (found[0], found[2]) == ({"result": 1}, {"result": 3})
    assert found[1]["error"]["status"] == 500
    assert call(app, "breaks", [{}]).json[0]["error"]["status"] == 500
    app = app_of({"restproxy.unexpected_errors": "raise"})
    with pytest.raises(Unencodable):
        call(app, "unsendable", [{}])


@pytest.mark.parametrize("codec", [JsonCodec(), MessagePackCodec(), CborCodec()])
def test_a_tuple_with_names_is_a_list(codec):
    """It had no form."""
    found = call(writing(pairs), "pairs", Accept=codec.media_type)
    assert codec.decode(found.body) == {"pair": [1, [2, [3, 4]]]}


# -- the header fields of errors and streams ----------------------------------


def split():
    fields = [("X-Why", "a\r\nSet-Cookie: a=1"), ("X-Far", "\u20ac"), ("X-A", "1")]
    raise HTTPConflict("taken", headers=fields)


def nothing():
    raise HTTPNoContent(headers=[("X-A", "1")])


def unchanged():
    raise HTTPNotModified(headers=[("ETag", '"1"')])


def test_a_field_that_cannot_be_sent_is_left_out_of_a_services_error(caplog):
    """What a service put in a field could be a second field of the answer."""
    answer = call(writing(split), "split")
    assert (answer.status_int, answer.json["detail"]) == (409, "taken")
    assert answer.headers["X-A"] == "1"
    assert not {"X-Why", "X-Far", "Set-Cookie"} & set(answer.headers)
    assert "field 'X-Why'" in caplog.text


@pytest.mark.parametrize("function, status", [(nothing, 204), (unchanged, 304)])
def test_a_status_without_a_body_has_none(function, status):
    """A problem document followed, which the client took for the next answer."""
    answer = call(writing(function), function.__name__)
    assert (answer.status_int, answer.body) == (status, b"")
    assert "Content-Type" not in answer.headers
    assert answer.headers["Vary"] == "Accept"


def test_fields_of_an_answer_without_a_body_are_kept():
    assert call(writing(nothing), "nothing").headers["X-A"] == "1"
    assert call(writing(unchanged), "unchanged").headers["ETag"] == '"1"'


@pytest.mark.parametrize(
    "name, arguments", [("add", {"a": 13}), ("add", {"a": 15}), ("count", {"n": 1})]
)
def test_errors_and_streams_vary_and_are_not_sniffed_as_results_are(name, arguments):
    """A cache gave the MessagePack of one caller to another that reads JSON."""
    answer = call(app_of(), name, arguments)
    assert answer.headers["Vary"] == "Accept"
    assert answer.headers.getall("X-Content-Type-Options") == ["nosniff"]
