"""What the screen of journeys shows, as plain values for templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vision_rec.recommend.journey import Influence, Journey
from vision_rec.service.console.journey_examples import Example
from vision_rec.service.console.journey_form import TYPES, JourneyForm
from vision_rec.service.console.views import image_path, price_text
from vision_rec.types import Product, Recommendation, Recommendations

SHOWN = 8  # products of one list


@dataclass(frozen=True, slots=True)
class Spot:
    """One product of a list, and what became of it since the step before."""

    ident: str
    title: str
    image: str | None
    place: int
    match: int
    note: str
    tone: str  # "", new, up, down
    href: str  # the journey with this product viewed next


@dataclass(frozen=True, slots=True)
class Said:
    """What a view does to the last list."""

    points: str
    width: float
    falls: bool
    words: str


@dataclass(frozen=True, slots=True)
class Step:
    """One view, what can be done with it, and the list after it."""

    number: int
    title: str
    image: str | None
    price: str
    types: Sequence[tuple[str, str, bool]]  # word, address, chosen
    earlier: str
    later: str
    remove: str
    influence: Said | None
    spots: Sequence[Spot]
    left: Sequence[tuple[str, str | None, str]]  # title, picture, why
    empty: str
    news: str


def steps_view(found: Journey, form: JourneyForm, products: Sequence[Product]) -> list[Step]:
    """Show each step of `form`, whose products are `products`, with its list."""
    influences = found.influences.visits[-len(form.steps) :]
    largest = max((abs(one.drop) for one in influences), default=0.0)
    out: list[Step] = []
    before: Recommendations | None = None
    for place, (product, answer) in enumerate(zip(products, found.steps, strict=True)):
        viewed = {step.ident for step in form.steps[: place + 1]}
        spots = _spots(answer, before, form)
        fresh = sum(1 for spot in spots if spot.tone == "new")
        out.append(
            Step(
                number=place + 1,
                title=product.title or product.id,
                image=image_path(product, answer.version_id, 160),
                price=price_text(product),
                types=[
                    (word, form.typed(place, kind).address(), kind == form.steps[place].type)
                    for kind, word in TYPES.items()
                ],
                earlier=form.swapped(place - 1).address() if place else "",
                later=form.swapped(place).address() if place + 1 < len(products) else "",
                remove=form.without(place).address(),
                influence=_said(influences[place], largest) if place < len(influences) else None,
                spots=spots,
                left=_left(answer, before, viewed),
                empty=answer.empty_reason or "",
                news="" if before is None else f"{fresh} of {len(spots)} are new",
            )
        )
        before = answer
    return out


def examples_view(found: Sequence[Example], version_id: str) -> list[dict[str, object]]:
    """Show journeys to begin with."""
    return [
        {
            "name": example.name,
            "note": example.note,
            "href": JourneyForm(example.steps).address(),
            "pictures": [image_path(product, version_id, 160) for product in example.products],
        }
        for example in found
    ]


def found_view(products: Sequence[Product], form: JourneyForm, version_id: str) -> list[dict[str, object]]:
    """Show products that may be added."""
    return [
        {
            "ident": product.id,
            "title": product.title or product.id,
            "price": price_text(product),
            "image": image_path(product, version_id, 80),
            "href": form.plus(product.id).address(),
        }
        for product in products
    ]


def _spots(answer: Recommendations, before: Recommendations | None, form: JourneyForm) -> list[Spot]:
    places = _places(before)
    out = []
    for place, item in enumerate(answer, 1):
        note, tone = "", ""
        if before is not None:
            old = places.get(item.product.id)
            if old is None:
                note, tone = "new", "new"
            elif old != place:
                note, tone = f"from {old}", "up" if place < old else "down"
        out.append(_spot(item, place, note, tone, answer.version_id, form))
    return out


def _spot(item: Recommendation, place: int, note: str, tone: str, version_id: str, form: JourneyForm) -> Spot:
    product = item.product
    return Spot(
        ident=product.id,
        title=product.title or product.id,
        image=image_path(product, version_id, 160),
        place=place,
        match=round(100 * min(max(item.score, 0.0), 1.0)),
        note=note,
        tone=tone,
        href="" if form.is_full else form.plus(product.id).address(),
    )


def _left(
    answer: Recommendations, before: Recommendations | None, viewed: set[str]
) -> list[tuple[str, str | None, str]]:
    stays = _places(answer)
    return [
        (
            item.product.title or item.product.id,
            image_path(item.product, answer.version_id, 80),
            "it was viewed" if item.product.id in viewed else "",
        )
        for item in before or ()
        if item.product.id not in stays
    ]


def _places(answer: Recommendations | None) -> dict[str, int]:
    return {} if answer is None else {item.product.id: place for place, item in enumerate(answer, 1)}


def _said(one: Influence, largest: float) -> Said:
    points = round(100 * one.drop, 1) + 0.0
    if not points:
        words = "Without it the last list would match as well"
    else:
        words = (
            f"Without it the last list matches {abs(points):.1f} points {'less' if points > 0 else 'more'}"
        )
        name, part = max(one.parts.items(), key=lambda entry: entry[1], default=("", 0.0))
        if points > 0 and part > 0 and len(one.parts) > 1:
            words += f", mostly in {name}"
    width = round(100 * abs(one.drop) / largest, 1) if largest > 0 and points else 0.0
    return Said(f"{points:+.1f}".replace("-", "−") if points else "0", width, points >= 0, words)
