"""A query against one version: its row, its resolved weights and the rows it may answer with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from vision_rec.catalog.postings import Mask
from vision_rec.errors import InputError, NotFoundError
from vision_rec.fusion import AspectLayout, blend, edit, mix, present, resolve_weights, scale
from vision_rec.recommend.checks import has_source, is_identified, words_of
from vision_rec.recommend.coldstart import FEW_VIEWS, Likeminded, likeminded
from vision_rec.recommend.encoding import Encoded, picture_key
from vision_rec.recommend.longterm import LongTerm, Older, long_term, older_of, parted, telling
from vision_rec.recommend.state import State
from vision_rec.recommend.visits import (
    MAX_RECENT,
    ONLY_VIEWED,
    Visit,
    Visiting,
    coming_back,
    damping,
    session_rows,
    spared,
    visits_of,
    with_variants,
)
from vision_rec.recommend.visits import encoded as encoded_visits
from vision_rec.sessions import VIEW, SessionEncoder
from vision_rec.sessions.audience import Audience
from vision_rec.sessions.history import History, Past
from vision_rec.settings import SearchSettings, SessionSettings
from vision_rec.types import Array, Query

if TYPE_CHECKING:
    from vision_rec.recommend.ruling import Ruling

__all__ = ["MAX_RECENT", "Target", "aim"]

_SESSIONS = SessionSettings()
SESSION_SHARE = 0.3  # of recent views beside another source
HISTORY = "history"  # what an answer lacks while the event store is down


@dataclass(frozen=True)
class Target:
    """What is searched for: the query's row (D,), its weights, and who may answer.

    `boost` and `lexical` (N,) are None where nothing boosts; the score never contains them.
    """

    query: Query
    row: Array
    weights: Mapping[str, float]
    scaled: Array
    product_row: int | None
    allowed: Mask
    boost: Array | None
    lexical: Array | None
    degraded: tuple[str, ...]
    ruling: Ruling | None = None  # what rules change, where any are for this query
    visiting: Visiting = Visiting()
    longterm: LongTerm | None = None  # a known user's older interests
    likeminded: Likeminded | None = None  # of a visitor of whom little is known

    @property
    def queries(self) -> Array:
        """What is searched for: the scaled row (1, D), or blends with older interests and those (2n, D)."""
        known = self.longterm
        return self.scaled[None] if known is None else np.vstack([known.blends(self.scaled), known.scaled])

    def asked(self, layout: AspectLayout) -> tuple[str, ...]:
        """Name the aspects that the query has."""
        older = [] if self.longterm is None else [self.longterm.rows]
        return present(layout, np.vstack([self.row, *older]))

    @property
    def shown(self) -> Mask:
        """Rows (N,) that may be in the list, pinned ones included."""
        return self.allowed if self.ruling is None else self.ruling.shown


@dataclass(frozen=True)
class _Sources:
    """Rows (D,) to blend with their shares, and what the session alone says."""

    rows: list[Array]
    shares: list[float]
    session: Array | None
    degraded: tuple[str, ...]


def aim(
    state: State,
    query: Query,
    encoded: Encoded,
    session: SessionEncoder,
    search: SearchSettings,
    history: History | None = None,
    sessions: SessionSettings = _SESSIONS,
    audience: Callable[[], Audience | None] = lambda: None,
) -> Target:
    """Resolve a checked `query` against `state`; `encoded` has its pictures, words and colours as rows.

    `history` knows what its user or session did, `audience` what others do. Raises InputError for filters
    and weights that do not fit, NotFoundError for unknown products.
    """
    product_row = None if query.product_id is None else state.catalog.row_of(query.product_id)
    asks = history is not None and is_identified(query)
    past = history.of(query.user_id, query.session_id) if history is not None and asks else Past()
    alone = not has_source(replace(query, recent=()))
    visits, older = _visits(state, query, past, sessions) if alone else (visits_of(state, query, past), None)
    if alone and not visits and is_identified(query):
        return _unknown(state, query, history, past)
    views, fewer = encoded_visits(state, visits, session) if visits else (None, None)
    sources = _sources(state, query, encoded, views, product_row)
    base, row, brought_by_session = _row(state, query, sources, encoded)
    weights = resolve_weights(
        state.layout,
        _weights(state, query, sources, brought_by_session),
        present(state.layout, np.vstack([row, *([] if older is None else [state.rows[older.rows]])])),
    )
    allowed = state.catalog.mask(query.filters, like=product_row)
    again = alone and sessions.viewed == "rank"  # what was viewed is an answer, too
    allowed[_excluded(state, query, product_row)] = False
    if query.recent:
        allowed[_visited(state, query, alone=alone, again=again)] = False
    lexical, boost = _boosts(state, query, search)
    few = alone and older is None and len(visits) <= FEW_VIEWS
    others = likeminded(state, audience(), row, weights) if few else None
    if others is not None:
        boost = others.lift + (0.0 if boost is None else boost)
    if past.acts or past.bought:
        allowed[spared(state, past, viewed_too=alone and not again)] = False
        if not alone:
            boost = damping(state, past) + (0.0 if boost is None else boost)
    if again:
        variants, gains = coming_back(state, past, visits, session)
        allowed[variants] = False
        boost = gains + (0.0 if boost is None else boost)

    def with_sources(rows: Array) -> Array:
        return np.stack([_with_session(state, query, base, row) for row in rows])

    def rows_of(others: Sequence[Sequence[Visit]]) -> Array:
        return with_sources(session_rows(state, others, session))

    ablated = None if fewer is None else lambda: with_sources(fewer())

    return Target(
        query=query,
        row=row,
        weights=weights,
        scaled=scale(state.layout, row[None], weights)[0],
        product_row=product_row,
        allowed=allowed,
        boost=boost,
        lexical=lexical,
        degraded=(*state.degraded, *sources.degraded, *((HISTORY,) if past.is_down else ())),
        visiting=Visiting(visits, rows_of, ablated, is_down=past.is_down, come_back=again),
        longterm=long_term(state, older, weights, sessions.long_term_share),
        likeminded=others,
    )


def _visits(
    state: State, query: Query, past: Past, sessions: SessionSettings
) -> tuple[tuple[Visit, ...], Older | None]:
    """Return what counts of the present visit, and what a known user did before it."""
    if query.user_id is None:
        return visits_of(state, query, past), None
    acts = telling(state, past.acts)
    given = any(ident in state.catalog for ident in query.recent)
    before, now = parted(acts, past.now if given else None)
    lately = {act.event_id for act in past.acts}
    bought = telling(state, (act for act in past.purchases if act.event_id not in lately))
    visits = visits_of(state, query, replace(past, acts=now))
    return visits, older_of(state, [*bought, *before], sessions.half_life_days)


def _unknown(state: State, query: Query, history: History | None, past: Past) -> Target:
    """Aim at what is popular with everybody, for a visitor of whom nothing is known."""
    named = _named_weights(state, query)
    if named is not None:
        resolve_weights(state.layout, named, state.layout.names)  # refuses unknown aspects all the same
    counts = {} if history is None else history.popular()
    visitors = {
        state.catalog.row_of(ident): count for ident, count in counts.items() if ident in state.catalog
    }
    boost = np.zeros(len(state), dtype=np.float32)
    most = max(visitors.values(), default=1)
    boost[list(visitors)] = [count / most for count in visitors.values()]
    allowed = state.catalog.mask(query.filters) & (boost > 0)
    allowed[_excluded(state, query, None) | spared(state, past, viewed_too=True)] = False
    if query.recent:
        allowed[_visited(state, query, alone=True, again=False)] = False
    nothing = np.zeros(state.layout.dim, dtype=np.float32)
    return Target(
        query=query,
        row=nothing,
        weights=dict.fromkeys(state.layout.names, 0.0),
        scaled=nothing,
        product_row=None,
        allowed=allowed,
        boost=boost,
        lexical=None,
        degraded=(*state.degraded, *((HISTORY,) if past.is_down else ())),
        visiting=Visiting(visitors=visitors, is_down=past.is_down),
    )


def _sources(
    state: State, query: Query, encoded: Encoded, recent: Array | None, product_row: int | None
) -> _Sources:
    """Gather what blends: the product, the picture, the words, the examples; and the recent views."""
    found: list[tuple[str, Array | None, float]] = []
    if product_row is not None:
        found.append(("product", state.rows[product_row], 1.0))
    if query.image is not None:
        found.append(("image", encoded.row("image", picture_key(query.image, query.crop)), 1.0))
    text = words_of(query)
    if text is not None:
        found.append(("text", encoded.row("text", ("text", text)), 1.0))
    for example in query.examples:
        if example.image is not None and example.weight:
            found.append(("image", encoded.row("image", picture_key(example.image)), example.weight))
        elif example.product_id is not None:
            row = state.rows[state.catalog.row_of(example.product_id)]
            found.append(("product", row, example.weight))
    if query.recent and recent is None and not found and query.colour is None:
        raise NotFoundError(f"none of the {len(query.recent)} recent products is in this catalogue")
    here = [(row, share) for _, row, share in found if row is not None]
    missing = list(dict.fromkeys(name for name, row, _ in found if row is None))
    if missing and not here and recent is None and query.colour is None:
        raise encoded.failed[(missing[0],)]
    degraded = tuple(f"the {name} encoder is not available" for name in missing)
    return _Sources([row for row, _ in here], [share for _, share in here], recent, degraded)


def _row(
    state: State, query: Query, sources: _Sources, encoded: Encoded
) -> tuple[Array, Array, frozenset[str]]:
    """Blend the sources into one row (D,), its colour replaced where asked.

    Return it without and with the views, and what only the views brought.
    """
    layout = state.layout
    base = blend(layout, sources.rows, sources.shares)
    if query.colour is not None:
        swatch = encoded.row("image", ("colour", query.colour))
        if swatch is None:  # without the colour, "like this, but red" would be another question
            raise encoded.failed[("image",)]
        base = edit(layout, base, {"colour": swatch[layout.slice("colour")]})
    if _words_win(query):
        text = encoded.row("text", ("text", words_of(query)))
        if text is not None:
            base = edit(layout, base, {"text": text[layout.slice("text")]})
    row = _with_session(state, query, base, sources.session)
    beside = sources.session is not None and base.any()
    brought = frozenset(present(layout, row)) - set(present(layout, base)) if beside else frozenset()
    return base, row, brought


def _with_session(state: State, query: Query, base: Array, session: Array | None) -> Array:
    """Blend the row of the views (D,) into that of the other sources, if there are any."""
    if session is None or not session.any():
        return base
    if not base.any():
        return session
    share = SESSION_SHARE if query.session_share is None else query.session_share
    row = mix(state.layout, base, session, share)
    if query.colour is not None:  # a colour replaces, whatever was looked at before
        row = edit(state.layout, row, {"colour": base[state.layout.slice("colour")]})
    return row


def _words_win(query: Query) -> bool:
    """Say whether the query's words replace a product's: its title would name the colour edited away."""
    return query.colour is not None and words_of(query) is not None and not _has_own_weights(query)


def _has_own_weights(query: Query) -> bool:
    return query.weights is not None or query.preset is not None


def _weights(state: State, query: Query, sources: _Sources, brought: frozenset[str]) -> dict[str, float]:
    """Return the weights as named: by the query, its preset, or the version's defaults."""
    if (named := _named_weights(state, query)) is not None:
        return named
    share = SESSION_SHARE if query.session_share is None else query.session_share
    weights = {
        # An aspect that only recent views bring has their share of the say, not an equal one.
        name: weight * share if name in brought else weight
        for name, weight in state.default_weights.items()
    }
    beside = bool(sources.rows) or sources.session is not None
    if query.colour is not None and beside and words_of(query) is None:
        weights["text"] = 0.0
    return {name: weight for name, weight in weights.items() if name in state.layout.names}


