"""The pages that show doors and filters, in a real browser."""

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
