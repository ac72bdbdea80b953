"""Which rules touch a product: those that act on it, and those of lists that it has."""

from __future__ import annotations

from collections.abc import Sequence

from vision_rec.filters import Clause
from vision_rec.merchandise.check import touched
from vision_rec.recommend.state import State
from vision_rec.rules import Rule


def rules_touching(state: State, rules: Sequence[Rule], product_id: str) -> list[tuple[Rule, str]]:
    """Return the rules that act on a product, or on its own list, with how; the first to act first.

    Raises NotFoundError for an unknown product.
    """
    row = state.catalog.row_of(product_id)
    out = []
    for rule in sorted(rules, key=lambda rule: rule.precedence):
        if product_id in touched(state, rule, {product_id}):
            out.append((rule, "acts on it"))
        elif rule.scope.kind == "product" and rule.scope.value == product_id:
            out.append((rule, "acts on its list"))
        elif rule.scope.kind == "category" and _is_in(state, row, rule.scope.value):
            out.append((rule, "acts on lists of its category"))
    return out


def _is_in(state: State, row: int, category: str) -> bool:
    return bool(state.catalog.clause_mask(Clause("category", (category,)))[row])
