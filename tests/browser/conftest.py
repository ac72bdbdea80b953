"""A real browser for the tests of this folder: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import queue
import re
import shutil
import subprocess
import sys
import threading
from json import loads
from pathlib import Path

import pytest
from service_shop import draw, paint, products, publish

from vision_rec.merchandise import RuleDesk
from vision_rec.settings import Settings
from vision_rec.types import Product

HOST = Path(__file__).parents[1] / "service_host.py"
BINARY = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_MS = 60_000  # for a machine that does much else
# The page gives up after 15 seconds, which a machine that does much else may need.
PATIENT = (
    "document.addEventListener('DOMContentLoaded', "
    f"() => {{ if (window.htmx) htmx.config.defaultTimeout = {PATIENCE_MS} }})"
)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
HOSTILE = (
    Product(id="evil-script", title="Plush <img src=x onerror=alert(1)> toy", category=("Odd",)),
    Product(id="evil-rtl", title="כיסא עץ \u202eabc\u202c ‏שולחן", category=("Odd",)),
    Product(id="evil-emoji", title="👩‍👩‍👧‍👦🪑" * 12, brand="🦊", category=("Odd",)),
    Product(id="evil-long", title="Longwordwithoutanybreak" * 22, brand="B" * 200, category=("Odd",)),
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a published version of a small drawn shop, hostile titles among its products."""
    folder = tmp_path_factory.mktemp("browser")
    paint(folder / "shop")
    publish(folder / "indexes", folder / "shop", [*products(), *HOSTILE])
    return folder


@pytest.fixture(scope="module")
def url(shop):
    process = subprocess.Popen([sys.executable, str(HOST), str(shop)], stderr=subprocess.PIPE, text=True)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stderr], daemon=True).start()
    while "url" not in (line := loads(lines.get(timeout=180))):
        pass
    yield line["url"]
    process.terminate()
    process.wait(60)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BINARY is None:
        pytest.skip("no chromium here; `apt-get install chromium`")
    playwright.expect.set_options(timeout=PATIENCE_MS)
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=BINARY, args=ARGUMENTS, timeout=3 * PATIENCE_MS)
        yield browser
        browser.close()


@pytest.fixture
def desk(shop):
    """The desk of the shop's rules, of which there are none at the beginning."""
    desk = RuleDesk(Settings(paths={"indexes": shop / "indexes", "data": shop / "var"}))
    desk.store.restore(0, "test")
    for rule in desk.store.draft().rules:
        desk.store.remove(rule.id, "test")
    return desk


class Watch:
    """What a page complained of, and whom it asked."""

    def __init__(self, page):
        self.complaints, self.hosts, self.posts = [], set(), []
        self.expected: tuple[str, ...] = ()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", self._asked)

    def _said(self, message):
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(f"{message.text} {message.location.get('url', '')}")

    def _asked(self, request):
        self.hosts.add(re.match(r"[a-z]+:(//[^/]*)?", request.url)[0])
        if request.method == "POST":
            self.posts.append(request.url)

    def unexpected(self):
        return [text for text in self.complaints if not any(part in text for part in self.expected)]


@pytest.fixture
def make_page(browser, url):
    """Open pages with options of a browser context; at the end none may have complained or asked others."""
    opened = []

    def make(**options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(PATIENT)
        page = context.new_page()
        page.watch = Watch(page)
        # Pictures of these products are not there, and the browser says so.
        page.watch.expected = ("/v1/products/lost-picture/", "/v1/products/outside/")
        opened.append((context, page.watch))
        return page

    yield make
    for context, watch in opened:
        context.close()
        assert watch.unexpected() == []
        assert watch.hosts <= {url, "blob:", "about:", "data:"}, watch.hosts


@pytest.fixture
def page(make_page):
    return make_page()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    draw("lamp", "blue", side=1500).save(path)
    return path
