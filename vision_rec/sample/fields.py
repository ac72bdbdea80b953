"""Small image arithmetic: enlarging and softening of float fields, fast enough for thousands of pictures."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vision_rec.types import Array


def enlarge(small: Array, shape: tuple[int, int]) -> Array:
    """Enlarge (or shrink) a float field to (H, W), smoothly."""
    picture = Image.fromarray(np.ascontiguousarray(small, dtype=np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), dtype=np.float32)


def soften(field: Array, radius: float) -> Array:
    """Blur a field (H, W) with a soft kernel of about `radius` pixels; outside counts as 0."""
    h, w = field.shape
    step = max(1, int(radius / 2.5))
    reach = max(1, round(radius / step * 0.62))
    pad = step * (2 * reach + 1)
    high, wide = -(-(h + 2 * pad) // step) * step, -(-(w + 2 * pad) // step) * step
    padded = np.zeros((high, wide), dtype=np.float32)
    padded[pad : pad + h, pad : pad + w] = field
    small = padded.reshape(high // step, step, wide // step, step).mean(axis=(1, 3)) if step > 1 else padded
    for axis in (0, 1, 0, 1):
        small = _box(small, reach, axis)
    grown = enlarge(small, (high, wide)) if step > 1 else small
    return grown[pad : pad + h, pad : pad + w]


def _box(field: Array, reach: int, axis: int) -> Array:
    """Average every pixel with `reach` neighbours on either side along an axis."""
    padded = np.zeros([n + 2 * reach * (i == axis) for i, n in enumerate(field.shape)], dtype=np.float32)
    n = field.shape[axis]
    here = [slice(None), slice(None)]
    here[axis] = slice(reach, reach + n)
    padded[tuple(here)] = field
    total = np.zeros_like(field)
    for start in range(2 * reach + 1):
        here[axis] = slice(start, start + n)
        total += padded[tuple(here)]
    return total / np.float32(2 * reach + 1)
