"""The engine of rules once more, slow and obvious: plain loops over one query's whole list without rules."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from vision_rec.filters import Filters
from vision_rec.rules import Rule, Scope
from vision_rec.types import Product, Query

NARROW = {"all": 0, "category": 1, "query": 2, "product": 3}


def passes(product: Product, filters: Filters) -> bool:
    """The few filters that the tests use."""
    for clause in filters.clauses:
        if clause.field == "brand":
            good = product.brand.casefold() in {value.casefold() for value in clause.values}
        elif clause.field == "category":
            good = bool({c.casefold() for c in product.category} & {v.casefold() for v in clause.values})
        elif clause.field == "price":
            good = product.price is not None and clause.minimum <= float(product.price) <= clause.maximum
        elif clause.field == "in_stock":
            good = (product.availability == "in_stock") == clause.flag
        else:
            raise AssertionError(clause.field)
        if good == clause.negate:
            return False
    return True


def applies(rule: Rule, query: Query, viewed: Product | None, now) -> bool:
    if (
        not rule.enabled
        or (rule.starts_at and now < rule.starts_at)
        or (rule.ends_at and now >= rule.ends_at)
    ):
        return False
    scope: Scope = rule.scope
    if scope.kind == "all":
        return True
    if scope.kind == "product":
        return viewed is not None and viewed.id == scope.value
    if scope.kind == "query":
        return " ".join((query.text or "").lower().split()) == " ".join(scope.value.lower().split())
    names = [] if viewed is None else [name.lower() for name in viewed.category]
    for clause in query.filters.clauses if query.filters else ():
        if clause.field == "category" and len(clause.values) == 1 and not clause.negate:
            names.append(clause.values[0].lower())
    return scope.value.lower() in names


def names(rule: Rule, product: Product) -> bool:
    return passes(product, rule.condition) if rule.condition is not None else product.id in rule.products


def expected(base, rules, query, viewed, now, order):  # noqa: C901
    """Return the ids of the whole list and what is added to each by rules.

    `base` has (product, score, boost) of every product the request lets in, variants not limited yet;
    `order` says which of two equal ones stands first.
    """
    acting = [rule for rule in rules if applies(rule, query, viewed, now)]
    acting.sort(key=lambda r: (-NARROW[r.scope.kind], -r.priority, -r.serial, r.id))
    left = [entry for entry in base if not any(r.effect == "hide" and names(r, entry[0]) for r in acting)]
    by_id = {product.id: product for product, _, _ in left}

    pinned: set[str] = set()
    in_group: dict[str, int] = defaultdict(int)
    final_place: dict[int, str] = {}
    for rule in (r for r in acting if r.effect == "pin"):
        place = rule.position
        for ident in rule.products:
            if ident not in by_id or ident in pinned:
                continue
            pinned.add(ident)
            group = by_id[ident].group_id
            if group and query.max_per_group and in_group[group] >= query.max_per_group:
                continue
            in_group[group] += 1
            wanted, place = place, place + 1
            while wanted in final_place:
                wanted += 1
            final_place[wanted] = ident

    lifts: dict[str, float] = {}
    free = []
    for product, score, boost in left:
        for rule in acting:
            if rule.effect in ("boost", "bury") and names(rule, product):
                lifts[product.id] = rule.strength if rule.effect == "boost" else -rule.strength
                break
        if product.id in pinned or any(r.effect == "filter" and not names(r, product) for r in acting):
            continue
        lift = lifts.get(product.id)
        total = np.float32(boost) if lift is None else np.float32(boost) + np.float32(lift)
        free.append((-(np.float32(score) + total), order[product.id], product))
    free.sort(key=lambda entry: entry[:2])
    others = []
    for _, _, product in free:
        group = product.group_id
        if group and query.max_per_group:
            if in_group[group] >= query.max_per_group:
                continue
            in_group[group] += 1
        others.append(product.id)

    out = []
    while final_place or others:
        place = len(out) + 1
        if place in final_place:
            out.append(final_place.pop(place))
        elif others:
            out.append(others.pop(0))
        else:
            out.append(final_place.pop(min(final_place)))
    return out, lifts, pinned
