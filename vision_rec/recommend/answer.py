"""From ranked rows to recommendations: parts, reasons, facets and the word for an empty page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vision_rec.recommend.colours import NameColours
from vision_rec.recommend.query import Target
from vision_rec.recommend.ranking import rank as rank_rows
from vision_rec.recommend.reasons import empty_reason, reasons, rule_reason
from vision_rec.recommend.state import State
from vision_rec.recommend.visits import VIEWED, because, because_before
from vision_rec.rerank import Ints, Scored
from vision_rec.types import Product, Recommendation, Recommendations

RANK_DEPTH = 200  # places of the list without rules that are looked at, to say where a product stood


def compose(
    state: State, target: Target, ranked: Scored, name_colours: NameColours | None = None
) -> Recommendations:
    """Build the page of `target` from `ranked`, which begins with the first result."""
    query = target.query
    found = len(ranked.rows)
    page = ranked.take(np.arange(min(query.offset, found), min(query.offset + query.k, found)))
    like = None if target.product_row is None else state.catalog.product(target.product_row)
    missing = missing_aspects(state, target.asked(state.layout), page.rows)
    why = because(state, target.visiting, target.row, target.weights, page.rows)
    why = because_before(state, target.longterm, target.scaled, page, why)
    viewed = {visit.row for visit in target.visiting.visits if target.visiting.come_back}
    why = [VIEWED if row in viewed else said for row, said in zip(page.rows.tolist(), why, strict=True)]
    items = tuple(
        _item(state, target, page, position, like, missing[position], name_colours)
        for position in range(len(page.rows))
    )
    items = tuple(
        item if said is None else replace(item, reasons=(said, *item.reasons))
        for item, said in zip(items, why, strict=True)
    )
    items = with_rules(state, target, page.rows, items)
    return Recommendations(
        items=items,
        version_id=state.version_id,
        weights=dict(target.weights),
        facets=state.catalog.facets(query.facets, target.shown) if query.facets else {},
        empty_reason=None if items else empty_reason(state, target, len(ranked.rows)),
        degraded=target.degraded,
        rules=() if target.ruling is None else target.ruling.effects.told,
    )


def with_rules(
    state: State, target: Target, rows: Ints, items: tuple[Recommendation, ...]
) -> tuple[Recommendation, ...]:
    """Say of each of `items`, at `rows` (n,), what rules did to it and where it would stand without them."""
    ruling, first = target.ruling, target.query.offset + 1
    if ruling is None:
        return tuple(replace(item, rank_without_rules=first + i) for i, item in enumerate(items))
    if not items:
        return items
    depth = max(RANK_DEPTH, target.query.offset + target.query.k)
    ranks = {int(row): rank for rank, row in enumerate(rank_rows(state, ruling.base, depth).rows, 1)}
    out = []
    for row, item in zip(map(int, rows), items, strict=True):
        effects = ruling.of_row(row)
        out.append(
            replace(
                item,
                pinned=any(effect.effect == "pin" for effect in effects),
                rules=tuple(effect.id for effect in effects),
                effects=effects,
                rank_without_rules=ranks.get(row),
                reasons=(*item.reasons, *map(rule_reason, effects)),
            )
        )
    return tuple(out)


def _item(
    state: State,
    target: Target,
    page: Scored,
    position: int,
    like: Product | None,
    missing: tuple[str, ...],
    name_colours: NameColours | None,
) -> Recommendation:
    row = int(page.rows[position])
    product = state.catalog.product(row)
    # Adding 0.0 turns −0.0, which a zero block may give, into 0.0.
    parts = {
        name: float(part) + 0.0 for name, part in zip(state.layout.names, page.parts[position], strict=True)
    }
    return Recommendation(
        product=product,
        score=float(page.scores[position]) + 0.0,
        parts=parts,
        missing=missing,
        boost=_boost(target, page, position),
        lexical=0.0 if target.lexical is None else float(target.lexical[row]),
        reasons=reasons(state, target, like, product, row, parts, name_colours),
    )


def _boost(target: Target, page: Scored, position: int) -> float:
    """Return what orders a product beside its score; a place that is an older interest's lifts it, too."""
    boost = 0.0 if target.boost is None else float(target.boost[page.rows[position]])
    return boost if page.lifts is None else boost + float(page.lifts[position])


def missing_aspects(state: State, asked: Sequence[str], rows: Ints) -> list[tuple[str, ...]]:
    """Name, for each of `rows` (n,), the aspects of the query that the product lacks."""
    places = [state.layout.names.index(name) for name in asked]
    lacks = ~state.known[rows][:, places]
    return [tuple(name for name, lacking in zip(asked, own, strict=True) if lacking) for own in lacks]
