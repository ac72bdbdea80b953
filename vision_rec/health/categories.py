"""Text against picture: products that look like another category while their words belong to their own."""

from __future__ import annotations

from collections import Counter

import numpy as np

from vision_rec.fusion import scale
from vision_rec.health.facts import Facts, Ints, sampled_note
from vision_rec.health.model import MAX_LISTED, Finding, Row, Thresholds
from vision_rec.health.pictures import CHUNK, Tell

KIND = "text_against_picture"
_SPARE = 24  # hits beyond those wanted, for variants of the product itself
_SHOWN = 3


def text_against_picture(facts: Facts, limits: Thresholds, shared: set[int], tell: Tell) -> Finding:
    """Return the products of which `unlike` of the nearest by shape are in other categories.

    Of the nearest by text `alike` must be in the product's own. Rows in `shared` have a placeholder for a
    picture and are left out.
    """
    rows = facts.live[facts.categories[facts.live] >= 0]
    total = len(rows)
    if not {"shape", "text"} <= set(facts.state.layout.names):
        return Finding(KIND, 0, (), 0, total, "this index has no shapes, or no words")
    rows = rows[facts.has("shape", rows)]
    rows = rows[facts.has("text", rows)]
    rows = facts.without(rows, shared)
    asked = facts.sample(rows, limits.queries, limits.seed)
    found: list[Row] = []
    for start in range(0, len(asked), CHUNK):
        found += _judged(facts, limits, asked[start : start + CHUNK])
        tell(min(start + CHUNK, len(asked)), len(asked))
    found.sort(key=lambda entry: (-entry.value, entry.product_id))
    note = sampled_note(len(asked), len(rows))
    return Finding(KIND, len(found), tuple(found[:MAX_LISTED]), len(asked), total, note)


def _judged(facts: Facts, limits: Thresholds, rows: Ints) -> list[Row]:
    by_shape = _neighbours(facts, "shape", rows, limits.neighbours)
    out = []
    odd = []
    for row, others in zip(rows, by_shape, strict=True):
        unlike = sum(facts.categories[other] != facts.categories[row] for other in others)
        if len(others) == limits.neighbours and unlike >= limits.unlike:
            odd.append((int(row), others, int(unlike)))
    by_text = _neighbours(facts, "text", np.asarray([row for row, *_ in odd], np.int64), limits.neighbours)
    for (row, others, unlike), words in zip(odd, by_text, strict=True):
        alike = sum(facts.categories[other] == facts.categories[row] for other in words)
        if alike < limits.alike:
            continue
        seen = Counter(int(facts.categories[other]) for other in others if facts.categories[other] >= 0)
        seen.pop(int(facts.categories[row]), None)
        name, count = seen.most_common(1)[0] if seen else (-1, 0)
        looks = f"; {count} of them are in {facts.category_names[name]}" if count else ""
        own = facts.category_names[facts.categories[row]]
        said = f"{unlike} of {len(others)} that look like it are not in {own}{looks}"
        shown = tuple(facts.id(int(other)) for other in others[:_SHOWN])
        out.append(Row(facts.id(row), shown, float(unlike), said))
    return out


def _neighbours(facts: Facts, name: str, rows: Ints, count: int) -> list[Ints]:
    """Return for each of `rows` up to `count` nearest of other families by one aspect alone."""
    if not len(rows):
        return []
    state = facts.state
    scaled = scale(state.layout, state.rows[rows], {name: 1.0})
    hits = state.index.search(scaled, min(count + _SPARE, len(facts.live)), allowed=state.live)
    out = []
    for row, found, scores in zip(rows, hits.rows, hits.scores, strict=True):
        good = (found >= 0) & (scores > 0)
        others = found[good][facts.families[found[good]] != facts.families[row]]
        out.append(others[:count])
    return out
