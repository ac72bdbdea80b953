"""Why a product is where it is: the arithmetic of its score, colours of both sides, words they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vision_rec.errors import InputError
from vision_rec.recommend.answer import RANK_DEPTH, compose
from vision_rec.recommend.colours import NameColours
from vision_rec.recommend.query import Target
from vision_rec.recommend.ranking import rank as rank_rows
from vision_rec.recommend.ranking import rescored
from vision_rec.recommend.reasons import said_colours, shared_words
from vision_rec.recommend.state import State
from vision_rec.types import Recommendation, Recommendations

Swatch = tuple[str, str]  # a colour's name and its hex value


@dataclass(frozen=True, slots=True)
class Explanation:
    """One product of an answer, taken apart; weight × similarity = part, and the parts sum to the score."""

    item: Recommendation
    rank: int | None  # from 1; None where the asked page does not hold it
    weights: Mapping[str, float]
    query_colours: tuple[Swatch, ...]
    item_colours: tuple[Swatch, ...]
    words: tuple[str, ...]
    version_id: str
    degraded: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation with JSON types."""
        aspects = [
            {
                "name": name,
                "weight": weight,
                "similarity": self.item.parts.get(name, 0.0) / weight if weight else None,
                "part": self.item.parts.get(name, 0.0),
                "missing": name in self.item.missing,
            }
            for name, weight in self.weights.items()
        ]
        return {
            "item": self.item.to_dict(),
            "rank": self.rank,
            "aspects": aspects,
            "query_colours": [{"name": name, "hex": value} for name, value in self.query_colours],
            "item_colours": [{"name": name, "hex": value} for name, value in self.item_colours],
            "words": list(self.words),
            "version": self.version_id,
            "degraded": list(self.degraded),
        }


def explain(
    state: State,
    target: Target,
    product_id: str,
    answer: Recommendations,
    name_colours: NameColours | None = None,
) -> Explanation:
    """Take `product_id` apart against `target`, whose asked page is `answer`; raise NotFoundError."""
    row = state.catalog.row_of(product_id)
    if state.catalog.retired[row]:
        raise InputError(f"product {product_id!r} is retired: it is in no answer")
    rank, item = _found(answer, product_id, target.query.offset)
    if item is None:
        scored = rescored(state, target, np.asarray([row]))
        alone = replace(target, query=replace(target.query, k=1, offset=0, facets=()))
        item = compose(state, alone, scored, name_colours).items[0]
        if target.ruling is None:  # it stands beyond the page that was looked at
            places = np.flatnonzero(rank_rows(state, target, RANK_DEPTH).rows == row)
            item = replace(item, rank_without_rules=int(places[0]) + 1 if len(places) else None)
    like = None if target.product_row is None else state.catalog.product(target.product_row)
    asked = () if like is None else said_colours(like)
    if target.query.colour is not None:
        asked = (target.query.colour,)
    return Explanation(
        item=item,
        rank=rank,
        weights=dict(target.weights),
        query_colours=_swatches(asked, _seen(state, target.row, name_colours)),
        item_colours=_swatches(said_colours(item.product), _seen(state, state.rows[row], name_colours)),
        words=shared_words(state, target, like, item.product, row),
        version_id=state.version_id,
        degraded=target.degraded,
    )


def _found(
    answer: Recommendations, product_id: str, offset: int
) -> tuple[int, Recommendation] | tuple[None, None]:
    for position, item in enumerate(answer.items):
        if item.product.id == product_id:
            return offset + position + 1, item
    return None, None


def _seen(state: State, row: Any, name_colours: NameColours | None) -> tuple[str, ...] | None:
    """Name the colours of a stored or asked row as the encoder sees them, None where it cannot say."""
    if name_colours is None or "colour" not in state.layout.names:
        return None
    return tuple(name_colours(row[state.layout.slice("colour")]))


def _swatches(said: tuple[str, ...], seen: tuple[str, ...] | None) -> tuple[Swatch, ...]:
    from vision_rec.encoders.colour import parse_colour

    out = []
    for name in said if seen is None else seen:
        try:
            red, green, blue = parse_colour(name)
        except InputError:
            continue  # "multicolour" has no swatch
        out.append((name, f"#{red:02x}{green:02x}{blue:02x}"))
    return tuple(out)
