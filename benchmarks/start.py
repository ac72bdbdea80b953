"""Start-up: `import vision_rec` and `vision-rec --help`, as whole processes."""

from __future__ import annotations

import subprocess
import sys

import bench


def main(runs: int = 9) -> None:
    cases = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import numpy": [sys.executable, "-c", "import numpy"],
        "import vision_rec": [sys.executable, "-c", "import vision_rec"],
        "vision-rec --help": [sys.executable, "-m", "vision_rec.cli", "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(runs):
        for name, command in cases.items():
            times[name].append(
                bench.clock(lambda c=command: subprocess.run(c, capture_output=True, check=True))
            )
    base = bench.percentile(times["python -c pass"], 0.5)
    rows = []
    for name, values in times.items():
        middle = bench.percentile(values, 0.5)
        rows.append([name, f"{middle * 1e3:.0f}", f"{(middle - base) * 1e3:.0f}"])
    text = bench.table(f"Start-up, median of {runs}", ["what", "ms", "ms above a bare Python"], rows)
    bench.record("start", text)


if __name__ == "__main__":
    main()
