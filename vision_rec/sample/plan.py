"""Plan a shop: which products there are, in which groups, with which pictures. Pure and seeded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from vision_rec.sample.articles import ARTICLES
from vision_rec.sample.palette import COLOUR_NAMES
from vision_rec.sample.patterns import PATTERNS
from vision_rec.sample.spec import ProductSpec, Scene, draw_scene, draw_spec, recolour
from vision_rec.sample.texts import Label, draw_label
from vision_rec.sample.words import WORDING
from vision_rec.types import AVAILABILITIES


@dataclass(frozen=True, slots=True)
class Character:
    """How a product turns out in use, the same for all its colours; 0–1 (fit: −1 small … 1 large)."""

    comfort: float
    quality: float
    fit: float


@dataclass(frozen=True, slots=True)
class Planned:
    """One product of the shop: what it is, what is said about it, how it is shown."""

    id: str
    group: str
    spec: ProductSpec
    label: Label
    character: Character
    scenes: tuple[Scene, ...]  # the main picture first
    sale_price: Decimal | None
    availability: str

    def picture_name(self, place: int) -> str:
        """Return the file name of a picture, the main one at place 0."""
        return f"{self.id}.jpg" if place == 0 else f"{self.id}-{place + 1}.jpg"


def plan_shop(count: int, seed: int) -> list[Planned]:
    """Plan `count` products, evenly over articles and colours, in groups of one to four variants."""
    rng = np.random.default_rng((seed, 1))
    names = list(ARTICLES)
    quota = {name: count // len(names) + (i < count % len(names)) for i, name in enumerate(names)}
    overall: Counter[str] = Counter()
    products: list[Planned] = []
    for name in names:
        patterns = _patterns(rng)
        within: Counter[str] = Counter()
        number = 0
        left = quota[name]
        while left:
            number += 1
            size = min(left, int(rng.choice((1, 2, 3, 4), p=(0.42, 0.28, 0.2, 0.1))))
            colours = _colours(rng, size, overall, within)
            cuts = ARTICLES[name].cuts
            base = draw_spec(
                rng,
                article=name,
                cut=cuts[number % len(cuts)],
                colour=colours[0],
                pattern=patterns[number % len(patterns)],
            )
            products += _group(rng, f"{WORDING[name].code}{number:03d}", base, colours)
            left -= size
    return [products[int(i)] for i in rng.permutation(len(products))]


def _group(rng: np.random.Generator, group: str, base: ProductSpec, colours: list[str]) -> list[Planned]:
    label = draw_label(base, rng)
    character = Character(
        *(
            float(x)
            for x in np.round(
                [rng.beta(3.2, 1.4), rng.beta(3.2, 1.4), np.clip(rng.normal(0, 0.45), -1, 1)], 3
            )
        )
    )
    made = []
    for place, colour in enumerate(colours):
        spec = base if place == 0 else recolour(base, colour, rng)
        made.append(
            Planned(
                id=f"{group}-{colour[:3].upper()}" if colour != "grey" else f"{group}-GRY",
                group=group,
                spec=spec,
                label=label,
                character=character,
                scenes=_scenes(rng, spec),
                sale_price=(label.price * Decimal(int(rng.integers(60, 90))) / 100).quantize(Decimal("0.01"))
                if rng.random() < 0.12
                else None,
                availability=str(rng.choice(AVAILABILITIES, p=(0.87, 0.07, 0.03, 0.03))),
            )
        )
    return made


def _scenes(rng: np.random.Generator, spec: ProductSpec) -> tuple[Scene, ...]:
    views = ["front"]
    if rng.random() < 0.22:
        views += [
            str(v)
            for v in rng.choice(("turned", "back", "detail"), size=int(rng.integers(1, 3)), replace=False)
        ]
    return tuple(draw_scene(rng, spec, view) for view in views)


def _patterns(rng: np.random.Generator) -> list[str]:
    """Return an order of patterns in which plain things are a quarter and all others equal."""
    names = [*PATTERNS, "solid"]
    return [names[int(i)] for i in rng.permutation(len(names))]


def _colours(rng: np.random.Generator, size: int, overall: Counter[str], within: Counter[str]) -> list[str]:
    """Choose the colours used least so far, of this article first and of the shop second."""
    tie = dict(zip(COLOUR_NAMES, rng.random(len(COLOUR_NAMES)), strict=True))
    chosen = sorted(COLOUR_NAMES, key=lambda name: (within[name], overall[name], tie[name]))[:size]
    overall.update(chosen)
    within.update(chosen)
    return chosen
