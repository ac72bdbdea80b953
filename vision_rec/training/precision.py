"""Same-label precision: of a product's nearest neighbours, how many carry its label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision_rec.types import Array


@dataclass(frozen=True)
class Precision:
    """Precision at k, averaged over queries (micro) and over labels (macro)."""

    micro: float
    macro: float
    queries: int


def same_label_precision(
    vectors: Array,
    labels: Sequence[str],
    k: int = 10,
    *,
    unlike: Sequence[str] | None = None,
    members: int = 10,
) -> Precision:
    """Return P@k of `vectors` (n, d): query = each product, gallery = all others.

    Labels with at most `members` products are no queries, nor are empty ones (they stay in the gallery).
    With `unlike`, the gallery of a query holds only products whose `unlike` label differs from its own.
    """
    counts = Counter(labels)
    names = np.asarray(labels, dtype=object)
    queries = np.array([row for row, label in enumerate(labels) if label and counts[label] > members])
    if not len(queries):
        return Precision(float("nan"), float("nan"), 0)
    others = None if unlike is None else np.asarray(unlike, dtype=object)
    right = np.concatenate(
        [_right(vectors, names, others, part, k) for part in np.array_split(queries, len(queries) // 512 + 1)]
    )
    by_label = [right[names[queries] == label].mean() for label in sorted(set(names[queries]))]
    return Precision(float(right.mean()), float(np.mean(by_label)), len(queries))


def _right(
    vectors: Array,
    names: npt.NDArray[np.object_],
    unlike: npt.NDArray[np.object_] | None,
    queries: npt.NDArray[np.int64],
    k: int,
) -> npt.NDArray[np.float64]:
    scores = vectors[queries] @ vectors.T
    scores[np.arange(len(queries)), queries] = -np.inf
    if unlike is not None:
        scores[unlike[queries][:, None] == unlike[None, :]] = -np.inf
    nearest = np.argpartition(-scores, k, axis=1)[:, :k]
    hits: npt.NDArray[np.float64] = (names[nearest] == names[queries][:, None]).mean(axis=1)
    return hits


def random_pair_spread(block: Array, pairs: int = 100_000, seed: int = 0) -> float:
    """Return the standard deviation of the cosines of random pairs of unit rows (n, dim)."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(block), (2, pairs))
    apart = first != second
    return float(np.einsum("nd,nd->n", block[first[apart]], block[second[apart]]).std())
