"""The rules screens in a browser: edit, look, publish, undo, by mouse and by keyboard; readable by all."""

from __future__ import annotations

import re

import pytest
from browsing_axe import violations


@pytest.fixture(autouse=True)
def clean(desk):
    """Every test begins without rules."""
    return desk


def expect(page, selector):
    from playwright.sync_api import expect as wait

    return wait(page.locator(selector))


def test_pin_look_publish_and_undo(page, url):
    page.goto(f"{url}/rules")
    page.get_by_role("link", name="New rule").click()
    page.get_by_label("Product ids").fill("bag-blue")
    expect(page, "#preview").to_contain_text("lists change")  # by itself, before anything is saved
    assert page.locator("#preview .strip .pin").count() > 0
    page.get_by_label("To place").fill("2")
    page.get_by_role("radio", name="A category").check()
    page.locator("#scope_category").fill("Mugs")
    page.get_by_label("Name, for you").fill("Bags <b>first</b> 🎉")
    expect(page, "#preview").to_contain_text("Before")
    page.get_by_role("button", name="Save to the draft").click()
    expect(page, ".rule h2").to_have_text("Bags <b>first</b> 🎉")
    expect(page, ".rule .what").to_contain_text("Pin bag-blue to place 2 when the category is Mugs")
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page, ".done").to_contain_text("these rules apply now")
    page.goto(f"{url}/?product=mug-red")
    expect(page, "#results .card >> nth=1").to_contain_text("Blue bag")
    page.goto(f"{url}/rules")
    page.get_by_role("button", name="Undo last publish").click()
    expect(page, ".done").to_contain_text("Taken back")
    page.goto(f"{url}/?product=mug-red")
    expect(page, "#results .card >> nth=1").not_to_contain_text("Blue bag")


def test_a_rule_with_odd_numbers_and_times_is_saved_as_it_is(page, url, desk):
    body = {"effect": "boost", "products": ["mug-red"], "strength": 0.337,
            "starts_at": "2026-03-01T08:30:15Z", "ends_at": "2036-03-02T23:59:59Z"}  # fmt: skip
    rule = desk.store.create(body, "kim")
    page.goto(f"{url}/rules/edit/{rule.id}")
    for field in page.locator("input[type=datetime-local]").all():
        assert field.bounding_box()["width"] >= 240  # the time is cut off in less
    page.get_by_label("Name, for you").fill("odd")
    page.get_by_role("button", name="Save to the draft").click()
    expect(page, ".rule h2").to_have_text("odd")
    again = desk.store.draft().rule(rule.id)
    assert (again.strength, again.starts_at, again.ends_at) == (rule.strength, rule.starts_at, rule.ends_at)


def test_the_same_by_keyboard_alone(page, url):
    page.goto(f"{url}/rules/new?effect=hide")

    def go(selector, key="Tab"):
        for _ in range(80):
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            page.keyboard.press(key)
        raise AssertionError(f"the keyboard does not reach {selector}")

    go("#products")
    page.keyboard.type("mug-blue")
    go(".editor button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/rules\?said=created"))
    expect(page, ".rule .what").to_contain_text("Hide mug-blue in all lists")
    go(".publish button.primary")
    page.keyboard.press("Enter")
    expect(page, ".done").to_contain_text("apply now")


def test_fields_that_say_nothing_are_not_shown(page, url):
    page.goto(f"{url}/rules/new")
    for label, shown, hidden in (
        ("Pin", ["#position", "#products"], ["#strength", "#brand"]),
        ("Boost", ["#strength", "#products"], ["#position", "#brand"]),
        ("Show only", ["#brand", "#stock"], ["#products", "#position", "#strength"]),
    ):
        page.get_by_role("radio", name=label, exact=True).check()
        for selector in shown:
            expect(page, selector).to_be_visible()
        for selector in hidden:
            expect(page, selector).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1400])
def test_every_screen_can_be_read_by_everybody(make_page, url, clean, scheme, width):
    pin = {"effect": "pin", "products": ["bag-blue", "nobody"], "name": "<i>x</i> שלום " + "w" * 300}
    rule = clean.store.create(pin, "kim")
    clean.store.create({"effect": "hide", "products": ["bag-blue"], "starts_at": "2090-01-01"}, "kim")
    clean.store.publish("kim", note="spring")
    clean.store.create({"effect": "boost", "filters": {"brand": ["Nordlicht"]}, "strength": 0.2}, "lee")
    page = make_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    for path in ("/rules", "/rules/new", f"/rules/edit/{rule.id}", "/rules/history?version=1"):
        page.goto(f"{url}{path}")
        if path == "/rules/new":
            page.get_by_label("Product ids").fill("bag-blue")
            expect(page, "#preview").to_contain_text("lists change")
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
