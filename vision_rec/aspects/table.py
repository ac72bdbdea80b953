"""What each block knows of a labelled catalogue, and what it should not know: the encoder's table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision_rec.aspects.precision import (
    Precision,
    averaged,
    chance_level,
    nearest,
    random_pair_spread,
    same_label_precision,
)
from vision_rec.types import Array, Blocks

Labels = Mapping[str, Sequence[str]]  # kind → one name per product, empty where unknown
OTHER = "other articles"
LEAK = "leak"
LINES = (
    ("shape", "article", ""),
    ("colour", "colour", ""),
    ("colour", "colour", OTHER),
    ("style", "pattern", ""),
    ("style", "pattern", OTHER),
    ("style", "usage", OTHER),
    ("style", "material", OTHER),
    ("style", "gender", OTHER),
    ("colour", "article", LEAK),
    ("shape", "colour", LEAK),
    ("style", "article", LEAK),
)
NAMES = ("colour", "shape", "style")


@dataclass(frozen=True)
class Measure:
    """One line of the table: block alone, label, P@k, and what a random order would give."""

    block: str
    label: str
    condition: str
    precision: Precision
    chance: float = math.nan


def aspect_table(
    blocks: Blocks,
    labels: Labels,
    k: int = 10,
    *,
    members: int | None = None,
    gains: Mapping[str, float] | None = None,
) -> tuple[Measure, ...]:
    """Return same-label precisions of `blocks` (n, dim each) for what they should and should not know.

    A query's gallery is all other products whose label is known: a title without a pattern word does not say
    that there is no pattern.
    `labels` may have article, colour, pattern, usage, material and gender; a measure whose block or label is
    absent, or that has no query, is left out. Labels with more than `members` (k) products are queries.
    `gains` weigh the blocks where all count together; by default each counts by its own spread.
    """
    least = k if members is None else members
    out = []
    for block, label, condition in LINES:
        unlike = labels.get("article") if condition == OTHER else None
        if block not in blocks or label not in labels or (condition == OTHER and unlike is None):
            continue
        names = labels[label]
        found = same_label_precision(blocks[block], names, k, unlike=unlike, members=least, known_only=True)
        chance = chance_level(names, unlike=unlike, members=least, known_only=True)
        out.append(Measure(block, label, condition, found, chance))
    if {"article", "colour"} <= set(labels) and set(NAMES) <= set(blocks):
        both = _pairs(labels["article"], labels["colour"])
        row = fused({name: blocks[name] for name in NAMES}, gains)
        found = same_label_precision(row, both, k, members=least, known_only=True)
        chance = chance_level(both, members=least, known_only=True)
        out.append(Measure("all", "article and colour", "", found, chance))
    return tuple(measure for measure in out if measure.precision.queries)


def fused(blocks: Blocks, gains: Mapping[str, float] | None = None) -> Array:
    """Lay blocks (n, dim each) side by side, so that inner products weigh each cosine with its gain.

    Without `gains`, each block counts by the inverse spread of its random-pair cosines.
    """
    if gains is None:
        gains = {name: 1.0 / max(random_pair_spread(block), 1e-9) for name, block in blocks.items()}
    scaled = [block * np.float32(math.sqrt(gains[name])) for name, block in blocks.items()]
    return np.ascontiguousarray(np.concatenate(scaled, axis=1), dtype=np.float32)


def like_this_but(
    blocks: Blocks,
    labels: Labels,
    swatches: Mapping[str, Array],
    *,
    gains: Mapping[str, float] | None = None,
    k: int = 10,
    others: int = 6,
) -> Measure:
    """Measure "like this, but X": the colour block is replaced by a swatch, all other blocks stay.

    Queries are products × their `others` most frequent colours but their own, of those in `swatches`
    (name → block (dim,)), where at least k products of the query's article have that colour. Right is the
    query's article in the asked colour; labels of the macro average are the asked colours.
    """
    spread = {name: 1.0 / max(random_pair_spread(block), 1e-9) for name, block in blocks.items()}
    gain = dict(gains or spread)
    rest = fused({name: block for name, block in blocks.items() if name != "colour"}, gain)
    articles, colours = np.asarray(labels["article"], object), np.asarray(labels["colour"], object)
    counts = Counter(zip(labels["article"], labels["colour"], strict=True))
    asked = _asked(labels, swatches, others)
    weight = np.float32(math.sqrt(gain["colour"]))
    gallery = np.concatenate([rest, blocks["colour"] * weight], axis=1)
    right, names, chances = [], [], []
    for name, swatch in swatches.items():
        rows = [row for row in asked.get(name, ()) if counts[(labels["article"][row], name)] >= k]
        if not rows:
            continue
        queries = np.array(rows, dtype=np.int64)
        tinted = np.broadcast_to(swatch * weight, (len(rows), len(swatch)))
        found = nearest(np.concatenate([rest[queries], tinted], axis=1), gallery, k, itself=queries)
        good = (articles[found] == articles[queries][:, None]) & (colours[found] == name) & (found >= 0)
        right.append(good.mean(axis=1))
        names += [name] * len(rows)
        chances += [counts[(articles[row], name)] / (len(articles) - 1) for row in rows]
    share = np.concatenate(right) if right else np.zeros(0)
    chance = float(np.mean(chances)) if chances else math.nan
    return Measure("all", "article and asked colour", "like this but", averaged(share, names), chance)


def _asked(labels: Labels, swatches: Mapping[str, Array], others: int) -> dict[str, list[int]]:
    """Return, by colour name, the rows of the products that are asked for in it."""
    frequent = [name for name, _ in Counter(labels["colour"]).most_common() if name in swatches]
    out: dict[str, list[int]] = {}
    for row, (article, own) in enumerate(zip(labels["article"], labels["colour"], strict=True)):
        if article and own:
            for name in [name for name in frequent if name != own][:others]:
                out.setdefault(name, []).append(row)
    return out


def _pairs(articles: Sequence[str], colours: Sequence[str]) -> list[str]:
    pairs = zip(articles, colours, strict=True)
    return [f"{article} · {colour}" if article and colour else "" for article, colour in pairs]
