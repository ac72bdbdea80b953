"""The naive pair that anyone could fuse: an ImageNet MobileNetV2 and a centre-weighted CIELAB histogram.

The network (Sandler et al., 2018, arXiv 1801.04381) comes as a TensorFlow Lite file of the caller's; nothing
of it is part of the package. Its last map, averaged, is the vector; the cosine compares.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from vision_rec.encoders.palette import rgb_to_lab
from vision_rec.encoders.prepare import fit_square
from vision_rec.fusion import unit
from vision_rec.types import Array, Blocks, Picture

_TENSOR = 171  # last feature map (1, 7, 7, 1280) of the post-training quantised network
_SIDE = 224
_LEVELS = 32  # levels per channel in the table from sRGB to bins
_BINS = (8, 12, 12)  # of L*, a*, b*
_LAB_FROM, _LAB_TO = np.array([0.0, -96.0, -96.0]), np.array([100.0, 96.0, 96.0])
_WHITE = 238  # all channels above it: studio background


class Peer:
    """Blocks `net` and `histogram` of pictures, and the histogram of a named colour."""

    def __init__(self, model: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # intermediate tensors cost memory: they are what is wanted here
            self._network = Interpreter(
                str(model), experimental_preserve_all_tensors=True, num_threads=threads
            )
        self._network.allocate_tensors()
        self._entry = self._network.get_input_details()[0]["index"]
        self._scale, self._zero = self._network.get_tensor_details()[_TENSOR]["quantization"]

    def encode(self, pictures: Sequence[Picture]) -> dict[str, Array]:
        """Return unit blocks (n, dim) of pictures (H, W, 3)."""
        features = np.empty((len(pictures), 1280), dtype=np.float32)
        for row, picture in enumerate(pictures):
            self._network.set_tensor(self._entry, fit_square(picture, _SIDE)[None])
            self._network.invoke()
            found = self._network.get_tensor(_TENSOR)[0].astype(np.float32)
            features[row] = ((found - self._zero) * self._scale).mean((0, 1))
        return {"shape": unit(features), "colour": histograms(pictures)}


def open_peer(model: Path | None, threads: int) -> Peer | None:
    """Return the peer, or None with one line why it is left out."""
    if model is None:
        print("baselines are left out: no --teacher FILE (MobileNetV2 as TensorFlow Lite)")
        return None
    if not model.is_file():
        print(f"baselines are left out: there is no file {model}")
        return None
    try:
        return Peer(model, threads)
    except ImportError:
        print('baselines are left out: they need TensorFlow Lite, pip install "vision-rec[train]"')
        return None


def histograms(pictures: Sequence[Picture]) -> Array:
    """Return unit vectors (n, bins): roots of smoothed CIELAB histograms, the centre counting most."""
    out = np.empty((len(pictures), int(np.prod(_BINS))), dtype=np.float32)
    for row, picture in enumerate(pictures):
        small = picture[::2, ::2]
        height, width = small.shape[:2]
        y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
        weight = np.exp(-(x**2 + y**2) / (2 * 0.5**2))
        product = small.min(axis=2) < _WHITE
        if product.mean() > 0.02:  # else the product itself is white
            weight = weight * product
        out[row] = _smooth(np.bincount(_bins()[_cells(small)].ravel(), weight.ravel(), out.shape[1]))
    return unit(np.sqrt(out))


def swatch_histogram(rgb: tuple[int, int, int]) -> Array:
    """Return the unit vector (bins,) of one sRGB colour."""
    return histograms([np.full((8, 8, 3), rgb, dtype=np.uint8)])[0]


def _cells(pixels: Picture) -> np.ndarray:
    cells = (pixels // (256 // _LEVELS)).astype(np.int64)
    return (cells[..., 0] * _LEVELS + cells[..., 1]) * _LEVELS + cells[..., 2]


@cache
def _bins() -> np.ndarray:
    """Return the bin of each cell of the sRGB table (LEVELS³,)."""
    centres = (np.arange(_LEVELS) + 0.5) * (256 / _LEVELS)
    grid = np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), axis=-1).reshape(-1, 3)
    share = (rgb_to_lab(grid) - _LAB_FROM) / (_LAB_TO - _LAB_FROM)
    places = np.clip((share * _BINS).astype(int), 0, np.array(_BINS) - 1)
    return np.ravel_multi_index(tuple(places.T), _BINS)


def _smooth(counts: np.ndarray) -> np.ndarray:
    """Share each bin with its neighbours, so that near colours are near."""
    cube = counts.reshape(_BINS)
    for axis in range(3):
        padded = np.pad(cube, [(1, 1) if other == axis else (0, 0) for other in range(3)])
        cube = 0.5 * cube + 0.25 * (
            np.take(padded, range(_BINS[axis]), axis) + np.take(padded, range(2, _BINS[axis] + 2), axis)
        )
    return cube.ravel()


def blocks_of(peer: Peer | None, pictures: Sequence[Picture], kept: Path) -> Blocks | None:
    """Return the peer's blocks of `pictures`, read from `kept` where an earlier run left them."""
    if peer is None:
        return None
    if kept.is_file():
        with np.load(kept) as arrays:
            if len(arrays["shape"]) == len(pictures):
                return {"shape": unit(arrays["shape"].astype(np.float32)), "colour": histograms(pictures)}
    blocks = peer.encode(pictures)
    np.savez(kept, shape=blocks["shape"].astype(np.float16))
    return blocks
