"""How the page looks and reads: no rule of axe is broken, it fits every width, nothing jumps."""

from __future__ import annotations

import pytest
from browsing import cards, searched
from browsing_axe import violations

SCREENS = {
    "start": "/",
    "similar": "/?product=mug-red&colour=blue&in_stock=1&like=lamp-red",
    "list": "/?product=mug-red&view=list",
    "nothing": "/?text=mug&price_max=1&category=Lamps",
    "error": "/?product=nobody",
    "wanted": "/?picture=0123456789ab",
    "why": "/why?product=mug-red&item=bag-red",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900, 1400])
def test_every_screen_can_be_read_by_everybody(make_page, url, scheme, width):
    page = make_page(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    page.watch.expected += ("status of 404",)
    for name, path in SCREENS.items():
        page.goto(url + path)
        page.evaluate(
            "() => { const panel = document.querySelector('#panel'); if (panel) panel.open = true }"
        )
        assert violations(page) == [], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dialogs_and_the_crop_box_too(make_page, url, photo, scheme):
    page = make_page(color_scheme=scheme, reduced_motion="reduce")
    page.goto(url)
    with searched(page):
        page.set_input_files("#image", photo)
    page.locator("#crop-numbers summary").click()
    assert violations(page) == []
    page.locator(".card [data-why]").first.click()
    page.locator("dialog#why[open] tfoot td").wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.locator(".call summary").click()
    assert violations(page) == []
    page.locator("#keys").click()
    page.locator("#help[open]").wait_for()
    assert violations(page) == []


@pytest.mark.parametrize("width", [320, 360, 500, 768, 1024, 1400])
def test_every_width_fits(make_page, url, width):
    page = make_page(viewport={"width": width, "height": 900})
    page.watch.expected += ("status of 404",)
    for name, path in SCREENS.items():
        page.goto(url + path)
        page.evaluate(
            "() => { const panel = document.querySelector('#panel'); if (panel) panel.open = true }"
        )
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width, name
        beyond = page.evaluate(
            "() => [...document.querySelectorAll('main *')].filter(e => !e.closest("
            "'.visually-hidden, svg, pre, dialog, details:not([open])') "
            "&& e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
        )
        assert beyond == [], name


def test_the_panel_folds_where_it_would_hide_the_results(make_page, url):
    page = make_page(viewport={"width": 500, "height": 900})
    page.goto(url)
    page.locator("#panel:not([open])").wait_for()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("#panel[open]").wait_for()


def test_nothing_jumps_when_sliders_move(page, url):
    page.goto(f"{url}/?product=mug-red")
    page.evaluate(
        """() => { window.shift = 0; new PerformanceObserver(list => {
            for (const entry of list.getEntries()) window.shift += entry.value;
        }).observe({type: "layout-shift"}) }"""
    )
    before = cards(page)
    for colour in (3, 0.5, 0):
        with searched(page):
            page.locator('[name="w.colour"]').fill(str(colour))
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert cards(page) != before
    assert page.evaluate("() => window.shift") < 0.02


def test_targets_are_large_enough(page, url):
    page.goto(f"{url}/?product=mug-red&colour=blue")
    small = page.evaluate(
        """() => [...document.querySelectorAll("a, button, summary, select")]
            .filter(e => e.checkVisibility({contentVisibilityAuto: true}))
            .filter(e => !e.closest(".visually-hidden, p.fine, .banner, .access, .skip"))
            .map(e => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
            .filter(([, box]) => box.width < 24 || box.height < 24).map(([html]) => html)"""
    )
    assert small == []
