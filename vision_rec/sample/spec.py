"""What a product is (its spec) and how one picture shows it (its scene): every factor that is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vision_rec.sample.articles import ARTICLES
from vision_rec.sample.palette import (
    COLOUR_NAMES,
    METALS,
    NEUTRALS,
    SCHEMES,
    WOODS,
    Lab,
    partner,
    tone,
    vary,
)
from vision_rec.sample.patterns import PATTERNS

KNOBS = 8
VIEWS = ("front", "turned", "back", "detail")
BACKDROPS = ("white", "soft grey", "warm", "tinted", "stage")


@dataclass(frozen=True, slots=True)
class ProductSpec:
    """One product, seen from everywhere: the factors a shopper would name, and its exact proportions."""

    article: str
    cut: str
    colour: str  # one of COLOUR_NAMES
    lab: Lab  # this product's own shade of it
    pattern: str  # one of PATTERNS
    texture: str  # one of patterns.TEXTURES
    scheme: str  # where the second colour of the pattern comes from
    second: Lab
    accent: str  # a neutral: straps, handles
    sole: str
    metal: str
    wood: str
    knobs: tuple[float, ...]  # proportions, −1…1
    print_scale: float  # period of the pattern in product units
    print_turn: float  # radians
    seed: int  # places flowers and grain


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture of a product: pose, light, backdrop."""

    view: str
    rotation: float  # radians
    scale: float
    shift_x: float  # product units
    shift_y: float
    squeeze: float  # apparent width, 1 = straight on
    flip: bool
    light_angle: float  # radians, where the light comes from
    light: float  # strength of the shading, 1 = usual
    exposure: float
    warmth: float
    backdrop: str
    wall: Lab
    floor: Lab
    seed: int  # creases and film grain


def draw_spec(
    rng: np.random.Generator,
    *,
    article: str | None = None,
    cut: str | None = None,
    colour: str | None = None,
    pattern: str | None = None,
    texture: str | None = None,
) -> ProductSpec:
    """Draw a product's factors; those given stay as given."""
    article = article or _one(rng, tuple(ARTICLES))
    kind = ARTICLES[article]
    colour = colour or _one(rng, COLOUR_NAMES)
    pattern = pattern or (_one(rng, PATTERNS[1:]) if rng.random() < 0.72 else "solid")
    lab = vary(colour, rng)
    scheme = _one(rng, SCHEMES)
    turn = float(rng.choice([0.0, 0.0, np.pi / 2, np.pi / 4]))
    if pattern not in ("stripes", "check"):
        turn = float(rng.normal(0, 0.12)) if pattern in ("floral", "leopard") else 0.0
    return ProductSpec(
        article=article,
        cut=cut or _one(rng, kind.cuts),
        colour=colour,
        lab=lab,
        pattern=pattern,
        texture=texture or _one(rng, kind.textures),
        scheme=scheme,
        second=partner(lab, scheme, float(rng.random())),
        accent=_one(rng, ("tan", "charcoal", "cream", "stone", "navy")),
        sole=_one(rng, ("white", "cream", "white", "gum", "charcoal")),
        metal=_one(rng, tuple(METALS)),
        wood=_one(rng, tuple(WOODS)),
        knobs=tuple(float(x) for x in np.round(rng.uniform(-1, 1, KNOBS), 4)),
        print_scale=float(np.round(rng.uniform(0.19, 0.31) * kind.print_size, 4)),
        print_turn=turn,
        seed=int(rng.integers(1, 2**31)),
    )


def recolour(spec: ProductSpec, colour: str, rng: np.random.Generator) -> ProductSpec:
    """Return the same product in another colour: a variant of its group."""
    lab = vary(colour, rng)
    return replace(spec, colour=colour, lab=lab, second=partner(lab, spec.scheme, float(rng.random())))


