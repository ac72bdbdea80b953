"""What a visitor looked at: where it is kept, and how recent views become one query row."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vision_rec.errors import InputError
from vision_rec.fusion import AspectLayout
from vision_rec.types import Array, Event

VIEW, PURCHASE, RATING, IMPRESSION = "view", "purchase", "rating", "impression"
EVENT_TYPES = (IMPRESSION, VIEW, "click", "add_to_cart", PURCHASE, RATING)
_SAY = {VIEW: 1.0, "click": 1.0, "add_to_cart": 2.0, PURCHASE: 3.0}
_LEAST_AGREED = 0.05  # views that disagree in an aspect still say something of it
_MEH = 2.0  # stars up to which a rating says nothing good


def say_of(event: Event) -> float:
    """Return how much an event says of what somebody likes; a view says 1, a bad rating or less nothing."""
    if event.type == RATING:
        return max(0.0, (event.value or 0.0) - _MEH)
    return _SAY.get(event.type, 0.0)


def say_of_type(kind: str) -> float:
    """Return how much an event of a type says by itself, 0 for types that say nothing."""
    return _SAY.get(kind, 0.0)


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


@dataclass(frozen=True, slots=True)
class ViewContext:
    """What is known of views (n, L) beside the products.

    `types` are numbers into EVENT_TYPES, `gaps` the seconds since the view before, nan where unknown and for
    the first.
    """

    types: npt.NDArray[np.int64]
    gaps: npt.NDArray[np.float64]


class SessionEncoder(Protocol):
    """Turns viewed rows into one row; on rows, not ids, so that new products are understood at once.

    One that has learned whether visitors come back to what they viewed says so in `returns`, too: see
    `vision_rec.sessions.returns`.
    """

    def encode(
        self,
        views: Array,
        lengths: npt.NDArray[np.int64],
        weights: Array | None = None,
        context: ViewContext | None = None,
    ) -> Array:
        """Encode `views` (n, L, D), oldest first, of which `lengths` (n,) are real, into rows (n, D).

        `weights` (n, L) say how much each view tells by what it was: see `say_of`. The norm of each block of
        an answer, 0 to 1, is how sure it is of that aspect; a session of length 0 gives a zero row.
        """
        ...


class RecencyMean:
    """The mean of the viewed rows, each view back weighted `decay` of the one after it.

    By default the last two views outweigh all before. With a `layout`, aspects in which views agree lead:
    each block is as long as they agree in it, compared with the aspect in which they agree most.
    """

    def __init__(self, decay: float = 0.7, layout: AspectLayout | None = None) -> None:
        if not 0 < decay <= 1:
            raise InputError(f"decay is {decay!r}; allowed is above 0 and at most 1")
        self.decay, self.layout = decay, layout

    def encode(
        self,
        views: Array,
        lengths: npt.NDArray[np.int64],
        weights: Array | None = None,
        context: ViewContext | None = None,
    ) -> Array:
        """Encode `views` (n, L, D), oldest first, of which the first `lengths` (n,) are real, into (n, D).

        Each view counts as `weights` (n, L) say, all alike where None; `context` is not looked at. Views that
        agree in an aspect give a block of norm 1, views that do not a shorter one.
        """
        ages = lengths[:, None] - 1 - np.arange(views.shape[1])[None, :]
        shares = np.where(ages >= 0, self.decay ** np.maximum(ages, 0), 0.0)
        if weights is not None:
            shares = shares * weights
        totals = shares.sum(axis=1, keepdims=True)
        shares = shares / np.where(totals > 0, totals, 1.0)
        rows = np.asarray(np.einsum("nl,nld->nd", shares, views), dtype=np.float32)
        return rows if self.layout is None else _agreed(self.layout, rows, views, shares)


def _agreed(layout: AspectLayout, rows: Array, views: Array, shares: npt.NDArray[np.float64]) -> Array:
    """Make each block of mean rows (n, D) of `views` (n, L, D) as long as these agree in it.

    The norm of a mean alone says too much: three views that have nothing in common have one of 0.58. Their
    agreement is the mean cosine of two different ones, 0 then and 1 where all are alike, or there is one.
    """
    parts = [layout.slice(name) for name in layout.names]
    norms = np.stack([np.linalg.norm(rows[:, part], axis=1) for part in parts], axis=1)  # (n, A)
    agreed = np.zeros_like(norms)
    for aspect, part in enumerate(parts):
        own = shares * views[:, :, part].any(axis=2)  # of the views that have the aspect
        held = own.sum(axis=1)
        same = (own**2).sum(axis=1)  # what a view has in common with itself
        pairs = held**2 - same
        cosine = np.where(pairs > 1e-6, (norms[:, aspect] ** 2 - same) / np.maximum(pairs, 1e-6), 1.0)
        agreed[:, aspect] = np.clip(cosine, _LEAST_AGREED, 1.0) * held
    best = agreed.argmax(axis=1)
    at = np.arange(len(rows))
    top = norms[at, best] / np.maximum(agreed[at, best], 1e-12)
    wanted = np.minimum(agreed * top[:, None], 1.0)
    out = rows.copy()
    for aspect, part in enumerate(parts):
        norm = norms[:, aspect]
        factor = np.where(norm > 1e-12, wanted[:, aspect] / np.maximum(norm, 1e-12), 0.0)
        out[:, part] *= factor[:, None].astype(np.float32)
    return out
