"""Reranking: every function against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vision_rec.fusion import Aspect, AspectLayout, scale, unit_blocks
from vision_rec.rerank import diversify, in_order, limit_groups, rating_lift, rescore

LAYOUT = AspectLayout((Aspect("a", 3), Aspect("b", 5)))


def rows(count, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([unit_blocks(LAYOUT, row) for row in rng.normal(size=(count, LAYOUT.dim))])


def test_parts_are_weighted_cosines_and_sum_to_the_score():
    vectors, weights = rows(20), {"a": 0.3, "b": 0.7}
    query = rows(1, seed=9)[0]
    scored = rescore(LAYOUT, scale(LAYOUT, query[None], weights)[0], np.arange(20), vectors)
    for i in range(20):
        for position, name in enumerate(LAYOUT.names):
            part = LAYOUT.slice(name)
            want = weights[name] * sum(
                float(x) * float(y) for x, y in zip(query[part], vectors[i][part], strict=True)
            )
            assert scored.parts[i, position] == pytest.approx(want, abs=1e-6)
    np.testing.assert_allclose(scored.parts.sum(axis=1), scored.scores, atol=1e-6)
    assert scored.scores.dtype == scored.parts.dtype == np.float32


def test_no_rows_are_no_trouble():
    empty = np.zeros(0, dtype=np.int64)
    scored = rescore(LAYOUT, np.ones(8, np.float32), empty, np.zeros((0, 8), np.float32))
    assert scored.parts.shape == (0, 2)
    assert len(limit_groups(empty, 1)) == len(in_order(scored.scores, empty)) == 0
    assert len(diversify(scored.scores, np.zeros((0, 8), np.float32), 0.5, 3)) == 0


def test_equal_scores_are_ordered_by_row():
    order = in_order(np.array([0.5, 0.9, 0.5, 0.9], np.float32), np.array([7, 8, 2, 3]))
    assert order.tolist() == [3, 1, 2, 0]


@given(st.lists(st.integers(-1, 4), max_size=30), st.integers(0, 3))
@settings(deadline=None)
def test_groups_keep_their_first(groups, most):
    seen, want = {}, []
    for position, group in enumerate(groups):
        seen[group] = seen.get(group, 0) + 1
        if most == 0 or group == -1 or seen[group] <= most:
            want.append(position)
    assert limit_groups(np.array(groups, dtype=np.int64), most).tolist() == want


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]))
@settings(deadline=None, max_examples=40)
def test_diversity_is_maximal_marginal_relevance(seed, diversity):
    rng = np.random.default_rng(seed)
    vectors = rows(12, seed) * np.sqrt(0.5).astype(np.float32)
    relevance = rng.random(12).astype(np.float32)
    taken = [int(np.argmax(relevance))]
    while len(taken) < 12:
        gains = {
            i: (1 - diversity) * relevance[i] - diversity * max(float(vectors[i] @ vectors[j]) for j in taken)
            for i in range(12)
            if i not in taken
        }
        taken.append(max(gains, key=lambda i: gains[i]))
    got = diversify(relevance, vectors, diversity, 12).tolist()
    assert sorted(got) == list(range(12))
    assert got == taken
    assert diversify(relevance, vectors, diversity, 5).tolist() == got[:5]


def test_without_diversity_the_order_stays():
    relevance = np.array([0.1, 0.9, 0.5], np.float32)
    assert diversify(relevance, np.eye(3, 8, dtype=np.float32), 0.0, 3).tolist() == [1, 2, 0]


def test_rating_lifts_need_stars_and_votes():
    nan = np.nan
    lifts = rating_lift(np.array([5.0, 5.0, 3.0, 1.0, nan, 4.0]), np.array([1000, 1, 50, 50, 0, 20]))
    assert lifts[0] == pytest.approx(0.995, abs=1e-3)
    assert lifts[1] == pytest.approx(1 / 6, abs=1e-6)  # (5 + 15) / 6 is 3.33 stars
    assert lifts[2:5].tolist() == [0.0, 0.0, 0.0]
    assert lifts[5] == pytest.approx(0.4, abs=1e-6)  # (80 + 15) / 25 is 3.8 stars
