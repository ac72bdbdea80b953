"""Turn behaviour vectors onto those of the night before, so that rows and models of two nights agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vision_rec.types import Array


@dataclass(frozen=True, slots=True)
class Turn:
    """A rotation (d, d) that rows are multiplied with from the right.

    `agreement` is the mean cosine after it, over the `shared` products that it was found on.
    """

    rotation: Array
    shared: int
    agreement: float


def find_turn(
    ids: Sequence[str], vectors: Array, before_ids: Sequence[str], before: Array, *, least: int | None = None
) -> Turn | None:
    """Find the orthogonal map that brings `vectors` (M, d) nearest to those `before` (P, d), by shared ids.

    Products without a vector on either side do not count. None where widths differ, or where fewer than
    `least` (d) products are shared: then the two spaces have nothing to do with each other.
    """
    if vectors.shape[1] != before.shape[1]:
        return None
    old = {name: row for row, name in enumerate(before_ids) if np.any(before[row])}
    pairs = [(row, old[name]) for row, name in enumerate(ids) if name in old and np.any(vectors[row])]
    if len(pairs) < (vectors.shape[1] if least is None else least):
        return None
    rows, others = np.array(pairs).T
    new, then = vectors[rows].astype(np.float64), before[others].astype(np.float64)
    left, _, right = np.linalg.svd(new.T @ then)
    rotation = left @ right
    agreement = float(np.einsum("nd,nd->n", new @ rotation, then).mean())
    return Turn(rotation.astype(np.float32), len(pairs), agreement)


def turn_network(network: Mapping[str, Array], rotation: Array) -> dict[str, Array]:
    """Return the weights of a sequence network whose last block is turned, on the way in and on the way out.

    Given turned rows it answers with the turned answers of before, so scores stay as they were.
    """
    dim = len(rotation)
    out = {name: np.array(value, dtype=np.float32) for name, value in network.items()}
    out["enter.weight"][:, -dim:] = network["enter.weight"][:, -dim:] @ rotation
    out["leave.weight"][-dim:] = rotation.T @ network["leave.weight"][-dim:]
    out["leave.bias"][-dim:] = rotation.T @ network["leave.bias"][-dim:]
    return out
