"""Product texts and reviews of no particular shop: what a text encoder is centred on.

Every fitted mean and projection sees these beside real feeds, so that it suits shops in general. A model
which the package brings no fit for is fitted on them alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib.resources import files

from vision_rec.encoders.describe import describe
from vision_rec.types import Product

_COLOURS = "black,white,red,blue,green,yellow,grey,beige,brown,pink,purple,orange,navy,silver".split(",")
_MAKERS = (
    "Norvik,Altamar,Pelion,Casa Lume,Birch & Fern,Torvald,Ondine,Kestrel,Maruya,Solvane,Quill,Hale".split(",")
)
_CLAIMS = (
    "Made to last and easy to care for.",
    "A practical companion for every day.",
    "Designed with attention to detail and comfortable to use.",
    "A thoughtful gift for family and friends.",
    "Simple, modern and well made.",
)

_REVIEW_PARTS: tuple[tuple[str, ...], ...] = (
    ("I love this {n}.", "The {n} is not what I expected.", "Very happy with my new {n}.", "Disappointed."),
    (
        "The quality is excellent.",
        "It broke after two weeks.",
        "The material feels cheap.",
        "Solid and sturdy.",
    ),
    (
        "It fits perfectly.",
        "It is smaller than it looks in the picture.",
        "Too big for me.",
        "Just the right size.",
    ),
    ("The colour is exactly as shown.", "The colour is duller than in the photos.", "Beautiful {t} look."),
    (
        "Delivery was quick.",
        "It arrived late and the box was damaged.",
        "Great value for the price.",
        "Overpriced.",
    ),
    ("Easy to use and easy to clean.", "The instructions make no sense.", "Comfortable even after hours."),
    (
        "I would buy it again.",
        "I sent it back.",
        "My daughter uses it every day.",
        "Bought a second one as a gift.",
    ),
)


@dataclass(frozen=True, slots=True)
class Department:
    """What one department of a shop sells, and what its titles say of it."""

    name: str
    nouns: tuple[str, ...]
    kinds: tuple[str, ...]
    traits: tuple[str, ...]


def departments() -> list[Department]:
    """Read the departments that ship with the package."""
    text = (files("vision_rec.encoders") / "text_weights" / "products.txt").read_text("utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line and not line.startswith("#")]
    return [
        Department(name, *(tuple(part.split(",")) for part in (nouns, kinds, traits)))
        for name, nouns, kinds, traits in rows
    ]


def reference_texts(variants: int = 5, seed: int = 11) -> list[str]:
    """Return descriptions of common products, `variants` for each noun; equal arguments, equal texts."""
    draw = random.Random(seed)
    texts = []
    for department in departments():
        for noun in department.nouns:
            texts += [describe(_product(draw, department, noun)) for _ in range(variants)]
    return texts


def reference_reviews(variants: int = 3, seed: int = 12) -> list[list[str]]:
    """Return the review sentences of common products, a few per product; equal arguments, equal texts."""
    draw = random.Random(seed)
    reviews = []
    for department in departments():
        for noun in department.nouns:
            for _ in range(variants):
                parts = draw.sample(_REVIEW_PARTS, draw.randint(3, len(_REVIEW_PARTS)))
                trait = draw.choice(department.traits)
                reviews.append([draw.choice(part).format(n=noun, t=trait) for part in parts])
    return reviews


def _product(draw: random.Random, department: Department, noun: str) -> Product:
    """Draw one product as feeds tell of them: some with much to say, some with a title only."""
    kind, trait, colour = draw.choice(department.kinds), draw.choice(department.traits), draw.choice(_COLOURS)
    title = draw.choice(
        (f"{kind} {noun}", f"{colour} {noun}", f"{noun}, {trait}", f"{trait} {kind} {noun} {colour}", noun)
    )
    maker = draw.choice(_MAKERS)
    if draw.random() < 0.5:
        title = f"{maker} {title}"
    return Product(
        id="",
        title=title.title() if draw.random() < 0.6 else title,
        brand=maker if draw.random() < 0.6 else "",
        category=(department.name,) if draw.random() < 0.7 else (),
        description=f"{noun} {trait}. {draw.choice(_CLAIMS)}" if draw.random() < 0.4 else "",
        attributes={"color": (colour,), "material": (kind,)} if draw.random() < 0.6 else {},
    )
