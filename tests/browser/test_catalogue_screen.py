"""The catalogue screen in a browser: check, look at findings, open rows and products; readable by all."""

from __future__ import annotations

import json
import re
import shutil
from urllib.parse import quote

import pytest
from browsing_axe import violations
from health_shop import plant, publish, report_of, shelf

HOSTILE = "<img src=x onerror=alert(1)>\u202e שלום 👩‍👩‍👧‍👦 " + "w" * 300


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A catalogue with planted defects, a hostile title among its products, and a report with everything."""
    folder = tmp_path_factory.mktemp("catalogue")
    chosen = shelf()
    plant(chosen)
    odd = chosen.add("odd/one", "Mugs", "red", title=HOSTILE, group_id="pair")
    chosen.add("odd-two", "Mugs", "green", title="Sister", group_id="pair")
    of = {product.id: blocks for product, blocks in zip(chosen.products, chosen.blocks, strict=True)}
    odd.update({name: of["mugs-5"][name] for name in ("colour", "shape", "style")})
    report = report_of()
    report["rejects"].append(
        {"file": "f.csv", "line": 1, "column": HOSTILE, "reason": HOSTILE, "product_id": HOSTILE}
    )
    publish(folder, chosen, report)
    return folder


def expect(page, selector):
    from playwright.sync_api import expect as wait

    return wait(page.locator(selector))


@pytest.fixture
def unchecked(shop):
    """Every test that asks for it begins without a check."""
    shutil.rmtree(shop / "var" / "health", ignore_errors=True)


def check(page, url):
    page.goto(f"{url}/catalogue")
    button = page.get_by_role("button", name=re.compile("Check (now|again)"))
    if button.inner_text() == "Check now":
        button.click()
    expect(page, "#health form button").to_have_text("Check again")


def test_check_look_and_open(page, url, unchecked):
    page.goto(f"{url}/catalogue")
    expect(page, "#health").to_contain_text("Not checked yet")
    check(page, url)
    expect(page, ".finding >> nth=0").to_contain_text("Near-duplicate products")
    assert page.locator(".finding.none").count() == 0
    page.get_by_role("link", name=re.compile("Near-duplicate products")).first.click()
    expect(page, "h1").to_have_text("Near-duplicate products")
    page.locator(".chipped", has_text="altogether").click()
    expect(page, "h1").to_have_text("Another mug <b>altogether</b>")
    expect(page, ".told >> nth=0").to_contain_text("Near-duplicate products")
    page.get_by_role("link", name="Start from it in Explore").click()
    expect(page, "#results h1").to_have_text("Another mug <b>altogether</b>")
    page.locator(".card [data-why]").first.click()
    page.locator("dialog#why[open]").get_by_role("link", name="Look into it").click()
    expect(page, "h2 >> nth=0").to_be_visible()
    page.wait_for_url(re.compile("/catalogue/products/"))


def test_the_same_by_keyboard_alone(page, url, unchecked):
    page.goto(f"{url}/catalogue")

    def go(selector):
        for _ in range(80):
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach {selector}")

    go("#find")
    page.keyboard.type("odd/one")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(f"/catalogue/products/{quote('odd/one', safe='')}"))
    expect(page, ".nears >> nth=0").to_contain_text("Sister")
    page.goto(f"{url}/catalogue")
    go("#health form button")
    page.keyboard.press("Enter")
    expect(page, "#health form button").to_have_text("Check again")
    go(".finding a.button")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/catalogue/rows"))


def test_a_check_that_runs_is_followed_and_one_that_failed_is_told(page, url, shop, unchecked):
    """Another process checks: its status is in the data folder, and the kernel says that it lives."""
    from vision_rec.index.lock import FolderLock

    version = (shop / "indexes" / "CURRENT").read_text().strip()
    folder = shop / "var" / "health"
    folder.mkdir(parents=True)

    def told(word, **fields):
        status = {"word": word, "stage": "", "done": 0, "total": None, "error": "", **fields}
        part = folder / "part"
        part.write_text(json.dumps({"version_id": version, "status": status}))
        part.rename(folder / "status.json")

    with FolderLock(folder / "lock").hold():
        told("running", stage="pictures", done=30, total=120)
        page.goto(f"{url}/catalogue")
        expect(page, "#health [role=status]").to_have_text("Checking: pictures, 25 %")
        assert violations(page) == []
        told("running", stage="lists", done=60, total=120)
        expect(page, "#health [role=status]").to_have_text("Checking: lists, 50 %")
    told("failed", error="not enough memory <b>")
    expect(page, "#health [role=alert]").to_contain_text("not enough memory <b>")
    page.get_by_role("button", name="Check now").click()
    expect(page, "#health form button").to_have_text("Check again")


def test_without_scripts(make_page, url, unchecked):
    page = make_page(java_script_enabled=False)
    page.goto(f"{url}/catalogue")
    page.get_by_role("button", name="Check now").click()
    for _ in range(200):
        if page.locator("#health form button").count():
            break
        page.get_by_role("link", name="Look again").click()
        page.wait_for_timeout(200)
    expect(page, "#health form button").to_have_text("Check again")


def test_numbers_download_as_csv(page, url):
    page.goto(f"{url}/catalogue")
    page.get_by_role("link", name=re.compile("Rows rejected")).click()
    expect(page, "h1").to_have_text("Rejected rows")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    assert b"'=1+1" in download.value.path().read_bytes()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1400])
def test_every_screen_can_be_read_by_everybody(make_page, url, shop, scheme, width):
    page = make_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    check(page, url)
    paths = ["/catalogue", "/catalogue/rows?list=rejected", "/catalogue/rows?list=near_duplicates"]
    paths += ["/catalogue/rows?list=placeholder_pictures", "/catalogue/products/odd%2Fone"]
    for path in paths:
        page.goto(f"{url}{path}")
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_what_is_not_there(page, url):
    page.watch.expected = (*page.watch.expected, "404")
    page.goto(f"{url}/catalogue/products/nobody")
    expect(page, "[role=alert]").to_contain_text("nobody")
    assert violations(page) == []
    page.get_by_label("Look into a product").fill("mugs-1")
    page.keyboard.press("Enter")
    expect(page, "h1").to_have_text("green mugs-1")
