"""``prest call``."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator

from pyramid_restproxy.services.command import call_from_command_line
from pyramid_restproxy.services.values import Progress
from tests.wire import served


def echo(request, a=None, b=None):
    return [a, b, request.headers.get("X-Key")]


def count(n: int, total: int | None = None):
    for number in range(n):
        yield number
        yield Progress(number + 1, total, "counting")
    return "done" if total else None


@pytest.fixture(scope="module")
def url():
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("echo", "/srv/echo", echo)
        config.add_service("count", "/srv/count", count)
        app = config.make_wsgi_app()
    with served(app) as authority:
        yield f"http://{authority}/srv"


@pytest.mark.parametrize("codec", ["json", "msgpack", "cbor"])
def test_a_call(url, capsys, codec):
    words = [url, "echo", "a=1", "b=x=y", "--codec", codec, "-H", "X-Key: k"]
    assert call_from_command_line(words) == 0
    assert capsys.readouterr().out == '[1,"x=y","k"]\n'


def test_a_stream(url, capsys):
    assert call_from_command_line([url, "count", "n=2", "total=2"]) == 0
    shown = capsys.readouterr()
    assert shown.out == '0\n1\n"done"\n'
    assert shown.err == "1 of 2 counting\n2 of 2 counting\n"
    assert call_from_command_line([url, "count", "n=1"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("0\n", "1 counting\n")


@pytest.mark.parametrize(
    "words, inside",
    [(["count", "n=x"], "$.n"), (["nothing"], "404"), (["count", "m=1"], "$.m")],
)
def test_errors(url, capsys, words, inside):
    assert call_from_command_line([url, *words]) == 1
    shown = capsys.readouterr()
    assert shown.out == "" and inside in shown.err and "prest call:" in shown.err


def test_nobody_there(capsys):
    assert call_from_command_line(["http://127.0.0.1:9", "a"]) == 1
    assert "127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [[], ["http://x"], ["http://x", "a", "b"], ["u", "n", "=1"]]
)
def test_usage(words):
    with pytest.raises(SystemExit):
        call_from_command_line(words)
