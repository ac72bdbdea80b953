"""How much of the exact answer an index gives, and how to make an approximate one give more."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from vision_rec.index import VectorIndex
from vision_rec.types import Array

_TIE = 1e-5


@runtime_checkable
class Tunable(Protocol):
    """An index that can look at more rows for each search."""

    def raise_effort(self) -> bool:
        """Look at twice as much from now on; False where nothing is left to raise."""
        ...


def recall_at(index: VectorIndex, exact: VectorIndex, queries: Array, k: int) -> float:
    """Return the mean share of the k best rows of `queries` (n, D) that `index` gives too.

    A row as good as the k-th best counts as found: which of several equal rows comes is not a matter of
    recall. 1.0 where there is nothing to find.
    """
    best, got = exact.search(queries, k).scores, index.search(queries, k).scores
    wanted = np.isfinite(best).sum(axis=1)
    if not wanted.sum():
        return 1.0
    last = best[np.arange(len(best)), np.maximum(wanted, 1) - 1]
    good = np.minimum((got >= last[:, None] - _TIE).sum(axis=1), wanted)
    return float(np.mean(good[wanted > 0] / wanted[wanted > 0]))


def tune(index: VectorIndex, exact: VectorIndex, queries: Array, k: int, *, goal: float) -> float:
    """Raise the effort of `index` until its recall reaches `goal` or nothing is left; return the recall."""
    recall = recall_at(index, exact, queries, k)
    while recall < goal and isinstance(index, Tunable) and index.raise_effort():
        recall = recall_at(index, exact, queries, k)
    return recall
