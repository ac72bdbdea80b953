"""What the rules in force do to one query: who is hidden, pinned, left out, boosted or buried.

hide, then pin, then filter, then boost and bury; within each the narrower scope, the higher priority and the
newer rule first. What a request asks for always holds: rules never bring in what its filters, `exclude`,
`min_score` or `max_per_group` leave out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vision_rec.catalog.postings import Mask
from vision_rec.errors import InputError
from vision_rec.recommend.checks import words_of
from vision_rec.recommend.query import Target
from vision_rec.recommend.state import State
from vision_rec.rerank import Numbers, first_of
from vision_rec.rules import Rule, View
from vision_rec.types import Array, Query, RuleEffect

_KEPT_BYTES = 64 << 20  # of masks kept per version: most lists obey one of a few sets of rules
_ROW_BYTES = 10  # of one set, per row
MAX_TOLD = 100  # rules that an answer lists


@dataclass(frozen=True, slots=True)
class Pin:
    """The product at `row`, which `rule` puts to `place` (from 1)."""

    row: int
    place: int
    rule: Rule


@dataclass(frozen=True)
class Effects:
    """What a set of rules does to rows, whatever is asked; None where no rule of the kind is there."""

    hidden: Mask | None
    passing: Mask | None
    lifter: Numbers | None  # (N,) which of `lifting` acts on the row, −1 none
    lifts: Array | None  # (N,) what it adds
    lifting: tuple[Rule, ...]
    pins: tuple[Pin, ...]  # the strongest first; places are those of their rules
    told: tuple[RuleEffect, ...]  # in the order they act, with how many products each names


@dataclass(frozen=True)
class Ruling:
    """The rules of one query: its target without them, who may be shown, and who is pinned where."""

    base: Target
    shown: Mask  # (N,) pinned products included
    pins: tuple[Pin, ...]  # the strongest first
    effects: Effects

    def of_row(self, row: int) -> tuple[RuleEffect, ...]:
        """Return what rules did to the product at `row`, in order."""
        out = [
            RuleEffect(pin.rule.id, pin.rule.label, "pin", float(pin.place))
            for pin in self.pins
            if pin.row == row
        ]
        if self.effects.lifter is not None and (number := int(self.effects.lifter[row])) >= 0:
            rule = self.effects.lifting[number]
            out.append(RuleEffect(rule.id, rule.label, rule.effect, _amount(rule)))
        return tuple(out)


def ruled(state: State, target: Target) -> Target:
    """Return `target` as the published rules of `state` leave it."""
    if not state.rules:
        return target
    rules = state.rules.matching(view_of(state, target.query, target.product_row))
    if not rules:
        return target
    effects = _effects(state, rules, target.product_row)
    allowed = target.allowed if effects.hidden is None else target.allowed & ~effects.hidden
    pins = closed_up([pin for pin in effects.pins if allowed[pin.row]])
    rows = [pin.row for pin in pins]
    shown = allowed.copy() if effects.passing is None else allowed & effects.passing
    free = shown.copy()
    shown[rows], free[rows] = True, False
    boost = target.boost
    if effects.lifts is not None:
        boost = effects.lifts if boost is None else boost + effects.lifts
    ruling = Ruling(base=target, shown=shown, pins=pins, effects=effects)
    return replace(target, allowed=free, boost=boost, ruling=ruling)


def view_of(state: State, query: Query, product_row: int | None) -> View:
    """Return what the lists of `query` are about, as the scopes of rules name it."""
    categories: tuple[str, ...] = ()
    if state.rules.has_categories():
        if product_row is not None:
            categories = state.catalog.product(product_row).category
        clauses = query.filters.clauses if query.filters is not None else ()
        for clause in clauses:  # the page of one category
            if clause.field == "category" and not clause.negate and len(clause.values) == 1:
                categories = (*categories, *clause.values)
    return View(query.product_id, categories, words_of(query))


def closed_up(pins: Sequence[Pin]) -> tuple[Pin, ...]:
    """Keep each product's strongest pin, and close the gaps that products left in a rule's block."""
    out: list[Pin] = []
    seen: set[int] = set()
    taken: dict[str, int] = {}
    for pin in pins:
        if pin.row not in seen:
            seen.add(pin.row)
            number = taken[pin.rule.id] = taken.get(pin.rule.id, -1) + 1
            out.append(replace(pin, place=(pin.rule.position or 1) + number))
    return tuple(out)


def _effects(state: State, rules: tuple[Rule, ...], product_row: int | None) -> Effects:
    """Return what `rules` do, read once for all queries that they are the rules of."""
    relative = any(rule.scope.kind == "product" for rule in rules)
    key = (tuple(rule.id for rule in rules), product_row if relative else None)
    found = state.ruled.get(key)
    if found is None:
        found = _read(state, rules, product_row)
        if len(state.ruled) >= max(8, _KEPT_BYTES // (_ROW_BYTES * max(len(state), 1))):
            state.ruled.clear()
        state.ruled[key] = found
    return found


def _read(state: State, rules: tuple[Rule, ...], product_row: int | None) -> Effects:
    hidden = passing = lifter = lifts = None
    lifting: list[tuple[Rule, Mask]] = []
    pins: list[Pin] = []
    told: list[RuleEffect] = []
    for rule in rules:
        mask = touched(state, rule, product_row)
        if mask is None:
            continue
        told.append(RuleEffect(rule.id, rule.label, rule.effect, float(np.count_nonzero(mask))))
        if rule.effect == "hide":
            hidden = mask if hidden is None else hidden | mask
        elif rule.effect == "pin":
            pins += [Pin(row, rule.position or 1, rule) for row in _rows(state, rule)]
        elif rule.effect == "filter":
            passing = mask if passing is None else passing & mask
        else:
            lifting.append((rule, mask))
    if lifting:
        lifter = first_of([mask for _, mask in lifting], len(state))
        amounts = np.array([*(_amount(rule) for rule, _ in lifting), 0.0], dtype=np.float32)
        lifts = amounts[lifter]  # −1, no rule, is the 0 at the end
    rules_lifting = tuple(rule for rule, _ in lifting)
    return Effects(hidden, passing, lifter, lifts, rules_lifting, tuple(pins), tuple(told[:MAX_TOLD]))


def touched(state: State, rule: Rule, product_row: int | None) -> Mask | None:
    """Mark the rows (N,) that `rule` names; None where this catalogue cannot tell, and it does nothing."""
    if rule.condition is None:
        mask = np.zeros(len(state), dtype=bool)
        mask[_rows(state, rule)] = True
        return mask
    try:
        return state.catalog.mask(rule.condition, like=product_row)
    except InputError:  # an attribute that no product has any more
        return None


def _rows(state: State, rule: Rule) -> list[int]:
    return [state.catalog.row_of(ident) for ident in rule.products if ident in state.catalog]


def _amount(rule: Rule) -> float:
    strength = rule.strength or 0.0
    return -strength if rule.effect == "bury" else strength
