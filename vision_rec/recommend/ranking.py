"""Find and order the rows that answer a target; the order of a page never depends on its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from vision_rec.catalog.postings import Mask
from vision_rec.fusion import products
from vision_rec.recommend import longterm
from vision_rec.recommend.query import Target
from vision_rec.recommend.ruling import Pin, closed_up
from vision_rec.recommend.state import State
from vision_rec.rerank import (
    DIVERSITY_BLOCK,
    Ints,
    Scored,
    diversify,
    free_places,
    in_order,
    limit_groups,
    place_pins,
    rescore,
)
from vision_rec.types import Array

OVERFETCH = 4
_LEAST = 64  # candidates of the first round
_SCAN_BELOW = 512  # so few allowed rows are scored directly
_SCAN_ABOVE = 4096  # more candidates than this come from a whole scan
_SCAN_CHUNK = 8192
_FEW = (
    64  # so few live rows that must not answer are dropped after the search: indexes are fastest unfiltered
)
_MOST_PARTS = 4  # searched one by one
_AIR = 1e-5  # between an index's scores and exact ones


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows (m,) found so far; no allowed row outside them scores above `floor`.

    `parts` (masks, disjoint) have floors of their own, where rules lift some rows and not others: else a
    bound over all would take the best score and the largest lift to meet in one product.
    """

    rows: Ints
    floor: float  # −inf where all allowed rows are among them
    parts: tuple[tuple[Mask, float], ...] = ()
    older: tuple[float, ...] = ()  # of each older interest alone, where there are any


def rank(state: State, target: Target, count: int, first: Candidates | None = None) -> Scored:
    """Return the best `count` rows in order, fewer where the catalogue is exhausted.

    Ordered by score + boost, at most `max_per_group` per group, none below `min_score`, diversified
    within blocks of DIVERSITY_BLOCK; then pins are put to their places between them. Candidates are
    widened until nobody outside could be among them.
    `first` are candidates found by a search of many targets at once.
    """
    if target.ruling is None or not target.ruling.pins:
        return _rank(state, target, count, first)
    pins, places = _pinned(state, target, target.ruling.pins)
    others = _rank(state, target, count, first, state.catalog.groups[pins.rows])
    return pins.then(others).take(place_pins(places, len(others.rows), count))


def _pinned(state: State, target: Target, pins: Sequence[Pin]) -> tuple[Scored, Ints]:
    """Return the pins that the request lets in, the strongest first, and their places."""
    rows = np.array([pin.row for pin in pins], dtype=np.int64)
    scored = _rescored(state, target, rows)
    kept = np.arange(len(rows))
    if target.query.min_score is not None:
        kept = np.flatnonzero(scored.scores >= target.query.min_score)
    kept = kept[limit_groups(state.catalog.groups[rows[kept]], target.query.max_per_group)]
    places = [pin.place for pin in closed_up([pins[int(i)] for i in kept])]
    return scored.take(kept), free_places(places)


