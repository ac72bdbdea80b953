"""The neighbours of a product in one aspect alone."""

from __future__ import annotations

from vision_rec.errors import InputError
from vision_rec.recommend import Recommender
from vision_rec.rules import NO_RULES
from vision_rec.types import Query, Recommendations


def neighbours(recommender: Recommender, product_id: str, aspect: str, k: int) -> Recommendations | None:
    """Return the `k` products most alike in `aspect` alone, whatever rules say; None where it has none."""
    query = Query(product_id=product_id, k=k, weights={aspect: 1.0})
    try:
        return recommender.answer_under(query, NO_RULES)
    except InputError:
        return None
