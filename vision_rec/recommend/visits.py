"""What a visitor did with products of this version: what it says of taste, and what it rules out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from vision_rec.catalog.postings import Mask
from vision_rec.fusion import AspectLayout, products, scale
from vision_rec.recommend.longterm import LongTerm
from vision_rec.recommend.session_model import VersionModel
from vision_rec.recommend.state import State
from vision_rec.rerank import Ints, Scored
from vision_rec.sessions import (
    EVENT_TYPES,
    PURCHASE,
    RATING,
    VIEW,
    SessionEncoder,
    ViewContext,
    say_of,
    say_of_type,
)
from vision_rec.sessions.history import Past
from vision_rec.sessions.returns import returning, returns_of
from vision_rec.types import Array, Query

MAX_RECENT = 50  # views before these say nothing about what is wanted now
DAMPED = 0.1  # what a product just viewed loses beside another source than the views
MAX_ABLATED = 5  # products that may be named as the reason
ABLATED_VISITS = 10  # the last ones, which reasons are sought in; the older ones have next to no say
_DID = {"add_to_cart": "put {} in the cart", PURCHASE: "bought {}", RATING: "rated {}"}
VIEWED = "you viewed it before"
_LEAST_DROP = 1e-3  # less is no difference
_TITLE = 60  # characters of a title in a reason
_VIEW = EVENT_TYPES.index(VIEW)
ONLY_VIEWED = (VIEW, "click")


@dataclass(frozen=True, slots=True)
class Visit:
    """Something done with the product at `row`; `say` is how much it tells, `at` when, in Unix seconds."""

    row: int
    type: str
    say: float = 1.0
    at: float = math.nan  # unknown


@dataclass(frozen=True)
class Visiting:
    """The visits of a query, and what the query would be without some of them."""

    visits: tuple[Visit, ...] = ()
    rows_of: Callable[[Sequence[Sequence[Visit]]], Array] | None = None  # query rows (n, D) of other visits
    ablated: Callable[[], Array] | None = None  # those (n, D) of what `ablations` lists
    visitors: Mapping[int, int] | None = None  # by row, where popularity is all there is to go by
    is_down: bool = False
    come_back: bool = False  # products viewed are answers, too


def visits_of(state: State, query: Query, past: Past) -> tuple[Visit, ...]:
    """Return what counts, oldest first: what was stored, then `recent`, which is newer.

    Products that this version does not know say nothing, nor do stored ones of which it knows no aspect.
    """
    catalog, named = state.catalog, set(query.recent)
    stored = [
        Visit(catalog.row_of(event.product_id), event.type, say, event.received_at.timestamp())
        for event in past.acts
        if event.product_id in catalog and event.product_id not in named and (say := say_of(event)) > 0
    ]
    given = [
        Visit(catalog.row_of(ident), kind, say_of_type(kind))
        for ident, kind in zip_longest(query.recent, query.recent_types, fillvalue=VIEW)
        if ident in catalog
    ]
    told = state.told[[visit.row for visit in stored]]
    telling = [stored[place] for place in np.flatnonzero(told)]
    return (*telling, *given)[-MAX_RECENT:]


def session_rows(state: State, sessions: Sequence[Sequence[Visit]], encoder: SessionEncoder) -> Array:
    """Turn n sessions of visits into rows (n, D); each block's norm, 0 to 1, is how sure it is."""
    if isinstance(encoder, VersionModel) and encoder.model is not None:
        sessions = [_merged(visits) for visits in sessions]  # as it has learned them
    n, longest = len(sessions), max((len(visits) for visits in sessions), default=0)
    places = np.full((n, longest), -1, dtype=np.int64)
    says = np.zeros((n, longest), dtype=np.float32)
    types = np.full((n, longest), _VIEW, dtype=np.int64)
    at = np.full((n, longest), np.nan)
    for i, visits in enumerate(sessions):
        count = len(visits)
        places[i, :count] = [visit.row for visit in visits]
        says[i, :count] = [visit.say for visit in visits]
        types[i, :count] = [EVENT_TYPES.index(visit.type) for visit in visits]
        at[i, :count] = [visit.at for visit in visits]
    lengths = np.asarray([len(visits) for visits in sessions], dtype=np.int64)
    views = state.rows[places]
    views[places < 0] = 0.0
    context = ViewContext(types, np.diff(at, axis=1, prepend=np.nan))
    return _bounded(state.layout, encoder.encode(views, lengths, says, context))