def draw_scene(rng: np.random.Generator, spec: ProductSpec, view: str = "front") -> Scene:
    """Draw how one picture shows a product: slightly turned, shifted and lit."""
    kind = ARTICLES[spec.article]
    backdrop = _one(rng, BACKDROPS, (0.46, 0.18, 0.13, 0.14, 0.09))
    if spec.colour == "white" and backdrop == "white":
        backdrop = _one(rng, ("soft grey", "tinted", "warm"))
    wall, floor = _backdrop_colours(rng, backdrop, spec.colour)
    tilt = 0.022 if kind.stands else 0.075
    squeeze = float(rng.uniform(kind.squeeze, 1.0)) if kind.squeeze < 1 else 1.0
    scale, shift_x, shift_y = rng.uniform(0.80, 0.97), rng.normal(0, 0.025), rng.normal(0, 0.02)
    flip = bool(rng.random() < 0.5)
    if view == "turned":
        squeeze = float(rng.uniform(0.72, 0.82)) if kind.squeeze < 1 else 1.0
        tilt *= 2.2
    if view == "detail":
        scale, shift_x, shift_y = rng.uniform(1.7, 2.2), rng.normal(0, 0.1), rng.uniform(0.1, 0.5)
    return Scene(
        view=view,
        rotation=float(rng.normal(0, tilt)),
        scale=float(scale),
        shift_x=float(shift_x),
        shift_y=float(shift_y),
        squeeze=squeeze,
        flip=flip,
        light_angle=float(rng.uniform(-2.7, -0.45)),
        light=float(rng.uniform(0.75, 1.2)),
        exposure=float(rng.normal(1.0, 0.025)),
        warmth=float(rng.normal(0.0, 0.012)),
        backdrop=backdrop,
        wall=wall,
        floor=floor,
        seed=int(rng.integers(1, 2**31)),
    )


def paints(spec: ProductSpec) -> dict[str, Lab]:
    """Return the CIELAB colour of every paint that parts may ask for."""
    light = spec.lab[0]
    second_light = spec.second[0]
    seam_tone = tone(spec.lab, 20.0) if light < 24 else tone(spec.lab, -min(34.0, 0.55 * light))
    contrast = NEUTRALS["cream"] if light < 62 else NEUTRALS["charcoal"]
    return {
        "main": spec.lab,
        "inner": tone(spec.lab, -0.38 * light if light > 24 else -6.0),
        "rib": tone(spec.lab, -9.0 if light > 28 else 7.0),
        "tone": tone(spec.lab, -20.0 if light > 50 else 22.0),
        "tint": tone(spec.lab, 22.0),
        "pair": spec.second,
        "trim": spec.second if abs(second_light - light) > 15 else contrast,
        "third": tone(spec.second, -22.0 if second_light > 50 else 30.0),
        "accent": NEUTRALS[spec.accent],
        "metal": METALS[spec.metal],
        "wood": WOODS[spec.wood],
        "sole": NEUTRALS[spec.sole],
        "outsole": NEUTRALS["charcoal"] if light > 36 else WOODS["walnut"] if light > 24 else NEUTRALS["gum"],
        "lace": NEUTRALS["white"] if light < 80 else NEUTRALS["stone"],
        "button": NEUTRALS["cream"]
        if light < 50
        else NEUTRALS["charcoal"]
        if spec.seed % 2
        else NEUTRALS["tan"],
        "mark": NEUTRALS["white"] if light < 70 else NEUTRALS["charcoal"],
        "light": NEUTRALS["cream"],
        "dark": NEUTRALS["charcoal"] if light > 36 else (10.0, 0.0, 0.0),
        "glow": (92.0, 4.0, 26.0),
        "coffee": (24.0, 12.0, 18.0),
        "leaf": (58.0, -8.0, 24.0),
        "thread": tone(spec.lab, 30.0) if light < 55 else tone(spec.lab, -28.0),
        "shade": seam_tone,
    }


def _backdrop_colours(rng: np.random.Generator, backdrop: str, colour: str) -> tuple[Lab, Lab]:
    lower = 7.0 if colour == "white" else 0.0  # a white product needs a backdrop it stands out from
    light = float(rng.uniform(96, 99) if backdrop == "white" else rng.uniform(91, 96) - lower)
    hue = float(rng.uniform(0, 2 * np.pi))
    chroma = {"white": 0.5, "soft grey": 1.0, "warm": 5.0, "tinted": 8.0, "stage": 4.0}[backdrop]
    hue = 1.35 if backdrop == "warm" else hue
    a, b = float(chroma * np.cos(hue)), float(chroma * np.sin(hue))
    drop = float(rng.uniform(4, 8)) if backdrop == "stage" else 1.5
    return (light, a, b), (light - drop, a * 1.2, b * 1.2)


def _one(rng: np.random.Generator, names: tuple[str, ...], shares: tuple[float, ...] | None = None) -> str:
    return names[int(rng.choice(len(names), p=shares))]
