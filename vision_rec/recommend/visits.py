"""What a visitor did with products of this version: what it says of taste, and what it rules out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision_rec.catalog.postings import Mask
from vision_rec.fusion import scale, unit_blocks
from vision_rec.recommend.state import State
from vision_rec.rerank import Ints
from vision_rec.sessions import PURCHASE, RATING, VIEW, SessionEncoder, say_of
from vision_rec.sessions.history import Past
from vision_rec.types import Array, Query

MAX_RECENT = 50  # views before these say nothing about what is wanted now
DAMPED = 0.1  # what a product just viewed loses beside another source than the views
MAX_ABLATED = 8  # products that may be named as the reason
_DID = {"add_to_cart": "put {} in the cart", PURCHASE: "bought {}", RATING: "rated {}"}
_LEAST_DROP = 1e-3  # less is no difference
_TITLE = 60  # characters of a title in a reason


@dataclass(frozen=True, slots=True)
class Visit:
    """Something done with the product at `row`; `say` is how much it tells."""

    row: int
    type: str
    say: float = 1.0


@dataclass(frozen=True)
class Visiting:
    """The visits of a query, and what the query would be without some of them."""

    visits: tuple[Visit, ...] = ()
    row_of: Callable[[Sequence[Visit]], Array] | None = None  # the query's row (D,) from other visits
    visitors: Mapping[int, int] | None = None  # by row, where popularity is all there is to go by
    is_down: bool = False


def visits_of(state: State, query: Query, past: Past) -> tuple[Visit, ...]:
    """Return what counts, oldest first: what was stored, then `recent`, which is newer.

    Products that this version does not know say nothing, nor do stored ones of which it knows no aspect.
    """
    catalog, named = state.catalog, set(query.recent)
    stored = [
        Visit(catalog.row_of(event.product_id), event.type, say)
        for event in past.acts
        if event.product_id in catalog and event.product_id not in named and (say := say_of(event)) > 0
    ]
    given = [Visit(catalog.row_of(ident), VIEW) for ident in query.recent if ident in catalog]
    telling = (visit for visit in stored if state.rows[visit.row].any())
    return (*telling, *given)[-MAX_RECENT:]


def session_row(state: State, visits: Sequence[Visit], encoder: SessionEncoder) -> Array | None:
    """Turn visits into one row (D,) of unit blocks, None where there are none."""
    if not visits:
        return None
    views = state.rows[[visit.row for visit in visits]]
    lengths = np.asarray([len(views)], dtype=np.int64)
    says = np.asarray([[visit.say for visit in visits]], dtype=np.float32)
    return unit_blocks(state.layout, encoder.encode(views[None], lengths, says)[0])


def spared(state: State, past: Past, *, viewed_too: bool) -> Mask:
    """Mark rows (N,) not to be shown: bought, in the cart, rated; viewed too where asked."""
    done = {e.product_id for e in past.acts if viewed_too or e.type in ("add_to_cart", RATING)}
    return _with_variants(state, done | past.bought)


def damping(state: State, past: Past) -> Array:
    """Return what viewed products lose (N,)."""
    viewed = _with_variants(state, {event.product_id for event in past.acts})
    return np.where(viewed, np.float32(-DAMPED), np.float32(0.0))


def _with_variants(state: State, idents: Collection[str]) -> Mask:
    """Mark the rows (N,) of products and of their variants: another size of it is no news."""
    rows = np.array([state.catalog.row_of(ident) for ident in idents if ident in state.catalog], np.int64)
    out = np.zeros(len(state), dtype=bool)
    out[rows] = True
    groups = state.catalog.groups[rows]
    return out | np.isin(state.catalog.groups, groups[groups >= 0])


def because(
    state: State, visiting: Visiting, row: Array, weights: Mapping[str, float], rows: Ints
) -> list[str | None]:
    """Name for each of `rows` (n,) the visit without which it would score least, None where none helps.

    `row` (D,) is the query's with all visits. The products that tell most are tried, with all their visits.
    Where visits say the same, none is missed; then it is the one that would score most alone.
    """
    if visiting.row_of is None or not visiting.visits or not len(rows):
        return [None] * len(rows)
    tried, visits = _telling(visiting.visits), visiting.visits
    vectors = state.rows[rows].T

    def scores(queries: Sequence[Array]) -> Array:
        return np.asarray(scale(state.layout, np.stack(queries), weights) @ vectors, dtype=np.float32)

    without = [visiting.row_of([visit for visit in visits if visit.row != gone]) for gone in tried]
    says = scores([row]) - scores(without)  # (m, n)
    if (silent := says.max(axis=0) < _LEAST_DROP).any():
        alone = [visiting.row_of([visit for visit in visits if visit.row == kept]) for kept in tried]
        says = np.where(silent, scores(alone), says)
    best = says.argmax(axis=0)
    helps = says[best, np.arange(len(rows))] > 0
    return [_because(state, visits, tried[b]) if h else None for b, h in zip(best, helps, strict=True)]


def _telling(visits: Sequence[Visit]) -> list[int]:
    """Return the rows of the products that say most, later visits more."""
    says: dict[int, float] = {}
    for age, visit in enumerate(reversed(visits)):
        says[visit.row] = says.get(visit.row, 0.0) + visit.say * 0.8**age
    return sorted(says, key=lambda row: -says[row])[:MAX_ABLATED]


def _because(state: State, visits: Sequence[Visit], row: int) -> str:
    done = [visit.type for visit in visits if visit.row == row]
    strongest = next((kind for kind in (PURCHASE, "add_to_cart", RATING) if kind in done), VIEW)
    title = state.catalog.product(row).title
    title = title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"
    return f"because you {_DID.get(strongest, 'viewed {}').format(title)}"
