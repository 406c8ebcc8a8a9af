"""The demo's forms in a real browser, with JavaScript and without."""

from __future__ import annotations

from contextlib import closing

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.functional.test_demo import running_demo

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    with running_demo(tmp_path_factory.mktemp("demo")) as url:
        yield url


@pytest.fixture(scope="module")
def browser(need):
    chromium = need("chromium")
    with sync_playwright() as playwright:
        launch = playwright.chromium.launch
        with closing(launch(executable_path=chromium, args=ARGUMENTS)) as browser:
            yield browser


class Tab:
    """A page that notes the requests it sends and what goes wrong in it."""

    def __init__(self, page):
        self.page = page
        self.writes = []
        self.errors = []
        page.set_default_timeout(20_000)
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note_console)

    def _note(self, request):
        if request.method != "GET":
            self.writes.append((request.method, request.resource_type))

    def _note_console(self, message):
        if message.type == "error":
            self.errors.append(message.text)

    def fill(self, **fields):
        for label, value in fields.items():
            self.page.get_by_label(label.capitalize(), exact=True).fill(value)

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).click()

    def create(self, title):
        self.page.goto("/posts/new")
        self.fill(title=title, author="Me", text="Some text.")
        self.press("Publish")
        expect(self.page.get_by_role("heading", level=1)).to_have_text(title)
        self.writes.clear()


@pytest.fixture
def open_tab(browser, demo):
    """Open a tab with or without JavaScript; no error may be left in it."""
    tabs = []

    def open_tab(javascript=True, **options):
        context = browser.new_context(
            base_url=demo, java_script_enabled=javascript, **options
        )
        tabs.append(Tab(context.new_page()))
        return tabs[-1]

    yield open_tab
    for tab in tabs:
        tab.page.context.close()
        assert tab.errors == []


@pytest.fixture(params=[True, False], ids=["javascript", "no javascript"])
def tab(request, open_tab):
    found = open_tab(request.param)
    found.sends = {
        # With the script: the real method. Without: a POST that means it.
        method: (method, "fetch") if request.param else ("POST", "document")
        for method in ("PUT", "DELETE")
    }
    found.page.on("dialog", lambda dialog: dialog.accept())
    return found


def test_create(tab):
    tab.page.goto("/posts")
    tab.page.get_by_role("link", name="New post").click()
    tab.fill(title="Made here", author="Me", text="One.\n\nTwo.")
    tab.press("Publish")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Made here")
    expect(tab.page.locator("article > p:not(.meta)")).to_have_text(["One.", "Two."])
    assert tab.writes == [("POST", "document")]


def test_edit(tab, demo):
    tab.create("Before")
    item = tab.page.url
    tab.page.get_by_role("link", name="Edit").click()
    tab.fill(title="After")
    tab.press("Save")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("After")
    assert tab.page.url == item
    assert tab.writes == [tab.sends["PUT"]]


def test_delete_on_the_page_of_the_post(tab, demo):
    tab.create("To be deleted")
    tab.press("Delete")
    tab.page.wait_for_url(f"{demo}/posts")
    expect(tab.page.get_by_role("heading", name="To be deleted")).to_have_count(0)
    assert tab.writes == [tab.sends["DELETE"]]


def test_delete_in_the_list(tab, demo):
    tab.create("To be deleted")
    tab.page.goto("/posts")
    tab.page.locator("article", has_text="To be deleted").get_by_role("button").click()
    expect(tab.page.get_by_role("heading", name="To be deleted")).to_have_count(0)
    assert tab.page.url == f"{demo}/posts"
    assert tab.writes == [tab.sends["DELETE"]]
    tab.page.reload()
    expect(tab.page.get_by_role("heading", name="To be deleted")).to_have_count(0)


def test_the_confirm_question_can_be_denied(open_tab):
    tab = open_tab()
    tab.create("Stays")
    asked = []

    def deny(dialog):
        asked.append(dialog.message)
        dialog.dismiss()

    tab.page.on("dialog", deny)
    tab.press("Delete")
    assert asked == ["Delete “Stays”?"]
    tab.page.reload()
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Stays")
    assert tab.writes == []


@pytest.mark.parametrize("javascript", [True, False])
def test_the_message_of_a_refused_new_post(open_tab, javascript):
    tab = open_tab(javascript)
    tab.page.goto("/posts/new")
    tab.fill(title=" ", author="Me", text="Kept.")
    tab.press("Publish")
    expect(tab.page.get_by_role("alert")).to_have_text("The title must not be empty.")
    expect(tab.page.get_by_label("Text")).to_have_value("Kept.")
    tab.errors.clear()  # Chromium reports every 422 on its console


@pytest.mark.parametrize("javascript", [True, False])
def test_the_message_of_a_refused_change(open_tab, javascript):
    tab = open_tab(javascript)
    tab.create("Unchanged")
    item = tab.page.url
    tab.page.goto(f"{item}/edit")
    tab.fill(title=" ")
    tab.press("Save")
    expect(tab.page.get_by_role("alert")).to_have_text("The title must not be empty.")
    expect(tab.page.get_by_role("button", name="Save")).to_be_enabled()
    tab.errors.clear()  # Chromium reports every 422 on its console
    tab.page.goto(item)
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Unchanged")


@pytest.mark.parametrize(
    "path",
    ["/", "/posts", "/posts/1", "/posts/1/edit", "/authors", "/doors", "/filters"],
)
def test_nothing_overflows_on_a_phone(open_tab, path):
    tab = open_tab(viewport={"width": 360, "height": 640})
    tab.page.goto(path)
    widest = tab.page.evaluate("document.documentElement.scrollWidth")
    assert widest <= 360


@pytest.mark.parametrize("path", ["/posts/1/edit", "/posts/new"])
def test_the_keyboard_reaches_the_form_and_labels_name_it(open_tab, path):
    tab = open_tab()
    tab.page.goto(path)
    tab.page.keyboard.press("Tab")
    expect(tab.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for label in ("Title", "Author", "Text"):
        tab.page.get_by_label(label, exact=True).click()
        expect(tab.page.get_by_role("textbox", name=label)).to_be_focused()
