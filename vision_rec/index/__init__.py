"""Vector indexes: rows (N, D) in, the k rows of largest inner product out."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError, UnavailableError
from vision_rec.types import Array

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Hits:
    """Search results of n queries: `rows` (n, k) int64, −1 where fewer; `scores` (n, k), −inf there."""

    rows: Rows
    scores: Array


class VectorIndex(Protocol):
    """What every index answers; `search` gives min(k, allowed.sum()) real rows in falling order."""

    def __len__(self) -> int: ...

    def search(self, queries: Array, k: int, *, allowed: Mask | None = None) -> Hits:
        """Search `queries` (n, D) among the rows where `allowed` (N,) is true (all where None)."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `load_index` needs into `folder`, beside the rows, which are stored once."""
        ...


KINDS = ("exact", "flat", "hnsw", "ivf")
EXACT_UP_TO = 10_000  # rows; one exact search takes about a millisecond there


def choose_kind(wanted: str, count: int) -> str:
    """Return the index kind for `count` rows: `wanted`, or for `auto` an exact one.

    `auto` is NumPy for small catalogues or without FAISS, else FAISS flat; approximate kinds lose recall
    when one aspect has all the weight, so they come only when asked for.
    Raises InputError for unknown kinds, UnavailableError where FAISS is missing.
    """
    if wanted == "auto":
        return "flat" if count > EXACT_UP_TO and _has_faiss() else "exact"
    if wanted not in KINDS:
        raise InputError(f"index kind is {wanted!r}; allowed are auto, {', '.join(KINDS)}")
    if wanted != "exact" and not _has_faiss():
        raise UnavailableError(
            f'index kind {wanted!r} needs FAISS: `pip install "vision-rec[cpu]"`, or choose exact'
        )
    return wanted


def build_index(rows: Array, kind: str, *, device: str = "auto") -> VectorIndex:
    """Build the index `kind` over `rows` (N, D) float32; `device` is auto, cpu or cuda."""
    if choose_kind(kind, len(rows)) == "exact":
        from vision_rec.index.exact import ExactIndex

        return ExactIndex(rows)
    from vision_rec.index.faiss_index import FaissIndex

    return FaissIndex(rows, choose_kind(kind, len(rows)), device=device)


def load_index(folder: Path, rows: Array, kind: str, *, device: str = "auto") -> VectorIndex:
    """Load the index `kind` that `save` wrote into `folder` over the same `rows` (N, D)."""
    if choose_kind(kind, len(rows)) in ("exact", "flat"):
        return build_index(rows, kind, device=device)
    from vision_rec.index.faiss_index import FaissIndex

    return FaissIndex.load(folder, rows, kind, device=device)


def _has_faiss() -> bool:
    return find_spec("faiss") is not None
