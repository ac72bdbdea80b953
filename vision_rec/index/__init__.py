"""Vector indexes: rows (N, D) in, the k rows of largest inner product out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

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
