"""A known user's older interests beside the present visit: what they add to scores, and their places.

A candidate scores against the row of the visit blended with the interest that suits it best, so its score is
(1 − share) · ⟨visit, x⟩ + share · max ⟨interest, x⟩, and its parts are those of that one row. The same share
of the places belongs to the interests themselves, whatever the visit is about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from vision_rec.fusion import explain, products, scale
from vision_rec.recommend.state import State
from vision_rec.rerank import Ints, Scored
from vision_rec.sessions import say_of
from vision_rec.sessions.profile import decayed, interests
from vision_rec.types import Array, Event

VISIT_GAP = timedelta(minutes=30)  # a longer pause begins a new visit


@dataclass(frozen=True, slots=True)
class Older:
    """What a user did before the present visit, by product, strongest first."""

    rows: Ints  # (m,) of the catalogue
    says: Array  # (m,)
    types: Mapping[int, frozenset[str]]  # by row


@dataclass(frozen=True, slots=True)
class LongTerm:
    """Interests of a user: `rows` (n, D), `scaled` by the query's weights, and their shares (n,).

    `members` are the products (catalogue rows) that each is made of.
    """

    rows: Array
    scaled: Array
    shares: tuple[float, ...]
    members: tuple[Ints, ...]
    share: float  # of the say and of the places, that all interests have together
    older: Older
    factors: Array  # (D,) the weight of each value of a row

    def blends(self, visit: Array) -> Array:
        """Blend the visit's scaled row (D,) with each interest (n, D): a product scores against one."""
        return np.asarray((1.0 - self.share) * visit + self.share * self.scaled, dtype=np.float32)


def telling(state: State, acts: Iterable[Event]) -> list[Event]:
    """Keep the acts that say anything of taste that this version understands."""
    catalog, told = state.catalog, state.told
    return [
        act
        for act in acts
        if act.product_id in catalog and told[catalog.row_of(act.product_id)] and say_of(act) > 0
    ]


def parted(acts: Sequence[Event], now: datetime | None = None) -> tuple[tuple[Event, ...], tuple[Event, ...]]:
    """Part acts, oldest first, into those before the present visit and those of it.

    The visit is what the last act belongs to: acts of no other session, no two that follow each other more
    than VISIT_GAP apart. With `now`, a visit that ended so long before it is one of before, too.
    """
    is_over = now is not None and len(acts) > 0 and now - acts[-1].at > VISIT_GAP
    visit: list[Event] = []
    before: list[Event] = []
    for act in reversed(acts):
        last = visit[-1] if visit else act
        same = act.session_id in (None, acts[-1].session_id) or acts[-1].session_id is None
        if not is_over and same and last.at - act.at <= VISIT_GAP:
            visit.append(act)
        else:
            before.append(act)
    return tuple(before[::-1]), tuple(visit[::-1])


def older_of(state: State, acts: Sequence[Event], half_life_days: float) -> Older | None:
    """Sum up by product what `acts`, which all tell, say, decayed by age; None where there are none."""
    if not acts:
        return None
    newest = max(act.at for act in acts)
    ages = [(newest - act.at).total_seconds() for act in acts]
    row_of = state.catalog.row_of
    says: dict[int, float] = {}
    types: dict[int, set[str]] = {}
    left = decayed([say_of(act) for act in acts], ages, half_life_days).tolist()
    for act, say in zip(acts, left, strict=True):
        row = row_of(act.product_id)
        says[row] = says.get(row, 0.0) + say
        types.setdefault(row, set()).add(act.type)
    rows = sorted(says, key=lambda row: (-says[row], row))
    return Older(
        np.asarray(rows, dtype=np.int64),
        np.asarray([says[row] for row in rows], dtype=np.float32),
        {row: frozenset(kinds) for row, kinds in types.items()},
    )


def long_term(
    state: State, older: Older | None, weights: Mapping[str, float], share: float
) -> LongTerm | None:
    """Group what a user did before into interests; None where there are none or they have no share."""
    if older is None or share <= 0:
        return None
    found = interests(state.layout, state.rows[older.rows], older.says, weights)
    if not found:
        return None
    rows = np.stack([interest.row for interest in found])
    return LongTerm(
        rows=rows,
        scaled=scale(state.layout, rows, weights),
        shares=tuple(interest.share for interest in found),
        members=tuple(older.rows[list(interest.members)] for interest in found),
        share=share,
        older=older,
        factors=scale(state.layout, np.ones((1, state.layout.dim), np.float32), weights)[0],
    )


def rescored(state: State, scaled: Array, known: LongTerm, rows: Ints) -> Scored:
    """Score `rows` (m,) against the visit's scaled row (D,), blended with the interest that suits each."""
    vectors = state.rows[rows]
    suits = products(vectors, known.scaled).argmax(axis=1)
    blends = known.blends(scaled)
    parts = np.zeros((len(rows), len(state.layout.aspects)), dtype=np.float32)
    for number in np.unique(suits):
        own = np.flatnonzero(suits == number)
        found = explain(state.layout, blends[number], vectors[own])
        parts[own] = np.stack([found[name] for name in state.layout.names], axis=1)
    scores = parts.sum(axis=1, dtype=np.float32)
    return Scored(rows, scores, parts, np.asarray(suits, dtype=np.int64), np.zeros(len(rows), np.float32))


def is_reserved(place: int, share: float) -> bool:
    """Say whether a place, from 1, belongs to the interests; of the first n, share · n do, rounded down."""
    return int(place * share + 1e-9) > int((place - 1) * share + 1e-9)


def merged(
    own: Sequence[int],
    older: Sequence[Sequence[int]],
    shares: Sequence[float],
    share: float,
    count: int,
    groups: Mapping[int, int],
    most: int,
    taken: Mapping[int, int],
) -> list[tuple[int, bool]]:
    """Lay rows out on `count` places: `own` in order, but the reserved ones go to `older` (one list each).

    Each row comes once, each variant group (`groups` by row, −1 none) at most `most` times (0: no limit),
    `taken` counted. The interest farthest behind its share is served first. A shorter list is a prefix of a
    longer one. Returns rows, and whether the place was a reserved one.
    """
    queues = [iter(own), *map(iter, older)]
    seen: set[int] = set()
    held = dict(taken)
    served = [0] * len(older)
    out: list[tuple[int, bool]] = []

    def following(queue: int) -> int | None:
        for row in queues[queue]:
            group = groups[row]
            full = most > 0 and group >= 0 and held.get(group, 0) >= most
            if row not in seen and not full:
                seen.add(row)
                held[group] = held.get(group, 0) + 1
                return row
        return None

    while len(out) < count:
        row, reserved = None, False
        if is_reserved(len(out) + 1, share):
            for number in sorted(range(len(older)), key=lambda i: (-shares[i] / (served[i] + 1), i)):
                if (row := following(number + 1)) is not None:
                    served[number] += 1
                    reserved = True
                    break
        if row is None and (row := following(0)) is None:
            break
        out.append((row, reserved))
    return out
