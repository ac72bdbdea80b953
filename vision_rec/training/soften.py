"""Fitted last: how much the classes that a picture is likely of count in its blocks (see soft_labels)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision_rec.encoders.soft_labels import SoftLabels, roots
from vision_rec.fusion import unit
from vision_rec.training.losses import NormalisedSoftmax
from vision_rec.types import Array


@dataclass(frozen=True)
class Emphasis:
    """How sharp posteriors are, and how long their roots are beside the look, which is of length 1."""

    scale: float
    lengths: Mapping[str, float]


# Chosen on validation products: what more would win of labels, it would lose of the look.
SHAPE = Emphasis(24.0, {"article": 1.2})
STYLE = Emphasis(24.0, {"pattern": 2.0, "usage": 1.2})
COLOUR = Emphasis(12.0, {"colour": 0.6})


def fit_soft_labels(
    rows: Sequence[Array],
    centre: Array,
    tasks: Mapping[str, NormalisedSoftmax],
    emphasis: Emphasis,
) -> SoftLabels | None:
    """Return the soft labels of a block for raw vectors (n, d) of each kind of pictures.

    `tasks` are the classifiers that were trained on the block; those with fewer than two classes are left
    out, and without any there is nothing to join. The block stays d wide: the directions in which the
    pictures differ least are dropped.
    """
    centre = np.asarray(centre, dtype=np.float32)
    classes = {
        task: emphasis.scale * unit(softmax.proxies.detach().cpu().float().numpy())
        for task, softmax in sorted(tasks.items())
        if task in emphasis.lengths and len(softmax.proxies) > 1
    }
    if not classes:
        return None
    looks = [unit(part - centre) for part in rows]
    # Each kind of pictures counts the same, as in centring.
    usual = {task: _mean([roots(part, own) for part in looks]) for task, own in classes.items()}
    lengths = [np.ones(len(centre))]
    lengths += [np.full(len(own), emphasis.lengths[task]) for task, own in classes.items()]
    every = np.concatenate(lengths).astype(np.float32)
    plain = SoftLabels(centre, classes, usual, np.diag(every))
    joined = [plain.joined(part) for part in rows]
    mean = _mean(joined)
    spread = np.sum([(part - mean).T @ (part - mean) / len(part) for part in joined], axis=0)
    _, directions = np.linalg.eigh(spread.astype(np.float64))
    kept = np.ascontiguousarray(directions[:, ::-1][:, : len(centre)].T, dtype=np.float32)
    return SoftLabels(centre, classes, usual, kept * every)


def _mean(parts: Sequence[Array]) -> Array:
    out: Array = np.mean([part.mean(axis=0) for part in parts], axis=0).astype(np.float32)
    return out
