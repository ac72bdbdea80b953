"""What is odd about rules in a catalogue: products that are gone, places taken twice, rules against rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from vision_rec.errors import InputError
from vision_rec.filters import Clause
from vision_rec.recommend.state import State
from vision_rec.rules import Rule, Scope

_LISTED = 3
_MOST = 20  # things said of one rule


def check_rules(state: State, rules: Sequence[Rule], now: datetime) -> dict[str, tuple[str, ...]]:
    """Return what is odd about each of `rules`, by id; those that have ended or are off are left alone."""
    live = sorted(
        (rule for rule in rules if rule.state(now) in ("active", "scheduled")),
        key=lambda rule: rule.precedence,
    )
    out: dict[str, list[str]] = {rule.id: _alone(state, rule) for rule in live}
    _pins_against_pins(state, live, out)
    _hides_against_pins(state, live, out)
    _boosts_against_buries(state, live, out)
    return {rule_id: tuple(said[:_MOST]) for rule_id, said in out.items() if said}


# ── one rule ──────────────────────────────────────────────────────────────────────────────────────


def _alone(state: State, rule: Rule) -> list[str]:
    out = []
    catalog = state.catalog
    missing = [ident for ident in rule.products if ident not in catalog]
    retired = [i for i in rule.products if i in catalog and catalog.retired[catalog.row_of(i)]]
    for ids, what in ((missing, "not in the catalogue"), (retired, "gone from the feed")):
        if ids:
            out.append(f"{_named(ids)} {'is' if len(ids) == 1 else 'are'} {what}")
    if rule.scope.kind == "product" and rule.scope.value not in catalog:
        out.append(f"its list is that of {rule.scope.value}, which is not in the catalogue")
    if rule.scope.kind == "category" and not _has_category(state, rule.scope.value):
        out.append(f"no product is in the category {rule.scope.value}")
    return [*out, *_condition(state, rule)]


def _condition(state: State, rule: Rule) -> list[str]:
    if rule.condition is None:
        return []
    absolute = [c for c in rule.condition.clauses if c.field not in ("price_ratio", "same_category")]
    try:
        mask = ~state.catalog.retired
        for clause in absolute:
            mask &= state.catalog.clause_mask(clause)
    except InputError as error:
        return [f"it does nothing: {error}"]
    if mask.any() or not absolute:
        return []
    left = "its lists would be empty" if rule.effect == "filter" else "it does nothing"
    return [f"no product passes its filters: {left}"]


def _has_category(state: State, name: str) -> bool:
    return bool(state.catalog.clause_mask(Clause("category", (name,))).any())


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return ", ".join(ids[:_LISTED]) + more


# ── rules against rules ───────────────────────────────────────────────────────────────────────────


def _pins_against_pins(state: State, live: Sequence[Rule], out: Mapping[str, list[str]]) -> None:
    """Name places that two pins want, and products that two pins place; the later in order gives way."""
    places: dict[int, list[Rule]] = defaultdict(list)
    products: dict[str, list[Rule]] = defaultdict(list)
    for rule in (rule for rule in live if rule.effect == "pin"):
        held = [ident for ident in rule.products if ident in state.catalog]
        for ident in held:
            other = _meets(state, rule, products[ident])
            if other is not None:
                out[rule.id].append(f"{ident} is pinned by “{other.label}” too, which comes first")
            products[ident].append(rule)
        for place in range(rule.position or 1, (rule.position or 1) + max(len(held), 1)):
            other = _meets(state, rule, places[place])
            if other is not None:
                out[rule.id].append(f"place {place} is taken by “{other.label}”, which comes first")
            places[place].append(rule)


def _hides_against_pins(state: State, live: Sequence[Rule], out: Mapping[str, list[str]]) -> None:
    pins = [rule for rule in live if rule.effect == "pin"]
    pinned = {ident for rule in pins for ident in rule.products if ident in state.catalog}
    hiders: dict[str, list[Rule]] = defaultdict(list)
    for rule in (rule for rule in live if rule.effect == "hide") if pinned else ():
        for ident in touched(state, rule, pinned):
            hiders[ident].append(rule)
    for pin in pins:
        for ident in pin.products:
            hider = _meets(state, pin, hiders.get(ident, ()))
            if hider is not None:
                out[pin.id].append(f"{ident} hidden by “{hider.label}”: hide wins")


def _boosts_against_buries(state: State, live: Sequence[Rule], out: Mapping[str, list[str]]) -> None:
    """Name boosts and buries that name the same products by id; of the two the first in order counts."""
    seen: dict[str, list[Rule]] = defaultdict(list)
    for rule in (rule for rule in live if rule.effect in ("boost", "bury")):
        said: set[str] = set()
        for ident in rule.products:
            other = _meets(state, rule, [one for one in seen[ident] if one.effect != rule.effect])
            if other is not None and other.id not in said:
                said.add(other.id)
                out[rule.id].append(f"“{other.label}” does the opposite to {ident} and comes first")
            seen[ident].append(rule)


def touched(state: State, rule: Rule, ids: set[str]) -> set[str]:
    """Return those of `ids` that a rule acts on, by id or because they pass its filters."""
    if rule.condition is None:
        return ids & set(rule.products)
    try:
        rows = {ident: state.catalog.row_of(ident) for ident in ids}
        masks = [
            state.catalog.clause_mask(clause)
            for clause in rule.condition.clauses
            if clause.field not in ("price_ratio", "same_category")
        ]
    except InputError:
        return set()
    mask = np.logical_and.reduce(masks) if masks else np.zeros(len(state), dtype=bool)
    return {ident for ident, row in rows.items() if mask[row]}


def _meets(state: State, rule: Rule, others: Sequence[Rule]) -> Rule | None:
    return next((other for other in others if other is not rule and _meet(state, rule, other)), None)


def _meet(state: State, one: Rule, other: Rule) -> bool:
    """Say whether both can act on one list at one time."""
    if one.ends_at and other.starts_at and one.ends_at <= other.starts_at:
        return False
    if other.ends_at and one.starts_at and other.ends_at <= one.starts_at:
        return False
    return _scopes_meet(state, one.scope, other.scope) or _scopes_meet(state, other.scope, one.scope)


def _scopes_meet(state: State, one: Scope, other: Scope) -> bool:
    if one.kind == "all" or one.key == other.key:
        return True
    if one.kind == "category" and other.kind == "product" and other.value in state.catalog:
        path = state.catalog.product(state.catalog.row_of(other.value)).category
        return one.key[1] in {Scope("category", level).key[1] for level in path}
    return False
