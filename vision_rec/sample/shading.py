"""Light on a part: roundness, creases, highlights; and the shadow a product throws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vision_rec.sample.fields import enlarge, soften
from vision_rec.types import Array


@dataclass(frozen=True, slots=True)
class Light:
    """Where the light comes from (a unit vector, y downwards) and how strong its shading is."""

    x: float
    y: float
    strength: float


@dataclass(frozen=True, slots=True)
class Lit:
    """What light does to a part: `shade` multiplies its colour (H, W), `shine` adds white (H, W), 0–1."""

    shade: Array
    shine: Array


def light_soft(alpha: Array, relief: float, gloss: float, light: Light) -> Lit:
    """Light a pillow-like part from its silhouette (H, W)."""
    size = min(alpha.shape)
    radius = float(np.clip(0.13 * size, 1.0, 0.055 * 320 * max(1.0, size / 320)))
    height = soften(alpha, radius)
    slope = radius * _slope(height, light)
    edge = np.clip(1.0 - height, 0, 1) ** 2
    shade = 1.0 + relief * light.strength * (0.42 * slope - 0.20 * edge + 0.02)
    if not gloss:
        return Lit(shade, np.zeros(1, dtype=np.float32))
    shine = gloss * 0.5 * np.exp(-(((slope - 0.26) / 0.10) ** 2))
    return Lit(shade, shine.astype(np.float32))


def light_round(alpha: Array, relief: float, gloss: float, light: Light) -> tuple[Lit, Array, Array]:
    """Light a body of revolution; also return its middle and half width per row (H, 1), in pixels."""
    inside = alpha > 0.5
    w = alpha.shape[1]
    some = inside.any(axis=1)
    left = np.where(some, inside.argmax(axis=1), 0.35 * w)
    right = np.where(some, w - 1 - inside[:, ::-1].argmax(axis=1), 0.65 * w)
    middle = ((left + right) / 2)[:, None].astype(np.float32)
    half = np.maximum((right - left) / 2, 1.0)[:, None].astype(np.float32)
    across = np.clip((np.arange(w, dtype=np.float32)[None] - middle) / half, -1, 1)
    side = 0.62 if light.x > 0 else -0.62
    facing = np.sqrt(1 - across**2) * np.sqrt(1 - side**2) + across * side
    radius = max(1.0, 0.05 * min(alpha.shape))
    ends = radius * _slope(soften(alpha, radius), light)
    shade = 1.0 + relief * light.strength * (0.42 * (facing - 0.80) + 0.12 * ends)
    band = np.exp(-(((across - 0.72 * side) / 0.10) ** 2)) + 0.35 * np.exp(
        -(((across + 0.86 * np.sign(side)) / 0.06) ** 2)
    )
    shine = gloss * 0.5 * band * np.clip(soften(alpha, 3.0 + 0.03 * w) * 2 - 1, 0, 1)
    return Lit(shade.astype(np.float32), shine.astype(np.float32)), middle, half


def creases(shape: tuple[int, int], pixels_per_unit: float, seed: int, light: Light) -> Array:
    """Return soft folds of cloth (H, W): the slope of a lazy landscape, lit from the side, about −1…1."""
    rng = np.random.default_rng(seed)
    h, w = shape
    cell = max(3.0, 0.16 * pixels_per_unit)
    long = enlarge(rng.standard_normal((int(h / cell / 2.4) + 4, int(w / cell) + 4), dtype=np.float32), shape)
    fine = enlarge(rng.standard_normal((int(h / cell) + 4, int(w / cell * 1.7) + 4), dtype=np.float32), shape)
    ridge = 1.0 - np.abs(long) * 0.9 + 0.35 * fine
    return np.asarray(np.clip(0.5 * cell * _slope(ridge, light), -1.2, 1.2), dtype=np.float32)


def shadow_flat(alpha: Array, light: Light) -> Array:
    """Return the soft shadow (H, W) of a product lying on a surface."""
    side = max(alpha.shape)
    far, near = soften(alpha, 0.035 * side), soften(alpha, 0.010 * side)
    return 0.22 * _moved(far, light, 0.022 * side) + 0.20 * _moved(near, light, 0.006 * side)


def shadow_standing(alpha: Array, light: Light) -> Array:
    """Return the contact shadow (H, W) of a product standing on a floor."""
    h, w = alpha.shape
    rows = np.flatnonzero((alpha > 0.5).any(axis=1))
    if not rows.size:
        return np.zeros_like(alpha)
    low, tall = int(rows[-1]), max(4, len(rows))
    foot = alpha[max(0, low - max(2, int(0.05 * tall))) : low + 1]
    columns = np.flatnonzero((foot > 0.5).any(axis=0))
    middle, half = (columns[0] + columns[-1]) / 2, max(3.0, (columns[-1] - columns[0]) / 2)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    flat = max(3.0, 0.16 * half)
    wide = ((x - middle + 0.12 * half * light.x) / (1.18 * half)) ** 2 + (
        (y - low + 0.2 * flat) / (1.3 * flat)
    ) ** 2
    tight = ((x - middle) / (1.0 * half)) ** 2 + ((y - low + 0.2 * flat) / (0.55 * flat)) ** 2
    cast = _moved(soften(alpha, 0.05 * max(h, w)), light, 0.03 * max(h, w))
    shadow = 0.30 * np.exp(-1.2 * wide**1.5) + 0.34 * np.exp(-1.4 * tight**2) + 0.07 * cast
    return np.asarray(shadow, dtype=np.float32)


def _slope(height: Array, light: Light) -> Array:
    """Return how much a height field (H, W) faces the light, per pixel."""
    dx = np.empty_like(height)
    dy = np.empty_like(height)
    dx[:, 1:-1] = (height[:, 2:] - height[:, :-2]) * 0.5
    dx[:, [0, -1]] = 0.0
    dy[1:-1] = (height[2:] - height[:-2]) * 0.5
    dy[[0, -1]] = 0.0
    return -(dx * light.x + dy * light.y)


def _moved(field: Array, light: Light, distance: float) -> Array:
    """Shift a field (H, W) away from the light; what comes in from outside is 0."""
    h, w = field.shape
    dx, dy = round(-light.x * distance), round(-light.y * distance)
    moved = np.zeros_like(field)
    moved[max(0, dy) : h + min(0, dy), max(0, dx) : w + min(0, dx)] = field[
        max(0, -dy) : h + min(0, -dy), max(0, -dx) : w + min(0, -dx)
    ]
    return moved
