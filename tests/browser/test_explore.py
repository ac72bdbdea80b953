"""Explore in a real browser: examples, crop box, filters, explanations, export, and what goes wrong."""

from __future__ import annotations

import csv
import json
import re
from urllib.parse import urlencode

import pytest
from browsing import cards, expect, searched
from conftest import HOSTILE


def test_more_and_less_like_this(page, url):
    page.goto(f"{url}/?product=mug-red")
    first = cards(page)[0]
    with searched(page):
        page.locator(".card [data-go=more]").first.click()
    assert urlencode({"like": first}) in page.url and first not in cards(page)
    assert page.locator(".tags .like").count() == 1
    second = cards(page)[0]
    with searched(page):
        page.locator(".card [data-go=less]").first.click()
    assert urlencode({"unlike": second}) in page.url and page.locator(".tags .unlike").count() == 1
    page.goto(page.url)  # a bookmark
    assert page.locator(".tags li").count() == 3 and second not in cards(page)
    with searched(page):
        page.locator(".tags .unlike a").click()
    assert "unlike" not in page.url and urlencode({"like": first}) in page.url
    assert page.evaluate("() => document.activeElement.tagName") == "H1"


def test_filters_count_and_stay(page, url):
    page.goto(f"{url}/?text=mug")
    box = page.locator("#facets input[name=category][value=Mugs]")
    row = page.locator("#facets label", has=page.locator("input[value=Mugs]"))
    count = row.locator(".tally").inner_text()
    with searched(page):
        box.check()
    assert "category=Mugs" in page.url and box.is_checked()
    assert 5 <= len(cards(page)) <= int(count)  # of a variant group one is shown
    brand = page.locator("#facets details", has_text="Brand")
    brand.locator("summary").first.click()
    numbers = [int(text) for text in brand.locator("label .tally").all_inner_texts()]
    assert 0 < sum(numbers) <= int(count)  # counted among the mugs
    with searched(page):
        brand.locator("label").first.click()
    assert "brand=" in page.url and brand.get_attribute("open") is not None
    with searched(page):
        page.locator(".tags a", has_text="×").last.click()
    assert "brand=" not in page.url


def test_a_price_is_searched_when_it_is_whole(page, url):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/results" in request.url else None)
    page.goto(f"{url}/?product=mug-red&price_min=10")
    page.locator("[name=price_max]").press_sequentially("60", delay=250)
    assert asked == []
    with searched(page):
        page.keyboard.press("Tab")
    assert "price_max=60" in page.url and len(asked) == 1


def test_enter_searches_without_scripts_and_nothing_is_cut_off(make_page, url):
    page = make_page(java_script_enabled=False)
    page.goto(url)
    form = page.locator("#query").bounding_box()
    for field in ("#text", "#image", ".drop"):
        box = page.locator(field).bounding_box()
        assert box["x"] + box["width"] < form["x"] + form["width"], field
    page.locator("#text").fill("mug")
    page.locator("#text").press("Enter")
    expect(page, "#results h1").to_have_text("Results for “mug”")


def test_nothing_found_offers_the_filter_that_removed_most(page, url):
    page.goto(f"{url}/?text=mug&category=Lamps&price_max=1")
    first = page.locator(".relax li").first
    assert "Price" in first.inner_text() and "0 of" in first.inner_text()
    with searched(page):
        first.locator("a").click()
    assert cards(page) and "price_max" not in page.url and "category=Lamps" in page.url


def test_the_crop_box_moves_by_pointer_keys_and_numbers(page, url, photo):
    page.goto(url)
    with searched(page):
        page.set_input_files("#image", photo)
    frame = page.locator("vr-crop").bounding_box()
    corner = page.locator(".handle.se").bounding_box()
    x, y = corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2, steps=4)
    with searched(page):
        page.mouse.up()
    assert "crop_w=50" in page.url and "crop_h=50" in page.url
    page.locator(".crop-box").focus()
    with searched(page):
        page.keyboard.press("Shift+ArrowRight")
    moved = float(page.locator("[name=crop_x]").input_value())
    assert moved == pytest.approx(1000 / frame["width"], abs=0.2)
    assert "left" in page.locator("#status").inner_text() or "The" in page.locator("#status").inner_text()
    with searched(page):
        page.keyboard.press("Alt+Shift+ArrowUp")
    assert float(page.locator("[name=crop_h]").input_value()) < 50
    page.locator("#crop-numbers summary").click()
    with searched(page):
        page.locator("[name=crop_h]").fill("80")
    assert "crop_h=80" in page.url
    box, frame = page.locator(".crop-box").bounding_box(), page.locator("vr-crop").bounding_box()
    assert box["height"] / frame["height"] == pytest.approx(0.8, abs=0.02)
    with searched(page):
        page.locator("#whole").click()
    assert "crop" not in page.url and "picture=" in page.url


def test_a_picture_survives_examples_reload_and_back(page, url, photo):
    page.goto(url)
    with searched(page):
        page.set_input_files("#image", photo)
    with searched(page):
        page.locator(".card [data-go=more]").nth(1).click()
    assert "picture=" in page.url and page.watch.posts[-1].count("like=") == 1
    with searched(page):
        page.locator(".face").first.click()
    assert "picture=" not in page.url and page.locator("#preview").is_hidden()
    with searched(page):
        page.go_back()
    assert (
        page.locator("#preview").is_visible()
        and page.locator("#results h1").inner_text() == "Like your picture"
    )
    page.reload()
    page.locator("#results h1", has_text="Like your picture").wait_for()


def test_a_picture_that_nobody_has_is_asked_for(page, url):
    page.goto(f"{url}/?picture=0123456789ab&category=Mugs")
    assert page.locator("#results h1").inner_text() == "This search began with a picture"


