"""The screen of versions in a browser: roll back, compare, verify; told on other screens; readable by all."""

from __future__ import annotations

import pytest
from browsing_axe import violations
from service_shop import products, publish

from vision_rec.types import Product

NEW = Product(id="brand-new", title="Brand <b>new</b> שלום " + "w" * 120, image_refs=("images/mug-red.png",))


@pytest.fixture(scope="module")
def ids(shop, url):
    """Two versions; the newer one has lost three products and won one."""
    from vision_rec.index.version import VersionStore

    first = VersionStore(shop / "indexes").current_id()
    return first, publish(shop / "indexes", shop / "shop", [*products()[3:], NEW]).id


@pytest.fixture(autouse=True)
def newest(ids, url, page):
    """Every test begins with the newer version in use."""
    page.request.post(f"{url}/v1/versions/{ids[1]}/activate")


def expect(page, selector):
    from playwright.sync_api import expect as wait

    return wait(page.locator(selector))


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
def test_roll_back_and_forward_again(make_page, url, ids, scripts):
    page = make_page(java_script_enabled=scripts)
    page.goto(f"{url}/versions")
    expect(page, ".versions .now").to_contain_text(ids[1])
    page.get_by_role("link", name="Roll back to").click()
    expect(page, "h1").to_have_text("Roll back?")
    page.get_by_role("button", name="Roll back").click()
    expect(page, ".done").to_contain_text("This version answers now")
    expect(page, ".versions .now").to_contain_text(ids[0])
    page.get_by_role("link", name="Activate the version of").first.click()
    page.get_by_role("button", name="Activate").click()
    expect(page, ".versions .now").to_contain_text(ids[1])


@pytest.mark.parametrize("width", [768, 800, 1000, 1200, 1280])
def test_nothing_of_the_table_and_the_menu_is_cut_off(page, url, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(f"{url}/versions")
    for part in (".scroll", ".top nav"):
        whole, shown = page.locator(part).evaluate("part => [part.scrollWidth, part.clientWidth]")
        assert whole <= shown, part


def test_verify_and_compare_by_keyboard(page, url, ids):
    page.goto(f"{url}/versions")
    page.get_by_role("button", name="Verify the version of").last.focus()
    page.keyboard.press("Enter")
    expect(page, ".done").to_contain_text("as it was written")
    page.get_by_role("link", name="Compare the version of").first.focus()
    page.keyboard.press("Enter")
    expect(page, "#come").to_contain_text("Came in 1")
    expect(page, "section:has(#come)").to_contain_text("Brand <b>new</b>")
    expect(page, "#gone").to_contain_text("Went out")
    picture = page.locator(".leaving .mat img").first
    picture.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())


def test_open_screens_are_told_of_a_newer_version_and_do_not_jump(page, url, ids):
    for path in ("/rules/new", "/journeys?v=bag-red", "/versions/diff", "/?product=bag-red"):
        page.request.post(f"{url}/v1/versions/{ids[1]}/activate")
        page.goto(f"{url}{path}")
        before = page.locator("main").inner_text()
        expect(page, "#stale").to_be_hidden()
        page.request.post(f"{url}/v1/versions/{ids[0]}/activate")
        page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        expect(page, "#stale").to_be_visible()
        assert page.locator("main").inner_text() == before
        wanted = f"{url}/rules" if path == "/rules/new" else f"{url}{path}"
        assert page.evaluate("document.querySelector('#stale-link').href") == wanted


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1400])
def test_every_screen_can_be_read_by_everybody(make_page, url, ids, scheme, width):
    page = make_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    page.watch.expected += ("status of 404", "status of 422")
    for path in (
        "/versions",
        "/versions?said=damaged&id=x",
        f"/versions/activate?id={ids[0]}",
        "/versions/diff",
        f"/versions/diff?before={ids[0]}&after={ids[0]}",
        "/versions/activate?id=none",
    ):
        page.goto(f"{url}{path}")
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
