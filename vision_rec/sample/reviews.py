"""Reviews that say something true about a product: its colour, material, comfort, fit and quality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from vision_rec.sample.plan import Planned
from vision_rec.sample.texts import material_of, name_of
from vision_rec.sample.words import PATTERN_LABEL, WORDING

START = datetime(2025, 1, 6, 8, 0, tzinfo=UTC)
DAYS = 400
_WORN = ("Apparel", "Shoes")


@dataclass(frozen=True, slots=True)
class DrawnReview:
    """One review as the reviews file has it."""

    product_id: str
    rating: int
    title: str
    text: str
    at: datetime
    helpful: int


COLOUR_LINES = (
    "The {colour} is exactly as in the picture.",
    "Lovely {colour}, just the shade I was looking for.",
    "The {colour} goes with half of what I own.",
    "Such a beautiful {colour}, it looks even better in daylight.",
)
PATTERN_LINES = (
    "The {pattern} pattern gets me compliments all the time.",
    "I love the {pattern} design.",
    "The {pattern} look is cheerful without being loud.",
)
MATERIAL_LINES = (
    "The {material} feels good to the touch.",
    "You can tell that it is real {material}.",
    "The {material} is easy to care for.",
)
COMFORT = {
    "high": (
        "So comfortable that I forget I have it on.",
        "Very comfortable, even after a long day.",
        "Soft and comfortable from the first day.",
    ),
    "fair": ("Comfortable enough for a few hours.", "Comfort is fine, nothing special."),
    "low": ("Not comfortable, it rubs after an hour.", "Stiff and uncomfortable for me."),
}
EASE = {
    "high": ("A pleasure to use.", "Feels just right and never fails.", "So handy that I use it daily."),
    "fair": ("Does what it should.", "Handling is fine, nothing special."),
    "low": ("Awkward to use.", "Clumsier than I thought."),
}  # fmt: skip
QUALITY = {
    "high": (
        "Beautifully made, every seam and edge is clean.",
        "Great quality for the price.",
        "Still looks new after months.",
    ),
    "fair": ("Quality is okay for the price.", "Decently made."),
    "low": (
        "Poor quality, it came apart after two weeks.",
        "Sloppy finish, I expected more.",
        "Looks worn already after a month.",
    ),
}
FIT = {
    "small": ("Runs small, take one size up.", "A bit tight on me, order a size larger."),
    "true": ("Fits true to size.", "The fit is perfect."),
    "large": ("Runs large, take one size down.", "Rather loose on me, order a size smaller."),
}
TITLES = {
    5: ("Love it", "Perfect", "My new favourite", "Would buy again"),
    4: ("Very nice", "Good buy", "Happy with it"),
    3: ("It is okay", "Mixed feelings", "Fine"),
    2: ("Not convinced", "Expected more"),
    1: ("Disappointed", "Sending it back"),
}
CLOSING = {
    5: ("Highly recommended.", "I will order another {name}.", ""),
    4: ("Recommended.", "A good {name} all in all.", ""),
    3: ("An average {name}.", ""),
    2: ("I would not buy it again.", ""),
    1: ("Returned it.", "I regret buying this {name}."),
}


def draw_reviews(products: list[Planned], seed: int) -> Iterator[DrawnReview]:
    """Write the reviews of a shop: none for some products, many for few."""
    rng = np.random.default_rng((seed, 2))
    for product in products:
        popular = rng.gamma(1.3, 3.0)
        for _ in range(min(14, int(rng.poisson(popular)))):
            yield _review(product, rng)


def _review(product: Planned, rng: np.random.Generator) -> DrawnReview:
    """Write one review: a buyer's luck around the product's own character, then words, then the stars."""
    character = product.character
    comfort = float(np.clip(character.comfort + rng.normal(0, 0.16), 0, 1))
    quality = float(np.clip(character.quality + rng.normal(0, 0.16), 0, 1))
    worn = WORDING[product.spec.article].path.startswith(_WORN) and product.spec.article != "cap"
    off = abs(character.fit) > 0.5 if worn else False
    rating = _stars(comfort, quality, off)
    spec = product.spec
    facts = [_one(rng, QUALITY[_level(quality)]), _one(rng, (COMFORT if worn else EASE)[_level(comfort)])]
    if off or (worn and rng.random() < 0.7):
        facts.append(
            _one(rng, FIT["small" if character.fit < -0.5 else "large" if character.fit > 0.5 else "true"])
        )
    likes = [_one(rng, COLOUR_LINES)] if rng.random() < 0.6 else []
    if spec.pattern != "solid" and rng.random() < 0.4:
        likes.append(_one(rng, PATTERN_LINES))
    if quality > 0.45 and rng.random() < 0.4:
        likes.append(_one(rng, MATERIAL_LINES))
    lines = [facts[int(i)] for i in rng.permutation(len(facts))][: int(rng.integers(1, 4))]
    # The words that explain the stars always stay.
    reasons = [facts[0] if quality <= comfort else facts[1], *(facts[2:] if off else [])]
    lines += [reason for reason in reasons if reason not in lines]
    text = " ".join([*likes, *lines, _one(rng, CLOSING[rating])]).strip()
    names = {
        "colour": spec.colour,
        "pattern": PATTERN_LABEL[spec.pattern],
        "material": material_of(spec),
        "name": name_of(spec),
    }
    at = START + timedelta(days=float(rng.uniform(0, DAYS)))
    helpful = int(rng.poisson(rng.gamma(0.6, 3.0)))
    return DrawnReview(
        product.id,
        rating,
        _one(rng, TITLES[rating]),
        text.format(**names),
        at.replace(microsecond=0),
        helpful,
    )


def _stars(comfort: float, quality: float, off: bool) -> int:
    """Turn a buyer's experience into 1–5 stars; nobody gives four to a thing that fails in one respect."""
    levels = (_level(comfort), _level(quality))
    score = 1.0 + 4.6 * (0.5 * comfort + 0.5 * quality) - 0.5 * off
    limit = 5 if "low" not in levels else 2 if levels == ("low", "low") else 3
    return int(np.clip(round(score), 1, limit))


def _level(value: float) -> str:
    return "high" if value > 0.58 else "fair" if value > 0.38 else "low"


def _one(rng: np.random.Generator, lines: tuple[str, ...]) -> str:
    return lines[int(rng.integers(len(lines)))]
