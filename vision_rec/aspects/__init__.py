"""What each block knows of a labelled catalogue: nearest neighbours, precision, chance, the whole table."""

from __future__ import annotations

from vision_rec.aspects.labels import pattern_of, split_of, splits_of
from vision_rec.aspects.precision import (
    Precision,
    averaged,
    chance_level,
    nearest,
    overlap,
    random_pair_spread,
    same_label_precision,
)
from vision_rec.aspects.table import Measure, aspect_table, fused, like_this_but

__all__ = [
    "Measure",
    "Precision",
    "aspect_table",
    "averaged",
    "chance_level",
    "fused",
    "like_this_but",
    "nearest",
    "overlap",
    "pattern_of",
    "random_pair_spread",
    "same_label_precision",
    "split_of",
    "splits_of",
]
