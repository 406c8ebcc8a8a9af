"""``prest call`` and ``prest stubs``."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound

from pyramid_restproxy.services.command import (
    call_from_command_line,
    stubs_from_command_line,
)
from pyramid_restproxy.services.values import Progress
from tests.wire import served


def echo(request, a=None, b=None):
    return [a, b, request.headers.get("X-Key")]


def count(n: int, total: int | None = None):
    for number in range(n):
        yield number
        yield Progress(number + 1, total, "counting")
    return "done" if total else None


class Statistics:
    def mean(self, values: list[float]) -> float:
        return sum(values) / len(values)

    def missing(self):
        raise HTTPNotFound("no such thing")


@pytest.fixture(scope="module")
def url():
    with Configurator() as config:
        config.include("pyramid_restproxy.services")
        config.add_service("echo", "/srv/echo", echo)
        config.add_service("count", "/srv/count", count)
        config.add_service("statistics", "/srv/statistics", Statistics)
        config.add_service_description("/srv/describe", codecs=("json", "cbor"))
        app = config.make_wsgi_app()
    with served(app) as authority:
        yield f"http://{authority}/srv"


@pytest.mark.parametrize("codec", ["json", "msgpack", "cbor"])
def test_a_call(url, capsys, codec):
    words = [url, "echo", "a=1", "b=x=y", "--codec", codec, "-H", "X-Key: k"]
    assert call_from_command_line(words) == 0
    assert capsys.readouterr().out == '[1,"x=y","k"]\n'


@pytest.mark.parametrize("name", ["statistics.mean", "statistics/mean"])
def test_a_method_as_it_is_described_and_by_its_path(url, capsys, name):
    assert call_from_command_line([url, name, "values=[1, 2]"]) == 0
    assert capsys.readouterr().out == "1.5\n"


@pytest.mark.parametrize(
    "name, inside",
    [
        ("statistics.missing", "404 Not Found: no such thing"),
        ("statistics.nothing", "404"),
        ("statistics.mean", "$.values"),
    ],
)
def test_errors_of_a_method(url, capsys, name, inside):
    assert call_from_command_line([url, name]) == 1
    assert inside in capsys.readouterr().err


def test_the_usage_is_text(capsys):
    with pytest.raises(SystemExit):
        call_from_command_line(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "prest call http://host/srv add a=1" in shown and "``" not in shown


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


@pytest.mark.parametrize(
    "command, words",
    [(call_from_command_line, ["a"]), (stubs_from_command_line, [])],
)
def test_nobody_there(capsys, command, words):
    assert command(["http://127.0.0.1:9", *words]) == 1
    assert "127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [[], ["http://x"], ["http://x", "a", "b"], ["u", "n", "=1"]]
)
def test_usage(words):
    with pytest.raises(SystemExit):
        call_from_command_line(words)


# -- stubs --------------------------------------------------------------------


def test_stubs_on_the_screen(url, capsys):
    assert stubs_from_command_line([url]) == 0
    shown = capsys.readouterr().out
    assert "class Services(TypedServices):" in shown
    assert (
        "def count(self, *, n: int, total: int | None = None) -> Items[Any]:" in shown
    )
    compile(shown, "shown", "exec")


def test_stubs_in_a_file(url, capsys, tmp_path):
    path = tmp_path / "shop.py"
    words = [url, "--class", "Shop", "-o", str(path), "--codec", "cbor"]
    assert stubs_from_command_line(words) == 0
    assert capsys.readouterr().out == ""
    assert "class Shop(TypedServices):" in path.read_text("utf-8")


def test_a_file_that_cannot_be_written(url, capsys, tmp_path):
    path = tmp_path / "nowhere" / "shop.py"
    assert stubs_from_command_line([url, "-o", str(path)]) == 1
    assert "prest stubs: " in capsys.readouterr().err


def test_no_description_there(url, capsys):
    assert stubs_from_command_line([f"{url}/other"]) == 1
    assert "prest stubs: 404" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["http://x", "--class", "a b"]])
def test_usage_of_stubs(words, capsys):
    with pytest.raises(SystemExit):
        stubs_from_command_line(words)
    assert "usage: prest stubs" in capsys.readouterr().err
