"""What a visitor looked at: where it is kept, and how recent views become one query row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError
from vision_rec.types import Array, Event


class EventStore(Protocol):
    """Keeps events; every implementation answers the same."""

    def append(self, events: Sequence[Event]) -> int:
        """Store `events` and return how many were new; a known `event_id` is a duplicate."""
        ...

    def recent(self, user_id: str, limit: int) -> tuple[Event, ...]:
        """Return the last `limit` events of a user, oldest first."""
        ...

    def forget(self, user_id: str) -> int:
        """Erase a user's events and return how many there were."""
        ...


class SessionEncoder(Protocol):
    """Turns viewed rows into one row; on rows, not ids, so that new products are understood at once."""

    def encode(self, views: Array, lengths: npt.NDArray[np.int64]) -> Array:
        """Encode `views` (n, L, D), oldest first, of which `lengths` (n,) are real, into rows (n, D)."""
        ...


class RecencyMean:
    """The mean of the viewed rows, each view back weighted `decay` of the one after it."""

    def __init__(self, decay: float = 0.8) -> None:
        if not 0 < decay <= 1:
            raise InputError(f"decay is {decay!r}; allowed is above 0 and at most 1")
        self.decay = decay

    def encode(self, views: Array, lengths: npt.NDArray[np.int64]) -> Array:
        """Encode `views` (n, L, D), oldest first, of which the first `lengths` (n,) are real, into (n, D).

        A session of length 0 gives a zero row. Blocks are not brought back to norm 1 here.
        """
        ages = lengths[:, None] - 1 - np.arange(views.shape[1])[None, :]
        shares = np.where(ages >= 0, self.decay ** np.maximum(ages, 0), 0.0)
        totals = shares.sum(axis=1, keepdims=True)
        shares = shares / np.where(totals > 0, totals, 1.0)
        return np.asarray(np.einsum("nl,nld->nd", shares, views), dtype=np.float32)
