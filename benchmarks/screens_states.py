"""Screenshots of what the page shows when not all is well, on the drawn shop.

`python benchmarks/screens_states.py [INDEXES] [CATALOG]` copies the shop that `make demo` draws and
indexes, and writes docs/console/state-*.webp: waiting, errors, no network, a newer catalogue, products
without pictures, a damaged version, an empty catalogue. It needs chromium and Playwright (the extra `dev`).
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from screens import OUT, PHONE, ROOT, WIDE, Camera, launch, serving

LOW = (WIDE[0], 700)
WITHOUT = ("UMB", "CAP")  # kinds of products that lose their pictures
BUSY = {
    "type": "overloaded",
    "title": "Too many requests at once",
    "status": 503,
    "detail": "64 requests are being answered; allowed are 64",
    "request_id": "01a203c3-4444-784c-93d2-afd07f260f5b",
}


def main() -> None:
    """Write all screenshots of states."""
    given = [Path(text) for text in sys.argv[1:]]
    indexes, catalog = (given + [ROOT / "indexes", ROOT / "catalog"][len(given) :])[:2]
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        shutil.copytree(indexes, folder / "indexes")
        browser = launch(playwright)
        camera = Camera(browser, OUT)
        with serving(folder / "indexes", folder / "var") as url:
            trouble(camera, url)
            newer(camera, url, folder, catalog)
        damage(folder / "indexes")
        limits(camera, folder)
        empty(camera, folder)
        browser.close()


def trouble(camera: Camera, url: str) -> None:
    """Take waiting, a wrong address, a busy service, no network, no answer in time."""
    with camera.page(LOW) as page:
        page.goto(f"{url}/?text=red+bag")
        page.route("**/results?*", lambda route: None)
        ask(page, "striped red bag")
        page.locator("#results[aria-busy=true]").wait_for()
        camera.take(page, "state-waiting", busy=True)
    with camera.page(LOW) as page:
        page.goto(f"{url}/?text=red+bag&weights=color:2")
        camera.take(page, "state-error")
    for name, answer in (
        ("state-busy", lambda route: route.fulfill(status=503, json=BUSY)),
        ("state-offline", lambda route: route.abort()),
    ):
        with camera.page(LOW, scheme="dark" if name == "state-busy" else "light") as page:
            page.goto(f"{url}/?text=red+bag")
            page.route("**/results?*", answer)
            ask(page, "striped red bag")
            page.locator("#results [role=alert]").wait_for()
            camera.take(page, name)
    with camera.page(PHONE) as page:
        page.goto(f"{url}/?text=red+bag")
        page.evaluate("() => { htmx.config.defaultTimeout = 500 }")
        page.route("**/results?*", lambda route: None)
        page.locator("#panel summary").first.click()
        ask(page, "striped red bag")
        page.locator("#panel summary").first.click()
        page.locator("#results [role=alert]").wait_for()
        camera.take(page, "state-slow")


def ask(page: Page, words: str) -> None:
    """Search for words."""
    page.locator("#text").fill(words)
    page.keyboard.press("Enter")


def newer(camera: Camera, url: str, folder: Path, catalog: Path) -> None:
    """Reindex without some pictures while a page is open; take what it says, and those products."""
    with camera.page(LOW) as page:
        page.goto(f"{url}/?text=umbrella")
        feed = folder / "feed.csv"
        without_pictures(catalog / "products.csv", feed)
        words = ["reindex", feed, "--images", catalog, "--reviews", catalog / "reviews.csv"]
        words += ["--indexes", folder / "indexes", "--data", folder / "var"]
        subprocess.run([sys.executable, "-m", "vision_rec.cli", *map(str, words)], check=True)
        while page.locator("#stale").is_hidden():
            page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
            page.wait_for_timeout(500)
        camera.take(page, "state-newer")
        page.get_by_role("link", name="Show the new one").click()
        page.locator(".faint").first.wait_for()
        camera.take(page, "state-words-alone")


def without_pictures(source: Path, target: Path) -> None:
    """Copy a feed; every third product of some kinds has no picture there."""
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in [row for row in rows if row["id"].startswith(WITHOUT)][1::3]:
        row["image_link"] = row["additional_image_link"] = ""
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def damage(indexes: Path) -> None:
    """Spoil one byte of the newest version."""
    newest = (indexes / "CURRENT").read_text().strip()
    path = indexes / newest / "vectors.npy"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.unlink()  # older versions may share the file
    path.write_bytes(data)


def limits(camera: Camera, folder: Path) -> None:
    """Take what is said where the newest version is damaged and the one before answers."""
    with serving(folder / "indexes", folder / "var", ready=False) as url, camera.page(LOW) as page:
        until(page, url, ".limited")
        camera.take(page, "state-limits")


def until(page: Page, url: str, selector: str) -> None:
    """Load a page again until there is what is looked for: the index is open then."""
    page.goto(url)
    while not page.locator(selector).count():
        page.wait_for_timeout(500)
        page.reload()


def empty(camera: Camera, folder: Path) -> None:
    """Take a catalogue all of whose products were taken out of the shop."""
    sys.path.append(str(ROOT / "tests"))
    from service_shop import publish

    from vision_rec.types import Product

    publish(folder / "empty", folder, [Product(id=f"retired-{i}", title="Gone") for i in range(3)])
    with serving(folder / "empty", folder / "none", ready=False) as url, camera.page(LOW) as page:
        until(page, url, ".first a[href='/versions']")
        camera.take(page, "state-empty")


if __name__ == "__main__":
    main()
