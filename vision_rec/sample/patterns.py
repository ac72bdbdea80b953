"""Printed patterns and material textures as smooth fields over product coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vision_rec.sample.fields import enlarge
from vision_rec.types import Array

PATTERNS = ("solid", "stripes", "check", "dots", "floral", "chevron", "argyle", "leopard")
TEXTURES = (
    "jersey",
    "knit",
    "denim",
    "linen",
    "canvas",
    "corduroy",
    "satin",
    "leather",
    "suede",
    "felt",
    "ceramic",
    "woven",
)


@dataclass(frozen=True, slots=True)
class Print:
    """Share of the second and third colour at each pixel (H, W), 0–1."""

    second: Array
    third: Array


def print_pattern(name: str, u: Array, v: Array, *, pixel: float, seed: int) -> Print:
    """Lay a pattern of period 1 over coordinates (H, W); `pixel` is one pixel's width in them."""
    zero = np.zeros_like(u)
    edge = max(1.2 * pixel, 0.02)
    if name == "stripes":
        return Print(_below(_wave(v), 0.145, edge), zero)
    if name == "check":
        return _check(u, v, edge)
    if name == "dots":
        return Print(_dots(u, v, edge), zero)
    if name == "floral":
        return _floral(u, v, edge, seed)
    if name == "chevron":
        zigzag = np.abs(u - np.floor(u) - 0.5)
        return Print(_below(_wave(v * 1.25 + zigzag), 0.145, edge * 1.3), zero)
    if name == "argyle":
        return _argyle(u, v, edge)
    if name == "leopard":
        return _leopard(u, v, edge, seed)
    return Print(zero, zero)


def grain(name: str, u: Array, v: Array, *, pixel: float, seed: int) -> Array:
    """Return the light and dark of a material (H, W), about −1…1; too fine for the pixels fades out."""
    return np.asarray(_grain(name, u, v, pixel, seed), dtype=np.float32)


def _grain(name: str, u: Array, v: Array, pixel: float, seed: int) -> Any:
    if name == "knit":
        column = u / 0.062
        bend = np.abs(column - np.floor(column) - 0.5)
        rows = np.cos(2 * np.pi * (v / 0.05 + 1.1 * bend))
        return (0.75 * rows - 0.9 * np.exp(-((0.5 - bend) ** 2) / 0.008)) * _visible(0.062, pixel)
    if name == "corduroy":
        return np.cos(2 * np.pi * u / 0.045) * 0.9 * _visible(0.045, pixel)
    if name == "denim":
        twill = np.cos(2 * np.pi * (u + 0.9 * v) / 0.03) * 0.45 * _visible(0.03, pixel)
        return twill + 0.5 * speckle(u.shape, seed, 1) + 0.35 * speckle(u.shape, seed + 1, 5)
    if name in ("linen", "canvas"):
        step = 0.035 if name == "canvas" else 0.028
        weave = np.cos(2 * np.pi * u / step) * np.cos(2 * np.pi * v / step) * _visible(step, pixel)
        return 0.45 * weave + 0.4 * slub(u.shape, seed)
    if name == "woven":
        step = 0.06
        across, along = np.cos(2 * np.pi * u / step), np.cos(2 * np.pi * v / step)
        over = np.sin(np.pi * u / step) * np.sin(np.pi * v / step) > 0
        return 0.9 * np.where(over, across, along) * _visible(step, pixel)
    if name == "leather":
        cells = _cells(u / 0.04, v / 0.04, seed)
        return 0.8 * np.clip(cells.gap * 2.2 - 0.7, -1, 0.4) * _visible(0.04, pixel)
    if name in ("suede", "felt"):
        return 0.6 * speckle(u.shape, seed, 1) + 0.3 * speckle(u.shape, seed + 1, 4)
    if name == "wood":
        drift = 2.0 * speckle(u.shape, seed, 24)
        rings = np.cos(2 * np.pi * (u * 9 + drift + 0.6 * np.sin(v * 3)))
        return 0.55 * rings + 0.25 * speckle(u.shape, seed + 1, 2)
    if name == "jersey":
        return 0.22 * speckle(u.shape, seed, 1)
    return np.zeros_like(u)


GRAIN_DEPTH = {
    "knit": 0.12, "corduroy": 0.07, "denim": 0.08, "linen": 0.06, "canvas": 0.06, "woven": 0.08,
    "leather": 0.07, "suede": 0.06, "felt": 0.05, "wood": 0.10, "jersey": 0.04,
}  # fmt: skip
GLOSS = {"satin": 0.35, "leather": 0.30, "ceramic": 0.75, "wood": 0.12}


