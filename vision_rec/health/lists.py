"""Products that no list ever shows."""

from __future__ import annotations

import numpy as np

from vision_rec.errors import ChangedError
from vision_rec.health.facts import Facts, sampled_note
from vision_rec.health.model import MAX_LISTED, Finding, Row, Thresholds
from vision_rec.health.pictures import Tell
from vision_rec.recommend import Recommender

KIND = "never_shown"
_TELL_EVERY = 64


def never_shown(facts: Facts, limits: Thresholds, recommender: Recommender, tell: Tell) -> Finding:
    """Return the products that are in nobody's similar list, with default weights and without rules."""
    live = facts.live
    asked = facts.sample(live, limits.queries, limits.seed)
    shown = np.zeros(len(facts.state), dtype=np.int64)
    lists = recommender.similar_all(limits.list_length, rows=asked, rules=False)
    for number, entry in enumerate(lists, 1):
        if number == 1 and recommender.version_id != facts.state.version_id:
            raise ChangedError("another version came into use while this one was checked; check again")
        shown[[facts.state.catalog.row_of(name) for name in entry.ids]] += 1
        if number % _TELL_EVERY == 0 or number == len(asked):
            tell(number, len(asked))
    hidden = live[shown[live] == 0] if len(live) > 1 else live[:0]
    whole = _whole_families(facts, shown)
    rows = [Row(facts.id(int(row)), (), 0.0, _said(facts, int(row), whole)) for row in hidden]
    rows.sort(key=lambda entry: entry.detail.startswith("its variants"))
    note = sampled_note(len(asked), len(live))
    if note:
        note = f"{note}: some of these may be in lists of the others"
    return Finding(KIND, len(rows), tuple(rows[:MAX_LISTED]), len(asked), len(live), note)


def _whole_families(facts: Facts, shown: np.ndarray) -> set[int]:
    """Return the variant groups of which no list shows any product."""
    live = facts.live
    return set(map(int, facts.families[live])) - set(map(int, facts.families[live[shown[live] > 0]]))


def _said(facts: Facts, row: int, whole: set[int]) -> str:
    if not facts.state.rows[row].any():
        return "it has neither picture nor words to compare"
    lacks = [name for name in ("colour", "text") if name in facts.state.layout.names]
    missing = [name for name in lacks if not facts.has(name, np.asarray([row])).all()]
    if missing:
        return f"it has no {' and no '.join('picture' if name == 'colour' else 'text' for name in missing)}"
    if int(facts.families[row]) not in whole:
        return "its variants are shown in its place"
    return "other products are always nearer"
