"""Screenshots of the catalogue screen, on the drawn shop with faults put into it.

`python benchmarks/screens_catalogue.py [INDEXES] [CATALOG]` copies the shop that `make demo` draws and
indexes, spoils some products, reindexes what has changed, checks the health of the result and writes
docs/console/catalogue*.webp and product.webp. It needs chromium and Playwright (the extra `dev`).
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright
from screens import OUT, PHONE, ROOT, Camera, launch, serving

Line = dict[str, str]


def main() -> None:
    """Spoil a shop, index it and write the screenshots."""
    given = [Path(text) for text in sys.argv[1:]]
    indexes, catalog = (given + [ROOT / "indexes", ROOT / "catalog"][len(given) :])[:2]
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        root = Path(scratch)
        shutil.copytree(catalog, root / "catalog")
        shutil.copytree(indexes, root / "indexes")
        spoil(root / "catalog")
        reindex(root)
        browser = launch(playwright)
        with serving(root / "indexes", root / "var") as url:
            screens(Camera(browser, OUT), url)
        browser.close()


def reindex(root: Path) -> None:
    """Index the copy; some rejected rows (exit code 3) are wanted."""
    catalog = root / "catalog"
    words = ["reindex", catalog / "products.csv", "--reviews", catalog / "reviews.csv"]
    words += ["--indexes", root / "indexes", "--data", root / "var"]
    done = subprocess.run([sys.executable, "-m", "vision_rec.cli", *map(str, words)])
    if done.returncode not in (0, 3):
        raise SystemExit(done.returncode)


def screens(camera: Camera, url: str) -> None:
    """Take the screen before a check, with findings, a list, a product; and on a phone in dark colours."""
    with camera.page() as page:
        page.goto(f"{url}/catalogue")
        camera.take(page, "catalogue-report")
        page.get_by_role("button", name="Check now").click()
        page.get_by_role("button", name="Check again").wait_for()
        page.locator("#health").evaluate("section => section.scrollIntoView()")
        camera.take(page, "catalogue-health")
        page.goto(f"{url}/catalogue/rows?list=near_duplicates")
        camera.take(page, "catalogue-list")
        _open_first(page)
        camera.take(page, "product")
    with camera.page(PHONE, scheme="dark") as page:
        page.goto(f"{url}/catalogue")
        camera.take(page, "catalogue-phone")


def _open_first(page: Page) -> None:
    page.locator(".chipped").first.click()
    page.locator(".inspected").wait_for()


def spoil(catalog: Path) -> None:
    """Put wrong colours, duplicates, a placeholder, wrong and lost pictures and unusable rows into a shop."""
    with (catalog / "products.csv").open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        header, lines = list(reader.fieldnames or ()), list(reader)
    fresh = _Fresh(lines)
    for kind, colour, wrong in (("SNE", "orange", "navy"), ("HAN", "red", "green"), ("SKI", "teal", "pink")):
        next(fresh.of(kind, colour))["color"] = wrong
    for kind in ("MUG", "BAC"):
        one = next(fresh.of(kind))
        other = next(
            line for line in fresh.of(kind, one["color"]) if line["item_group_id"] != one["item_group_id"]
        )
        one["additional_image_link"] = ""
        _picture(other, one["image_link"])
    for kind, other_kind, colour in (("BOO", "CAP", "brown"), ("DRE", "UMB", "blue")):
        _picture(next(fresh.of(kind, colour)), next(fresh.of(other_kind, colour))["image_link"])
    _placeholder(catalog / "images" / "coming-soon.jpg")
    families: set[str] = set()
    for kind in ("VAS", "LAM", "CUS"):
        for line in fresh.of(kind):
            if line["item_group_id"] not in families and len(families) < 9:
                families.add(line["item_group_id"])
                _picture(line, "images/coming-soon.jpg")
    watches = fresh.of("WAT")
    for number in range(3):
        _picture(next(watches), f"images/lost-{number}.jpg")
    broken = next(watches)
    (catalog / "images" / "broken.jpg").write_bytes((catalog / broken["image_link"]).read_bytes()[:900])
    _picture(broken, "images/broken.jpg")
    bad = fresh.of("TRO")
    for column, value in (
        ("price", "on request"),
        ("price", "12,99,9 EUR"),
        ("title", ""),
        ("availability", "soon"),
    ):
        next(bad)[column] = value
    repeated = fresh.of("SHR")
    lines += [next(repeated), next(repeated)]
    with (catalog / "products.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(lines)


class _Fresh:
    """Products that were not spoiled yet."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines, self.used = lines, set[str]()

    def of(self, kind: str, colour: str = "") -> Iterator[Line]:
        """Yield products of a kind, of one colour where that is given; each is used up by it."""
        for line in list(self.lines):
            if line["id"].startswith(kind) and line["id"] not in self.used and colour in ("", line["color"]):
                self.used.add(line["id"])
                yield line


def _picture(line: Line, ref: str) -> None:
    line["image_link"], line["additional_image_link"] = ref, ""


def _placeholder(path: Path) -> None:
    picture = Image.new("RGB", (320, 320), "#e9e9ea")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((80, 100, 240, 220), outline="#9a9aa0", width=8)
    pen.polygon([(95, 205), (150, 150), (185, 185), (205, 165), (230, 205)], fill="#9a9aa0")
    picture.save(path, quality=90)


if __name__ == "__main__":
    main()
