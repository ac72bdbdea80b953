"""Batches of sequences: visitors of like length together, the same for every run of one seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vision_rec.sessions.model import gap_steps
from vision_rec.sessions.sequences import Sequences

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Views (n, L) and the one after each, of which those where `real` (n, L) count.

    `types` and `gaps` (n, L) say what each view was and how long after the one before. All visitors are of
    one `fold`.
    """

    viewed: Tensor
    wanted: Tensor
    real: Tensor
    types: Tensor
    gaps: Tensor
    fold: int = 0

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(
            self.viewed.to(device),
            self.wanted.to(device),
            self.real.to(device),
            self.types.to(device),
            self.gaps.to(device),
            self.fold,
        )


class SessionBatches:
    """Cuts sequences into batches; what a batch holds follows from the seed and its step alone."""

    def __init__(self, sequences: Sequences, *, batch: int, length: int, seed: int, folds: int = 1) -> None:
        self.sequences, self.length, self.seed = sequences, length, seed
        self.gaps = gap_steps(sequences.gaps)
        self.visitors = np.flatnonzero(sequences.lengths >= 2)
        own = (np.flatnonzero(self.visitors % folds == fold) for fold in range(folds))
        self._folds = [(fold, places, math.ceil(len(places) / batch)) for fold, places in enumerate(own)]
        self.steps = sum(steps for *_, steps in self._folds)  # of an epoch
        self._epoch, self._parts = -1, list[tuple[int, Ints]]()

    def at(self, step: int) -> Batch:
        """Return the batch of a step, counted over all epochs."""
        epoch, within = divmod(step, self.steps)
        if epoch != self._epoch:
            self._epoch, self._parts = epoch, self._shuffled(epoch)
        rng = np.random.default_rng((self.seed, 1, step))
        fold, places = self._parts[within]
        chosen = self.visitors[places]
        starts, lengths = self.sequences.starts[chosen], self.sequences.lengths[chosen]
        spare = np.maximum(lengths - self.length - 1, 0)
        begins = starts + rng.integers(0, spare + 1)  # of a long history, any stretch of it
        return windows(self.sequences, self.gaps, begins, np.minimum(lengths, self.length + 1), fold)

    def _shuffled(self, epoch: int) -> list[tuple[int, Ints]]:
        """Return the batches of one epoch: visitors of like length, and noise, so that they differ."""
        rng = np.random.default_rng((self.seed, 0, epoch))
        lengths = np.minimum(self.sequences.lengths[self.visitors], self.length + 1)
        noisy = lengths + 2 * rng.random(len(lengths))
        parts = list[tuple[int, Ints]]()
        for fold, places, steps in self._folds:
            order = places[np.argsort(noisy[places], kind="stable")]
            parts += [(fold, part) for part in np.array_split(order, steps)] if steps else []
        return [parts[place] for place in rng.permutation(self.steps)]


def windows(sequences: Sequences, gaps: Ints, begins: Ints, lengths: Ints, fold: int = 0) -> Batch:
    """Return the stretches of `lengths` (n,) ≥ 2 acts from places `begins` (n,) on, filled up at the end.

    `gaps` (T,) are the classes of the time before each act.
    """
    most = int(lengths.max())
    within = np.arange(most)[None, :]
    inside = within < lengths[:, None]
    places = np.where(inside, begins[:, None] + within, begins[:, None])
    items = np.where(inside, sequences.items[places], 0).astype(np.int64)
    types = np.where(inside, sequences.types[places], 0).astype(np.int64)
    apart = np.where(inside, gaps[places], 0)
    return Batch(
        torch.from_numpy(items[:, :-1].copy()),
        torch.from_numpy(items[:, 1:].copy()),
        torch.from_numpy(inside[:, 1:].copy()),
        torch.from_numpy(types[:, :-1].copy()),
        torch.from_numpy(apart[:, :-1].copy()),
        fold,
    )
