"""Draw products: single pictures, and an endless seeded supply with masks for training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vision_rec.sample.render import Mask, Rendered, render
from vision_rec.sample.spec import ProductSpec, Scene, draw_scene, draw_spec
from vision_rec.types import Picture


@dataclass(frozen=True, slots=True)
class Factors:
    """What a drawn picture shows: the product, the scene, and where it is (side, side), 255 = product."""

    spec: ProductSpec
    scene: Scene
    mask: Mask


def draw_product(spec: ProductSpec, rng: np.random.Generator, side: int, *, view: str = "front") -> Picture:
    """Draw one picture (side, side, 3) of a product; `rng` gives pose, light and backdrop."""
    return render(spec, draw_scene(rng, spec, view), side).picture


def draw_with_mask(
    spec: ProductSpec, rng: np.random.Generator, side: int, *, view: str = "front"
) -> tuple[Picture, Mask]:
    """Draw one picture (side, side, 3) of a product and its foreground mask (side, side), 0–255."""
    drawn: Rendered = render(spec, draw_scene(rng, spec, view), side)
    return drawn.picture, drawn.mask


def iter_drawn(seed: int, count: int, side: int, *, start: int = 0) -> Iterator[tuple[Picture, Factors]]:
    """Draw pictures `start` … `start + count` of the endless series of a seed, each with its factors.

    Picture `i` depends on (seed, i) alone, so several processes can each take a stretch.
    """
    for i in range(start, start + count):
        rng = np.random.default_rng((seed, i))
        spec = draw_spec(rng)
        view = "front" if rng.random() < 0.8 else "turned"
        scene = draw_scene(rng, spec, view)
        drawn = render(spec, scene, side)
        yield drawn.picture, Factors(spec, scene, drawn.mask)
