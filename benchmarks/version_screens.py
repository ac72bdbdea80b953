"""Screenshots of the screen of versions, on the drawn shop.

`python benchmarks/version_screens.py [INDEXES] [CATALOG]` reindexes a copy of the shop that `make demo` draws
twice, with products missing, back and changed, serves it, and writes docs/console/version*.webp.
"""

from __future__ import annotations

import csv
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright
from screens import OUT, PHONE, ROOT, Camera, launch, serving

MISSING, GONE, CHEAPER, SOLD, RENAMED = 14, 6, 20, 6, 4


def main() -> None:
    """Write all screenshots of this screen."""
    given = [Path(text) for text in sys.argv[1:]]
    indexes, catalog = (given + [ROOT / "indexes", ROOT / "catalog"][len(given) :])[:2]
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        shutil.copytree(indexes, folder / "indexes")
        feeds(catalog / "products.csv", folder)
        for feed in ("without.csv", "changed.csv"):
            reindex(folder / feed, catalog, folder)
        browser = launch(playwright)
        with serving(folder / "indexes", folder / "var") as url:
            shots(Camera(browser, OUT), url)
        browser.close()


def feeds(source: Path, folder: Path) -> None:
    """Write the shop's feed without some products; and whole, with others gone and changed."""
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = random.Random(3).sample(range(len(rows)), MISSING + GONE + CHEAPER + SOLD + RENAMED)
    groups = []
    for count in (MISSING, GONE, CHEAPER, SOLD, RENAMED):
        groups.append({chosen.pop() for _ in range(count)})
    missing, gone, cheaper, sold, renamed = groups
    write(folder / "without.csv", [row for i, row in enumerate(rows) if i not in missing])
    changed = []
    for i, row in enumerate(rows):
        new = dict(row)
        if i in cheaper:
            amount, _, currency = row["price"].partition(" ")
            new["price"] = f"{float(amount) * 0.8:.2f} {currency}"
        new["availability"] = "out_of_stock" if i in sold else row["availability"]
        new["title"] = f"{row['title']} (new edition)" if i in renamed else row["title"]
        changed += [] if i in gone else [new]
    write(folder / "changed.csv", changed)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a feed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def reindex(feed: Path, catalog: Path, folder: Path) -> None:
    """Make one more version."""
    command = [sys.executable, "-m", "vision_rec.cli", "reindex", str(feed), "--images", str(catalog)]
    command += ["--reviews", str(catalog / "reviews.csv"), "--indexes", str(folder / "indexes")]
    subprocess.run([*command, "--data", str(folder / "var")], check=True)


def shots(camera: Camera, url: str) -> None:
    """Take the screens."""
    for name, size in (("versions", (1400, 620)), ("versions-phone", PHONE)):
        with camera.page(size) as page:
            page.goto(f"{url}/versions")
            camera.take(page, name)
    with camera.page((1400, 620)) as page:
        page.goto(f"{url}/versions")
        page.get_by_role("link", name="Roll back to").click()
        page.locator("h1", has_text="Roll back?").wait_for()
        camera.take(page, "version-confirm")
    with camera.page((1400, 1180)) as page:
        page.goto(f"{url}/versions/diff")
        camera.take(page, "versions-diff")


if __name__ == "__main__":
    main()
