"""The page in a real browser: it works, looks whole at every width, and asks nobody but us."""

from __future__ import annotations

import base64
import io
import queue
import subprocess
import sys
import threading
from json import loads
from pathlib import Path

import pytest
from service_shop import draw, paint, publish

chrome = pytest.importorskip("browser_chrome")
HOST = Path(__file__).parents[1] / "service_host.py"
pytestmark = pytest.mark.skipif(chrome.BINARY is None, reason="no chromium here; `apt-get install chromium`")

CARDS = "[...document.querySelectorAll('.face')].map(face => new URL(face.href).searchParams.get('product'))"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    paint(folder / "shop")
    publish(folder / "indexes", folder / "shop")
    process = subprocess.Popen([sys.executable, str(HOST), str(folder)], stderr=subprocess.PIPE, text=True)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stderr], daemon=True).start()
    yield loads(lines.get(timeout=60))["url"]
    process.terminate()
    process.wait(25)


@pytest.fixture(scope="module")
def browser():
    browser = chrome.Chrome()
    yield browser
    browser.close()


@pytest.fixture
def page(browser, url):
    browser.events.clear()
    browser.size(1280)
    yield browser
    lost = ("/v1/products/lost-picture/", "/v1/products/outside/")  # their pictures are not there
    assert [text for text in browser.complaints() if not any(path in text for path in lost)] == []
    assert browser.hosts() <= {url, "blob:", "about:"}, browser.hosts()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    draw("lamp", "blue", side=1500).save(path)
    return path


def test_a_product_leads_to_similar_ones_and_back(page, url):
    page.open(url)
    first = page.run(CARDS)
    assert len(first) == 24
    page.open(f"{url}/?product=mug-blue")
    assert page.run("document.querySelector('h1').textContent") == "Blue mug"
    page.wait("[...document.images].filter(i => i.src && i.loading !== 'lazy').every(i => i.naturalWidth)")
    widths = page.run("[...document.querySelectorAll('.fill')].map(bar => bar.getBoundingClientRect().width)")
    assert (
        len(widths) > 24 and max(widths) > 40 and min(widths) >= 0
    )  # bars are drawn under the strict policy


def test_sliders_search_at_once_and_stay_in_the_address(page, url):
    page.open(f"{url}/?product=bag-blue")
    before = page.run(CARDS)
    set_sliders = """
        for (const [name, value] of Object.entries({colour: 3, shape: 0, text: 0})) {
            const slider = document.querySelector(`[name="w.${name}"]`);
            slider.value = value;
            slider.dispatchEvent(new Event("input", {bubbles: true}));
        }"""
    page.run(set_sliders)
    page.wait("location.search.includes('weights=colour%3A3')")
    page.wait(lambda: page.run(CARDS) != before)
    assert {product.split("-")[1] for product in page.run(CARDS)[:3]} == {"blue"}
    assert page.run("document.querySelector('#status').textContent").startswith("The ")
    page.open(page.run("location.href"))  # a bookmark
    assert {product.split("-")[1] for product in page.run(CARDS)[:3]} == {"blue"}
    assert page.run("document.querySelector('[name=\"w.colour\"]').value") == "3"


def test_presets_set_the_sliders(page, url):
    page.open(f"{url}/?product=bag-blue")
    page.run("document.querySelector('button[name=preset][value=colour]').click()")
    page.wait("location.search.includes('weights=colour%3A1')")
    assert page.run("[...document.querySelectorAll('input[type=range]')].map(s => s.value)") == [
        "1",
        "0",
        "0",
    ]
    assert page.run("document.querySelector('[value=colour].chip').getAttribute('aria-pressed')") == "true"
    page.run("document.querySelector('#reset').click()")
    page.wait("location.search === '?product=bag-blue'")


def test_a_chosen_picture_is_shrunk_shown_and_searched(page, url, photo):
    page.open(url)
    page.choose_file("#image", photo)
    page.wait("document.querySelector('h1').textContent === 'Like your picture'")
    assert page.run(CARDS)[0] == "lamp-blue"
    assert page.run("document.querySelector('#preview').naturalWidth") == 1500
    sent = [
        p["request"]
        for m, p in page.events
        if m == "Network.requestWillBeSent" and p["request"]["method"] == "POST"
    ]
    assert sent and sent[0]["url"] == f"{url}/results"
    page.run("document.querySelector('#forget').click()")
    page.wait("document.querySelector('h1').textContent === 'Start from a product'")
    assert page.run("document.querySelector('#preview').hidden") is True


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_searched(page, url, how):
    out = io.BytesIO()
    draw("bag", "green", side=120).save(out, "PNG")
    coded = base64.b64encode(out.getvalue()).decode()
    page.open(url)
    page.run(f"""{{
        const bytes = Uint8Array.from(atob("{coded}"), sign => sign.charCodeAt(0));
        const held = new DataTransfer();
        held.items.add(new File([bytes], "x.png", {{type: "image/png"}}));
        document.body.dispatchEvent("{how}" === "drop"
            ? new DragEvent("drop", {{dataTransfer: held, bubbles: true, cancelable: true}})
            : new ClipboardEvent("paste", {{clipboardData: held, bubbles: true}}));
    }}""")
    page.wait("document.querySelector('h1').textContent === 'Like your picture'")
    assert page.run(CARDS)[0] == "bag-green"


