"""Processes for the fault tests of rules: change them, die at a chosen place; look freshly at what is left.

rules_drill.py kill FOLDER PLACE…   for each PLACE: copy FOLDER/base, edit, publish, go back, die at PLACE
rules_drill.py fail FOLDER CODE PLACE…   the same, the disk failing there
rules_drill.py check FOLDER         look at every copy, before any repair, then change something
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from vision_rec import failpoints
from vision_rec.errors import VisionRecError
from vision_rec.rules import RuleStore

DONE, REFUSED = 0, 41


def work(root: Path) -> None:
    """Create a rule, publish it, change it, go back; each step is told before it is over."""
    store = RuleStore(root)
    said = root / "said"

    def tell(what: str) -> None:
        with said.open("a") as file:
            file.write(what + "\n")
            file.flush()
            os.fsync(file.fileno())

    rule = store.create({"effect": "hide", "products": ["new"]}, "kim")
    tell("created")
    store.publish("kim")
    tell("published")
    store.change(rule.id, {"effect": "hide", "products": ["newer"]}, "kim")
    tell("changed")
    store.restore(1, "kim")
    tell("restored")


def in_child(root: Path, arming: str) -> int:
    child = os.fork()
    if child == 0:
        status = 70
        try:
            failpoints.arm(arming)
            work(root)
            status = DONE
        except VisionRecError:
            status = REFUSED
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(folder: Path, places: list[str], action: str) -> None:
    statuses = {}
    for number, place in enumerate(places):
        root = Path(shutil.copytree(folder / "base", folder / f"store-{number:03d}"))
        statuses[place] = in_child(root, f"{place}={action}")
    sys.stdout.write(json.dumps(statuses))


def look(root: Path) -> dict[str, object]:
    """Say what a fresh reader finds, and what is there after the next change."""
    store = RuleStore(root)
    said = (root / "said").read_text().split() if (root / "said").exists() else []
    book = store.book()
    seen: dict[str, object] = {
        "said": said,
        "number": book.number,
        "problems": list(book.problems),
        "applies": sorted(p for rule in book.rules for p in rule.products),
        "draft": sorted(p for rule in store.draft().rules for p in rule.products),
    }
    after = RuleStore(root)
    after.create({"effect": "hide", "products": ["last"]}, "lee")
    version = after.publish("lee")
    entries = after.log.entries(100)
    return seen | {
        "next": version.number if version else None,
        "then": sorted(p for rule in after.book().rules for p in rule.products),
        "wrong": list(after.problems()),
        "seqs": [entry.seq for entry in reversed(entries)],
        "whats": [entry.what for entry in reversed(entries)],
        "leftovers": sorted(p.name for p in root.rglob("*.tmp")),
    }


if __name__ == "__main__":
    verb, where, *rest = sys.argv[1:]
    if verb == "check":
        sys.stdout.write(json.dumps([look(root) for root in sorted(Path(where).glob("store-*"))]))
    elif verb == "fail":
        run(Path(where), rest[1:], f"raise:{rest[0]}")
    else:
        run(Path(where), rest, "kill")
