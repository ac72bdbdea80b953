"""A new visitor's path in a browser: nothing known, three views, reasons, erased; readable by everybody."""

from __future__ import annotations

import pytest
from browsing import expect, tab_to
from browsing_axe import violations

SCREEN = "/journeys/visitor"


@pytest.fixture
def popular(page, url):
    """Others were here, who viewed red mugs; they go again, and so does the visitor of a test."""
    send(page, url, "mug-red", "other-1")
    send(page, url, "mug-red", "other-2")
    yield
    for user in ("other-1", "other-2", "test-walk"):
        page.request.delete(f"{url}/v1/users/{user}")


def send(page, url, product, user):
    event = {"type": "view", "product_id": product, "user_id": user}
    assert page.request.post(f"{url}/v1/events", data={"events": [event]}).status == 202


def reasons(page):
    return page.locator(".offers .reason").all_inner_texts()


def view(page, words, title):
    page.get_by_label("View something else").fill(words)
    page.get_by_role("button", name="Find").click()
    page.locator(".found").get_by_role("button", name=f"View {title}").click()
    expect(page, ".done").to_contain_text(f"a view of {title}")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_the_path_of_a_new_visitor(make_page, popular, url, scripts):
    page = make_page(java_script_enabled=scripts)
    page.goto(f"{url}/journeys")
    page.get_by_role("link", name="A test visitor").click()
    expect(page, "#user").to_have_value("test-" + page.locator("#user").input_value()[5:])
    page.get_by_label("Visitor", exact=True).fill("test-walk")
    page.get_by_role("button", name="Begin").click()
    expect(page, ".seen").to_contain_text("Nothing is known of this visitor")
    expect(page, ".then-head").to_contain_text("What every stranger gets")
    assert reasons(page)[0].startswith("Popular: 2 visitors")
    view(page, "mug-blue", "Blue mug")
    expect(page, ".acts li").to_have_count(1)
    view(page, "blue lamp", "Blue lamp")
    expect(page, ".acts li").to_have_count(2)
    before = page.locator(".offers .title").all_inner_texts()
    page.locator(".offers").get_by_role("button", name="View Blue").first.click()  # from the list itself
    expect(page, ".acts li").to_have_count(3)
    assert page.locator(".offers .title").all_inner_texts() != before
    assert all("viewed" in reason for reason in reasons(page)[:3])
    expect(page, ".then-head").to_contain_text("new")
    page.get_by_role("link", name="Erase…").click()
    expect(page, "h1").to_have_text("Erase a visitor?")
    page.get_by_role("link", name="Cancel").click()
    expect(page, ".acts li").to_have_count(3)
    page.get_by_role("link", name="Erase…").click()
    page.get_by_role("button", name="Erase").click()
    expect(page, ".done").to_contain_text("3 events. Nothing is stored of this visitor any more")
    expect(page, ".seen").to_contain_text("Nothing is known of this visitor")
    assert reasons(page)[0].startswith("Popular: 2 visitors")
    again = page.request.delete(f"{url}/v1/users/test-walk").json()
    assert again["erased"] == 0


def test_the_path_by_keyboard(page, popular, url):
    page.goto(f"{url}{SCREEN}")
    tab_to(page, "#user")
    page.keyboard.press("Control+a")
    page.keyboard.type("test-walk")
    page.keyboard.press("Enter")
    expect(page, ".then-head").to_contain_text("What every stranger gets")
    tab_to(page, ".offers button")
    page.keyboard.press("Enter")
    expect(page, ".acts li").to_have_count(1)
    tab_to(page, "a.risky")
    page.keyboard.press("Enter")
    expect(page, "h1").to_have_text("Erase a visitor?")
    tab_to(page, "button.risky")
    page.keyboard.press("Enter")
    expect(page, ".done").to_contain_text("1 event.")


def test_calls_are_copied(page, url):
    page.goto(f"{url}{SCREEN}?user=test-copy")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    page.locator(".call summary").click()
    page.locator(".call [data-copy]").last.click()
    expect(page, ".call [data-copy] >> nth=-1").to_have_text("Copied")
    text = page.evaluate("() => navigator.clipboard.readText()")
    assert text == f"curl -X DELETE {url}/v1/users/test-copy"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1400])
def test_every_state_can_be_read_by_everybody(make_page, url, scheme, width):
    page = make_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    user = f"test-{scheme}-{width}"
    for product in ("evil-long", "evil-rtl", "evil-script", "mug-blue", "no-picture"):
        send(page, url, product, user)
    for path in (
        SCREEN,
        f"{SCREEN}?user=nobody",
        f"{SCREEN}?user={user}&viewed=evil-long&was=mug-red%0Amug-blue&q=longword",
        f"{SCREEN}?user={'w' * 250}",
        f"{SCREEN}/erase?user={user}",
    ):
        page.goto(f"{url}{path}")
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.request.delete(f"{url}/v1/users/{user}")
