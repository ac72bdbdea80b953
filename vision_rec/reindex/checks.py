"""What a version must hold before it is published; every check runs, then the first failure is raised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vision_rec.errors import IntegrityError
from vision_rec.fusion import AspectLayout, scale
from vision_rec.index import VectorIndex
from vision_rec.index.exact import ExactIndex
from vision_rec.reindex.encode import unsound
from vision_rec.reindex.report import Check
from vision_rec.types import Array

SAMPLE, DEPTH = 200, 10
APPROXIMATE = ("hnsw", "ivf")
_PAGE = 8_192
_TIE = 1e-4
_SEED = 7


def sample_rows(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return up to 200 row numbers, spread by chance and the same for the same count."""
    chosen = np.random.default_rng(_SEED).choice(count, min(SAMPLE, count), replace=False)
    return np.sort(chosen).astype(np.int64)


def corner_queries(layout: AspectLayout, sample: Array) -> dict[str, Array]:
    """Scale `sample` rows (n, D) with equal weights, and with all weight on each aspect they have."""
    gains = {aspect.name: aspect.gain for aspect in layout.aspects}
    corners = {"equal": scale(layout, sample, gains)}
    for name in layout.names:
        held = np.any(sample[:, layout.slice(name)], axis=1)
        if held.any():
            corners[name] = scale(layout, sample[held], {name: 1.0})
    return corners


def check_lengths(building: Path, rows: Array, catalog_rows: int) -> Check:
    """Compare how many rows, ids and catalogue lines there are."""
    ids = json.loads((building / "ids.json").read_bytes())
    same = len(rows) == len(ids) == len(set(ids)) == catalog_rows
    told = f"{len(rows)} rows, {len(ids)} ids, {len(set(ids))} different, {catalog_rows} in the catalogue"
    return Check("lengths", same, told)


def check_norms(layout: AspectLayout, rows: Array) -> Check:
    """See that every block is zero or of norm 1, which no NaN or infinity is."""
    bad = {name: 0 for name in layout.names}
    for start in range(0, len(rows), _PAGE):
        for name in layout.names:
            bad[name] += int(np.count_nonzero(unsound(rows[start : start + _PAGE, layout.slice(name)])))
    wrong = {name: count for name, count in bad.items() if count}
    return Check("norms", not wrong, f"blocks that are neither 0 nor of norm 1: {wrong or 'none'}")


def check_bad_vectors(bad: int, encoded: int, most: float) -> Check:
    """See that the encoders gave few blocks that had to be emptied: a broken model gives many."""
    told = f"{bad} blocks of {encoded} encoded products were no unit vectors; allowed are {most:.0%}"
    return Check("bad vectors", bad <= most * encoded, told)


def check_self_search(layout: AspectLayout, rows: Array, index: VectorIndex, least: float) -> Check:
    """See that products find themselves: by row, or by a score as high as their own."""
    sample = sample_rows(len(rows))
    sample = sample[np.any(rows[sample], axis=1)]
    if not len(sample):
        return Check("self search", True, "no product has any aspect")
    queries = corner_queries(layout, rows[sample])["equal"]
    hits = index.search(queries, min(DEPTH, len(rows)))
    own = np.einsum("nd,nd->n", queries, rows[sample])
    found = np.any(hits.rows == sample[:, None], axis=1) | (hits.scores[:, -1] >= own - _TIE)
    share = float(np.mean(found))
    return Check("self search", share >= least, f"{share:.1%} of {len(sample)} products find themselves")


def measure_recall(
    layout: AspectLayout, rows: Array, index: VectorIndex, kind: str, *, goal: float
) -> dict[str, float]:
    """Return recall@10 of an approximate index with equal weights and at the corners; exact ones give {}.

    Where recall is below `goal` the index is told to look at more, up to its limit.
    """
    if kind not in APPROXIMATE:
        return {}
    from vision_rec.index.faiss_index import FaissIndex
    from vision_rec.index.recall import recall_at, tune

    exact = ExactIndex(rows)
    corners = corner_queries(layout, rows[sample_rows(len(rows))])
    if isinstance(index, FaissIndex):
        for queries in corners.values():
            tune(index, exact, queries, DEPTH, goal=goal)
    return {name: recall_at(index, exact, queries, DEPTH) for name, queries in corners.items()}


def check_recall(recall: Mapping[str, float], kind: str, least: float) -> Check:
    """See that an approximate index gives enough of the exact answer, whatever the weights."""
    if not recall:
        return Check("recall", True, f"index kind {kind!r} is exact")
    worst = min(recall, key=lambda name: recall[name])
    told = f"recall@10 of {kind!r} is {recall[worst]:.3f} with weights {worst!r}; allowed is ≥ {least}"
    return Check("recall", recall[worst] >= least, told)


def require(checks: list[Check]) -> None:
    """Raise IntegrityError naming the failed checks."""
    failed = [check for check in checks if not check.passed]
    if failed:
        cure = " Choose --index exact or flat." if any(check.name == "recall" for check in failed) else ""
        told = "; ".join(f"{check.name}: {check.detail}" for check in failed)
        raise IntegrityError(f"the new version fails its checks and is not published: {told}.{cure}")
