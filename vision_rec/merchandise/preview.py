"""What rules would change: the same lists before and after, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vision_rec.errors import InputError, VisionRecError
from vision_rec.filters import Clause
from vision_rec.merchandise.desk import CURRENT, DRAFT, RuleDesk
from vision_rec.recommend import Recommender
from vision_rec.recommend.state import State
from vision_rec.rules import Rule, RuleBook, iso, read_time
from vision_rec.types import Query, Recommendations

PREVIEWED = 10  # queries where none are named


@dataclass(frozen=True, slots=True)
class Sample:
    """A query of the preview and what people call it."""

    label: str
    query: Query


@dataclass(frozen=True, slots=True)
class Preview:
    """One query's list under two sets of rules; `error` where it cannot be answered here."""

    sample: Sample
    before: Recommendations | None
    after: Recommendations | None
    error: str = ""

    @property
    def moves(self) -> list[dict[str, Any]]:
        """Every product whose place differs, with both places from 1, None where it is not on the page."""
        before, after = _places(self.before), _places(self.after)
        ids = [*after, *(ident for ident in before if ident not in after)]
        return [
            {"id": ident, "from": before.get(ident), "to": after.get(ident)}
            for ident in ids
            if before.get(ident) != after.get(ident)
        ]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a preview compares: two books at one moment (ISO), and the rules it is about."""

    before: RuleBook
    after: RuleBook
    concerned: tuple[Rule, ...]
    at: str


def plan_preview(desk: RuleDesk, body: Mapping[str, Any]) -> Plan:
    """Read `before`, `after`, `rule` and `at` of a preview; raises InputError, NotFoundError."""
    before = desk.rules_of(_name(body, "before", CURRENT))
    unsaved = body.get("rule")
    if unsaved is not None and (body.get("after") is not None or not isinstance(unsaved, Mapping)):
        raise InputError("'rule' is a rule that is added to the draft; it takes no 'after' beside it")
    after = desk.rules_of(_name(body, "after", DRAFT)) if unsaved is None else desk.draft_with(unsaved)
    concerned = tuple(change.rule for change in desk.compare(before, after))
    at = desk.clock()
    if body.get("at") is not None:
        at = read_time("at", body["at"])
    elif unsaved is not None and after[-1].state(at) in ("scheduled", "ended"):
        at = after[-1].starts_at or at  # what has not begun is shown as it will begin
    return Plan(
        RuleBook(before, clock=lambda: at), RuleBook(after, clock=lambda: at), concerned, iso(at) or ""
    )


def _name(body: Mapping[str, Any], field: str, default: str) -> str:
    value = body.get(field)
    if value is not None and not isinstance(value, str | int):
        raise InputError(f"{field!r} is {str(value)[:50]!r}; allowed are draft, current or a number")
    return default if value is None else str(value)


def preview(
    recommender: Recommender, before: RuleBook, after: RuleBook, samples: Sequence[Sample]
) -> list[Preview]:
    """Answer each of `samples` under `before` and under `after`."""
    out = []
    for sample in samples:
        try:
            one = recommender.answer_under(sample.query, before)
            two = recommender.answer_under(sample.query, after)
        except VisionRecError as error:  # the text network is not there, or a product is gone
            out.append(Preview(sample, None, None, str(error)))
            continue
        out.append(Preview(sample, one, two))
    return out


def sample_queries(
    state: State, rules: Sequence[Rule], *, k: int = 10, count: int = PREVIEWED
) -> list[Sample]:
    """Choose `count` queries: lists that `rules` are for first, then some spread over the catalogue."""
    rows = [row for rule in rules for row in _rows_for(state, rule)]
    texts = list(dict.fromkeys(rule.scope.value for rule in rules if rule.scope.kind == "query"))
    samples = [Sample(f"Search “{text}”", Query(text=text, k=k)) for text in texts[: count // 2]]
    live = [int(row) for row in state.catalog.live_rows if state.rows[row].any()]
    spread = [live[i * len(live) // count] for i in range(count)] if live else []
    for row in dict.fromkeys((*rows, *spread)):
        if len(samples) == count:
            break
        product = state.catalog.product(row)
        samples.append(Sample(f"Like {product.title or product.id}", Query(product_id=product.id, k=k)))
    return samples


def _rows_for(state: State, rule: Rule, most: int = 4) -> list[int]:
    """Return rows of products whose lists `rule` is for."""
    catalog, scope = state.catalog, rule.scope
    if scope.kind == "product":
        return [catalog.row_of(scope.value)] if scope.value in catalog else []
    if scope.kind != "category":
        return []
    rows = np.flatnonzero(catalog.clause_mask(Clause("category", (scope.value,))) & ~catalog.retired)
    return [int(rows[i * len(rows) // most]) for i in range(most)] if len(rows) else []


def _places(answer: Recommendations | None) -> dict[str, int]:
    return {} if answer is None else {item.product.id: place for place, item in enumerate(answer, 1)}
