"""What a visitor looked at: where it is kept, and how recent views become one query row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError
from vision_rec.types import Array, Event

VIEW, PURCHASE, RATING, IMPRESSION = "view", "purchase", "rating", "impression"
EVENT_TYPES = (IMPRESSION, VIEW, "click", "add_to_cart", PURCHASE, RATING)
_SAY = {VIEW: 1.0, "click": 1.0, "add_to_cart": 2.0, PURCHASE: 3.0}
_MEH = 2.0  # stars up to which a rating says nothing good


def say_of(event: Event) -> float:
    """Return how much an event says of what somebody likes; a view says 1, a bad rating or less nothing."""
    if event.type == RATING:
        return max(0.0, (event.value or 0.0) - _MEH)
    return _SAY.get(event.type, 0.0)


class EventStore(Protocol):
    """Keeps events; every implementation answers the same.

    User and session ids are pseudonyms here (see `Pseudonyms`): no store ever sees the ids themselves.
    Events are ordered by `received_at`, then by when they came. What was only shown (an impression) is kept
    and exported, but is nothing that somebody did. Every method raises UnavailableError while the store
    cannot be reached, ResourceError where it is full.
    """

    def append(self, events: Sequence[Event]) -> int:
        """Store `events` durably and return how many were new; a known `event_id` is a duplicate.

        All of one call are there afterwards, or none. An event with a user and a session is a login: what
        the session did without a user becomes the user's, and what it does later without one too.
        """
        ...

    def recent(
        self, user_id: str | None, limit: int, *, session_id: str | None = None, bought: bool = False
    ) -> tuple[Event, ...]:
        """Return the last `limit` things that a user, a session or either did, oldest first.

        With both given, what other users did in that session is left out. `bought` asks for purchases only.
        """
        ...

    def popular(self, acts: int) -> Mapping[str, int]:
        """Count the visitors of each product among the last `acts` things that anybody did."""
        ...

    def export(self, user_id: str | None = None) -> Iterator[Event]:
        """Yield all events of a user, or of everybody, in the order they came."""
        ...

    def forget(self, user_id: str) -> int:
        """Erase a user's events, to the last byte of the store's files, and return how many there were."""
        ...

    def bury(self, mark: str, at: datetime) -> None:
        """Remember that the subject of `mark` was erased at `at`."""
        ...

    def buried(self, marks: Collection[str]) -> Mapping[str, datetime]:
        """Return when the subjects of those of `marks` that are known were erased."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Count the events by type."""
        ...

    def prune(self, before: datetime) -> int:
        """Delete events that were stored before `before`, a bounded number at once; return how many."""
        ...

    def close(self) -> None:
        """Close files and connections; a later call opens them again."""
        ...


class SessionEncoder(Protocol):
    """Turns viewed rows into one row; on rows, not ids, so that new products are understood at once."""

    def encode(self, views: Array, lengths: npt.NDArray[np.int64], weights: Array | None = None) -> Array:
        """Encode `views` (n, L, D), oldest first, of which `lengths` (n,) are real, into rows (n, D).

        `weights` (n, L) say how much each view tells by what it was: see `say_of`.
        """
        ...


class RecencyMean:
    """The mean of the viewed rows, each view back weighted `decay` of the one after it."""

    def __init__(self, decay: float = 0.8) -> None:
        if not 0 < decay <= 1:
            raise InputError(f"decay is {decay!r}; allowed is above 0 and at most 1")
        self.decay = decay

    def encode(self, views: Array, lengths: npt.NDArray[np.int64], weights: Array | None = None) -> Array:
        """Encode `views` (n, L, D), oldest first, of which the first `lengths` (n,) are real, into (n, D).

        Each view counts as `weights` (n, L) say, all alike where None. A session of length 0 gives a zero
        row. Blocks are not brought back to norm 1 here.
        """
        ages = lengths[:, None] - 1 - np.arange(views.shape[1])[None, :]
        shares = np.where(ages >= 0, self.decay ** np.maximum(ages, 0), 0.0)
        if weights is not None:
            shares = shares * weights
        totals = shares.sum(axis=1, keepdims=True)
        shares = shares / np.where(totals > 0, totals, 1.0)
        return np.asarray(np.einsum("nl,nld->nd", shares, views), dtype=np.float32)
