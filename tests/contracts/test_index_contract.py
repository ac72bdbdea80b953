"""The contract of every index, run unchanged against each: the numbers of the exact answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from index_rows import (
    CORNERS,
    COUNT,
    LAYOUT,
    ORACLE,
    ROWS,
    check_form,
    cuda_or_skip,
    needs_faiss,
    queries,
    reference,
)

from vision_rec.errors import InputError
from vision_rec.fusion import scale
from vision_rec.index import build_index, load_index
from vision_rec.index.recall import recall_at, tune

WHOLE = {"exact", "flat"}  # kinds that look at every row
_BUILT: dict[tuple[str, str], object] = {}


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


def test_the_folder_argument_is_a_path(tmp_path: Path, index, kind):
    index.save(tmp_path / "deep" / "index")
    assert (tmp_path / "deep" / "index").exists() == (kind not in WHOLE)
