"""Screenshots of the screens of journeys and visitors, on the drawn shop with a trained sequence model.

`python benchmarks/screens_visitors.py [INDEXES] [CATALOG]` copies the shop that `make demo` draws and
indexes, trains a sequence model on its views (a minute or two), reindexes, and writes
docs/console/journey*.webp and visitor*.webp. It needs chromium and Playwright (the extra `dev`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from screens import OUT, PHONE, ROOT, WIDE, Camera, launch, serving

TALL = (1400, 1180)
VISITOR = "test-4f19c2"
VIEWED = 3


def main() -> None:
    """Train, index and write all screenshots of these screens."""
    given = [Path(text) for text in sys.argv[1:]]
    indexes, catalog = (given + [ROOT / "indexes", ROOT / "catalog"][len(given) :])[:2]
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        shutil.copytree(indexes, folder / "indexes")
        train(catalog, folder)
        browser = launch(playwright)
        with serving(folder / "indexes", folder / "var") as url:
            shots(Camera(browser, OUT), url)
        browser.close()


def train(catalog: Path, folder: Path) -> None:
    """Train a session pair on the shop's views and take it into a version."""
    run(folder, "train", "session", "--events", catalog / "views.csv", "--kind", "attention", "--minutes", 3)
    run(folder, "reindex", catalog / "products.csv", "--reviews", catalog / "reviews.csv")


def run(folder: Path, *words: object) -> None:
    """Run a command of the CLI on the copy."""
    paths = ["--indexes", folder / "indexes", "--data", folder / "var"]
    subprocess.run([sys.executable, "-m", "vision_rec.cli", *map(str, (*words, *paths))], check=True)


def shots(camera: Camera, url: str) -> None:
    """Take the screens."""
    journeys(camera, url)
    visitor(camera, url)


def journeys(camera: Camera, url: str) -> None:
    """Take the examples; a journey read by the model and by the mean; one after a purchase; a phone."""
    with camera.page() as page:
        page.goto(f"{url}/journeys")
        page.locator("#model-2").wait_for()
        camera.take(page, "journeys-start")
        hrefs = [link.get_attribute("href") for link in page.locator(".examples a").all()]
    with camera.page(TALL) as page:
        page.goto(f"{url}{hrefs[0]}")
        camera.take(page, "journey")
        page.locator("#model-2").click()
        page.locator("#model-2[aria-current]").wait_for()
        camera.take(page, "journey-mean")
    with camera.page(TALL, scheme="dark") as page:
        page.goto(f"{url}{hrefs[-1]}")
        page.locator(".jstep.last").scroll_into_view_if_needed()
        camera.take(page, "journey-dark")
    with camera.page(PHONE) as page:
        page.goto(f"{url}{hrefs[0]}")
        camera.take(page, "journey-phone")


def visitor(camera: Camera, url: str) -> None:
    """Take a visitor's path: how to begin, nothing known, after three views, erasing, nothing known again."""
    lately(camera, url)
    with camera.page((WIDE[0], 560)) as page:
        page.goto(f"{url}/journeys/visitor")
        page.get_by_label("Visitor", exact=True).fill(VISITOR)
        camera.take(page, "visitor-begin")
        page.set_viewport_size({"width": TALL[0], "height": TALL[1]})
        page.get_by_role("button", name="Begin").click()
        page.get_by_text("Nothing is known of this visitor").wait_for()
        camera.take(page, "visitor-stranger")
        for number in range(VIEWED):
            view(page, number)
        camera.take(page, "visitor")
        here = page.url
        with camera.page(PHONE, scheme="dark") as phone:
            phone.goto(here)
            camera.take(phone, "visitor-phone")
        page.get_by_role("link", name="Erase…").click()
        page.get_by_role("heading", name="Erase a visitor?").wait_for()
        page.set_viewport_size({"width": WIDE[0], "height": 640})
        camera.take(page, "visitor-erase")
        page.set_viewport_size({"width": TALL[0], "height": TALL[1]})
        page.get_by_role("button", name="Erase").click()
        page.get_by_text("Nothing is stored of this visitor").wait_for()
        camera.take(page, "visitor-erased")


def lately(camera: Camera, url: str) -> None:
    """Let others view some products, so that a stranger gets what is popular."""
    with camera.page() as page:
        first = page.request.get(f"{url}/v1/products?limit=250").json()["items"]
        chosen = [item["id"] for item in first[::23]]
        events = [
            {"type": "view", "product_id": ident, "user_id": f"other-{number}"}
            for place, ident in enumerate(chosen)
            for number in range(2 + len(chosen) - place)
        ]
        page.request.post(f"{url}/v1/events", data={"events": events})


def view(page: Page, number: int) -> None:
    """View one product of one colour: found by words, as a visitor would."""
    words = ("teal handbag", "teal jacket", "teal sneaker")[number]
    page.get_by_label("View something else").fill(words)
    page.get_by_role("button", name="Find").click()
    page.locator(".found button").first.click()
    page.locator(".acts li").nth(number).wait_for()


if __name__ == "__main__":
    main()
