"""What every benchmark shares: the catalogue measured on, tables, and where results are kept."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Catalogue:
    """A product feed with its pictures."""

    name: str
    feed: Path
    images: Path
    reviews: Path | None = None


def catalogue(scratch: Path) -> Catalogue:
    """Return the pack `fashion` where $VISION_REC_DATA has it, else a drawn shop of 1,000 products."""
    packs = os.environ.get("VISION_REC_DATA")
    if packs and (Path(packs) / "fashion" / "products.csv").is_file():
        folder = Path(packs) / "fashion"
        return Catalogue("fashion (8,083 products)", folder / "products.csv", folder)
    from vision_rec.sample import draw_shop

    shop = draw_shop(scratch / "catalog", count=1000)
    return Catalogue("drawn shop (1,000 products)", shop.feed, shop.feed.parent, shop.reviews)


def machine() -> str:
    """Return one line about this machine."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_initialized() else "no GPU used"
    return f"{model}, {cores} cores, {gigabytes:.0f} GiB, Python {platform.python_version()}, {gpu}"


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [f"## {title}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def record(name: str, text: str) -> Path:
    """Print `text` and write it to benchmarks/results/ with date and machine."""
    now = datetime.now(UTC)
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{now:%Y-%m-%d}-{name}.md"
    load = os.getloadavg()[0]
    head = f"# {name}\n\n{now:%Y-%m-%d %H:%M} UTC · {machine()} · load at the end {load:.1f}\n\n"
    file.write_text(head + text, encoding="utf-8")
    print(head + text)
    return file


def clock(call: Callable[[], object]) -> float:
    """Return the seconds one call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of `values` lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
