"""The fitted part of the text encoder: mean, projection and gain of each block, and the sentiment probe."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vision_rec.errors import IntegrityError
from vision_rec.fusion import unit
from vision_rec.types import Array

FIT_FORMAT = 1
TEXT_DIM = 176
REVIEWS_DIM = 128
# What is left of the axes along which whole shops differ. Less brings random pairs of one shop nearer to
# 0, more keeps the neighbours of the plain vectors; reviews of one shop resemble each other most.
TEXT_AXIS_SHARE = 0.7
REVIEWS_AXIS_SHARE = 0.5
SPREAD = 0.1  # gain = SPREAD / std of random-pair cosines, in every encoder of this package
_PAIRS = 20_000


@dataclass(frozen=True, slots=True)
class BlockFit:
    """How vectors (n, d) become a block (n, dim): minus `mean` (d,), times `projection` (d, dim), unit."""

    mean: Array
    projection: Array
    gain: float

    def apply(self, vectors: Array) -> Array:
        """Centre, project and normalise vectors (n, d) into unit rows (n, dim)."""
        return unit(np.asarray((vectors - self.mean) @ self.projection, dtype=np.float32))


@dataclass(frozen=True, slots=True)
class Probe:
    """A logistic probe: P(positive) = σ(vector · weights + bias)."""

    weights: Array
    bias: float

    def apply(self, vectors: Array) -> Array:
        """Return the probability (n,) that each vector (n, d) is positive."""
        return np.asarray(1.0 / (1.0 + np.exp(-(vectors @ self.weights + self.bias))), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class TextFit:
    """Everything fitted; frozen with the encoder. `notes` are measured figures, for people."""

    text: BlockFit
    reviews: BlockFit
    sentiment: Probe | None
    model_sha256: str
    notes: Mapping[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the fit as safetensors, float16 where that is harmless; equal fits give equal bytes."""
        from safetensors.numpy import save

        arrays = {
            "text.mean": self.text.mean,
            "text.projection": self.text.projection,
            "reviews.mean": self.reviews.mean,
            "reviews.projection": self.reviews.projection,
        }
        about = {
            "format": FIT_FORMAT,
            "model_sha256": self.model_sha256,
            "gains": {"text": self.text.gain, "reviews": self.reviews.gain},
            "bias": None if self.sentiment is None else self.sentiment.bias,
            "notes": dict(self.notes),
        }
        if self.sentiment is not None:
            arrays["sentiment.weights"] = self.sentiment.weights
        small = {name: np.ascontiguousarray(array, dtype=np.float16) for name, array in arrays.items()}
        content = save(small, metadata={"about": json.dumps(about, sort_keys=True)})
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.chmod(file.name, 0o644)
        os.replace(file.name, path)


def load_fit(path: Path) -> tuple[TextFit, str]:
    """Read a fit and the SHA-256 of its file; raises IntegrityError where it is not one."""
    try:
        content = path.read_bytes()
        return _parse(content), hashlib.sha256(content).hexdigest()
    except Exception as error:  # safetensors, JSON and shapes each fail in their own way
        raise IntegrityError(
            f"the fit of the text encoder in {path} cannot be used ({error}); reinstall it or fit again"
        ) from error


def _parse(content: bytes) -> TextFit:
    from safetensors.numpy import load

    arrays = {name: np.asarray(array, dtype=np.float32) for name, array in load(content).items()}
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about = json.loads(header["__metadata__"]["about"])
    if about["format"] != FIT_FORMAT:
        raise ValueError(f"format {about['format']}, this vision-rec reads {FIT_FORMAT}")
    blocks = {
        name: BlockFit(arrays[f"{name}.mean"], arrays[f"{name}.projection"], float(about["gains"][name]))
        for name in ("text", "reviews")
    }
    for name, block in blocks.items():
        if block.projection.ndim != 2 or block.mean.shape != block.projection.shape[:1] or not block.gain > 0:
            raise ValueError(f"block {name} has mean {block.mean.shape}, projection {block.projection.shape}")
        if not (np.isfinite(block.mean).all() and np.isfinite(block.projection).all()):
            raise ValueError(f"block {name} holds values that are not finite")
    probe = None
    if about["bias"] is not None:
        probe = Probe(arrays["sentiment.weights"], float(about["bias"]))
    return TextFit(blocks["text"], blocks["reviews"], probe, str(about["model_sha256"]), about["notes"])


