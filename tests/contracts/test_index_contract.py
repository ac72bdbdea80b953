"""The contract of every index, run unchanged against each: the numbers of the exact answer."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vision_rec.errors import InputError, IntegrityError, UnavailableError
from vision_rec.fusion import Aspect, AspectLayout, scale, unit
from vision_rec.index import EXACT_UP_TO, build_index, choose_kind, load_index
from vision_rec.index.exact import ExactIndex
from vision_rec.index.recall import recall_at, tune

needs_faiss = pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="faiss is not installed")
LAYOUT = AspectLayout((Aspect("colour", 12), Aspect("shape", 16), Aspect("style", 8), Aspect("text", 24)))
CORNERS = [{name: 1.0} for name in LAYOUT.names] + [{name: 0.25 for name in LAYOUT.names}]
COUNT = 3000
WHOLE = {"exact", "flat"}  # kinds that look at every row


def drawn_rows(count: int = COUNT, seed: int = 0) -> np.ndarray:
    """Rows of unit blocks, clustered as a shop is: few colours, more shapes, every text its own."""
    rng = np.random.default_rng(seed)
    blocks = []
    for aspect, clusters in zip(LAYOUT.aspects, (12, 30, 20, 400), strict=True):
        centres = rng.standard_normal((clusters, aspect.dim))
        noise = 0.15 * rng.standard_normal((count, aspect.dim))
        blocks.append(unit((centres[rng.integers(clusters, size=count)] + noise).astype(np.float32)))
    rows = np.concatenate(blocks, axis=1)
    rows[rng.random(count) < 0.05, LAYOUT.slice("style")] = 0.0
    return rows.astype(np.float16).astype(np.float32)


ROWS = drawn_rows()
ROWS.flags.writeable = False  # as an index version gives them
ORACLE = ExactIndex(ROWS)
_BUILT: dict[tuple[str, str], object] = {}


def cuda_or_skip() -> None:
    faiss = pytest.importorskip("faiss", reason="faiss is not installed")
    if not hasattr(faiss, "StandardGpuResources"):
        pytest.skip("this faiss is built without GPU support; install vision-rec[gpu]")
    if faiss.get_num_gpus() < 1:
        pytest.skip("no CUDA device is visible")


@pytest.fixture(
    params=[
        "exact",
        pytest.param("flat", marks=needs_faiss),
        pytest.param("hnsw", marks=needs_faiss),
        pytest.param("ivf", marks=needs_faiss),
        pytest.param("flat-cuda", marks=pytest.mark.gpu),
        pytest.param("ivf-cuda", marks=pytest.mark.gpu),
    ]
)
def setting(request):
    kind, _, device = request.param.partition("-")
    if device:
        cuda_or_skip()
    return kind, device or "cpu"


@pytest.fixture
def kind(setting):
    return setting[0]


@pytest.fixture
def index(setting):
    if setting not in _BUILT:
        _BUILT[setting] = build_index(ROWS, setting[0], device=setting[1])
        if setting[0] not in WHOLE:  # as reindex does: no approximate index goes out below this at any corner
            for weights in CORNERS:
                assert tune(_BUILT[setting], ORACLE, queries(weights, 40, 2), 10, goal=0.97) >= 0.97
    return _BUILT[setting]


def queries(weights: dict[str, float], n: int = 24, seed: int = 1) -> np.ndarray:
    return scale(LAYOUT, drawn_rows(n, seed), weights)


def reference(q: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The answer by the plain definition: all scores in float64, a full stable sort."""
    scores = q.astype(np.float64) @ ROWS.T.astype(np.float64)
    if allowed is not None:
        scores[:, ~allowed] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


