"""Same-label precision: how many of a product's nearest neighbours carry its label; and what chance gives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision_rec.types import Array

Rows = npt.NDArray[np.int64]
_CHUNK = 512  # queries scored at a time


@dataclass(frozen=True)
class Precision:
    """Precision at k, averaged over queries (micro) and over labels (macro)."""

    micro: float
    macro: float
    queries: int


def nearest(
    queries: Array,
    gallery: Array,
    k: int = 10,
    *,
    itself: Rows | None = None,
    apart: tuple[Rows, Rows] | None = None,
) -> Rows:
    """Return the k rows (q, k) of `gallery` (n, d) nearest to `queries` (q, d) by inner product, best first.

    `itself` (q,) names the row of the gallery that is no answer for each query (−1: none). `apart` holds
    codes of the queries (q,) and of the gallery (n,): a row of the query's own code is no answer. Places
    that stay empty hold −1.
    """
    found = np.full((len(queries), k), -1, dtype=np.int64)
    kept = min(k, len(gallery))
    if not kept:
        return found
    for start in range(0, len(queries), _CHUNK):
        part = slice(start, start + _CHUNK)
        scores = queries[part] @ gallery.T
        if itself is not None:
            known = np.flatnonzero(itself[part] >= 0)
            scores[known, itself[part][known]] = -np.inf
        if apart is not None:
            scores[apart[0][part][:, None] == apart[1][None, :]] = -np.inf
        best = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
        values = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        rows = np.take_along_axis(best, order, axis=1)
        empty = np.isneginf(np.take_along_axis(values, order, axis=1))
        found[part, :kept] = np.where(empty, -1, rows)
    return found


def overlap(first: Rows, second: Rows) -> float:
    """Return the mean share of the rows of `first` (q, k) that `second` (q, k) has too, in any order."""
    if first.size == 0:
        return float("nan")
    return float((first[:, :, None] == second[:, None, :]).any(axis=2).mean())


def averaged(right: npt.NDArray[np.floating], names: Sequence[str]) -> Precision:
    """Average the share of right answers (q,) over the queries and over their labels `names`."""
    if not len(right):
        return Precision(float("nan"), float("nan"), 0)
    codes = _codes(names)
    sums, counts = np.bincount(codes, right), np.bincount(codes)
    return Precision(float(right.mean()), float((sums / counts).mean()), len(right))


def same_label_precision(
    vectors: Array,
    labels: Sequence[str],
    k: int = 10,
    *,
    unlike: Sequence[str] | None = None,
    members: int | None = None,
    changed: Array | None = None,
    known_only: bool = False,
) -> Precision:
    """Return P@k of `vectors` (n, d): query = each product, gallery = all others.

    Labels with at most `members` (10) products are no queries, nor are empty ones (they stay in the gallery).
    With `unlike`, the gallery of a query holds only products whose `unlike` label differs from its own; a
    query without any such product is none. `changed` (n, d) are queries in the place of the vectors. With
    `known_only`, products of unknown label are not in the gallery: they can be neither right nor wrong.
    """
    asked = vectors if changed is None else changed
    if known_only and not all(labels):
        known = np.flatnonzero(np.array([bool(label) for label in labels]))
        vectors, asked = vectors[known], asked[known]
        labels, unlike = _at(labels, known), None if unlike is None else _at(unlike, known)
    codes = _codes(labels)
    queries = _queries(labels, unlike, members)
    apart = None
    if unlike is not None:
        other = _codes(unlike)
        apart = (other[queries], other)
    found = nearest(asked[queries], vectors, k, itself=queries, apart=apart)
    right = ((found >= 0) & (codes[found] == codes[queries][:, None])).mean(axis=1)
    return averaged(right, [labels[row] for row in queries])


def chance_level(
    labels: Sequence[str],
    *,
    unlike: Sequence[str] | None = None,
    members: int | None = None,
    known_only: bool = False,
) -> float:
    """Return the micro precision of a random order: how often a random product has the query's label.

    Queries and galleries are those of `same_label_precision`.
    """
    if known_only and not all(labels):
        known = np.flatnonzero(np.array([bool(label) for label in labels]))
        labels, unlike = _at(labels, known), None if unlike is None else _at(unlike, known)
    queries = _queries(labels, unlike, members)
    if not len(queries):
        return float("nan")
    codes = _codes(labels)
    same, others = np.bincount(codes)[codes] - 1, np.full(len(codes), len(codes) - 1)
    if unlike is not None:
        other = _codes(unlike)
        both = _codes([f"{left}\0{right}" for left, right in zip(codes, other, strict=True)])
        same = np.bincount(codes)[codes] - np.bincount(both)[both]
        others = len(codes) - np.bincount(other)[other]
    return float((same[queries] / others[queries]).mean())


def _queries(labels: Sequence[str], unlike: Sequence[str] | None, members: int | None) -> Rows:
    """Return the rows whose label has more than `members` members, and that have a gallery at all."""
    counts, least = Counter(labels), 10 if members is None else members
    alone = len(labels) < 2 or (unlike is not None and len(set(unlike)) < 2)
    rows = [] if alone else [row for row, label in enumerate(labels) if label and counts[label] > least]
    return np.array(rows, dtype=np.int64)


def _at(names: Sequence[str], rows: Rows) -> list[str]:
    return [names[row] for row in rows]


def _codes(names: Sequence[str]) -> Rows:
    """Give each name a number (n,), equal names the same."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)


def random_pair_spread(block: Array, pairs: int = 100_000, seed: int = 0) -> float:
    """Return the standard deviation of the cosines of random pairs of unit rows (n, dim)."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(block), (2, pairs))
    apart = first != second
    return float(np.einsum("nd,nd->n", block[first[apart]], block[second[apart]]).std())
