"""Services between two real processes, and what hostile callers send them."""

from __future__ import annotations

import contextlib
import json
import pickle
import runpy
import subprocess
import sys
import zlib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

import cbor2
import msgpack
import numpy
import pytest
import requests
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPForbidden

from pyramid_restproxy.services.client import ServiceClient, ServiceError
from pyramid_restproxy.services.codecs import PickleCodec
from pyramid_restproxy.services.contract import CodecContract
from pyramid_restproxy.services.values import Progress

CODECS = ("json", "msgpack", "cbor", "pickle")
TYPES = {
    "json": "application/json",
    "msgpack": "application/msgpack",
    "cbor": "application/cbor",
    "pickle": "application/x-pickle",
}


# -- the server ---------------------------------------------------------------


class OutOfStock(Exception):
    pass


@dataclass
class Point:
    x: float
    y: float


class Unsendable:
    pass


def echo(value=None):
    return value


def norm(point: Point) -> float:
    return abs(point.x) + abs(point.y)


def scale(values: numpy.ndarray, by: float = 2.0) -> numpy.ndarray:
    return values * by


def order(number: int) -> str:
    if number == 13:
        raise OutOfStock("no 13")
    if number == 14:
        raise RuntimeError("the password is 1234")
    return "ok"


def unsendable():
    return Unsendable()


def count(n: int):
    for number in range(n):
        yield Progress(number, n)
        yield {"n": number, "row": numpy.arange(number)}
        if number == 1000:
            raise OutOfStock("of numbers")
    return n


class Statistics:
    def mean(self, values: list[float]) -> float:
        return sum(values) / len(values)