def test_why_shows_the_sum(page, url):
    page.goto(f"{url}/?product=mug-red&colour=blue")
    page.locator(".card [data-why]").first.click()
    page.locator("dialog#why[open] tfoot td").wait_for()
    numbers = [
        [float(text) for text in row.locator("td").all_inner_texts() if re.fullmatch(r"[+-]?[\d.]+", text)]
        for row in page.locator("#why tbody tr").all()
    ]
    for weight, similarity, part in (row for row in numbers if len(row) == 3):
        assert weight * similarity == pytest.approx(part, abs=0.002)
    score = float(page.locator("#why tfoot td").inner_text())
    assert sum(row[-1] for row in numbers) == pytest.approx(score, abs=0.003)
    assert page.locator(".palettes svg").count() >= 2
    page.keyboard.press("Escape")
    page.locator("dialog#why:not([open])").wait_for(state="attached")
    assert page.evaluate("() => document.activeElement.matches('[data-why]')")


def test_keys_act_on_cards_and_can_be_switched_off(page, url):
    page.goto(f"{url}/?product=mug-red")
    first = cards(page)[0]
    page.locator(".face").first.focus()
    page.keyboard.press("y")
    page.locator("dialog#why[open] tfoot td").wait_for()
    page.keyboard.press("Escape")
    page.locator(".face").first.focus()
    with searched(page):
        page.keyboard.press("m")
    assert urlencode({"like": first}) in page.url
    page.keyboard.press("?")
    page.locator("#help[open]").wait_for()
    page.locator("#keys-on").uncheck()
    page.keyboard.press("Escape")
    page.locator(".face").first.focus()
    page.keyboard.press("?")
    assert page.locator("#help[open]").count() == 0


def test_the_view_is_a_list_or_a_grid(page, url):
    page.goto(f"{url}/?product=mug-red")
    with searched(page):
        page.locator(".views a", has_text="List").click()
    assert "view=list" in page.url and page.locator(".grid.list").count() == 1
    boxes = [card.bounding_box() for card in page.locator(".card").all()[:3]]
    assert boxes[0]["x"] == boxes[1]["x"] and boxes[0]["y"] < boxes[1]["y"]


def test_the_api_call_gives_the_same_products(page, url):
    page.goto(f"{url}/?product=mug-red&like=lamp-red&weights=colour:2,text:1&price_max=60&in_stock=1")
    page.locator(".call summary").click()
    curl = page.locator(".call pre").first.inner_text()
    body = json.loads(re.search(r"-d '(.*)'$", curl, re.DOTALL)[1])
    answer = page.request.post(f"{url}/v1/search", data=body).json()
    assert [item["id"] for item in answer["items"]] == cards(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    page.locator(".call [data-copy]").first.click()
    page.locator(".call [data-copy]", has_text="Copied").wait_for()
    assert page.evaluate("() => navigator.clipboard.readText()") == curl


@pytest.mark.parametrize("by_picture", [False, True])
def test_results_are_saved_as_csv(page, url, photo, by_picture):
    page.goto(url if by_picture else f"{url}/?product=mug-red")
    if by_picture:
        with searched(page):
            page.set_input_files("#image", photo)
    with page.expect_download() as saved:
        page.locator("[data-export]").click()
    rows = list(csv.DictReader(saved.value.path().read_text("utf-8-sig").splitlines()))
    assert [row["id"] for row in rows[:24]] == cards(page)
    assert rows[0]["place"] == "1" and float(rows[0]["score"]) > 0


def test_colours_of_the_page_are_chosen_and_kept(page, url):
    page.goto(url)
    ground = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.locator("#theme").click()
    page.locator("#theme").click()
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(ground) != light
    page.reload()
    assert page.locator("#theme").get_attribute("aria-label") == "Colours: dark"
    assert page.evaluate(ground) != light


def test_a_newer_catalogue_is_told_politely(page, url):
    page.goto(f"{url}/?product=mug-red")
    before = cards(page)
    page.route("**/readyz", lambda route: route.fulfill(json={"status": "ready", "version": "another"}))
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("#stale").wait_for(state="visible")
    assert cards(page) == before
    assert page.locator("#stale a").get_attribute("href") == f"{url}/?product=mug-red"


def test_waiting_is_shown_and_an_older_answer_never_comes_last(page, url):
    page.goto(f"{url}/?text=mug")
    held = []
    page.route("**/results?text=slow*", lambda route: held.append(route))
    page.locator("#text").fill("slow")
    page.keyboard.press("Enter")
    page.locator("#results[aria-busy=true]").wait_for()
    with searched(page):
        page.locator("#text").fill("lamp")
        page.keyboard.press("Enter")
    assert "Results for “lamp”" in page.locator("#results h1").inner_text()
    for route in held:
        route.abort()
    assert "Results for “lamp”" in page.locator("#results h1").inner_text()


@pytest.mark.parametrize("product", [p.id for p in HOSTILE] + ["a/b c%2F"])
def test_hostile_titles_do_no_harm(page, url, product):
    page.goto(url)
    page.locator("#product").fill(product)
    with searched(page):
        page.keyboard.press("Enter")
    page.locator(".card [data-go=more]").first.click()
    page.locator(".tags .like").wait_for()
    page.locator(".card [data-why]").first.click()
    page.locator("dialog#why[open] tfoot td").wait_for()
    assert page.evaluate("() => document.querySelectorAll('#results img[onerror]').length") == 0
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360


def test_two_visitors_do_not_meet(make_page, url, photo):
    one, other = make_page(), make_page()
    one.goto(f"{url}/?product=mug-red")
    other.goto(url)
    with searched(other):
        other.set_input_files("#image", photo)
    with searched(one):
        one.locator(".card [data-go=more]").first.click()
    assert "picture" not in one.url and "like" not in other.url