def encoded(
    state: State, visits: Sequence[Visit], encoder: SessionEncoder
) -> tuple[Array, Callable[[], Array]]:
    """Return the row (D,) of `visits`, and what gives the rows (n, D) of their `ablations`.

    Few visits are encoded together with these: a pass of a model costs much, one more session in it little.
    """
    fewer = ablations(visits)
    if len(visits) > ABLATED_VISITS:
        return session_rows(state, [visits], encoder)[0], lambda: session_rows(state, fewer, encoder)
    rows = session_rows(state, [visits, *fewer], encoder)
    return rows[0], lambda: rows[1:]


def ablations(visits: Sequence[Visit]) -> list[Sequence[Visit]]:
    """Return the last visits without each of the products that tell most in turn.

    Where there are older visits too, the last ones with all their products come first.
    """
    last = visits[-ABLATED_VISITS:]
    fewer: list[Sequence[Visit]] = [[visit for visit in last if visit.row != gone] for gone in _telling(last)]
    return fewer if len(last) == len(visits) else [last, *fewer]


def _merged(visits: Sequence[Visit]) -> list[Visit]:
    """Take acts on one product right after one another as one, as far as it went."""
    out: list[Visit] = []
    for visit in visits:
        if out and out[-1].row == visit.row:
            further = max(out.pop().type, visit.type, key=EVENT_TYPES.index)
            visit = replace(visit, type=further)
        out.append(visit)
    return out


def _bounded(layout: AspectLayout, rows: Array) -> Array:
    """Bring blocks of rows (n, D) that are longer than 1 to norm 1; nothing is surer than sure."""
    out = np.array(rows, dtype=np.float32)
    for name in layout.names:
        part = layout.slice(name)
        out[:, part] /= np.maximum(np.linalg.norm(out[:, part], axis=1, keepdims=True), 1.0)
    return out


def spared(state: State, past: Past, *, viewed_too: bool) -> Mask:
    """Mark rows (N,) not to be shown: bought, in the cart, rated; lately viewed too where asked."""
    done = {e.product_id for e in past.acts if e.type in ("add_to_cart", RATING)}
    if viewed_too:
        done |= {event.product_id for event in past.acts[-MAX_RECENT:]}
    return with_variants(state, done | past.bought)


def damping(state: State, past: Past) -> Array:
    """Return what products lately viewed lose (N,)."""
    viewed = with_variants(state, {event.product_id for event in past.acts[-MAX_RECENT:]})
    return np.where(viewed, np.float32(-DAMPED), np.float32(0.0))


def coming_back(
    state: State, past: Past, visits: Sequence[Visit], encoder: SessionEncoder
) -> tuple[Mask, Array]:
    """Return which rows (N,) stay out where products viewed are ranked too, and what these gain or lose (N,).

    Those of these `visits` gain what the encoder has learned of coming back; where it has not, and for those
    of visits before, they lose what they lose beside another source. Their variants stay out.
    """
    rows = np.array([visit.row for visit in _merged(visits)], dtype=np.int64)
    known = (event.product_id for event in past.acts[-MAX_RECENT:])
    before = [state.catalog.row_of(ident) for ident in known if ident in state.catalog]
    viewed = np.union1d(rows, np.array(before, dtype=np.int64))
    gains = np.zeros(len(state), dtype=np.float32)
    gains[viewed] = -DAMPED
    _, again, amounts = returning(returns_of(encoder), rows[None], np.array([len(rows)]))
    gains[again] = amounts
    out = _and_variants(state, viewed)
    out[viewed] = False
    return out, gains


