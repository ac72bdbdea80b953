"""The page in a real browser: it works, looks whole at every width, and asks nobody but us."""

from __future__ import annotations

import base64
import io

import pytest
from browsing import cards, searched
from service_shop import draw


def heading(page):
    return page.locator("#results h1")


def test_a_product_leads_to_similar_ones_and_back(page, url):
    page.goto(url)
    assert len(cards(page)) == 24
    with searched(page):
        page.locator(".face").first.click()
    assert page.locator(".kicker").inner_text() == "Similar to"
    assert "product=" in page.url
    with searched(page):
        page.go_back()
    assert heading(page).inner_text() == "Start from a product" and page.url == f"{url}/"


def test_bars_are_drawn_under_the_strict_policy(page, url):
    page.goto(f"{url}/?product=mug-blue")
    assert heading(page).inner_text() == "Blue mug"
    page.wait_for_function(
        "() => [...document.images].filter(i => i.src && i.loading !== 'lazy' && i.checkVisibility())"
        ".every(i => i.naturalWidth)"
    )
    widths = page.evaluate(
        "() => [...document.querySelectorAll('.fill')].map(bar => bar.getBoundingClientRect().width)"
    )
    assert len(widths) > 24 and max(widths) > 40 and min(widths) >= 0


def move(page, **weights):
    """Set sliders as a hand would, in one go."""
    page.evaluate(
        """weights => {
            for (const [name, value] of Object.entries(weights)) {
                const slider = document.querySelector(`[name="w.${name}"]`);
                slider.value = value;
                slider.dispatchEvent(new Event("input", {bubbles: true}));
            }
        }""",
        weights,
    )


def test_sliders_search_at_once_and_stay_in_the_address(page, url):
    page.goto(f"{url}/?product=bag-blue")
    with searched(page):
        move(page, colour=3, shape=0, text=0)
    assert "weights=colour%3A3" in page.url
    assert {product.split("-")[1] for product in cards(page)[:3]} == {"blue"}
    assert page.locator("#status").inner_text().startswith("The ")
    page.goto(page.url)  # a bookmark
    assert {product.split("-")[1] for product in cards(page)[:3]} == {"blue"}
    assert page.locator('[name="w.colour"]').input_value() == "3"


def test_presets_set_the_sliders(page, url):
    page.goto(f"{url}/?product=bag-blue")
    with searched(page):
        page.locator("button[name=preset][value=colour]").click()
    assert "weights=colour%3A1" in page.url
    values = "() => [...document.querySelectorAll('input[type=range]')].map(s => s.value)"
    assert page.evaluate(values) == ["1", "0", "0"]
    assert page.locator("[value=colour].chip").get_attribute("aria-pressed") == "true"
    with searched(page):
        page.locator("#reset").click()
    assert page.url == f"{url}/?product=bag-blue"


def test_a_chosen_picture_is_shrunk_shown_and_searched(page, url, photo):
    page.goto(url)
    with searched(page):
        page.set_input_files("#image", photo)
    assert heading(page).inner_text() == "Like your picture"
    assert cards(page)[0] == "lamp-blue"
    assert page.evaluate("() => document.querySelector('#preview').naturalWidth") == 1500
    assert len(page.watch.posts) == 1 and page.watch.posts[0].startswith(f"{url}/results?picture=")
    with searched(page):
        page.locator("#forget").click()
    assert heading(page).inner_text() == "Start from a product"
    assert page.locator("#preview").is_hidden()


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_searched(page, url, how):
    out = io.BytesIO()
    draw("bag", "green", side=120).save(out, "PNG")
    page.goto(url)
    with searched(page):
        page.evaluate(
            """([how, coded]) => {
                const bytes = Uint8Array.from(atob(coded), sign => sign.charCodeAt(0));
                const held = new DataTransfer();
                held.items.add(new File([bytes], "x.png", {type: "image/png"}));
                document.body.dispatchEvent(how === "drop"
                    ? new DragEvent("drop", {dataTransfer: held, bubbles: true, cancelable: true})
                    : new ClipboardEvent("paste", {clipboardData: held, bubbles: true}));
            }""",
            [how, base64.b64encode(out.getvalue()).decode()],
        )
    assert heading(page).inner_text() == "Like your picture"
    assert cards(page)[0] == "bag-green"


def focused(page):
    return page.evaluate("() => [...document.querySelectorAll('.face')].indexOf(document.activeElement)")


def test_keys_lead_through_the_page(page, url):
    page.goto(f"{url}/?product=mug-red")
    page.keyboard.press("/")
    assert page.evaluate("() => document.activeElement.id") == "text"
    page.keyboard.type("lamp")
    with searched(page):
        page.keyboard.press("Enter")
    assert "text=lamp" in page.url
    page.locator(".face").first.focus()
    page.keyboard.press("ArrowRight")
    assert focused(page) == 1
    page.keyboard.press("ArrowDown")
    assert focused(page) > 2
    assert (
        page.locator(".card [tabindex='0']").count()
        == page.locator(".card >> nth=0").locator("a, summary").count()
    )
    page.keyboard.press("Enter")
    page.locator("dialog#why[open] tfoot td").wait_for()
    page.keyboard.press("Escape")
    with searched(page):
        page.keyboard.press("s")
    assert "text=" not in page.url and "product=" in page.url
    with searched(page):
        page.go_back()
    assert "text=lamp" in page.url and page.locator("#text").input_value() == "lamp"


def test_show_more_appends(page, url):
    page.goto(f"{url}/?text=mug")
    with searched(page):
        page.locator("[data-more]").click()
    shown = cards(page)
    assert 24 < len(shown) == len(set(shown)) and page.locator("[data-more]").count() == 0
    page.wait_for_function(
        "() => [...document.querySelectorAll('.face')].indexOf(document.activeElement) === 24"
    )


def test_without_scripts_everything_that_matters_works(make_page, url):
    page = make_page(java_script_enabled=False)
    page.goto(f"{url}/?product=mug-red&w.colour=3&w.shape=0&w.text=0")
    assert page.locator(".without-script").first.is_visible() and page.locator(".primary").is_visible()
    assert not page.locator(".with-script").first.is_visible()
    titles = page.locator(".card .name").all_inner_texts()
    assert titles[0].startswith(("Red", "Slash"))
    page.locator(".primary").click()
    page.wait_for_url("**w.colour=3**")
    assert page.locator(".card").count() > 10
    page.locator(".card a[data-why]").first.click()
    page.wait_for_url("**/why?**")
    assert page.locator("tfoot td").inner_text()[0] in "01-"


def test_a_lost_picture_leaves_a_sign(page, url):
    page.goto(f"{url}/?text=lost")
    face = page.locator(".face[href*=lost-picture]")
    face.scroll_into_view_if_needed()
    face.locator(".nopicture").wait_for()
    assert face.locator("img").count() == 0


def test_a_service_that_is_gone_is_told(page, url):
    page.watch.expected += ("htmx", "Failed to fetch", "gone")
    page.goto(f"{url}/?product=mug-red")
    page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('gone')) }")
    page.locator(".primary").click()
    page.locator("[role=alert]", has_text="cannot be reached").wait_for()
    assert page.locator("#product").input_value() == "mug-red"
