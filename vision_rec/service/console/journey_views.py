"""What the screen of journeys shows, as plain values for templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vision_rec.recommend.journey import Influence, Journey
from vision_rec.service.console.journey_examples import Example
from vision_rec.service.console.journey_form import TYPES, JourneyForm
from vision_rec.service.console.views import image_path, price_text
from vision_rec.types import Product, Recommendations

SHOWN = 8  # products of one list


@dataclass(frozen=True, slots=True)
class Spot:
    """One product of a list, and what became of it since the step before."""

    ident: str
    title: str
    image: str | None
    place: int
    fit: int  # 100 for the best score of the list: a model's own scores cannot be compared with another's
    note: str
    tone: str  # "", new, up, down
    href: str  # the journey with this product viewed next


@dataclass(frozen=True, slots=True)
class Said:
    """What a view does to the last list."""

    percent: str
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
                influence=influence_said(influences[place], largest, found.influences.score)
                if place < len(influences)
                else None,
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


def moved(ident: str, place: int, places: Mapping[str, int] | None) -> tuple[str, str]:
    """Say what became of a product since a list of `places`, None where there was none: a note, its tone."""
    if places is None or places.get(ident) == place:
        return "", ""
    old = places.get(ident)
    return ("new", "new") if old is None else (f"from {old}", "up" if place < old else "down")


def _spots(answer: Recommendations, before: Recommendations | None, form: JourneyForm) -> list[Spot]:
    places = None if before is None else _places(before)
    best = max((item.score for item in answer), default=0.0)
    out = []
    for place, item in enumerate(answer, 1):
        product = item.product
        note, tone = moved(product.id, place, places)
        out.append(
            Spot(
                ident=product.id,
                title=product.title or product.id,
                image=image_path(product, answer.version_id, 160),
                place=place,
                fit=round(100 * max(item.score, 0.0) / best) if best > 0 else 0,
                note=note,
                tone=tone,
                href="" if form.is_full else form.plus(product.id).address(),
            )
        )
    return out


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


def influence_said(one: Influence, largest: float, score: float) -> Said:
    """Say what a view does to a list of a mean score, in per cent of that."""
    percent = round(100 * one.drop / score) if score > 0 else 0
    if not percent:
        words = "Without it the last list would fit as well"
    else:
        words = f"Without it the last list fits {abs(percent)} % {'less' if percent > 0 else 'better'}"
        name, part = max(one.parts.items(), key=lambda entry: entry[1], default=("", 0.0))
        if percent > 0 and part > 0 and len(one.parts) > 1:
            words += f", mostly in {name}"
    width = round(100 * abs(one.drop) / largest, 1) if largest > 0 and percent else 0.0
    return Said(f"{percent:+d} %".replace("-", "−") if percent else "0", width, percent >= 0, words)
