"""The screen of journeys in a browser: add, move, tell, remove, by mouse, by keyboard and without scripts."""

from __future__ import annotations

import pytest
from browsing_axe import violations


def expect(page, selector):
    from playwright.sync_api import expect as wait

    return wait(page.locator(selector))


def steps(page):
    return page.locator(".seen h2").all_inner_texts()


def test_a_journey_by_mouse_and_back_again(page, url):
    page.goto(f"{url}/journeys")
    page.get_by_label("id or words").fill("mug-blue")  # found while it is typed
    page.get_by_role("link", name="Add Blue mug").click()
    expect(page, "#step-1").to_contain_text("Blue mug")
    expect(page, "#found .found").to_have_count(0)
    page.get_by_label("id or words").fill("lamp-red")
    page.get_by_role("link", name="Add Red lamp").click()
    expect(page, "#step-2").to_contain_text("Red lamp")
    expect(page, "#step-2 .then-head").to_contain_text("are new")
    expect(page, "#status").to_contain_text("2 steps")
    page.get_by_role("link", name="Move Red lamp up").click()
    expect(page, "#step-1").to_contain_text("Red lamp")
    page.locator("#step-1").get_by_role("link", name="Bought").click()
    expect(page, "#type-1-3").to_have_attribute("aria-current", "true")
    assert page.url == f"{url}/journeys?v=lamp-red&t=purchase&v=mug-blue"
    page.locator("#step-2").get_by_role("link", name="View next").first.click()
    expect(page, ".jstep").to_have_count(3)
    page.get_by_role("link", name="Remove Red lamp").click()
    expect(page, ".jstep").to_have_count(2)
    page.go_back()
    expect(page, ".jstep").to_have_count(3)
    page.reload()
    expect(page, ".jstep").to_have_count(3)
    page.get_by_role("link", name="Start over").click()
    expect(page, ".examples li").to_have_count(3)


def test_the_keyboard_keeps_its_place(page, url):
    page.goto(f"{url}/journeys?v=mug-blue&v=lamp-red&v=bag-green")
    page.locator("#up-3").focus()
    page.keyboard.press("Enter")
    expect(page, "#up-2").to_be_focused()  # it went along with the product
    page.keyboard.press("Enter")
    expect(page, "#down-1").to_be_focused()  # there is no way up any more
    assert steps(page)[0] == "Green bag"
    page.locator("#remove-3").focus()
    page.keyboard.press("Enter")
    expect(page, ".jstep").to_have_count(2)
    expect(page, "#q").to_be_focused()
    page.keyboard.type("chair-blue")
    page.keyboard.press("Enter")
    expect(page, "#found-1").to_be_visible()
    page.locator("#found-1").focus()
    page.keyboard.press("Enter")
    expect(page, "#step-3").to_be_focused()


def test_without_scripts_links_and_the_form_do_the_same(make_page, url):
    page = make_page(java_script_enabled=False)
    page.goto(f"{url}/journeys")
    page.locator(".examples a").first.click()
    expect(page, ".jstep.last").to_contain_text("The list now")
    before = steps(page)
    page.locator("#down-1").click()
    expect(page, ".seen h2 >> nth=1").to_have_text(before[0])
    page.get_by_label("id or words").fill("mug-green")
    page.get_by_role("button", name="Find").click()
    page.locator("#found-1").click()
    expect(page, f"#step-{len(before) + 1}").to_contain_text("Green mug")


def test_influences_are_bars_and_words(page, url):
    page.goto(f"{url}/journeys?v=mug-blue&v=lamp-blue&t=purchase&v=chair-blue")
    expect(page, ".influence").to_have_count(3)
    expect(page, "#step-1 .influence").to_contain_text("Without it the last list")
    widths = page.evaluate(
        "[...document.querySelectorAll('.influence .fill')].map(e => Number(e.getAttribute('width')))"
    )
    assert max(widths) == 100


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1400])
def test_every_screen_can_be_read_by_everybody(make_page, url, scheme, width):
    page = make_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    hostile = "v=evil-long&v=evil-rtl&v=evil-script&v=evil-emoji&t=add_to_cart&v=a%2Fb+c%252F&v=no-picture"
    for path in (
        "/journeys",
        "/journeys?v=mug-blue&v=lamp-red&q=chair",
        f"/journeys?{hostile}&v=gone&q=longword",
    ):
        page.goto(f"{url}{path}")
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
