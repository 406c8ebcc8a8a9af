"""The demo as its users meet it: the real ini file, a real server, real requests."""

from __future__ import annotations

import csv
import html
import inspect
import io
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress

import cbor2
import msgpack
import openpyxl
import pytest
import requests
import yaml
from defusedxml import ElementTree
from pypdf import PdfReader
from pyramid.paster import get_app
from waitress.server import create_server
from waitress.wasyncore import close_all

from demo_app import backend, doors, filters, ported
from demo_app import client as caller
from pyramid_restproxy.settings import parse_settings
from pyramid_restproxy.trust.hmac_auth import HMACAuth
from pyramid_restproxy.trust.profiles import BodyProfile

DEMO = pathlib.Path(backend.__file__).parent
PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}  # as browsers say
NEW = {"title": "A title", "author": "Me", "body": "First.\r\n\r\nSecond."}
ALLOW = "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"


@contextmanager
def serving(app, **options):
    """Serve a WSGI application on a free port; at the end nothing of it is left."""
    server = create_server(app, host="127.0.0.1", port=0, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        # In the server's own thread, whose loop ends when its map is empty. It may
        # have come to it before the wake-up.
        with suppress(OSError):
            server.trigger.pull_trigger(lambda: close_all(server._map))
        thread.join()
        server.task_dispatcher.shutdown()


def copy_ini(folder, **changes):
    """Copy development.ini, so that the database is made beside the copy."""
    text = (DEMO / "development.ini").read_text()
    for name, value in changes.items():
        text, found = re.subn(
            rf"(?m)^({re.escape(name)}) = .*$", rf"\1 = {value}", text
        )
        assert found == 1, name
    path = folder / "development.ini"
    path.write_text(text)
    return str(path)


@contextmanager
def running_demo(folder):
    """Serve the demo and its backend, each on a port of its own."""
    with serving(backend.main({}), **backend.SERVER) as users:
        port = users.rpartition(":")[2]
        changes = {"demo.start_backend": "false", "demo.backend_port": port}
        with serving(get_app(copy_ini(folder, **changes))) as url:
            yield url


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo")) as url:
        yield url


@pytest.fixture
def client(demo):
    """Make requests that are relative to the demo, and follow no redirects."""

    class Client(requests.Session):
        def request(self, method, path, **kw):
            kw = {"allow_redirects": False, "timeout": 20} | kw
            return super().request(method, demo + path, **kw)

    with Client() as session:
        yield session


@pytest.fixture
def post(client, demo):
    """Make a post of the test's own; return its path."""
    answer = client.post("/posts", json=NEW)
    assert answer.status_code == 201
    return answer.headers["Location"].removeprefix(demo)


def token_of(client, path="/posts/new"):
    """Load a page as a browser does, for its cookie and the token in its form."""
    page = client.get(path, headers=PAGE).text
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


# -- representations ----------------------------------------------------------


def pdf_text(content):
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def xlsx_text(content):
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    return str(list(sheet.iter_rows(values_only=True)))


READERS = {
    "html": ("text/html; charset=UTF-8", bytes.decode),
    "json": ("application/json", lambda body: str(json.loads(body))),
    "xml": (
        "application/xml; charset=UTF-8",
        lambda body: "".join(ElementTree.fromstring(body).itertext()),
    ),
    "csv": (
        "text/csv; charset=UTF-8",
        lambda body: str(list(csv.DictReader(io.StringIO(body.decode())))),
    ),
    "yaml": ("application/yaml", lambda body: str(yaml.safe_load(body))),
    "msgpack": ("application/msgpack", lambda body: str(msgpack.unpackb(body))),
    "cbor": ("application/cbor", lambda body: str(cbor2.loads(body))),
    "xlsx": (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        xlsx_text,
    ),
    "pdf": ("application/pdf", pdf_text),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("path", ["/posts", "/posts/1"])
def test_every_representation_by_extension_and_by_accept(client, path, name):
    content_type, read = READERS[name]
    by_extension = client.get(f"{path}.{name}")
    by_accept = client.get(path, headers={"Accept": content_type.partition(";")[0]})
    for answer in (by_extension, by_accept):
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == content_type
        assert "One resource, many faces" in read(answer.content)
    assert "Accept" in by_accept.headers["Vary"]
    assert "Accept" not in by_extension.headers.get("Vary", "")


def test_data_is_typed(client):
    assert client.get("/posts/2.json").json()["post"] | {"body": ""} == {
        "id": 2,
        "title": "A form can do more than POST",
        "author": "Grace",
        "published": "2026-03-09",
        "body": "",
    }


def test_the_pdf_has_neither_navigation_nor_forms(client):
    text = pdf_text(client.get("/posts.pdf").content)
    assert "Somebody else answers here" in text
    assert not re.search("Delete|Edit|New post|Authors|This page as", text)


def test_a_route_by_hand_and_its_own_format(client):
    authors = client.get("/authors.json").json()["authors"]
    assert {"name": "Ada", "posts": 1} in authors
    text = client.get("/authors.txt")
    assert text.headers["Content-Type"].startswith("text/plain")
    assert {"Ada", "Grace", "Linus"} <= set(text.text.splitlines())
    assert "Grace" in client.get("/authors", headers=PAGE).text


def test_head_is_get_without_a_body(client):
    get, head = client.get("/posts/1.json"), client.head("/posts/1.json")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


# -- writes by programs -------------------------------------------------------


def test_a_program_creates_changes_and_deletes(client, demo):
    made = client.post("/posts", json=NEW)
    assert made.status_code == 201
    path = made.headers["Location"].removeprefix(demo)
    assert made.json()["post"]["body"] == "First.\n\nSecond."
    patched = client.patch(path, json={"title": "Another"})
    assert (patched.status_code, patched.json()["post"]["author"]) == (200, "Me")
    replaced = client.put(path, json=NEW | {"author": "You"})
    assert replaced.status_code == 200
    got = client.get(f"{path}.json").json()["post"]
    assert (got["title"], got["author"]) == ("A title", "You")
    deleted = client.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.get(path).status_code == 404


def test_the_answer_to_a_write_is_negotiated_too(client):
    answer = client.post("/posts", json=NEW, headers={"Accept": "application/cbor"})
    assert answer.status_code == 201
    assert cbor2.loads(answer.content)["post"]["title"] == "A title"


@pytest.mark.parametrize(
    ("document", "status", "detail"),
    [
        (NEW | {"title": "  "}, 422, "The title must not be empty."),
        ({"title": "x"}, 422, "The author must not be empty."),
        (NEW | {"body": 7}, 422, "The body must be text."),
        (["a list"], 422, "The document must be an object."),
    ],
)
def test_bad_data_is_refused_with_a_problem_document(client, document, status, detail):
    answer = client.post("/posts", json=document)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"] == detail


def test_put_needs_every_field_and_patch_one(client, post):
    assert client.put(post, json={"title": "x"}).status_code == 422
    assert client.patch(post, json={"title": ""}).status_code == 422
    assert client.patch(post, json={}).status_code == 200


def test_half_a_character_is_replaced(client, post):
    assert client.patch(post, json={"title": "a\ud800"}).status_code == 200
    assert client.get(f"{post}.json").json()["post"]["title"] == "a?"


def test_what_is_not_json_is_400(client):
    headers = {"Content-Type": "application/json"}
    answer = client.post("/posts", data=b"{", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "The body is not JSON."


# -- forms --------------------------------------------------------------------


def test_a_form_creates_and_redirects(client, demo):
    data = NEW | {"csrf_token": token_of(client)}
    answer = client.post("/posts", data=data, headers=PAGE)
    assert answer.status_code == 303
    page = client.get(answer.headers["Location"].removeprefix(demo), headers=PAGE).text
    assert "<h1>A title</h1>" in page
    assert "<p>First.</p>" in page


def test_forms_put_and_delete_by_override(client, demo, post):
    token = token_of(client, f"{post}/edit")
    data = {"_method": "PUT", "csrf_token": token} | NEW | {"title": "Changed"}
    answer = client.post(post, data=data, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, demo + post)
    assert client.get(f"{post}.json").json()["post"]["title"] == "Changed"
    data = {"_method": "DELETE", "csrf_token": token}
    answer = client.post(post, data=data, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{demo}/posts")
    assert client.get(post).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_refused_form_is_shown_again(client, post, method):
    path = "/posts" if method == "POST" else post
    data = NEW | {"_method": method, "csrf_token": token_of(client), "title": " "}
    answer = client.post(path, data=data | {"body": "<b>kept</b>"}, headers=PAGE)
    assert answer.status_code == 422
    assert '<p role="alert">The title must not be empty.</p>' in answer.text
    assert "&lt;b&gt;kept&lt;/b&gt;</textarea>" in answer.text


@pytest.mark.parametrize("override", [{}, {"_method": "DELETE"}, {"_method": "PUT"}])
@pytest.mark.parametrize("token", [{}, {"csrf_token": "wrong"}])
def test_a_form_without_the_right_token_is_refused(client, post, override, token):
    token_of(client)  # the cookie is there, as in an attack from another site
    path = post if override else "/posts"
    answer = client.post(path, data=NEW | override | token, headers=PAGE)
    assert answer.status_code == 400
    assert client.get(f"{post}.json").json()["post"]["title"] == "A title"


@pytest.mark.parametrize("content_type", ["text/plain", None])
def test_other_posts_that_need_no_preflight_change_nothing(client, content_type):
    before = client.get("/posts.json").content
    headers = {"Content-Type": content_type}
    answer = client.post("/posts", data=b'{"title": "x"}', headers=headers)
    assert answer.status_code in (400, 415)
    assert client.get("/posts.json").content == before


def test_the_script_puts_a_form_with_its_token(client, post):
    token = token_of(client)
    headers = {"Accept": "text/html, */*;q=0.1", "X-CSRF-Token": token}
    answer = client.put(post, data=NEW | {"title": "By script"}, headers=headers)
    assert answer.status_code == 303
    assert client.get(f"{post}.json").json()["post"]["title"] == "By script"


# -- refusals -----------------------------------------------------------------


def test_wrong_method(client):
    answer = client.put("/posts", json={})
    assert (answer.status_code, answer.headers["Allow"]) == (
        405,
        "GET, HEAD, POST, OPTIONS",
    )
    assert client.post("/posts/1", json={}).headers["Allow"] == ALLOW


def test_options(client):
    answer = client.options("/posts/1")
    assert (answer.status_code, answer.headers["Allow"]) == (200, ALLOW)
    assert "application/json" in answer.headers["Accept-Patch"]


def test_not_acceptable_lists_what_there_is(client):
    answer = client.get("/posts/1", headers={"Accept": "image/png"})
    assert answer.status_code == 406
    assert {"type": "application/pdf", "href": "/posts/1.pdf"} in answer.json()[
        "available"
    ]


def test_unsupported_body(client):
    headers = {"Content-Type": "application/xml"}
    answer = client.put("/posts/1", data=b"<post/>", headers=headers)
    assert answer.status_code == 415
    assert "application/json" in answer.headers["Accept"]


@pytest.mark.parametrize("path", ["/posts/99", "/posts/99.pdf", "/nothing"])
def test_error_pages_have_the_look_of_the_demo(client, path):
    page = client.get(path, headers=PAGE)
    assert page.status_code == 404
    assert page.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert '<p class="status">404</p>' in page.text
    assert "demo.css" in page.text
    data = client.get(path)
    assert data.headers["Content-Type"] == "application/problem+json"


def test_a_url_that_is_not_utf8_gets_the_page_too(client):
    answer = client.get("/%ff", headers=PAGE)
    assert answer.status_code == 400
    assert "demo.css" in answer.text


def test_the_page_of_a_406_links_what_there_is(client):
    # A spreadsheet can be read; no write answers with one.
    answer = client.put("/posts/1.xlsx", json=NEW, headers={"Accept": "text/html"})
    assert answer.status_code == 406
    assert '<a href="/posts/1.json">application/json</a>' in answer.text


def test_a_post_that_is_not_there_is_404_before_anything_else(client):
    for method in ("GET", "PUT", "PATCH", "DELETE", "BREW"):
        answer = client.request(method, "/posts/99", headers={"Accept": "image/png"})
        assert answer.status_code == 404


# -- forwarding ---------------------------------------------------------------


def test_requests_are_forwarded(client):
    users = client.get("/api/users/").json()
    assert {"id": 1, "name": "Ada"} in users
    assert client.get("/api/users/1").json() == {"id": 1, "name": "Ada"}
    assert client.get("/api/users/99").status_code == 404
    assert client.put("/api/users/1", json={}).status_code == 405


def test_writes_are_forwarded(client, demo):
    made = client.post("/api/users/", json={"name": "Eve"})
    assert made.status_code == 201
    location = made.headers["Location"]
    assert location == f"{demo}/api/users/{made.json()['id']}"
    path = location.removeprefix(demo)
    assert client.get(path).json()["name"] == "Eve"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_the_backend_sees_who_asked(client, demo):
    seen = client.get("/api/users/headers?a=%2F", headers={"X-Mine": "yes"}).text
    lines = seen.splitlines()
    assert lines[0] == "GET /headers?a=%2F"
    assert "X-Mine: yes" in lines
    assert "X-Forwarded-For: 127.0.0.1" in lines
    assert f"X-Forwarded-Host: {demo.removeprefix('http://')}" in lines
    assert "X-Forwarded-Prefix: /api/users" in lines


def test_two_cookies_stay_two(client):
    answer = client.get("/api/users/cookies")
    cookies = answer.raw.headers.getlist("Set-Cookie")
    assert [cookie.partition(";")[0] for cookie in cookies] == [
        "colour=green",
        "size=small",
    ]


def test_pieces_come_one_by_one(client):
    with client.get("/api/users/slow", stream=True) as answer:
        pieces = answer.iter_lines(chunk_size=None)
        assert next(pieces) == b"piece 1 of 5"
        assert list(pieces)[-1] == b"piece 5 of 5"


# -- the pages around it ------------------------------------------------------


def test_the_home_page_links_what_is_there(client):
    page = client.get("/", headers=PAGE)
    assert page.status_code == 200
    links = re.findall(r'href="(/[^"]*)"', page.text)
    assert {"/posts/1.json", "/posts/1.pdf", "/api/users/", "/api/users/1"} <= set(
        links
    )
    for link in links:
        assert client.get(link, headers=PAGE).status_code == 200, link
    for asset in re.findall(r'src="(/[^"]*)"', page.text):
        assert client.get(asset).status_code == 200, asset


def test_the_home_page_lives_without_the_backend(tmp_path):
    with serving(backend.main({})) as url:
        free = url.rpartition(":")[2]
    changes = {"demo.start_backend": "false", "demo.backend_port": free}
    with serving(get_app(copy_ini(tmp_path, **changes))) as url:
        page = requests.get(url, headers=PAGE, timeout=20)
        assert page.status_code == 200
        assert "The users backend does not answer." in page.text
        assert requests.get(f"{url}/api/users/", timeout=20).status_code == 502


def test_posts_outlive_a_restart_and_are_seeded_once(tmp_path):
    for count in (3, 4):
        with running_demo(tmp_path) as url:
            posts = requests.get(f"{url}/posts.json", timeout=20).json()["posts"]
            assert len(posts) == count
            requests.post(f"{url}/posts", json=NEW, timeout=20)


def test_pserve_starts_everything_and_ends_at_ctrl_c(tmp_path):
    ini = copy_ini(tmp_path, listen="127.0.0.1:0")
    process = subprocess.Popen(
        [sys.executable, "-m", "pyramid.scripts.pserve", ini],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        # Ends with the line, or with the process; the test's timeout is the bound.
        log = []
        for line in process.stderr:
            log.append(line)
            serving_on = re.search(r"Serving on (http://\S+)", line)
            if serving_on:
                break
        assert log and serving_on, "".join(log)
        url = serving_on[1]
        posts = requests.get(f"{url}/posts.json", timeout=20).json()["posts"]
        assert len(posts) == 3
        users = requests.get(f"{url}/api/users/", timeout=20).json()
        assert users[0]["name"] == "Ada"
        assert (tmp_path / "posts.sqlite").exists()
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in rest
    finally:
        process.kill()
        process.communicate()


def test_a_taken_port_is_named(tmp_path):
    with serving(backend.main({})) as url:
        port = url.rpartition(":")[2]
        ini = copy_ini(tmp_path, **{"demo.backend_port": port})
        with pytest.raises(Exception, match=f"demo.backend_port = {port}: .*in use"):
            get_app(ini)


# -- services ------------------------------------------------------------------------


def test_the_client_of_the_service(demo, capsys):
    caller.main(demo + "/srv")
    printed = capsys.readouterr()
    assert re.search(r"size +100000\.000", printed.out)
    assert "standardised: float64, 800000 bytes came back" in printed.out
    assert printed.err.count("resampling") == 5
    assert "signed news: {'from': 'newsroom', 'bytes': 21}" in printed.out
    assert "pickled, as of old: 1 + 2 = 3" in printed.out


@pytest.mark.parametrize("values", [[], ["a"], [1e200, 1.0], [[1], [1, 2]]])
def test_what_cannot_be_measured_is_422(demo, values):
    answer = requests.post(demo + "/srv/statistics/describe", json={"values": values})
    assert answer.status_code == 422 and answer.json()["detail"]


def test_the_service_describes_itself(demo):
    found = requests.get(demo + "/openapi.json").json()
    assert "/srv/statistics/describe" in found["paths"]


@pytest.mark.interop
def test_no_request_that_fits_the_description_breaks_a_service(tmp_path):
    """In a demo of its own: what it deletes, other tests would miss."""
    command = [sys.executable, "-m", "schemathesis.cli", "run"]
    wanted = ["--checks", "not_a_server_error", "--max-examples", "30"]
    # without TRACE, whose 501 says that nothing here serves it
    (tmp_path / "schemathesis.toml").write_text(
        '[phases.coverage]\nunexpected-methods = ["GET", "PUT", "DELETE", "QUERY"]\n'
    )
    with running_demo(tmp_path) as demo:
        done = subprocess.run(
            [*command, demo + "/openapi.json", *wanted],
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout


def test_it_says_that_it_is_ready(demo):
    assert requests.get(demo + "/health/ready").text == "ready\n"


# -- an account ----------------------------------------------------------------------


def log_in(client, password="demo", **more):
    token = token_of(client, "/account")
    form = {"username": "Ada", "password": password, "csrf_token": token, **more}
    return client.post("/account", data=form, headers=PAGE, allow_redirects=False)


def test_logging_in_a_private_service_and_logging_out(client):
    refused = client.get("/api/me", headers={"Accept": "application/json"})
    assert refused.status_code == 403
    answer = log_in(client, next="/api/me")
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith("/api/me")
    assert client.get("/api/me").json()["secret"] == "ada has 3 letters"
    page = client.get("/account", headers=PAGE)
    assert "Hello, ada" in page.text and "ada has 3 letters" in page.text
    token = token_of(client, "/account")
    form = {"_method": "DELETE", "csrf_token": token}
    client.post("/account", data=form, headers=PAGE)
    assert client.get("/api/me").status_code == 403


def test_a_wrong_password(client):
    answer = log_in(client, "wrong")
    assert answer.status_code == 403
    assert "not right" in answer.text


def test_people_are_asked_who_they_are(client):
    answer = client.get("/api/me", headers=PAGE, allow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith("/account?next=%2Fapi%2Fme")


def test_what_is_for_the_gateway_is_not_for_its_clients(client):
    for path in ("private/me", "/private/me", "%70rivate/me", "//private//me"):
        assert client.get(f"/api/users/{path}").status_code == 404, path


# -- doors ---------------------------------------------------------------------------

KEY = {"api-key": caller.API_KEY}
TOKEN = {"user-token": backend.TOKEN_OF_ADA}


def commands_of(page):
    """Return the shell commands that a page of the demo shows."""
    shown = re.findall(r'<pre class="shell"><code>(.*?)</code></pre>', page, re.S)
    return [html.unescape(each) for each in shown]


def first_line(command):
    """Run a command as somebody does who copies it; return the status line."""
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("\n")[0].rstrip()


@pytest.mark.parametrize("path", ["/doors", "/filters", "/ported"])
def test_the_commands_of_a_page_work_when_copied(client, need, path):
    need("curl")
    need("openssl")
    page = client.get(path, headers=PAGE)
    assert page.status_code == 200
    commands = commands_of(page.text)
    assert len(commands) >= 3
    for command in commands:
        assert first_line(command) == "HTTP/1.1 200 OK", command


@pytest.mark.parametrize(
    ("path", "module"),
    [("/doors", doors), ("/filters", filters), ("/ported", ported)],
)
def test_a_page_shows_the_code_that_runs(client, path, module):
    page = html.unescape(client.get(path, headers=PAGE).text)
    for each in module.SHOWN:
        assert inspect.getsource(each).strip() in page


def test_an_api_key(client):
    nobody = client.get("/api/keyed/headers")
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "ApiKey")
    wrong = client.get("/api/keyed/headers", headers={"api-key": caller.API_KEY + "x"})
    assert wrong.status_code == 403
    seen = client.get("/api/keyed/headers", headers=KEY | {"X-Client": "root"})
    assert seen.status_code == 200
    assert "X-Client: demo" in seen.text.splitlines()
    assert caller.API_KEY not in seen.text
    for path in ("private/me", "%70rivate/me"):
        assert client.get(f"/api/keyed/{path}", headers=KEY).status_code == 404


def test_no_more_than_ten_in_a_minute(tmp_path):
    # Its own demo: the other tests use the key as well. A window may end meanwhile.
    with running_demo(tmp_path) as url, requests.Session() as session:
        session.headers.update(KEY)
        answers = [session.get(f"{url}/api/keyed/1", timeout=20) for _ in range(21)]
    first, refused = answers[0], [a for a in answers if a.status_code == 429]
    assert first.status_code == 200 and refused
    assert first.headers["RateLimit"].startswith('"gateway";r=9;')
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    assert all(answer.status_code == 200 for answer in answers[:10])


def test_an_exposed_service(client, post):
    assert client.get("/exposed/newest").status_code == 401
    newest = client.get("/exposed/newest", headers=KEY)
    assert newest.json() == {"newest": "A title"}
    wrong = client.post("/exposed/newest", json={}, headers=KEY)
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_private_service_wants_a_user(client):
    assert client.get("/exposed/mine", headers=TOKEN).status_code == 401
    assert client.get("/exposed/mine", headers=KEY).status_code == 401
    unknown = client.get("/exposed/mine", headers=KEY | {"user-token": "nobodys"})
    assert unknown.status_code == 403
    found = client.get("/exposed/mine", headers=KEY | TOKEN).json()
    assert (found["user"], found["posts"]) == ("ada", ["One resource, many faces"])


def test_a_signature_is_for_one_request_once(demo):
    url, auth = f"{demo}/hooks/news", HMACAuth("newsroom", caller.SECRET)
    made = requests.Request("POST", url, json={"title": "It rains"}, auth=auth)
    signed = made.prepare()
    with requests.Session() as session:
        answer = session.send(signed, timeout=20)
        assert answer.json() == {"from": "newsroom", "bytes": 21}
        assert session.send(signed, timeout=20).status_code == 401
        changed = made.prepare()
        changed.body = changed.body.replace(b"rains", b"snows")
        assert session.send(changed, timeout=20).status_code == 401
    assert requests.post(url, json={}, timeout=20).status_code == 401


def test_the_body_alone_may_be_signed(client):
    profile = BodyProfile()
    good = HMACAuth("newsroom", caller.SECRET, profile)
    answer = client.post("/hooks/simple", json={"a": 1}, auth=good)
    assert (answer.status_code, answer.json()["from"]) == (200, "newsroom")
    bad = HMACAuth("newsroom", b"another secret, also long enough", profile)
    assert client.post("/hooks/simple", json={"a": 1}, auth=bad).status_code == 401
    # No browser signs a form by itself, so that needs no CSRF token either.
    assert client.post("/hooks/simple", data={"a": 1}, auth=good).status_code == 200
    assert client.get("/hooks/simple").status_code == 405


def test_a_sealed_link_opens_what_it_was_made_for(client):
    links = re.findall(r'href="(/shared[^"]+)"', client.get("/doors").text)
    opened, altered = (client.get(link, headers=PAGE) for link in links)
    assert opened.status_code == 200
    assert "<h1>One resource, many faces</h1>" in opened.text
    assert altered.status_code == 400
    assert "The link is not valid, or not valid any more." in altered.text
    assert client.get("/shared").status_code == 400


def test_a_link_to_a_post_that_is_gone(tmp_path):
    with running_demo(tmp_path) as url:
        for number in (1, 2):
            assert requests.delete(f"{url}/posts/{number}", timeout=20).ok
        link = re.search(r'href="(/shared[^"]+)"', requests.get(f"{url}/doors").text)
        assert requests.delete(f"{url}/posts/3", timeout=20).ok
        assert requests.get(url + link[1], timeout=20).status_code == 404
        page = requests.get(f"{url}/doors", timeout=20)
        assert page.status_code == 200
        assert "There is no post to share at the moment." in page.text


# -- filters -------------------------------------------------------------------------


def test_a_page_loses_its_advertisement_and_its_cookie(client):
    before = client.get("/api/users/newspaper")
    assert "advertisement" in before.text
    assert before.headers["Set-Cookie"].startswith("visitor=")
    assert "We know you" in client.get("/api/users/newspaper").text
    after = client.get("/filtered/newspaper")  # with the cookie, which stays here
    assert "<h1>The Morning</h1>" in after.text
    assert "Buy two" not in after.text and "We do not know you." in after.text
    assert "Set-Cookie" not in after.headers


def test_a_record_loses_its_secrets(client):
    before, after = (client.get(f"/{at}/record") for at in ("api/users", "filtered"))
    assert before.json()["password"] == "demo"
    assert after.json() == {"name": "Ada", "contact": {"city": "London"}}


def test_an_answer_is_kept(client):
    first, second = (client.get("/cached/weather") for _ in range(2))
    assert second.json() == first.json()
    assert "; hit; ttl=" in second.headers["Cache-Status"]
    assert int(second.headers["Age"]) >= 0
    again = client.get("/cached/weather", headers={"Cache-Control": "no-cache"})
    assert again.json()["measurement"] > first.json()["measurement"]
    each = [client.get("/api/users/weather").json()["measurement"] for _ in range(2)]
    assert each[0] < each[1]


# -- ported --------------------------------------------------------------------------


def test_what_the_page_of_ported_code_links(client):
    page = client.get("/ported", headers=PAGE).text
    links = re.findall(r'href="(/ported/[^"]+)"', page)
    found = {link: client.get(link).status_code for link in links}
    missing = {link for link, status in found.items() if status != 200}
    assert len(found) >= 8
    assert missing == {"/ported/titles.pdf", "/ported/user/99", "/ported/srv/add"}
    assert all(found[link] == 404 for link in missing)


def test_an_extension_in_the_pattern(client):
    titles = client.get("/ported/titles.json").json()
    assert "One resource, many faces" in titles
    text = client.get("/ported/titles.txt")
    assert text.headers["Content-Type"].startswith("text/plain")
    assert text.text.splitlines() == titles


def test_a_class_and_a_function_that_forward(client):
    by_class = client.get("/ported/view/headers", headers={"X-Team": "root"})
    assert by_class.headers["X-Shown-To"] == "readers"
    assert "X-Team: readers" in by_class.text.splitlines()
    for path in ("private/me", "%70rivate/me"):
        assert client.get(f"/ported/view/{path}").status_code == 404
    by_function = client.get("/ported/forward?page=2").text
    target = by_function.partition("\n")[0]
    assert target.startswith("GET /headers?title=a%26b&name=QWRh")
    assert target.endswith("&page=2")


def test_a_call_with_sealed_parameters(client):
    seen = client.get("/ported/sealed").text
    assert seen.startswith("GET /headers?sealed=") and "Ada" not in seen


def test_ported_functions_and_a_destination_that_is_not_there(client):
    for _ in range(4):
        assert client.get("/ported/user/1").json() == {"id": 1, "name": "Ada"}
    missing = client.get("/ported/user/99")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, 404)
    seen = client.get("/ported/proxied", headers={"api-key": "the clients"})
    lines = seen.text.splitlines()
    assert lines[0] == "GET /headers" and "Api-Key: the-gateways-own" in lines
    assert "the clients" not in seen.text


def test_each_answer_brings_a_new_token(client):
    assert client.get("/ported/unwrapped").json() == {"user": None, "letters": 0}
    log_in(client)
    for _ in range(3):
        answer = client.get("/ported/unwrapped")
        assert answer.json() == {"user": "ada", "letters": 3}
        assert "token" not in answer.text and "user-token" not in answer.headers


def test_a_decorator_that_checks_an_hmac(client):
    good = HMACAuth("newsroom", caller.SECRET, BodyProfile())
    answer = client.post("/ported/hook", json={"a": 1}, auth=good)
    assert answer.json() == {"from": "newsroom"}
    assert client.post("/ported/hook", json={"a": 1}).status_code == 401
    assert client.get("/ported/hook").status_code == 405


def test_a_service_for_scripts_only(client):
    call = {"json": {"a": 1, "b": 2}}
    agent = {"User-Agent": "adder/1"}
    assert client.post("/ported/srv/add", **call, headers=agent).json() == 3
    assert client.post("/ported/srv/add", **call).status_code == 404
    assert client.get("/ported/srv/add", headers=agent).status_code == 404
    assert client.post("/ported/pickled/add", **call).status_code == 401


def test_the_filter_before_the_backend():
    with serving(get_app(str(DEMO / "backend.ini")), **backend.SERVER) as url:
        delete = {"X-HTTP-Method-Override": "DELETE"}
        assert requests.post(f"{url}/3", headers=delete, timeout=20).status_code == 204
        assert requests.get(f"{url}/3", timeout=20).status_code == 404
        assert requests.post(f"{url}/2", {"_method": "DELETE"}, timeout=20).ok
        odd = {"X-HTTP-Method-Override": "TRACE"}
        assert requests.post(f"{url}/1", headers=odd, timeout=20).status_code == 400


def test_the_gateway_of_settings_alone(tmp_path):
    text = (DEMO / "gateway.ini").read_text()
    with serving(backend.main({}), **backend.SERVER) as users:
        (tmp_path / "gateway.ini").write_text(
            text.replace("http://127.0.0.1:6544", users)
        )
        app = get_app(str(tmp_path / "gateway.ini"))
        with serving(app) as url:
            for _ in range(4):
                assert requests.get(f"{url}/users/1", timeout=20).json()["id"] == 1
            record = requests.get(f"{url}/users/record", timeout=20).json()
            assert record == {"name": "Ada", "contact": {"city": "London"}}
            private = [f"/users/{at}/me" for at in ("private", "%70rivate", "/private")]
            for path in (*private, "/nothing"):
                answer = requests.get(url + path, timeout=20)
                assert answer.status_code == 404
                assert answer.json()["error"]["type"] == "Not Found"


def test_what_the_gateway_has_commented_out_is_spelt_right():
    text = (DEMO / "gateway.ini").read_text()
    lines = re.findall(r"(?m)^#(restproxy\.\S+) = (.*)$", text)
    found = parse_settings(dict(lines))
    users = found.backend["users"]
    assert found.require_https and "via_proxy" in users and "cert" in users
