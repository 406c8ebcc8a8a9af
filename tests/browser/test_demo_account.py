"""Logging in, a private service, and logging out, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.test_demo_forms import browser, demo  # noqa: F401

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("javascript", [True, False])
def test_an_account(browser, demo, javascript):  # noqa: F811
    context = browser.new_context(base_url=demo, java_script_enabled=javascript)
    try:
        page = context.new_page()
        page.goto("/api/me")  # people are asked who they are first
        page.get_by_label("Name").fill("grace")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text(
            "The name or the password is not right."
        )
        page.get_by_label("Name").fill("grace")
        page.get_by_label("Password").fill("demo")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("body")).to_contain_text("grace has 5 letters")
        assert page.url == demo + "/api/me"
        page.goto("/account")
        expect(page.get_by_role("heading", name="Hello, grace")).to_be_visible()
        (cookie,) = [
            each for each in context.cookies() if each["name"] == "restproxy_login"
        ]
        assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert page.request.get("/api/me").status == 403
    finally:
        context.close()
