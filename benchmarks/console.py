"""What Explore costs in a real browser: first results, slider changes, scrolling, layout shift, bytes.

`python benchmarks/console.py INDEXES PICTURES [--changes 60]` serves an index, drives chromium and writes
benchmarks/results/DATE-console-COUNT.md, COUNT being how many products there are. It needs chromium and
Playwright (the extra `dev`); PICTURES is a folder with some *.jpg to search with.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import bench
from playwright.sync_api import Browser, Page, sync_playwright
from screens import PATIENCE_MS, PATIENT, WIDE, launch, serving

CARDS = 200
REPEATS = 10
# Each page notes when cards were first painted, and when a search was asked for, sent, put in and painted.
WATCH = """
window.seen = {first: 0, asked: 0, sent: 0, put: 0, painted: 0, shift: 0, tasks: [], frames: []};
const painted = (then) => requestAnimationFrame(() => requestAnimationFrame(() => then(performance.now())));
const look = () => {
  if (document.querySelector("#results .card")) painted((t) => (seen.first = t));
  else requestAnimationFrame(look);
};
look();
document.addEventListener("change", (e) => {
  if (e.target.id === "image") seen.asked = performance.now();
}, true);
document.addEventListener("htmx:config:request", () => (seen.sent = performance.now()));
document.addEventListener("htmx:after:swap", (e) => {
  if (e.detail.ctx.target.id !== "results") return;
  seen.put = performance.now();
  painted((t) => (seen.painted = t));
});
const observe = (type, note) => {
  new PerformanceObserver((list) => list.getEntries().forEach(note)).observe({type});
};
observe("layout-shift", (e) => (seen.shift += e.value));
observe("longtask", (e) => seen.tasks.push(e.duration));
"""
MOVE = """([name, value]) => {
  const slider = document.querySelector(`[name="${name}"]`);
  Object.assign(seen, {asked: performance.now(), sent: 0, put: 0, painted: 0});
  slider.value = value;
  for (const type of ["input", "change"]) slider.dispatchEvent(new Event(type, {bubbles: true})); // let go
}"""
SCROLL = """async (step) => {
  Object.assign(seen, {tasks: [], frames: []});
  window.scrollTo(0, 0);
  let last = performance.now();
  while (window.scrollY + window.innerHeight < document.documentElement.scrollHeight - 2) {
    window.scrollBy(0, step);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    seen.frames.push(now - last);
    last = now;
  }
  await new Promise((done) => setTimeout(done, 300));
  return [seen.tasks, seen.frames];
}"""


def opened(browser: Browser, path: str) -> Page:
    """Open an address with nothing in the cache, and wait until products are painted."""
    context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(PATIENT)
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(path)
    page.wait_for_function("() => seen.first")
    return page


def product_ids(page: Page) -> list[str]:
    """Return the ids of the products shown."""
    links = page.evaluate("() => [...document.querySelectorAll('.face')].map(face => face.href)")
    return [parse_qs(urlsplit(link).query)["product"][0] for link in links]


def first_results(browser: Browser, url: str, ids: Sequence[str]) -> list[float]:
    """Return ms from the start of the navigation until similar products are painted."""
    times = []
    for ident in ids:
        page = opened(browser, f"{url}/?product={quote(ident)}")
        times.append(float(page.evaluate("() => seen.first")))
        page.context.close()
    return times


def uploads(browser: Browser, url: str, pictures: Sequence[Path]) -> list[float]:
    """Return ms from the choice of a picture until products like it are painted."""
    times = []
    for picture in pictures:
        page = opened(browser, url)
        page.set_input_files("#image", picture)
        page.wait_for_function("() => seen.painted")
        times.append(float(page.evaluate("() => seen.painted - seen.asked")))
        page.context.close()
    return times


def slider_changes(browser: Browser, url: str, ident: str, changes: int) -> tuple[list[list[float]], float]:
    """Move sliders; return ms [asked → put in, sent → put in, asked → painted] each, and the layout shift."""
    page = opened(browser, f"{url}/?product={quote(ident)}")
    names = page.evaluate("() => [...document.querySelectorAll('input[type=range]')].map(s => s.name)")
    rng = random.Random(7)
    page.evaluate("() => { seen.shift = 0 }")
    times = []
    for _ in range(changes):
        page.evaluate(MOVE, [rng.choice(names), f"{rng.uniform(0.1, 3):.2f}"])
        page.wait_for_function("() => seen.painted")
        times.append(
            page.evaluate("() => [seen.put - seen.asked, seen.put - seen.sent, seen.painted - seen.asked]")
        )
    shift = float(page.evaluate("() => seen.shift"))
    page.context.close()
    return times, shift


def scrolling(browser: Browser, url: str, ident: str) -> tuple[int, list[float], list[float]]:
    """Scroll over CARDS products; return how many there were, the long tasks and the frames in ms."""
    page = opened(browser, f"{url}/?product={quote(ident)}")
    while page.locator(".card").count() < CARDS and page.locator("[data-more]").count():
        before = page.locator(".card").count()
        page.locator("[data-more]").click()
        page.wait_for_function("n => document.querySelectorAll('.card').length > n", arg=before)
    count = page.locator(".card").count()
    tasks, frames = page.evaluate(SCROLL, 120)
    page.context.close()
    return count, tasks, frames


def compressed(browser: Browser, url: str, ident: str) -> list[tuple[str, int]]:
    """Return the bytes of Explore after gzip, by kind: its HTML with results, styles, scripts."""
    page = opened(browser, f"{url}/?product={quote(ident)}")
    html = page.request.get(f"{url}/?product={quote(ident)}").text()
    sizes = {"HTML": len(gzip.compress(html.encode(), 6)), "CSS": 0, "JS": 0}
    for path in sorted(set(re.findall(r'(?:href|src)="(/static/[^"]+\.(?:css|js))"', html))):
        data = page.request.get(url + path).body()
        sizes["CSS" if path.endswith(".css") else "JS"] += len(gzip.compress(data, 6))
    page.context.close()
    return [*sizes.items(), ("together", sum(sizes.values()))]


def row(name: str, times: Sequence[float], wanted: str) -> list[object]:
    """Return a line of the table of times."""
    shares = (bench.percentile(times, 0.5), bench.percentile(times, 0.95), max(times))
    return [name, len(times), *(f"{value:.0f}" for value in shares), wanted]


def measured(browser: Browser, url: str, pictures: Sequence[Path], changes: int) -> tuple[str, str]:
    """Return the count of products and the report."""
    page = opened(browser, url)
    count = re.sub(r"\D", "", page.locator(".version").inner_text().split("products")[0])
    ids = product_ids(page)
    page.context.close()
    load = os.getloadavg()[0]
    first_results(browser, url, ids[:1])  # what is loaded once
    uploads(browser, url, pictures[:1])
    by_product = first_results(browser, url, ids[:REPEATS])
    by_picture = uploads(browser, url, pictures[:REPEATS])
    moves, shift = slider_changes(browser, url, ids[0], changes)
    cards, tasks, frames = scrolling(browser, url, ids[0])
    paces = [bench.percentile(frames, share) for share in (0.5, 0.95)]
    put, sent, painted = zip(*moves, strict=True)
    times = [
        row("product: navigation → results painted", by_product, "≤ 1000"),
        row("picture: chosen → results painted", by_picture, "≤ 1000"),
        row("slider: released → results in place", put, "p95 ≤ 300"),
        row("slider: request sent → results in place", sent, ""),
        row("slider: released → results painted", painted, ""),
    ]
    other = [
        ["layout shift of all slider changes", f"{shift:.4f}", "< 0.02"],
        [f"longest task while {cards} cards scroll, ms", f"{max(tasks, default=0):.0f}", "≤ 100"],
        ["tasks over 50 ms in that time", len(tasks), ""],
        ["frames of that time, p50 and p95, ms", f"{paces[0]:.0f} and {paces[1]:.0f}", ""],
        *([f"{kind} of Explore, gzip, KB", f"{size / 1000:.1f}", "≤ 120" if kind == "together" else ""]
          for kind, size in compressed(browser, url, ids[0])),
    ]  # fmt: skip
    text = f"{int(count):,} products; load before {load:.1f}; nothing in the browser's cache\n\n"
    text += bench.table("Times, ms", ("what", "n", "p50", "p95", "longest", "wanted"), times) + "\n"
    return count, text + bench.table("Other figures", ("what", "measured", "wanted"), other)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("indexes", type=Path, help="folder of the index versions")
    parser.add_argument("pictures", type=Path, help="folder with *.jpg to search with")
    parser.add_argument("--changes", type=int, default=60, help="of sliders")
    given = parser.parse_args()
    pictures = sorted(given.pictures.rglob("*.jpg"))
    if not pictures:
        parser.error(f"{given.pictures} holds no *.jpg")
    random.Random(7).shuffle(pictures)
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        browser = launch(playwright)
        with serving(given.indexes, Path(data)) as url:
            count, text = measured(browser, url, pictures, given.changes)
        browser.close()
    bench.record(f"console-{count}", text)


if __name__ == "__main__":
    main()
