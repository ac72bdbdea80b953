"""Embeddings that know what they are sure of: a vector joined with the classes that it is likely of.

Two pictures of a skirt may lie far apart by the look of their pixels and still both be taken for skirts. So
an embedding is joined with the square roots of its class posteriors, whose inner product is the Bhattacharyya
coefficient of two posteriors (Bhattacharyya 1943): how much they agree, least where both are sure and differ.
The classes are those of the training; what is of none of them is told apart by its look.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vision_rec.fusion import products, unit
from vision_rec.types import Array


@dataclass(frozen=True)
class SoftLabels:
    """The classes of one block, by task, and how vectors and posteriors become one vector again.

    `centre` (d,) is taken from vectors before they are compared with the `classes` (c, d) of a task, unit
    vectors times the scale of their softmax. `usual` (c,) are the mean roots of a task's posteriors, and
    `project` (out, d + Σ c) keeps the directions in which pictures differ.
    """

    centre: Array
    classes: Mapping[str, Array]
    usual: Mapping[str, Array]
    project: Array

    @classmethod
    def of(cls, tensors: Mapping[str, Array], block: str) -> SoftLabels | None:
        """Return the soft labels of a block among an encoder's tensors, None where it has none."""
        own = {
            name.removeprefix(f"{block}_labels."): value
            for name, value in tensors.items()
            if name.startswith(f"{block}_labels.")
        }
        if not own:
            return None
        parts: dict[str, dict[str, Array]] = {"classes": {}, "usual": {}}
        for name, value in own.items():
            kind, _, task = name.partition(".")
            if task:
                parts[kind][task] = value
        return cls(own["centre"], parts["classes"], parts["usual"], own["project"])

    def tensors(self, block: str) -> dict[str, Array]:
        """Return the arrays by the names that `of` reads."""
        named = {"centre": self.centre, "project": self.project}
        named |= {f"classes.{task}": value for task, value in self.classes.items()}
        named |= {f"usual.{task}": value for task, value in self.usual.items()}
        return {f"{block}_labels.{name}": np.asarray(value, np.float32) for name, value in named.items()}

    def joined(self, rows: Array) -> Array:
        """Return vectors (n, out) of raw vectors (n, d)."""
        return products(self.parts(rows), self.project)

    def parts(self, rows: Array) -> Array:
        """Return, side by side (n, d + Σ c), unit vectors and each task's centred roots, of norm 1 too."""
        looks = unit(rows - self.centre)
        found = [looks]
        for task in sorted(self.classes):
            found.append(unit(roots(looks, self.classes[task]) - self.usual[task]))
        return np.concatenate(found, axis=1)


def roots(looks: Array, classes: Array) -> Array:
    """Return the roots (n, c) of the posteriors of unit vectors (n, d) among `classes` (c, d)."""
    logits = products(looks, classes)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: Array = np.sqrt(shares / shares.sum(axis=1, keepdims=True))
    return out