def peak() -> int:
    """Return the most memory that the server has had, bytes."""
    with open("/proc/self/status") as status:
        (line,) = (each for each in status if each.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def signed_only(request):
    """Stand for the check of a signature: pickles only with the right key."""
    if "pickle" in request.content_type and request.headers.get("X-Key") != "key":
        raise HTTPForbidden("not signed")


def serve():
    from tests.wire import served

    with Configurator() as config:
        config.include("pyramid_restproxy")
        config.include("pyramid_restproxy.services")
        for function in (echo, norm, scale, order, unsendable, count, peak):
            config.add_service(
                function.__name__,
                f"/srv/{function.__name__}",
                function,
                codecs=CODECS,
                guard=signed_only,
            )
        config.add_service("plain", "/srv/plain", echo)
        config.add_service("statistics", "/srv/statistics", Statistics)
        config.add_service_exception(OutOfStock)
        config.add_service_description("/srv/describe")
        app = config.make_wsgi_app()
    with served(app) as authority:
        print(f"http://{authority}/srv", flush=True)
        sys.stdin.read()


@contextlib.contextmanager
def process():
    command = [sys.executable, "-W", "ignore", "-m", "tests.functional.test_services"]
    server = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield server.stdout.readline().strip(), server
    finally:
        server.communicate(timeout=20)


@pytest.fixture(scope="module")
def server():
    with process() as (url, running):
        yield url
        assert running.poll() is None, "the server did not live through it"


def client_of(url, codec, **options):
    return ServiceClient(
        url, codec, exceptions=[OutOfStock], headers={"X-Key": "key"}, **options
    )


@pytest.fixture(params=CODECS)
def client(server, request):
    with client_of(server, request.param) as found:
        yield found


# -- the contract, there and back ---------------------------------------------


class Wire(CodecContract):
    """The values of the contract through the service ``echo``."""

    codec = ""

    @pytest.fixture(autouse=True)
    def connected(self, server):
        with client_of(server, self.codec) as self.client:
            yield

    def travel(self, value):
        return self.client.echo(value=value)

    def make_codec(self):
        return self.client._codec


class TestJson(Wire):
    codec = "json"


class TestMessagePack(Wire):
    codec = "msgpack"


class TestCbor(Wire):
    codec = "cbor"


class TestPickle(Wire):
    codec = "pickle"


# -- calls --------------------------------------------------------------------


def test_arguments_become_what_the_hints_say(client):
    assert client.norm(point={"x": -1, "y": 2}) == 3
    with pytest.raises(ServiceError) as caught:
        client.norm(point={"x": "1", "y": 2})
    assert caught.value.status == 400
    assert caught.value.problem["errors"][0]["path"] == "$.point.x"


def test_large_arrays(client):
    values = numpy.arange(1_000_000.0)
    assert (client.scale(values=values) == values * 2).all()


def test_exceptions(client):
    with pytest.raises(OutOfStock, match="no 13"):
        client.order(number=13)
    with pytest.raises(ServiceError) as caught:
        client.order(number=14)
    assert caught.value.status == 500 and "1234" not in str(caught.value.problem)
    results = client.order.batch([{"number": 1}, {"number": 13}])
    assert results[0] == "ok" and isinstance(results[1], OutOfStock)


def test_streams_come_as_they_are_made(server):
    for codec in CODECS:
        shown = []
        with client_of(server, codec, progress=shown.append) as client:
            items = client.count(n=3)
            assert [each["n"] for each in items] == [0, 1, 2]
            assert items.value == 3 and shown == [Progress(n, 3) for n in range(3)]
            with pytest.raises(OutOfStock):
                list(client.count(n=2000))
            endless = client.count(n=10**9)
            assert next(endless)["n"] == 0
            endless.close()


def test_what_there_is(server):
    with client_of(server, "json") as client:
        found = {each["name"]: each for each in client.describe()}
    assert found["scale"]["codecs"] == list(CODECS)
    assert "plain" in found and found["plain"]["codecs"] == ["json", "msgpack", "cbor"]


def test_a_typed_client_that_the_server_describes(server, tmp_path):
    path = tmp_path / "made.py"
    command = [sys.executable, "-W", "ignore", "-m", "pyramid_restproxy.prest", "stubs"]
    subprocess.run([*command, server, "--class", "Made", "-o", path], check=True)
    module = runpy.run_path(str(path))
    with client_of(server, "cbor") as client:
        services = module["Made"](client)
        assert services.norm(point={"x": -1, "y": 2}) == 3
        assert (services.scale(values=numpy.arange(3.0)) == [0, 2, 4]).all()
        assert services.echo() is None
        assert [each["n"] for each in services.count(n=2)] == [0, 1]
        assert services.statistics.mean(values=[1.0, 2.0]) == 1.5
        with pytest.raises(OutOfStock):
            services.order(number=13)
        assert services.order.__annotations__ == {"number": "int", "return": "str"}
        with pytest.raises(TypeError):
            services.order(numbers=1)


# -- hostile: security.json, area "serialised" --------------------------------


def post(url, name, body, kind, key="key", **headers):
    fields = {"Content-Type": TYPES.get(kind, kind), "X-Key": key} | headers
    return requests.post(f"{url}/{name}", body, headers=fields, timeout=30)


def refused(url, body, kind, status=400):
    answer = post(url, "echo", body, kind)
    assert answer.status_code == status, answer.content[:200]
    assert b"Traceback" not in answer.content
    return answer


def alive(url):
    with client_of(url, "json") as client:
        assert client.echo(value=1) == 1


class Program:
    def __init__(self, function, *arguments):
        self.made_by = function, arguments

    def __reduce__(self):
        return self.made_by


def test_serialised_01_pickles_are_for_those_who_sign(server, tmp_path):
    import copyreg
    import operator
    import os

    mark = tmp_path / "was-here"
    programs = [
        Program(os.system, f"touch {mark}"),
        Program(eval, f"open({str(mark)!r}, 'w')"),
        Program(copyreg._reconstructor, Point, object, None),
        Program(operator.attrgetter, "a"),
        numpy.arange(3),
        Unsendable(),
    ]
    good = pickle.dumps({"value": 1})
    assert post(server, "plain", good, "pickle").status_code == 415
    assert post(server, "echo", good, "pickle", key="wrong").status_code == 403
    assert post(server, "echo", good, "pickle").status_code == 200
    for program in programs:
        for protocol in range(6):
            body = pickle.dumps({"value": program}, protocol)
            refused(server, body, "pickle")
    assert not mark.exists()
    alive(server)


def test_serialised_02_opcodes(server):
    for body in (
        b"Pname\n.",
        b"\x80\x04NQ.",
        b"\x82\x01.",
        b"\x83\x01\x00.",
        b"\x84\x01\x00\x00\x00.",
        b"(ios\nsystem\n.",
        b"(cos\nsystem\no.",
        b"cbuiltins\ndict\n)\x81.",
        b"cbuiltins\ndict\n)R.",
        b"cbuiltins\ndict\n}b.",
        b"]r\xff\xff\xff\x7f.",
        b"\x8e" + b"\xff" * 7 + b"\x7f.",
        b"(" * 100_000,
        b"](" * 100_000,
    ):
        refused(server, body, "pickle")
    alive(server)
    body = pickle.dumps(Point(1.0, 2.0))
    assert PickleCodec(Point).decode(body) == Point(1.0, 2.0)


def test_serialised_04_lengths_that_are_not_there(server):
    bodies = [
        ("cbor", b"\x9b\x00\x00\x00\x01\x00\x00\x00\x00"),
        ("cbor", b"\xbb\x00\x00\x00\x01\x00\x00\x00\x00"),
        ("cbor", b"\x5b\x00\x00\x01\x00\x00\x00\x00\x00abcde"),
        ("cbor", b"\x7b\x00\x00\x01\x00\x00\x00\x00\x00abcde"),
        ("msgpack", b"\xdd\xff\xff\xff\xff\x01\x02\x03\x04\x05"),
        ("msgpack", b"\xdf\xff\xff\xff\xff\x01\x02\x03\x04\x05"),
        ("msgpack", b"\xc6\xff\xff\xff\xff\x01\x02\x03\x04\x05"),
        ("msgpack", b"\xdb\xff\xff\xff\xff\x01\x02\x03\x04\x05"),
        ("msgpack", b"\xc9\xff\xff\xff\xff\x02\x02\x03\x04\x05"),
        ("pickle", b"\x8e\x00\x00\x00\x00\x00\x01\x00\x00abcde."),
        ("json", b'{"value":{"$ndarray":["<f8",[1099511627776],""]}}'),
    ]
    with client_of(server, "json") as client:
        before = client.peak()
        for kind, body in bodies:
            refused(server, body, kind)
        after = client.peak()
    assert after - before < 16 << 20


@pytest.mark.parametrize(
    "body, code",
    [
        (b'{"value": NaN}', "number"),
        (b'{"value": -Infinity}', "number"),
        (b'{"value": 1, "value": 2}', "duplicate-key"),
        (b'{"value": ' + b"9" * 5000 + b"}", "number"),
        (b'{"value": "\\udc00"}', "surrogate"),
        (b'\xef\xbb\xbf{"value": 1}', "encoding"),
        (b'{"value": 1} {}', "syntax"),
        ('{"value": 1}'.encode("utf-16"), "encoding"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_serialised_05_json_that_is_not_strict(server, body, code):
    problem = refused(server, body, "json").json()
    assert (problem["status"], problem["reason"]) == (400, code)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;"><!ENTITY x SYSTEM "file:///etc/passwd">]><v>&b;&x;</v>"""


@pytest.mark.parametrize("kind", ["application/xml", "text/xml"])
def test_serialised_06_there_is_no_xml(server, kind):
    answer = refused(server, BOMB, kind, 415)
    assert "application/json" in answer.headers["Accept"]


@pytest.mark.parametrize("kind", ["application/yaml", "text/yaml"])
def test_serialised_07_there_is_no_yaml(server, kind):
    refused(server, b"!!python/object/apply:os.system ['exit 1']", kind, 415)


def test_serialised_08_keys_that_collide(server):
    prime = 2**61 - 1
    colliding = [n * prime for n in range(2, 200_000)]
    big = b"".join(cbor2.dumps(number) for number in colliding)
    mapped = b"".join(cbor2.dumps(number) + b"\x01" for number in colliding)
    size = len(colliding).to_bytes(4, "big")
    pairs = [[number, 1] for number in colliding]
    bodies = [
        ("msgpack", b"\xdf" + (100_000).to_bytes(4, "big")
         + b"".join(b"\xcb" + numpy.array(2.0**61 * n, ">f8").tobytes() + b"\x01"
                    for n in range(1, 100_001))),
        ("cbor", b"\xba" + size + mapped),
        ("cbor", b"\xd9\x01\x02\x9a" + size + big),
        ("json", json.dumps({"value": {"$set": colliding}}).encode()),
        ("json", json.dumps({"value": {"$dict": pairs}}).encode()),
    ]  # fmt: skip
    with client_of(server, "json") as client:
        for kind, body in bodies:
            # 200 000 keys that collide would take longer than a test may
            refused(server, body, kind)
        many = {f"{number}": 0 for number in range(200_000)}
        assert client.echo(value=many) == many


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "x"])
def test_serialised_10_bodies_are_not_inflated(server, coding):
    body = zlib.compress(bytes(10_000_000), 9)
    headers = {"Content-Encoding": coding}
    answer = post(server, "echo", body, "json", **headers)
    assert answer.status_code == 415


@pytest.mark.parametrize("codec", CODECS)
def test_serialised_11_errors_have_one_shape(server, codec):
    with client_of(server, codec) as client:
        for call in (client.unsendable, lambda: client.order(number=14)):
            with pytest.raises(ServiceError) as caught:
                call()
            problem = caught.value.problem
            assert problem["status"] == 500 and problem["title"]
            assert set(problem) <= {"type", "title", "status", "detail", "instance"}
    answer = post(server, "order", pickle.dumps({"number": 14}), "pickle")
    assert b"RuntimeError" not in answer.content and b"1234" not in answer.content


@pytest.mark.parametrize("address", ["http://169.254.169.254/", "file:///etc/passwd"])
def test_serialised_13_there_is_no_template(server, address):
    page = f"<img src={address}>".encode()
    refused(server, page, "text/html", 415)
    with client_of(server, "json") as client:
        assert client.echo(value=page.decode()) == page.decode()  # text, nothing more
    answer = post(server, "echo", b"{}", "json", Accept="application/pdf")
    assert answer.status_code == 406


@pytest.mark.parametrize("kind", ["json", "msgpack", "cbor", "pickle"])
def test_depth_is_refused(server, kind):
    opener = {"json": b"[", "msgpack": b"\x91", "cbor": b"\x81", "pickle": b"]("}
    for levels in (101, 1000, 100_000, 1_000_000):
        refused(server, opener[kind] * levels, kind)
    alive(server)


def test_values_of_all_kinds_in_one_call(client):
    value = {
        "when": date(2026, 11, 21),
        "price": Decimal("1.10"),
        "id": UUID(int=7),
        "tags": {"a", "b"},
        "raw": b"\x00\xff",
        "cells": {(0, 1), (2, (3, 4))},
        "grid": {(0, 1): "a"},
    }
    assert client.echo(value=value) == value
    assert msgpack.packb(1) == b"\x01"


if __name__ == "__main__":
    serve()
