"""Damaged files of versions: found, told, and another version answers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from index_store import publish

from vision_rec.errors import IntegrityError
from vision_rec.index.version import VersionStore


@pytest.fixture
def damaged(tmp_path):
    """A store whose current version (seed 2) is there to be damaged; the older one is good."""
    store = VersionStore(tmp_path / "indexes")
    publish(store, seed=1).close()
    with publish(store, seed=2, prices="9") as version:
        (version.path / "index" / "hnsw.faiss").unlink()  # no longer the parent's
        (version.path / "index" / "hnsw.faiss").write_bytes(bytes(range(256)))
        return store, version


def assert_detected(store: VersionStore, version, what: object) -> None:
    assert store.verify(version.id), what
    with pytest.raises(IntegrityError):
        store.open(version.id)


def every_file(version) -> list[Path]:
    return [version.path / name for name in [*version.manifest.files, "manifest.json"]]


def test_one_flipped_bit_anywhere_is_detected(damaged):
    store, version = damaged
    rng = np.random.default_rng(5)
    for path in every_file(version):
        good = path.read_bytes()
        for at in rng.choice(len(good), min(len(good), 60), replace=False):
            bad = bytearray(good)
            bad[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(bad)
            assert_detected(store, version, (path.name, at))
        path.write_bytes(good)
    assert store.verify(version.id) == ()


def test_cut_zeroed_lengthened_missing_and_replaced_files_are_detected(damaged):
    store, version = damaged
    rng = np.random.default_rng(6)
    for path in every_file(version):
        good = path.read_bytes()
        cuts = [good[:at] for at in rng.integers(len(good), size=15)]
        for bad in [*cuts, b"", bytes(len(good)), good + b"\n", good[::-1]]:
            path.write_bytes(bad)
            assert_detected(store, version, path.name)
        path.unlink()
        assert_detected(store, version, path.name)
        elsewhere = store.root / "elsewhere"
        elsewhere.write_bytes(good)
        if path.name != "manifest.json":
            path.symlink_to(elsewhere)
            assert_detected(store, version, path.name)
            path.unlink()
        path.mkdir()
        assert_detected(store, version, path.name)
        path.rmdir()
        path.write_bytes(good)
    assert store.verify(version.id) == ()


def test_files_swapped_between_versions_are_detected(damaged):
    store, version = damaged
    older = store.root / store.ids()[0]
    for name in ("ids.json", "vectors.npy", "catalog.parquet", "manifest.json"):
        good = (version.path / name).read_bytes()
        (version.path / name).write_bytes((older / name).read_bytes())
        assert_detected(store, version, name)
        (version.path / name).write_bytes(good)
    shutil.copytree(older, store.root / "2030-01-01T00-00-00Z-01234567")
    with pytest.raises(IntegrityError, match="holds the manifest of version"):
        store.open("2030-01-01T00-00-00Z-01234567")


def test_verify_names_file_expected_and_found(damaged):
    store, version = damaged
    (version.path / "ids.json").write_text("[]")
    (version.path / "catalog.parquet").write_text("PAR1 prices 8")
    (version.path / "vectors.npy").unlink()
    bad = {problem.file: problem for problem in store.verify(version.id)}
    assert set(bad) == {"ids.json", "catalog.parquet", "vectors.npy"}
    assert bad["ids.json"].found == "2 bytes" and bad["ids.json"].expected.endswith(" bytes")
    assert bad["catalog.parquet"].expected == f"SHA-256 {version.manifest.files['catalog.parquet'].sha256}"
    assert bad["catalog.parquet"].found.startswith("SHA-256 ")
    assert bad["vectors.npy"].found == "nothing"


def test_a_damaged_current_version_falls_back_and_says_so(damaged, caplog):
    store, version = damaged
    older = store.ids()[0]
    (version.path / "vectors.npy").write_bytes(b"")
    with store.open() as opened:
        assert opened.id == older and opened.ids[0] == "1-00000"
        (reason,) = opened.degraded
        assert "vectors.npy" in reason and version.id in reason and older in reason
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert store.ids()[1] == version.id and store.current_id() == version.id, "only reported, nothing moved"
    assert publish(store, seed=4).id == store.open().id


def test_the_newest_good_older_version_answers_before_a_newer_one(tmp_path):
    store = VersionStore(tmp_path)
    made = [publish(store, seed=seed).id for seed in range(5)]
    store.activate(made[3])
    for bad in (made[3], made[2]):
        (tmp_path / bad / "ids.json").write_text("[]")
    assert store.open().id == made[1]
    for bad in made[:2]:
        (tmp_path / bad / "manifest.json").unlink()
    assert store.open().id == made[4]
    (tmp_path / made[4] / "catalog.parquet").unlink()
    with pytest.raises(IntegrityError, match="no other version in .* is good.*reindex FEED --full"):
        store.open()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 28,
        b"garbage\n",
        b"../../etc",
        b"\xff\xfe\xfd",
        b"2026-01-01T00-00-00Z-00000000\n",
        b"x" * 10**6,
    ],
    ids=["empty", "zeros", "word", "path", "bytes", "unknown-id", "huge"],
)
def test_garbage_in_current_falls_back(damaged, content):
    store, version = damaged
    (store.root / "CURRENT").write_bytes(content)
    with store.open() as opened:
        assert opened.id == version.id or content.startswith(b"2026")
        assert opened.degraded
    assert {entry.state for entry in store.list()} == {"ready"}
    fresh = publish(store, seed=5)
    assert store.current_id() == fresh.id and store.open().degraded == ()


def test_a_missing_current_or_one_that_is_a_folder_falls_back(damaged):
    store, version = damaged
    (store.root / "CURRENT").unlink()
    assert store.current_id() is None
    with store.open() as opened:
        assert opened.id == version.id and "CURRENT is missing" in opened.degraded[0]
    (store.root / "CURRENT").mkdir()
    with pytest.raises(IntegrityError, match="cannot be read"):
        store.current_id()
    assert store.open().id == version.id


def test_prune_does_not_trust_a_damaged_current(damaged):
    store, _ = damaged
    (store.root / "CURRENT").write_text("garbage")
    with pytest.raises(IntegrityError):
        store.prune(1)
    assert len(store.ids()) == 2
