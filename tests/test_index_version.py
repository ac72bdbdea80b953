"""Versions: published in one step, verified when opened, linked where unchanged, never changed."""

from __future__ import annotations

import errno
import gc
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from index_store import LAYOUT, fill, leftovers, publish, rewrite_manifest, rows_of, seal

from vision_rec.errors import (
    InputError,
    IntegrityError,
    NotFoundError,
    ResourceError,
    UnavailableError,
)
from vision_rec.index import files, version
from vision_rec.index.version import VersionStore


@pytest.fixture
def store(tmp_path):
    return VersionStore(tmp_path / "indexes")


# ── publish and open ───────────────────────────────────────────────────────────────────────────────────────


def test_what_is_published_is_what_is_opened(store):
    published = publish(store, seed=3)
    opened = VersionStore(store.root).open()
    for one in (published, opened):
        assert one.id == store.current_id() == one.path.name
        assert one.path == store.root / one.id
        assert one.ids == tuple(f"3-{i:05d}" for i in range(6))
        np.testing.assert_array_equal(one.stored_rows(), rows_of(3))
        assert one.layout == LAYOUT
        assert one.catalog_path.read_text() == "PAR1 prices 1,2,3"
        assert one.index_folder.is_dir() and one.report == {"seed": 3} and one.degraded == ()
        manifest = one.manifest
        assert (manifest.count, manifest.index_kind, manifest.parent) == (6, "exact", None)
        assert manifest.weights == {"colour": 1.0} and manifest.presets == {"look": {"colour": 1.0}}
        assert manifest.sources == {"feed": "products.csv"} and manifest.feed_sha256 == "f" * 64
        assert manifest.fingerprints == {"image": "i" * 8, "text": "t" * 8}
        assert set(manifest.files) == {
            "ids.json",
            "vectors.npy",
            "catalog.parquet",
            "report.json",
            "index/hnsw.faiss",
        }
    assert leftovers(store.root) == []


def test_rows_are_float32_shared_and_read_only(store):
    one = publish(store)
    rows = one.rows()
    assert rows.dtype == np.float32 and rows.flags.c_contiguous and rows is one.rows()
    np.testing.assert_array_equal(rows, rows_of(1).astype(np.float32))
    with pytest.raises(ValueError, match="read-only"):
        rows[0, 0] = 1
    one.close()
    assert rows[0, 0] == rows_of(1)[0, 0]


def test_opening_writes_nothing(store):
    publish(store)
    before = {p: p.stat().st_mtime_ns for p in store.root.rglob("*")}
    store.open().close()
    store.list()
    store.verify(store.current_id())
    assert {p: p.stat().st_mtime_ns for p in store.root.rglob("*")} == before


def test_an_empty_catalogue_is_a_version(store):
    assert publish(store, count=0).rows().shape == (0, LAYOUT.dim)
    assert store.open().ids == ()


def test_no_version_names_the_commands_that_make_one(store):
    for _ in range(2):
        with pytest.raises(UnavailableError, match="vision-rec reindex FEED.*vision-rec demo"):
            store.open()
        assert store.current_id() is None and store.list() == () and store.ids() == ()
        store.root.mkdir(exist_ok=True)
        (store.root / "README.md").write_text("as in a fresh clone")


def test_an_unknown_id_names_the_known(store):
    known = publish(store).id
    for bad in (
        "2020-01-01T00-00-00Z-00000000",
        "../indexes",
        "",
        "x" * 300,
        "9999-99-99T00-00-00Z-00000000",
    ):
        with pytest.raises(NotFoundError, match=known):
            store.open(bad)
        with pytest.raises(NotFoundError):
            store.activate(bad)
        with pytest.raises(NotFoundError):
            store.verify(bad)


