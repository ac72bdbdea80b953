"""Run every benchmark, one process each, and record the results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = ("start", "pipeline", "reindex", "query", "events")


def main() -> None:
    folder = Path(__file__).resolve().parent
    for name in sys.argv[1:] or NAMES:
        subprocess.run([sys.executable, str(folder / f"{name}.py")], check=True, cwd=folder)


if __name__ == "__main__":
    main()
