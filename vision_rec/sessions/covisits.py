"""Behaviour vectors in closed form: what is viewed together in one session lies near each other.

Skip-gram with negative sampling factorises a matrix of shifted pointwise mutual information (Levy and
Goldberg 2014, "Neural Word Embedding as Implicit Matrix Factorization"); here that matrix, positive part only
and with smoothed contexts (Levy, Goldberg and Dagan 2015), is factorised itself, by a truncated SVD.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vision_rec.types import Array

DIM = 48
WINDOW = 10  # views further apart in a session are not together
MOST_VIEWS = 200  # of one session, the last: nobody looks at more in one go, robots do
_SMOOTHING = 0.75  # of how often a product is seen at all: the rare ones are less overrated
_DENSE_UP_TO = 4 * DIM
_LEAST = 1e-6  # of the largest singular value
_TINY = 1e-9

Ints = npt.NDArray[np.int64]


def fit_behaviour(items: Ints, sessions: Ints, count: int, dim: int = DIM) -> Array:
    """Fit vectors (count, d ≤ dim) to views; equal input gives equal vectors.

    `items` (T,) are numbers of products, each session's together and oldest first, `sessions` (T,) the
    numbers of the sessions. A product that was never viewed beside another one gets a zero vector, the others
    one of norm 1. Where no two products were viewed together d is 0.
    """
    counts = covisits(items, sessions, count)
    if not counts.nnz:
        return np.zeros((count, 0), dtype=np.float32)
    vectors = _factors(_mutual_information(counts), dim)
    held = np.asarray(counts.sum(axis=1)).ravel() > 0
    vectors[held] -= vectors[held].mean(axis=0)  # what all have in common tells nothing
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    good = held[:, None] & (norms > _TINY)
    return np.where(good, vectors / np.where(good, norms, 1.0), 0.0).astype(np.float32)


def covisits(items: Ints, sessions: Ints, count: int) -> Any:
    """Count how often two products were viewed within WINDOW views of one session: sparse (count, count)."""
    from scipy import sparse

    fresh = (np.diff(items, prepend=-1) != 0) | (
        np.diff(sessions, prepend=-1) != 0
    )  # seen again at once: once
    items, sessions = items[fresh], sessions[fresh]
    ends = np.flatnonzero(np.diff(sessions, append=-1))
    kept = np.repeat(ends, np.diff(ends, prepend=-1)) - np.arange(len(items)) < MOST_VIEWS
    items, sessions = items[kept], sessions[kept]
    total = sparse.csr_matrix((count, count), dtype=np.float64)
    for lag in range(1, min(WINDOW, len(items) - 1) + 1):
        first, second = items[:-lag], items[lag:]
        near = (sessions[:-lag] == sessions[lag:]) & (first != second)
        pairs = (np.ones(int(near.sum())), (first[near], second[near]))
        total = total + sparse.coo_matrix(pairs, shape=(count, count)).tocsr()
    return (total + total.T).tocsr()


def _mutual_information(counts: Any) -> Any:
    """Return the positive pointwise mutual information of co-visits; few of them count for less."""
    from scipy import sparse

    pairs = counts.tocoo()
    seen = np.asarray(counts.sum(axis=1)).ravel()
    smooth = seen**_SMOOTHING
    expected = seen[pairs.row] * (smooth / smooth.sum())[pairs.col]
    values = np.log(pairs.data / expected) * (pairs.data / (pairs.data + 1.0))
    kept = values > 0
    return sparse.coo_matrix((values[kept], (pairs.row[kept], pairs.col[kept])), shape=counts.shape).tocsr()


def _factors(matrix: Any, dim: int) -> npt.NDArray[np.float64]:
    """Return vectors (n, d) of the strongest singular values, with signs that are fixed.

    Each is the sum of a product's vector and of its vector as a context: so products are near that are viewed
    together, not only those that are viewed together with the same others.
    """
    from scipy.sparse.linalg import svds

    n = matrix.shape[0]
    if n <= _DENSE_UP_TO:
        left, strengths, right = np.linalg.svd(matrix.toarray())
    else:
        left, strengths, right = svds(matrix, k=dim, v0=np.full(n, n**-0.5), which="LM")
    order = np.argsort(-strengths)[:dim]
    order = order[strengths[order] > _LEAST * strengths[order[0]]] if strengths[order[0]] > 0 else order[:1]
    vectors = (left[:, order] + right[order].T) * np.sqrt(strengths[order])
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(len(order))]
    signed: npt.NDArray[np.float64] = vectors * np.where(largest < 0, -1.0, 1.0)
    return signed