def test_ids_order_as_published_whatever_the_clock_does(store, monkeypatch):
    times = [0, 0, -86_400 * 400, 5]  # the same second twice, back by a year, forward again

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2027, 3, 1, 4, 0, 0, tzinfo=UTC) + timedelta(seconds=times[0])

    monkeypatch.setattr(version, "datetime", Clock)
    made = []
    while times:
        made.append(publish(store, seed=len(made)).id)
        times.pop(0)
    assert made == sorted(made) == list(store.ids())
    assert [name[:20] for name in made] == [f"2027-03-01T04-00-{s:02d}Z" for s in (0, 1, 2, 5)]
    assert [entry.created_at for entry in store.list()][0] == "2027-03-01T04:00:00Z"


def test_parents_are_recorded(store):
    first, second = publish(store, seed=1), publish(store, seed=2)
    assert second.manifest.parent == first.id


def test_everything_is_for_the_owner_only(store):
    one = publish(store)
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(one.path.stat().st_mode) == 0o700
    for name in [*one.manifest.files, "manifest.json"]:
        assert stat.S_IMODE((one.path / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((store.root / "CURRENT").stat().st_mode) == 0o600


# ── links ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_unchanged_files_are_links_to_the_parent(store):
    first = publish(store, seed=1)
    second = publish(store, seed=1, prices="1,2,4")

    def same(name):
        return (first.path / name).samefile(second.path / name)

    assert same("vectors.npy") and same("ids.json") and same("index/hnsw.faiss")
    assert not same("catalog.parquet") and not same("manifest.json")
    assert store.verify(first.id) == store.verify(second.id) == ()


def test_a_file_may_be_the_parents_under_another_name(store):
    first = publish(store)
    with store.lock():
        building = store.begin("x")
        fill(building, seed=1)
        (building / "copy.npy").write_bytes((first.path / "vectors.npy").read_bytes())
        second = seal(store, building)
    assert (second.path / "copy.npy").samefile(first.path / "vectors.npy")


def test_a_damaged_parent_is_not_linked_to(store):
    first = publish(store)
    path = first.path / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    second = publish(store, prices="7")
    assert not path.samefile(second.path / "vectors.npy")
    assert store.verify(second.id) == () and store.open().degraded == ()


def test_file_systems_without_links_get_copies(store, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EPERM, "no links here")

    publish(store)
    monkeypatch.setattr(os, "link", refuse)
    second = publish(store, prices="7")
    assert (second.path / "vectors.npy").stat().st_nlink == 1
    assert store.verify(second.id) == ()


# ── begin ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_begin_resumes_and_sweeps_only_under_the_lock(store):
    mine = store.begin("mine")
    (mine / ".chunks").mkdir()
    (mine / ".chunks" / "0").write_text("done")
    other = store.begin("other")
    assert mine.is_dir() and other.is_dir()
    (store.root / ".deleting-2020").mkdir()
    with store.lock():
        assert store.begin("mine") == mine
    assert (mine / ".chunks" / "0").read_text() == "done"
    assert leftovers(store.root) == [".building-mine"]


def test_working_files_stay_out_of_the_version(store):
    with store.lock():
        building = store.begin("k")
        (building / ".chunks").mkdir()
        (building / ".chunks" / "0").write_text("x")
        fill(building, seed=1)
        (building / "index" / ".part").write_text("x")
        one = seal(store, building)
    assert not list(one.path.rglob(".*"))


def test_resuming_never_writes_into_a_published_version(store):
    first = publish(store)
    with store.lock():
        building = store.begin("again")
        fill(building, seed=1)
        os.unlink(building / "vectors.npy")
        os.link(first.path / "vectors.npy", building / "vectors.npy")  # killed in the middle of publish
        with (store.begin("again") / "vectors.npy").open("r+b") as file:
            file.write(b"garbage")
    assert store.verify(first.id) == ()


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "x" * 101, "a\0b", "ü"])
def test_bad_keys_are_refused(store, key):
    with pytest.raises(InputError, match="allowed are letters"):
        store.begin(key)


