"""Pictures that are too much alike: near-duplicate products, and placeholders that many products share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vision_rec.fusion import scale
from vision_rec.health.facts import Facts, Ints, sampled_note
from vision_rec.health.model import MAX_LISTED, Finding, Row, Thresholds
from vision_rec.types import Array

CHUNK = 256  # queries searched at once
_NEAREST = 16  # per product; more of one kind are a placeholder
_MOST_PAIRS = 100_000
_SHOWN = 24  # products named for one placeholder
Tell = Callable[[int, int], None]


@dataclass
class Alike:
    """Pairs of rows whose pictures are alike in every block, and rows whose pictures are the same."""

    pairs: dict[tuple[int, int], tuple[float, ...]] = field(default_factory=dict)  # similarity by aspect
    parent: dict[int, int] = field(default_factory=dict)
    looked_at: int = 0
    is_cut: bool = False

    def root(self, row: int) -> int:
        """Return the row that stands for all with the same picture."""
        while (above := self.parent.get(row, row)) != row:
            self.parent[row] = self.parent.get(above, above)
            row = above
        return row

    def join(self, row: int, other: int) -> None:
        """Note that two rows have the same picture."""
        one, two = sorted((self.root(row), self.root(other)))
        if one != two:
            self.parent[two] = one


def find_alike(facts: Facts, limits: Thresholds, tell: Tell) -> Alike:
    """Compare each pictured product (of a large catalogue a sample) with its nearest by pictures alone.

    Pictures that are the same bit for bit are found in the whole catalogue.
    """
    found = Alike()
    first: dict[int, int] = {}
    for row in map(int, facts.pictured):
        key = hash(facts.picture_bytes(row))
        found.join(first.setdefault(key, row), row)
    asked = facts.sample(facts.pictured, limits.queries, limits.seed)
    for start in range(0, len(asked), CHUNK):
        _compare(facts, limits, asked[start : start + CHUNK], found)
        tell(min(start + CHUNK, len(asked)), len(asked))
    found.looked_at = len(asked)
    return found


def _compare(facts: Facts, limits: Thresholds, rows: Ints, found: Alike) -> None:
    state, names = facts.state, facts.pictured_by
    scaled = scale(state.layout, state.rows[rows], {name: 1.0 / len(names) for name in names})
    k = min(_NEAREST + 1, len(facts.live))
    hits = state.index.search(scaled, k, allowed=state.live).rows
    others = np.maximum(hits, 0)
    sides = [
        np.einsum("nkd,nd->nk", _shaped(facts.block(name, others.ravel()), others), facts.block(name, rows))
        for name in names
    ]
    least = np.where((hits >= 0) & (hits != rows[:, None]), np.minimum.reduce(sides), -1.0)
    for at, place in np.argwhere(least >= limits.near_duplicate):
        row, other = int(rows[at]), int(hits[at, place])
        if least[at, place] >= limits.same_picture:
            found.join(row, other)
        if facts.families[row] == facts.families[other]:
            continue
        if len(found.pairs) >= _MOST_PAIRS:
            found.is_cut = True
            continue
        pair = (min(row, other), max(row, other))
        found.pairs[pair] = tuple(float(side[at, place]) for side in sides)


def _shaped(blocks: Array, like: Ints) -> Array:
    return blocks.reshape(*like.shape, -1)


def placeholders(facts: Facts, limits: Thresholds, found: Alike) -> tuple[Finding, set[int]]:
    """Return the pictures that products of many titles share, and the rows that have them."""
    sharing: dict[int, list[int]] = defaultdict(list)
    for row in map(int, facts.pictured):
        sharing[found.root(row)].append(row)
    out, rows = [], set()
    for members in sharing.values():
        if len(members) < limits.placeholder_products:
            continue
        different = min(len({int(codes[row]) for row in members}) for codes in (facts.titles, facts.families))
        if different < limits.placeholder_products:
            continue
        rows.update(members)
        named = tuple(facts.id(row) for row in members[1 : _SHOWN + 1])
        said = f"one picture for {len(members)} products"
        out.append(Row(facts.id(members[0]), named, float(len(members)), said))
    out.sort(key=lambda entry: -entry.value)
    count = len(facts.pictured)
    return Finding("placeholder_pictures", len(out), tuple(out[:MAX_LISTED]), count, count), rows


def near_duplicates(facts: Facts, found: Alike, shared: set[int]) -> Finding:
    """Return the pairs that are no variants of each other and do not share a placeholder."""
    pairs = [
        (min(sides), pair, sides)
        for pair, sides in found.pairs.items()
        if not (pair[0] in shared and pair[1] in shared)
    ]
    pairs.sort(key=lambda entry: (-entry[0], entry[1]))
    rows = tuple(
        Row(facts.id(pair[0]), (facts.id(pair[1]),), round(least, 4), _said(facts, sides))
        for least, pair, sides in pairs[:MAX_LISTED]
    )
    note = sampled_note(found.looked_at, len(facts.pictured))
    if found.is_cut:
        note = f"{note}; " if note else ""
        note += f"there are more than {_MOST_PAIRS:,} pairs"
    return Finding("near_duplicates", len(pairs), rows, found.looked_at, len(facts.pictured), note)


def _said(facts: Facts, sides: tuple[float, ...]) -> str:
    return ", ".join(f"{name} {side:.3f}" for name, side in zip(facts.pictured_by, sides, strict=True))
