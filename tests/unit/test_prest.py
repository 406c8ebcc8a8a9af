"""The command line."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
from pyramid.config import Configurator
from pyramid.response import Response

from pyramid_restproxy import prest
from pyramid_restproxy.testing import Answer, FakeBackend

closed = []


def show(request):
    raise AssertionError("the view must not run")


def factory(request):
    request.add_finished_callback(lambda request: closed.append(request.path))
    assert request.helper() == "help"  # request methods are there
    return object()


class Posts:
    def __init__(self, request):
        raise AssertionError("the view must not run")

    def index(self):
        raise AssertionError


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include("pyramid_restproxy")
        config.add_request_method(lambda request: "help", "helper")
        config.add_rest_resource("posts", "/posts", Posts)
        config.add_route("post", "/posts/{id}", factory=factory)
        for method in ("GET", "DELETE"):
            config.add_view(
                show, route_name="post", allowed_methods=method, renderer="negotiated"
            )
        config.add_route("plain", "/plain")
        config.add_view(lambda request: Response(""), route_name="plain")
        config.add_backend("users", "http://127.0.0.1:1")
        config.add_proxy_route("users", "/api/*path", "users")
        return config.make_wsgi_app()


@pytest.fixture
def ini(tmp_path):
    path = tmp_path / "app.ini"
    path.write_text(
        "[app:main]\nuse = call:tests.unit.test_prest:main\n"
        "[loggers]\nkeys = root\n[handlers]\nkeys =\n[formatters]\nkeys =\n"
        "[logger_root]\nhandlers =\n"
    )
    return str(path)


def run(capsys, *words):
    status = prest.main(words)
    return status, capsys.readouterr().out


def test_routes(ini, capsys):
    status, out = run(capsys, "routes", ini)
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert ["posts", "/posts", "GET,HEAD", "json,xml", "Posts.index"] in rows
    assert ["post", "/posts/{id}", "DELETE", "json,xml", "show"] in rows
    assert rows[5][:3] == ["plain", "/plain", "*"]
    assert "-> users" in out
    assert ["xml", "application/xml", ".xml", "text/xml"] in rows


def test_explain(ini, capsys):
    accept = "Accept: text/*;q=0.5, application/xml"
    status, out = run(capsys, "explain", ini, "GET", "/posts/1.json", "-H", accept)
    assert status == 0
    assert "route           post" in out and "matchdict       {'id': '1'}" in out
    assert "extension       .json" in out
    assert "offer         application/json  q=0  (no match)" in out
    assert "offer         application/xml  q=1  (3)" in out
    assert "representation  application/json, by extension" in out
    assert closed == ["/posts/1.json"]


def test_an_override_is_explained(ini, capsys):
    status, out = run(
        capsys, "explain", ini, "POST", "/posts/1", "-d", "_method=DELETE"
    )
    assert status == 0
    assert "method          DELETE (POST overridden by field)" in out


@pytest.mark.parametrize(
    "words, says",
    [
        (("PUT", "/posts/1"), "method not allowed"),
        (("GET", "/posts/1", "-H", "Accept: image/png"), "not acceptable"),
        (("GET", "/nope"), "no route"),
    ],
)
def test_a_refusal_is_the_exit_status(ini, capsys, words, says):
    status, out = run(capsys, "explain", ini, *words)
    assert status == 1
    assert f"refusal         {says}" in out


def test_options_that_are_answered_are_no_refusal(ini, capsys):
    assert run(capsys, "explain", ini, "OPTIONS", "/posts")[0] == 0


def test_a_command_is_needed(capsys):
    with pytest.raises(SystemExit):
        prest.main([])


def test_backends_that_answer_and_one_that_does_not(capsys, ini, tmp_path):
    with (
        FakeBackend(Answer(404)) as one,
        FakeBackend(Answer(200)) as two,
        FakeBackend(Answer(500)) as three,
    ):
        path = tmp_path / "gateway.ini"
        path.write_text(
            "[app:main]\nuse = egg:pyramid_restproxy#gateway\n"
            f"restproxy.backends =\n    a = {one.url}\n"
            f"    b = {two.url} weight=2 {three.url}\n"
            "restproxy.backend.b.probe_path = /up\n" + ini_logging(ini)
        )
        status, out = run(capsys, "backends", str(path))
        assert status == 1
        assert [line.split()[1:] for line in out.splitlines()[2:]] == [
            [one.url, "1", "/", "ok"],
            [two.url, "2", "/up", "ok"],
            [three.url, "1", "/up", "500"],
        ]
        assert two.requests[0].target == "/up"


def ini_logging(ini):
    with open(ini) as file:
        return "[loggers]" + file.read().partition("[loggers]")[2]


@pytest.mark.parametrize(
    "words, says",
    [
        (["routes", "nope.ini"], "there is no file 'nope.ini'"),
        (["keys", "new", "bad name", "--file", "keys"], "cannot be the name"),
        (["keys", "new", "a", "--file", "/nowhere/at/all/keys"], "/nowhere/at/all"),
    ],
)
def test_what_the_user_can_mend_is_said_in_a_line(capsys, words, says):
    with pytest.raises(SystemExit) as caught:
        prest.main(words)
    assert caught.value.code == 2
    assert says in capsys.readouterr().err


def test_forwarded_routes_are_shown_as_they_are(ini, capsys):
    prest.main(["routes", ini])
    (line,) = (
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("users ")
    )
    assert "all but CONNECT,TRACE" in line
    assert prest.main(["explain", ini, "GET", "/api/x"]) == 0
    assert "answered by     -> users" in capsys.readouterr().out


def plain(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.add_route("plain", "/plain")
        return config.make_wsgi_app()


def test_an_application_without_backends(tmp_path, capsys):
    path = tmp_path / "plain.ini"
    path.write_text("[app:main]\nuse = call:tests.unit.test_prest:plain\n")
    assert prest.main(["backends", str(path)]) == 0
    assert "Destination" in capsys.readouterr().out


def test_help_has_no_marks_of_rest(capsys):
    with pytest.raises(SystemExit):
        prest.main(["--help"])
    assert "``" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content, section, says",
    [("restproxy.bogus = 1", "", "restproxy.bogus"), ("", "#no", "No section 'no'")],
)
def test_an_application_that_cannot_start_is_the_users_to_mend(
    ini, capsys, content, section, says
):
    text = pathlib.Path(ini).read_text()
    pathlib.Path(ini).write_text(text.replace(":main\n[", f":main\n{content}\n["))
    with pytest.raises(SystemExit) as caught:
        prest.main(["routes", ini + section])
    assert caught.value.code == 2 and says in capsys.readouterr().err


def test_a_fault_of_the_application_keeps_its_traceback(tmp_path):
    path = tmp_path / "app.ini"
    path.write_text("[app:main]\nuse = call:tests.unit.test_prest:faulty\n")
    with pytest.raises(LookupError, match="of its own"):
        prest.main(["routes", str(path)])


def faulty(global_config, **settings):
    raise LookupError("of its own")


def test_a_path_may_be_written_as_people_write_it(ini, capsys):
    status, out = run(capsys, "explain", ini, "GET", "/posts/ü")
    assert status == 0 and "{'id': 'ü'}" in out


def test_who_reads_may_have_enough(ini):
    code = "import sys; from pyramid_restproxy.prest import main; sys.exit(main())"
    command = [sys.executable, "-W", "ignore", "-c", code, "routes", ini]
    asked = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    asked.stdout.close()
    with asked.stderr:
        assert asked.stderr.read() == b""
    assert asked.wait(30) == 1


@pytest.mark.parametrize(
    "text, says",
    [
        ("garbage", "garbage"),
        ("[app:main]\nuse = egg:not-there", "not-there"),
    ],
)
def test_a_file_that_starts_nothing_is_no_traceback(tmp_path, capsys, text, says):
    file = tmp_path / "bad.ini"
    file.write_text(text)
    with pytest.raises(SystemExit) as caught:
        prest.main(["routes", str(file)])
    assert caught.value.code == 2
    assert says in capsys.readouterr().err
