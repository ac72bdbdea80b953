"""Where wanted products stand among all products, and which stand first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError
from vision_rec.types import Array

Numbers = npt.NDArray[np.int64]
_AT_ONCE = 1 << 24  # scores compared in one step


@dataclass(frozen=True, slots=True)
class Places:
    """How many products score more (`above`, (m,)) and the same (`level`, (m,)) as each wanted one.

    A wanted product that may not be ranked at all stands behind all others.
    """

    above: Numbers
    level: Numbers

    @classmethod
    def join(cls, parts: list[Places]) -> Places:
        """Put the places of several blocks behind each other."""
        if not parts:
            return cls(np.zeros(0, np.int64), np.zeros(0, np.int64))
        return cls(
            np.concatenate([part.above for part in parts]), np.concatenate([part.level for part in parts])
        )


def place(scores: Array, cases: Numbers, wanted: Numbers) -> Places:
    """Find where product `wanted[j]` stands among the `scores` (n, N) of case `cases[j]`, for (m,) of both.

    Products that score −inf are not ranked. Raises InputError where a score is no number.
    """
    if np.isnan(scores).any():
        raise InputError("a ranker gave scores that are no numbers")
    count = scores.shape[1]
    step = max(1, _AT_ONCE // max(count, 1))
    above, level = np.empty(len(wanted), np.int64), np.empty(len(wanted), np.int64)
    for start in range(0, len(wanted), step):
        part = slice(start, start + step)
        own = scores[cases[part], wanted[part]][:, None]
        rows = scores if _is_all(cases[part], len(scores)) else scores[cases[part]]
        above[part] = np.count_nonzero(rows > own, axis=1)
        level[part] = np.count_nonzero(rows == own, axis=1) - 1
        unranked = np.isneginf(own[:, 0])
        above[part][unranked], level[part][unranked] = count, 0
    return Places(above, level)


def _is_all(cases: Numbers, count: int) -> bool:
    """Tell whether these are all rows in their order, so that no copy of them is needed."""
    return len(cases) == count and bool((cases == np.arange(count)).all())


def first(scores: Array, k: int) -> Numbers:
    """Return the `k` products (n, k) that score most, best first; −1 where fewer are ranked.

    Of products that score the same, the one with the lower number comes first.
    """
    n, count = scores.shape
    k = min(k, count)
    if k == 0:
        return np.zeros((n, 0), np.int64)
    # Which of equal scores a partition takes is chance, so the edge is all that is asked of it.
    edge = np.partition(scores, count - k, axis=1)[:, count - k]
    out = np.empty((n, k), np.int64)
    for row, own, least in zip(out, scores, edge, strict=True):
        better = np.flatnonzero(own > least)
        level = np.flatnonzero(own == least)[: k - len(better)]
        chosen = np.sort(np.concatenate([better, level]))
        row[:] = chosen[np.argsort(-own[chosen], kind="stable")]
    return np.where(np.isneginf(np.take_along_axis(scores, out, axis=1)), -1, out)
