"""Killed, interrupted, starved and racing runs: the old version or the new, and finished work is kept."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from reindex_shop import InProcessPool, Shop, content

import vision_rec
from vision_rec import failpoints
from vision_rec.errors import LockedError, ResourceError, UnavailableError, VisionRecError
from vision_rec.fusion import AspectLayout, unit
from vision_rec.reindex import plan
from vision_rec.sessions.pair import behaviour_aspect, read_config, write_pair
from vision_rec.sessions.pair_store import PairStore

ROOM = Path(vision_rec.__file__).parent / "reindex"
OWN = sorted({m for f in ROOM.glob("*.py") for m in re.findall(r'failpoint\("([^"]+)"\)', f.read_text())})
# One place of each kind inside publishing; the version store's own drill walks through all of them.
PUBLISH = [
    "publish.start",
    "publish.files-done",
    "publish.before-rename",
    "publish.renamed",
    "current.written",
]
AFTER = {"reindex.published"}
LATE = {"publish.before-rename", "publish.renamed", "current.written"}  # working files are gone by then
BATCH, CHUNK = 2, 3


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch):
    monkeypatch.setattr("vision_rec.images.DecodePool", InProcessPool)
    monkeypatch.setattr(plan, "CHUNK_PRODUCTS", CHUNK)
    yield
    failpoints.arm("")


def publish_pair(shop: Shop, seed: int) -> None:
    """Publish a session pair as training does, with weights that nobody runs."""
    vectors = unit(np.random.default_rng(seed).normal(size=(4, 5)).astype(np.float32))
    layout = AspectLayout((*shop.encoders.layout.aspects, behaviour_aspect(vectors)))
    write_pair(
        shop.root / "pair",
        ids=[f"p{number:03d}" for number in range(4)],
        vectors=vectors,
        network={"weight": np.full(3, seed, np.float32)},
        spec={"dims": [aspect.dim for aspect in layout.aspects]},
        layout=layout,
        space="space",
        notes={},
    )
    PairStore(shop.root / "var" / "session").publish(shop.root / "pair")


def change(shop: Shop) -> None:
    publish_pair(shop, 2)
    shop.row("p001")["title"] = "renamed"
    shop.paint("p002", (3, 4, 5))
    shop.row("p003")["price"] = "1.00 EUR"
    for number in range(4):
        shop.add(f"new{number}", (100 + number, 20, 20))
    shop.reviews = [{"product_id": "p004", "rating": "2", "text": "meh"}]
    shop.write()
    shop.log.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A shop with one version and changes that wait; and what an uninterrupted run makes of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vision_rec.images.DecodePool", InProcessPool)
        patch.setattr(plan, "CHUNK_PRODUCTS", CHUNK)
        folder = tmp_path_factory.mktemp("base") / "shop"
        shop = Shop(folder).fill(6)
        shop.overrides = {"encoders": {"batch_size": BATCH}}
        publish_pair(shop, 1)
        shop.run()
        change(shop)
        whole = copy_of(shop, folder.parent / "whole")
        whole.rerun()
        return shop, content(whole.open()), len(whole.encoded("picture")), len(whole.encoded("text"))


def copy_of(shop: Shop, folder: Path) -> Shop:
    shutil.copytree(shop.root, folder)
    other = Shop.__new__(Shop)
    other.__dict__.update({**shop.__dict__, "root": folder, "log": folder / "encoded.jsonl"})
    other.rows = [dict(row) for row in shop.rows]
    return other


def run_in_child(shop: Shop, armed: str, **options: object) -> int:
    """Reindex in a forked process with failpoints armed; return its status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            failpoints.arm(armed)
            shop.rerun(**options)
            status = 0
        except VisionRecError as error:
            status = 7 if error.code == "locked" else 41
        except KeyboardInterrupt:
            status = 130
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def check_whole(shop: Shop, base) -> None:
    """See that the current version is the uninterrupted run's and that nothing is left lying about."""
    assert content(shop.open()) == base[1]
    pair = read_config(shop.open().model_folder)
    assert pair.fingerprint == shop.open().manifest.fingerprints["session"]  # rows and model are of one pair
    assert not shop.store.verify(shop.current())
    assert shop.building() == [] and not list((shop.root / "indexes").glob("*.tmp"))


