"""Screenshots of the page's screens and states, on the drawn shop.

`python benchmarks/screens.py [INDEXES] [CATALOG]` serves the shop that `make demo` draws and indexes, and
writes docs/console/*.webp. It needs chromium and Playwright (the extra `dev`).
"""

from __future__ import annotations

import io
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from vision_rec.access import create_key
from vision_rec.merchandise import RuleDesk
from vision_rec.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "console"
PATIENCE_MS = 400_000
# The page gives up after 15 seconds; the first search of a service that has just started may take longer.
PATIENT = "document.addEventListener('DOMContentLoaded', () => { htmx.config.defaultTimeout = 400000 })"
WIDE, PHONE = (1400, 900), (390, 844)


def launch(playwright: Playwright) -> Browser:
    """Start the browser of this machine, headless."""
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
        args=["--no-sandbox", "--disable-gpu"],
        timeout=PATIENCE_MS,
    )


@contextmanager
def serving(indexes: Path, data: Path, *, ready: bool = True) -> Iterator[str]:
    """Serve an index on a free port; give the address, when its index answers unless not `ready`."""
    command = [sys.executable, "-m", "vision_rec.cli", "serve", "--port", "0"]
    command += ["--indexes", str(indexes), "--data", str(data)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stderr], daemon=True).start()
    try:
        while True:
            line = lines.get(timeout=300)
            if '"url"' in line:
                url = json.loads(line)["url"]
                if ready:
                    wait_until_ready(url)
                yield url
                break
    finally:
        process.terminate()
        process.wait(200)