def check_form(hits, q: np.ndarray, k: int, allowed: np.ndarray | None = None) -> None:
    """What holds for every index: min(k, allowed) real rows, falling, rescored exactly, −1 and −inf after."""
    real = min(k, COUNT if allowed is None else int(allowed.sum()))
    assert hits.rows.shape == hits.scores.shape == (len(q), k)
    assert hits.rows.dtype == np.int64 and hits.scores.dtype == np.float32
    assert (hits.rows[:, real:] == -1).all() and np.isneginf(hits.scores[:, real:]).all()
    rows, scores = hits.rows[:, :real], hits.scores[:, :real]
    assert ((rows >= 0) & (rows < COUNT)).all()
    assert all(len(set(line.tolist())) == real for line in rows)
    assert (np.diff(scores, axis=1) <= 0).all()
    if allowed is not None:
        assert allowed[rows].all()
    np.testing.assert_allclose(scores, np.einsum("nd,nkd->nk", q, ROWS[rows]), atol=1e-5)


@pytest.mark.parametrize("weights", CORNERS, ids=lambda w: "+".join(w))
def test_queries_scaled_per_block(index, kind, weights):
    q = queries(weights)
    hits = index.search(q, 10)
    check_form(hits, q, 10)
    if kind in WHOLE:
        np.testing.assert_allclose(hits.scores, reference(q, 10)[1], atol=1e-5)
    assert recall_at(index, ORACLE, q, 10) >= (1.0 if kind in WHOLE else 0.9)


def test_a_row_finds_itself(index):
    hits = index.search(scale(LAYOUT, ROWS[:50], CORNERS[-1]), 3)
    assert (hits.rows[:, 0] == np.arange(50)).mean() >= 0.98


