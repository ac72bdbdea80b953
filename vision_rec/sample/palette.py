"""The shop's twelve colours in CIELAB, their natural variation, and the tones that go with them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vision_rec.types import Array

Floats = npt.NDArray[np.float64]
Lab = tuple[float, float, float]

COLOURS: dict[str, Lab] = {
    "black": (16.0, 0.5, -1.0),
    "white": (95.5, 0.0, 2.0),
    "grey": (58.0, -0.5, -2.0),
    "red": (43.0, 62.0, 40.0),
    "orange": (66.0, 42.0, 66.0),
    "yellow": (84.0, 4.0, 74.0),
    "green": (47.0, -40.0, 30.0),
    "teal": (54.0, -33.0, -9.0),
    "blue": (43.0, 12.0, -56.0),
    "purple": (37.0, 42.0, -41.0),
    "pink": (73.0, 42.0, -2.0),
    "brown": (35.0, 17.0, 25.0),
}
COLOUR_NAMES = tuple(COLOURS)
ANCHORS = np.array(list(COLOURS.values()))
NEUTRALS: dict[str, Lab] = {
    "cream": (92.0, 0.0, 9.0),
    "white": (95.0, 0.0, 1.0),
    "tan": (60.0, 17.0, 34.0),
    "charcoal": (26.0, 0.0, -3.0),
    "navy": (21.0, 8.0, -27.0),
    "gum": (52.0, 20.0, 34.0),
    "stone": (74.0, 1.0, 9.0),
}
METALS: dict[str, Lab] = {
    "silver": (76.0, 0.0, -2.0),
    "gold": (74.0, 6.0, 42.0),
    "black metal": (24.0, 0.0, -2.0),
}
WOODS: dict[str, Lab] = {"oak": (66.0, 12.0, 30.0), "walnut": (38.0, 13.0, 20.0), "beech": (76.0, 9.0, 25.0)}
CONTRASTS: tuple[Lab, ...] = (  # coral, mustard, sky, mint, burgundy, navy, forest, cream, lilac
    (68.0, 42.0, 30.0), (74.0, 10.0, 62.0), (79.0, -8.0, -22.0), (86.0, -20.0, 8.0), (27.0, 34.0, 10.0),
    (22.0, 8.0, -28.0), (32.0, -22.0, 12.0), (92.0, 0.0, 10.0), (74.0, 16.0, -22.0),
)  # fmt: skip
SCHEMES = ("cream", "deep", "tone", "contrast")


def lab_to_rgb(lab: npt.ArrayLike) -> Array:
    """Convert CIELAB (…, 3) (D65) to sRGB in 0–1, clipped to the gamut."""
    value = np.asarray(lab, dtype=np.float64)
    fy = (value[..., 0] + 16) / 116
    f = np.stack([fy + value[..., 1] / 500, fy, fy - value[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * (0.95047, 1.0, 1.08883)
    linear = np.clip(xyz @ _TO_RGB.T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(
        np.float32
    )


def rgb_to_lab(rgb: npt.ArrayLike) -> Floats:
    """Convert sRGB in 0–1 (…, 3) to CIELAB (D65)."""
    c = np.asarray(rgb, dtype=np.float64)
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1
    )


def nearest_colour(lab: npt.ArrayLike) -> str:
    """Name the shop colour nearest to one CIELAB value."""
    return COLOUR_NAMES[int(np.argmin(np.linalg.norm(ANCHORS - np.asarray(lab), axis=1)))]


def vary(name: str, rng: np.random.Generator) -> Lab:
    """Draw a dye lot of a named colour: lighter, deeper or a shade off, and clearly still that colour."""
    base = np.array(COLOURS[name])
    for _ in range(100):
        chroma, hue = np.hypot(base[1], base[2]), np.arctan2(base[2], base[1])
        chroma = chroma * rng.normal(1.0, 0.08) + (rng.normal(0, 0.8) if chroma < 5 else 0.0)
        hue = hue + np.radians(rng.normal(0, 4.5))
        light = np.clip(base[0] + rng.normal(0, 1.2 if name == "white" else 3.5), 9, 98)
        drawn = rgb_to_lab(
            lab_to_rgb((float(light), float(chroma * np.cos(hue)), float(chroma * np.sin(hue))))
        )
        gaps = np.sort(np.linalg.norm(ANCHORS - drawn, axis=1))
        if nearest_colour(drawn) == name and gaps[0] < 0.5 * gaps[1]:
            return (float(drawn[0]), float(drawn[1]), float(drawn[2]))
    return COLOURS[name]


def partner(lab: Lab, scheme: str, choice: float) -> Lab:
    """Choose the second colour of a pattern: cream, deep, a tone, or a contrast chosen by `choice` (0–1)."""
    if scheme == "contrast":
        far = [c for c in CONTRASTS if np.linalg.norm(np.subtract(c, lab)) > 45 and abs(c[0] - lab[0]) > 12]
        return far[int(choice * 0.999 * len(far))]
    if scheme == "tone":
        return tone(lab, 30.0 if lab[0] < 58 else -30.0)
    if scheme == "cream":
        return NEUTRALS["cream"] if lab[0] < 72 else NEUTRALS["charcoal"]
    return NEUTRALS["navy"] if lab[0] > 48 else NEUTRALS["stone"]


def tone(lab: Lab, lighter: float) -> Lab:
    """Make a colour lighter (or, below 0, darker) by so many L units, keeping its hue."""
    light = float(np.clip(lab[0] + lighter, 6, 96))
    keep = 0.75
    return (light, lab[1] * keep, lab[2] * keep)


_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_TO_RGB = np.linalg.inv(_TO_XYZ)
