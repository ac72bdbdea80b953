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

    `types` and `gaps` (n, L) say what each view was and how long after the one before.
    """

    viewed: Tensor
    wanted: Tensor
    real: Tensor
    types: Tensor
    gaps: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(
            self.viewed.to(device),
            self.wanted.to(device),
            self.real.to(device),
            self.types.to(device),
            self.gaps.to(device),
        )


class SessionBatches:
    """Cuts sequences into batches; what a batch holds follows from the seed and its step alone."""

    def __init__(self, sequences: Sequences, *, batch: int, length: int, seed: int) -> None:
        self.sequences, self.length, self.seed = sequences, length, seed
        self.gaps = gap_steps(sequences.gaps)
        self.visitors = np.flatnonzero(sequences.lengths >= 2)
        self.steps = math.ceil(len(self.visitors) / batch)  # of an epoch
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def at(self, step: int) -> Batch:
        """Return the batch of a step, counted over all epochs."""
        epoch, within = divmod(step, self.steps)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self._shuffled(epoch)
        rng = np.random.default_rng((self.seed, 1, step))
        chosen = self.visitors[np.array_split(self._order, self.steps)[self._places[within]]]
        starts, lengths = self.sequences.starts[chosen], self.sequences.lengths[chosen]
        spare = np.maximum(lengths - self.length - 1, 0)
        begins = starts + rng.integers(0, spare + 1)  # of a long history, any stretch of it
        return windows(self.sequences, self.gaps, begins, np.minimum(lengths, self.length + 1))

    def _shuffled(self, epoch: int) -> Ints:
        """Return the visitors' order in one epoch: by length, with some noise so that batches differ."""
        rng = np.random.default_rng((self.seed, 0, epoch))
        lengths = np.minimum(self.sequences.lengths[self.visitors], self.length + 1)
        order = np.argsort(lengths + 2 * rng.random(len(lengths)), kind="stable")
        self._places = rng.permutation(self.steps)
        return order


def windows(sequences: Sequences, gaps: Ints, begins: Ints, lengths: Ints) -> Batch:
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
    )
