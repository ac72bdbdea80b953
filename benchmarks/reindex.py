"""Reindex: from scratch, nothing changed, one price changed; stages and peak memory of the process tree."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import bench


def tree_pss(pid: int) -> int:
    """Return the proportional set size (bytes) of a process and its children: shared pages count once."""
    total, waiting = 0, [pid]
    while waiting:
        current = waiting.pop()
        try:
            for line in Path(f"/proc/{current}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return total


def run(feed: Path, images: Path, folder: Path) -> tuple[float, int, dict]:
    """Run the CLI once; return seconds, peak PSS in bytes and its report."""
    command = [
        sys.executable,
        "-m",
        "vision_rec.cli",
        "reindex",
        str(feed),
        "--images",
        str(images),
        "--json",
    ]
    command += ["--indexes", str(folder / "indexes"), "--data", str(folder / "var")]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peak = [0]

    def watch() -> None:
        while process.poll() is None:
            peak[0] = max(peak[0], tree_pss(process.pid))
            time.sleep(0.25)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate()
    watcher.join()
    if process.returncode not in (0, 3):
        raise SystemExit(f"reindex ended with {process.returncode}")
    return time.perf_counter() - started, peak[0], json.loads(out)


def with_one_price(feed: Path, target: Path) -> Path:
    """Copy a feed, giving its first product another price."""
    lines = feed.read_text("utf-8").splitlines()
    header = lines[0].split(",")
    if "price" in header:
        raise SystemExit("this benchmark adds a price column; use a feed without one")
    lines = [
        f"{line},{'price' if number == 0 else '9.00 EUR' if number == 1 else ''}"
        for number, line in enumerate(lines)
    ]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        source = bench.catalogue(scratch)
        few = scratch / "few.csv"
        few.write_text("\n".join(source.feed.read_text("utf-8").splitlines()[:2001]) + "\n", encoding="utf-8")
        rows = []
        # The first run of a machine also exports the networks; it is a run of its own.
        for label, feed, folder in (
            ("2,000 products, networks exported", few, scratch / "few"),
            ("all, from scratch", source.feed, scratch / "all"),
            ("nothing changed", source.feed, scratch / "all"),
        ):
            seconds, peak, report = run(feed, source.images, folder)
            rows.append((label, seconds, peak, report))
        if "price" not in source.feed.read_text("utf-8").split("\n", 1)[0]:
            priced = with_one_price(source.feed, scratch / "priced.csv")
            rows.append(("one price changed", *run(priced, source.images, scratch / "all")))
    first = rows[1][1]
    cells = [
        [label, f"{seconds:.1f}", f"{100 * seconds / first:.1f} %", f"{peak / 2**20:.0f}", report["outcome"]]
        for label, seconds, peak, report in rows
    ]
    text = bench.table(
        f"Reindex of {source.name}",
        ["run", "seconds", "of the full run", "peak PSS of the process tree, MiB", "outcome"],
        cells,
    )
    stages = [
        [stage, f"{figures['seconds']:.1f}", figures["done"], figures["per_second"] or ""]
        for stage, figures in rows[1][3]["stages"].items()
    ]
    text += "\n" + bench.table("Stages of the full run", ["stage", "seconds", "done", "per second"], stages)
    bench.record("reindex", text)


if __name__ == "__main__":
    main()
