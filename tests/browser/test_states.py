"""What the page shows when not all is well: waiting, errors, no network, limits, nothing, words alone."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from browsing import cards, expect, searched
from browsing_axe import broken_widths, violations
from conftest import HOST
from service_shop import paint, products, publish

from vision_rec.types import Product

BUSY = {
    "type": "overloaded",
    "title": "Too many requests at once",
    "status": 503,
    "detail": "64 requests are being answered; allowed are 64",
    "instance": "/results",
    "request_id": "01a2-busy",
    "errors": [],
}


@contextmanager
def serving(folder):
    """Serve the shop of a folder; give its address."""
    process = subprocess.Popen([sys.executable, str(HOST), str(folder)], stderr=subprocess.PIPE, text=True)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stderr], daemon=True).start()
    while '"url"' not in (line := lines.get(timeout=180)):  # warnings of before the logs are plain
        pass
    yield json.loads(line)["url"]
    process.terminate()
    process.wait(60)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_waiting_keeps_the_results_and_says_so(make_page, url, scheme):
    page = make_page(color_scheme=scheme)
    page.goto(f"{url}/?product=mug-red")
    before, held = cards(page), []
    page.route("**/results?*", lambda route: held.append(route))
    page.locator("#text").fill("lamp")
    page.keyboard.press("Enter")
    page.locator("#results[aria-busy=true]").wait_for()
    assert cards(page) == before
    assert broken_widths(page) == {}
    with searched(page):
        held[0].continue_()
    assert cards(page) != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_error_has_an_id_a_way_on_and_keeps_what_was_typed(make_page, url, scheme):
    page = make_page(color_scheme=scheme, reduced_motion="reduce")
    page.watch.expected += ("status of 503", "htmx")
    page.goto(f"{url}/?text=mug")
    page.route("**/results?*", lambda route: route.fulfill(status=503, json=BUSY), times=1)
    page.locator("#text").fill("lamp")
    page.keyboard.press("Enter")
    expect(page, "#results [role=alert]").to_contain_text("Too many requests at once")
    expect(page, "#results [role=alert]").to_contain_text("allowed are 64. Nothing you entered is lost.")
    expect(page, "#results [role=alert] code").to_have_text("01a2-busy")
    assert page.locator("#text").input_value() == "lamp"
    assert broken_widths(page) == {}
    with searched(page):
        page.get_by_role("button", name="Try again").click()
    assert "Results for “lamp”" in page.locator("#results h1").inner_text()


def test_an_error_of_the_page_itself_has_its_id(page, url):
    page.watch.expected += ("status of 422",)
    page.goto(f"{url}/?text=mug&weights=color:1")
    expect(page, "#results [role=alert]").to_contain_text("this index has colour")
    assert page.locator("#results [role=alert] code").inner_text()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page, "#results [data-copy]").to_have_text("Copied")
    assert page.locator("#text").input_value() == "mug"


def test_too_slow_is_told_and_tried_again(page, url):
    page.watch.expected += ("htmx", "AbortError", "imeout")
    page.goto(f"{url}/?text=mug")
    page.evaluate("() => { htmx.config.defaultTimeout = 300 }")
    page.route("**/results?*", lambda route: None, times=1)
    page.locator("#text").fill("lamp")
    page.keyboard.press("Enter")
    expect(page, "#results [role=alert]").to_contain_text("takes too long to answer")
    page.evaluate("() => { htmx.config.defaultTimeout = 60000 }")
    with searched(page):
        page.get_by_role("button", name="Try again").click()
    assert "Results for “lamp”" in page.locator("#results h1").inner_text()


def test_an_explanation_that_cannot_be_had_is_tried_again(page, url):
    page.watch.expected += ("htmx", "Failed", "net::")
    page.goto(f"{url}/?product=mug-red")
    page.route("**/why?*", lambda route: route.abort(), times=1)
    page.locator(".card [data-why]").first.click()
    expect(page, "#why [role=alert]").to_contain_text("cannot be reached")
    page.locator("#why").get_by_role("button", name="Try again").click()
    page.locator("dialog#why[open] tfoot td").wait_for()


def test_a_list_of_a_picture_that_cannot_be_saved_is_told_and_tried_again(page, url, photo):
    page.watch.expected += ("Failed", "net::", "status of 503")
    page.goto(url)
    with searched(page):
        page.set_input_files("#image", photo)
    page.route("**/export.csv?*", lambda route: route.fulfill(status=503, json=BUSY), times=1)
    page.locator("[data-export]").click()
    expect(page, "#results [role=alert]").to_contain_text("allowed are 64. Nothing you entered is lost.")
    page.route("**/export.csv?*", lambda route: route.abort(), times=1)
    page.get_by_role("button", name="Try again").click()
    expect(page, "#results [role=alert]").to_contain_text("cannot be reached")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Try again").click()
    assert saved.value.path().read_text("utf-8-sig").startswith("place,") and cards(page)


def test_a_preview_of_a_rule_that_cannot_be_had_is_tried_again(page, url):
    page.watch.expected += ("htmx", "Failed", "net::")
    page.goto(f"{url}/rules/new?effect=hide&products=mug-red")
    page.route("**/rules/preview", lambda route: route.abort(), times=1)
    page.get_by_role("button", name="Preview").click()
    expect(page, "#preview [role=alert]").to_contain_text("cannot be reached")
    page.get_by_role("button", name="Try again").click()
    expect(page, "#preview").to_contain_text("lists change")


def test_weights_that_are_all_0_are_said_and_kept(page, url):
    page.watch.expected += ("status of 422", "htmx")
    page.goto(f"{url}/?product=mug-red")
    page.evaluate(
        "() => document.querySelectorAll('input[type=range]').forEach(slider => (slider.value = 0))"
    )
    page.locator("input[type=range]").first.dispatch_event("change")
    expect(page, "#results [role=alert]").to_contain_text("weights ask for nothing")
    assert "colour%3A0" in page.url or "colour:0" in page.url


def test_a_journey_without_network_keeps_its_place(page, url):
    page.watch.expected += ("Failed", "net::")
    page.goto(f"{url}/journeys?v=mug-blue&v=lamp-red")
    page.route("**/journeys?*", lambda route: route.abort(), times=1)
    page.get_by_role("link", name="Remove Red lamp").click()
    expect(page, "#journey [role=alert]").to_contain_text("cannot be reached")
    assert page.url == f"{url}/journeys?v=mug-blue&v=lamp-red"
    page.get_by_role("button", name="Try again").click()
    expect(page, ".jstep").to_have_count(1)


def test_limits_say_what_still_works_on_every_screen(browser, tmp_path):
    paint(tmp_path / "shop")
    good = publish(tmp_path / "indexes", tmp_path / "shop")
    bad = publish(tmp_path / "indexes", tmp_path / "shop", products()[3:])
    with (bad.path / "vectors.npy").open("r+b") as file:
        file.seek(500)
        file.write(b"damaged!")
    with serving(tmp_path) as url:
        for scheme in ("light", "dark"):
            page = browser.new_page(color_scheme=scheme)
            page.set_default_timeout(60_000)
            for path in ("/?product=mug-red", "/rules", "/journeys", "/catalogue", "/versions"):
                page.goto(f"{url}{path}")
                expect(page, ".limited").to_contain_text("Running with limits.")
                expect(page, ".limited").to_contain_text(good.id)  # which answers instead
                assert broken_widths(page) == {}, path
            page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_empty_catalogue_says_what_to_do(make_empty, scheme):
    page, url = make_empty(scheme)
    page.goto(url)
    expect(page, "#results h1").to_have_text("The catalogue is empty")
    assert broken_widths(page) == {}
    page.set_viewport_size({"width": 1400, "height": 900})
    page.get_by_role("link", name="Go back to an older version").click()
    expect(page, "h1").to_have_text("Versions")
    for path in ("/journeys", "/journeys/visitor?user=test-1", "/?text=mug"):
        page.goto(f"{url}{path}")
        assert violations(page) == [], path


@pytest.fixture(scope="module")
def empty_url(tmp_path_factory):
    """A service whose only products are retired."""
    folder = tmp_path_factory.mktemp("empty")
    paint(folder / "shop")
    publish(folder / "indexes", folder / "shop", [Product(id=f"retired-{i}", title="Mug") for i in range(3)])
    with serving(folder) as url:
        yield url


@pytest.fixture
def make_empty(browser, empty_url):
    opened = []

    def make(scheme):
        opened.append(browser.new_page(color_scheme=scheme, reduced_motion="reduce"))
        opened[-1].set_default_timeout(60_000)
        return opened[-1], empty_url

    yield make
    for page in opened:
        page.close()


def test_products_of_words_alone_are_marked(page, url):
    page.goto(f"{url}/?text=pen+number")
    expect(page, ".card:has(.face[href$='product=pen-1']) .faint").to_have_text("Text only")
    assert page.locator(".card:has(.face[href$='product=mug-red']) .faint").count() == 0
    assert broken_widths(page) == {}
