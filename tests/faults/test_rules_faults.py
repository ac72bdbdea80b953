"""Rules and their log survive kills, full disks and damage: what was told is there, without gaps."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import vision_rec
from vision_rec.errors import LockedError
from vision_rec.rules import RuleStore
from vision_rec.rules.disk import only_writer

DRILL = Path(__file__).with_name("rules_drill.py")
ROOM = Path(vision_rec.__file__).parent / "rules"
STEMS = {m for f in ROOM.glob("*.py") for m in re.findall(r'"(rules\.[a-z-]+)"', f.read_text())}
NAMED = STEMS & {"rules.before-current"}
PLACES = sorted(
    NAMED
    | {f"{stem}-{end}" for stem in STEMS - NAMED - {"rules.audit"} for end in ("written", "replaced")}
    | {"rules.audit-half", "rules.audit-appended"}
)
SIGKILL, REFUSED = -9, 41
OLD = ["old"]  # what version 1 hides


def drill(*arguments: str) -> object:
    done = subprocess.run(
        [sys.executable, str(DRILL), *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture
def base(tmp_path):
    store = RuleStore(tmp_path / "base")
    store.create({"effect": "hide", "products": OLD}, "lee")
    store.publish("lee")
    return tmp_path


def check(folder: Path, count: int) -> list[dict]:
    seen = drill("check", str(folder))
    assert len(seen) == count
    for one in seen:
        told = one["said"]
        published, restored = "published" in told, "restored" in told
        # What was told is there; what was not told yet may be.
        assert one["problems"] == [] and one["wrong"] == [] and one["leftovers"] == [], one
        assert one["number"] in ({1, 2} if not published else {2, 3} if not restored else {3}), one
        assert one["applies"] == (["new", "old"] if one["number"] == 2 else OLD), one
        if "created" in told:
            assert "old" in one["draft"]
        assert one["seqs"] == list(range(1, len(one["seqs"]) + 1)), one
        assert one["whats"][-2:] == ["created", "published"] and one["next"] == one["number"] + 1, one
        assert {"old", "last"} <= set(one["then"]), one
        for what in told:
            assert one["whats"].count(what) == 1 + (what in ("created", "published")) * 2, one
    return seen


def test_killed_at_every_place_and_every_pass(base):
    assert len(PLACES) >= 9
    places = [*PLACES, *(f"{place}@2" for place in PLACES), "rules.audit-half@4", "rules.draft-replaced@3"]
    statuses = drill("kill", str(base), *places)
    passed = {place for place, status in statuses.items() if status == SIGKILL}
    assert set(PLACES) <= passed and set(statuses.values()) <= {SIGKILL, 0}
    numbers = {one["number"] for one in check(base, len(places))}
    assert numbers == {1, 2, 3}


@pytest.mark.parametrize("code", ["ENOSPC", "EIO"])
def test_a_failing_disk_is_an_error_and_no_damage(base, code):
    statuses = drill("fail", str(base), code, *PLACES)
    assert set(statuses.values()) == {REFUSED}
    check(base, len(PLACES))


def test_many_writers_leave_no_gap_and_lose_nothing(tmp_path):
    made: list[str] = []

    def write(number: int) -> None:
        store = RuleStore(tmp_path)
        for turn in range(5):
            made.append(store.create({"effect": "hide", "products": [f"{number}-{turn}"]}, f"w{number}").id)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = RuleStore(tmp_path)
    assert {rule.id for rule in store.draft().rules} == set(made) and len(set(made)) == 20
    assert [entry.seq for entry in store.log.entries(100)] == list(range(20, 0, -1))
    assert store.problems() == ()


def test_who_waits_too_long_is_told(tmp_path):
    with only_writer(tmp_path), pytest.raises(LockedError, match="being changed"), only_writer(tmp_path, 0.0):
        pass