@pytest.mark.parametrize("place", [*OWN, *PUBLISH])
def test_a_killed_run_leaves_the_old_version_and_is_resumed(tmp_path, base, place):
    shop = copy_of(base[0], tmp_path / "shop")
    before, old = shop.current(), content(shop.open())
    assert run_in_child(shop, f"{place}=kill") == -signal.SIGKILL
    if place in AFTER:
        assert shop.current() != before
    else:
        assert shop.current() == before and content(shop.open()) == old
    shop.rerun()
    check_whole(shop, base)
    assert len(shop.encoded("picture")) <= base[2] + BATCH
    if place not in LATE:
        assert len(shop.encoded("text")) <= base[3] + CHUNK


@pytest.mark.parametrize("turn", [1, 2])
def test_finished_chunks_are_not_encoded_again(tmp_path, base, turn):
    shop = copy_of(base[0], tmp_path / "shop")
    assert run_in_child(shop, f"reindex.chunk-written@{turn}=kill") == -signal.SIGKILL
    pictures, texts = shop.encoded("picture"), shop.encoded("text")
    report = shop.rerun()
    check_whole(shop, base)
    assert report.chunks_resumed == turn and report.chunks == 3
    assert len(shop.encoded("picture")) == base[2] and len(shop.encoded("text")) == base[3]
    assert pictures and texts and set(pictures) < set(shop.encoded("picture"))


def test_a_run_killed_while_encoding_loses_one_batch_of_pictures_at_most(tmp_path, base):
    shop = copy_of(base[0], tmp_path / "shop")
    for turn in (1, 2):
        assert run_in_child(shop, f"reindex.batch-encoded@{turn}=kill") == -signal.SIGKILL
    shop.rerun()
    check_whole(shop, base)
    assert len(shop.encoded("picture")) == base[2]


def test_a_full_run_resumes_too_but_not_from_another_kind_of_run(tmp_path, base):
    shop = copy_of(base[0], tmp_path / "shop")
    assert run_in_child(shop, "reindex.encoded=kill") == -signal.SIGKILL
    shop.log.unlink()
    assert shop.rerun(full=True).chunks_resumed == 0 and len(shop.encoded("text")) == 10

    shop.row("p000")["title"] = "once more"
    shop.write()
    assert run_in_child(shop, "reindex.encoded=kill", full=True) == -signal.SIGKILL
    shop.log.unlink()
    report = shop.rerun(full=True)
    assert report.chunks_resumed == report.chunks == 4 and not shop.encoded("text")


