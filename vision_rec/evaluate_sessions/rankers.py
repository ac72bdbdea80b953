"""Who is compared: popularity, co-visits, and whatever turns viewed rows into a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from vision_rec.errors import InputError
from vision_rec.evaluate_sessions.cases import Cases, Recent
from vision_rec.fusion import AspectLayout, scale
from vision_rec.sessions import EVENT_TYPES, RATING, SessionEncoder, ViewContext, say_of_type
from vision_rec.sessions.returns import returning, returns_of
from vision_rec.sessions.sequences import Sequences
from vision_rec.types import Array

LENGTH = 50  # acts that are looked at, as when recommendations are made
_LITTLE = 1e-6  # what popularity says where nothing else does
_GOOD_RATING = 2.0  # as four stars say; bad ones are no acts


class Ranker(Protocol):
    """Scores all N products for each case; it looks at what was done, never at what came next."""

    @property
    def name(self) -> str:
        """What the table calls it."""
        ...

    def score(self, cases: Cases) -> Array:
        """Return scores (n, N), higher is better; −inf for what must not be recommended."""
        ...


class Popularity:
    """The products of most visitors, the same for everybody."""

    name = "popularity"

    def __init__(self, train: Sequences) -> None:
        self._counts = train.counts().astype(np.float32)

    def score(self, cases: Cases) -> Array:
        """Return how many visitors each product had, (n, N)."""
        return np.repeat(self._counts[None], len(cases), axis=0)


class CoVisits:
    """Products seen by the same visitors as the recent ones: cosines of implicit feedback, no training.

    Two products are as near as the cosine of their columns in the table visitors × products. The acts before
    add up, each weighing `decay` of the one after it. Where nothing is near, the more popular comes first.
    """

    name = "co-visits"

    def __init__(self, train: Sequences, decay: float = 0.8) -> None:
        self.decay = decay
        count = len(train.products)
        ones = np.ones(len(train.items), np.float32)
        table = sparse.csr_matrix((ones, (train.owners, train.items)), shape=(len(train), count))
        table.data[:] = 1.0  # who comes back counts once
        visitors = np.asarray(table.sum(axis=0)).ravel()
        unit = table @ sparse.diags_array(1 / np.sqrt(np.maximum(visitors, 1.0)), dtype=np.float32)
        near = sparse.csr_matrix(unit.T @ unit)
        near.setdiag(0.0)  # that a product is near itself is no news
        near.eliminate_zeros()
        self._near = near
        self._popular = (_LITTLE * visitors / max(visitors.max(initial=1.0), 1.0)).astype(np.float32)

    def score(self, cases: Cases) -> Array:
        """Return scores (n, N)."""
        recent = cases.recent(LENGTH)
        real = recent.products >= 0
        ages = recent.lengths[:, None] - 1 - np.arange(recent.products.shape[1])
        shares = (self.decay ** ages[real]).astype(np.float32)
        rows = np.nonzero(real)[0]
        shape = (len(cases), len(self._popular))
        acts = sparse.csr_matrix((shares, (rows, recent.products[real])), shape=shape)
        out = np.asarray((acts @ self._near).toarray(), dtype=np.float32)
        out += self._popular
        return out


@dataclass(frozen=True)
class RowRanker:
    """Products whose rows are near the row that an encoder makes of the viewed ones.

    `rows` (N, D) are those of all products, zeros where a product has none. `weights` are those of the
    score by aspect, the layout's own where None. The norm of an answer's block says how sure it is.
    """

    name: str
    encoder: SessionEncoder
    layout: AspectLayout
    rows: Array
    weights: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or self.rows.shape[1] != self.layout.dim:
            raise InputError(
                f"rows are {self.rows.shape}, the layout is {self.layout.dim} wide; they must agree"
            )

    def score(self, cases: Cases) -> Array:
        """Return scores (n, N)."""
        recent = cases.recent(LENGTH)
        views = np.where((recent.products >= 0)[..., None], self.rows[recent.products], np.float32(0.0))
        found = self.encode(views, recent)
        scaled = scale(self.layout, found, self.weights or own_weights(self.layout))
        out = np.asarray(scaled @ self.rows.T, dtype=np.float32)
        numbers, products, amounts = returning(returns_of(self.encoder), recent.products, recent.lengths)
        out[numbers, products] += amounts
        return out

    def encode(self, views: Array, recent: Recent) -> Array:
        """Return the rows (n, D) wanted after `views` (n, L, D)."""
        gaps = np.diff(recent.at, axis=1, prepend=np.nan)
        context = ViewContext(recent.types.astype(np.int64), gaps)
        return self.encoder.encode(views, recent.lengths, says_of(recent), context)


def own_weights(layout: AspectLayout) -> dict[str, float]:
    """Return the weight × gain of each aspect, as in a score where the caller gives no weights."""
    return {aspect.name: aspect.default_weight * aspect.gain for aspect in layout.aspects}


def says_of(recent: Recent) -> Array:
    """Return how much each act says by what it was, (n, L)."""
    table = np.asarray(
        [_GOOD_RATING if kind == RATING else say_of_type(kind) for kind in EVENT_TYPES], np.float32
    )
    return np.asarray(table[recent.types], dtype=np.float32)