def test_keys_lead_through_the_page(page, url):
    page.open(f"{url}/?product=mug-red")
    page.press("/")
    assert page.run("document.activeElement.id") == "text"
    for key in "lamp":
        page.press(key)
    page.press("Enter")
    page.wait("location.search.includes('text=lamp')")
    page.wait("document.querySelector('#results').getAttribute('aria-busy') === null")
    page.run("document.querySelector('.face').focus()")
    page.press("ArrowRight")
    assert page.run("Array.from(document.querySelectorAll('.face')).indexOf(document.activeElement)") == 1
    page.press("ArrowDown")
    assert page.run("Array.from(document.querySelectorAll('.face')).indexOf(document.activeElement)") > 2
    page.press("Enter")
    page.wait("document.readyState === 'complete' && location.search.startsWith('?product=')")
    page.run("history.back()")
    page.wait("location.search.includes('text=lamp')")


def test_show_more_appends(page, url):
    page.open(f"{url}/?text=mug")
    page.run("document.querySelector('[data-more]').click()")
    page.wait(f"{CARDS}.length > 24")
    shown = page.run(CARDS)
    assert len(shown) == len(set(shown)) and page.run("document.querySelector('[data-more]')") is None
    assert page.run("Array.from(document.querySelectorAll('.face')).indexOf(document.activeElement)") == 24


@pytest.mark.parametrize("width", [360, 500, 768, 1024, 1400])
def test_every_width_fits(page, url, width):
    page.size(width)
    for path in ("/", "/?product=mug-red&colour=blue&category=Home&in_stock=1", "/?text=mug&price_max=1"):
        page.open(url + path)
        page.run("document.querySelector('#panel').open = true")
        assert page.run("document.documentElement.scrollWidth") <= width
        beyond = page.run(
            "Array.from(document.querySelectorAll('main *')).filter(e => !e.closest('.visually-hidden, svg') "
            "&& e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
        )
        assert beyond == []


def test_the_panel_folds_where_it_would_hide_the_results(page, url):
    page.size(500)
    page.open(url)
    page.wait("!document.querySelector('#panel').open")
    page.size(1280)
    page.wait("document.querySelector('#panel').open")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(page, url, scheme):
    """Contrast of every text with what is behind it, as WCAG counts it."""
    page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.open(f"{url}/?product=mug-red&colour=blue&in_stock=1")
    weak = page.run("""(() => {
        const rgb = text => (text.match(/[\\d.]+/g) || []).map(Number);
        const light = c => { const [r, g, b] = c.map(v => { v /= 255;
            return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
            return .2126 * r + .7152 * g + .0722 * b };
        const behind = e => { for (; e; e = e.parentElement) {
            const c = rgb(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] > 0) return c.slice(0, 3) } return [255, 255, 255] };
        const out = [];
        for (const e of document.querySelectorAll("body *")) {
            if (e.closest("svg, .visually-hidden, .skip")) continue;
            if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
            const ink = light(rgb(getComputedStyle(e).color).slice(0, 3));
            const [a, b] = [ink, light(behind(e))].sort((x, y) => y - x);
            const ratio = (a + .05) / (b + .05);
            if (ratio < 4.5) out.push([e.className || e.tagName, e.textContent.trim().slice(0, 30), ratio]);
        }
        return out })()""")
    page.send("Emulation.setEmulatedMedia", features=[])
    assert weak == []


def test_without_scripts_everything_that_matters_works(page, url):
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(f"{url}/?product=mug-red&w.colour=3&w.shape=0&w.text=0")
        visible = "(s => !!document.querySelector(s)?.getClientRects().length)"
        assert page.run(f"{visible}('#image') && {visible}('.without-script') && {visible}('.primary')")
        assert not page.run(f"{visible}('.with-script')")
        assert page.run(CARDS)[0].endswith(("red", "c%2F"))
        page.run("document.querySelector('.primary').click()")
        page.wait("document.readyState === 'complete' && location.search.includes('w.colour=3')")
        assert len(page.run(CARDS)) > 10
    finally:
        page.send("Emulation.setScriptExecutionDisabled", value=False)


def test_a_lost_picture_leaves_a_sign(page, url):
    page.open(f"{url}/?text=lost")
    face = "document.querySelector('.face[href*=lost-picture]')"
    page.run(f"{face}.scrollIntoView()")
    page.wait(f"{face}.querySelector('.nopicture') && !{face}.querySelector('img')")


def test_texts_of_the_feed_run_nothing(page, url):
    page.open(f"{url}/?product=a%2Fb+c%252F")
    assert page.run("document.querySelector('h1').textContent") == "Slash <script>alert(1)</script>"


def test_a_service_that_is_gone_is_told(page, url):
    page.open(f"{url}/?product=mug-red")
    page.run("window.fetch = () => Promise.reject(new TypeError('gone'))")
    page.run("document.querySelector('.primary').click()")
    page.wait("document.querySelector('[role=alert]')?.textContent.includes('cannot be reached')")
    assert page.run("document.querySelector('#product').value") == "mug-red"
