"""Titles, descriptions and prices, written from what a product is."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from vision_rec.sample.palette import COLOURS, CONTRASTS, NEUTRALS
from vision_rec.sample.spec import ProductSpec
from vision_rec.sample.words import (
    FEEL,
    MATERIALS,
    OWN_MATERIALS,
    PATTERN_LABEL,
    PATTERN_SENTENCE,
    PRICE_OF_MATERIAL,
    WORDING,
)

_CONTRAST_NAMES = (
    "coral",
    "mustard",
    "sky blue",
    "mint",
    "burgundy",
    "navy",
    "forest green",
    "cream",
    "lilac",
)
_TONES = {**NEUTRALS, **dict(zip(_CONTRAST_NAMES, CONTRASTS, strict=True))}


@dataclass(frozen=True, slots=True)
class Label:
    """What the shop says about a group of variants, the same for all its colours."""

    brand: str
    gender: str
    size: str
    price: Decimal  # EUR
    style: int  # which of the title's forms this brand uses
    use: str
    detail: str


def draw_label(spec: ProductSpec, rng: np.random.Generator) -> Label:
    """Draw brand, size, price and sentences for a product and its variants."""
    words = WORDING[spec.article]
    brand = str(rng.choice(words.brands))
    pricey = 0.85 + 0.1 * (sum(map(ord, brand)) % 5)  # every brand has its level of prices
    raw = words.price * pricey * PRICE_OF_MATERIAL.get(spec.texture, 1.0) * float(rng.uniform(0.85, 1.2))
    price = Decimal(int(raw)) + (Decimal("0.95") if raw < 60 else Decimal("0.00"))
    return Label(
        brand=brand,
        gender=str(rng.choice(words.genders)),
        size=str(rng.choice(words.sizes)),
        price=price,
        style=int(rng.integers(3)),
        use=str(rng.choice(words.uses)),
        detail=str(rng.choice(words.details)),
    )


def material_of(spec: ProductSpec) -> str:
    """Name the main material the way a label does."""
    return OWN_MATERIALS.get((spec.article, spec.texture), MATERIALS[spec.texture])


def name_of(spec: ProductSpec) -> str:
    """Name the thing itself: cut and article, as in `V-neck T-shirt`."""
    noun = WORDING[spec.article].noun
    if spec.article in ("jacket", "cap", "handbag", "chair") and noun.split()[-1] not in spec.cut:
        alone = {"bomber": "bomber jacket", "parka": "parka", "blazer": "blazer", "tote": "tote bag"}
        known = ("beanie", "baseball cap", "armchair")
        return alone.get(spec.cut, spec.cut if spec.cut in known else f"{spec.cut} {noun}")
    if spec.cut in ("turtleneck", "cardigan") or noun in spec.cut:
        return spec.cut if spec.cut != "turtleneck" else "turtleneck sweater"
    if spec.article == "backpack":
        return {"school bag": "school backpack", "rolltop": "rolltop backpack"}.get(spec.cut, spec.cut)
    if spec.article == "pump":
        return {"ballet flat": "ballet flats", "stiletto": "stiletto pumps"}.get(spec.cut, "block heel pumps")
    if spec.article == "lamp":
        return f"table lamp with {spec.cut} shade"
    return f"{spec.cut} {noun}"


def title_of(spec: ProductSpec, label: Label) -> str:
    """Write a title that names brand, colour, pattern, material and article."""
    name = name_of(spec)
    pattern = "" if spec.pattern == "solid" else PATTERN_LABEL[spec.pattern] + " "
    if label.style == 0:
        return f"{label.brand} {spec.colour} {pattern}{name} in {material_of(spec)}"
    if label.style == 1:
        return f"{label.brand} {material_of(spec)} {name}, {pattern}{spec.colour}"
    return f"{spec.colour.capitalize()} {pattern}{name} – {label.brand}"


def description_of(spec: ProductSpec, label: Label) -> str:
    """Write what a shop says under the picture; every word is true of the product."""
    shade = shade_of(spec)
    look = PATTERN_SENTENCE[spec.pattern].format(
        colour=f"{shade} {spec.colour}".strip(), second=second_name(spec)
    )
    look = look[0].upper() + look[1:]
    material = material_of(spec)
    plural = name_of(spec).endswith(("s", "trousers")) and spec.article in (
        "sneaker",
        "boot",
        "pump",
        "trousers",
    )
    made = "These {} are made of {}" if plural else "This {} is made of {}"
    sentence = made.format(name_of(spec), material)
    return f"{sentence}, {FEEL[spec.texture]}. {look}. {label.detail} {label.use}"


def shade_of(spec: ProductSpec) -> str:
    """Say how this product's colour differs from the usual one of its name."""
    usual = COLOURS[spec.colour]
    if spec.colour in ("black", "white"):
        return ""
    if spec.lab[0] < usual[0] - 3:
        return "deep"
    if spec.lab[0] > usual[0] + 3:
        return "light"
    chroma, plain = np.hypot(*spec.lab[1:]), np.hypot(*usual[1:])
    return (
        "" if plain < 10 else "bright" if chroma > plain * 1.06 else "muted" if chroma < plain * 0.92 else ""
    )


def second_name(spec: ProductSpec) -> str:
    """Name the second colour of a pattern: a listed tone if it is one, else lighter or darker."""
    for name, tone in _TONES.items():
        if np.allclose(tone, spec.second):
            return name
    return "lighter" if spec.second[0] > spec.lab[0] else "darker"


def price_text(amount: Decimal) -> str:
    """Write a price as feeds do: `49.95 EUR`."""
    return f"{amount:.2f} EUR"