def test_too_little_space_is_said_before_anything_is_written(store, monkeypatch):
    parent = publish(store, count=2000)

    class Usage:
        free = 5 << 20

    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: Usage)
    store.begin("small")
    with pytest.raises(ResourceError, match=r"needed 6000000 bytes, free 5242880 bytes.*versions prune"):
        store.begin("large", needed=6_000_000)
    assert not (store.root / ".building-large").exists()
    monkeypatch.setattr(version, "_ROOM_FACTOR", 6e6 / parent.manifest.size)
    with pytest.raises(ResourceError, match=r"needed (6000000|5999999) bytes"):
        store.begin("large")
    Usage.free = 1000
    with pytest.raises(ResourceError, match="free 1000 bytes"):
        seal(store, store.root / ".building-small")
    assert store.open().id == parent.id


# ── activate, list, prune ──────────────────────────────────────────────────────────────────────────────────


def test_rollback_and_forward(store):
    first, second = publish(store, seed=1).id, publish(store, seed=2).id
    store.activate(first)
    assert store.open().id == first and store.open().ids[0] == "1-00000"
    assert [entry.state for entry in store.list()] == ["current", "ready"]
    store.activate(second)
    assert store.open().id == second
    assert store.open(first).id == first


def test_a_damaged_version_cannot_be_activated(store):
    first, second = publish(store, seed=1), publish(store, seed=2)
    (first.path / "ids.json").write_text("[]")
    with pytest.raises(IntegrityError, match="ids.json"):
        store.activate(first.id)
    assert store.current_id() == second.id


def test_list_tells_states_without_reading_the_files(store):
    made = [publish(store, seed=s) for s in range(5)]
    (made[0].path / "vectors.npy").unlink()
    (made[1].path / "manifest.json").write_text("{}")
    rewrite_manifest(made[2].path, format_version=99)
    entries = {entry.id: entry for entry in store.list()}
    assert [entries[m.id].state for m in made] == ["damaged", "damaged", "incompatible", "ready", "current"]
    assert entries[made[4].id].count == 6
    assert entries[made[4].id].size == sum(e.size for e in made[4].manifest.files.values())
    assert entries[made[1].id].created_at == made[1].manifest.created_at


def test_prune_keeps_the_newest_the_current_and_those_in_use(store):
    made = [publish(store, seed=s).id for s in range(6)]
    gc.collect()
    store.activate(made[0])
    reader = store.open(made[1])
    assert store.prune(2) == (made[2], made[3])
    assert store.ids() == (made[0], made[1], made[4], made[5])
    assert reader.stored_rows()[0, 0] == rows_of(1)[0, 0]
    reader.close()
    assert store.prune(1) == (made[1], made[4])
    assert store.ids() == (made[0], made[5])
    assert leftovers(store.root) == [] and store.open().id == made[0]
    with pytest.raises(InputError, match="keep is 0"):
        store.prune(0)


def test_a_reader_in_another_process_is_respected_and_its_death_too(store):
    old, _ = publish(store, seed=1).id, publish(store, seed=2).id
    gc.collect()
    code = (
        "import sys; from pathlib import Path; from vision_rec.index.version import VersionStore\n"
        "v = VersionStore(Path(sys.argv[1])).open(sys.argv[2]); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(store.root), old]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdout.readline() == b"open\n"
        assert store.prune(1) == ()
        reader.kill()
        reader.wait()
        assert store.prune(1) == (old,)


def test_garbage_collection_and_with_release_a_version(store):
    old = publish(store, seed=1)
    old_id = old.id
    publish(store, seed=2).close()
    assert store.prune(1) == ()
    del old
    gc.collect()
    with store.open(old_id):
        assert store.prune(1) == ()
    assert store.prune(1) == (old_id,)


def test_prune_refuses_while_the_current_version_is_damaged(store):
    made = [publish(store, seed=s) for s in range(3)]
    (made[2].path / "ids.json").write_text("[]")
    for one in made:
        one.close()
    with pytest.raises(IntegrityError):
        store.prune(1)
    assert len(store.ids()) == 3


def test_prune_of_nothing(store):
    assert store.prune(1) == ()
