"""A visitor's journey step by step, and what each visit does to the last list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vision_rec.fusion import explain, scale
from vision_rec.recommend.query import Target
from vision_rec.recommend.state import State
from vision_rec.rerank import Ints
from vision_rec.types import Array, Recommendations

MAX_STEPS = 20


@dataclass(frozen=True, slots=True)
class Influence:
    """One visit: without it the list's mean score falls by `drop`; below 0 it rises. `parts` sum to it."""

    product_id: str
    type: str
    drop: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Influences:
    """A list, its mean score, and what each visit adds to that, oldest first."""

    product_ids: tuple[str, ...]
    score: float
    visits: tuple[Influence, ...]
    version_id: str


@dataclass(frozen=True, slots=True)
class Journey:
    """The list after each of the visits, and the influences on the last one."""

    steps: tuple[Recommendations, ...]
    influences: Influences


def influences_on(state: State, target: Target, rows: Ints) -> Influences:
    """Take each visit of `target` out in turn; see how far the list at `rows` (n,) then falls in score.

    The list, the weights and how sure the query is stay as they are with all visits: what is told is how
    much of this list is due to each of them. They need not add up, since visits that say the same stand in
    for one another.
    """
    visits, rows_of = target.visiting.visits, target.visiting.rows_of
    ids = tuple(state.catalog.ids[int(row)] for row in rows)
    vectors = state.rows[rows]
    full = _means(state, target.scaled, vectors)
    if rows_of is None or not visits or not len(rows):
        return Influences(ids, sum(full.values()), (), state.version_id)
    without = rows_of([[*visits[:i], *visits[i + 1 :]] for i in range(len(visits))])
    scaled = scale(state.layout, _as_sure(state, without, target.row), target.weights)
    told = []
    for visit, query in zip(visits, scaled, strict=True):
        means = _means(state, query, vectors)
        parts = {name: full[name] - means[name] for name in full}
        told.append(Influence(state.catalog.ids[visit.row], visit.type, sum(parts.values()), parts))
    return Influences(ids, sum(full.values()), tuple(told), state.version_id)


def _as_sure(state: State, rows: Array, row: Array) -> Array:
    """Bring the blocks of `rows` (n, D) to the norms of those of `row` (D,); zero blocks stay zero.

    Fewer visits agree more easily, which makes a query surer and every score higher: that is not their say.
    """
    out = np.array(rows, dtype=np.float32)
    for name in state.layout.names:
        part = state.layout.slice(name)
        norms = np.linalg.norm(out[:, part], axis=1, keepdims=True)
        out[:, part] *= np.linalg.norm(row[part]) / np.where(norms > 0, norms, 1.0)
    return out


def _means(state: State, scaled: Array, vectors: Array) -> dict[str, float]:
    """Return the mean part of each aspect in the scores of `vectors` (n, D); 0 for an empty list."""
    if not len(vectors):
        return dict.fromkeys(state.layout.names, 0.0)
    return {name: float(part.mean()) for name, part in explain(state.layout, scaled, vectors).items()}
