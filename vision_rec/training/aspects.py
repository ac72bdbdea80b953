"""What each block knows of a labelled catalogue, and what it should not know: the encoder's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision_rec.training.precision import Precision, random_pair_spread, same_label_precision
from vision_rec.types import Array, Blocks


@dataclass(frozen=True)
class Measure:
    """One line of the table: block alone, label, P@10."""

    block: str
    label: str
    condition: str
    precision: Precision


def aspect_table(blocks: Blocks, labels: Mapping[str, Sequence[str]], k: int = 10) -> tuple[Measure, ...]:
    """Return same-label precisions of `blocks` (n, dim each) for what they should and should not know.

    `labels` may have article, colour, pattern and usage; a measure whose label is absent is left out.
    """
    lines = (
        ("shape", "article", ""),
        ("colour", "colour", ""),
        ("colour", "colour", "other articles"),
        ("style", "pattern", ""),
        ("style", "pattern", "other articles"),
        ("style", "usage", "other articles"),
        ("colour", "article", "leak"),
        ("shape", "colour", "leak"),
        ("style", "article", "leak"),
    )
    measures = [
        Measure(block, label, condition, _measure(blocks[block], labels, label, condition, k))
        for block, label, condition in lines
        if label in labels and "article" in labels
    ]
    if {"article", "colour"} <= set(labels):
        measures.append(Measure("all", "article and colour", "", _both(blocks, labels, k)))
    return tuple(measures)


def _measure(
    block: Array, labels: Mapping[str, Sequence[str]], label: str, condition: str, k: int
) -> Precision:
    unlike = labels["article"] if condition == "other articles" else None
    return same_label_precision(block, labels[label], k, unlike=unlike)


def _both(blocks: Blocks, labels: Mapping[str, Sequence[str]], k: int) -> Precision:
    """Measure the three visual blocks side by side with equal weights and unit spread each."""
    spread = {name: random_pair_spread(blocks[name]) for name in ("colour", "shape", "style")}
    row = np.concatenate([blocks[name] / np.sqrt(spread[name]) for name in spread], axis=1)
    pairs = zip(labels["article"], labels["colour"], strict=True)
    both = [f"{article} · {colour}" if article and colour else "" for article, colour in pairs]
    return same_label_precision(np.ascontiguousarray(row), both, k)
