"""Bring pictures of any size to the square that the image network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from vision_rec.types import Array, Picture


@dataclass(frozen=True, slots=True)
class Squares:
    """Pictures (n, side, side, 3) uint8, and 1 where a pixel is no padding (n, side, side)."""

    pixels: npt.NDArray[np.uint8]
    inside: Array


def fit_square(picture: Picture, side: int) -> npt.NDArray[np.uint8]:
    """Scale a picture (H, W, 3) so that its longer side is `side` and pad it with its border pixels."""
    scaled = _scaled(picture, side)
    top, left = _margins(scaled, side)
    down, across = side - scaled.shape[0] - top, side - scaled.shape[1] - left
    return np.pad(scaled, ((top, down), (left, across), (0, 0)), mode="edge")


def squares(pictures: Sequence[Picture], side: int) -> Squares:
    """Fit every picture into a square and remember which pixels are real."""
    pixels = np.empty((len(pictures), side, side, 3), dtype=np.uint8)
    inside = np.zeros((len(pictures), side, side), dtype=np.float32)
    for row, picture in enumerate(pictures):
        pixels[row] = fit_square(picture, side)
        height, width = scaled_size(picture, side)
        top, left = (side - height) // 2, (side - width) // 2
        inside[row, top : top + height, left : left + width] = 1.0
    return Squares(pixels, inside)


def scaled_size(picture: Picture, side: int) -> tuple[int, int]:
    """Return height and width of a picture (H, W, 3) once its longer side is `side`."""
    ratio = side / max(picture.shape[:2])
    return max(1, round(picture.shape[0] * ratio)), max(1, round(picture.shape[1] * ratio))


def _margins(scaled: npt.NDArray[np.uint8], side: int) -> tuple[int, int]:
    return (side - scaled.shape[0]) // 2, (side - scaled.shape[1]) // 2


def _scaled(picture: Picture, side: int) -> npt.NDArray[np.uint8]:
    height, width = scaled_size(picture, side)
    if picture.shape[:2] == (height, width):
        return picture
    kernel = Image.Resampling.BILINEAR if side < max(picture.shape[:2]) else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(picture).resize((width, height), kernel))
