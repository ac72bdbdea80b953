"""Postings: which rows have which value of one text field, the form that masks and counts read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_FACET_VALUES = 100


@dataclass(frozen=True, slots=True)
class Coded:
    """Texts as numbers: entry i is `words[codes[i]]`, code −1 is null."""

    codes: Ints
    words: Sequence[str]

    def chosen(self, keep: Mask) -> Coded:
        """Return the entries where `keep` is true, with the words that they use."""
        used, codes = np.unique(self.codes[keep], return_inverse=True)
        words = [self.words[code] for code in used if code >= 0]
        return Coded(codes - (len(used) - len(words)), words)


@dataclass(frozen=True, slots=True)
class Postings:
    """Which rows have which value of one field: entry i says row `rows[i]` has `values[codes[i]]`."""

    rows: Ints
    codes: Ints
    values: tuple[str, ...]  # as first written
    keys: tuple[str, ...]  # case-folded, all different

    @classmethod
    def build(cls, rows: Ints, texts: Coded) -> Postings:
        """Gather the entries of `texts`, one per entry of `rows`; empty and null ones are left out."""
        first: dict[str, int] = {}
        spelling: list[str] = []
        merged = np.full(len(texts.words) + 1, -1, dtype=np.int64)  # the last entry serves code −1
        for code, text in enumerate(texts.words):
            key = text.strip().casefold()
            if key:
                merged[code] = first.setdefault(key, len(first))
                if len(first) > len(spelling):
                    spelling.append(text.strip())
        codes = merged[texts.codes]
        held = codes >= 0
        return cls(rows[held], codes[held], tuple(spelling), tuple(first))

    def mask(self, chosen: Mask, count: int) -> Mask:
        """Mark the rows (count,) that have one of the `chosen` values."""
        out = np.zeros(count, dtype=bool)
        out[self.rows[chosen[self.codes]]] = True
        return out

    def counts(self, rows: Mask) -> dict[str, int]:
        """Count the values among `rows`, a row once per value, most frequent first."""
        width = max(len(self.keys), 1)
        inside = rows[self.rows]
        pairs = np.unique(self.rows[inside] * width + self.codes[inside])
        totals = np.bincount(pairs % width, minlength=width)
        order = sorted(np.flatnonzero(totals), key=lambda code: (-totals[code], self.keys[code]))
        return {self.values[code]: int(totals[code]) for code in order[:MAX_FACET_VALUES]}


# Below, Arrow's buffers are read as they lie: Arrow's own ways to NumPy import pandas, which costs half a
# second that `vision-rec similar` would wait for.


def code(texts: Any) -> Coded:
    """Encode an Arrow string array as numbers of its different texts."""
    encoded = pc.dictionary_encode(_whole(texts))
    return Coded(
        np.where(_valid(encoded), _values(encoded.indices, pa.int64(), np.int64), -1),
        encoded.dictionary.to_pylist(),
    )


def numbers(column: Any) -> Floats:
    """Return an Arrow array of numbers, or of texts that are numbers, as float64 with NaN for null."""
    array = pc.cast(_whole(column), pa.float64())
    return np.where(_valid(array), _values(array, pa.float64(), np.float64), np.nan)


def is_valid(column: Any) -> Mask:
    """Mark the entries of an Arrow array that are not null."""
    return _valid(_whole(column))


def flatten(lists: Any, rows: Ints) -> tuple[Ints, Any]:
    """Return the row of each element of the Arrow list array `lists`, and the elements."""
    lists = _whole(lists)
    return rows[_values(pc.list_parent_indices(lists), pa.int64(), np.int64)], pc.list_flatten(lists)


def _whole(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _valid(array: Any) -> Mask:
    return _values(pc.is_valid(array), pa.uint8(), np.uint8).astype(bool)


def _values(array: Any, kind: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return the values of an Arrow array without regard to nulls."""
    if len(array) == 0:
        return np.zeros(0, dtype=dtype)
    array = pc.cast(array, kind)
    return np.frombuffer(array.buffers()[1], dtype=dtype, count=array.offset + len(array))[array.offset :]
