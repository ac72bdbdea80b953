"""Killed writers, full and failing disks, lost power, damaged files: the store answers from N or N + 1."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from index_store import leftovers, publish, rows_of

import vision_rec
from vision_rec import failpoints
from vision_rec.errors import InputError, ResourceError, UnavailableError
from vision_rec.index.version import VersionStore

DRILL = Path(__file__).with_name("version_drill.py")
ROOM = Path(vision_rec.__file__).parent / "index"
PLACES = sorted({m for f in ROOM.glob("*.py") for m in re.findall(r'failpoint\("([^"]+)"\)', f.read_text())})
SIGKILL, REFUSED = -9, 41


def drill(*arguments: str) -> object:
    command = [sys.executable, str(DRILL), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.fixture
def base(tmp_path):
    """A folder with `base`: two versions (so that pruning has work) and leftovers of an earlier run."""
    store = VersionStore(tmp_path / "base")
    publish(store, seed=0).close()
    publish(store, seed=1).close()
    (store.root / ".building-crashed").mkdir()
    (store.root / ".building-crashed" / "vectors.npy").write_text("half")
    return tmp_path


def check_stores(folder: Path, count: int, *, first: int = 1) -> list[dict]:
    """I3–I6, I9: in a fresh process, before repair, every store answers wholly from the old or the new."""
    seen = drill("check", str(folder))
    assert len(seen) == count
    for number, one in enumerate(seen):
        assert one["seed"] in (first, 2), (number, one)
        assert one["seed"] == 0 or (one["whole"] and one["known"]), (number, one)
        assert one["bad"] == [] and one["next"] and one["after"] == [], (number, one)
        assert first == 0 or one["degraded"] == [], (number, one)
    return seen


# ── failpoints ─────────────────────────────────────────────────────────────────────────────────────────────


def test_failpoints_are_inert_unless_asked_for(monkeypatch):
    assert not failpoints._rules
    monkeypatch.setattr(failpoints, "_act", lambda name: pytest.fail("an unarmed failpoint acted"))
    assert failpoints.failpoint("publish.start") is None


def test_failpoints_act_at_their_pass_and_once_named(monkeypatch):
    monkeypatch.setattr(failpoints, "_rules", {})
    failpoints.arm("a@2=raise:EIO; b=sleep:0 ;c=raise:ENOSPC")
    failpoints.failpoint("a")
    with pytest.raises(OSError, match="Input/output"):
        failpoints.failpoint("a")
    failpoints.failpoint("a")
    failpoints.failpoint("b")
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            failpoints.failpoint("c")
    failpoints.failpoint("unheard-of")
    for bad in ("a=explode", "a", "a=raise:EWHAT", "a=raise"):
        with pytest.raises(InputError, match=failpoints.VARIABLE):
            failpoints.arm(bad)


def test_failpoints_are_read_from_the_environment():
    code = "from vision_rec.failpoints import failpoint; failpoint('other'); failpoint('here')"
    environment = {**os.environ, failpoints.VARIABLE: "here=kill"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == SIGKILL


# ── kill −9 ────────────────────────────────────────────────────────────────────────────────────────────────


def test_killed_at_every_failpoint(base):
    assert len(PLACES) >= 12
    places = [*PLACES, "publish.file-hashed@3", "publish.file-synced@5"]
    statuses = drill("kill", str(base), *places)
    assert statuses == dict.fromkeys(places, SIGKILL), "each failpoint lies on the way"
    seen = dict(zip(places, check_stores(base, len(places)), strict=True))
    assert seen["current.written"]["seed"] == 1 and seen["current.replaced"]["seed"] == 2
    assert all(len(one["before"]) <= 3 for one in seen.values())


def test_killed_between_every_two_changes_of_the_disk(base):
    statuses = drill("sweep", str(base), "KILL")
    assert set(statuses[:-1]) == {SIGKILL} and len(statuses) > 30
    seeds = [one["seed"] for one in check_stores(base, len(statuses))]
    assert seeds == sorted(seeds) and set(seeds) == {1, 2}


def test_killed_in_the_very_first_publish(tmp_path):
    (tmp_path / "base").mkdir()
    statuses = drill("sweep", str(tmp_path), "KILL")
    seen = drill("check", str(tmp_path))
    assert set(statuses[:-1]) == {SIGKILL}
    assert {one["seed"] for one in seen} == {0, 2}
    assert all(one["bad"] == [] and one["next"] and one["after"] == [] for one in seen)
    assert all(one["whole"] for one in seen if one["seed"])


def test_a_killed_run_resumes_with_its_working_files(base):
    drill("kill", str(base), "publish.files-done", "publish.verified")
    for number in range(2):
        root = base / f"store-00{number}"
        store = VersionStore(root)
        with store.lock():
            building = store.begin("new")
            assert (building / ".chunks" / "0").read_text() == "kept for resuming"
            assert (building / "vectors.npy").stat().st_nlink == 1


# ── full and failing disks ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", ["ENOSPC", "EIO"])
def test_the_disk_fails_at_every_change(base, code):
    statuses = drill("sweep", str(base), code)
    assert set(statuses[:-1]) <= {REFUSED, 70}, "refused with one of our errors"
    assert statuses.count(70) <= 6, "only in what the caller writes itself"
    check_stores(base, len(statuses))


def test_a_full_disk_says_needed_and_free(base, monkeypatch):
    store = VersionStore(base / "base")
    before = store.current_id()
    monkeypatch.setattr(failpoints, "_rules", {})
    for place in PLACES:
        if place.startswith("publish.") and place < "publish.renamed" and place != "publish.done":
            failpoints.arm(f"{place}=raise:ENOSPC")
            with pytest.raises(ResourceError, match=r"needed \d+ bytes, free \d+ bytes"):
                publish(store, seed=2)
            failpoints.arm(f"{place}=raise:EIO")
            with pytest.raises(UnavailableError, match="Input/output error"):
                publish(store, seed=2)
            assert store.current_id() == before
    failpoints.arm("")
    assert publish(store, seed=2).id == store.current_id()
    assert leftovers(store.root) == []


def test_a_store_that_cannot_be_written_still_answers(base, monkeypatch):
    store = VersionStore(base / "base")

    def refuse(path, flags, *rest, **named):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(30, "Read-only file system", str(path))
        return real(path, flags, *rest, **named)

    real = os.open
    monkeypatch.setattr(os, "open", refuse)
    with store.open() as version:
        assert version.ids[0] == "1-00000" and version.degraded == ()
    with pytest.raises(UnavailableError, match="LOCK: Read-only file system"):
        publish(store, seed=2)


# ── lost power: only what was synced is on the disk ────────────────────────────────────────────────────────


class Disk:
    """Knows which bytes and names of a folder would survive a power cut, and lays them out elsewhere."""

    def __init__(self, root: Path) -> None:
        self.root, self.files, self.folders, self.kept = root, {}, {}, []
        for path in [root, *root.rglob("*")]:
            self.see(path)

    def see(self, path: Path | str | int) -> None:
        number = os.open(path, os.O_RDONLY) if not isinstance(path, int) else os.dup(path)
        self.kept.append(number)  # inodes are keys here: none may be used twice
        inode = os.fstat(number).st_ino
        if os.path.isdir(f"/proc/self/fd/{number}"):
            self.folders[inode] = self.names(f"/proc/self/fd/{number}")
        else:
            self.files[inode] = Path(f"/proc/self/fd/{number}").read_bytes()

    @staticmethod
    def names(folder: str | Path) -> dict[str, tuple[bool, int]]:
        with os.scandir(folder) as entries:
            return {e.name: (e.is_dir(), e.stat(follow_symlinks=False).st_ino) for e in entries}

    def lay_out(self, target: Path, *, names_survive: bool) -> Path:
        """Write what is left: bytes as last synced; names as last synced, or all of them as they are now."""

        def folder(where: Path, inode: int, live: Path | None) -> None:
            where.mkdir()
            entries = self.names(live) if names_survive else self.folders.get(inode, {})
            for name, (is_folder, number) in entries.items():
                if is_folder:
                    folder(where / name, number, live / name if names_survive else None)
                else:
                    (where / name).write_bytes(self.files.get(number, b""))

        folder(target, self.root.stat().st_ino, self.root)
        return target


@pytest.mark.parametrize("names_survive", [False, True])
def test_power_is_lost_after_every_step(base, tmp_path, monkeypatch, names_survive):
    store = VersionStore(base / "base")
    old, disk, states = store.current_id(), Disk(base / "base"), []

    def cut() -> None:
        root = disk.lay_out(tmp_path / f"cut-{len(states)}", names_survive=names_survive)
        with VersionStore(root).open() as version:
            seed = 1 if version.id == old else 2
            np.testing.assert_array_equal(version.stored_rows(), rows_of(seed))
            assert version.degraded == ()
            states.append(seed)
        shutil.rmtree(root)

    def watched(name):
        real = getattr(os, name)

        def call(*arguments, **named):
            if name in ("replace", "link") and os.path.exists(arguments[1]):
                disk.kept.append(os.open(arguments[1], os.O_RDONLY))
            result = real(*arguments, **named)
            if name == "fsync":
                disk.see(arguments[0])
            cut()
            return result

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "replace", "link", "chmod"):
            patch.setattr(os, name, watched(name))
        publish(store, seed=2).close()
    cut()
    for number in disk.kept:
        os.close(number)
    assert len(states) > 20 and states == sorted(states)
    assert states[-1] == 2, "what publish returned from is there to stay"


# ── many at once ───────────────────────────────────────────────────────────────────────────────────────────


def test_of_many_writers_exactly_one_publishes(tmp_path):
    results = drill("race", str(tmp_path))
    by_turn: dict[int, list[str]] = {}
    for turn, result in results:
        by_turn.setdefault(turn, []).append(result)
    assert len(by_turn) == 20
    for outcomes in by_turn.values():
        assert outcomes.count("published") == 1 and len(outcomes) == 6
        assert outcomes.count("locked, unnamed") <= 5
    store = VersionStore(tmp_path)
    assert len(store.ids()) == 20 and all(not store.verify(name) for name in store.ids())
    assert leftovers(tmp_path) == []


def test_readers_see_whole_versions_while_others_are_published_and_pruned(tmp_path):
    store = VersionStore(tmp_path)
    publish(store, seed=0).close()
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path; from index_store import rows_of\n"
        "from vision_rec.index.version import VersionStore\n"
        "seen, store = set(), VersionStore(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "while not (Path(sys.argv[1]) / 'stop').exists():\n"
        "    with store.open() as version:\n"
        "        seed = int(version.ids[0].split('-')[0])\n"
        "        assert (version.stored_rows() == rows_of(seed)).all() and not version.degraded\n"
        "        seen.add(seed)\n"
        "print(len(seen))"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(DRILL.parents[1])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "ready\n"
        for seed in range(1, 25):
            publish(store, seed=seed).close()
            store.prune(1)
        (tmp_path / "stop").touch()
        out, errors = reader.communicate(timeout=30)
    assert reader.returncode == 0, errors[-2000:]
    assert int(out) > 3
