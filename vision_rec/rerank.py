"""Pure functions on scored rows: exact scores, order, variant groups, diversity, places of rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_rec.fusion import AspectLayout, explain
from vision_rec.types import Array

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.int32]
DIVERSITY_BLOCK = 100


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows (n,) with their exact scores (n,) and parts (n, A), which sum to the scores.

    Where a user's older interests count: which of them suits each row (n,), and what lifts it to a place
    that is theirs (n,), 0 elsewhere.
    """

    rows: Ints
    scores: Array
    parts: Array
    interests: Ints | None = None
    lifts: Array | None = None

    def take(self, positions: Ints) -> Scored:
        """Return the entries at `positions`, in that order."""
        return Scored(
            self.rows[positions],
            self.scores[positions],
            self.parts[positions],
            None if self.interests is None else self.interests[positions],
            None if self.lifts is None else self.lifts[positions],
        )

    def then(self, other: Scored) -> Scored:
        """Return these entries, then those of `other`, which is of the same query."""
        return Scored(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.parts, other.parts]),
            _then(self.interests, other.interests),
            _then(self.lifts, other.lifts),
        )


def _then(first: Any, second: Any) -> Any:
    """Put two columns one after the other, None where either is missing."""
    return None if first is None or second is None else np.concatenate([first, second])


def rescore(layout: AspectLayout, scaled_query: Array, rows: Ints, vectors: Array) -> Scored:
    """Score `rows` (n,), whose stored vectors are (n, D), against a scaled query (D,) in float32."""
    parts = explain(layout, scaled_query, vectors)
    stacked = np.stack([parts[name] for name in layout.names], axis=1).astype(np.float32)
    return Scored(rows, stacked.sum(axis=1, dtype=np.float32), stacked)


def in_order(scores: Array, rows: Ints) -> Ints:
    """Return positions (n,) by falling score; equal scores by row, so that pages never overlap."""
    return np.lexsort((rows, -scores)).astype(np.int64)


def limit_groups(groups: Ints, most: int) -> Ints:
    """Return the positions that stay when each group (n,) keeps its first `most`.

    Group −1 is no group and always stays; `most` 0 means no limit.
    """
    positions = np.arange(len(groups), dtype=np.int64)
    if most == 0 or len(groups) == 0:
        return positions
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    rank = np.arange(len(groups)) - np.repeat(starts, np.diff(np.r_[starts, len(groups)]))
    keep = np.zeros(len(groups), dtype=bool)
    keep[order] = (rank < most) | (ordered < 0)
    return positions[keep]


def diversify(relevance: Array, vectors: Array, diversity: float, count: int) -> Ints:
    """Pick `count` of n positions by maximal marginal relevance.

    Each step takes the position with the largest (1 − diversity) · relevance (n,) − diversity · its
    largest similarity to those taken, where similarity is the inner product of `vectors` (n, D), whose
    squared norms are at most 1. A shorter pick is a prefix of a longer one.
    """
    count = min(count, len(relevance))
    closest = np.full(len(relevance), -np.inf, dtype=np.float32)
    free = np.ones(len(relevance), dtype=bool)
    taken = np.empty(count, dtype=np.int64)
    for step in range(count):
        penalty = diversity * closest if step else 0.0
        gain = np.where(free, (1 - diversity) * relevance - penalty, -np.inf)
        # The first pick is the most relevant one, also where diversity 1 leaves relevance no say.
        best = int(np.argmax(gain if step else np.where(free, relevance, -np.inf)))
        taken[step], free[best] = best, False
        np.maximum(closest, vectors @ vectors[best], out=closest)
    return taken


def free_places(wanted: Sequence[int]) -> Ints:
    """Give each of n pins, the strongest first, the first free place from the one it wants (from 1) on."""
    following: dict[int, int] = {}  # a taken place → where to look next
    out = np.empty(len(wanted), dtype=np.int64)
    for pin, place in enumerate(wanted):
        passed = []
        while place in following:
            passed.append(place)
            place = following[place]
        out[pin] = place
        for seen in (*passed, place):
            following[seen] = place + 1
    return out


def place_pins(places: Ints, others: int, count: int) -> Ints:
    """Return the order of the first `count` of a list that puts pins to their places.

    Entry i < n is the pin that has `places[i]`, n + j is the j-th of the `others`. Where those run out,
    the pins left close the gaps. A shorter list is the beginning of a longer one.
    """
    pins = np.argsort(places, kind="stable")
    out: list[int] = []
    pin = other = 0
    while len(out) < count and (pin < len(pins) or other < others):
        due = pin < len(pins) and places[pins[pin]] <= len(out) + 1
        if due or other == others:
            out.append(int(pins[pin]))
            pin += 1
        else:
            out.append(len(pins) + other)
            other += 1
    return np.array(out, dtype=np.int64)


def first_of(masks: Sequence[npt.NDArray[np.bool_]], count: int) -> Numbers:
    """Return for each of `count` rows which of `masks` has it first, −1 where none has."""
    out = np.full(count, -1, dtype=np.int32)
    for number in reversed(range(len(masks))):
        out[masks[number]] = number
    return out


def rating_lift(ratings: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> Array:
    """Return 0–1 (N,) for mean `ratings` 1–5: 0 up to three stars, near 1 for many five-star ratings.

    Five imagined ratings of three stars keep one lucky review from weighing as much as a hundred.
    """
    known = np.nan_to_num(ratings, nan=3.0)
    votes = np.where(np.isnan(ratings), 0.0, np.maximum(counts, 1.0))
    steady = (known * votes + 3.0 * 5) / (votes + 5)
    return np.asarray(np.clip((steady - 3.0) / 2.0, 0.0, 1.0), dtype=np.float32)
