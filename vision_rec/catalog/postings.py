"""Postings: which rows have which value of one text field, the form that masks and counts read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

MAX_FACET_VALUES = 100


@dataclass(frozen=True, slots=True)
class Postings:
    """Which rows have which value of one field: entry i says row `rows[i]` has `values[codes[i]]`."""

    rows: Ints
    codes: Ints
    values: tuple[str, ...]  # as first written
    keys: tuple[str, ...]  # case-folded, all different

    @classmethod
    def build(cls, rows: Ints, texts: Any) -> Postings:
        """Encode the Arrow array `texts`, one per entry of `rows`; empty and null texts are left out."""
        coded = pc.dictionary_encode(texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts)
        raw = np.asarray(coded.indices.fill_null(-1), dtype=np.int64)
        written = coded.dictionary.to_pylist()
        first: dict[str, int] = {}
        spelling: list[str] = []
        merged = np.full(len(written) + 1, -1, dtype=np.int64)  # the last entry serves code −1
        for code, text in enumerate(written):
            key = text.strip().casefold()
            if key:
                merged[code] = first.setdefault(key, len(first))
                if len(first) > len(spelling):
                    spelling.append(text.strip())
        codes = merged[raw]
        held = codes >= 0
        return cls(rows[held], codes[held], tuple(spelling), tuple(first))

    def mask(self, chosen: Mask, count: int) -> Mask:
        """Mark the rows (count,) that have one of the `chosen` values."""
        out = np.zeros(count, dtype=bool)
        out[self.rows[chosen[self.codes]]] = True
        return out

    def counts(self, rows: Mask) -> dict[str, int]:
        """Count the values among `rows`, a row once per value, most frequent first."""
        inside = rows[self.rows]
        pairs = np.unique(self.rows[inside] * max(len(self.keys), 1) + self.codes[inside])
        totals = np.bincount(pairs % max(len(self.keys), 1), minlength=len(self.keys))
        order = sorted(np.flatnonzero(totals), key=lambda code: (-totals[code], self.keys[code]))
        return {self.values[code]: int(totals[code]) for code in order[:MAX_FACET_VALUES]}


def flatten(lists: Any, rows: Ints) -> tuple[Ints, Any]:
    """Return the row of each element of the Arrow list array `lists`, and the elements."""
    return rows[np.asarray(pc.list_parent_indices(lists), dtype=np.int64)], pc.list_flatten(lists)
