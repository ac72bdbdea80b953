"""Rows as a shop has them, queries over them, and the exact answers: for the tests of indexes."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from vision_rec.fusion import Aspect, AspectLayout, scale, unit
from vision_rec.index.exact import ExactIndex

needs_faiss = pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="faiss is not installed")
LAYOUT = AspectLayout((Aspect("colour", 12), Aspect("shape", 16), Aspect("style", 8), Aspect("text", 24)))
CORNERS = [{name: 1.0} for name in LAYOUT.names] + [{name: 0.25 for name in LAYOUT.names}]
COUNT = 3000


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


def cuda_or_skip() -> None:
    faiss = pytest.importorskip("faiss", reason="faiss is not installed")
    if not hasattr(faiss, "StandardGpuResources"):
        pytest.skip("this faiss is built without GPU support; install vision-rec[gpu]")
    if faiss.get_num_gpus() < 1:
        pytest.skip("no CUDA device is visible")


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
