"""What the checks need of a version beside its vectors: titles, families, categories, colour labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vision_rec.recommend.state import State
from vision_rec.types import Array

PICTURE_ASPECTS = ("colour", "shape", "style")  # what the encoder of pictures fills
_COLOUR_FIELDS = ("color", "colour")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Facts:
    """Columns of one version by row (N,), as numbers; −1 where a product has none.

    `families` are variant groups; a product without a group is a family of its own.
    """

    state: State
    titles: Ints
    families: Ints
    categories: Ints
    category_names: tuple[str, ...]
    colours: Ints
    colour_names: tuple[str, ...]

    @classmethod
    def read(cls, state: State) -> Facts:
        """Read the catalogue once, in constant memory but for the numbers."""
        count = len(state)
        titles, categories, colours = (np.full(count, -1, np.int64) for _ in range(3))
        title_codes: dict[int, int] = {}
        category_codes: dict[str, int] = {}
        colour_codes: dict[str, int] = {}
        for row, record in enumerate(state.catalog.records()):
            words = " ".join((record["title"] or "").casefold().split())
            titles[row] = title_codes.setdefault(hash(words), len(title_codes))
            if record["category"]:
                name = record["category"][-1]
                categories[row] = category_codes.setdefault(name, len(category_codes))
            label = _colour_label(record["attributes"])
            if label:
                colours[row] = colour_codes.setdefault(label, len(colour_codes))
        groups = state.catalog.groups
        alone = groups.max(initial=-1) + 1 + np.arange(count)
        families = np.where(groups >= 0, groups, alone)
        return cls(state, titles, families, categories, tuple(category_codes), colours, tuple(colour_codes))

    @cached_property
    def live(self) -> Ints:
        """Rows that are not retired."""
        return self.state.catalog.live_rows

    @cached_property
    def pictured_by(self) -> tuple[str, ...]:
        """The aspects of pictures that this version has."""
        return tuple(name for name in PICTURE_ASPECTS if name in self.state.layout.names)

    @cached_property
    def pictured(self) -> Ints:
        """Live rows that have every block of pictures."""
        if not self.pictured_by:
            return self.live[:0]
        return self.live[np.logical_and.reduce([self.has(name, self.live) for name in self.pictured_by])]

    def block(self, name: str, rows: Ints) -> Array:
        """Return the blocks (n, dim) of `rows`."""
        return self.state.rows[rows, self.state.layout.slice(name)]

    def has(self, name: str, rows: Ints, chunk: int = 65_536) -> npt.NDArray[np.bool_]:
        """Mark those of `rows` whose block of an aspect is not all zeros."""
        parts = [
            self.block(name, rows[start : start + chunk]).any(axis=1) for start in range(0, len(rows), chunk)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)

    def picture_bytes(self, row: int) -> bytes:
        """Return the blocks of a row's pictures as they are stored, to compare them bit for bit."""
        return b"".join(self.block(name, np.asarray([row])).tobytes() for name in self.pictured_by)

    def without(self, rows: Ints, left_out: set[int]) -> Ints:
        """Return `rows` but for those left out."""
        return rows[~np.isin(rows, np.fromiter(left_out, np.int64, len(left_out)))] if left_out else rows

    def sample(self, rows: Ints, most: int, seed: int) -> Ints:
        """Return `rows`, or a seeded sample of `most` of them, in order."""
        if len(rows) <= most:
            return rows
        return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))

    def id(self, row: int) -> str:
        """Return the product id of a row."""
        return self.state.catalog.ids[row]


def sampled_note(looked_at: int, of: int) -> str:
    """Say that not all products were looked at, where that is so."""
    return "" if looked_at >= of else f"a sample of {looked_at:,} of {of:,} products was looked at"


def _colour_label(attributes: dict[str, list[str]] | None) -> str:
    for name, values in (attributes or {}).items():
        if name.casefold() in _COLOUR_FIELDS:
            return " / ".join(value for value in values or () if value)
    return ""
