"""Exact search in NumPy: the default of small catalogues, the oracle of all others, and narrow filters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vision_rec.errors import InputError
from vision_rec.fusion import products
from vision_rec.index import Hits, Mask, Rows
from vision_rec.types import Array

_BLOCK_BYTES = 64 << 20  # most memory of one block of scores, or of one gathered piece of rows
_GEMM_FROM = 4  # queries; below, one dot product per row is faster than the matrix product
_FEW = 32  # queries; more are worth all cores
_GATHER_SHARE = 8  # copying the allowed rows out pays up to 1/8 of all rows
_ROUNDING = 2e-6  # of |q|·|x|: how far the matrix product may be from the dot product
_TIES = 256  # rows within rounding of the k-th that are looked at once more


class ExactIndex:
    """Every query against every allowed row; ties go to the lower row. Holds `rows` (N, D), no copy."""

    def __init__(self, rows: Array) -> None:
        self._rows = np.ascontiguousarray(rows, dtype=np.float32)
        if self._rows.ndim != 2:
            raise InputError(f"rows have shape {np.shape(rows)}; an index needs (N, D)")
        norms = np.vecdot(self._rows, self._rows)
        self._reach = float(np.sqrt(norms.max(initial=0.0)))

    def __len__(self) -> int:
        return len(self._rows)

    def search(self, queries: Array, k: int, *, allowed: Mask | None = None) -> Hits:
        """Search `queries` (n, D) among the rows where `allowed` (N,) is true (all where None)."""
        queries = checked_queries(self._rows, queries, k)
        allowed = checked_mask(self._rows, allowed)
        count = len(self) if allowed is None else int(np.count_nonzero(allowed))
        hits = no_hits(len(queries), k)
        if not count:
            return hits
        chosen = None
        if allowed is not None and count * _GATHER_SHARE <= len(self):
            chosen, allowed = np.flatnonzero(allowed), None
        width = len(self) if chosen is None else len(chosen)
        step = max(1, _BLOCK_BYTES // (4 * width)) if len(queries) >= _GEMM_FROM else 1
        for start in range(0, len(queries), step):
            block = queries[start : start + step]
            scores = self._scores(block, chosen)
            if allowed is not None:
                scores[:, ~allowed] = -np.inf
            for i, query in enumerate(block):
                slack = self._reach * float(np.linalg.norm(query)) * _ROUNDING if len(block) > 1 else 0.0
                near = _best(scores[i], min(k, count), slack)
                put_hits(hits, start + i, self._rows, query, near if chosen is None else chosen[near])
        return hits

    def save(self, folder: Path) -> None:
        """Write nothing: the rows are the index."""

    def _scores(self, queries: Array, chosen: Rows | None) -> Array:
        """Score `queries` (b, D) against the chosen rows (all where None): (b, rows)."""
        if chosen is None:
            return _products(queries, self._rows)
        scores = np.empty((len(queries), len(chosen)), dtype=np.float32)
        step = max(1, _BLOCK_BYTES // (4 * max(1, self._rows.shape[1])))
        for start in range(0, len(chosen), step):
            piece = self._rows[chosen[start : start + step]]
            scores[:, start : start + step] = _products(queries, piece)
        return scores


def _products(queries: Array, rows: Array) -> Array:
    # One vecdot reads the rows at memory speed; BLAS's matrix × vector here is half as fast.
    if len(queries) == 1:
        return np.asarray(np.vecdot(rows, queries[0])[None])
    if len(queries) > _FEW:
        return np.asarray(queries @ rows.T)
    return np.ascontiguousarray(products(rows, queries).T)


def _best(scores: Array, want: int, slack: float) -> Rows:
    """Return the positions of the `want` largest of `scores` (N,), and those within `slack` of the last."""
    if want >= len(scores):
        return np.arange(len(scores))
    last = np.partition(scores, len(scores) - want)[len(scores) - want]
    above = np.flatnonzero(scores > last + slack)
    # A catalogue may hold thousands of rows with one score (weight on colour alone): lower rows win.
    level = np.flatnonzero((scores >= last - slack) & (scores <= last + slack))[: want + _TIES]
    return np.concatenate([above, level])


def put_hits(hits: Hits, i: int, rows: Array, query: Array, candidates: Rows) -> None:
    """Fill line `i` of `hits` with the best of `candidates`, rescored on the rows one dot product each.

    All indexes end here, so that the same row gets the same score from each of them, bit for bit.
    """
    scores = np.vecdot(rows[candidates], query)
    order = np.lexsort((candidates, -scores))[: hits.rows.shape[1]]
    hits.rows[i, : len(order)] = candidates[order]
    hits.scores[i, : len(order)] = scores[order]


def no_hits(n: int, k: int) -> Hits:
    """Return hits of `n` queries with nothing found yet."""
    return Hits(np.full((n, k), -1, dtype=np.int64), np.full((n, k), -np.inf, dtype=np.float32))


def checked_queries(rows: Array, queries: Array, k: int) -> Array:
    """Return `queries` as contiguous float32 (n, D), or raise InputError."""
    if k < 1:
        raise InputError(f"k is {k}; allowed is 1 or more")
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != rows.shape[1]:
        raise InputError(f"queries have shape {queries.shape}; this index takes (n, {rows.shape[1]})")
    if not np.isfinite(queries).all():
        raise InputError("a query holds NaN or infinity; allowed are finite numbers")
    return queries


def checked_mask(rows: Array, allowed: Mask | None) -> Mask | None:
    """Return `allowed` (N,), or None where it allows every row; raise InputError for other shapes."""
    if allowed is None:
        return None
    if allowed.dtype != np.bool_ or allowed.shape != (len(rows),):
        raise InputError(
            f"allowed is {allowed.dtype} {allowed.shape}; this index takes a mask of bool ({len(rows)},)"
        )
    return None if allowed.all() else allowed
