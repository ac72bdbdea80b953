"""Colour palettes: soft histograms of pixels over fixed CIELAB anchors, in NumPy and in closed form.

A pixel is shared among the anchors near it, so near colours have near histograms. The same function
turns a swatch, a colour name or the product's pixels into a histogram, so all of them can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from vision_rec.encoders.soft_labels import SoftLabels
from vision_rec.fusion import products
from vision_rec.types import Array

LEVELS = 32  # levels per channel in the lookup table: 5 bits, below the eye's step for a whole product
ANCHORS = 96
BEND = 192  # hidden units of a fitted colour map
SPREAD = 12.0  # ΔE over which a colour is shared with its neighbours

_D65 = np.array([0.95047, 1.0, 1.08883])
_TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                    [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip


def rgb_to_lab(rgb: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Convert sRGB values 0–255 (…, 3) to CIELAB under D65 (CIE 1976; IEC 61966-2-1 for the sRGB curve)."""
    value = np.asarray(rgb, dtype=np.float64) / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_XYZ.T / _D65
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _grid(levels_per_channel: int) -> npt.NDArray[np.float64]:
    """Return the centres of an RGB grid, (levels³, 3) in 0–255."""
    step = 256 // levels_per_channel
    levels = np.arange(levels_per_channel) * step + (step - 1) / 2
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)


@cache
def anchors() -> Array:
    """Return the fixed CIELAB anchors (96, 3): k-means of the sRGB gamut, denser near the neutrals.

    Products are mostly of low chroma, and there small differences carry names (navy, black, charcoal), so
    the gamut is weighted by 1 / (1 + (C / 25)²). Nothing here depends on any catalogue.
    """
    lab = rgb_to_lab(_grid(16))
    weight = 1.0 / (1.0 + (np.hypot(lab[:, 1], lab[:, 2]) / 25.0) ** 2)
    rng = np.random.default_rng(0)
    centres = lab[rng.choice(len(lab), ANCHORS, replace=False, p=weight / weight.sum())]
    for _ in range(40):
        nearest = np.argmin(_squared_distances(lab, centres), axis=1)
        mass = np.bincount(nearest, weight, ANCHORS)
        sums = np.stack([np.bincount(nearest, weight * lab[:, axis], ANCHORS) for axis in range(3)], axis=1)
        centres = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-9)[:, None], centres)
    order = np.lexsort(np.round(centres, 6).T)
    out: Array = centres[order].astype(np.float32)
    return out


def _squared_distances(points: npt.NDArray[np.floating], centres: npt.NDArray[np.floating]) -> Array:
    squares = (points**2).sum(1)[:, None] - 2 * points @ centres.T + (centres**2).sum(1)[None]
    out: Array = np.maximum(squares, 0.0).astype(np.float32)
    return out


def cells() -> npt.NDArray[np.float64]:
    """Return the CIELAB colour of each table cell, (LEVELS³, 3)."""
    return rgb_to_lab(_grid(LEVELS))


@cache
def table() -> Array:
    """Return each table cell's share of each anchor, (LEVELS³, 96) float32, rows summing to 1."""
    energy = -_squared_distances(cells(), anchors().astype(np.float64)) / (2 * SPREAD**2)
    share = np.exp(energy - energy.max(axis=1, keepdims=True))
    out: Array = (share / share.sum(axis=1, keepdims=True)).astype(np.float32)
    return out


def codes(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the table cell of each sRGB pixel (…, 3) as (…) int64."""
    step = 256 // LEVELS
    cells = (pixels // step).astype(np.int64)
    return (cells[..., 0] * LEVELS + cells[..., 1]) * LEVELS + cells[..., 2]


def histogram(pixels: npt.NDArray[np.uint8], shares: Array) -> Array:
    """Return the palettes (n, 96) of pictures (n, H, W, 3) whose pixels count `shares` (n, H, W).

    A palette sums to 1; a picture whose shares are all zero has an all-zero palette.
    """
    out = np.zeros((len(pixels), ANCHORS), dtype=np.float32)
    for row, (cells, share) in enumerate(zip(codes(pixels), shares, strict=True)):
        mass = np.bincount(cells.ravel(), share.ravel(), LEVELS**3).astype(np.float32)
        used = np.flatnonzero(mass)
        if len(used):
            out[row] = mass[used] @ table()[used] / mass.sum()
    return out


def swatch_histogram(colours: npt.ArrayLike) -> Array:
    """Return the palette (1, 96) of equal shares of sRGB colours (m, 3)."""
    pixels = np.asarray(colours, dtype=np.uint8).reshape(1, 1, -1, 3)
    return histogram(pixels, np.ones(pixels.shape[:3], dtype=np.float32))


def relit(light: float) -> Array:
    """Return the matrix (96, 96) that turns palettes into those of the same things at `light` × brightness.

    sRGB values are scaled. An anchor stands for all table cells it shares, so the result is nearly right.
    """
    moved = table()[codes(np.clip(_grid(LEVELS) * light, 0, 255).astype(np.uint8))]
    out: Array = (table().T @ moved / table().sum(axis=0)[:, None]).astype(np.float32)
    return out


@dataclass(frozen=True)
class ColourMap:
    """From palettes to raw colour vectors, learned so that shades that people call by one name are near.

    A matrix near the identity, and a bend of m hidden units that settles which of several colours gives a
    product its name; m = 0 is the matrix alone. With `labels`, the names that a palette is likely called by
    count beside it.
    """

    metric: Array  # (96, 96)
    into: Array  # (m, 96)
    bias: Array  # (m,)
    out: Array  # (96, m)
    labels: SoftLabels | None = None

    @classmethod
    def straight(cls, metric: Array) -> ColourMap:
        """Return the map of a matrix alone."""
        nothing = np.zeros((0, ANCHORS), np.float32)
        return cls(metric, nothing, nothing[:, 0], nothing.T)

    @classmethod
    def of(cls, tensors: Mapping[str, Array]) -> ColourMap:
        """Return the map among an encoder's tensors."""
        if "palette_out" not in tensors:
            return cls.straight(tensors["palette_metric"])
        metric, into, bias, out = (tensors[f"palette_{name}"] for name in ("metric", "into", "bias", "out"))
        return cls(metric, into, bias, out, SoftLabels.of(tensors, "colour"))

    def tensors(self) -> dict[str, Array]:
        """Return the arrays by the names that `of` reads."""
        arrays = {f"palette_{name}": getattr(self, name) for name in ("metric", "into", "bias", "out")}
        return arrays | ({} if self.labels is None else self.labels.tensors("colour"))


def palette_block(histograms: Array, colours: ColourMap, mean: Array) -> Array:
    """Turn palettes (n, 96) into raw colour vectors: metric · √h + bend(√h) − mean; zero palettes stay zero.

    The root keeps small areas of colour visible (Hellinger distance). Where the map has labels, these are
    joined before the mean is taken away.
    """
    roots = np.sqrt(histograms)
    # BLAS's threads spin for a while after a product, on the cores that the network wants next.
    bent = products(np.maximum(products(roots, colours.into) + colours.bias, 0.0), colours.out)
    raw = products(roots, colours.metric) + bent
    if colours.labels is not None:
        raw = colours.labels.joined(raw)
    return np.where(histograms.any(axis=1, keepdims=True), raw - mean, 0.0).astype(np.float32)
