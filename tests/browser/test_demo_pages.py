"""The pages that show doors, filters and ported code, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.test_demo_forms import browser, demo, open_tab  # noqa: F401

pytestmark = pytest.mark.browser


def test_the_newspaper_beside_what_arrives(open_tab):  # noqa: F811
    page = open_tab().page
    page.goto("/")
    page.get_by_role("link", name="Filters", exact=True).click()
    before = page.frame_locator("[title='The page as it is']")
    after = page.frame_locator("[title='The page filtered']")
    expect(before.locator(".advertisement")).to_be_visible()
    expect(after.get_by_role("heading", name="The Morning")).to_be_visible()
    expect(after.locator(".advertisement")).to_have_count(0)
    page.reload()  # now there is a cookie
    expect(before.locator(".reader")).to_contain_text("We know you")
    expect(after.locator(".reader")).to_have_text("We do not know you.")


def test_a_link_is_shared_and_an_altered_one_refused(open_tab):  # noqa: F811
    tab = open_tab()
    tab.page.goto("/doors")
    current = tab.page.get_by_role("link", name="Doors", exact=True)
    expect(current).to_have_attribute("aria-current", "page")
    tab.page.get_by_role("link", name="for five minutes").click()
    heading = tab.page.get_by_role("heading", level=1)
    expect(heading).to_have_text("One resource, many faces")
    tab.page.go_back()
    tab.page.get_by_role("link", name="with one letter changed").click()
    expect(heading).to_have_text("Bad Request")
    tab.errors.clear()  # Chromium reports every 400 on its console


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("path", ["/doors", "/filters", "/ported"])
def test_nothing_is_wider_than_the_window(open_tab, path, width):  # noqa: F811
    page = open_tab(viewport={"width": width, "height": 800}).page
    page.goto(path)
    wide = "document.documentElement.scrollWidth - window.innerWidth"
    assert page.evaluate(wide) <= 0
    words = page.get_by_role("navigation", name="Main").get_by_role("link").all()
    heights = {word.bounding_box()["height"] for word in words}
    assert len(words) == 6 and max(heights) < 40  # no word is broken


@pytest.mark.parametrize("javascript", [True, False])
def test_ported_code_and_what_it_knows_of_you(open_tab, javascript):  # noqa: F811
    tab = open_tab(javascript)
    tab.page.goto("/account")
    tab.fill(name="Ada", password="demo")
    tab.press("Log in")
    tab.page.get_by_role("link", name="Ported", exact=True).click()
    current = tab.page.get_by_role("link", name="Ported", exact=True)
    expect(current).to_have_attribute("aria-current", "page")
    link = tab.page.get_by_role("link", name="what it knows of you")
    # Not opened: on a page that is JSON Chromium asks for an icon that is not there.
    answer = tab.page.request.get(link.get_attribute("href"))
    assert answer.json() == {"user": "ada", "letters": 3}
