"""The picture cache: what it gives back, and that damage only costs time."""

from __future__ import annotations

import sqlite3
import time

import numpy as np
import pytest

from vision_rec.reindex.cache import PictureCache


def halves(seed):
    return np.random.default_rng(seed).standard_normal(7).astype(np.float16)


def test_blocks_come_back_as_they_were(tmp_path):
    blocks = {f"{n:064x}": halves(n) for n in range(1200)}
    with PictureCache(tmp_path, "encoder", 7) as cache:
        cache.put(blocks)
    with PictureCache(tmp_path, "encoder", 7) as cache:
        found = cache.get([*blocks, "f" * 64])
        assert found.keys() == blocks.keys()
        assert all(np.array_equal(found[sha], blocks[sha]) for sha in blocks)
    with PictureCache(tmp_path, "another", 7) as cache:
        assert cache.get(list(blocks)) == {}


def test_a_changed_bit_is_a_block_not_found(tmp_path):
    with PictureCache(tmp_path, "encoder", 7) as cache:
        cache.put({"a": halves(1), "b": halves(2)})
    with sqlite3.connect(tmp_path / "pictures.sqlite") as db:
        value = bytearray(db.execute("SELECT value FROM block WHERE sha = 'a'").fetchone()[0])
        value[3] ^= 1
        db.execute("UPDATE block SET value = ? WHERE sha = 'a'", (bytes(value),))
    db.close()
    with PictureCache(tmp_path, "encoder", 7) as cache:
        assert list(cache.get(["a", "b"])) == ["b"]


@pytest.mark.parametrize("damage", [b"", b"garbage" * 1000, None])
def test_a_damaged_cache_starts_anew(tmp_path, damage):
    with PictureCache(tmp_path, "encoder", 7) as cache:
        cache.put({f"{n}": halves(n) for n in range(500)})
    file = tmp_path / "pictures.sqlite"
    raw = file.read_bytes()
    file.write_bytes(raw[:5000] + bytes(20_000) + raw[25_000:] if damage is None else damage)
    for _ in range(2):
        with PictureCache(tmp_path, "encoder", 7) as cache:
            cache.get([f"{n}" for n in range(500)])
            cache.put({"new": halves(9)})
    with PictureCache(tmp_path, "encoder", 7) as cache:
        cache.put({"new": halves(9)})
        assert np.array_equal(cache.get(["new"])["new"], halves(9))


def test_without_a_place_the_cache_is_empty(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with PictureCache(tmp_path / "file", "encoder", 7) as cache:
        cache.put({"a": halves(1)})
        assert cache.get(["a"]) == {}


def test_the_cache_is_bounded(tmp_path):
    with PictureCache(tmp_path, "encoder", 7, max_blocks=10) as cache:
        cache.put({f"{n}": halves(n) for n in range(50)})
    with PictureCache(tmp_path, "encoder", 7) as cache:
        assert len(cache.get([f"{n}" for n in range(50)])) == 10


def test_young_files_are_not_remembered(tmp_path):
    with PictureCache(tmp_path, "encoder", 7) as cache:
        cache.remember([("/old", 5, 1, "sha-old"), ("/young", 5, time.time_ns(), "sha-young")])
        assert cache.hashes([("/old", 5, 1), ("/young", 5, 2)]) == {"/old": "sha-old"}
        assert cache.hashes([("/old", 6, 1)]) == {} and cache.hashes([("/old", 5, 2)]) == {}
