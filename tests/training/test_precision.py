import numpy as np
import pytest

from vision_rec.training.precision import random_pair_spread, same_label_precision


def _plain(vectors, labels, k, unlike=None, members=10):
    right = {}
    for query, label in enumerate(labels):
        if not label or labels.count(label) <= members:
            continue
        others = [row for row in range(len(labels)) if row != query]
        others = [row for row in others if unlike is None or unlike[row] != unlike[query]]
        others.sort(key=lambda row: -float(vectors[query] @ vectors[row]))
        right.setdefault(label, []).append(sum(labels[row] == label for row in others[:k]) / k)
    every = [value for values in right.values() for value in values]
    return np.mean(every), np.mean([np.mean(values) for values in right.values()]), len(every)


@pytest.mark.parametrize("conditioned", [False, True])
def test_precision_equals_the_plain_loop(conditioned):
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(90, 6)).astype(np.float32)
    labels = [str(name) for name in rng.choice(["a", "b", "", "rare"], 90, p=[0.5, 0.3, 0.15, 0.05])]
    unlike = [str(draw) for draw in rng.integers(0, 3, 90)] if conditioned else None
    found = same_label_precision(vectors, labels, 5, unlike=unlike)
    assert (found.micro, found.macro, found.queries) == pytest.approx(_plain(vectors, labels, 5, unlike))


def test_perfect_clusters_score_one_and_labels_without_members_are_nan():
    vectors = np.repeat(np.eye(2, dtype=np.float32), 12, axis=0)
    labels = ["x"] * 12 + ["y"] * 12
    assert same_label_precision(vectors, labels, 10).micro == 1.0
    assert np.isnan(same_label_precision(vectors, ["only"] * 5 + [""] * 19, 10).micro)


def test_spread_of_random_directions_is_one_over_root_of_the_dimension():
    rows = np.random.default_rng(0).normal(size=(4000, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert random_pair_spread(rows) == pytest.approx(1 / 8, rel=0.03)