def wait_until_ready(url: str) -> None:
    """Wait until a service says that searches are answered."""
    for _ in range(PATIENCE_MS // 200):
        try:
            with urlopen(f"{url}/readyz"):
                return
        except URLError:
            time.sleep(0.2)
    raise SystemExit(f"{url} is never ready")


class Camera:
    """Opens pages and writes what they show."""

    def __init__(self, browser: Browser, out: Path) -> None:
        self.browser, self.out = browser, out

    @contextmanager
    def page(self, size: tuple[int, int] = WIDE, scheme: str = "light") -> Iterator[Page]:
        """Open a page of a size in light or dark."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(PATIENT)
        yield context.new_page()
        context.close()

    def take(self, page: Page, name: str, *, busy: bool = False) -> None:
        """Write a screenshot, as soon as all pictures in sight are there; `busy`: while it waits."""
        page.wait_for_function(
            f"() => ({str(busy).lower()} || !document.querySelector('[aria-busy]')) && [...document.images]"
            ".filter(i => i.checkVisibility() && i.getBoundingClientRect().top < innerHeight)"
            ".every(i => i.complete)"
        )
        page.mouse.move(0, 0)
        picture = Image.open(io.BytesIO(page.screenshot()))
        path = self.out / f"{name}.webp"
        picture.convert("RGB").save(path, "WEBP", quality=78, method=6)
        print(path.name, path.stat().st_size // 1024, "KiB")


def main() -> None:
    """Write all screenshots."""
    given = [Path(text) for text in sys.argv[1:]]
    indexes, catalog = (given + [ROOT / "indexes", ROOT / "catalog"][len(given) :])[:2]
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as empty, sync_playwright() as playwright:
        browser = launch(playwright)
        camera = Camera(browser, OUT)
        with serving(indexes, Path(empty) / "var") as url:
            shop(camera, url, catalog)
            rules(camera, url)
        key = create_key(Path(empty) / "keyed", "Window displays", ["search"]).token
        desk = RuleDesk(Settings(paths={"data": Path(empty) / "keyed"}))
        desk.store.create({"effect": "filter", "filters": ["in_stock=true"], "name": "Only in stock"}, "Ana")
        desk.store.publish("Ana", note="Spring window")
        with serving(indexes, Path(empty) / "keyed") as url:
            login(camera, url, key)
        with serving(Path(empty) / "indexes", Path(empty) / "var", ready=False) as url, camera.page() as page:
            page.goto(url)
            page.get_by_text("No catalogue yet").wait_for()
            camera.take(page, "first-run")
        browser.close()


def shop(camera: Camera, url: str, catalog: Path) -> None:
    """Take the screens of a shop with products."""
    pictures = sorted((catalog / "images").glob("*.jpg"))
    chosen = pictures[len(pictures) // 3]
    with camera.page() as page:
        page.goto(url)
        camera.take(page, "start")
        page.locator(".face").nth(2).click()
        page.locator(".kicker").wait_for()
        click(page, ".card:nth-child(2) [data-go=more]", lambda: page.locator(".tags .like").wait_for())
        click(page, ".card:nth-child(5) [data-go=less]", lambda: page.locator(".tags .unlike").wait_for())
        camera.take(page, "examples")
        page.locator(".card [data-why]").first.click()
        page.locator("dialog#why[open] tfoot td").wait_for()
        camera.take(page, "why")
    with camera.page() as page:
        page.goto(url)
        page.set_input_files("#image", chosen)
        page.locator("#results h1", has_text="Like your picture").wait_for()
        page.locator("[name=crop_y]").evaluate("field => { field.value = 12 }")
        page.locator("[name=crop_h]").evaluate("field => { field.value = 62 }")
        page.locator("[name=crop_x]").evaluate(
            "field => { field.value = 15; field.dispatchEvent(new Event('input', {bubbles: true})) }"
        )
        page.locator(".tags", has_text="the picture").wait_for()
        camera.take(page, "picture")
    with camera.page(scheme="dark") as page:
        page.goto(f"{url}/?text=striped+mug&view=list&in_stock=1")
        camera.take(page, "list-dark")
    with camera.page() as page:
        page.goto(f"{url}/?text=mug&price_max=1&in_stock=1")
        camera.take(page, "nothing")
    with camera.page(PHONE) as page:
        page.goto(f"{url}/?text=mug")
        camera.take(page, "phone")


def rules(camera: Camera, url: str) -> None:
    """Take the screens of rules, from a pin in Explore to the history."""
    with camera.page() as page, camera.page() as other:
        page.goto(f"{url}/?text=striped+mug")
        pin = page.locator(".card:nth-child(6) [data-effect=pin]")
        ids = [face.split("product=")[1].split("&")[0] for face in hrefs(page)]
        some = [
            {"effect": "hide", "products": [ids[3]], "name": "Recalled"},
            {"effect": "boost", "filters": {"brand": ["Claybourne"]}, "strength": 0.15, "name": "Our brand"},
            {"effect": "pin", "products": ["GONE-001"], "name": "Last winter", "ends_at": "2026-02-01"},
        ]
        for body in some:
            page.request.post(f"{url}/v1/rules", data=body)
        page.request.post(f"{url}/v1/rules/publish", data={"note": "Spring window"})
        for _ in range(4):
            page.request.get(f"{url}/v1/products/{ids[0]}/similar")
        pin.click()
        page.get_by_label("To place").fill("1")
        page.get_by_label("Name, for you").fill("Mug of the month")
        page.locator("#preview .compare").first.wait_for()
        camera.take(page, "rule-edit")
        page.get_by_role("button", name="Save to the draft").click()
        page.locator(".done").wait_for()
        camera.take(page, "rules")
        page.get_by_role("link", name="Edit Mug of the month").click()
        page.locator("#editor").wait_for()
        other.goto(page.url)
        other.get_by_label("To place").fill("2")
        other.get_by_role("button", name="Save to the draft").click()
        other.locator(".done").wait_for()
        page.get_by_label("To place").fill("3")
        page.get_by_role("button", name="Save to the draft").click()
        page.get_by_role("alert").wait_for()
        page.locator(".plain").wait_for()
        camera.take(page, "rule-conflict")
        page.get_by_role("button", name="Save to the draft").click()
        page.get_by_role("button", name="Publish", exact=True).click()
        page.locator(".done").wait_for()
        page.goto(f"{url}/rules/history?version=2")
        camera.take(page, "rules-history")
        page.goto(f"{url}/?text=striped+mug")
        page.locator(".face").first.focus()
        page.keyboard.press("ArrowRight")
        camera.take(page, "pinned")
    with camera.page(PHONE, scheme="dark") as page:
        page.goto(f"{url}/rules")
        camera.take(page, "rules-phone")


def login(camera: Camera, url: str, key: str) -> None:
    """Take the sign-in, and the rules as who may only look sees them."""
    with camera.page() as page:
        page.goto(f"{url}/rules")
        camera.take(page, "login")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("Read only").wait_for()
        camera.take(page, "read-only")


def hrefs(page: Page) -> list[str]:
    """Return where the cards lead."""
    found: list[str] = page.evaluate("() => [...document.querySelectorAll('.face')].map(face => face.href)")
    return found


def click(page: Page, selector: str, then: Callable[[], None]) -> None:
    """Click and wait for what follows."""
    page.locator(selector).click()
    then()


if __name__ == "__main__":
    main()
