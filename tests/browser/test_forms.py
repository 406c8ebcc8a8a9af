"""What an application sees of a form, with the script and without: the same."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy, get_csrf_token
from pyramid.httpexceptions import status_map
from pyramid.response import Response

from pyramid_restproxy import delete_form, method_field
from tests.browser.test_demo_forms import browser  # noqa: F401
from tests.functional.test_demo import serving

pytestmark = pytest.mark.browser

MULTIPART = 'enctype="multipart/form-data"'
PAGE = """<!doctype html><link rel="icon" href="data:,">
<script src="/static/forms.js" defer></script>{}"""


class Site:
    """An application that shows one form, and notes all it is asked then."""

    def __init__(self):
        self.form = ""
        self.seen = []
        self.originals = []
        self.shown = 0

    def make_app(self):
        with Configurator() as config:
            config.include("pyramid_restproxy")
            config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
            config.set_default_csrf_options(callback=is_form)
            config.add_static_view("static", "pyramid_restproxy:routing/static")
            config.add_route("page", "/page")
            config.add_route("moved", r"/{status:30\d}/{name}")
            config.add_route("led", "/led")
            config.add_route("end", "/{name}")
            config.add_view(self.page, route_name="page")
            config.add_view(self.lead, route_name="led")
            config.add_view(self.moved, route_name="moved")
            config.add_view(self.end, route_name="end")
            return config.make_wsgi_app()

    def page(self, request):
        self.shown += 1
        token = get_csrf_token(request)
        return Response(PAGE.format(self.form.replace("TOKEN", token)))

    def moved(self, request):
        """Lead to the list; 307 and 308 lead to what leads there."""
        self.note(request)
        status = int(request.matchdict["status"])
        target = "/302/renamed" if status > 304 else "/list"
        return status_map[status](target)

    def lead(self, request):
        """Lead to where the form says."""
        return Response(status=303, headers={"Location": request.POST["to"]})

    def end(self, request):
        self.note(request)
        return Response(PAGE.format(request.method))

    def note(self, request):
        token = get_csrf_token(request)
        sent = [
            (name, "TOKEN" if value == token else content_of(value))
            for name, value in request.POST.items()
        ]
        self.seen.append((request.method, request.path_qs, request.content_type, sent))
        self.originals.append(request.original_method)


def is_form(request):
    """Say whether a token can be asked for; plain text has no fields."""
    return request.content_type != "text/plain"


def content_of(value):
    file = getattr(value, "file", None)
    return value if file is None else (value.filename, value.type, file.read())


@pytest.fixture(scope="module")
def site():
    site = Site()
    with serving(site.make_app()) as site.url:
        yield site


@pytest.fixture(scope="module")
def pages(browser, site):  # noqa: F811
    """Open one page with the script, one without."""
    with ExitStack() as stack:
        contexts = {
            javascript: stack.enter_context(
                browser.new_context(base_url=site.url, java_script_enabled=javascript)
            )
            for javascript in (True, False)
        }
        yield {on: context.new_page() for on, context in contexts.items()}


@pytest.fixture
def submit(pages, site):
    """Press the button and return what the site sees until the list shows."""

    def submit(form, javascript, file=None):
        page = pages[javascript]
        site.form = form
        page.goto("/page")
        site.seen.clear()
        site.originals.clear()
        if file is not None:
            page.set_input_files("input[type=file]", file)
        page.get_by_role("button", name="Go").click()
        page.wait_for_url("**/list*")
        return list(site.seen)

    return submit


@pytest.fixture
def compare(submit, site):
    """Submit with the script and without, and return what was seen both times."""

    def compare(form, **options):
        plain = submit(form, False, **options)
        assert submit(form, True, **options) == plain
        assert site.originals[0] == plain[0][0]  # the script sends the real method
        return plain

    return compare


def make(*inputs, method="PUT", action="/302/item", attributes=""):
    token = '<input type="hidden" name="csrf_token" value="TOKEN">'
    return (
        f'<form method="post" action="{action}" {attributes} data-rest>'
        f"{method_field(method)}{token}{''.join(inputs)}</form>"
    )


GO = "<button>Go</button>"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_is_followed_with_get_and_once(compare, method, status):
    """Bug: the script read the page before the browser: a flash message was lost."""
    seen = compare(make(GO, method=method, action=f"/{status}/item"))
    assert [each[:2] for each in seen] == [
        (method, f"/{status}/item"),
        ("GET", "/list"),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_says_so_repeats_the_method(compare, method, status):
    field = '<input name="a" value="b">'
    first, again, last = compare(
        make(field, GO, method=method, action=f"/{status}/item")
    )
    assert first[:2] == (method, f"/{status}/item")
    assert again[:2] == (method, "/302/renamed")
    assert ("a", "b") in first[3] and again[2:] == first[2:]


def test_fields_of_a_form_that_deletes(compare):
    form = delete_form("/302/item", "Go", csrf_token="TOKEN", fields={"reason": "spam"})
    method, path, _, sent = compare(form)[0]
    assert (method, path) == ("DELETE", "/302/item")
    assert sent == [
        ("_method", "DELETE"),
        ("csrf_token", "TOKEN"),
        ("reason", "spam"),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_fields_that_are_called_as_attributes_of_a_form(compare, method):
    names = {"action": "/a", "method": "get", "enctype": "text/plain"}
    inputs = [f'<input name="{n}" value="{v}">' for n, v in names.items()]
    seen = compare(make(*inputs, GO, method=method, attributes=MULTIPART))
    assert seen[0][:3] == (method, "/302/item", "multipart/form-data")
    assert seen[0][3][2:] == list(names.items())


def test_the_button_that_was_pressed_is_sent_and_no_other(compare):
    buttons = [
        '<button name="do" value="keep">Keep</button>',
        '<input name="after" value="1">',
        '<input type="submit" name="do" value="Go">',
    ]
    assert compare(make(*buttons))[0][3][2:] == [("after", "1"), ("do", "Go")]


def test_a_button_with_a_target_and_an_encoding_of_its_own(compare):
    button = (
        '<button name="do" value="x" formaction="/302/other"'
        ' formenctype="multipart/form-data">Go</button>'
    )
    seen = compare(make(button, "<button>Other</button>"))
    assert seen[0][:3] == ("PUT", "/302/other", "multipart/form-data")
    assert seen[0][3][2:] == [("do", "x")]


def test_a_button_outside_of_its_form(compare):
    button = '<button form="far" formaction="/302/other">Go</button>'
    seen = compare(make(attributes='id="far"') + button)
    assert seen[0][:2] == ("PUT", "/302/other")


def test_what_no_method_can_be_asked_for_is_left_to_the_browser(compare):
    plain_text = '<button formenctype="text/plain">Go</button>'
    assert compare(make(plain_text))[0][:3] == ("POST", "/302/item", "text/plain")
    search = '<form data-rest action="/list"><input name="q" value="a">'
    assert compare(search + GO)[0][:2] == ("GET", "/list?q=a")
    get = '<input name="q" value="a"><button formmethod="get">Go</button>'
    form = f'<form data-rest method="post" action="/list">{get}</form>'
    assert compare(form)[0][:2] == ("GET", "/list?q=a")


@pytest.mark.parametrize("asked", ["GET", "", "TRACE"])
def test_what_may_not_be_asked_for_stays_post(compare, asked):
    assert compare(make(GO, method=asked))[0][0] == "POST"


def test_the_last_method_counts(compare):
    button = '<button name="_method" value=" delete ">Go</button>'
    blank = '<input name="_method" value=" ">'
    assert compare(make(button, blank))[0][0] == "DELETE"


@pytest.mark.parametrize("attributes", ["", MULTIPART])
def test_texts_and_files(compare, attributes):
    inputs = [
        "<textarea name='lines\nof'>\none\ntwo é &amp;=+%\n\nend\n</textarea>",
        '<input type="checkbox" name="on" checked><input type="checkbox" name="off">',
        '<select name="many" multiple><option selected>1<option selected>2</select>',
        '<input name="charset"><input type="hidden" name="_charset_">',
        '<input type="file" name="file">',
    ]
    file = {"name": "é.txt", "mimeType": "text/plain", "buffer": b"a\nb\r\n\xff"}
    form = make(*inputs, GO, attributes=attributes)
    sent = compare(form, file=file)[0][3]
    assert sent[2][1] == "one\r\ntwo é &=+%\r\n\r\nend\r\n"
    whole = ("é.txt", "text/plain", b"a\nb\r\n\xff")
    assert sent[-1] == ("file", whole if attributes else "é.txt")
    assert compare(form)[0][3][-1][0] == "file"


def test_a_picture_as_a_button(compare):
    picture = '<input type="image" name="at" alt="Go" width="40" height="40">'
    sent = compare(make(picture))[0][3][2:]
    assert [name for name, _ in sent] == ["at.x", "at.y"]


@pytest.mark.parametrize("javascript", [True, False])
def test_a_redirect_to_a_place_in_the_same_page_shows_it_anew(pages, site, javascript):
    page = pages[javascript]
    to = '<input type="hidden" name="to" value="/page#done">'
    site.form = make(to, GO, action="/led")
    page.goto("/page")
    shown = site.shown
    site.form = "<p>Saved.</p>"
    page.get_by_role("button", name="Go").click()
    page.get_by_text("Saved.").wait_for()
    assert page.url == f"{site.url}/page#done"
    assert site.shown == shown + 1


@pytest.mark.parametrize("to", ["javascript:document.title=1", "app:x", "http://["])
def test_a_redirect_that_no_browser_follows_shows_the_page_anew(pages, site, to):
    """Bug: it was told that the server could not be reached, and the work was done."""
    page = pages[True]
    to = f'<input type="hidden" name="to" value="{to}">'
    site.form = make(to, GO, action="/led")
    page.goto("/page")
    site.form = "<p>Saved.</p>"
    page.get_by_role("button", name="Go").click()
    page.get_by_text("Saved.").wait_for()
    assert (page.url, page.title()) == (f"{site.url}/page", "")


def test_buttons_work_again_afterwards_but_for_those_that_were_off(pages, site):
    page = pages[True]
    site.form = make(GO, "<button disabled>Off</button>", action="/done")
    page.goto("/page")
    page.evaluate("addEventListener('rest:done', (e) => e.preventDefault())")
    with page.expect_response("**/done") as answer:
        page.get_by_role("button", name="Go").click()
    assert answer.value.status == 200
    page.wait_for_function("!document.querySelector('button').disabled")
    assert page.get_by_role("button", name="Off").is_disabled()