def test_a_chunk_left_damaged_is_encoded_again(tmp_path, base):
    shop = copy_of(base[0], tmp_path / "shop")
    run_in_child(shop, "reindex.encoded=kill")
    chunks = sorted((shop.root / "indexes").glob(".building-*/.chunks/*.npz"))
    chunks[0].write_bytes(chunks[0].read_bytes()[:-30])
    flipped = bytearray(chunks[1].read_bytes())
    flipped[len(flipped) // 3] ^= 255
    chunks[1].write_bytes(bytes(flipped))
    assert shop.rerun().chunks_resumed == 1
    check_whole(shop, base)


def test_another_feed_than_the_killed_run_s_takes_no_wrong_chunk(tmp_path, base):
    shop = copy_of(base[0], tmp_path / "shop")
    run_in_child(shop, "reindex.encoded=kill")
    shop.row("p001")["title"] = "renamed again"
    shop.write()
    whole = copy_of(shop, tmp_path / "whole")
    shutil.rmtree(next((whole.root / "indexes").glob(".building-*")))
    whole.rerun()
    shop.rerun()
    assert content(shop.open()) == content(whole.open())


def test_pictures_changed_after_the_kill_are_read_again(tmp_path, base):
    shop = copy_of(base[0], tmp_path / "shop")
    run_in_child(shop, "reindex.encoded=kill")
    shop.paint("new3", (250, 250, 1))
    shop.rerun()
    assert "#fafa01" in shop.encoded("picture")


# ── Ctrl-C ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stage", ["feed", "pictures", "pictures encoded", "encode", "index", "publish"])
def test_an_interrupted_run_leaves_a_valid_store_and_resumes(tmp_path, base, stage):
    shop = copy_of(base[0], tmp_path / "shop")
    before = shop.current()

    def interrupt(heard: str, done: int, total: int | None) -> None:
        if heard == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.rerun(progress=interrupt)
    assert shop.current() == before and not shop.store.verify(before)
    report = shop.rerun()
    assert report.chunks_resumed >= (stage in ("encode", "index", "publish"))
    check_whole(shop, base)


def test_ctrl_c_with_decode_processes_ends_them(tmp_path, base, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(plan, "CHUNK_PRODUCTS", CHUNK)
    shop = copy_of(base[0], tmp_path / "shop")

    def interrupt(heard: str, done: int, total: int | None) -> None:
        if heard == "pictures encoded":
            os.kill(os.getpid(), signal.SIGINT)

    assert run_in_child(shop, "", progress=interrupt) == 130
    shop.rerun()
    check_whole(shop, base)


# ── disks and neighbours ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("place", OWN)
def test_a_full_disk_is_told_and_nothing_is_published(tmp_path, base, place):
    if place in AFTER:
        pytest.skip("the new version is published by then")
    shop = copy_of(base[0], tmp_path / "shop")
    before = shop.current()
    failpoints.arm(f"{place}=raise:ENOSPC")
    with pytest.raises(ResourceError, match=r"ran full, \d+ bytes are free"):
        shop.rerun()
    assert shop.current() == before and not shop.store.verify(before)
    report = json.loads(next((shop.root / "var/reports").iterdir()).read_text())
    assert report["outcome"] == "failed" and "ran full" in report["error"]
    failpoints.arm("")
    shop.rerun()
    check_whole(shop, base)


def test_a_limit_on_the_size_of_files_is_told_as_a_full_disk_is(tmp_path, base):
    shop = copy_of(base[0], tmp_path / "shop")
    before = shop.current()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 10, hard))  # bytes; a quota fails in the same way
    try:
        with pytest.raises(ResourceError, match=r"ran full, .*quota"):
            shop.rerun()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert shop.current() == before and not shop.store.verify(before)


def test_a_failing_disk_is_told(tmp_path, base):
    shop = copy_of(base[0], tmp_path / "shop")
    failpoints.arm("reindex.chunk-half-written=raise:EIO")
    with pytest.raises(UnavailableError, match="Input/output error"):
        shop.rerun()


def test_too_little_space_is_refused_before_anything_is_encoded(tmp_path, base, monkeypatch):
    shop = copy_of(base[0], tmp_path / "shop")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=6 << 20))
    with pytest.raises(ResourceError, match=rf"needed \d+ bytes, free {6 << 20} bytes"):
        shop.rerun()
    assert shop.encoded("text") == []


def test_a_second_run_is_refused_and_names_the_first(tmp_path, base):
    shop = copy_of(base[0], tmp_path / "shop")
    with shop.store.lock(), pytest.raises(LockedError, match=f"process {os.getpid()} on "):
        shop.rerun()
    assert not (shop.root / "var/reports").exists()
    assert shop.rerun(plan_only=True).outcome == "planned"


def test_of_runs_that_race_one_publishes(tmp_path, base):
    shop = copy_of(base[0], tmp_path / "shop")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            os._exit(run_in_child(shop, "reindex.encoded=sleep:0.3"))
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert set(ends) <= {0, 7} and 0 in ends
    assert len(shop.store.ids()) == 2
    check_whole(shop, base)


def test_the_failpoints_cover_every_stage():
    assert len(OWN) >= 15
