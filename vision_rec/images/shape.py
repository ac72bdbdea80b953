"""Sizes of pictures: one resampling for everything, so that the same picture gives the same pixels."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from vision_rec.errors import InputError
from vision_rec.types import Picture

_GAP = 2.0  # whole-number reduction first, down to twice the target; invisible, and several times faster


def fit(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """Return `size` (width, height) scaled down to lie within `width` × `height`; never enlarged, never 0."""
    scale = min(1.0, width / size[0], height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resample(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Shrink `image` to `size` with an antialiasing filter; a transparent one is weighted by its alpha."""
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=_GAP)


def shrink(picture: Picture, max_side: int) -> Picture:
    """Shrink a picture (H, W, 3) so that its longest side is at most `max_side`; a smaller one stays."""
    if max_side < 1:
        raise InputError(f"max_side is {max_side}; give 1 or more pixels")
    height, width = picture.shape[:2]
    size = fit((width, height), max_side, max_side)
    if size == (width, height):
        return picture
    return np.array(resample(Image.fromarray(picture), size))


def crop(picture: Picture, box: tuple[float, float, float, float]) -> Picture:
    """Cut `box` = (x, y, w, h), each in 0–1 of the picture's size, out of a picture (H, W, 3).

    Pixels touched by the box belong to it, so the result has at least one. Raises InputError.
    """
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        raise InputError(f"crop is {box}; give four finite numbers x, y, w, h between 0 and 1")
    x, y, w, h = box
    slack = 1e-6  # browsers send 0.7000000001 + 0.3
    if not (0 <= x < 1 and 0 <= y < 1 and w > 0 and h > 0 and x + w <= 1 + slack and y + h <= 1 + slack):
        raise InputError(f"crop is {box}; x, y, w, h must lie in 0–1 with x + w ≤ 1, y + h ≤ 1 and w, h > 0")
    height, width = picture.shape[:2]
    top, bottom = _span(y, h, height)
    left, right = _span(x, w, width)
    return np.ascontiguousarray(picture[top:bottom, left:right])


def _span(start: float, length: float, pixels: int) -> tuple[int, int]:
    first = min(math.floor(start * pixels + 1e-6), pixels - 1)
    last = min(math.ceil((start + length) * pixels - 1e-6), pixels)
    return first, max(first + 1, last)
