"""What somebody likes in the long run: a few interest vectors of their decayed history, not one mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError
from vision_rec.fusion import AspectLayout, products, scale, unit
from vision_rec.types import Array

MAX_INTERESTS = 3  # each costs two rows of a search
MAX_MEMBERS = 64  # products that are looked at, those that say most
SAME = 0.2  # mean cosine of two groups from which they are one interest
LEAST_SHARE = 0.1  # of the say; a group below is chance, not taste
_SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Interest:
    """One taste: its row (D,), its share of the say, and the places of what it is made of, strongest first.

    Every block of the row is the mean of its members', so its norm says how much they agree there: 1 where
    all are alike, near 0 where they have nothing in common.
    """

    row: Array
    share: float
    members: tuple[int, ...]


def decayed(says: Sequence[float], ages_s: Sequence[float], half_life_days: float) -> Array:
    """Halve what each act says (n,) for every `half_life_days` of its age in seconds (n,)."""
    if not half_life_days > 0:
        raise InputError(f"half_life_days is {half_life_days!r}; allowed is above 0")
    ages = np.maximum(np.asarray(ages_s, dtype=np.float64), 0.0) / _SECONDS_A_DAY
    return np.asarray(np.asarray(says, dtype=np.float64) * 0.5 ** (ages / half_life_days), dtype=np.float32)


def interests(
    layout: AspectLayout, rows: Array, says: Array, weights: Mapping[str, float]
) -> tuple[Interest, ...]:
    """Group products at `rows` (n, D), of which each says `says` (n,), into interests, strongest first.

    `weights` decide what makes products alike, as in a search. Groups are joined, the nearest first, as
    long as their members have a mean cosine of SAME or more: one taste gives one interest, two give two.
    Shares sum to 1. Products of which nothing is known, or that say nothing, are left out.
    """
    telling = np.flatnonzero((says > 0) & rows.any(axis=1))
    if not len(telling):
        return ()
    kept = telling[np.argsort(-says[telling], kind="stable")[:MAX_MEMBERS]]
    roots = {name: float(np.sqrt(weight)) for name, weight in weights.items()}
    near = unit(scale(layout, rows[kept], roots)).astype(np.float64)
    groups = _joined(near, says[kept].astype(np.float64))
    total = float(says[kept].sum())
    strong = sorted((float(says[kept[group]].sum()) / total, -group[0], group) for group in groups)[::-1]
    chosen = [strong[0], *(entry for entry in strong[1:MAX_INTERESTS] if entry[0] >= LEAST_SHARE)]
    whole = sum(share for share, _, _ in chosen)
    return tuple(_interest(rows, says, kept[group], share / whole) for share, _, group in chosen)


def _interest(rows: Array, says: Array, members: npt.NDArray[np.int64], share: float) -> Interest:
    own = says[members] / says[members].sum()
    row = np.einsum("n,nd->d", own, rows[members], dtype=np.float32)
    return Interest(row, share, tuple(map(int, members)))


def _joined(near: npt.NDArray[np.float64], says: npt.NDArray[np.float64]) -> list[list[int]]:
    """Join unit vectors (n, D) by average linkage while the mean cosine is SAME or more; list each group."""
    groups: dict[int, list[int]] = {i: [i] for i in range(len(near))}
    weight = says.copy()
    links = products(near, near)
    np.fill_diagonal(links, -np.inf)
    while len(groups) > 1:
        place = int(links.argmax())  # the first of several: what says more comes first
        first, second = divmod(place, len(near))
        a, b = min(first, second), max(first, second)
        if links[a, b] < SAME:
            break
        joined = (weight[a] * links[a] + weight[b] * links[b]) / (weight[a] + weight[b])
        links[a], links[:, a] = joined, joined
        links[b], links[:, b], links[a, a] = -np.inf, -np.inf, -np.inf
        weight[a] += weight[b]
        groups[a] += groups.pop(b)
    return [sorted(group) for group in groups.values()]
