"""Why a product is where it is, as the page shows it: the arithmetic, swatches, words, rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision_rec.recommend.explain import Explanation, Swatch
from vision_rec.service.console.form import Form
from vision_rec.service.console.views import Card, Names, result_card, rule_addresses, signed
from vision_rec.types import Product, Recommendations, RuleEffect


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the sum: weight × similarity = part."""

    name: str
    tone: int
    weight: str
    similarity: str
    part: str
    width: float
    note: str


@dataclass(frozen=True, slots=True)
class Why:
    """One explanation."""

    card: Card
    asked: str
    place: str
    lines: Sequence[Line]
    score: str
    match: int
    extra: Sequence[tuple[str, str]]
    asked_colours: Sequence[Swatch]
    item_colours: Sequence[Swatch]
    words: Sequence[str]
    reasons: Sequence[str]
    rules: Sequence[str]
    without_rules: str
    edit: Sequence[tuple[str, str]]
    back: str


def why_view(found: Explanation, form: Form, subject: Product | None, names: Names) -> Why:
    """Show an explanation of a product in the search that `form` asks."""
    item = found.item
    answer = Recommendations((item,), found.version_id, found.weights)
    card = result_card(item, answer, form, found.rank or 0, names)
    lines = [_line(found, name, tone) for tone, name in enumerate(names) if name in found.weights]
    plain = item.rank_without_rules
    return Why(
        card=card,
        asked=_asked(form, subject),
        place=f"Place {found.rank}" if found.rank else "Not among the products shown",
        lines=lines,
        score=f"{item.score:.3f}",
        match=round(100 * min(max(item.score, 0.0), 1.0)),
        extra=_extra(found),
        asked_colours=found.query_colours,
        item_colours=found.item_colours,
        words=found.words,
        reasons=card.reasons,
        rules=[effect_text(effect) for effect in item.effects],
        without_rules=f"Without rules: place {plain}" if plain and item.effects else "",
        edit=rule_addresses(form, item.product.id, found.rank or 1),
        back=form.address(),
    )


def effect_text(effect: RuleEffect) -> str:
    """Say what a rule did to a product."""
    if effect.effect == "pin":
        return f"Pinned to place {effect.amount:g} by “{effect.name}”"
    done = {"boost": "Boosted", "bury": "Buried"}.get(effect.effect, effect.effect.capitalize())
    return f"{done} by “{effect.name}” ({effect.amount:+.2f})"


def _line(found: Explanation, name: str, tone: int) -> Line:
    weight, part = found.weights[name], found.item.parts.get(name, 0.0)
    similarity = part / weight if weight > 0 else 0.0
    note = ""
    if weight <= 0:
        note = "does not count"
    elif name in found.item.missing:
        note = "this product has nothing to compare"
    return Line(
        name=name.capitalize(),
        tone=tone % 6,
        weight=f"{weight:.3f}",
        similarity="–" if note else f"{round(similarity, 3) + 0.0:.3f}",
        part=signed(part, 3),
        width=round(100 * min(max(similarity, 0.0), 1.0), 1),
        note=note,
    )


def _extra(found: Explanation) -> list[tuple[str, str]]:
    """Say what moves the place without changing the score."""
    out = []
    if found.item.lexical:
        out.append(("Words found literally", f"{found.item.lexical:.2f} of 1"))
    if found.item.boost:
        out.append(("Boost of the place", f"{found.item.boost:+.3f}"))
    return out


def _asked(form: Form, subject: Product | None) -> str:
    parts = []
    if form.picture:
        parts.append("your picture")
    if subject is not None:
        parts.append(f"“{subject.title}”")
    if form.text:
        parts.append(f"the words “{form.text}”")
    if form.colour:
        parts.append(f"the colour {form.colour}")
    count = len(form.like) + len(form.unlike)
    if count:
        parts.append("1 example" if count == 1 else f"{count} examples")
    return " and ".join(parts) or "your picture"
