"""From ranked rows to recommendations: parts, reasons, facets and the word for an empty page."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vision_rec.fusion import present
from vision_rec.recommend.colours import NameColours
from vision_rec.recommend.query import Target
from vision_rec.recommend.reasons import empty_reason, reasons
from vision_rec.recommend.state import State
from vision_rec.rerank import Ints, Scored
from vision_rec.types import Product, Recommendation, Recommendations


def compose(
    state: State, target: Target, ranked: Scored, name_colours: NameColours | None = None
) -> Recommendations:
    """Build the page of `target` from `ranked`, which begins with the first result."""
    query = target.query
    found = len(ranked.rows)
    page = ranked.take(np.arange(min(query.offset, found), min(query.offset + query.k, found)))
    like = None if target.product_row is None else state.catalog.product(target.product_row)
    asked = present(state.layout, target.row)
    missing = missing_aspects(state, asked, page.rows)
    items = tuple(
        _item(state, target, page, position, like, missing[position], name_colours)
        for position in range(len(page.rows))
    )
    return Recommendations(
        items=items,
        version_id=state.version_id,
        weights=dict(target.weights),
        facets=state.catalog.facets(query.facets, target.allowed) if query.facets else {},
        empty_reason=None if items else empty_reason(state, target, len(ranked.rows)),
        degraded=target.degraded,
    )


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
        boost=0.0 if target.boost is None else float(target.boost[row]),
        lexical=0.0 if target.lexical is None else float(target.lexical[row]),
        reasons=reasons(state, target, like, product, row, parts, name_colours),
    )


def missing_aspects(state: State, asked: Sequence[str], rows: Ints) -> list[tuple[str, ...]]:
    """Name, for each of `rows` (n,), the aspects of the query that the product lacks."""
    vectors = state.rows[rows]
    lacks = {name: np.atleast_1d(~vectors[:, state.layout.slice(name)].any(axis=1)) for name in asked}
    return [tuple(name for name in asked if lacks[name][i]) for i in range(len(rows))]