@pytest.mark.parametrize("share", [0.002, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("n", [1, 9])
def test_filters_give_real_allowed_rows(index, kind, share, n):
    allowed = np.random.default_rng(3).random(COUNT) < share
    q = queries(CORNERS[-1], n)
    hits = index.search(q, 20, allowed=allowed)
    check_form(hits, q, 20, allowed)
    if kind in WHOLE or share <= 0.05:
        np.testing.assert_allclose(hits.scores, _padded(reference(q, 20, allowed)[1]), atol=1e-5)


def _padded(scores: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(scores), scores, -np.inf)


def test_a_narrow_filter_far_from_the_query_is_exact(index):
    """The hard case of graphs: no allowed row resembles the query."""
    q = queries({"colour": 1.0}, 6)
    far = np.argsort(q[0] @ ROWS.T)[:7]
    allowed = np.zeros(COUNT, dtype=bool)
    allowed[far] = True
    hits = index.search(q, 10, allowed=allowed)
    check_form(hits, q, 10, allowed)
    np.testing.assert_allclose(hits.scores[:, :7], reference(q, 7, allowed)[1], atol=1e-5)


def test_a_filtered_search_equals_the_search_over_the_filtered_rows(index, kind):
    allowed = np.arange(COUNT) % 2 == 0
    q = queries(CORNERS[-1], 5)
    got = index.search(q, 8, allowed=allowed)
    alone = build_index(np.ascontiguousarray(ROWS[::2]), kind, device="cpu").search(q, 8)
    if kind in WHOLE:
        np.testing.assert_array_equal(got.rows, alone.rows * 2)
        np.testing.assert_allclose(got.scores, alone.scores, atol=1e-6)
    else:
        assert np.mean(got.scores[:, 0] == alone.scores[:, 0]) >= 0.8


def test_a_batch_equals_one_by_one(index):
    q = queries(CORNERS[-1], 12)
    whole = index.search(q, 7)
    for i in range(12):
        one = index.search(q[i : i + 1], 7)
        np.testing.assert_array_equal(one.rows[0], whole.rows[i])
        np.testing.assert_array_equal(one.scores[0], whole.scores[i])


def test_k_beyond_the_rows_gives_every_row(index):
    q = queries(CORNERS[-1], 2)
    hits = index.search(q, COUNT + 9)
    check_form(hits, q, COUNT + 9)
    assert set(hits.rows[0, :COUNT].tolist()) == set(range(COUNT))


def test_nothing_allowed_and_no_queries(index):
    q = queries(CORNERS[-1], 3)
    check_form(index.search(q, 4, allowed=np.zeros(COUNT, bool)), q, 4, np.zeros(COUNT, bool))
    assert index.search(q[:0], 4).rows.shape == (0, 4)


def test_everything_allowed_is_no_filter(index):
    q = queries(CORNERS[-1], 3)
    np.testing.assert_array_equal(
        index.search(q, 9, allowed=np.ones(COUNT, bool)).rows, index.search(q, 9).rows
    )


def test_a_zero_query_scores_zero_and_still_gives_rows(index):
    q = np.zeros((2, LAYOUT.dim), np.float32)
    hits = index.search(q, 5)
    check_form(hits, q, 5)
    assert (hits.scores == 0).all()


def test_same_scores_as_the_exact_index_bit_for_bit(index):
    q = queries({"shape": 0.7, "text": 0.3}, 6)
    got, exact = index.search(q, 10), ORACLE.search(q, COUNT)
    for line, row_of_exact, scores in zip(got.rows, exact.rows, exact.scores, strict=True):
        at = {int(row): score for row, score in zip(row_of_exact, scores, strict=True)}
        assert [at[int(row)] for row in line] == got.scores[
            list(map(tuple, got.rows)).index(tuple(line))
        ].tolist()


def test_save_and_load_answer_identically(index, setting, tmp_path):
    kind, device = setting
    index.save(tmp_path / "index")
    loaded = load_index(tmp_path / "index", ROWS, kind, device=device)
    q = queries(CORNERS[-1], 9)
    for allowed in (None, np.arange(COUNT) % 3 == 0):
        before, after = index.search(q, 12, allowed=allowed), loaded.search(q, 12, allowed=allowed)
        np.testing.assert_array_equal(before.rows, after.rows)
        np.testing.assert_array_equal(before.scores, after.scores)
    files = list((tmp_path / "index").glob("*")) if (tmp_path / "index").exists() else []
    assert bool(files) == (kind not in WHOLE)
    assert sum(path.stat().st_size for path in files) < (ROWS.nbytes * 2 if kind == "hnsw" else ROWS.nbytes)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_small_catalogues(kind, count):
    small = build_index(ROWS[:count], kind, device="cpu")
    hits = small.search(queries(CORNERS[-1], 2), 5)
    assert len(small) == count
    assert ((hits.rows >= 0).sum(axis=1) == min(5, count)).all()


def test_small_catalogues_are_saved_and_loaded(kind, tmp_path):
    for count in (0, 1, 7):
        folder = tmp_path / str(count)
        build_index(ROWS[:count], kind, device="cpu").save(folder)
        hits = load_index(folder, ROWS[:count], kind, device="cpu").search(queries(CORNERS[-1], 1), 9)
        assert (hits.rows >= 0).sum() == count


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (np.zeros((2, LAYOUT.dim + 1), np.float32), "takes"),
        (np.zeros(LAYOUT.dim, np.float32), "takes"),
        (np.full((1, LAYOUT.dim), np.nan, np.float32), "NaN"),
        (np.full((1, LAYOUT.dim), np.inf, np.float32), "infinity"),
    ],
)
def test_bad_queries_are_refused(index, bad, word):
    with pytest.raises(InputError, match=word):
        index.search(bad, 3)


def test_bad_k_and_masks_are_refused(index):
    q = queries(CORNERS[-1], 1)
    with pytest.raises(InputError, match="k is 0"):
        index.search(q, 0)
    with pytest.raises(InputError, match="mask"):
        index.search(q, 1, allowed=np.ones(COUNT - 1, bool))
    with pytest.raises(InputError, match="mask"):
        index.search(q, 1, allowed=np.ones(COUNT, np.int8))


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


def test_the_folder_argument_is_a_path(tmp_path: Path, index, kind):
    index.save(tmp_path / "deep" / "index")
    assert (tmp_path / "deep" / "index").exists() == (kind not in WHOLE)