def _named_weights(state: State, query: Query) -> dict[str, float] | None:
    """Return the weights that the query or its preset names, None where neither does."""
    if query.weights is not None:
        return dict(query.weights)
    if query.preset is None:
        return None
    if query.preset not in state.presets:
        known = ", ".join(sorted(state.presets)) or "none"
        raise InputError(f"unknown preset {query.preset!r}; for this index there are {known}")
    return dict(state.presets[query.preset])


def _excluded(state: State, query: Query, product_row: int | None) -> Mask:
    """Mark rows (N,) that are never results: what the query is made of, its own group, `exclude`."""
    out = np.zeros(len(state), dtype=bool)
    named = [*query.exclude, *(e.product_id for e in query.examples if e.product_id)]
    out[[state.catalog.row_of(ident) for ident in named if ident in state.catalog]] = True
    if product_row is not None:
        out[product_row] = True
        group = state.catalog.groups[product_row]
        if query.exclude_own_group and query.max_per_group and group >= 0:
            out |= state.catalog.groups == group
    return out


def _visited(state: State, query: Query, *, alone: bool, again: bool) -> Mask:
    """Mark rows (N,) that `recent` rules out, as stored acts would.

    Bought or in the cart: with their variants. Viewed: not where they may come `again`, and where they are
    the only source with their variants, too.
    """
    acts = list(zip_longest(query.recent, query.recent_types, fillvalue=VIEW))
    out = with_variants(state, {ident for ident, kind in acts if kind not in ONLY_VIEWED})
    if again:
        return out
    if alone and query.max_per_group:
        return out | with_variants(state, set(query.recent))
    out[[state.catalog.row_of(ident) for ident in query.recent if ident in state.catalog]] = True
    return out


def _boosts(state: State, query: Query, search: SearchSettings) -> tuple[Array | None, Array | None]:
    """Return how far the words are found (N,) and the whole boost (N,), None for what is not asked."""
    text = words_of(query)
    lexical = boost = None
    if text is not None and search.lexical_weight > 0:
        lexical = state.lexical.score(text)
        boost = np.asarray(search.lexical_weight * lexical, dtype=np.float32)
        if text in state.catalog:  # an exact id is no matter of taste
            row = state.catalog.row_of(text)
            boost[row] = lexical[row] = 1.0
    if query.rating_boost > 0:
        lift = np.asarray(query.rating_boost * state.lifts, dtype=np.float32)
        boost = lift if boost is None else boost + lift
    return lexical, boost
