"""What the screens of rules show, as plain values for templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vision_rec.merchandise import Change, Preview
from vision_rec.service.paths import product_path
from vision_rec.types import Recommendations

SHOWN = 8  # products of one list in a preview
STATES = {"active": "Active", "scheduled": "Scheduled", "ended": "Ended", "off": "Off"}
SAID = {
    "created": "The rule is in the draft. Shoppers see it once the draft is published.",
    "changed": "The change is in the draft. Shoppers see it once the draft is published.",
    "moved": "The pin has its new place in the draft. Shoppers see it once the draft is published.",
    "removed": "The rule is out of the draft. Shoppers see that once the draft is published.",
    "published": "Published: these rules apply now.",
    "same": "There was nothing to publish: the draft is what applies already.",
    "discarded": "The draft is what is published again.",
    "restored": "Taken back: an older version applies again.",
}
_KINDS = {"added": "New", "removed": "Removed", "changed": "Changed"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One product of a preview: where it stands, and where it stood or will stand."""

    ident: str
    title: str
    image: str | None
    place: int
    note: str
    tone: str  # "", up, down, new, pin


@dataclass(frozen=True, slots=True)
class Lists:
    """One query of a preview."""

    label: str
    before: Sequence[Shown]
    after: Sequence[Shown]
    error: str
    moved: int


def rule_line(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule as a row of the list shows it."""
    tags = [{"word": STATES[rule["state"]], "kind": rule["state"]}]
    if rule["unpublished"]:
        tags.append({"word": "New" if rule["unpublished"] == "added" else "Changed", "kind": "draft"})
    if rule["problems"]:
        tags.append({"word": "Conflict", "kind": "conflict"})
    return {**rule, "tags": tags, "when": f"{(rule['changed_at'] or '')[:16].replace('T', ' ')} UTC"}


def change_line(change: Change) -> dict[str, str]:
    """Return one line of a diff."""
    form = change.to_json()
    return {"kind": change.kind, "word": _KINDS[change.kind], "was": form["was"], "is": form["is"],
            "name": change.rule.name}  # fmt: skip


def preview_view(found: Sequence[Preview]) -> dict[str, Any]:
    """Return the lists of a preview, those that change first."""
    lists = [_lists(one) for one in found]
    moved = [one for one in lists if one.moved or one.error]
    return {"moved": moved, "same": len(lists) - len(moved), "total": len(lists)}


def _lists(one: Preview) -> Lists:
    before, after = _places(one.before), _places(one.after)
    return Lists(
        label=one.sample.label,
        before=[_shown(item, place, after, gone=True) for place, item in _first(one.before)],
        after=[_shown(item, place, before, gone=False) for place, item in _first(one.after)],
        error=one.error,
        moved=len(one.moves),
    )


def _first(answer: Recommendations | None) -> list[tuple[int, Any]]:
    return list(enumerate(answer, 1))[:SHOWN] if answer is not None else []


def _places(answer: Recommendations | None) -> dict[str, int]:
    return {} if answer is None else {item.product.id: place for place, item in enumerate(answer, 1)}


def _shown(item: Any, place: int, others: Mapping[str, int], *, gone: bool) -> Shown:
    product, other = item.product, others.get(item.product.id)
    note, tone = "", ""
    if other is None:
        note, tone = ("goes", "down") if gone else ("comes in", "new")
    elif not gone and other != place:
        note, tone = (f"from {other}", "up" if place < other else "down")
    if not gone and item.pinned:
        note, tone = (f"pinned, {note}" if note else "pinned", "pin")
    image = f"{product_path(product.id, 'image')}?w=160" if product.image_refs else None
    return Shown(product.id, product.title or product.id, image, place, note, tone)
