"""The whole way of a merchandiser, by mouse, by keyboard alone and without scripts.

Upload, crop, weights, filter, why, pin, publish, see it pinned, undo.
"""

from __future__ import annotations

import re

import pytest
from browsing import cards, expect, searched, tab_to

pytestmark = pytest.mark.usefixtures("desk")


def pressed(page, slider, share):
    """Press the mouse on a slider, at a share of its length."""
    found = page.locator(slider)
    box = found.bounding_box()
    found.click(position={"x": share * box["width"], "y": box["height"] / 2})


def test_by_mouse(page, url, photo):
    page.on("filechooser", lambda chooser: None)  # from now on choosers are waited for, none opens
    page.goto(url)
    with page.expect_file_chooser() as chooser:
        page.locator(".drop label").click(position={"x": 8, "y": 8})
    with searched(page):
        chooser.value.set_files(photo)
    expect(page, "#results h1").to_have_text("Like your picture")

    corner, frame = page.locator(".handle.se").bounding_box(), page.locator("vr-crop").bounding_box()
    page.mouse.move(corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + 0.9 * frame["width"], frame["y"] + 0.8 * frame["height"], steps=3)
    with searched(page):
        page.mouse.up()
    with searched(page):
        pressed(page, '[name="w.colour"]', 0.97)
    with searched(page):
        page.get_by_label("In stock").click()
    assert re.search(r"picture=.*crop_h=(79|80).*in_stock=1.*weights=colour%3A(2\.[5-9]|3)", page.url)
    assert page.locator(".stock").count() == 0
    before, search = cards(page), page.url

    page.locator(".card").nth(2).get_by_role("link", name=re.compile("^Why ")).click()
    expect(page, "#why tfoot td").to_be_visible()
    page.locator("#why").get_by_role("link", name="Pin…").click()
    expect(page, "#products").to_have_value(before[2])
    page.get_by_label("To place").fill("1")
    expect(page, "#preview").to_contain_text("lists change")
    page.get_by_role("button", name="Save to the draft").click()
    expect(page, ".rule .what").to_contain_text(f"Pin {before[2]} to place 1 in all lists")
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page, ".done").to_contain_text("these rules apply now")
    page.get_by_role("link", name="Back to your search").click()
    expect(page, ".card >> nth=0").to_contain_text("Pinned")
    assert cards(page) == [before[2], *(ident for ident in before if ident != before[2])]
    assert page.locator("#preview").is_visible()
    assert page.get_by_role("checkbox", name="In stock").is_checked()

    page.get_by_role("link", name="Rules", exact=True).click()
    page.get_by_role("button", name="Undo last publish").click()
    expect(page, ".done").to_contain_text("Taken back")
    page.goto(search)
    expect(page, "#results h1").to_have_text("Like your picture")
    assert cards(page) == before and page.locator(".badges li:not(.faint)").count() == 0


def test_by_keyboard_alone(page, url, photo):
    press = page.keyboard.press
    page.on("filechooser", lambda chooser: None)
    page.goto(url)
    with page.expect_file_chooser() as chooser:
        press("u")
    with searched(page):
        chooser.value.set_files(photo)
    press("c")
    with searched(page):
        press("Alt+Shift+ArrowUp")
    press("w")
    with searched(page):
        press("End")
    press("f")
    with searched(page):
        press("Space")
    assert all(part in page.url for part in ("picture=", "crop_h=", "weights=colour%3A3", "in_stock=1"))
    before = cards(page)

    press("Escape")  # out of the fields, to the products
    press("ArrowRight")
    press("ArrowRight")
    press("Enter")
    expect(page, "#why[open] tfoot td").to_be_visible()
    press("Escape")
    expect(page, "#why").to_be_hidden()
    assert page.evaluate("() => document.activeElement.matches('.card:nth-child(3) .face')")
    press("p")
    expect(page, "#products").to_have_value(before[2])
    tab_to(page, "#position")
    press("Control+a")
    page.keyboard.type("1")
    tab_to(page, ".editor button.primary")
    press("Enter")
    expect(page, ".rule .what").to_contain_text("to place 1")
    expect(page, ".rule").to_be_focused()
    press("Alt+ArrowDown")
    expect(page, ".rule .what").to_contain_text("to place 2")
    expect(page, ".rule").to_be_focused()
    press("Alt+ArrowUp")
    expect(page, ".rule .what").to_contain_text("to place 1")
    tab_to(page, ".publish button.primary", "Shift+Tab")
    press("Enter")
    expect(page, ".done").to_contain_text("these rules apply now")

    tab_to(page, "nav a[href='/']")
    press("Enter")
    expect(page, "#results h1").to_have_text("Start from a product")
    press("/")
    page.keyboard.type("lamp")
    with searched(page):
        press("Enter")
    expect(page, ".card >> nth=0").to_contain_text("Pinned")
    assert cards(page)[0] == before[2]
    press("Escape")
    press("Alt+ArrowDown")
    expect(page, "#moved").to_contain_text("at place 2 in the draft")

    tab_to(page, "nav a[href='/rules']", "Shift+Tab")
    press("Enter")
    expect(page, ".desk h1").to_have_text("Rules")
    tab_to(page, "form[action='/rules/undo'] button")
    press("Enter")
    expect(page, ".done").to_contain_text("Taken back")
    tab_to(page, "nav a[href='/']")
    press("Enter")
    expect(page, "#results h1").to_have_text("Start from a product")
    press("/")
    page.keyboard.type("lamp")
    with searched(page):
        press("Enter")
    expect(page, ".card >> nth=0").to_be_visible()
    assert page.locator(".badges li:not(.faint)").count() == 0


def test_without_scripts(make_page, url, photo):
    page = make_page(java_script_enabled=False)
    page.goto(url)
    page.locator("#image").set_input_files(photo)
    page.locator("#crop-numbers summary").click()
    page.locator("[name=crop_h]").fill("80")
    page.locator('[name="w.colour"]').fill("3")
    page.get_by_label("In stock").check()
    page.get_by_role("button", name="Search with this picture").click()
    expect(page, "#results h1").to_have_text("Like your picture")
    assert page.locator(".tags").inner_text().count("×") == 2 and page.locator(".stock").count() == 0
    assert page.locator("[data-why]").count() == 0  # nobody has the picture any more
    title = page.locator(".card .name").nth(2).inner_text()
    page.locator(".card").nth(2).get_by_role("link", name=re.compile("^Pin ")).click()
    page.get_by_label("To place").fill("1")
    page.get_by_role("button", name="Preview").click()
    expect(page, "#preview").to_contain_text("lists change")
    page.get_by_role("button", name="Save to the draft").click()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page, ".done").to_contain_text("these rules apply now")
    page.goto(f"{url}/?text=mug")
    expect(page, ".card >> nth=0").to_contain_text("Pinned")
    expect(page, ".card >> nth=0").to_contain_text(title)
    page.locator(".card a[data-why]").first.click()
    expect(page, "main").to_contain_text("Pinned to place 1")
    page.goto(f"{url}/rules")
    page.get_by_role("button", name="Undo last publish").click()
    page.goto(f"{url}/?text=mug")
    expect(page, ".card >> nth=0").not_to_contain_text("Pinned")