def _rank(
    state: State, target: Target, count: int, first: Candidates | None, taken: Ints | None = None
) -> Scored:
    """Rank the allowed rows; products of the variant groups `taken` are counted as if they stood before."""
    if count <= 0 or not target.allowed.any():
        return nothing(state)
    need = -(-count // DIVERSITY_BLOCK) * DIVERSITY_BLOCK if target.query.diversity else count
    wanted = first_round(need)
    found = first if first is not None else _search(state, target, wanted)
    while True:
        scored, keys = _ordered(state, target, found, taken)
        bound = _bound(target, found)
        certain = int(np.count_nonzero(keys > bound + _AIR))
        older = _older(state, target, found)
        short = min([certain - need, *(len(rows) - count for rows in older)])
        if short >= 0 or bound == -np.inf:
            break
        wanted *= OVERFETCH
        found = _search(state, target, wanted)
    best = scored.take(np.arange(certain))
    if target.query.diversity:
        best = best.take(_diverse(state, target, best, keys[:certain], count))
    best = best.take(np.arange(min(count, len(best.rows))))
    return _with_older(state, target, best, older, count, taken) if older else best


def _older(state: State, target: Target, found: Candidates) -> list[Ints]:
    """Order the candidates (m,) by each older interest alone, those that nobody outside can be before."""
    known = target.longterm
    if known is None:
        return []
    rows = found.rows
    if target.query.min_score is not None:
        rows = rows[_rescored(state, target, rows).scores >= target.query.min_score]
    keys = products(state.rows[rows], known.scaled)  # (m, n)
    most = 0.0
    if target.boost is not None:
        keys = keys + target.boost[rows][:, None]
        outside = target.allowed.copy()
        outside[found.rows] = False
        most = float(target.boost[outside].max(initial=-np.inf))
    out = []
    for column, floor in zip(keys.T, found.older, strict=True):
        order = in_order(column, rows)
        bound = floor + most if floor > -np.inf else floor
        out.append(rows[order[column[order] > bound + _AIR]])
    return out


def _with_older(
    state: State, target: Target, best: Scored, older: Sequence[Ints], count: int, taken: Ints | None
) -> Scored:
    """Put products of the older interests to the places that are theirs; each is lifted just so far."""
    known = target.longterm
    assert known is not None
    listed = [best.rows, *older]
    groups = {int(row): int(state.catalog.groups[row]) for rows in listed for row in rows[:count]}
    before = Counter(int(group) for group in (() if taken is None else taken))
    laid = longterm.merged(
        [int(row) for row in best.rows],
        [[int(row) for row in rows[:count]] for rows in older],
        known.shares,
        known.share,
        count,
        groups,
        target.query.max_per_group,
        before,
    )
    out = _rescored(state, target, np.asarray([row for row, _ in laid], dtype=np.int64))
    keys = out.scores if target.boost is None else out.scores + target.boost[out.rows]
    lifts = np.zeros(len(laid), dtype=np.float32)
    last = np.inf
    for place, (_, reserved) in enumerate(laid):
        if reserved and np.isfinite(last):
            lifts[place] = max(0.0, last - float(keys[place]))
        last = min(last, float(keys[place] + lifts[place]))
    return replace(out, lifts=lifts)


def first_round(need: int) -> int:
    """Return how many candidates are looked at for `need` results: powers of 2, so pages share them."""
    return max(_LEAST, 1 << (int(need) * OVERFETCH - 1).bit_length())


def _search(state: State, target: Target, wanted: int) -> Candidates:
    parts = _parts(target)
    if len(parts) > 1:
        found = [_search_part(state, target, wanted, part) for part in parts]
        rows = np.unique(np.concatenate([one.rows for one in found]))
        floors = tuple((part, one.floor) for part, one in zip(parts, found, strict=True))
        older = tuple(max(own) for own in zip(*(one.older for one in found), strict=True))
        return Candidates(rows, max(one.floor for one in found), floors, older)
    total = int(np.count_nonzero(target.allowed))
    if total <= max(wanted, _SCAN_BELOW) or wanted > _SCAN_ABOVE:
        return _all_of(target, target.allowed)
    forbidden = state.live_count - total
    few = forbidden <= _FEW
    k = wanted + forbidden if few else wanted
    hits = state.index.search(target.queries, k, allowed=state.live if few else target.allowed)
    return candidates_of_all(target, hits.rows, hits.scores)


def _parts(target: Target) -> list[Mask]:
    """Split the allowed rows by what rules add to them."""
    lifts = None if target.ruling is None else target.ruling.effects.lifts
    if lifts is None:
        return [target.allowed]
    amounts = np.unique(lifts)
    if len(amounts) > _MOST_PARTS:
        masks = [lifts > 0, lifts <= 0]
    else:
        masks = [lifts == amount for amount in amounts]
    return [part for mask in masks if (part := target.allowed & mask).any()]


def _search_part(state: State, target: Target, wanted: int, part: Mask) -> Candidates:
    if int(np.count_nonzero(part)) <= max(wanted, _SCAN_BELOW) or wanted > _SCAN_ABOVE:
        return _all_of(target, part)
    hits = state.index.search(target.queries, wanted, allowed=part)
    return candidates_of_all(replace(target, allowed=part), hits.rows, hits.scores)


def _all_of(target: Target, mask: Mask) -> Candidates:
    """Take all rows of `mask`, so that nobody is outside."""
    interests = 0 if target.longterm is None else len(target.longterm.shares)
    return Candidates(np.flatnonzero(mask), -np.inf, older=(-np.inf,) * interests)


def search_together(
    state: State, targets: Sequence[Target], counts: Sequence[int]
) -> list[Candidates | None]:
    """Search the first round of many targets at once; None where one needs a search of its own."""
    out: list[Candidates | None] = [None] * len(targets)
    totals = [int(np.count_nonzero(target.allowed)) for target in targets]
    together = [
        i
        for i, total in enumerate(totals)
        if total > _SCAN_BELOW and state.live_count - total <= _FEW and targets[i].longterm is None
    ]
    if len(together) < 2:
        return out
    wanted = first_round(max(counts[i] for i in together)) + _FEW
    queries = np.stack([targets[i].scaled for i in together])
    hits = state.index.search(queries, min(wanted, state.live_count), allowed=state.live)
    for i, rows, scores in zip(together, hits.rows, hits.scores, strict=True):
        out[i] = candidates(targets[i], rows, scores)
    return out


def candidates(target: Target, rows: Ints, scores: Array) -> Candidates:
    """Turn the hits (k,) of an index into candidates, with the rows that words or ratings lift most."""
    real = rows >= 0
    floor = float(scores[real].min(initial=np.inf))
    kept = rows[real & target.allowed[rows]]
    if target.boost is None:
        return Candidates(kept, floor)
    lifted = np.where(target.allowed, target.boost, 0.0)
    top = np.argpartition(-lifted, min(len(rows), len(lifted) - 1))[: len(rows)]
    return Candidates(np.union1d(kept, top[lifted[top] > 0]), floor)


def candidates_of_all(target: Target, rows: Ints, scores: Array) -> Candidates:
    """Unite the hits (q, k) of a target's queries: no other row scores more than what all of them allow."""
    first, known = candidates(target, rows[0], scores[0]), target.longterm
    if known is None:
        return first
    plain = replace(target, boost=None)  # what is lifted most is among the first ones
    found = [first, *(candidates(plain, *hits) for hits in zip(rows[1:], scores[1:], strict=True))]
    count = len(known.shares)
    floor = max(one.floor for one in found[:count])
    older = tuple(one.floor for one in found[count:])
    return Candidates(np.unique(np.concatenate([one.rows for one in found])), floor, older=older)


def _bound(target: Target, found: Candidates) -> float:
    """Return what score + boost of a row outside the candidates can be at most."""
    parts = found.parts or ((target.allowed, found.floor),)
    return max(_bound_of(target, found.rows, part, floor) for part, floor in parts)


def _bound_of(target: Target, found: Ints, part: Mask, floor: float) -> float:
    if target.query.min_score is not None and floor + _AIR < target.query.min_score:
        return -np.inf  # all others are below min_score
    if target.boost is None or floor == -np.inf:
        return floor
    outside = part.copy()
    outside[found] = False
    return floor + float(target.boost[outside].max(initial=-np.inf))


def _ordered(
    state: State, target: Target, found: Candidates, taken: Ints | None = None
) -> tuple[Scored, Array]:
    """Score the candidates exactly, drop what is not wanted, and order by score + boost."""
    scored = _rescored(state, target, found.rows)
    if target.query.min_score is not None:
        scored = scored.take(np.flatnonzero(scored.scores >= target.query.min_score))
    keys = scored.scores if target.boost is None else scored.scores + target.boost[scored.rows]
    order = in_order(keys, scored.rows)
    groups = state.catalog.groups[scored.rows[order]]
    before = np.zeros(0, dtype=np.int64) if taken is None else taken
    kept = limit_groups(np.concatenate([before, groups]), target.query.max_per_group) - len(before)
    order = order[kept[kept >= 0]]
    return scored.take(order), keys[order]


def _rescored(state: State, target: Target, rows: Ints) -> Scored:
    chunks = [rows[start : start + _SCAN_CHUNK] for start in range(0, len(rows), _SCAN_CHUNK)]
    pieces = [rescored(state, target, chunk) for chunk in chunks]
    return reduce(Scored.then, pieces) if pieces else rescored(state, target, rows)


def rescored(state: State, target: Target, rows: Ints) -> Scored:
    """Score `rows` (m,) exactly, against the query's row or, with older interests, the blend that suits."""
    if target.longterm is not None:
        return longterm.rescored(state, target.scaled, target.longterm, rows)
    return rescore(state.layout, target.scaled, rows, state.rows[rows])


def _diverse(state: State, target: Target, best: Scored, keys: Array, count: int) -> Ints:
    """Return positions of `best` for the first `count` places, diversified block by block."""
    roots = np.concatenate(
        [np.full(a.dim, np.sqrt(target.weights[a.name]), np.float32) for a in state.layout.aspects]
    )
    picks: list[Ints] = []
    for start in range(0, min(count, len(best.rows)), DIVERSITY_BLOCK):
        stop = min(start + DIVERSITY_BLOCK, len(best.rows))
        vectors = state.rows[best.rows[start:stop]] * roots
        most = min(stop, count) - start
        picks.append(start + diversify(keys[start:stop], vectors, target.query.diversity, most))
    return np.concatenate(picks) if picks else np.zeros(0, dtype=np.int64)


def nothing(state: State) -> Scored:
    """Return a ranking of no rows."""
    return Scored(
        np.zeros(0, dtype=np.int64),
        np.zeros(0, dtype=np.float32),
        np.zeros((0, len(state.layout.aspects)), dtype=np.float32),
    )