def speckle(shape: tuple[int, ...], seed: int, size: int) -> Array:
    """Return soft noise (H, W) of blobs about `size` pixels wide, about −1…1."""
    rng = np.random.default_rng(seed)
    h, w = shape
    if size <= 1:
        return rng.standard_normal((h, w), dtype=np.float32) * 0.5
    small = rng.standard_normal((h // size + 3, w // size + 3), dtype=np.float32)
    return enlarge(small, (h, w))


def slub(shape: tuple[int, ...], seed: int) -> Array:
    """Return the uneven threads of linen (H, W)."""
    rng = np.random.default_rng(seed)
    h, w = shape
    across = enlarge(rng.standard_normal((h, max(2, w // 24) + 2), dtype=np.float32), (h, w))
    down = enlarge(rng.standard_normal((max(2, h // 24) + 2, w), dtype=np.float32), (h, w))
    return 0.5 * (across + down)


def _wave(x: Array) -> Array:
    """Return the distance from the nearest whole number, 0–0.5."""
    return np.asarray(np.abs(x - np.floor(x + 0.5)), dtype=np.float32)


def _below(x: Array, limit: float, edge: float) -> Array:
    return np.asarray(np.clip((limit - x) / edge + 0.5, 0, 1), dtype=np.float32)


def _visible(period: float, pixel: float) -> float:
    return float(np.clip(period / pixel / 2.0 - 1.2, 0, 1))


def _check(u: Array, v: Array, edge: float) -> Print:
    across, down = _below(_wave(u), 0.12, edge), _below(_wave(v), 0.12, edge)
    thin = np.maximum(_below(_wave(u + 0.5), 0.025, edge), _below(_wave(v + 0.5), 0.025, edge))
    return Print(0.5 * (across + down), np.asarray(0.7 * thin, dtype=np.float32))


def _dots(u: Array, v: Array, edge: float) -> Array:
    one = np.hypot(_wave(u), _wave(v))
    two = np.hypot(_wave(u + 0.5), _wave(v + 0.5))
    return _below(np.minimum(one, two), 0.19, edge)


def _argyle(u: Array, v: Array, edge: float) -> Print:
    diamond = _wave(u * 0.8) + _wave(v * 0.5)
    second = _below(diamond, 0.275, edge)
    lines = np.minimum(_wave(u * 0.8 + v * 0.5), _wave(u * 0.8 - v * 0.5))
    dashes = _below(lines, 0.018, edge)
    return Print(second, 0.9 * dashes)


@dataclass(frozen=True, slots=True)
class _Cells:
    x: Array  # offset from the nearest seed point
    y: Array
    gap: Array  # 0 at the border between two cells
    first: Array  # distance to the nearest seed point
    key: Array  # a random number of the cell, 0–1


def _hash(i: Array, j: Array, seed: int) -> Array:
    n = (i.astype(np.int64) * 374761393 + j.astype(np.int64) * 668265263 + seed * 2147483647) & 0x7FFFFFFF
    n = ((n ^ (n >> 13)) * 1274126177) & 0x7FFFFFFF
    return ((n ^ (n >> 16)) & 0xFFFF).astype(np.float32) / 65535.0


def _cells(u: Array, v: Array, seed: int, jitter: float = 0.8) -> _Cells:
    """Find the nearest of one jittered seed point per unit square, for every pixel (H, W)."""
    i, j = np.floor(u), np.floor(v)
    first = np.full(u.shape, 9.0, dtype=np.float32)
    second = first.copy()
    dx, dy, key = np.zeros_like(first), np.zeros_like(first), np.zeros_like(first)
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            h1, h2 = _hash(i + a, j + b, seed), _hash(i + a, j + b, seed + 77)
            x = u - (i + a + 0.5 + jitter * (h1 - 0.5))
            y = v - (j + b + 0.5 + jitter * (h2 - 0.5))
            d = np.hypot(x, y)
            nearer = d < first
            second = np.where(nearer, first, np.minimum(second, d))
            dx, dy = np.where(nearer, x, dx), np.where(nearer, y, dy)
            key = np.where(nearer, h1 * 0.5 + h2 * 0.5, key)
            first = np.where(nearer, d, first)
    return _Cells(dx, dy, second - first, first, key)


def _floral(u: Array, v: Array, edge: float, seed: int) -> Print:
    cells = _cells(u, v, seed, jitter=0.35)
    spin = cells.key * 6.283
    angle = np.arctan2(cells.y, cells.x) + spin
    size = 0.31 + 0.1 * (cells.key - 0.5)
    petals = size * (0.66 + 0.34 * np.abs(np.cos(2.5 * angle)))
    flower = _below(cells.first, 0.0, edge) + np.clip((petals - cells.first) / edge + 0.5, 0, 1)
    ridge = 0.18 * _below(np.abs(np.sin(2.5 * angle)), 0.16, 0.1) * (cells.first > 0.1)
    heart = _below(cells.first, 0.085, edge)
    leaf_angle = np.arctan2(cells.y, cells.x) + spin * 2.0
    leaf = _below(np.abs(np.sin(leaf_angle)), 0.3, 0.12) * _below(np.abs(cells.first - 0.42), 0.09, edge)
    leaf = leaf * (np.cos(leaf_angle) > 0) * 0.75
    second = np.clip(flower - ridge, 0, 1) * (1 - heart)
    return Print(second.astype(np.float32), np.clip(heart + leaf * (1 - second), 0, 1).astype(np.float32))


def _leopard(u: Array, v: Array, edge: float, seed: int) -> Print:
    cells = _cells(u * 1.25, v * 1.25, seed, jitter=0.55)
    angle = np.arctan2(cells.y, cells.x)
    wobble = 0.06 * np.sin(3 * angle + 12 * cells.key) + 0.03 * np.sin(5 * angle + 31 * cells.key)
    away = np.abs(cells.first - 0.29 - wobble)
    opening = np.cos(2 * angle + 20 * cells.key)
    ring = _below(away, 0.075, edge) * np.clip((opening + 0.6) * 5, 0, 1)
    inner = _below(cells.first, 0.2, edge * 2) * 0.35
    return Print(ring.astype(np.float32), inner.astype(np.float32) * (1 - ring))