def with_variants(state: State, idents: Collection[str]) -> Mask:
    """Mark the rows (N,) of products and of their variants: another size of it is no news."""
    rows = [state.catalog.row_of(ident) for ident in idents if ident in state.catalog]
    return _and_variants(state, np.array(rows, np.int64))


def _and_variants(state: State, rows: Ints) -> Mask:
    out = np.zeros(len(state), dtype=bool)
    out[rows] = True
    groups = state.catalog.groups[rows]
    return out | np.isin(state.catalog.groups, groups[groups >= 0])


def because(
    state: State, visiting: Visiting, row: Array, weights: Mapping[str, float], rows: Ints
) -> list[str | None]:
    """Name for each of `rows` (n,) the visit without which it would score least, None where none helps.

    `row` (D,) is the query's with all visits. Of the last visits, the products that tell most are tried,
    with all their visits. Where visits say the same, none is missed; then it is the one that the product
    is most like.
    """
    if visiting.ablated is None or not visiting.visits or not len(rows):
        return [None] * len(rows)
    visits = visiting.visits[-ABLATED_VISITS:]
    tried, vectors = _telling(visits), state.rows[rows]

    def scores(queries: Array) -> Array:
        return products(vectors, scale(state.layout, queries, weights)).T

    queries = visiting.ablated()
    if len(visits) == len(visiting.visits):
        whole, without = row[None], queries
    else:
        whole, without = np.split(queries, [1])
    says = scores(whole) - scores(without)  # (m, n)
    if (silent := says.max(axis=0) < _LEAST_DROP).any():
        says = np.where(silent, scores(state.rows[tried]), says)
    best = says.argmax(axis=0)
    helps = says[best, np.arange(len(rows))] > 0
    return [_because(state, visits, tried[b]) if h else None for b, h in zip(best, helps, strict=True)]


def because_before(
    state: State, known: LongTerm | None, visit: Array, page: Scored, said: Sequence[str | None]
) -> list[str | None]:
    """Name for each product of `page` that an older interest brings the one of it that is nearest.

    That is at the places of the interests, and where the interest adds more to the score than the visit's
    scaled row (D,); the others keep what is `said` of them.
    """
    out = list(said)
    if known is None or page.interests is None or page.lifts is None:
        return out
    vectors = state.rows[page.rows]
    older = np.einsum("nd,nd->n", vectors, known.scaled[page.interests]) * known.share
    by_interest = (page.lifts > 0) | (older > (vectors @ visit) * (1.0 - known.share))
    for i in map(int, np.flatnonzero(by_interest & (older > 0))):
        members = known.members[int(page.interests[i])]
        near = (state.rows[members] * known.factors) @ vectors[i]
        row = int(members[near.argmax()])
        out[i] = f"{_because_of(state, row, known.older.types[row])} before"
    return out


def _telling(visits: Sequence[Visit]) -> list[int]:
    """Return the rows of the products that say most, later visits more."""
    says: dict[int, float] = {}
    for age, visit in enumerate(reversed(visits)):
        says[visit.row] = says.get(visit.row, 0.0) + visit.say * 0.7**age
    return sorted(says, key=lambda row: -says[row])[:MAX_ABLATED]


def _because(state: State, visits: Sequence[Visit], row: int) -> str:
    return _because_of(state, row, {visit.type for visit in visits if visit.row == row})


def _because_of(state: State, row: int, done: Collection[str]) -> str:
    """Say what was done with the product at `row`, what says most."""
    strongest = next((kind for kind in (PURCHASE, "add_to_cart", RATING) if kind in done), VIEW)
    title = state.catalog.product(row).title
    title = title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"
    return f"because you {_DID.get(strongest, 'viewed {}').format(title)}"