def fit_block(
    shops: Sequence[Array], dim: int, axis_share: float, *, extra: Sequence[Array] = (), seed: int = 0
) -> BlockFit:
    """Fit mean, projection and gain on vectors (n_i, d) of several shops, each with equal say.

    The mean is the mean of the shops' means. A shop of one department lies off it, so its random pairs
    would not score 0; the axes along which whole shops differ are therefore shortened to `axis_share`. The
    projection is the PCA of what varies inside shops (and inside `extra` vectors, which centre nothing).
    """
    means = np.stack([shop.mean(0, dtype=np.float64) for shop in shops])
    mean = means.mean(0)
    width = len(mean)
    _, strengths, axes = np.linalg.svd(means - mean, full_matrices=False)
    axes = axes[strengths > 1e-6]
    damp = np.eye(width) - (1.0 - axis_share) * axes.T @ axes
    scatter = np.zeros((width, width))
    for vectors in (*shops, *extra):
        inner = np.cov(vectors.T.astype(np.float64))
        scatter += inner / max(float(np.trace(inner)), 1e-12)
    values, basis = np.linalg.eigh(damp @ scatter @ damp)
    top = basis[:, np.argsort(values)[::-1][: min(dim, width)]]
    top *= np.where(
        top[np.abs(top).argmax(0), np.arange(top.shape[1])] < 0, -1.0, 1.0
    )  # one sign, any LAPACK
    block = BlockFit(mean.astype(np.float32), (damp @ top).astype(np.float32), 1.0)
    spread = float(np.mean([random_cosines(block.apply(shop), seed).std() for shop in shops]))
    return BlockFit(block.mean, block.projection, round(SPREAD / max(spread, 1e-6), 4))


def random_cosines(rows: Array, seed: int = 0) -> Array:
    """Return the cosines of random pairs of different unit rows (n, dim)."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, len(rows), (2, _PAIRS))
    keep = first != second
    return np.asarray(np.einsum("nd,nd->n", rows[first[keep]], rows[second[keep]]), dtype=np.float32)


def neighbour_overlap(
    full: Array, projected: Array, k: int = 10, queries: int = 1_000, seed: int = 0
) -> float:
    """Return the share of each row's `k` nearest in `full` (n, d) that are its nearest in `projected` too."""
    chosen = np.random.default_rng(seed).permutation(len(full))[:queries]
    shared = 0
    for row in chosen:
        near = []
        for vectors in (full, projected):
            scores = vectors @ vectors[row]
            scores[row] = -np.inf
            near.append(set(np.argpartition(-scores, k)[:k].tolist()))
        shared += len(near[0] & near[1])
    return shared / (k * len(chosen))


def fit_probe(vectors: Array, labels: Array, *, ridge: float = 3e-4, steps: int = 25) -> Probe:
    """Fit a logistic probe on vectors (n, d) and labels (n,) 0 or 1, both classes with equal say (Newton)."""
    x = np.hstack([vectors.astype(np.float64), np.ones((len(vectors), 1))])
    y = labels.astype(np.float64)
    share = np.where(y > 0.5, 0.5 / max(y.sum(), 1.0), 0.5 / max((1 - y).sum(), 1.0))
    penalty = np.full(x.shape[1], ridge)
    penalty[-1] = 1e-9
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1.0 / (1.0 + np.exp(-(x @ weights)))
        gradient = x.T @ (share * (p - y)) + penalty * weights
        curvature = (x.T * (share * p * (1 - p))) @ x + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return Probe(weights[:-1].astype(np.float32), float(weights[-1]))
