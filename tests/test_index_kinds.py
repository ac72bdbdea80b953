"""Each kind of index by itself: ties, recall, choosing one, devices, damaged and hostile files."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pytest
from index_rows import (
    CORNERS,
    COUNT,
    LAYOUT,
    ORACLE,
    ROWS,
    check_form,
    drawn_rows,
    needs_faiss,
    queries,
    reference,
)

from vision_rec.errors import InputError, IntegrityError, UnavailableError
from vision_rec.fusion import scale
from vision_rec.index import EXACT_UP_TO, build_index, choose_kind, load_index
from vision_rec.index.exact import ExactIndex
from vision_rec.index.recall import recall_at, tune

# ── the exact index ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("n", [1, 16])
def test_ties_go_to_the_lower_row(n):
    rows = np.tile(drawn_rows(5, 9), (400, 1))  # 400 copies of five rows
    q = np.repeat(scale(LAYOUT, rows[2:3], CORNERS[-1]), n, axis=0)
    hits = ExactIndex(rows).search(q, 30)
    assert (hits.rows == np.arange(30) * 5 + 2).all()
    allowed = np.arange(2000) >= 1000
    hits = ExactIndex(rows).search(q, 30, allowed=allowed)
    assert (hits.rows == 1000 + np.arange(30) * 5 + 2).all()


def test_scores_equal_the_definition_at_every_block_size(monkeypatch):
    q = queries(CORNERS[-1], 40)
    wanted = ORACLE.search(q, 10)
    monkeypatch.setattr("vision_rec.index.exact._BLOCK_BYTES", 4 * COUNT * 3)
    blocked = ExactIndex(ROWS).search(q, 10)
    np.testing.assert_array_equal(blocked.rows, wanted.rows)
    np.testing.assert_array_equal(wanted.rows, reference(q, 10)[0])
    narrow = np.arange(COUNT) % 10 == 0
    np.testing.assert_array_equal(
        ExactIndex(ROWS).search(q, 10, allowed=narrow).rows, reference(q, 10, narrow)[0]
    )


def test_rounding_of_the_matrix_product_never_decides():
    """Rows closer together than float32 rounds: a batch still gives what one query gives."""
    rng = np.random.default_rng(4)
    close = drawn_rows(1, 6) + 2e-7 * rng.standard_normal((200, LAYOUT.dim)).astype(np.float32)
    index = ExactIndex(np.concatenate([-close, close]))
    q = scale(LAYOUT, drawn_rows(1, 6) + 0.01 * drawn_rows(32, 7), CORNERS[-1])
    batch = index.search(q, 5)
    for i in range(32):
        np.testing.assert_array_equal(index.search(q[i : i + 1], 5).scores[0], batch.scores[i])


def test_rows_must_be_two_dimensional():
    with pytest.raises(InputError, match="rows have shape"):
        ExactIndex(np.zeros(4, np.float32))


def test_the_exact_index_holds_no_copy():
    assert np.shares_memory(ORACLE._rows, ROWS)


# ── recall ─────────────────────────────────────────────────────────────────────────────────────────────────


class Fixed:
    """An index that always gives the same rows."""

    def __init__(self, scores: list[list[float]]) -> None:
        self._scores = np.array(scores, np.float32)

    def search(self, queries, k, *, allowed=None):
        from vision_rec.index import Hits

        return Hits(np.zeros((len(self._scores), k), np.int64), self._scores[:, :k])


def test_recall_counts_ties_as_found_and_misses_as_missed():
    exact = Fixed([[0.9, 0.8, 0.5, 0.5]])
    q = np.zeros((1, 1), np.float32)
    assert recall_at(Fixed([[0.9, 0.8, 0.5, 0.5]]), exact, q, 4) == 1.0
    assert recall_at(Fixed([[0.9, 0.5, 0.5, 0.5]]), exact, q, 4) == 1.0  # as good as the fourth
    assert recall_at(Fixed([[0.9, 0.8, 0.4, 0.3]]), exact, q, 4) == 0.5
    assert recall_at(Fixed([[0.9, -np.inf, -np.inf, -np.inf]]), exact, q, 4) == 0.25
    assert recall_at(Fixed([[-np.inf]]), Fixed([[-np.inf]]), q, 1) == 1.0


def test_an_index_without_effort_is_measured_and_left_alone():
    assert tune(ORACLE, ORACLE, queries(CORNERS[0], 4), 5, goal=2.0) == 1.0


@needs_faiss
@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_effort_buys_recall(kind, tmp_path):
    from vision_rec.index.faiss_index import FaissIndex

    rows = drawn_rows(4000, 5)
    index, exact = FaissIndex(rows, kind, device="cpu"), ExactIndex(rows)
    if kind == "hnsw":
        index._native.hnsw.efSearch = 12
    else:
        index._native.nprobe = 1
    q = queries({"text": 1.0}, 60, 8)
    before, effort = recall_at(index, exact, q, 10), index.effort
    after = tune(index, exact, q, 10, goal=0.999)
    assert before < 0.97 < after and index.effort > effort
    index.save(tmp_path)
    assert FaissIndex.load(tmp_path, rows, kind).effort == index.effort
    while index.raise_effort():
        pass
    assert not index.raise_effort()
    assert recall_at(index, exact, q, 10) >= (1.0 if kind == "ivf" else 0.99)


# ── choosing, devices, damaged files ───────────────────────────────────────────────────────────────────────


def test_auto_is_exact_for_small_catalogues_and_without_faiss(monkeypatch):
    assert choose_kind("auto", EXACT_UP_TO) == "exact"
    assert choose_kind("hnsw", 5) == "hnsw"
    monkeypatch.setattr("vision_rec.index._has_faiss", lambda: True)
    assert choose_kind("auto", EXACT_UP_TO + 1) == "flat"
    monkeypatch.setattr("vision_rec.index._has_faiss", lambda: False)
    assert choose_kind("auto", 10**7) == "exact"
    with pytest.raises(UnavailableError, match=r"pip install \"vision-rec\[cpu\]\""):
        choose_kind("flat", 10)
    with pytest.raises(InputError, match="allowed are auto, exact, flat, hnsw, ivf"):
        build_index(ROWS, "annoy")


def test_choosing_and_exact_search_do_not_import_faiss():
    code = (
        "import sys, numpy as np; from vision_rec.index import build_index, choose_kind; "
        "build_index(np.eye(4, dtype='f4'), choose_kind('auto', 4)).search(np.eye(4, dtype='f4'), 2); "
        "sys.exit('faiss' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_faiss
def test_devices(monkeypatch, caplog):
    import faiss

    from vision_rec.index import faiss_index

    with pytest.raises(InputError, match="auto, cpu, cuda"):
        faiss_index.use_gpu("tpu")
    assert not faiss_index.use_gpu("cpu")
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0)
    faiss_index.gpu_problem.cache_clear()
    try:
        with caplog.at_level(logging.INFO, "vision_rec"):
            assert [faiss_index.use_gpu("auto") for _ in range(3)] == [False] * 3
        assert [r.message for r in caplog.records] == ["FAISS searches on the CPU: no CUDA device is visible"]
        with pytest.raises(UnavailableError, match="no CUDA device"):
            faiss_index.FaissIndex(ROWS, "flat", device="cuda")
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)

        def broken(*_):
            raise RuntimeError("CUDA error 999\nout of luck")

        monkeypatch.setattr(faiss, "GpuIndexFlatIP", broken, raising=False)
        faiss_index.gpu_problem.cache_clear()
        assert faiss_index.gpu_problem() == "the probe search failed: out of luck"
    finally:
        faiss_index.gpu_problem.cache_clear()
        faiss_index._gpu_resources.cache_clear()


@needs_faiss
def test_a_gpu_index_never_sees_a_filter_nor_a_large_k(monkeypatch):
    """A stand-in for a GPU index that, as the real ones do, would ignore a selector in silence."""
    from vision_rec.index import faiss_index

    class Deaf:
        calls = 0

        def search(self, q, k, params=None):
            assert params is None and k <= 2048
            Deaf.calls += 1
            return None, ORACLE.search(q, k).rows

    for kind in ("flat", "ivf"):
        index = faiss_index.FaissIndex(ROWS, kind, device="cpu")
        index._native, index.on_gpu = Deaf(), True
        for n in (1, 9):
            q = queries(CORNERS[-1], n)
            check_form(index.search(q, 10), q, 10)
            for share in (0.01, 0.6):
                allowed = np.random.default_rng(1).random(COUNT) < share
                hits = index.search(q, 10, allowed=allowed)
                check_form(hits, q, 10, allowed)
                np.testing.assert_allclose(hits.scores, reference(q, 10, allowed)[1], atol=1e-5)
            check_form(index.search(q, COUNT), q, COUNT)
    assert Deaf.calls == 4


@needs_faiss
def test_an_index_that_finds_too_few_or_forbidden_rows_is_completed():
    from vision_rec.index import faiss_index

    index = faiss_index.FaissIndex(ROWS, "ivf", device="cpu")
    index._native.nprobe = 1  # one list holds far fewer than k rows
    q, k = queries(CORNERS[-1], 3), 700
    assert np.bincount(index._lists).max() < k
    check_form(index.search(q, k), q, k)

    class Deaf:
        nprobe = 4

        def search(self, q, k, params=None):
            return None, ORACLE.search(q, k).rows

    index._native = Deaf()
    allowed = ~np.isin(np.arange(COUNT), ORACLE.search(q, 40).rows)
    hits = index.search(q, 10, allowed=allowed)
    check_form(hits, q, 10, allowed)
    np.testing.assert_allclose(hits.scores, reference(q, 10, allowed)[1], atol=1e-5)


@needs_faiss
def test_rows_outside_the_version_are_never_answered():
    from vision_rec.index import faiss_index

    class Wild:
        def search(self, q, k, params=None):
            return None, np.full((len(q), k), COUNT + 5)

    index = faiss_index.FaissIndex(ROWS, "ivf", device="cpu")
    native, index._native = index._native, Wild()
    index._native.nprobe = native.nprobe
    with pytest.raises(IntegrityError, match="outside"):
        index.search(queries(CORNERS[-1], 1), 5)


@needs_faiss
@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_files_that_do_not_fit_are_refused(kind, tmp_path):
    build_index(ROWS, kind, device="cpu").save(tmp_path)
    with pytest.raises(IntegrityError):
        load_index(tmp_path, ROWS[:-1], kind, device="cpu")
    with pytest.raises(IntegrityError):
        load_index(tmp_path, np.ascontiguousarray(ROWS[:, :-1]), kind, device="cpu")
    with pytest.raises(IntegrityError):
        load_index(tmp_path / "nowhere", ROWS, kind, device="cpu")
    path = tmp_path / f"{kind}.faiss"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(IntegrityError, match="FAISS cannot read"):
        load_index(tmp_path, ROWS, kind, device="cpu")


@needs_faiss
def test_a_file_that_asks_for_no_list_is_refused(tmp_path):
    index = build_index(ROWS, "ivf", device="cpu")
    index._native.nprobe = 0
    index.save(tmp_path)
    with pytest.raises(IntegrityError, match="looks at 0 of"):
        load_index(tmp_path, ROWS, "ivf", device="cpu")


@needs_faiss
def test_lists_outside_their_range_are_refused(tmp_path):
    build_index(ROWS, "ivf", device="cpu").save(tmp_path)
    path = tmp_path / "ivf-lists.npy"
    good = np.load(path)
    for bad in (good + 10_000, good - 10_000, good[:-1], good.astype(np.int64)):
        path.unlink()
        np.save(path, bad)
        with pytest.raises(IntegrityError, match="does not name one of|expected int32"):
            load_index(tmp_path, ROWS, "ivf", device="cpu")
    path.unlink()
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(IntegrityError, match="not a readable array"):
        load_index(tmp_path, ROWS, "ivf", device="cpu")


HOSTILE = """
import sys, numpy as np
from pathlib import Path
from vision_rec.errors import VisionRecError
from vision_rec.index import build_index, load_index
rng = np.random.default_rng(11)
rows = rng.standard_normal((300, 16)).astype(np.float32)
folder, outcomes = Path(sys.argv[1]), {"refused": 0, "answered": 0}
for kind in ("hnsw", "ivf"):
    build_index(rows, kind, device="cpu").save(folder)
    for path in sorted(folder.glob(f"{kind}*")):
        good = path.read_bytes()
        for turn in range(60):
            bad = bytearray(good)
            for _ in range(rng.integers(1, 4)):
                at = int(rng.integers(len(bad) if turn % 2 else min(200, len(bad))))
                bad[at] = int(rng.integers(256))
            path.write_bytes(bad)
            try:
                hits = load_index(folder, rows, kind, device="cpu").search(rows[:2], 5)
                assert ((hits.rows >= 0) & (hits.rows < 300)).all()
                outcomes["answered"] += 1
            except VisionRecError:
                outcomes["refused"] += 1
        path.write_bytes(good)
print(outcomes)
"""


@needs_faiss
def test_hostile_files_never_crash_the_process(tmp_path):
    """Behind the checksums: someone who can rewrite the manifest gets a refusal or real rows, no crash."""
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "refused" in done.stdout
